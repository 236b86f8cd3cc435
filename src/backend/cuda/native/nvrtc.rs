//! NVIDIA's run-time compiler, opened where the dynamic linker finds it.

use std::{
    ffi::{CStr, CString, c_char, c_int},
    ptr,
};

use cudarc::nvrtc::sys::{self, nvrtcResult};

use super::{Compiler, OPTIONS, SOURCES};

/// The compiler, which is there.
pub(super) struct Nvrtc {
    version: (i32, i32),
}

/// A program of the compiler; destroyed when dropped.
struct Program(sys::nvrtcProgram);

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: made by `nvrtcCreateProgram`, and not used again. There is nothing to do about a failure.
        let _ = unsafe { sys::nvrtcDestroyProgram(&mut self.0) };
    }
}

/// What the compiler says, or an error that names the call.
fn check(call: &str, result: nvrtcResult) -> Result<(), String> {
    match result {
        nvrtcResult::NVRTC_SUCCESS => Ok(()),
        error => Err(format!("{call} failed: {error:?}")),
    }
}

fn text(bytes: &str) -> Result<CString, String> {
    CString::new(bytes).map_err(|error| error.to_string())
}

/// Pointers to strings, for as long as the strings live.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).collect()
}

impl Nvrtc {
    /// Looks for the library.
    pub(super) fn open() -> Result<Self, String> {
        // SAFETY: it only looks whether the library can be opened.
        if !unsafe { sys::is_culib_present() } {
            return Err(String::from(
                "libnvrtc was not found (the CUDA toolkit has it, and the wheel nvidia-cuda-nvrtc)",
            ));
        }
        let mut version = (0, 0);
        // SAFETY: the library is there and writes two numbers.
        let result = unsafe { sys::nvrtcVersion(&mut version.0, &mut version.1) };
        check("nvrtcVersion", result)?;
        Ok(Self { version })
    }
}

impl Program {
    /// The first source, with the others as what it may include.
    fn new() -> Result<Self, String> {
        let [(name, source), headers @ ..] = &SOURCES;
        let (source, name) = (text(source)?, text(name)?);
        let strings = |of: fn(&(&str, &str)) -> String| {
            headers
                .iter()
                .map(|header| text(&of(header)))
                .collect::<Result<Vec<_>, _>>()
        };
        let names = strings(|header| header.0.to_owned())?;
        let texts = strings(|header| header.1.to_owned())?;
        let mut program = Self(ptr::null_mut());
        // SAFETY: strings end in zero and outlive the call, which copies them; the count is that of both lists.
        let result = unsafe {
            sys::nvrtcCreateProgram(
                &mut program.0,
                source.as_ptr(),
                name.as_ptr(),
                headers.len() as c_int,
                pointers(&texts).as_ptr(),
                pointers(&names).as_ptr(),
            )
        };
        if result != nvrtcResult::NVRTC_SUCCESS {
            // There is none to destroy.
            std::mem::forget(program);
            check("nvrtcCreateProgram", result)?;
            return Err(String::from("nvrtcCreateProgram gave nothing"));
        }
        Ok(program)
    }

    /// The first line of what the compiler said that has an error, or all of it.
    fn complaint(&self) -> Option<String> {
        let mut size = 0;
        // SAFETY: the program is alive; the buffer has the size that the library asks for.
        let log = unsafe {
            check("size of the log", sys::nvrtcGetProgramLogSize(self.0, &mut size)).ok()?;
            let mut log = vec![0u8; size];
            check("log", sys::nvrtcGetProgramLog(self.0, log.as_mut_ptr().cast())).ok()?;
            log
        };
        let log = CStr::from_bytes_until_nul(&log)
            .ok()?
            .to_string_lossy()
            .into_owned();
        let line = log.lines().find(|line| line.contains("error"));
        Some(line.unwrap_or(&log).to_owned())
    }

    fn image(&self) -> Result<Vec<u8>, String> {
        let mut size = 0;
        // SAFETY: the program is alive and compiled; the buffer has the size that the library asks for.
        unsafe {
            check("nvrtcGetCUBINSize", sys::nvrtcGetCUBINSize(self.0, &mut size))?;
            let mut image = vec![0u8; size];
            check(
                "nvrtcGetCUBIN",
                sys::nvrtcGetCUBIN(self.0, image.as_mut_ptr().cast()),
            )?;
            Ok(image)
        }
    }
}

impl Compiler for Nvrtc {
    fn version(&self) -> (i32, i32) {
        self.version
    }

    fn compile(&self, architecture: &str) -> Result<Vec<u8>, String> {
        let program = Program::new()?;
        let architecture = format!("--gpu-architecture={architecture}");
        let options = OPTIONS.into_iter().chain([architecture.as_str()]).map(text);
        let options = options.collect::<Result<Vec<_>, _>>()?;
        let pointers = pointers(&options);
        // SAFETY: the program is alive, strings end in zero and outlive the call, and the count is that of the list.
        let result =
            unsafe { sys::nvrtcCompileProgram(program.0, pointers.len() as c_int, pointers.as_ptr()) };
        check("the compiler", result).map_err(|error| match program.complaint() {
            Some(complaint) if !complaint.is_empty() => format!("{error}: {complaint}"),
            _ => error,
        })?;
        program.image()
    }
}
