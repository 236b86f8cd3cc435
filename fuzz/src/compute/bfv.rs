//! Every operation of BFV on what a file holds.

use cipherformer::{
    backend::Backend,
    bfv::{Ciphertext, Evaluator, Packing, Release, Result, SeededCiphertext},
    matmul::coefficient::{self, Outputs, Plain, Side, Weights},
    rlwe::{EvaluationKeys, Level, SecretKey, SeededEvaluationKeys},
};

use super::{Steps, load, message, stored};
use crate::home::{BfvHome, PLAN, integers};

fn decrypted<B: Backend>(home: &BfvHome<B>, ct: &Ciphertext<B>) -> std::result::Result<Vec<u8>, String> {
    let found = home.scheme.decrypt(&home.secret, Packing::Slots, ct);
    let found = found.map_err(|e| message(&e))?;
    let found = found.release(Release::Owner).map_err(|e| message(&e))?;
    let (n, t) = (home.scheme.params().degree(), home.scheme.plain().value());
    assert_eq!(found.len(), ct.items() * n);
    assert!(found.iter().all(|v| u128::from(*v) < t));
    Ok(found.iter().flat_map(|v| v.to_le_bytes()).collect())
}

/// Every operation on a ciphertext, alone and with the home's own.
fn ciphertext<B: Backend>(home: &BfvHome<B>, keys: &EvaluationKeys<B>, x: &Ciphertext<B>) -> Steps {
    let (bfv, y) = (&home.scheme, &home.partner);
    let ev = Evaluator::new(bfv, keys);
    let mut steps = Steps::new();
    let mut keep = |name, result: Result<Ciphertext<B>>| {
        let kept = result.as_ref().ok().cloned();
        steps.push((name, stored(bfv, result)));
        kept
    };
    keep("add", ev.add(x, x));
    keep("add the partner", ev.add(x, y));
    keep("sub", ev.sub(y, x));
    keep("neg", ev.neg(x));
    keep("add_integer", ev.add_integer(x, 65536));
    keep("mul_integer", ev.mul_integer(x, 40000));
    keep("concat", ev.concat(&[x.clone(), y.clone()]));
    keep("slice", x.slice(1, 1));
    keep("every", x.every(0, 0, 3));
    keep("switch_to", ev.switch_to(x, Level(0)));
    keep("mul by the partner", ev.mul(x, y));
    if let Some(square) = keep("mul", ev.mul(x, x)) {
        keep("relinearise", ev.relinearise(&square));
        keep("rotate a product", ev.rotate_columns(&square, 1));
    }
    keep("relinearise what was loaded", ev.relinearise(x));
    keep("rotate_columns", ev.rotate_columns(x, 1));
    keep("rotate without a key", ev.rotate_columns(x, 3));
    keep("swap_rows", ev.swap_rows(x));
    if let Ok(plain) = bfv.addend(Packing::Slots, &integers(16), 1, x.level()) {
        keep("add_plain", ev.add_plain(x, &plain));
    }
    if let Ok(plain) = bfv.factor(Packing::Slots, &integers(16), 1, x.level()) {
        keep("mul_plain", ev.mul_plain(x, &plain));
    }
    match ev.bfv().extract(x, &[0, 5]) {
        Ok(lwe) => {
            keep("pack", ev.pack(&lwe, 1));
        }
        Err(error) => steps.push(("extract", Err(message(&error)))),
    }
    steps.push(("decrypt", decrypted(home, x)));
    steps
}

/// Results of a product: as a file, and decrypted.
fn outputs<B: Backend>(home: &BfvHome<B>, secret: &SecretKey<B>, results: Outputs<B>) -> Steps {
    let (bfv, plan) = (&home.scheme, &PLAN.1);
    let decrypted = results.decrypt(bfv, secret).map_err(|e| message(&e));
    let integers = decrypted.and_then(|d| d.release(Release::Owner).map_err(|e| message(&e)));
    let bytes = integers.map(|all| {
        assert!(all.iter().all(|v| u128::from(*v) < bfv.plain().value()));
        all.iter().flat_map(|v| v.to_le_bytes()).collect()
    });
    let file = stored(
        &(bfv.clone(), plan.clone()),
        Ok::<_, coefficient::CoefficientError>(results),
    );
    vec![("results", file), ("decrypt results", bytes)]
}

/// Loaded weights times the inputs of a client.
fn weights<B: Backend>(home: &BfvHome<B>, weights: &Weights) -> Steps {
    let (bfv, plan) = (&home.scheme, &PLAN.1);
    let secret = SecretKey::insecure_deterministic(bfv.context(), [9; 32]).unwrap();
    let sent = plan.encrypt(bfv, &secret, Side::Left, &integers(15)).unwrap();
    let inputs = [sent.expand(bfv.context()).unwrap()];
    let prepared = weights.prepare(bfv).unwrap();
    let mut steps = Steps::new();
    for plain in [Plain::OnTheFly(weights), Plain::Prepared(&prepared)] {
        let results = plan.multiply(bfv, &plain, &inputs, &[]).unwrap();
        for results in results {
            steps.extend(outputs(home, &secret, results.release(bfv).unwrap()));
        }
    }
    steps
}

/// What can be done with a file of ciphertexts, evaluation keys, or weights or results of products; nothing with any other.
pub(super) fn steps<B: Backend>(home: &BfvHome<B>, kind: u8, file: &[u8]) -> Steps {
    let (bfv, ctx) = (&home.scheme, home.scheme.context());
    match kind {
        4 => load(file, ctx).map_or(Steps::new(), |seeded: SeededEvaluationKeys<B>| {
            ciphertext(home, &seeded.expand(ctx).unwrap(), &home.partner)
        }),
        8 => load(file, bfv).map_or(Steps::new(), |seeded: SeededCiphertext<B>| {
            ciphertext(home, &home.keys, &seeded.expand(ctx).unwrap())
        }),
        9 => load(file, bfv).map_or(Steps::new(), |x| ciphertext(home, &home.keys, &x)),
        11 => load(file, &PLAN.1).map_or(Steps::new(), |w| weights(home, &w)),
        12 => load(file, &(bfv.clone(), PLAN.1.clone()))
            .map_or(Steps::new(), |results| outputs(home, &home.secret, results)),
        _ => Steps::new(),
    }
}
