//! `libcuda.so.1` for machines without a GPU: the kernels compiled for the CPU, behind the entry points of the driver.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    process::Command,
};

use super::{at, entries, root, run as run_command, workshop};

/// A way to compile the emulation.
struct Variant {
    name: &'static str,
    /// For the kernels.
    kernels: &'static [&'static str],
    /// For the scheduler and the driver.
    driver: &'static [&'static str],
    /// The sanitizer's library, which has to be loaded before all others.
    preload: Option<&'static str>,
}

/// Under the thread sanitizer only kernels are instrumented: threads of a block are its threads, the scheduler is not.
const VARIANTS: [Variant; 3] = [
    Variant {
        name: "plain",
        kernels: &["-O2"],
        driver: &["-O2"],
        preload: None,
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
        preload: Some("libasan.so"),
    },
    Variant {
        name: "tsan",
        kernels: &["-O1", "-fsanitize=thread"],
        driver: &["-O1", "-DEMU_TSAN"],
        preload: Some("libtsan.so"),
    },
];

/// A fault put into a copy of the kernels, to show that the checks see it.
struct Fault {
    name: &'static str,
    file: &'static str,
    /// Text of the file, and what replaces its first occurrence.
    change: [&'static str; 2],
    /// The test and the variant that see it.
    test: &'static str,
    variant: &'static str,
    /// Parts of what is then said.
    findings: &'static [&'static str],
}

const FAULTS: [Fault; 6] = [
    Fault {
        name: "a missing barrier",
        file: "ntt.cuh",
        change: [
            "    __syncthreads();\n    from_shared<G, S, T + A, G::LOG_HELD, OUTER>",
            "    from_shared<G, S, T + A, G::LOG_HELD, OUTER>",
        ],
        test: "transforms",
        variant: "tsan",
        findings: &["data race", "ntt.cuh"],
    },
    Fault {
        name: "a missing barrier between digits",
        file: "keyswitch.cu",
        change: ["      __syncthreads();\n      inner_down", "      inner_down"],
        test: "every_level_gives_the_bits_of_the_cpu",
        variant: "tsan",
        findings: &["data race", "ntt.cuh"],
    },
    Fault {
        name: "a missing barrier between stages of a small ring",
        file: "ntt.cu",
        change: [
            "    __syncthreads();\n  }\n  for (u32 x = threadIdx.x; x < n; x += THREADS) row[x] = canonical",
            "  }\n  for (u32 x = threadIdx.x; x < n; x += THREADS) row[x] = canonical",
        ],
        test: "kernels_with_shared_memory_give_the_bits_of_the_cpu",
        variant: "tsan",
        findings: &["data race", "ntt.cu"],
    },
    Fault {
        name: "a missing barrier between light plaintexts",
        file: "light.cu",
        change: ["    __syncthreads();\n  }\n", "  }\n"],
        test: "kernels_with_shared_memory_give_the_bits_of_the_cpu",
        variant: "tsan",
        findings: &["data race", "light.cu"],
    },
    Fault {
        name: "an index off by one",
        file: "basis.cu",
        change: [
            "scaled[i * COEFFICIENTS + threadIdx.x] = y",
            "scaled[i * COEFFICIENTS + threadIdx.x + 1] = y",
        ],
        test: "conformance",
        variant: "asan",
        findings: &["heap-buffer-overflow", "basis.cu"],
    },
    Fault {
        name: "a wrong twiddle",
        file: "ntt.cuh",
        change: ["__ldg(twiddles + root + h)", "__ldg(twiddles + root + (h ^ 1))"],
        test: "transforms",
        variant: "plain",
        findings: &["a transform of 2^12 differs"],
    },
];

/// Where a variant's library lies.
fn folder(name: &str) -> PathBuf {
    workshop().join("emulation").join(name)
}

/// Plants each fault in turn and demands that the tests of the CUDA backend find it.
pub fn plant(_: &[String]) -> Result<(), String> {
    for fault in &FAULTS {
        let variant = VARIANTS
            .iter()
            .find(|v| v.name == fault.variant)
            .unwrap_or(&VARIANTS[0]);
        let kernels = workshop().join("planted");
        std::fs::create_dir_all(&kernels).map_err(at(kernels.display()))?;
        for entry in std::fs::read_dir(root().join("kernels")).map_err(at("kernels"))? {
            let path = entry.map_err(at("kernels"))?.path();
            if let (true, Some(name)) = (path.is_file(), path.file_name()) {
                std::fs::copy(&path, kernels.join(name)).map_err(at(path.display()))?;
            }
        }
        let file = kernels.join(fault.file);
        let text = std::fs::read_to_string(&file).map_err(at(file.display()))?;
        let [from, to] = fault.change;
        if !text.contains(from) {
            return Err(format!(
                "{} no longer has {from:?}; choose another place for the fault",
                fault.file
            ));
        }
        std::fs::write(&file, text.replacen(from, to, 1)).map_err(at(file.display()))?;
        let folder = folder("planted");
        build(variant, &kernels, &folder)?;
        let mut tests = test(variant, &folder);
        tests
            .env("CIPHERFORMER_SCOPE", "quick")
            .args(["--", "--exact", fault.test]);
        let output = tests.output().map_err(at("cargo test"))?;
        let said = [output.stdout, output.stderr]
            .map(|b| String::from_utf8_lossy(&b).into_owned())
            .concat();
        if output.status.success() || !fault.findings.iter().all(|f| said.contains(f)) {
            return Err(format!(
                "{} was not found by {}:\n{said}",
                fault.name, fault.variant
            ));
        }
        println!("{} was found: {}", fault.name, fault.findings.join(", "));
    }
    Ok(())
}

