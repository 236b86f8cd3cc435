//! The facade: what a program that embeds the crate writes.

#![cfg(feature = "fallback")]
#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use cipherformer::{
    backend::{
        Backend,
        cpu::Cpu,
        device::{BackendChoice, BackendKind, Device, DeviceBackend, DeviceError, Job},
    },
    ckks::Evaluator,
    engine::{Client, Encrypted, Engine, EngineError, ServerKeys},
    rlwe::Params,
    wire::Existing,
};

#[test]
fn keys_saved_by_the_client_serve_where_they_are_loaded() {
    let engine = Engine::auto(Params::shipped("n13_rational40_l2_d3").unwrap()).unwrap();
    let client = Client::generate(&engine).unwrap();
    let needs = engine.key_needs().relinearise().rotate([1]);
    let path = std::env::temp_dir().join(format!("cipherformer-engine-{}.keys", std::process::id()));
    let made = client.server_keys(&needs).unwrap();
    made.save(&path, Existing::Keep).unwrap();
    assert!(
        made.save(&path, Existing::Keep).is_err(),
        "a file that was there was replaced"
    );

    // The server: its own engine, the file and the message are all that it has.
    let server = Engine::auto(Params::shipped("n13_rational40_l2_d3").unwrap()).unwrap();
    let keys = ServerKeys::load(&server, &path).unwrap();
    let sent = client
        .encrypt_real(&[1.0, 2.0, 3.0, 4.0])
        .unwrap()
        .to_bytes(&engine)
        .unwrap();
    let x = keys.receive(&sent).unwrap();
    let square = keys.relinearise_rescale(&keys.mul(&x, &x).unwrap()).unwrap();
    let sum = keys.add(&square, &keys.rotate(&square, 1).unwrap()).unwrap();
    let answer = keys.answer(&sum).unwrap();

    let values = client.decrypt(&client.receive(&answer).unwrap()).unwrap();
    for (have, want) in values.iter().zip([5.0, 13.0, 25.0, 17.0]) {
        assert!((have.re - want).abs() < 1e-6, "{have:?} instead of {want}");
    }

    // A computation that only rotates takes the key of its rotation, and no other.
    let rotations = ServerKeys::load_for(&server, &path, &server.key_needs().rotate([1])).unwrap();
    assert!(rotations.bytes() < keys.bytes());
    let turned = rotations.rotate(&rotations.receive(&sent).unwrap(), 1).unwrap();
    let turned = client
        .decrypt(&client.receive(&rotations.answer(&turned).unwrap()).unwrap())
        .unwrap();
    assert!((turned[0].re - 2.0).abs() < 1e-6);
    assert!(
        rotations
            .relinearise_rescale(&rotations.mul(&x, &x).unwrap())
            .is_err()
    );
    let missing = ServerKeys::load_for(&server, &path, &server.key_needs().rotate([2]));
    assert!(missing.err().unwrap().to_string().contains("Galois element 25"));

    // Keys for other parameters, and a damaged file, are refused.
    let other = Engine::auto(Params::shipped("n12_single28_l1_d3").unwrap()).unwrap();
    assert!(ServerKeys::load(&other, &path).is_err());
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = ServerKeys::load(&server, &path).err().unwrap().to_string();
    assert!(error.contains("cipherformer-engine"), "{error}");
    std::fs::remove_file(path).unwrap();
}

/// Written for any backend, with an operation that the facade does not have.
struct Conjugate<'a> {
    engine: &'a Engine,
    keys: &'a ServerKeys,
    x: &'a Encrypted,
}

impl Job for Conjugate<'_> {
    type Output = Result<Encrypted, EngineError>;

    fn run<B: DeviceBackend>(self, _: &B) -> Self::Output {
        let evaluator: Evaluator<'_, B> = self.keys.evaluator()?;
        Encrypted::new(self.engine, evaluator.conjugate(self.x.inner()?)?)
    }
}

