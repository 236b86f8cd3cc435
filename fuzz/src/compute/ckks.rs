//! Every operation of CKKS on what a file holds.

use cipherformer::{
    arith::Complex,
    backend::{Backend, cpu::Cpu},
    circuit::bootstrap::SeededBootstrapKeys,
    ckks::{Ciphertext, Evaluator, Release, Result, SeededCiphertext},
    ring::Scale,
    rlwe::{self, EvaluationKeys, Level, PublicKey, SecretKey, SeededEvaluationKeys, SeededRaiseKeys},
};

use super::{Steps, load, message, stored};
use crate::home::{CKKS, CkksHome, values};

fn decrypted<B: Backend>(home: &CkksHome<B>, ct: &Ciphertext<B>) -> std::result::Result<Vec<u8>, String> {
    let found = home.scheme.decrypt(&home.secret, ct).map_err(|e| message(&e))?;
    let slots = found.release(Release::Owner).map_err(|e| message(&e))?;
    assert_eq!(slots.len(), ct.items() * ct.slots());
    let bits = |z: &Complex| [z.re.to_bits().to_le_bytes(), z.im.to_bits().to_le_bytes()].concat();
    Ok(slots.iter().flat_map(bits).collect())
}

/// Every operation on a ciphertext, alone and with the home's own.
fn ciphertext<B: Backend>(home: &CkksHome<B>, keys: &EvaluationKeys<B>, x: &Ciphertext<B>) -> Steps {
    let (ckks, ctx, y) = (&home.scheme, home.scheme.context(), &home.partner);
    let ev = Evaluator::new(ckks, keys);
    let mut steps = Steps::new();
    let mut keep = |name, result: Result<Ciphertext<B>>| {
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
        && let Ok(scale) = ckks.scale(below)
    {
        keep("adjust", ev.adjust(x, below, scale));
    }
    if let Ok(plain) = ckks.encode(&values(x.slots()), 1, x.level(), x.scale()) {
        keep("add_plain", ev.add_plain(x, &plain));
        keep("mul_plain", ev.mul_plain(x, &plain));
    }
    steps.push(("decrypt", decrypted(home, x)));
    steps
}

/// The home's ciphertext at level 0, raised to the top.
fn raised<B: Backend>(home: &CkksHome<B>, keys: &SeededRaiseKeys<B>) -> Steps {
    let (ckks, ctx) = (&home.scheme, home.scheme.context());
    let (ev, scale) = (Evaluator::new(ckks, &home.keys), ckks.scale(Level(0)).unwrap());
    let low = ev.adjust(&home.partner, Level(0), scale).unwrap();
    let high = ctx.raise(low.rlwe(), &keys.expand(ctx).unwrap());
    let words = |ct: rlwe::Ciphertext<B>| {
        let view = ct.view();
        let mut words = vec![0; view.span.count() << ctx.log_n()];
        ctx.backend().download(view, &mut words).unwrap();
        words.iter().flat_map(|w| w.to_le_bytes()).collect()
    };
    vec![("raise", high.map(words).map_err(|e| message(&e)))]
}

/// What can be done with a file of ciphertexts or evaluation keys; nothing with any other.
pub(super) fn steps<B: Backend>(home: &CkksHome<B>, kind: u8, file: &[u8]) -> Steps {
    let ctx = home.scheme.context();
    match kind {
        4 => load(file, ctx).map_or(Steps::new(), |seeded: SeededEvaluationKeys<B>| {
            ciphertext(home, &seeded.expand(ctx).unwrap(), &home.partner)
        }),
        5 => load(file, ctx).map_or(Steps::new(), |seeded: SeededCiphertext<B>| {
            ciphertext(home, &home.keys, &seeded.expand(ctx).unwrap())
        }),
        13 => load(file, ctx).map_or(Steps::new(), |seeded: SeededRaiseKeys<B>| raised(home, &seeded)),
        14 => load(file, ctx).map_or(Steps::new(), |seeded: SeededBootstrapKeys<B>| {
            let keys = seeded.evaluation.expand(ctx).unwrap();
            let mut steps = ciphertext(home, &keys, &home.partner);
            steps.extend(raised(home, &seeded.raise));
            steps
        }),
        6 => load(file, ctx).map_or(Steps::new(), |x| ciphertext(home, &home.keys, &x)),
        _ => Steps::new(),
    }
}

/// A loaded secret key encrypts and decrypts; with a loaded public key one can encrypt at every level.
pub(super) fn encrypts(kind: u8, file: &[u8]) -> bool {
    let (ckks, ctx) = (&CKKS.scheme, CKKS.scheme.context());
    let (top, want) = (ctx.params().top(), values(8));
    if kind == 2 {
        let Some(key): Option<SecretKey<Cpu>> = load(file, ctx) else {
            return false;
        };
        let sent = ckks.encrypt(&key, &want, 1, top).unwrap();
        let have = ckks.decrypt(&key, &sent.expand(ctx).unwrap()).unwrap();
        let have = have.release(Release::Owner).unwrap();
        assert!(have.iter().zip(want).all(|(a, b)| (*a - b).abs() < 1e-6));
        return true;
    }
    let Some(key): Option<PublicKey<Cpu>> = load(file, ctx) else {
        return false;
    };
    for level in 0..=top.0 {
        let sent = ckks.encrypt_public(&key, &want, 1, Level(level)).unwrap();
        decrypted(&CKKS, &sent).unwrap();
        stored::<_, _, cipherformer::ckks::CkksError>(ctx, Ok(sent)).unwrap();
    }
    true
}
