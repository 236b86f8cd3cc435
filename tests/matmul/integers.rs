//! Coefficient packing: weights as models hold them, and both operands encrypted modulo large odd numbers.

use cipherformer::{
    backend::cpu::Cpu,
    bfv::{Bfv, Params, Release, Spec},
    matmul::{
        Weights as Numbers,
        coefficient::{CoefficientError, Encrypted, Output, Plan, Request, Shape, Side},
    },
    rlwe::{KeyNeeds, SecretKey},
};
use half::{bf16, f16};

fn insecure(primes: usize, plain: u128) -> Params {
    let spec = Spec {
        log_n: 5,
        primes,
        digits: primes,
        plain,
    };
    Params::insecure(spec).unwrap()
}

#[test]
fn both_operands_encrypted_modulo_large_odd_numbers() {
    for (t, primes) in [((1 << 45) - 55, 10), ((1 << 59) - 55, 12), ((1 << 64) - 59, 13)] {
        let params = insecure(primes, t);
        let bfv = Bfv::new(Cpu::poisoned(), params.clone()).unwrap();
        let ctx = bfv.context();
        // Extreme residues, and some that look random.
        let residue = |i: usize| match i % 3 {
            0 => (t - 1 - i as u128) as u64,
            1 => (t / 2 + i as u128) as u64,
            _ => (u128::from((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)) % t) as u64,
        };
        for (m, k, n) in [(1, 1, 1), (3, 5, 7), (11, 40, 3)] {
            let shape = Shape::new(m, k, n);
            let left: Vec<u64> = (0..m * k).map(residue).collect();
            let right: Vec<u64> = (0..k * n).map(|i| residue(i + 1)).collect();
            let entry = |i: usize| {
                let term = |c: usize| u128::from(left[i / n * k + c]) * u128::from(right[c * n + i % n]) % t;
                ((0..k).map(term).fold(0, |a, b| (a + b) % t)) as u64
            };
            let want: Vec<u64> = (0..m * n).map(entry).collect();
            for output in [Output::Cut, Output::Packed] {
                let request = Request::new(shape).encrypted(Encrypted::Both).output(output);
                let plan = Plan::new(&params, &request.requests(2)).unwrap();
                let secrets = [1, 2].map(|i| SecretKey::insecure_deterministic(ctx, [i; 32]).unwrap());
                let needs = plan.keys(KeyNeeds::new(params.rlwe()));
                let keys = secrets
                    .each_ref()
                    .map(|s| s.evaluation_keys(&needs).unwrap().expand(ctx).unwrap());
                let encrypt = |side, values: &[u64]| {
                    let one = |s: &SecretKey<Cpu>| {
                        plan.encrypt(&bfv, s, side, values).unwrap().expand(ctx).unwrap()
                    };
                    secrets.each_ref().map(one)
                };
                let (x, w) = (encrypt(Side::Left, &left), encrypt(Side::Right, &right));
                let results = plan.multiply_encrypted(&bfv, &x, &w, &keys.each_ref()).unwrap();
                for (results, secret) in results.into_iter().zip(&secrets) {
                    let have = results.release(&bfv).unwrap().decrypt(&bfv, secret).unwrap();
                    assert!(
                        have.release(Release::Exact(plan.noise())).unwrap() == want,
                        "t = {t}, {shape}"
                    );
                }
            }
        }
    }
}

