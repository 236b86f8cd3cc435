//! What secrets leave behind, and what decryptions let out.

use cipherformer::{
    arith::Complex,
    backend::{Backend, Ref, Span, cpu::Cpu},
    ckks::{Ciphertext, Ckks, CkksError, Guard, Release},
    ring::ChainKind,
    rlwe::{Context, KeyNeeds, Params, SecretKey},
};

use super::{HALF, LOG_N, TOP, chain::insecure, spec};

/// What memory released to the pool still holds, one buffer of `rows` rows at a time.
fn released(ctx: &Context<Cpu>, rows: usize) -> Vec<Vec<u32>> {
    let level = ctx.level("test", TOP).unwrap();
    let row = &level.rows[..1];
    let read = |buffer: &<Cpu as Backend>::Buffer| {
        let span = Span {
            item_stride: 1,
            ..Span::dense(rows, 1, row)
        };
        let mut words = vec![0; rows << LOG_N];
        ctx.backend()
            .download(Ref::new(buffer, span), &mut words)
            .unwrap();
        words
    };
    let buffers: Vec<_> = (0..12)
        .map(|_| ctx.backend().alloc(LOG_N, rows).unwrap())
        .collect();
    buffers.iter().map(read).collect()
}

#[test]
fn secrets_are_cleared_before_their_memory_is_used_again() {
    let params = insecure(&spec(ChainKind::Single, 28.0, 3));
    let fresh = || Ckks::new(&Context::new(Cpu::new(), params.clone()).unwrap());
    let values = vec![Complex::new(0.5, 0.25); HALF];
    let rows = params.levels()[TOP.0 as usize].primes.len();
    let words = |ctx: &Context<Cpu>, ct: &Ciphertext<Cpu>, component: usize| {
        let view = ct.rlwe().view().map(|s| s.slice_polys(component, 1));
        let mut words = vec![0; rows << LOG_N];
        ctx.backend().download(view, &mut words).unwrap();
        words
    };

    // Secret-key encryption may leave its mask, which is the public c_1, and nothing else: not a s, not the message.
    let ckks = fresh();
    let sk = SecretKey::generate(ckks.context()).unwrap();
    let seeded = ckks.encrypt(&sk, &values, 1, TOP).unwrap();
    let left = released(ckks.context(), rows);
    let ct = seeded.expand(ckks.context()).unwrap();
    let mask = words(ckks.context(), &ct, 1);
    for (i, buffer) in left.iter().enumerate() {
        assert!(
            buffer.iter().all(|w| *w == 0) || *buffer == mask,
            "secret-key encryption left buffer {i}"
        );
    }

    // Decryption leaves nothing.
    let ckks = fresh();
    let sk = SecretKey::insecure_deterministic(ckks.context(), [3; 32]).unwrap();
    let ct = ckks
        .encrypt(&sk, &values, 1, TOP)
        .unwrap()
        .expand(ckks.context())
        .unwrap();
    let known = released(ckks.context(), rows);
    ckks.decrypt(&sk, &ct).unwrap();
    for buffer in released(ckks.context(), rows) {
        assert!(
            buffer.iter().all(|w| *w == 0) || known.contains(&buffer),
            "decryption left a buffer"
        );
    }

    // Public-key encryption may leave the public mask alone.
    let ckks = fresh();
    let sk = SecretKey::generate(ckks.context()).unwrap();
    let public = sk.public_key().unwrap();
    let known = released(ckks.context(), rows);
    let ct = ckks.encrypt_public(&public, &values, 1, TOP).unwrap();
    let zeroes = ckks
        .encrypt_public(&public, &vec![Complex::default(); HALF], 1, TOP)
        .unwrap();
    let left = released(ckks.context(), rows);
    // The mask is what two encryptions leave alike.
    let unknown: Vec<_> = left
        .iter()
        .filter(|b| b.iter().any(|w| *w != 0) && !known.contains(b))
        .collect();
    assert!(
        unknown.iter().all(|b| *b == unknown[0]),
        "public-key encryption left {} buffers",
        unknown.len()
    );
    assert!(unknown.len() <= 2 && ct.items() == zeroes.items());

    // Key generation leaves masks and nothing that is computed from the secret.
    let ckks = fresh();
    let sk = SecretKey::insecure_deterministic(ckks.context(), [4; 32]).unwrap();
    let all = params.basis().primes().len();
    let key = sk
        .evaluation_keys(&KeyNeeds::new(&params).relinearise().conjugate())
        .unwrap();
    let held = |rows| {
        released(ckks.context(), rows)
            .into_iter()
            .filter(|b| b.iter().any(|w| *w != 0))
    };
    let digits = ckks.context().level("test", TOP).unwrap().digits.len();
    let masks: Vec<_> = held(digits * all).collect();
    // The pool may answer a request with a longer buffer: then its beginning is read here.
    let alone = held(all)
        .filter(|b| !masks.iter().any(|m| m.starts_with(b)))
        .count();
    assert_eq!(alone, 0, "s^2 or sigma(s) left");
    // One buffer of masks, which the second key used again; the products with the secret are cleared.
    assert!(
        masks.len() <= 1 && key.count() == 2,
        "{} buffers left by key generation",
        masks.len()
    );
}

