//! Devices other than the CPU, through the facade and the command line program: the same bytes as on the CPU, and no confusion.
//!
//! They need a CUDA driver, that of a GPU or of `cargo xtask emu` (LD_LIBRARY_PATH names its folder), and are skipped without one;
//! with CIPHERFORMER_REQUIRE_CUDA=1 that is a failure. `cargo xtask cuda-test` runs them. With the feature `wgpu` those whose names end
//! in `on_wgpu` need an adapter, which CIPHERFORMER_REQUIRE_WGPU=1 demands. CIPHERFORMER_SCOPE=quick leaves out the classification,
//! which takes minutes where the processor takes the place of a GPU.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use cipherformer::{
    backend::{
        BackendError, Capabilities,
        cuda::Cuda,
        device::{BackendChoice, BackendKind, Device, DeviceBackend, DeviceError, Job},
    },
    bfv,
    engine::{Client, Engine, EngineError, ServerKeys, integers},
    rlwe::{KeyNeeds, Params, RlweError},
};
use libtest_mimic::{Arguments, Failed, Trial};

const CUDA: BackendChoice = BackendKind::Cuda.device(0);
const WGPU: BackendChoice = BackendKind::Wgpu.device(0);

fn params() -> Params {
    Params::shipped("n12_single28_l1_d3").unwrap()
}

fn needs(engine: &Engine) -> KeyNeeds {
    engine.key_needs().relinearise().rotate([1, 3])
}

/// What a server on this device answers to a request.
fn answer(choice: BackendChoice, keys: &[u8], request: &[u8]) -> Vec<u8> {
    let engine = Engine::open(choice, params()).unwrap();
    let keys = ServerKeys::from_bytes(&engine, keys).unwrap();
    let x = keys.receive(request).unwrap();
    let sum = keys.add(&x, &keys.rotate(&x, 3).unwrap()).unwrap();
    let square = keys.relinearise_rescale(&keys.mul(&sum, &x).unwrap()).unwrap();
    keys.answer(&keys.rotate(&square, 1).unwrap()).unwrap()
}

/// Keys and ciphertexts of a client on the CPU, computed with on both devices: equal messages.
fn a_server_answers_with_the_bytes_of_the_cpu(device: BackendChoice) -> Result<(), Failed> {
    let engine = Engine::open(BackendChoice::CPU, params())?;
    let client = Client::generate(&engine)?;
    let keys = client.server_keys(&needs(&engine))?.to_bytes()?;
    let values: Vec<f64> = (0..engine.slots()).map(|i| (i as f64).sin()).collect();
    let request = client.encrypt_real(&values)?.to_bytes(&engine)?;
    let cpu = answer(BackendChoice::CPU, &keys, &request);
    assert!(answer(device, &keys, &request) == cpu, "answers differ");

    let have = client.decrypt(&client.receive(&cpu)?)?;
    let n = values.len();
    for (i, have) in have.iter().enumerate() {
        let x = |k: usize| values[(i + k) % n];
        assert!((have.re - (x(1) + x(4)) * x(1)).abs() < 1e-2, "slot {i}");
    }
    Ok(())
}

/// A client on the device as well.
fn a_client_on_the_device_reads_its_answer() -> Result<(), Failed> {
    let engine = Engine::open(CUDA, params())?;
    let client = Client::generate(&engine)?;
    let server = client.server_keys(&needs(&engine))?;
    let x = client.encrypt_real(&[1.0, 2.0, 3.0, 4.0])?.receive(&engine)?;
    let square = server.relinearise_rescale(&server.mul(&x, &x)?)?;
    let have = client.decrypt(&server.rotate(&square, 1)?)?;
    for (have, want) in have.iter().zip([4.0, 9.0, 16.0, 1.0]) {
        assert!((have.re - want).abs() < 1e-1, "{} instead of {want}", have.re);
    }
    Ok(())
}