#[test]
fn the_facade_opens_to_the_layer_below() {
    let params = Params::shipped("n12_single28_l1_d3").unwrap();
    let engine = Engine::open(BackendChoice::CPU, params.clone()).unwrap();
    assert_eq!(engine.device().kind(), BackendKind::Cpu);
    assert_eq!(engine.device().why(), "it was asked for");
    assert_eq!(
        engine.ckks::<Cpu>().unwrap().context().backend().capabilities(),
        engine.device().capabilities()
    );
    let client = Client::generate(&engine).unwrap();
    let keys = client.server_keys(&engine.key_needs().conjugate()).unwrap();
    let i = cipherformer::arith::Complex::new(0.0, 1.0);
    let sent = client.encrypt(&[i, -i], 1).unwrap();
    assert!(sent.bytes() > 0);
    let x = sent.receive(&engine).unwrap();
    let (engine, keys, x) = (&engine, &keys, &x);
    let y = engine.device().run(Conjugate { engine, keys, x }).unwrap();
    let have = client.decrypt(&y).unwrap();
    assert!((have[0].im + 1.0).abs() < 1e-2 && (have[1].im - 1.0).abs() < 1e-2);

    #[cfg(feature = "cuda")]
    {
        let error = engine.ckks::<cipherformer::backend::cuda::Cuda>().err().unwrap();
        assert!(matches!(error, EngineError::OtherBackend { wanted: "cuda", .. }));
    }
    // A backend that the program made, shared by two engines.
    let device = Device::from(Cpu::poisoned());
    let other = Engine::on(&device, params).unwrap();
    assert!(client.encrypt(&[i], 1).unwrap().receive(&other).is_ok());
}

#[test]
fn the_facade_moves_between_threads() {
    fn moves<T: Send + Sync>() {}
    moves::<(
        Engine,
        Client,
        ServerKeys,
        Encrypted,
        cipherformer::engine::Upload,
    )>();
    moves::<(
        cipherformer::engine::integers::Engine,
        cipherformer::engine::integers::Client,
        cipherformer::engine::integers::ServerKeys,
        cipherformer::engine::integers::SentKeys,
    )>();
    moves::<(Device, EngineError)>();
}

#[test]
fn a_device_that_is_not_there_is_an_error_with_a_remedy() {
    let params = Params::shipped("n12_single28_l1_d3").unwrap();
    let error = Engine::open(BackendKind::Cpu.device(1), params).err().unwrap();
    assert!(matches!(
        error,
        EngineError::Device(DeviceError::NoDevice {
            ordinal: 1,
            count: 1,
            ..
        })
    ));
    assert!(error.to_string().contains("doctor"), "{error}");
    for kind in BackendKind::ALL {
        match Device::open(kind.device(0)) {
            Ok(device) => assert_eq!(device.kind(), *kind),
            Err(DeviceError::NotBuilt { .. }) => assert!(!kind.is_built()),
            Err(error) => assert!(
                kind.is_built() && error.to_string().contains(kind.name()),
                "{error}"
            ),
        }
    }
}

mod integers {
    use cipherformer::{
        bfv::{BfvError, Matrix, Params, PlainModulus, Release, Spec, sum_keys},
        engine::EngineError,
        engine::integers::{Client, Engine, ServerKeys},
        rlwe::Level,
    };

    fn engine(t: u128) -> Result<Engine, EngineError> {
        let spec = Spec {
            log_n: 5,
            primes: 7,
            digits: 7,
            plain: t,
        };
        Engine::auto(Params::insecure(spec).unwrap())
    }

