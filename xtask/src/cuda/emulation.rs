//! `libcuda.so.1` for machines without a GPU: the kernels compiled for the CPU, behind the entry points of the driver.

use std::{fmt::Write, path::PathBuf, process::Command};

use super::{at, entries, root, run as run_command, workshop};

/// A way to compile the emulation.
struct Variant {
    name: &'static str,
    /// For the kernels.
    kernels: &'static [&'static str],
    /// For the scheduler and the driver.
    driver: &'static [&'static str],
}

/// Under the thread sanitizer only kernels are instrumented: threads of a block are its threads, the scheduler is not.
const VARIANTS: [Variant; 3] = [
    Variant {
        name: "plain",
        kernels: &["-O2"],
        driver: &["-O2"],
    },
    Variant {
        name: "asan",
        kernels: &[
            "-O1",
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=undefined",
        ],
        driver: &[
            "-O1",
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=undefined",
        ],
    },
    Variant {
        name: "tsan",
        kernels: &["-O1", "-fsanitize=thread"],
        driver: &["-O1", "-DEMU_TSAN"],
    },
];

/// Where a variant's library lies.
fn folder(name: &str) -> PathBuf {
    workshop().join("emulation").join(name)
}

/// Builds the variants that are named, or `plain`.
pub fn run(args: &[String]) -> Result<(), String> {
    let all = args.is_empty().then(|| vec!["plain".to_owned()]);
    let all = all.unwrap_or_else(|| args.to_vec());
    for name in all {
        let variant = VARIANTS.iter().find(|v| v.name == name);
        let Some(variant) = variant else {
            let known = VARIANTS.map(|v| v.name).join(", ");
            return Err(format!("no emulation {name}; there are {known}"));
        };
        build(variant)?;
        println!("{}", folder(variant.name).display());
    }
    Ok(())
}

fn build(variant: &Variant) -> Result<(), String> {
    let (folder, root) = (folder(variant.name), root());
    std::fs::create_dir_all(&folder).map_err(at(folder.display()))?;
    let image = root.join("kernels/ptx/kernels.ptx");
    let ptx = std::fs::read_to_string(&image).map_err(at(image.display()))?;
    let mut registry = "#include \"cuda_emu.h\"\n#include \"all.cu\"\n".to_owned();
    for name in entries(&ptx) {
        writeln!(registry, "EMU_REGISTER({name})").map_err(|e| e.to_string())?;
    }
    let source = folder.join("registry.cpp");
    std::fs::write(&source, registry).map_err(at(source.display()))?;
    let emulator = root.join("tools/cuda-emu");
    let compiler = || {
        let mut cxx = Command::new(std::env::var_os("CXX").unwrap_or("c++".into()));
        cxx.args([
            "-std=c++17",
            "-g",
            "-fPIC",
            "-pthread",
            "-fvisibility=hidden",
            "-DCUDA_EMU",
        ]);
        cxx.args(["-Wall", "-Wno-unknown-pragmas", "-Wno-unused-function"]);
        cxx.arg("-I").arg(&emulator).arg("-I").arg(root.join("kernels"));
        cxx
    };
    let mut objects = Vec::new();
    let parts = [
        (source.clone(), variant.kernels),
        (emulator.join("fibers.cpp"), variant.driver),
        (emulator.join("driver.cpp"), variant.driver),
    ];
    for (i, (source, flags)) in parts.iter().enumerate() {
        let object = folder.join(format!("{i}.o"));
        run_command(
            compiler()
                .args(*flags)
                .arg("-c")
                .arg(source)
                .arg("-o")
                .arg(&object),
        )?;
        objects.push(object);
    }
    let library = folder.join("libcuda.so.1");
    run_command(
        compiler()
            .args(variant.kernels)
            .arg("-shared")
            .arg("-o")
            .arg(&library)
            .args(objects),
    )
}
