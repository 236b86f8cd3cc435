//! Parameters that are accepted compute: what is encrypted under them comes back.

use cipherformer::{
    arith::Complex,
    backend::cpu::Cpu,
    bfv::{self, Bfv, Packing},
    ckks::{Ckks, Evaluator, Release},
    ring::Scale,
    rlwe::{Context, KeyNeeds, Level, Params, SecretKey, Spec},
};

use super::load;

/// The largest ring and the most primes that are worth computing with here.
const LOG_N: u32 = 7;
const PRIMES: usize = 24;

/// Squares all the way down are right.
pub(super) fn ckks(file: &[u8]) -> bool {
    let Some(spec): Option<Spec> = load(file, &()) else {
        return false;
    };
    let chain = &spec.chain;
    let secure = Params::new(spec.clone()).is_ok();
    if chain.log_n > LOG_N || chain.primes.len() + chain.special.len() > PRIMES {
        return secure;
    }
    assert!(!secure, "a ring of 2^{} passes for secure", chain.log_n);
    let params = Params::insecure(spec).unwrap();
    let ckks = Ckks::new(&Context::new(Cpu::poisoned(), params.clone()).unwrap());
    let secret = SecretKey::insecure_deterministic(ckks.context(), [9; 32]).unwrap();
    let keys = secret.evaluation_keys(&KeyNeeds::new(&params).relinearise());
    let keys = keys.unwrap().expand(ckks.context()).unwrap();
    let ev = Evaluator::new(&ckks, &keys);
    let mut want: Vec<f64> = (0..ckks.max_slots()).map(|i| (i % 8) as f64 / 32.0).collect();
    let sent: Vec<Complex> = want.iter().map(|v| Complex::from(*v)).collect();
    let sent = ckks.encrypt(&secret, &sent, 1, params.top()).unwrap();
    let mut x = sent.expand(ckks.context()).unwrap();
    let mut least = f64::INFINITY;
    loop {
        least = least.min(x.scale().log2());
        // Noise and roundings are below 2^(log N + 12) a level, relative to the scale; far too much of it says nothing.
        let bound = (f64::from(params.log_n()) + 12.0 - least).exp2() * params.levels().len() as f64;
        let have = ckks
            .decrypt(&secret, &x)
            .unwrap()
            .release(Release::Owner)
            .unwrap();
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
        // The step takes the bits of a weight with it.
        let absorbed = params.level("absorb", x.level()).unwrap().absorbed_bits;
        if absorbed < 0 {
            return true;
        }
        let square = ev.mul(&x, &x).unwrap();
        let Ok(square) = ev.mul_const(&square, 1.0, &Scale::pow2(absorbed)) else {
            return true;
        };
        x = ev.relinearise_rescale(&square).unwrap();
        want.iter_mut().for_each(|v| *v *= *v);
    }
}

/// Fresh ciphertexts of every level decrypt exactly.
pub(super) fn bfv(file: &[u8]) -> bool {
    let Some(spec): Option<bfv::Spec> = load(file, &()) else {
        return false;
    };
    let secure = bfv::Params::new(spec.clone()).is_ok();
    if spec.log_n > LOG_N || spec.primes > PRIMES {
        return secure;
    }
    assert!(!secure, "a ring of 2^{} passes for secure", spec.log_n);
    let bfv = Bfv::new(Cpu::poisoned(), bfv::Params::insecure(spec).unwrap()).unwrap();
    let (ctx, t) = (bfv.context(), bfv.plain().value());
    let secret = SecretKey::insecure_deterministic(ctx, [9; 32]).unwrap();
    let want: Vec<u64> = (0..bfv.params().degree() as u128)
        .map(|i| ((t - 1) - i * 12345 % t) as u64)
        .collect();
    for level in 0..=bfv.params().top().0 {
        let sent = bfv.encrypt(&secret, Packing::Coefficients, &want, 1, Level(level));
        let x = sent.unwrap().expand(ctx).unwrap();
        let have = bfv.decrypt(&secret, Packing::Coefficients, &x).unwrap();
        assert!(
            have.release(bfv::Release::Owner).unwrap() == want,
            "level {level}"
        );
    }
    true
}
