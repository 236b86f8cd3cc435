//! Laws of rings, transforms, automorphisms, conversions and steps, for random operands on the CPU backend.

#![cfg(feature = "fallback")]
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use cipherformer::{
    arith::{Modulus, multiply_by_schoolbook, ntt_primes},
    backend::{Backend, BasisStep, Mut, Ref, Result, Row, Span, compact, cpu::Cpu},
    ring::{Basis, Conversion, Crt, Galois, Step},
};
use num_bigint::BigInt;
use proptest::prelude::*;

const LOG_N: u32 = 5;
const N: usize = 1 << LOG_N;

type Tables = <Cpu as Backend>::Tables;

/// Large primes, one of middle size, and the smallest.
fn basis() -> Basis {
    let small = ntt_primes(LOG_N, 2, 1 << 12).last().unwrap();
    let primes: Vec<u32> = ntt_primes(LOG_N, 2, 1 << 30)
        .take(10)
        .chain(ntt_primes(LOG_N, 2, 1 << 22).take(1))
        .chain([small])
        .collect();
    Basis::new(LOG_N, &primes).unwrap()
}

fn start() -> (Cpu, Basis, Tables) {
    let (cpu, basis) = (Cpu::poisoned(), basis());
    let tables = cpu.tables(&basis).unwrap();
    (cpu, basis, tables)
}

/// One polynomial modulo some primes.
struct Rows {
    rows: Vec<Row>,
    buffer: <Cpu as Backend>::Buffer,
}

impl Rows {
    fn fresh(cpu: &Cpu, primes: &[u32]) -> Self {
        let rows = compact(primes);
        let buffer = cpu.alloc(LOG_N, rows.len()).unwrap();
        Self { rows, buffer }
    }

    /// Canonical rows from any numbers.
    fn new(cpu: &Cpu, basis: &Basis, primes: &[u32], numbers: &[u64]) -> Self {
        let mut rows = Self::fresh(cpu, primes);
        let reduced = |(i, x): (usize, &u64)| basis.prime(primes[i / N]).reduce(*x);
        let words: Vec<u32> = numbers.iter().enumerate().map(reduced).collect();
        cpu.upload(rows.write(), &words).unwrap();
        rows
    }

    fn write(&mut self) -> Mut<'_, Cpu> {
        Mut::new(&mut self.buffer, Span::dense(1, 1, &self.rows))
    }

    fn read(&self) -> Ref<'_, Cpu> {
        Ref::new(&self.buffer, Span::dense(1, 1, &self.rows))
    }

    fn words(&self, cpu: &Cpu) -> Vec<u32> {
        let mut words = vec![0; self.rows.len() * N];
        cpu.download(self.read(), &mut words).unwrap();
        words
    }

    fn primes(&self) -> Vec<u32> {
        self.rows.iter().map(|r| r.prime).collect()
    }

    /// A copy, changed.
    fn then(&self, cpu: &Cpu, change: impl FnOnce(Mut<Cpu>) -> Result<()>) -> Self {
        let mut copy = Self::fresh(cpu, &self.primes());
        cpu.copy(copy.write(), self.read()).unwrap();
        change(copy.write()).unwrap();
        copy
    }
}

/// Numbers for `count` rows, a quarter of them extreme.
fn numbers(count: usize) -> impl Strategy<Value = Vec<u64>> {
    let number = prop_oneof![3 => any::<u64>(), 1 => prop_oneof![Just(0u64), Just(u64::MAX)]];
    prop::collection::vec(number, count * N)
}

