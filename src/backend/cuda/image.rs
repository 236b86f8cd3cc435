//! The kernels on a device: machine code compiled for it where that is possible (feature `cuda-native`), else the PTX of the crate, which the
//! driver translates.

use std::{collections::HashMap, sync::Arc};

use cudarc::{
    driver::{CudaContext, CudaFunction, CudaModule, DriverError, sys},
    nvrtc::Ptx,
};

use super::device::CudaError;

/// Every kernel, for compute capability 8.0 and later; made by `cargo xtask ptx`.
const PTX: &str = include_str!("../../../kernels/ptx/kernels.ptx");
/// The CUDA version of the PTX, ISA 8.4.
pub(super) const CUDA_VERSION: i32 = 12_040;
/// Shared memory that a block of any device that we support may have.
const MOST_SHARED: i32 = 163 << 10;

/// The kernels of a device.
pub(super) struct Loaded {
    pub(super) kernels: HashMap<&'static str, CudaFunction>,
    /// What their image is, and why, in words.
    pub(super) origin: String,
}

/// Names of the kernels.
fn names() -> impl Iterator<Item = &'static str> {
    let entry = |line: &'static str| line.trim().strip_prefix(".visible .entry ")?.split('(').next();
    PTX.lines().filter_map(entry)
}

/// Loads the kernels on the device of a context, which has this name and compute capability.
pub(super) fn load(
    context: &Arc<CudaContext>,
    device: &str,
    capability: (i32, i32),
) -> Result<Loaded, CudaError> {
    let image = |error: DriverError| CudaError::Image {
        device: device.to_owned(),
        reason: error.to_string(),
    };
    let (module, origin) = match native(context, capability) {
        Ok(loaded) => loaded,
        Err(reason) => {
            let ptx = context.load_module(Ptx::from_src(PTX)).map_err(image)?;
            (ptx, format!("PTX of the crate{reason}"))
        }
    };
    let most =
        context.attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
    let load = |name: &'static str| {
        let kernel = module.load_function(name).map_err(image)?;
        if name.starts_with("convert_") || name.starts_with("embed_") {
            let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            kernel.set_attribute(attribute, most.min(MOST_SHARED))?;
        }
        Ok((name, kernel))
    };
    let kernels = names().map(load).collect::<Result<_, CudaError>>()?;
    Ok(Loaded { kernels, origin })
}

/// Machine code for the device, loaded, and where it came from; or why there is none.
#[cfg(feature = "cuda-native")]
fn native(context: &Arc<CudaContext>, capability: (i32, i32)) -> Result<(Arc<CudaModule>, String), String> {
    let because = |reason: String| format!(", since machine code is not to be had: {reason}");
    let native = super::native::image(capability).map_err(because)?;
    let module = context.load_module(Ptx::from_binary(native.image));
    let module = module.map_err(|error| because(format!("the driver refuses {}: {error}", native.origin)))?;
    Ok((module, native.origin))
}

/// This build compiles nothing.
#[cfg(not(feature = "cuda-native"))]
fn native(_: &Arc<CudaContext>, _: (i32, i32)) -> Result<(Arc<CudaModule>, String), String> {
    Err(String::new())
}
