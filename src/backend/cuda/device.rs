//! The device: driver, kernels, and launches on its one queue.

use std::{collections::HashMap, sync::Arc};

use cudarc::driver::{
    CudaContext, CudaFunction, CudaStream, DriverError, LaunchArgs, LaunchConfig, PushKernelArg, sys,
};

use super::{
    Cuda,
    image::{self, CUDA_VERSION, Loaded},
    memory::{Buffer, Pool, lost},
    operands::{Addend, ConversionConstants, Conversions, Digits, Ends, Keys, Rows, Shape},
    traffic::{Launch, Log},
};
use crate::backend::{BackendError, Mut, Ref, Result, Span};

/// Part of the free memory of a device that the pool may hold.
const SHARE: (usize, usize) = (15, 16);
/// Threads of a block of most kernels.
pub(super) const THREADS: u32 = 256;
/// Largest third dimension of a grid.
const MOST_LAYERS: u32 = 65_535;

/// Why there is no CUDA device to use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CudaError {
    /// The driver's library is missing.
    #[error(
        "no CUDA driver: libcuda.so.1 was not found; install the NVIDIA driver (550 or later), or use another backend"
    )]
    NoDriver,
    /// The driver is older than the kernels.
    #[error(
        "the CUDA driver supports version {have}, the kernels need {wanted}; install driver 550 or later"
    )]
    OldDriver {
        /// What the driver supports, as 1000 major + 10 minor.
        have: i32,
        /// What is needed.
        wanted: i32,
    },
    /// There is no such device.
    #[error("CUDA device {ordinal} does not exist: there are {count}; use one from 0")]
    NoDevice {
        /// The device that was asked for.
        ordinal: usize,
        /// How many there are.
        count: i32,
    },
    /// The device is too old.
    #[error("{device} has compute capability {major}.{minor}; the kernels need 8.0 (Ampere) or later")]
    OldDevice {
        /// Its name.
        device: String,
        /// Its capability.
        major: i32,
        /// Its capability.
        minor: i32,
    },
    /// The kernels could not be loaded.
    #[error("the kernels do not load on {device}: {reason}; is the driver older than 550?")]
    Image {
        /// The device.
        device: String,
        /// What the driver said.
        reason: String,
    },
    /// The driver failed.
    #[error("CUDA failed: {reason}")]
    Driver {
        /// What it said.
        reason: String,
    },
}

impl From<DriverError> for CudaError {
    fn from(error: DriverError) -> Self {
        Self::Driver {
            reason: error.to_string(),
        }
    }
}

/// Where work goes.
pub(super) enum Queue {
    /// To the driver.
    Driver {
        /// All work, in order.
        stream: Arc<CudaStream>,
        /// Memory and constants of recordings, which must not become part of them.
        side: Arc<CudaStream>,
        kernels: HashMap<&'static str, CudaFunction>,
    },
    /// Nowhere: it is counted.
    Counted(Log),
}

impl Queue {
    /// Bytes that the device has left.
    pub(super) fn free_bytes(&self) -> usize {
        match self {
            Self::Driver { stream, .. } => stream.context().mem_get_info().map_or(0, |(free, _)| free),
            Self::Counted(_) => usize::MAX,
        }
    }
}

/// A device with its one queue.
pub(super) struct Device {
    pub(super) name: String,
    /// What the image of its kernels is, and why.
    pub(super) kernels: String,
    pub(super) pool: Arc<Pool>,
}

/// Blocks along a row, threads of a block, blocks in the third dimension, and bytes of shared memory beside what the kernel declares.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub(super) blocks: u32,
    pub(super) threads: u32,
    pub(super) layers: u32,
    pub(super) shared: u32,
}

impl Grid {
    pub(super) fn new(blocks: u32, threads: u32, layers: usize) -> Self {
        Self {
            blocks,
            threads,
            layers: layers as u32,
            shared: 0,
        }
    }
}