/// Weights as models hold them give the integers that they are.
#[test]
fn numbers_of_models_are_exact_integers() {
    let params = insecure(5, 1 << 20);
    let shape = Shape::new(4, 6, 3);
    let bytes: Vec<i8> = (0..18).map(|i| (i * 29 % 255 - 127) as i8).collect();
    let want: Vec<i64> = bytes.iter().map(|b| i64::from(*b)).collect();
    let request = Request::new(shape).weight_bound(2000);
    let plan = Plan::new(&params, &request).unwrap();
    let given = |numbers: Numbers<'_>, bits: u32| plan.encode_weights(numbers, bits).map(|w| w.values());
    let of = |f: &dyn Fn(i64) -> f64| want.iter().map(|w| f(*w)).collect::<Vec<f64>>();
    let quarters = of(&|w| w as f64 / 4.0);
    let singles: Vec<f32> = quarters.iter().map(|w| *w as f32).collect();
    let halves: Vec<f16> = quarters.iter().map(|w| f16::from_f64(*w)).collect();
    let brains: Vec<bf16> = quarters.iter().map(|w| bf16::from_f64(*w)).collect();
    let (i16s, i32s): (Vec<i16>, Vec<i32>) = want.iter().map(|w| (*w as i16, *w as i32)).unzip();
    for (numbers, bits) in [
        (Numbers::i8(&bytes, 0), 0),
        (Numbers::i8(&bytes, 7), 7),
        (Numbers::i16(&i16s, 0), 0),
        (Numbers::i32(&i32s, 3), 3),
        (Numbers::i64(&want, 90), 90),
        (Numbers::f32(&singles), 2),
        (Numbers::f16(&halves), 2),
        (Numbers::bf16(&brains), 2),
    ] {
        assert_eq!(given(numbers, bits).unwrap(), want);
    }
    let twice: Vec<i64> = want.iter().map(|w| 2 * w).collect();
    assert_eq!(given(Numbers::i8(&bytes, 3), 4).unwrap(), twice);
    assert_eq!(given(Numbers::i64(&twice, 1), 0).unwrap(), want);
    let transposed: Vec<i8> = (0..18).map(|i| bytes[i % 6 * 3 + i / 6]).collect();
    assert_eq!(given(Numbers::i8(&transposed, 0).by_output(), 0).unwrap(), want);
    // The plain operand of the other side is m x k.
    let right = Plan::new(&params, &request.encrypted(Encrypted::Right)).unwrap();
    let all: Vec<i16> = (0..24).map(|i| i * 31 - 300).collect();
    let transposed: Vec<i16> = (0..24).map(|i| all[i % 4 * 6 + i / 4]).collect();
    let have = right
        .encode_weights(Numbers::i16(&transposed, 0).by_output(), 0)
        .unwrap();
    assert_eq!(
        have.values(),
        all.iter().map(|x| i64::from(*x)).collect::<Vec<_>>()
    );

    let refused = |numbers: Numbers<'_>, bits: u32, (r, c): (usize, usize)| {
        let error = given(numbers, bits).unwrap_err();
        let found =
            matches!(error, CoefficientError::NoInteger { row, column, .. } if (row, column) == (r, c));
        assert!(found, "{error}");
    };
    for bad in [0.5, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -9.3e18] {
        let mut numbers = [3.0f32; 18];
        numbers[7] = bad;
        refused(Numbers::f32(&numbers), 0, (2, 1));
    }
    refused(Numbers::f32(&[1.0; 18]), 1000, (0, 0));
    refused(Numbers::f32(&[1.0; 18]), u32::MAX, (0, 0));
    refused(Numbers::i8(&[2; 18], 2), 0, (0, 0));
    refused(Numbers::i8(&[2; 18], u32::MAX), 0, (0, 0));
    refused(Numbers::i64(&[1; 18], 0), 63, (0, 0));
    refused(Numbers::i64(&[1; 18], 0), u32::MAX, (0, 0));
    refused(Numbers::i64(&[4; 18], 0), 62, (0, 0));
    assert_eq!(given(Numbers::i64(&[0; 18], 0), u32::MAX).unwrap(), [0; 18]);
    let error = given(Numbers::i16(&[2001; 18], 0), 0).unwrap_err();
    assert!(
        matches!(error, CoefficientError::Weight { value: 2001, .. }),
        "{error}"
    );
    let error = given(Numbers::i64(&[i64::MIN; 18], 0), 0).unwrap_err();
    assert!(
        matches!(error, CoefficientError::Weight { value: i64::MIN, .. }),
        "{error}"
    );
    let error = given(Numbers::i8(&bytes[1..], 0), 0).unwrap_err();
    assert!(
        matches!(error, CoefficientError::Length { given: 17, .. }),
        "{error}"
    );
    let both = Plan::new(
        &params,
        &Request::new(Shape::new(1, 1, 1)).encrypted(Encrypted::Both),
    );
    let error = both.unwrap().encode_weights(Numbers::i8(&[1], 0), 0).unwrap_err();
    assert!(matches!(error, CoefficientError::Operand { .. }), "{error}");
}