/// Every policy of release: what it refuses, and that it does what it says.
#[test]
fn decryptions_are_released_under_policies() {
    let ctx = Context::new(Cpu::poisoned(), Params::shipped("n13_rational40_l2_d3").unwrap()).unwrap();
    let (ckks, sk) = (Ckks::new(&ctx), SecretKey::generate(&ctx).unwrap());
    let (items, slots) = (2, 1 << 11);
    let values: Vec<Complex> = (0..items * slots)
        .map(|i| Complex::new((i % 7) as f64 - 3.0, i as f64 / 4096.0))
        .collect();
    let level = ctx.params().top();
    let ct = ckks
        .encrypt(&sk, &values, items, level)
        .unwrap()
        .expand(&ctx)
        .unwrap();
    let decrypt = || ckks.decrypt(&sk, &ct).unwrap();
    assert_eq!(format!("{:?}", decrypt()), "Decrypted(..)");
    assert_eq!((decrypt().len(), decrypt().is_empty()), (items * slots, false));

    let guard = |error: f64, bits: u32, releases: u64| Guard {
        error,
        bits,
        releases,
    };
    let round = |places: i32, guard: Guard| Release::Round { places, guard };
    for (release, number) in [
        (Release::Flood(guard(0.0, 40, 2)), "0e0"),
        (Release::Flood(guard(-1.0, 40, 2)), "-1e0"),
        (Release::Flood(guard(f64::NAN, 40, 2)), "NaN"),
        (Release::Flood(guard(f64::INFINITY, 40, 2)), "inf"),
        (Release::Flood(guard(1e-9, 0, 2)), "0 bits"),
        (Release::Flood(guard(1e-9, 129, 2)), "129 bits"),
        (Release::Flood(guard(1e-9, 40, 1)), "1 releases"),
        // 2^63 2^0.5 2^-4 2^40 is above what 2^122 holds beside the values; so is what f64 makes infinite.
        (Release::Flood(guard(1.0, 128, 2)), "2^168"),
        (Release::Flood(guard(f64::MAX, 128, u64::MAX)), "modulus"),
        (round(0, guard(-1.0, 40, 2)), "-1e0"),
        // 2^(1 + 12 + 1 - 30 + 0) = 2^-16.
        (round(0, guard(2f64.powi(-30), 17, 2)), "2^-16.0"),
        (round(1, guard(2f64.powi(-30), 16, 2)), "2^-15.0"),
    ] {
        let error = decrypt().release(release).unwrap_err();
        assert!(matches!(error, CkksError::Release { .. }), "{error}");
        assert!(error.to_string().contains(number), "{release:?}: {error}");
    }

    // Rounded: multiples, and the nearest ones of what the owner sees.
    let exact = decrypt().release(Release::Owner).unwrap();
    let rounded = decrypt().release(round(2, guard(2f64.powi(-30), 14, 2))).unwrap();
    for (rounded, exact) in rounded.iter().zip(&exact) {
        for (rounded, exact) in [(rounded.re, exact.re), (rounded.im, exact.im)] {
            assert_eq!((rounded * 4.0).fract(), 0.0);
            assert!((rounded - exact).abs() <= 0.125);
        }
    }

    // Flooded: k = ceil(bits - 1 + log2(releases) / 2 + log2(error) + log2(scale)), parts off by sqrt(slots) 2^k / scale.
    let scale = ct.scale().log2();
    for (bits, error, releases) in [
        (20, 2f64.powi(-25), 2u64),
        (40, 2f64.powi(-22), 1 << 20),
        (1, 1e-300, 2),
    ] {
        let flood = Release::Flood(guard(error, bits, releases));
        let flooded = decrypt().release(flood).unwrap();
        let k = (f64::from(bits) - 1.0 + (releases as f64).log2() / 2.0 + error.log2() + scale)
            .ceil()
            .max(0.0);
        let parts: Vec<f64> = (flooded.iter().zip(&exact))
            .flat_map(|(a, b)| [a.re - b.re, a.im - b.im])
            .collect();
        let variance = parts.iter().map(|x| x * x).sum::<f64>() / parts.len() as f64;
        let want = (k - scale).exp2() * (slots as f64).sqrt();
        // 8192 samples: one standard deviation of this ratio is 1.6 %.
        assert!(
            (variance / (want * want) - 1.0).abs() < 0.08,
            "{bits} bits: {variance} {want}"
        );
        // Fresh noise each time.
        assert_ne!(decrypt().release(flood).unwrap(), flooded);
    }
}