fn integers_are_exact() -> Result<(), Failed> {
    let t = bfv::PlainModulus::with_slots(30, 5)?.value();
    let spec = bfv::Spec {
        log_n: 5,
        primes: 7,
        digits: 7,
        plain: t,
    };
    let device = Device::open(CUDA)?;
    let engine = integers::Engine::on(&device, bfv::Params::insecure(spec)?)?;
    assert_eq!(engine.device().choice(), CUDA);
    let client = integers::Client::generate(&engine)?;
    let matrix = bfv::Matrix::new(2, 3, vec![1, 2, 3, -4, 5, -6])?;
    let keys = client.evaluation_keys(&matrix.keys(engine.key_needs().relinearise()))?;
    let server = integers::ServerKeys::new(&engine, &keys)?;
    let x = client.encrypt(&[10, -20, 30])?.receive(&engine)?;
    let square = server.relinearise(&server.mul(&x, &x)?)?;
    let y = client.decrypt(&server.mul_matrix(&matrix, &square)?)?;
    assert_eq!(y[..2], [100 + 800 + 2700, -400 + 2000 - 5400]);
    Ok(())
}

/// What lives on one device, or on one opening of it, is refused by another: its memory means nothing there.
fn operands_of_other_devices_are_refused() -> Result<(), Failed> {
    let engine = |choice| Engine::open(choice, params());
    let (cpu, first, second) = (engine(BackendChoice::CPU)?, engine(CUDA)?, engine(CUDA)?);
    let client = Client::generate(&first)?;
    let server = client.server_keys(&needs(&first))?;
    let x = client.encrypt_real(&[1.0, 2.0])?;
    assert!(x.receive(&first).is_ok());
    for other in [&cpu, &second] {
        let error = x.receive(other).err().unwrap();
        assert!(matches!(error, EngineError::OtherDevice { .. }), "{error}");
        let strange = Client::generate(other)?
            .encrypt_real(&[1.0, 2.0])?
            .receive(other)?;
        let error = server.add(&strange, &strange).err().unwrap();
        assert!(matches!(error, EngineError::OtherDevice { .. }), "{error}");
        assert!(error.to_string().contains("Engine::on"), "{error}");
        assert!(client.decrypt(&strange).is_err());
    }
    // Engines that share a device share its memory.
    let shared = Engine::on(first.device(), params())?;
    let y = x.receive(&shared)?;
    server.add(&y, &y)?;
    Ok(())
}

fn a_budget_is_kept_and_told() -> Result<(), Failed> {
    // Tables and constants fit, keys do not.
    let engine = Engine::open(CUDA.within(1 << 20), params())?;
    let client = Client::generate(&engine);
    let error = client.and_then(|c| c.server_keys(&needs(&engine))).err().unwrap();
    match &error {
        EngineError::Rlwe(RlweError::Backend(BackendError::OutOfMemory { wanted, free })) => {
            assert!(wanted > free && *free <= 1 << 20, "{error}");
        }
        other => return Err(format!("{other:?}").into()),
    }
    Ok(())
}

struct Name;

impl Job for Name {
    type Output = (BackendKind, Capabilities);

    fn run<B: DeviceBackend>(self, backend: &B) -> Self::Output {
        (B::KIND, backend.capabilities())
    }
}

fn devices_are_counted_and_named() -> Result<(), Failed> {
    let count = Device::count(BackendKind::Cuda)?;
    assert!(count >= 1);
    let beyond = BackendKind::Cuda.device(count);
    let none = DeviceError::NoDevice {
        kind: BackendKind::Cuda,
        ordinal: count,
        count,
    };
    assert_eq!(Device::open(beyond).unwrap_err(), none);
    let device = Device::open(CUDA)?;
    assert_eq!(device.run(Name), (BackendKind::Cuda, device.capabilities()));
    assert!(device.backend::<Cuda>().is_some());
    assert_eq!(device.choice(), CUDA);
    Ok(())
}

fn auto_never_takes_an_emulation() -> Result<(), Failed> {
    assert!(Device::open(CUDA)?.is_emulated());
    let device = Device::auto();
    assert_eq!(device.kind(), BackendKind::Cpu);
    assert!(
        device.why().contains("cuda:0") && device.why().contains("emulated"),
        "{}",
        device.why()
    );
    Ok(())
}

/// Runs the program: that of this build, or the one that CIPHERFORMER_PROGRAM names.
fn cipherformer(args: &[&str]) -> String {
    let program = std::env::var_os("CIPHERFORMER_PROGRAM");
    let output = Command::new(program.unwrap_or(env!("CARGO_BIN_EXE_cipherformer").into()))
        .args(args)
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {message}");
    String::from_utf8(output.stdout).unwrap()
}

struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The whole classifier through files: same keys, same ciphertexts, same bytes.
fn a_classification_has_the_bytes_of_the_cpu(device: BackendKind) -> Result<(), Failed> {
    let place = format!("cipherformer-devices-{device}-{}", std::process::id());
    let place = Place(std::env::temp_dir().join(place));
    let path = |name: &str| place.0.join(name).to_str().unwrap().to_owned();
    let (client, server, sent) = (path("client"), path("server"), path("sent.ct"));
    let text = "The harvest was late this year, and the barns stood empty until October.";
    cipherformer(&["keygen", "--client", &client, "--server", &server]);
    cipherformer(&["encrypt", "--client", &client, "--text", text, "--out", &sent]);
    let infer = |backend: &str| {
        let out = path(backend);
        let said = cipherformer(&[
            "infer",
            "--json",
            "--server",
            &server,
            "--in",
            &sent,
            "--out",
            &out,
            "--backend",
            backend,
        ]);
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["backend"], backend);
        assert!(said["why"].as_str().unwrap().contains("asked for"));
        std::fs::read(Path::new(&out)).unwrap()
    };
    assert!(infer("cpu") == infer(device.name()), "answers differ");
    let read = cipherformer(&["decrypt", "--client", &client, "--in", &path(device.name())]);
    assert!(read.contains("English"), "{read}");
    Ok(())
}

/// Says whether a device is there; errors when it is required and is not.
fn look(choice: BackendChoice, required: &str) -> Result<Option<Device>, String> {
    match Device::open(choice) {
        Ok(device) => {
            println!("{choice}: {}", device.capabilities().device);
            Ok(Some(device))
        }
        Err(why) if std::env::var_os(required).is_some() => Err(format!("{required} is set: {why}")),
        Err(why) => {
            println!("tests of {choice} are skipped: {why}");
            Ok(None)
        }
    }
}

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let devices = look(CUDA, "CIPHERFORMER_REQUIRE_CUDA")
        .and_then(|cuda| Ok((cuda, look(WGPU, "CIPHERFORMER_REQUIRE_WGPU")?)));
    let (cuda, wgpu) = match devices {
        Ok(devices) => devices,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let emulated = cuda.as_ref().is_some_and(Device::is_emulated);
    let quick = std::env::var("CIPHERFORMER_SCOPE").as_deref() == Ok("quick");
    let trial = |name: &str, f: fn() -> Result<(), Failed>, runs: bool| {
        Trial::test(name, f).with_ignored_flag(cuda.is_none() || !runs)
    };
    let on_wgpu = |name: &str, f: fn() -> Result<(), Failed>, runs: bool| {
        Trial::test(name, f).with_ignored_flag(wgpu.is_none() || !runs)
    };
    let trials = vec![
        trial(
            "a_server_answers_with_the_bytes_of_the_cpu",
            || a_server_answers_with_the_bytes_of_the_cpu(CUDA),
            true,
        ),
        on_wgpu(
            "a_server_answers_with_the_bytes_of_the_cpu_on_wgpu",
            || a_server_answers_with_the_bytes_of_the_cpu(WGPU),
            true,
        ),
        trial(
            "a_client_on_the_device_reads_its_answer",
            a_client_on_the_device_reads_its_answer,
            true,
        ),
        trial("integers_are_exact", integers_are_exact, true),
        trial(
            "operands_of_other_devices_are_refused",
            operands_of_other_devices_are_refused,
            true,
        ),
        trial("a_budget_is_kept_and_told", a_budget_is_kept_and_told, true),
        trial(
            "devices_are_counted_and_named",
            devices_are_counted_and_named,
            true,
        ),
        trial(
            "auto_never_takes_an_emulation",
            auto_never_takes_an_emulation,
            emulated,
        ),
        trial(
            "a_classification_has_the_bytes_of_the_cpu",
            || a_classification_has_the_bytes_of_the_cpu(BackendKind::Cuda),
            !quick,
        ),
        on_wgpu(
            "a_classification_has_the_bytes_of_the_cpu_on_wgpu",
            || a_classification_has_the_bytes_of_the_cpu(BackendKind::Wgpu),
            !quick,
        ),
    ];
    libtest_mimic::run(&args, trials).exit_code()
}
