//! Laws of modulus chains: what is built passes its check, what is shipped is what its specification gives, and a table
//! with a fault is refused by name.

use cipherformer::{
    arith::ntt_primes,
    ring::{
        ChainError, ChainKind, ChainSpec, ChainTable, Scale, build, log2_product, security::SecurityError,
        shipped,
    },
};
use num_bigint::BigUint;
use proptest::prelude::*;

#[test]
fn shipped_chains_have_128_bits_and_their_specification() {
    for ((name, table), (spec_name, spec)) in shipped::chains().zip(shipped::specs()) {
        assert_eq!(name, spec_name);
        let report = table.check().unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(report.security_bits >= 128, "{name}");
        fits(&table, &spec);
        assert_eq!(shipped::chain(name).as_ref(), Some(&table));
        assert_eq!(shipped::insecure_chain(name), None);
    }
    assert_eq!(shipped::chains().count(), shipped::specs().len());
}

#[test]
fn insecure_chains_say_so_and_are_sound_otherwise() {
    for ((name, table), (spec_name, spec)) in shipped::insecure_chains().zip(shipped::insecure_specs()) {
        assert_eq!(name, spec_name);
        assert!(name.starts_with("insecure_"));
        let report = table.check_insecure().unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(report.security_bits, 0, "{name}");
        assert!(report.to_string().contains("INSECURE"));
        assert!(matches!(table.check(), Err(ChainError::Security(_))), "{name}");
        fits(&table, &spec);
        assert_eq!(shipped::chain(name), None);
    }
    assert_eq!(
        shipped::insecure_chains().count(),
        shipped::insecure_specs().len()
    );
}

/// The longest chains are left to `cargo xtask chains --check`.
#[test]
fn committed_tables_are_what_their_specifications_give() {
    let all = shipped::chains().chain(shipped::insecure_chains());
    for ((name, table), (_, spec)) in all.zip(shipped::specs().into_iter().chain(shipped::insecure_specs())) {
        if spec.log_n < 15 {
            assert_eq!(build(&spec).unwrap(), table, "{name}: run `cargo xtask chains`");
        }
    }
}

/// D_{l-1} = D_l^2 2^absorbed prod(A) / prod(R), cross-multiplied in big integers.
#[test]
fn scales_follow_the_steps_in_big_integers() {
    for name in ["n13_rational40_l2_d3", "langid", "n14_pair55_l4_d2"] {
        let table = shipped::chain(name).unwrap();
        let scales = table.exact_scales().unwrap();
        let fraction = |scale: &Scale| {
            let mut parts = [BigUint::from(1u32), BigUint::from(1u32)];
            for (p, e) in scale.prime_exponents().chain([(2, scale.two_exponent())]) {
                parts[usize::from(e < 0)] *= BigUint::from(p).pow(e.unsigned_abs() as u32);
            }
            parts
        };
        let value = |i: &u16| BigUint::from(table.primes[usize::from(*i)]);
        for level in 1..table.levels.len() {
            let (added, removed) = table.step(level);
            let [up, down] = fraction(&scales[level]);
            let [low_up, low_down] = fraction(&scales[level - 1]);
            let absorbed = table.levels[level].absorbed_bits;
            let left = (&up * &up * added.iter().map(value).product::<BigUint>() * low_down) << absorbed;
            let right = &down * &down * removed.iter().map(value).product::<BigUint>() * low_up;
            assert_eq!(left, right, "{name} level {level}");
        }
        assert_eq!(fraction(scales.last().unwrap())[1], BigUint::from(1u32));
    }
}

