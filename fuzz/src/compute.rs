//! What loads is used: every operation gives a message or a well-formed result, and the CPU's results are those of the oracle.

use cipherformer::{
    arith::Complex,
    backend::{Backend, cpu::Cpu},
    ckks::{self, Ciphertext, Ckks, Evaluator, SeededCiphertext},
    matmul::Columns,
    model::{WIDTH, WINDOW},
    ring::Scale,
    rlwe::{
        Context, EvaluationKeys, KeyNeeds, Level, Params, PublicKey, SecretKey, SeededEvaluationKeys, Spec,
    },
    transformer::{Progress, Requests},
    wire::{self, Record, Stamp, WireError},
};

use crate::{
    frame::Frame,
    home::{self, CLASSIFIER, Home, MODEL, ORACLE, SMALL, WINDOWS, values},
};

/// Named results: the bytes of a file of each, or the message.
type Steps = Vec<(&'static str, Result<Vec<u8>, String>)>;

fn load<C, T: Record<C>>(file: &[u8], home: &C) -> Option<T> {
    wire::from_bytes(file, home)
        .ok()
        .map(|(value, _): (T, Stamp)| value)
}

fn message(error: &dyn std::error::Error) -> String {
    let message = error.to_string();
    assert!(!message.is_empty());
    message
}

/// A result as a file, read again: all residues below their primes, and everything else in range. Only a scale can be such that
/// no file takes it.
fn stored<B: Backend>(ctx: &Context<B>, result: ckks::Result<Ciphertext<B>>) -> Result<Vec<u8>, String> {
    let ciphertext = result.map_err(|e| message(&e))?;
    match wire::to_bytes(&ciphertext, ctx, Stamp::default()) {
        Ok(file) => {
            let read: Option<Ciphertext<B>> = load(&file, ctx);
            let read = read.unwrap_or_else(|| panic!("a result is not well-formed"));
            assert!(wire::to_bytes(&read, ctx, Stamp::default()).unwrap() == file);
            Ok(file)
        }
        Err(error @ (WireError::Field { .. } | WireError::Scale(_))) => Err(message(&error)),
        Err(error) => panic!("a result cannot be written: {error}"),
    }
}

fn decrypted<B: Backend>(home: &Home<B>, ct: &Ciphertext<B>) -> Result<Vec<u8>, String> {
    let slots = home.ckks.decrypt(&home.secret, ct).map_err(|e| message(&e))?;
    assert_eq!(slots.len(), ct.items() * ct.slots());
    let bits = |z: &Complex| [z.re.to_bits().to_le_bytes(), z.im.to_bits().to_le_bytes()].concat();
    Ok(slots.iter().flat_map(bits).collect())
}

/// Every operation on a ciphertext, alone and with the home's own.
fn ciphertext<B: Backend>(home: &Home<B>, keys: &EvaluationKeys<B>, x: &Ciphertext<B>) -> Steps {
    let (ctx, y) = (home.context(), &home.partner);
    let ev = Evaluator::new(&home.ckks, keys);
    let mut steps = Steps::new();
    let mut keep = |name, result: ckks::Result<Ciphertext<B>>| {
        let kept = result.as_ref().ok().cloned();
        steps.push((name, stored(ctx, result)));
        kept
    };
    keep("add", ev.add(x, x));
    keep("add the partner", ev.add(x, y));
    keep("sub", ev.sub(y, x));
    keep("neg", ev.neg(x));
    keep("mul_i", ev.mul_i(x));
    keep("add_const", ev.add_const(x, 0.25, -0.5));
    keep("mul_integer", ev.mul_integer(x, -3));
    keep("mul_const", ev.mul_const(x, 0.75, &Scale::pow2(10)));
    keep("concat", ev.concat(&[x.clone(), x.clone(), y.clone()]));
    keep("slice", x.slice(1, 1));
    keep("every", x.every(0, 0, 3));
    keep("divided_by_pow2", x.clone().divided_by_pow2(5));
    keep("drop_to", ev.drop_to(x, Level(0)));
    keep("mul by the partner", ev.mul(x, y));
    keep("inner_products", ev.inner_products(&[(x, x), (x, x)]));
    if let Some(square) = keep("mul", ev.mul(x, x)) {
        keep("relinearise", ev.relinearise(&square));
        keep("relinearise_rescale", ev.relinearise_rescale(&square));
        keep("rotate a product", ev.rotate(&square, 1));
    }
    keep("relinearise what was loaded", ev.relinearise(x));
    keep("rescale", ev.rescale(x));
    keep("rotate", ev.rotate(x, 1));
    keep("rotate without a key", ev.rotate(x, 3));
    keep("conjugate", ev.conjugate(x));
    keep("rotate_each", ev.rotate_each(x, &[-2]));
    if let Ok(rotated) = ev.rotate_hoisted(x, &[1, -2, 0]) {
        for result in rotated {
            keep("rotate_hoisted", Ok(result));
        }
    }
    if let Some(below) = x.level().below()
        && let Ok(scale) = home.ckks.scale(below)
    {
        keep("adjust", ev.adjust(x, below, scale));
    }
    if let Ok(plain) = home.ckks.encode(&values(x.slots()), 1, x.level(), x.scale()) {
        keep("add_plain", ev.add_plain(x, &plain));
        keep("mul_plain", ev.mul_plain(x, &plain));
    }
    steps.push(("decrypt", decrypted(home, x)));
    steps
}

/// What can be done with a file of ciphertexts or evaluation keys; nothing with any other.
fn steps<B: Backend>(home: &Home<B>, kind: u8, file: &[u8]) -> Steps {
    let ctx = home.context();
    match kind {
        4 => {
            let Some(seeded): Option<SeededEvaluationKeys<B>> = load(file, ctx) else {
                return Steps::new();
            };
            match seeded.expand(ctx) {
                Ok(keys) => ciphertext(home, &keys, &home.partner),
                Err(error) => vec![("expand", Err(message(&error)))],
            }
        }
        5 => {
            let Some(seeded): Option<SeededCiphertext<B>> = load(file, ctx) else {
                return Steps::new();
            };
            match seeded.expand(ctx) {
                Ok(x) => ciphertext(home, &home.keys, &x),
                Err(error) => vec![("expand", Err(message(&error)))],
            }
        }
        6 => load(file, ctx).map_or(Steps::new(), |x| ciphertext(home, &home.keys, &x)),
        _ => Steps::new(),
    }
}

/// The small ring's files, on both backends.
fn compare(kind: u8, file: &[u8]) -> bool {
    let have = steps(&*SMALL, kind, file);
    let want = steps(&*ORACLE, kind, file);
    assert_eq!(have.len(), want.len());
    for ((name, have), (_, want)) in have.iter().zip(&want) {
        assert!(
            have == want,
            "{name}: {have:?} on the CPU, {want:?} on the oracle"
        );
    }
    !have.is_empty()
}

/// The encrypted classifier on a file's first ciphertext, taken for every feature.
fn infer(kind: u8, file: &[u8]) -> bool {
    let (home, ctx) = (&*MODEL, MODEL.context());
    let loaded: Option<Ciphertext<Cpu>> = match kind {
        5 => load(file, ctx).and_then(|seeded: SeededCiphertext<Cpu>| seeded.expand(ctx).ok()),
        6 => load(file, ctx),
        _ => None,
    };
    let Some(x) = loaded else {
        return false;
    };
    let x = x.every(0, 0, WIDTH).unwrap();
    let ev = Evaluator::new(&home.ckks, &home.keys);
    let mut show = |_, _, _| ();
    let result = CLASSIFIER.infer(&ev, &x, &mut Progress::new(&mut show));
    if let Ok(logits) = &result
        && let Ok(slots) = home.ckks.decrypt(&home.secret, logits)
    {
        let columns = Columns::new(WINDOW, WINDOWS).unwrap();
        assert_eq!(Requests::read(columns, WINDOWS, &slots).len(), WINDOWS);
    }
    let _ = stored(ctx, result);
    true
}

/// Chains that are worth computing on here.
fn is_small(spec: &Spec) -> bool {
    let chain = &spec.chain;
    chain.log_n <= 7 && chain.primes.len() <= 24 && chain.special.len() <= 8
}

/// A chain that is accepted computes: squares all the way down are right.
fn parameters(file: &[u8]) -> bool {
    let Some(spec): Option<Spec> = load(file, &()) else {
        return false;
    };
    let refused = Params::new(spec.clone());
    if !is_small(&spec) {
        return refused.is_ok();
    }
    assert!(
        refused.is_err(),
        "a ring of 2^{} passes for secure",
        spec.chain.log_n
    );
    let params = Params::insecure(spec.clone()).unwrap();
    let ckks = Ckks::new(&Context::new(Cpu::poisoned(), params.clone()).unwrap());
    let secret = SecretKey::insecure_deterministic(ckks.context(), [9; 32]).unwrap();
    let keys = secret
        .evaluation_keys(&KeyNeeds::new(&params).relinearise())
        .unwrap();
    let keys = keys.expand(ckks.context()).unwrap();
    let ev = Evaluator::new(&ckks, &keys);
    let mut want: Vec<f64> = (0..ckks.max_slots()).map(|i| (i % 8) as f64 / 32.0).collect();
    let sent: Vec<Complex> = want.iter().map(|v| Complex::from(*v)).collect();
    let Ok(sent) = ckks.encrypt(&secret, &sent, 1, params.top()) else {
        return true;
    };
    let mut x = sent.expand(ckks.context()).unwrap();
    let mut least = f64::INFINITY;
    loop {
        least = least.min(x.scale().log2());
        let have = ckks.decrypt(&secret, &x).unwrap();
        // Noise and roundings are below 2^(log N + 12) a level, relative to the scale; far too much of it says nothing.
        let bound = (f64::from(params.log_n()) + 12.0 - least).exp2() * params.levels().len() as f64;
        if bound < 2f64.powi(-6) {
            for (have, want) in have.iter().zip(&want) {
                let error = (*have - Complex::from(*want)).abs();
                assert!(
                    error < bound,
                    "{}: {have:?} for {want}, bound {bound:e}",
                    x.level()
                );
            }
        }
        if x.level().below().is_none() {
            return true;
        }
        let absorbed = params.level("absorb", x.level()).unwrap().absorbed_bits;
        let square = ev.mul(&x, &x).unwrap();
        let Ok(square) = ev.mul_const(&square, 1.0, &Scale::pow2(absorbed as i32)) else {
            return true;
        };
        let Ok(next) = ev.relinearise_rescale(&square) else {
            return true;
        };
        x = next;
        want.iter_mut().for_each(|v| *v *= *v);
    }
}

fn public_key(home: &Home<Cpu>, file: &[u8]) -> bool {
    let Some(key): Option<PublicKey<Cpu>> = load(file, home.context()) else {
        return false;
    };
    for level in 0..=home.context().params().top().0 {
        let sent = home.ckks.encrypt_public(&key, &values(8), 1, Level(level));
        if let Ok(x) = &sent {
            decrypted(home, x).unwrap();
        }
        stored(home.context(), sent).unwrap();
    }
    true
}

fn secret_key(home: &Home<Cpu>, file: &[u8]) -> bool {
    let Some(key): Option<SecretKey<Cpu>> = load(file, home.context()) else {
        return false;
    };
    let sent = home
        .ckks
        .encrypt(&key, &values(8), 1, home.context().params().top())
        .unwrap();
    let have = home
        .ckks
        .decrypt(&key, &sent.expand(home.context()).unwrap())
        .unwrap();
    assert!(have.iter().zip(values(8)).all(|(a, b)| (*a - b).abs() < 1e-6));
    true
}

/// Whether anything was computed.
pub fn compute(open: &[u8]) -> bool {
    let Some(frame) = Frame::from_open(open) else {
        return false;
    };
    let (kind, file) = (frame.kind(), frame.seal());
    let home = home::of(&file);
    match kind {
        1 => parameters(&file),
        2 => secret_key(home, &file),
        3 => public_key(home, &file),
        _ if home.digest == MODEL.digest => infer(kind, &file),
        _ => compare(kind, &file),
    }
}
