//! The numerical contract against answers from unbounded integers (`tests/vectors/generate.py`), for every backend here.

#![cfg(feature = "fallback")]
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use cipherformer::{
    arith::{Complex, Double, Embedding, Modulus, smallest_root},
    backend::{Backend, BasisStep, Mut, Ref, Span, compact, cpu::Cpu, oracle::Oracle},
    ring::{Basis, Conversion, Galois, Step},
    sample::PublicSeed,
};
use serde::{Deserialize, de::DeserializeOwned};

fn vectors<T: DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Both backends pass `$check`.
macro_rules! on_every_backend {
    ($($name:ident => $check:ident;)*) => {
        $(#[test]
        fn $name() {
            $check(&Oracle);
            $check(&Cpu::poisoned());
        })*
    };
}

on_every_backend! {
    transforms_in_contract_order => transforms;
    automorphisms_permute_evaluations => automorphisms;
    conversions_follow_the_formula => conversions;
    steps_round_exact_quotients => steps;
    seeds_expand_by_position => uniform;
    slots_embed_to_the_nearest_integers => embeddings;
}

/// One item and polynomial of the given primes: fresh memory that `write` fills, downloaded.
fn rows<B: Backend>(
    b: &B,
    t: &B::Tables,
    primes: &[u32],
    polys: usize,
    write: impl FnOnce(Mut<B>),
) -> Vec<u32> {
    let (rows, n) = (compact(primes), 1usize << b.log_n(t));
    let span = Span::dense(1, polys, &rows);
    let mut buffer = b.alloc(b.log_n(t), span.count()).unwrap();
    write(Mut::new(&mut buffer, span));
    let mut words = vec![0; span.count() * n];
    b.download(Ref::new(&buffer, span), &mut words).unwrap();
    words
}

/// The rows, uploaded.
fn upload<B: Backend>(b: &B, t: &B::Tables, primes: &[u32], words: &[u32]) -> B::Buffer {
    let rows = compact(primes);
    let mut buffer = b.alloc(b.log_n(t), rows.len()).unwrap();
    b.upload(Mut::new(&mut buffer, Span::dense(1, 1, &rows)), words)
        .unwrap();
    buffer
}

/// f_k = ((k + 1)^5 7919 + 13) mod p.
fn sample_row(p: u32, n: usize) -> Vec<u32> {
    let value = |k: u128| ((k + 1).pow(5) * 7919 + 13) % u128::from(p);
    (0..n as u128).map(|k| value(k) as u32).collect()
}