#[test]
fn refusals_name_the_fault() {
    let spec = |kind, scale: f64, levels: usize| ChainSpec {
        log_n: 14,
        kind,
        scale_bits: vec![scale; levels + 1],
        absorbed_bits: vec![0; levels],
        base_bits: scale + 10.0,
        digits: 3,
        special_margin_bits: 2.0,
        max_log2_qp: None,
    };
    use ChainKind::{Pair, Rational, Single};
    let good = spec(Rational, 40.0, 2);
    assert!(build(&good).is_ok());
    let error = |change: &dyn Fn(&mut ChainSpec)| {
        let mut s = good.clone();
        change(&mut s);
        build(&s).unwrap_err()
    };
    assert!(matches!(
        error(&|s| s.log_n = 18),
        ChainError::Degree { log_n: 18 }
    ));
    assert!(matches!(
        error(&|s| s.scale_bits[2] = 40.5),
        ChainError::TopScale { .. }
    ));
    assert!(matches!(
        error(&|s| s.scale_bits[1] = f64::NAN),
        ChainError::Range { .. }
    ));
    assert!(matches!(
        error(&|s| s.scale_bits.clear()),
        ChainError::Range { .. }
    ));
    assert!(matches!(
        error(&|s| s.absorbed_bits.clear()),
        ChainError::Length { .. }
    ));
    assert!(matches!(
        error(&|s| s.absorbed_bits[0] = 80),
        ChainError::Range { .. }
    ));
    assert!(matches!(error(&|s| s.base_bits = 30.0), ChainError::Range { .. }));
    assert!(matches!(error(&|s| s.digits = 0), ChainError::Range { .. }));
    assert!(matches!(
        error(&|s| s.digits = 200),
        ChainError::Length { want: 200, .. }
    ));
    assert!(matches!(
        error(&|s| s.special_margin_bits = -1.0),
        ChainError::Range { .. }
    ));
    assert!(matches!(
        error(&|s| s.max_log2_qp = Some(f64::INFINITY)),
        ChainError::Range { .. }
    ));
    assert!(matches!(
        error(&|s| s.max_log2_qp = Some(180.0)),
        ChainError::TooLarge { .. }
    ));
    assert!(matches!(
        error(&|s| s.log_n = 9),
        ChainError::Security(SecurityError::NoBound { log_n: 9, bits: 128 })
    ));
    assert!(matches!(
        build(&spec(Pair, 55.0, 12)),
        Err(ChainError::TooLarge { .. })
    ));
    assert!(matches!(
        build(&spec(Pair, 60.0, 3)),
        Err(ChainError::Unreachable { level: 3, .. })
    ));
    assert!(matches!(
        build(&spec(Single, 40.0, 2)),
        Err(ChainError::Range { .. })
    ));
    let message = build(&spec(Pair, 55.0, 6)).unwrap_err().to_string();
    assert!(
        message.contains("430") && message.contains("fewer levels"),
        "{message}"
    );
}

#[test]
fn an_insecure_modulus_is_refused() {
    let table = shipped::chain("n14_rational40_l5_d3").unwrap();
    let mut large = table.clone();
    large.special.extend(ntt_primes(14, 1 << 28, 1 << 29).take(1));
    assert!(large.check_insecure().is_ok());
    assert!(matches!(
        large.check(),
        Err(ChainError::Security(SecurityError::Modulus { bound: 430, .. }))
    ));
    let smaller = ChainTable { log_n: 13, ..table };
    assert!(matches!(
        smaller.check(),
        Err(ChainError::Security(SecurityError::Modulus { bound: 214, .. }))
    ));
}

fn fits(table: &ChainTable, spec: &ChainSpec) {
    assert_eq!(
        (table.log_n, table.kind, table.digits()),
        (spec.log_n, spec.kind, spec.digits)
    );
    let nominal: Vec<f64> = table.levels.iter().map(|l| l.nominal_bits).collect();
    assert_eq!(nominal, spec.scale_bits);
    let absorbed: Vec<i32> = table.levels[1..].iter().map(|l| l.absorbed_bits).collect();
    assert_eq!(absorbed, spec.absorbed_bits);
    assert!(table.log2_q(0) >= spec.base_bits);
    let largest = (0..table.digits() as u8)
        .map(|d| log2_product(&table.digit_primes(d)))
        .fold(0.0, f64::max);
    assert!(log2_product(&table.special) >= largest + spec.special_margin_bits);
    // A key truncated at a level keeps a prefix of U.
    let mut union = std::collections::BTreeSet::new();
    for level in &table.levels {
        union.extend(level.primes.iter().copied());
        assert!(union.iter().copied().eq(0..union.len() as u16));
    }
}