/// Runs the tests of the CUDA backend on an emulation:
/// `cargo xtask cuda-test [plain|asan|tsan] [quick|full|large] [TEST] [--seed N]`.
///
/// The seed is the order in which the threads of a block run between barriers: 0 ascending, 1 descending, others shuffled.
pub fn run_tests(args: &[String]) -> Result<(), String> {
    let (mut words, mut seed) = (Vec::new(), 0u32);
    let mut rest = args.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "--seed" => {
                let number = rest.next().and_then(|n| n.parse().ok());
                seed = number.ok_or("--seed wants a number")?;
            }
            _ => words.push(word.as_str()),
        }
    }
    let variant = variant(words.first().unwrap_or(&"plain"))?;
    let folder = folder(variant.name);
    build(variant, &root().join("kernels"), &folder)?;
    let order = match seed {
        0 => "ascending",
        1 => "descending",
        _ => "shuffled",
    };
    println!(
        "{}: threads of a block in {order} order, EMU_SEED={seed}",
        variant.name
    );
    let mut tests = test(variant, &folder);
    tests.env("EMU_SEED", seed.to_string());
    if let Some(scope) = words.get(1) {
        tests.env("CIPHERFORMER_SCOPE", scope);
    }
    if let Some(name) = words.get(2) {
        tests.args(["--", "--exact", name]);
    }
    run_command(&mut tests)
}

/// The tests of the CUDA backend on the driver in `folder`; conformance of small rings only, unless told otherwise.
fn test(variant: &Variant, folder: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(root());
    cargo.args(["test", "--quiet", "--release", "--test", "cuda"]);
    // Programs that those tests start would be started under the sanitizer too.
    if variant.preload.is_none() {
        cargo.args(["--test", "devices"]);
    }
    // The driver is put before the tests alone, by a wrapper: cargo and the compiler stay as they are.
    let mut runner = format!("env LD_LIBRARY_PATH={}", folder.display());
    if let Some(library) = variant.preload {
        runner.push_str(&format!(" LD_PRELOAD={}", preload(library)));
    }
    cargo.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", runner);
    cargo.env("CIPHERFORMER_REQUIRE_CUDA", "1");
    cargo
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .env("UBSAN_OPTIONS", "print_stacktrace=1");
    // Only the kernels are compiled for the sanitizer: what the host's threads hand to one another is not its business.
    cargo.env("TSAN_OPTIONS", "halt_on_error=1 ignore_noninstrumented_modules=1");
    cargo
}

/// The path of a sanitizer's library.
fn preload(library: &str) -> String {
    let output = compiler().arg(format!("-print-file-name={library}")).output();
    let path = output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    path.unwrap_or_else(|_| library.to_owned())
}

fn compiler() -> Command {
    Command::new(std::env::var_os("CXX").unwrap_or("c++".into()))
}

fn variant(name: &str) -> Result<&'static Variant, String> {
    VARIANTS.iter().find(|v| v.name == name).ok_or_else(|| {
        let known = VARIANTS.iter().map(|v| v.name).collect::<Vec<_>>().join(", ");
        format!("no emulation {name}; there are {known}")
    })
}

/// Builds the variants that are named, or `plain`.
pub fn run(args: &[String]) -> Result<(), String> {
    let plain = ["plain".to_owned()];
    for name in if args.is_empty() { &plain } else { args } {
        println!("{}", library(name)?.display());
    }
    Ok(())
}

/// Builds a variant; the folder of its library, for LD_LIBRARY_PATH.
pub fn library(name: &str) -> Result<PathBuf, String> {
    let variant = variant(name)?;
    let folder = folder(variant.name);
    build(variant, &root().join("kernels"), &folder)?;
    Ok(folder)
}

/// Compiles the kernels of a folder, the scheduler and the driver to `folder`/libcuda.so.1.
fn build(variant: &Variant, kernels: &Path, folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(at(folder.display()))?;
    let image = root().join("kernels/ptx/kernels.ptx");
    let ptx = std::fs::read_to_string(&image).map_err(at(image.display()))?;
    let mut registry = "#include \"cuda_emu.h\"\n#include \"all.cu\"\n".to_owned();
    for name in entries(&ptx) {
        writeln!(registry, "EMU_REGISTER({name})").map_err(|e| e.to_string())?;
    }
    let source = folder.join("registry.cpp");
    std::fs::write(&source, registry).map_err(at(source.display()))?;
    let emulator = root().join("tools/cuda-emu");
    let compiler = || {
        let mut cxx = compiler();
        cxx.args([
            "-std=c++17",
            "-g",
            "-fPIC",
            "-pthread",
            "-fvisibility=hidden",
            "-DCUDA_EMU",
            "-ffp-contract=off",
        ]);
        cxx.args(["-Wall", "-Wno-unknown-pragmas", "-Wno-unused-function"]);
        cxx.arg("-I").arg(&emulator).arg("-I").arg(kernels);
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
