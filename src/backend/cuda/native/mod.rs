//! Machine code of the kernels for one architecture, by the user's own NVRTC, kept in a cache.
//!
//! The PTX that is part of the crate runs everywhere, after the driver has translated it. Where NVIDIA's run-time compiler is installed, the
//! sources of the kernels, which are part of the crate as well, are compiled for the device at hand instead. Whatever goes wrong
//! is a reason, and leaves the PTX: see [`load`](super::image::load).

mod cache;
mod nvrtc;

use cache::{Cache, Key};
use nvrtc::Nvrtc;

/// The sources by the names under which they include each other; the first includes all kernels.
const SOURCES: [(&str, &str); 13] = [
    ("all.cu", include_str!("../../../../kernels/all.cu")),
    ("basis.cu", include_str!("../../../../kernels/basis.cu")),
    ("common.cuh", include_str!("../../../../kernels/common.cuh")),
    (
        "elementwise.cu",
        include_str!("../../../../kernels/elementwise.cu"),
    ),
    ("embed.cu", include_str!("../../../../kernels/embed.cu")),
    ("encode.cu", include_str!("../../../../kernels/encode.cu")),
    ("factors.cuh", include_str!("../../../../kernels/factors.cuh")),
    ("keyswitch.cu", include_str!("../../../../kernels/keyswitch.cu")),
    ("light.cu", include_str!("../../../../kernels/light.cu")),
    ("matmul.cu", include_str!("../../../../kernels/matmul.cu")),
    ("ntt.cu", include_str!("../../../../kernels/ntt.cu")),
    ("ntt.cuh", include_str!("../../../../kernels/ntt.cuh")),
    ("sums.cu", include_str!("../../../../kernels/sums.cu")),
];
/// What the compiler is told beside the architecture.
const OPTIONS: [&str; 1] = ["--std=c++17"];
/// The oldest NVRTC that is used: before it there was none for compute capability 9.0.
const OLDEST: (i32, i32) = (12, 0);

/// The first bytes of machine code, which is an ELF file.
const ELF: &[u8] = b"\x7fELF";

/// What compiles the sources.
trait Compiler {
    /// Its version.
    fn version(&self) -> (i32, i32);
    /// Machine code for an architecture, as `sm_90`.
    fn compile(&self, architecture: &str) -> Result<Vec<u8>, String>;
}

/// Machine code.
pub(super) struct Native {
    pub(super) image: Vec<u8>,
    /// Where it came from, in words.
    pub(super) origin: String,
}

/// The kernels for a device of this compute capability, or why there are none.
pub(super) fn image((major, minor): (i32, i32)) -> Result<Native, String> {
    let compiler = Nvrtc::open()?;
    prepared(
        &compiler,
        Cache::of_user().as_ref(),
        &format!("sm_{major}{minor}"),
    )
}

/// From the cache if it has them whole; compiled, and put there, otherwise.
fn prepared(compiler: &impl Compiler, cache: Option<&Cache>, architecture: &str) -> Result<Native, String> {
    let (major, minor) = compiler.version();
    if (major, minor) < OLDEST {
        let (wanted, least) = OLDEST;
        return Err(format!(
            "NVRTC {major}.{minor} is too old, {wanted}.{least} is the oldest that is used"
        ));
    }
    let by = format!("{architecture}, compiled by NVRTC {major}.{minor}");
    let key = key((major, minor), architecture);
    let mut remark = match cache {
        Some(_) => String::new(),
        None => String::from("; there is no folder for a cache"),
    };
    match cache.map(|cache| cache.read(&key)) {
        Some(Ok(Some(image))) => {
            let origin = format!("{by}, from the cache");
            return Ok(Native { image, origin });
        }
        Some(Err(fault)) => remark = format!("; what the cache had was {fault}, and was replaced"),
        Some(Ok(None)) | None => (),
    }
    let image = compiler.compile(architecture)?;
    if !image.starts_with(ELF) {
        return Err(format!("NVRTC {major}.{minor} gave no machine code"));
    }
    if let Some(Err(error)) = cache.map(|cache| cache.write(&key, &image)) {
        remark = format!("; it could not be kept: {error}");
    }
    let origin = format!("{by}{remark}");
    Ok(Native { image, origin })
}

/// What decides the machine code: sources, options, compiler and architecture, each with its length.
fn key((major, minor): (i32, i32), architecture: &str) -> Key {
    let mut hash = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(b"cipherformer kernels 1");
    for (name, text) in SOURCES {
        part(name.as_bytes());
        part(text.as_bytes());
    }
    for option in OPTIONS {
        part(option.as_bytes());
    }
    part(format!("{major}.{minor}").as_bytes());
    part(architecture.as_bytes());
    Key(*hash.finalize().as_bytes())
}

#[cfg(test)]
mod tests;
