//! The backends that a program can choose among: one list, and what is made from it.
//!
//! To add a backend, add its line to the list and an implementation of [`Open`].

use std::sync::Arc;

use super::{DeviceError, Itself, Result};
#[cfg(feature = "cuda")]
use crate::backend::cuda::{Cuda, CudaError};
#[cfg(feature = "wgpu")]
use crate::backend::wgpu::{AdapterKind, Wgpu, WgpuError};
use crate::backend::{Backend, cpu::Cpu};

/// `backends!(do WHAT { ARGUMENTS })`: hands the list to the arm `@ WHAT`.
macro_rules! backends {
    // A line each: variant, name, feature, type; in the order in which `auto` looks.
    (do $what:ident $arguments:tt) => {
        $crate::backend::device::backends! { @ $what $arguments
            Cuda "cuda" "cuda" $crate::backend::cuda::Cuda;
            Wgpu "wgpu" "wgpu" $crate::backend::wgpu::Wgpu;
            Cpu "cpu" "fallback" $crate::backend::cpu::Cpu;
        }
    };

    // A match over what exists for every backend of the build.
    (@ on { $any:expr, $x:ident, $body:expr } $($variant:ident $name:literal $feature:literal $type:ty;)*) => {
        match $any {
            $(#[cfg(feature = $feature)] $crate::backend::device::Any::$variant($x) => $body,)*
        }
    };

    (@ define {} $($variant:ident $name:literal $feature:literal $type:ty;)*) => {
        /// A kind of backend, in this build or not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum BackendKind {
            $(#[doc = concat!("`", $name, "`, with the feature `", $feature, "`.")] $variant,)*
        }

        impl BackendKind {
            /// All that there are, in the order in which `auto` looks for a device that works.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name, as in `--backend`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The feature that builds it.
            pub const fn feature(self) -> &'static str {
                match self { $(Self::$variant => $feature,)* }
            }

            /// Whether this build has it.
            pub const fn is_built(self) -> bool {
                match self { $(Self::$variant => cfg!(feature = $feature),)* }
            }
        }

        /// What exists once for every backend, on one of them.
        pub enum Any<F: Family> {
            $(
                #[cfg(feature = $feature)]
                #[doc = concat!("On `", $name, "`.")]
                $variant(Arc<F::On<$type>>),
            )*
        }

        impl<F: Family> Clone for Any<F> {
            fn clone(&self) -> Self {
                match self {
                    $(#[cfg(feature = $feature)] Self::$variant(x) => Self::$variant(Arc::clone(x)),)*
                }
            }
        }

        $(
            #[cfg(feature = $feature)]
            impl DeviceBackend for $type {
                const KIND: BackendKind = BackendKind::$variant;

                fn of<F: Family>(any: &Any<F>) -> Option<&F::On<Self>> {
                    // With a single backend there is nothing else.
                    #[allow(unreachable_patterns)]
                    match any {
                        Any::$variant(x) => Some(x),
                        _ => None,
                    }
                }

                fn any<F: Family>(x: Arc<F::On<Self>>) -> Any<F> {
                    Any::$variant(x)
                }
            }
        )*

        /// Opens a device; whether it is an emulation comes with it.
        pub(super) fn open(kind: BackendKind, ordinal: usize, bytes: Option<usize>) -> Result<(Any<Itself>, bool)> {
            match kind {
                $(
                    #[cfg(feature = $feature)]
                    BackendKind::$variant => {
                        let backend = <$type as Open>::open_device(ordinal, bytes)?;
                        let emulated = backend.is_emulated();
                        Ok((Any::$variant(Arc::new(backend)), emulated))
                    }
                    #[cfg(not(feature = $feature))]
                    BackendKind::$variant => Err(DeviceError::NotBuilt { kind }),
                )*
            }
        }

        /// How many devices there are.
        pub(super) fn count(kind: BackendKind) -> Result<usize> {
            match kind {
                $(
                    #[cfg(feature = $feature)]
                    BackendKind::$variant => <$type as Open>::device_count(),
                    #[cfg(not(feature = $feature))]
                    BackendKind::$variant => Err(DeviceError::NotBuilt { kind }),
                )*
            }
        }
    };
}
pub(crate) use backends;

/// `on!(any, x => body)`: the body with `x` on whichever backend it is; compiled once for each.
macro_rules! on {
    ($any:expr, $x:ident => $body:expr) => {
        $crate::backend::device::backends!(do on { $any, $x, $body })
    };
}
pub(crate) use on;

/// Something that exists once for every backend.
pub trait Family {
    /// It, on a backend.
    type On<B: Backend>;
}

/// A backend whose devices are found and opened by number.
pub trait Open: Backend + Clone {
    /// Opens device `ordinal`, holding at most `bytes` of its memory; the CPU has one device, and takes memory from the system.
    fn open_device(ordinal: usize, bytes: Option<usize>) -> Result<Self>;
    /// How many there are.
    fn device_count() -> Result<usize>;
    /// Whether the processor takes the place of a GPU.
    fn is_emulated(&self) -> bool;
    /// What its kernels are, where there is a choice.
    fn kernels(&self) -> Option<&str> {
        None
    }
}

/// A backend that a [`Device`](super::Device) can be.
pub trait DeviceBackend: Open {
    /// Its kind.
    const KIND: BackendKind;
    #[doc(hidden)]
    fn of<F: Family>(any: &Any<F>) -> Option<&F::On<Self>>;
    #[doc(hidden)]
    fn any<F: Family>(x: Arc<F::On<Self>>) -> Any<F>;
}

backends!(do define {});

impl Open for Cpu {
    fn open_device(ordinal: usize, _: Option<usize>) -> Result<Self> {
        match ordinal {
            0 => Ok(Self::new()),
            _ => Err(DeviceError::NoDevice {
                kind: BackendKind::Cpu,
                ordinal,
                count: 1,
            }),
        }
    }

    fn device_count() -> Result<usize> {
        Ok(1)
    }

    fn is_emulated(&self) -> bool {
        false
    }
}

/// What the driver of `cargo xtask emu` calls its device.
#[cfg(feature = "cuda")]
const EMULATED_CUDA: &str = "CPU emulation";

#[cfg(feature = "cuda")]
impl Open for Cuda {
    fn open_device(ordinal: usize, bytes: Option<usize>) -> Result<Self> {
        Self::with_budget(ordinal, bytes).map_err(|error| cuda_error(ordinal, error))
    }

    fn device_count() -> Result<usize> {
        // One that cannot exist: the refusal tells how many do.
        let ordinal = u32::MAX as usize;
        match Self::open(ordinal) {
            Err(CudaError::NoDevice { count, .. }) => Ok(usize::try_from(count).unwrap_or(0)),
            Err(error) => Err(cuda_error(0, error)),
            Ok(_) => Ok(0),
        }
    }

    fn is_emulated(&self) -> bool {
        self.capabilities().device == EMULATED_CUDA
    }

    fn kernels(&self) -> Option<&str> {
        Some(Self::kernels(self))
    }
}

#[cfg(feature = "cuda")]
fn cuda_error(ordinal: usize, error: CudaError) -> DeviceError {
    let kind = BackendKind::Cuda;
    match error {
        CudaError::NoDevice { ordinal, count } => DeviceError::NoDevice {
            kind,
            ordinal,
            count: usize::try_from(count).unwrap_or(0),
        },
        CudaError::NoDriver => DeviceError::NoDriver {
            kind,
            reason: error.to_string(),
        },
        error => DeviceError::Failed {
            kind,
            ordinal,
            reason: error.to_string(),
        },
    }
}

#[cfg(feature = "wgpu")]
impl Open for Wgpu {
    fn open_device(ordinal: usize, bytes: Option<usize>) -> Result<Self> {
        Self::with_budget(ordinal, bytes).map_err(|error| wgpu_error(ordinal, error))
    }

    fn device_count() -> Result<usize> {
        match Self::adapters().len() {
            0 => Err(wgpu_error(0, WgpuError::NoAdapter)),
            count => Ok(count),
        }
    }

    fn is_emulated(&self) -> bool {
        // The device's name says what the adapter is.
        let software = AdapterKind::Cpu.to_string();
        self.capabilities().device.contains(&software)
    }
}

#[cfg(feature = "wgpu")]
fn wgpu_error(ordinal: usize, error: WgpuError) -> DeviceError {
    let kind = BackendKind::Wgpu;
    match error {
        WgpuError::NoOrdinal { ordinal, count } => DeviceError::NoDevice { kind, ordinal, count },
        WgpuError::NoAdapter => DeviceError::NoDriver {
            kind,
            reason: error.to_string(),
        },
        error => DeviceError::Failed {
            kind,
            ordinal,
            reason: error.to_string(),
        },
    }
}