/// Bytes that a launch moves: of operands, and of tables that all of it shares.
#[derive(Clone, Copy, Default)]
pub(super) struct Cost {
    pub(super) read: u64,
    pub(super) written: u64,
    pub(super) tables: u64,
}

impl Cost {
    /// Rows of 2^log_n words.
    pub(super) fn rows(log_n: u32, read: usize, written: usize) -> Self {
        Self {
            read: (read as u64) << (log_n + 2),
            written: (written as u64) << (log_n + 2),
            tables: 0,
        }
    }

    /// And words of tables.
    pub(super) fn tables(self, words: usize) -> Self {
        Self {
            tables: 4 * words as u64,
            ..self
        }
    }
}

impl Device {
    /// Opens a device; its pool holds at most `budget` bytes, or nearly all that is free.
    pub(super) fn open(ordinal: usize, budget: Option<usize>) -> std::result::Result<Self, CudaError> {
        // SAFETY: it only looks whether the library can be opened.
        if !unsafe { sys::is_culib_present() } {
            return Err(CudaError::NoDriver);
        }
        let mut have = 0;
        // SAFETY: the library is there, and writes one number.
        unsafe { sys::cuDriverGetVersion(&mut have) }.result()?;
        let wanted = CUDA_VERSION;
        if have < wanted {
            return Err(CudaError::OldDriver { have, wanted });
        }
        let count = CudaContext::device_count()?;
        if ordinal as i64 >= i64::from(count) {
            return Err(CudaError::NoDevice { ordinal, count });
        }
        let context = CudaContext::new(ordinal)?;
        // SAFETY: work is in one stream, whose order is all the order there has to be; what the side stream does is waited for at once.
        unsafe { context.disable_event_tracking() };
        let device = context.name()?;
        let (major, minor) = context.compute_capability()?;
        if major < 8 {
            return Err(CudaError::OldDevice { device, major, minor });
        }
        let Loaded { kernels, origin } = image::load(&context, &device, (major, minor))?;
        let (stream, side) = (context.new_stream()?, context.new_stream()?);
        let (free, _) = context.mem_get_info()?;
        let budget = budget.unwrap_or(free / SHARE.1 * SHARE.0);
        let queue = Queue::Driver {
            stream,
            side,
            kernels,
        };
        Ok(Self {
            name: device,
            kernels: origin,
            pool: Arc::new(Pool::new(queue, budget)),
        })
    }

    /// No device: what would be launched is counted.
    pub(super) fn counting() -> Self {
        Self {
            name: String::from("counts only"),
            kernels: String::from("none"),
            pool: Arc::new(Pool::new(Queue::Counted(Log::default()), usize::MAX)),
        }
    }

    /// Waits for everything submitted.
    pub(super) fn wait(&self) -> Result<()> {
        self.pool.refuse_while_recording()?;
        match self.pool.queue() {
            Queue::Driver { stream, .. } => stream.synchronize().map_err(lost),
            Queue::Counted(_) => Ok(()),
        }
    }

    /// Memory with these words.
    pub(super) fn constants(&self, words: &[u32]) -> Result<Buffer> {
        self.pool.with_words(0, words)
    }

