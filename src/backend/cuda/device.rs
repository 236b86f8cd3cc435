//! The device: driver, kernels, and launches on its one queue.

use std::{collections::HashMap, sync::Arc};

use cudarc::{
    driver::{
        CudaContext, CudaFunction, CudaStream, DriverError, LaunchArgs, LaunchConfig, PushKernelArg, sys,
    },
    nvrtc::Ptx,
};

use super::{
    Cuda,
    memory::{Buffer, Pool, lost},
    operands::{Addend, ConversionConstants, Keys, Rows, Shape},
};
use crate::backend::{BackendError, Mut, Ref, Result, Span};

/// Every kernel, for compute capability 8.0 and later; made by `cargo xtask ptx`.
const IMAGE: &str = include_str!("../../../kernels/ptx/kernels.ptx");
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

/// The CUDA version of the kernels' image, PTX ISA 8.4.
const CUDA_VERSION: i32 = 12_040;

/// A device with its kernels and its one queue.
pub(super) struct Device {
    pub(super) name: String,
    stream: Arc<CudaStream>,
    kernels: HashMap<&'static str, CudaFunction>,
    pub(super) pool: Arc<Pool>,
}

/// Names of the kernels of the image.
fn kernels() -> impl Iterator<Item = &'static str> {
    let entry = |line: &'static str| line.trim().strip_prefix(".visible .entry ")?.split('(').next();
    IMAGE.lines().filter_map(entry)
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
        // SAFETY: one stream is used, whose order is all the order there has to be.
        unsafe { context.disable_event_tracking() };
        let device = context.name()?;
        let (major, minor) = context.compute_capability()?;
        if major < 8 {
            return Err(CudaError::OldDevice { device, major, minor });
        }
        let image = |error: DriverError| CudaError::Image {
            device: device.clone(),
            reason: error.to_string(),
        };
        let module = context.load_module(Ptx::from_src(IMAGE)).map_err(image)?;
        let load = |name| Ok((name, module.load_function(name).map_err(image)?));
        let kernels = kernels()
            .map(load)
            .collect::<std::result::Result<_, CudaError>>()?;
        let stream = context.new_stream()?;
        let (free, _) = context.mem_get_info()?;
        let budget = budget.unwrap_or(free / SHARE.1 * SHARE.0);
        let pool = Arc::new(Pool::new(Arc::clone(&stream), budget));
        Ok(Self {
            name: device,
            stream,
            kernels,
            pool,
        })
    }

    /// Waits for everything submitted.
    pub(super) fn wait(&self) -> Result<()> {
        self.stream.synchronize().map_err(lost)
    }

    /// Memory with these words.
    pub(super) fn constants(&self, words: &[u32]) -> Result<Buffer> {
        let mut buffer = self.pool.take(0, words.len())?;
        buffer.write(words)?;
        Ok(buffer)
    }

    /// Launches `kernel` over `blocks` blocks along each row and `layers` in the third dimension, as often as the layers need.
    ///
    /// # Safety
    /// The arguments are those of the kernel after its shape, and all that it touches lies within memory that is alive.
    pub(super) unsafe fn launch(
        &self,
        kernel: &'static str,
        shape: &Shape,
        [blocks, threads, layers]: [u32; 3],
        shared_mem_bytes: u32,
        arguments: &[Argument],
    ) -> Result<()> {
        let Some(function) = self.kernels.get(kernel) else {
            return Err(BackendError::Unsupported { need: kernel });
        };
        let mut first = 0;
        while first < layers && shape.rows > 0 {
            let count = MOST_LAYERS.min(layers - first);
            let shape = Shape { first, ..*shape };
            let mut launch = self.stream.launch_builder(function);
            launch.arg(&shape);
            for argument in arguments {
                argument.push(&mut launch);
            }
            let config = LaunchConfig {
                grid_dim: (blocks, shape.rows, count),
                block_dim: (threads, 1, 1),
                shared_mem_bytes,
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
    /// The primes of the source of a conversion.
    Shape(Shape),
    /// Constants of a conversion.
    Conversion(ConversionConstants),
    /// What a transform adds.
    Addend(Box<Addend>),
    /// Keys of an inner product.
    Keys(Box<Keys>),
}

impl Argument {
    fn push<'a>(&'a self, launch: &mut LaunchArgs<'a>) {
        match self {
            Self::Rows(x) => launch.arg(x),
            Self::Address(x) | Self::Wide(x) => launch.arg(x),
            Self::Number(x) => launch.arg(x),
            Self::Shape(x) => launch.arg(x),
            Self::Conversion(x) => launch.arg(x),
            Self::Addend(x) => launch.arg(x.as_ref()),
            Self::Keys(x) => launch.arg(x.as_ref()),
        };
    }

    /// The rows of an operand to read.
    pub(super) fn read(src: &Ref<Cuda>) -> Result<Self> {
        Self::operand(src.buffer, &src.span)
    }

    /// The rows of an operand to write.
    pub(super) fn write(dst: &Mut<Cuda>) -> Result<Self> {
        assert!(dst.span.is_disjoint(), "rows to write coincide");
        Self::operand(dst.buffer, &dst.span)
    }

    fn operand(buffer: &Buffer, span: &Span) -> Result<Self> {
        Ok(Self::Rows(rows(buffer, span)?))
    }
}

/// The rows of a span, checked to lie within the buffer.
pub(super) fn rows(buffer: &Buffer, span: &Span) -> Result<Rows> {
    let within = span.count() == 0 || span.end() << buffer.log_n <= buffer.words();
    assert!(within, "rows beyond the buffer");
    Rows::new(buffer.address(), buffer.log_n, span)
}