/// FNV-1a of the little-endian bytes.
fn fnv(words: &[u32]) -> u64 {
    words
        .iter()
        .flat_map(|w| w.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |h, byte| {
            (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[derive(Deserialize)]
struct Transforms {
    roots: Vec<Root>,
    transforms: Vec<Transform>,
}

#[derive(Deserialize)]
struct Root {
    log_n: u32,
    p: u32,
    psi: u32,
}

#[derive(Deserialize)]
struct Transform {
    log_n: u32,
    p: u32,
    values: Option<Vec<u32>>,
    fnv: Option<String>,
    first: Option<Vec<u32>>,
    last: Option<Vec<u32>>,
}

#[test]
fn roots_are_the_smallest() {
    for Root { log_n, p, psi } in vectors::<Transforms>("transforms").roots {
        assert_eq!(
            smallest_root(Modulus::new(p).unwrap(), log_n),
            Ok(psi),
            "N = 2^{log_n}, p = {p}"
        );
    }
}

fn transforms<B: Backend>(b: &B) {
    for case in vectors::<Transforms>("transforms").transforms {
        let (log_n, n) = (case.log_n, 1usize << case.log_n);
        let t = b.tables(&Basis::new(log_n, &[case.p]).unwrap()).unwrap();
        let f = sample_row(case.p, n);
        let have = rows(b, &t, &[0], 1, |mut dst| {
            b.upload(dst.again(), &f).unwrap();
            b.ntt(&t, dst).unwrap();
        });
        match case.values {
            Some(values) => assert_eq!(have, values),
            None => {
                assert_eq!(have[..4], case.first.unwrap());
                assert_eq!(have[n - 4..], case.last.unwrap());
                assert_eq!(fnv(&have).to_string(), case.fnv.unwrap(), "N = 2^{log_n}");
            }
        }
        let back = rows(b, &t, &[0], 1, |mut dst| {
            b.upload(dst.again(), &have).unwrap();
            b.intt(&t, dst).unwrap();
        });
        assert_eq!(back, f);
    }
}

#[derive(Deserialize)]
struct Automorphism {
    log_n: u32,
    p: u32,
    rotation: Option<i64>,
    g: u32,
    table: Vec<u32>,
    values: Vec<u32>,
}

fn automorphisms<B: Backend>(b: &B) {
    for case in vectors::<Vec<Automorphism>>("galois") {
        let g = Galois::new(case.g, case.log_n).unwrap();
        if let Some(k) = case.rotation {
            assert_eq!(Galois::rotation(k, case.log_n), g);
        }
        assert_eq!(g.evaluation_table(case.log_n), case.table);
        let t = b.tables(&Basis::new(case.log_n, &[case.p]).unwrap()).unwrap();
        let mut source = upload(b, &t, &[0], &sample_row(case.p, 1 << case.log_n));
        let (row, log_n) = (compact(&[0]), case.log_n);
        b.ntt(&t, Mut::new(&mut source, Span::dense(1, 1, &row))).unwrap();
        let from = Ref::new(&source, Span::dense(1, 1, &row));
        let have = rows(b, &t, &[0], 1, |dst| b.permute(&t, dst, from, &[g]).unwrap());
        assert_eq!(have, case.values, "N = 2^{log_n}, g = {}", case.g);
    }
}

#[derive(Deserialize)]
struct Family<T> {
    log_n: u32,
    primes: Vec<u32>,
    cases: Vec<T>,
}

impl<T> Family<T> {
    fn basis(&self) -> Basis {
        Basis::new(self.log_n, &self.primes).unwrap()
    }
}

#[derive(Deserialize)]
struct ConversionCase {
    sources: Vec<u32>,
    targets: Vec<u32>,
    before: String,
    after: String,
    input: Vec<Vec<u32>>,
    output: Vec<Vec<u32>>,
}

fn conversions<B: Backend>(b: &B) {
    let family: Family<ConversionCase> = vectors("conversions");
    let basis = family.basis();
    let t = b.tables(&basis).unwrap();
    for case in &family.cases {
        let factor = |text: &str| text.parse::<u64>().unwrap();
        let (before, after) = (factor(&case.before), factor(&case.after));
        let constants = Conversion::scaled(
            &basis,
            &case.sources,
            &case.targets,
            |q| q.reduce(before),
            |r| r.reduce(after),
        );
        let prepared = b.conversion(&t, &constants).unwrap();
        let source = upload(b, &t, &case.sources, &case.input.concat());
        let from = compact(&case.sources);
        let from = Ref::new(&source, Span::dense(1, 1, &from));
        let have = rows(b, &t, &case.targets, 1, |dst| {
            b.convert(&t, dst, from, &prepared).unwrap();
        });
        assert_eq!(
            have,
            case.output.concat(),
            "{:?} -> {:?}",
            case.sources,
            case.targets
        );
    }
}

#[derive(Deserialize)]
struct StepCase {
    name: String,
    from: Vec<u32>,
    to: Vec<u32>,
    input: Vec<Vec<u32>>,
    output: Vec<Vec<u32>>,
}

fn steps<B: Backend>(b: &B) {
    let family: Family<StepCase> = vectors("steps");
    let basis = family.basis();
    let t = b.tables(&basis).unwrap();
    for case in &family.cases {
        let step = Step::new(&basis, &case.from, &case.to);
        let conversion = b.conversion(&t, &step.conversion).unwrap();
        let step = BasisStep { step, conversion };
        let mut source = upload(b, &t, &case.from, &case.input.concat());
        let from = compact(&case.from);
        let span = Span::dense(1, 1, &from);
        b.ntt(&t, Mut::new(&mut source, span)).unwrap();
        let have = rows(b, &t, &case.to, 1, |mut dst| {
            b.step(&t, dst.again(), Ref::new(&source, span), &step).unwrap();
            b.intt(&t, dst).unwrap();
        });
        assert_eq!(have, case.output.concat(), "{}", case.name);
    }
}

#[derive(Deserialize)]
struct UniformCase {
    seed: [u8; 32],
    label: String,
    rows: Vec<Vec<u32>>,
}

fn uniform<B: Backend>(b: &B) {
    let family: Family<UniformCase> = vectors("uniform");
    let t = b.tables(&family.basis()).unwrap();
    let all: Vec<u32> = (0..family.primes.len() as u32).collect();
    for case in &family.cases {
        let label = case.label.parse().unwrap();
        let have = rows(b, &t, &all, 2, |dst| {
            b.expand(&t, dst, &[PublicSeed(case.seed)], label).unwrap();
        });
        assert_eq!(have, case.rows.concat(), "label {label}");
    }
}

#[derive(Deserialize)]
struct EmbeddingCase {
    scale_log2: i32,
    slots_times_1024: Vec<[i32; 2]>,
    coefficients: Vec<String>,
}

fn embeddings<B: Backend>(b: &B) {
    let family: Family<EmbeddingCase> = vectors("embeddings");
    let basis = family.basis();
    let t = b.tables(&basis).unwrap();
    let embedding = Embedding::new(family.log_n);
    let all: Vec<u32> = (0..family.primes.len() as u32).collect();
    for case in &family.cases {
        let part = |x: i32| f64::from(x) / 1024.0;
        let slots: Vec<Complex> = (case.slots_times_1024.iter())
            .map(|[re, im]| Complex::new(part(*re), part(*im)))
            .collect();
        let scale = Double::ONE.ldexp(case.scale_log2);
        let have = rows(b, &t, &all, 1, |dst| {
            b.embed(&t, dst, &embedding, &slots, scale).unwrap();
        });
        let whole = |text: &String| text.parse::<i128>().unwrap();
        let residues = |m: &Modulus| {
            let m = *m;
            case.coefficients
                .iter()
                .map(move |c| m.reduce_signed_wide(whole(c)))
        };
        let want: Vec<u32> = basis.primes().iter().flat_map(residues).collect();
        assert_eq!(have, want, "{} slots at scale 2^{}", slots.len(), case.scale_log2);
    }
}
