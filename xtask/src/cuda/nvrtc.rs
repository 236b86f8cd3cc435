//! NVIDIA's run-time compiler, opened from its wheels.

use std::{
    ffi::{CString, c_char, c_int, c_void},
    path::Path,
    ptr::null,
};

use libloading::{Library, Symbol};

use super::{at, root};

type Program = *mut c_void;
type Create = unsafe extern "C" fn(
    *mut Program,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
    *const *const c_char,
) -> c_int;
type Compile = unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int;
type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Get = unsafe extern "C" fn(Program, *mut c_char) -> c_int;
type Destroy = unsafe extern "C" fn(*mut Program) -> c_int;

/// The compiler.
pub struct Nvrtc {
    library: Library,
    /// Looked up by the compiler while it works.
    _builtins: Library,
}

/// What a compilation gives.
pub struct Output {
    /// PTX, or machine code for a real architecture.
    pub image: Vec<u8>,
    /// What the compiler said.
    pub log: String,
}

impl Nvrtc {
    /// Opens the library `name` in `folder`.
    pub fn open(folder: &Path, name: &str, builtins: &str) -> Result<Self, String> {
        let open = |name: &str| {
            let path = folder.join(name);
            // SAFETY: NVIDIA's libraries, whose initialisers do nothing but initialise.
            unsafe { Library::new(&path) }.map_err(at(path.display()))
        };
        Ok(Self {
            _builtins: open(builtins)?,
            library: open(name)?,
        })
    }

    fn symbol<T>(&self, name: &str) -> Result<Symbol<'_, T>, String> {
        // SAFETY: callers ask for the type that nvrtc.h declares.
        unsafe { self.library.get(name.as_bytes()) }.map_err(at(name))
    }

    fn get(&self, program: Program, what: &str) -> Result<Vec<u8>, String> {
        let size: Symbol<'_, Size> = self.symbol(&format!("nvrtcGet{what}Size"))?;
        let get: Symbol<'_, Get> = self.symbol(&format!("nvrtcGet{what}"))?;
        let mut bytes = 0;
        // SAFETY: the program is alive; the buffer has the size that the library asked for.
        unsafe {
            size(program, &mut bytes);
            let mut buffer = vec![0u8; bytes];
            get(program, buffer.as_mut_ptr().cast());
            Ok(buffer)
        }
    }

    /// Compiles `kernels/all.cu` for `architecture`: `compute_80` gives PTX, `sm_80` machine code.
    pub fn compile(&self, architecture: &str) -> Result<Output, String> {
        let (create, compile): (Symbol<'_, Create>, Symbol<'_, Compile>) = (
            self.symbol("nvrtcCreateProgram")?,
            self.symbol("nvrtcCompileProgram")?,
        );
        let destroy: Symbol<'_, Destroy> = self.symbol("nvrtcDestroyProgram")?;
        let kernels = root().join("kernels");
        let text = |s: String| CString::new(s).map_err(|e| e.to_string());
        let source = std::fs::read_to_string(kernels.join("all.cu")).map_err(at("kernels/all.cu"))?;
        let (source, name) = (text(source)?, text("all.cu".to_owned())?);
        let options = [
            format!("--gpu-architecture={architecture}"),
            format!("--include-path={}", kernels.display()),
            "--std=c++17".to_owned(),
            "--ptxas-options=-v".to_owned(),
        ];
        let options = options.map(text).into_iter().collect::<Result<Vec<_>, _>>()?;
        let pointers: Vec<*const c_char> = options.iter().map(|o| o.as_ptr()).collect();
        let mut program: Program = std::ptr::null_mut();
        // SAFETY: strings end in zero and outlive the calls; the counts are those of the arrays.
        let failed = unsafe {
            create(&mut program, source.as_ptr(), name.as_ptr(), 0, null(), null());
            compile(program, pointers.len() as c_int, pointers.as_ptr())
        };
        let words = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned();
        let log = words(self.get(program, "ProgramLog")?);
        let image = if architecture.starts_with("sm_") {
            "CUBIN"
        } else {
            "PTX"
        };
        let image = if failed == 0 {
            self.get(program, image)?
        } else {
            Vec::new()
        };
        // SAFETY: the program is not used again.
        unsafe { destroy(&mut program) };
        if failed == 0 {
            Ok(Output { image, log })
        } else {
            Err(log)
        }
    }
}
