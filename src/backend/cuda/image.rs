//! The kernels on a device: machine code compiled for it where that is possible (feature `cuda-native`), else the PTX of the crate, which the
//! driver translates.

use std::{collections::HashMap, fmt::Display, sync::Arc};

use cudarc::{
    driver::{CudaContext, CudaFunction, DriverError, sys},
    nvrtc::Ptx,
};

use super::device::CudaError;

/// Every kernel, for compute capability 8.0 and later; made by `cargo xtask ptx`.
const PTX: &str = include_str!("../../../kernels/ptx/kernels.ptx");
/// The CUDA version of the PTX, ISA 8.4.
pub(super) const CUDA_VERSION: i32 = 12_040;
/// Shared memory that a block of any device that we support may have.
const MOST_SHARED: i32 = 163 << 10;

/// Kernels by their names.
type Kernels = HashMap<&'static str, CudaFunction>;

/// The kernels of a device.
pub(super) struct Loaded {
    pub(super) kernels: Kernels,
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
    let most =
        context.attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
    let kernels = |image: Ptx| kernels(context, image, most.min(MOST_SHARED));
    let (kernels, origin) =
        chosen(native(capability), kernels).map_err(|error: DriverError| CudaError::Image {
            device: device.to_owned(),
            reason: error.to_string(),
        })?;
    Ok(Loaded { kernels, origin })
}

/// All kernels of an image, those that may have it with `shared` bytes of shared memory.
fn kernels(context: &Arc<CudaContext>, image: Ptx, shared: i32) -> Result<Kernels, DriverError> {
    let module = context.load_module(image)?;
    let load = |name: &'static str| {
        let kernel = module.load_function(name)?;
        if name.starts_with("convert_") || name.starts_with("embed_") {
            let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            kernel.set_attribute(attribute, shared)?;
        }
        Ok::<_, DriverError>((name, kernel))
    };
    names().map(load).collect()
}

/// Machine code and where it came from; or why there is none, if this build could have any.
type Native = Result<(Vec<u8>, String), Option<String>>;

/// The kernels of the machine code, if there is any and it has all of them; those of the PTX otherwise. With what they are, and why,
/// in words.
fn chosen<K, E: Display>(native: Native, kernels: impl Fn(Ptx) -> Result<K, E>) -> Result<(K, String), E> {
    let loaded = native.and_then(|(code, origin)| match kernels(Ptx::from_binary(code)) {
        Ok(kernels) => Ok((kernels, origin)),
        Err(error) => Err(Some(format!("the driver refuses {origin}: {error}"))),
    });
    match loaded {
        Ok(loaded) => Ok(loaded),
        Err(reason) => {
            let why = reason.map_or_else(String::new, |reason| {
                format!(", since machine code is not to be had: {reason}")
            });
            Ok((kernels(Ptx::from_src(PTX))?, format!("PTX of the crate{why}")))
        }
    }
}

/// Machine code for a device of this compute capability.
#[cfg(feature = "cuda-native")]
fn native(capability: (i32, i32)) -> Native {
    let native = super::native::image(capability).map_err(Some)?;
    Ok((native.image, native.origin))
}

/// This build compiles nothing.
#[cfg(not(feature = "cuda-native"))]
fn native(_: (i32, i32)) -> Native {
    Err(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of machine code on a driver that has all kernels of it, and of the PTX, or not.
    fn outcome(native: Native, code: bool, ptx: bool) -> Result<(&'static str, String), &'static str> {
        chosen(native, |image| {
            let (name, whole) = match format!("{image:?}").starts_with("Ptx(Binary") {
                true => ("code", code),
                false => ("ptx", ptx),
            };
            if whole { Ok(name) } else { Err("no such kernel") }
        })
    }

    #[test]
    fn machine_code_without_a_kernel_leaves_the_ptx() {
        let code = || Ok((b"\x7fELF".to_vec(), String::from("sm_90")));
        for ptx in [true, false] {
            let found = outcome(code(), true, ptx);
            assert_eq!(found, Ok(("code", String::from("sm_90"))));
        }
        let why =
            "PTX of the crate, since machine code is not to be had: the driver refuses sm_90: no such kernel";
        assert_eq!(outcome(code(), false, true), Ok(("ptx", why.to_owned())));
        assert_eq!(outcome(code(), false, false), Err("no such kernel"));
    }

    #[test]
    fn without_machine_code_there_is_the_ptx() {
        let none = || Err(Some(String::from("no NVRTC")));
        let why = "PTX of the crate, since machine code is not to be had: no NVRTC";
        assert_eq!(outcome(none(), true, true), Ok(("ptx", why.to_owned())));
        assert_eq!(outcome(none(), true, false), Err("no such kernel"));
        let plain = String::from("PTX of the crate");
        assert_eq!(outcome(Err(None), true, true), Ok(("ptx", plain)));
    }
}