const PRIMES: [u32; 3] = [0, 11, 10];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_are_a_commutative_ring(x in numbers(3), y in numbers(3), z in numbers(3)) {
        let (cpu, basis, t) = start();
        let [x, y, z] = [x, y, z].map(|v| Rows::new(&cpu, &basis, &PRIMES, &v));
        let add = |a: &Rows, b: &Rows| a.then(&cpu, |dst| cpu.add(&t, dst, b.read()));
        let mul = |a: &Rows, b: &Rows| a.then(&cpu, |dst| cpu.mul(&t, dst, a.read(), b.read()));
        let neg = |a: &Rows| a.then(&cpu, |dst| cpu.neg(&t, dst));
        let words = |a: &Rows| a.words(&cpu);
        prop_assert_eq!(words(&add(&x, &y)), words(&add(&y, &x)));
        prop_assert_eq!(words(&mul(&x, &y)), words(&mul(&y, &x)));
        prop_assert_eq!(words(&add(&add(&x, &y), &z)), words(&add(&x, &add(&y, &z))));
        prop_assert_eq!(words(&mul(&mul(&x, &y), &z)), words(&mul(&x, &mul(&y, &z))));
        prop_assert_eq!(words(&mul(&x, &add(&y, &z))), words(&add(&mul(&x, &y), &mul(&x, &z))));
        prop_assert!(words(&add(&x, &neg(&x))).iter().all(|w| *w == 0));
        let difference = x.then(&cpu, |dst| cpu.sub(&t, dst, y.read()));
        prop_assert_eq!(words(&difference), words(&add(&x, &neg(&y))));
        let fused = z.then(&cpu, |dst| cpu.mul_add(&t, dst, x.read(), y.read()));
        prop_assert_eq!(words(&fused), words(&add(&z, &mul(&x, &y))));
    }

    #[test]
    fn the_transform_is_linear_and_turns_convolutions_into_products(x in numbers(3), y in numbers(3), c in any::<u64>()) {
        let (cpu, basis, t) = start();
        let [x, y] = [x, y].map(|v| Rows::new(&cpu, &basis, &PRIMES, &v));
        let ntt = |a: &Rows| a.then(&cpu, |dst| cpu.ntt(&t, dst));
        let c: Vec<u32> = PRIMES.iter().map(|i| basis.prime(*i).reduce(c)).collect();
        let combine = |a: &Rows, b: &Rows| a.then(&cpu, |dst| cpu.mul_const_add(&t, dst, b.read(), &c));
        prop_assert_eq!(ntt(&combine(&x, &y)).words(&cpu), combine(&ntt(&x), &ntt(&y)).words(&cpu));
        let (a, b) = (ntt(&x), ntt(&y));
        let product = a.then(&cpu, |mut dst| {
            cpu.mul(&t, dst.again(), a.read(), b.read())?;
            cpu.intt(&t, dst)
        });
        let (x, y) = (x.words(&cpu), y.words(&cpu));
        let rows = x.chunks(N).zip(y.chunks(N)).zip(PRIMES);
        let want: Vec<u32> = rows.flat_map(|((x, y), i)| multiply_by_schoolbook(basis.prime(i), x, y)).collect();
        prop_assert_eq!(product.words(&cpu), want);
    }

    #[test]
    fn automorphisms_compose_and_respect_the_ring(x in numbers(3), y in numbers(3), g in 0..N as u32, h in 0..N as u32) {
        let (cpu, basis, t) = start();
        let [x, y] = [x, y].map(|v| Rows::new(&cpu, &basis, &PRIMES, &v));
        let element = |g: u32| Galois::new(2 * g + 1, LOG_N).unwrap();
        let (g, h) = (element(g), element(h));
        let apply = |g: Galois, a: &Rows| a.then(&cpu, |dst| cpu.permute(&t, dst, a.read(), &[g]));
        let mul = |a: &Rows, b: &Rows| a.then(&cpu, |dst| cpu.mul(&t, dst, a.read(), b.read()));
        prop_assert_eq!(apply(g, &apply(h, &x)).words(&cpu), apply(g.after(h, LOG_N), &x).words(&cpu));
        prop_assert_eq!(apply(g.inverse(LOG_N), &apply(g, &x)).words(&cpu), x.words(&cpu));
        prop_assert_eq!(apply(g, &mul(&x, &y)).words(&cpu), mul(&apply(g, &x), &apply(g, &y)).words(&cpu));
        let turned = |a: &Rows| a.then(&cpu, |dst| cpu.mul_i(&t, dst));
        prop_assert_eq!(turned(&turned(&x)).words(&cpu), x.then(&cpu, |dst| cpu.neg(&t, dst)).words(&cpu));
    }

    #[test]
    fn conversions_lift_to_within_half_of_the_modulus(
        x in numbers(9), count in 1..=9usize, shift in 0..12usize, from_half in any::<bool>(),
    ) {
        let (cpu, basis, t) = start();
        let order: Vec<u32> = (0..12).map(|i| ((i + shift) % 12) as u32).collect();
        let (sources, targets) = order.split_at(count);
        let source = if from_half {
            half(&cpu, &basis, sources)
        } else {
            Rows::new(&cpu, &basis, sources, &x[..count * N])
        };
        let conversion = cpu.conversion(&t, &Conversion::new(&basis, sources, targets)).unwrap();
        let mut result = Rows::fresh(&cpu, targets);
        cpu.convert(&t, result.write(), source.read(), &conversion).unwrap();
        // All residues together tell the lift, as an integer modulo everything.
        let values = |i: &[u32]| i.iter().map(|i| basis.prime(*i).value()).collect::<Vec<_>>();
        let whole = Crt::new(&values(&order)).unwrap();
        let product = BigInt::from(Crt::new(&values(sources)).unwrap().product().clone());
        let words = [source.words(&cpu), result.words(&cpu)].concat();
        for lift in whole.lift_rows(&words, N).unwrap() {
            prop_assert!(BigInt::from(lift.magnitude().clone() << 28u32) <= &product * ((1u64 << 27) + 1));
        }
    }

    #[test]
    fn steps_divide_to_within_half(x in numbers(6), which in 0..7usize) {
        let (cpu, basis, t) = start();
        let (from, to): (&[u32], &[u32]) = [
            (&[0, 1, 2][..], &[0, 1][..]),
            (&[0, 1, 2, 3], &[0]),
            (&[1, 2, 10, 11], &[1, 2]),
            (&[0, 1, 2, 8, 9], &[0, 1, 2]),
            (&[0, 1, 10], &[0, 1, 2]),
            (&[0, 1, 2, 3, 8, 9], &[0, 1, 4, 10]),
            (&[0, 1], &[0, 1, 2]),
        ][which];
        let source = Rows::new(&cpu, &basis, from, &x[..from.len() * N]);
        let step = Step::new(&basis, from, to);
        let conversion = cpu.conversion(&t, &step.conversion).unwrap();
        let step = BasisStep { step, conversion };
        let eval = source.then(&cpu, |dst| cpu.ntt(&t, dst));
        let mut result = Rows::fresh(&cpu, to);
        cpu.step(&t, result.write(), eval.read(), &step).unwrap();
        cpu.intt(&t, result.write()).unwrap();
        let product = |set: &[u32], less: &[u32]| -> BigInt {
            let rest = set.iter().filter(|i| !less.contains(i));
            rest.map(|i| BigInt::from(basis.prime(*i).value())).product()
        };
        let (removed, added, modulus) = (product(from, to), product(to, from), product(to, &[]));
        let values = |i: &[u32]| i.iter().map(|i| basis.prime(*i).value()).collect::<Vec<_>>();
        let before = Crt::new(&values(from)).unwrap().lift_rows(&source.words(&cpu), N).unwrap();
        let after = Crt::new(&values(to)).unwrap().lift_rows(&result.words(&cpu), N).unwrap();
        for (x, y) in before.iter().zip(&after) {
            // |y - x A / R| <= 1/2 + 2^-20, with y known modulo the new modulus.
            let error = centred(y * &removed - x * &added, &(&removed * &modulus));
            prop_assert!(BigInt::from(error.magnitude().clone() << 20u32) <= &removed * ((1u64 << 19) + 1));
        }
    }
}

/// The representative of x modulo m in (-m/2, m/2].
fn centred(x: BigInt, m: &BigInt) -> BigInt {
    let r = ((x % m) + m) % m;
    if &r * 2 > *m { r - m } else { r }
}

/// Integers around half of the product.
fn half(cpu: &Cpu, basis: &Basis, primes: &[u32]) -> Rows {
    let moduli: Vec<Modulus> = primes.iter().map(|i| basis.prime(*i)).collect();
    let product: BigInt = moduli.iter().map(|m| BigInt::from(m.value())).product();
    let residue = |m: Modulus, k: usize| {
        let x: BigInt = (&product >> 1u32) + k as i64 - N as i64 / 2;
        let r = ((x % m.value()) + m.value()) % m.value();
        r.magnitude().iter_u64_digits().next().unwrap_or(0)
    };
    let numbers: Vec<u64> = moduli
        .iter()
        .flat_map(|m| (0..N).map(|k| residue(*m, k)))
        .collect();
    Rows::new(cpu, basis, primes, &numbers)
}