fn any_spec() -> impl Strategy<Value = ChainSpec> {
    let kind = prop::sample::select(vec![
        (ChainKind::Single, 24u32, 31u32),
        (ChainKind::Pair, 48, 61),
        (ChainKind::Rational, 25, 50),
    ]);
    (
        4u32..=17,
        kind,
        0usize..6,
        1usize..8,
        2.0f64..40.0,
        0.0f64..10.0,
        any::<bool>(),
    )
        .prop_flat_map(
            |(log_n, (kind, low, high), levels, digits, above, margin, bound)| {
                let scales = prop::collection::vec(-1.0f64..1.0, levels);
                (scales, low..high, prop::collection::vec(-4i32..12, levels)).prop_map(
                    move |(off, top, absorbed)| {
                        let wander = if kind == ChainKind::Rational { 1.0 } else { 0.05 };
                        let mut scale_bits: Vec<f64> =
                            off.iter().map(|d| f64::from(top) + wander * d).collect();
                        scale_bits.push(f64::from(top));
                        ChainSpec {
                            log_n,
                            kind,
                            base_bits: scale_bits[0] + above,
                            scale_bits,
                            absorbed_bits: if kind == ChainKind::Rational {
                                absorbed
                            } else {
                                vec![0; levels]
                            },
                            digits,
                            special_margin_bits: margin,
                            max_log2_qp: bound.then_some(2000.0),
                        }
                    },
                )
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_built_chain_passes_its_check(spec in any_spec()) {
        match build(&spec) {
            Ok(table) => {
                let report = table.check_insecure();
                prop_assert!(report.is_ok(), "{:?} {:?}", spec, report);
                fits(&table, &spec);
                if spec.max_log2_qp.is_none() {
                    prop_assert!(table.check().is_ok());
                }
                prop_assert_eq!(build(&spec).unwrap(), table);
            }
            Err(error) => prop_assert!(error.to_string().len() > 30, "{}", error),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_with_a_fault_is_refused(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), fault in 0..14) {
        let all: Vec<ChainTable> = shipped::chains().map(|(_, t)| t).filter(|t| t.levels.len() > 2).collect();
        let good = &all[which.index(all.len())];
        let mut t = good.clone();
        let (prime, level) = (at.index(t.primes.len()), at.index(t.levels.len()));
        match fault {
            // Swapped with one of another level; a swap inside a step would change nothing.
            0 => { let last = t.primes.len() - 1; t.primes.swap(0, last); }
            1 => t.levels[level].primes.push(t.primes.len() as u16),
            2 => t.primes[prime] += 2 << t.log_n << u32::from(t.primes[prime] < 1 << 29),
            3 => t.primes[prime] = if prime == 0 { t.primes[1] } else { t.primes[0] },
            4 => t.special[0] = t.primes[prime],
            5 => { t.special.pop(); }
            6 => t.digit_of.iter_mut().for_each(|d| *d = 0),
            7 => { t.digit_of.pop(); }
            8 => *t.digit_of.last_mut().unwrap() += 2,
            9 => t.levels[level].primes.reverse(),
            10 => { t.levels[level].primes.clear(); }
            11 => t.levels[level].nominal_bits += 0.2,
            12 => t.levels[level].absorbed_bits += 1,
            _ => t.primes.push(ntt_primes(t.log_n, 1 << 25, 1 << 26).next().unwrap()),
        }
        let outcome = t.check();
        // Another prime of the same size may by chance keep every scale; every other fault shows.
        let harmless = fault == 2 || fault == 0 || fault == 4;
        prop_assert!(outcome.is_err() || (harmless && t.check_insecure().is_ok() && t.primes != good.primes), "fault {}", fault);
    }

    #[test]
    fn nothing_written_into_a_table_makes_its_check_fail_otherwise(
        log_n in any::<u32>(),
        primes in prop::collection::vec(any::<u32>(), 0..4),
        digit_of in prop::collection::vec(any::<u8>(), 0..4),
        sets in prop::collection::vec((prop::collection::vec(any::<u16>(), 0..3), any::<f64>(), any::<i32>()), 0..3),
    ) {
        let levels = sets.into_iter().map(|(primes, nominal_bits, absorbed_bits)| cipherformer::ring::LevelTable {
            primes, nominal_bits, absorbed_bits,
        }).collect();
        let table = ChainTable { log_n, kind: ChainKind::Rational, special: primes.clone(), primes, digit_of, levels };
        prop_assert!(table.check().is_err());
        table.digits();
        let _ = (table.exact_scales(), table.log2_q(9), table.top(), table.step(0));
    }
}