    #[test]
    fn every_verb_computes_exactly_what_it_says() {
        let t = PlainModulus::with_slots(30, 5).unwrap();
        let engine = engine(t.value()).unwrap();
        let client = Client::generate(&engine).unwrap();
        let needs = sum_keys(engine.key_needs().relinearise(), 2 * engine.columns());
        let keys = client.evaluation_keys(&needs).unwrap();
        let server = ServerKeys::new(&engine, &keys).unwrap();
        let half = t.half() as i64;
        let x: Vec<i64> = (0..32)
            .map(|i| if i < 2 { half - i } else { i * i - 99 })
            .collect();
        let y: Vec<i64> = (0..32).map(|i| if i < 2 { -i } else { 7 - 3 * i }).collect();
        let send = |v: &[i64]| client.encrypt(v).unwrap().receive(&engine).unwrap();
        let (a, b) = (send(&x), send(&y));
        let is = |ct, f: &dyn Fn(usize) -> i64| {
            let want: Vec<i64> = (0..32).map(f).collect();
            assert_eq!(client.decrypt(&ct).unwrap(), want);
        };
        is(a.clone(), &|i| x[i]);
        is(server.add(&a, &b).unwrap(), &|i| x[i] + y[i]);
        is(server.sub(&b, &a).unwrap(), &|i| y[i] - x[i]);
        let product = server.relinearise(&server.mul(&a, &b).unwrap()).unwrap();
        is(product.clone(), &|i| x[i] * y[i]);
        is(server.add_plain(&a, &y).unwrap(), &|i| x[i] + y[i]);
        is(server.mul_plain(&a, &y).unwrap(), &|i| x[i] * y[i]);
        is(server.add_integer(&b, 5).unwrap(), &|i| y[i] + 5);
        is(server.mul_integer(&b, -5).unwrap(), &|i| -5 * y[i]);
        is(server.rotate(&a, 1).unwrap(), &|i| x[i / 16 * 16 + (i + 1) % 16]);
        is(server.swap_rows(&a).unwrap(), &|i| x[(i + 16) % 32]);
        is(server.sum(&b).unwrap(), &|_| y.iter().sum());
        is(server.switch_to(&a, Level(1)).unwrap(), &|i| x[i]);

        let noise = engine.noise().unwrap();
        let noise = noise.mul(&noise).unwrap().relinearise().unwrap();
        let released = client.release(&product, Release::Exact(&noise)).unwrap();
        assert_eq!(released[1], x[1] * y[1]);
        assert!(matches!(
            client.encrypt(&[0, half + 1]),
            Err(EngineError::Bfv(BfvError::Integer { index: 1, .. }))
        ));
        assert!(client.encrypt(&[1; 33]).is_err());
    }

    #[test]
    fn matrices_of_every_shape_multiply_exactly() {
        let engine = engine(786_433).unwrap();
        let client = Client::generate(&engine).unwrap();
        let x: Vec<i64> = (0..32).map(|i| 17 * i % 31 - 15).collect();
        let sent = client.encrypt(&x).unwrap().receive(&engine).unwrap();
        for (rows, columns) in [
            (1, 1),
            (1, 16),
            (16, 1),
            (3, 5),
            (5, 3),
            (8, 8),
            (15, 16),
            (16, 16),
        ] {
            let w: Vec<i64> = (0..(rows * columns) as i64).map(|k| 37 * k % 101 - 50).collect();
            let matrix = Matrix::new(rows, columns, w.clone()).unwrap();
            let keys = client.evaluation_keys(&matrix.keys(engine.key_needs())).unwrap();
            let server = ServerKeys::new(&engine, &keys).unwrap();
            let y = server.mul_matrix(&matrix, &sent).unwrap();
            let noise = engine.noise().unwrap().mul_matrix(&matrix).unwrap();
            let have = client.release(&y, Release::Exact(&noise)).unwrap();
            for (have, x) in have.chunks(16).zip(x.chunks(16)) {
                let row = |i: usize| (0..columns).map(|j| w[i * columns + j] * x[j]).sum();
                let want: Vec<i64> = (0..16).map(|i| if i < rows { row(i) } else { 0 }).collect();
                assert_eq!(have, want, "{rows} x {columns}");
            }
        }
        let large = Matrix::new(17, 1, vec![1; 17]).unwrap();
        let keys = client.evaluation_keys(&large.keys(engine.key_needs())).unwrap();
        let server = ServerKeys::new(&engine, &keys).unwrap();
        assert!(matches!(
            server.mul_matrix(&large, &sent),
            Err(EngineError::Bfv(BfvError::Length { given: 17, .. }))
        ));
        assert!(Matrix::new(2, 2, vec![1; 3]).is_err());
        assert!(Matrix::new(0, 2, vec![]).is_err());
        assert!(matches!(
            self::engine(1 << 16),
            Err(EngineError::Bfv(BfvError::NoSlots { .. }))
        ));
        assert!(matches!(
            PlainModulus::with_slots(31, 5),
            Err(BfvError::NoPrime { .. })
        ));
        assert!(matches!(
            PlainModulus::with_slots(5, 5),
            Err(BfvError::NoPrime { .. })
        ));
        assert_eq!(PlainModulus::with_slots(17, 12).unwrap().value(), 114_689);
    }
}