    /// Launches `kernel` over the rows of `shape`, as often as the layers of the grid need.
    ///
    /// # Safety
    /// The arguments are those of the kernel after its shape, and all that it touches lies within memory that is alive.
    pub(super) unsafe fn launch(
        &self,
        kernel: &'static str,
        shape: &Shape,
        grid: Grid,
        cost: Cost,
        arguments: &[Argument],
    ) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { self.launch_rows(kernel, shape, shape.rows, grid, cost, arguments) }
    }

    /// The same with another number of blocks in the second dimension than the shape has rows.
    ///
    /// # Safety
    /// As for `launch`.
    pub(super) unsafe fn launch_rows(
        &self,
        kernel: &'static str,
        shape: &Shape,
        rows: u32,
        grid: Grid,
        cost: Cost,
        arguments: &[Argument],
    ) -> Result<()> {
        self.pool.check_thread()?;
        if rows == 0 || grid.layers == 0 {
            return Ok(());
        }
        let (stream, function) = match self.pool.queue() {
            Queue::Counted(log) => {
                log.launch(Launch {
                    kernel,
                    grid: [grid.blocks, rows, grid.layers],
                    threads: grid.threads,
                    shared_bytes: grid.shared,
                    read_bytes: cost.read,
                    written_bytes: cost.written,
                    table_bytes: cost.tables,
                });
                return Ok(());
            }
            Queue::Driver { stream, kernels, .. } => match kernels.get(kernel) {
                Some(function) => (stream, function),
                None => return Err(BackendError::Unsupported { need: kernel }),
            },
        };
        let mut first = 0;
        while first < grid.layers {
            let count = MOST_LAYERS.min(grid.layers - first);
            let shape = Shape { first, ..*shape };
            let mut launch = stream.launch_builder(function);
            launch.arg(&shape);
            for argument in arguments {
                argument.push(&mut launch);
            }
            let config = LaunchConfig {
                grid_dim: (grid.blocks, rows, count),
                block_dim: (grid.threads, 1, 1),
                shared_mem_bytes: grid.shared,
            };
            // SAFETY: the caller's promise.
            unsafe { launch.launch(config) }.map_err(lost)?;
            first += count;
        }
        Ok(())
    }
}

/// What a kernel takes after its shape.
pub(super) enum Argument {
    /// Rows of an operand.
    Rows(Rows),
    /// An address on the device.
    Address(u64),
    /// A number.
    Number(u32),
    /// A large number.
    Wide(u64),
    /// A number with a fraction, twofold.
    Real([f64; 2]),
    /// The primes of the source of a conversion.
    Shape(Shape),
    /// Constants of a conversion.
    Conversion(ConversionConstants),
    /// Conversions with where their targets go.
    Conversions(Box<Conversions>),
    /// Factors of an inverse transform.
    Ends(Box<Ends>),
    /// What is added to a result.
    Addend(Box<Addend>),
    /// Digits on their way to the evaluation domain.
    Digits(Box<Digits>),
    /// Keys of an inner product.
    Keys(Box<Keys>),
}

impl Argument {
    fn push<'a>(&'a self, launch: &mut LaunchArgs<'a>) {
        match self {
            Self::Rows(x) => launch.arg(x),
            Self::Address(x) | Self::Wide(x) => launch.arg(x),
            Self::Number(x) => launch.arg(x),
            Self::Real(x) => launch.arg(&x[0]).arg(&x[1]),
            Self::Shape(x) => launch.arg(x),
            Self::Conversion(x) => launch.arg(x),
            Self::Conversions(x) => launch.arg(x.as_ref()),
            Self::Ends(x) => launch.arg(x.as_ref()),
            Self::Addend(x) => launch.arg(x.as_ref()),
            Self::Digits(x) => launch.arg(x.as_ref()),
            Self::Keys(x) => launch.arg(x.as_ref()),
        };
    }

    /// The rows of an operand to read.
    pub(super) fn read(src: &Ref<Cuda>) -> Result<Self> {
        Ok(Self::Rows(rows(src.buffer, &src.span)?))
    }

    /// The rows of an operand to write.
    pub(super) fn write(dst: &Mut<Cuda>) -> Result<Self> {
        assert!(dst.span.is_disjoint(), "rows to write coincide");
        Ok(Self::Rows(rows(dst.buffer, &dst.span)?))
    }
}

/// The rows of a span, checked to lie within the buffer.
pub(super) fn rows(buffer: &Buffer, span: &Span) -> Result<Rows> {
    let within = span.count() == 0 || span.end() << buffer.log_n <= buffer.words();
    assert!(within, "rows beyond the buffer");
    Rows::new(buffer.address(), buffer.log_n, span)
}
