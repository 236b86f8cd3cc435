//! The engine's core on the CPU backend: transforms, key switching, CKKS products, column products.
//!
//! Throughput is in the operation's floor: multiplications modulo a prime that no implementation of the same algorithm can do
//! without. Butterflies of a transform: N/2 log2 N a row.

use std::hint::black_box;

use cipherformer::{
    arith::Complex,
    backend::{Backend, Entries, Matrix, Mut, Span, compact, cpu::Cpu},
    ckks::{Ckks, Evaluator, Release},
    ring::Basis,
    rlwe::{Context, KeyNeeds, Params, SecretKey},
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn butterflies(log_n: u32, rows: usize) -> u64 {
    (u64::from(log_n) << (log_n - 1)) * rows as u64
}

fn ntt(c: &mut Criterion) {
    let mut group = c.benchmark_group("ntt");
    for log_n in 12..=16 {
        let p = cipherformer::arith::ntt_primes(log_n, 2, 1 << 30)
            .next()
            .unwrap_or_default();
        let cpu = Cpu::new();
        let Ok(basis) = Basis::new(log_n, &[p]) else {
            continue;
        };
        let (Ok(t), Ok(mut row)) = (cpu.tables(&basis), cpu.alloc(log_n, 1)) else {
            continue;
        };
        let rows = compact(&[0]);
        let words: Vec<u32> = (0..1u32 << log_n)
            .map(|i| i.wrapping_mul(2_654_435_761) % p)
            .collect();
        let _ = cpu.upload(Mut::new(&mut row, Span::dense(1, 1, &rows)), &words);
        group.throughput(Throughput::Elements(butterflies(log_n, 1)));
        group.bench_function(BenchmarkId::new("forward", log_n), |b| {
            b.iter(|| cpu.ntt(&t, Mut::new(black_box(&mut row), Span::dense(1, 1, &rows))));
        });
        group.bench_function(BenchmarkId::new("inverse", log_n), |b| {
            b.iter(|| cpu.intt(&t, Mut::new(black_box(&mut row), Span::dense(1, 1, &rows))));
        });
    }
    group.finish();
}

/// Transforms of a hybrid key switch with l limbs, k special primes, d digits: one inverse and d - 1 forward on the level's rows, d
/// forward on the special ones, then ModDown of two polynomials.
fn key_switch_floor(log_n: u32, l: usize, k: usize, d: usize) -> u64 {
    butterflies(log_n, l + (d - 1) * l + d * k + 2 * (k + l))
}

fn ckks(c: &mut Criterion) {
    let mut group = c.benchmark_group("ckks");
    group.sample_size(20);
    for name in ["langid", "n14_rational40_l5_d3", "n15_rational40_l13_d3"] {
        let Ok(params) = Params::shipped(name) else {
            continue;
        };
        let Ok(ctx) = Context::new(Cpu::new(), params.clone()) else {
            continue;
        };
        let ckks = Ckks::new(&ctx);
        let Ok(secret) = SecretKey::generate(&ctx) else {
            continue;
        };
        let needs = KeyNeeds::new(&params)
            .relinearise()
            .rotate([1, 2, 3, 4, 5, 6, 7, 8]);
        let Ok(keys) = secret.evaluation_keys(&needs).and_then(|k| k.expand(&ctx)) else {
            continue;
        };
        let values: Vec<Complex> = (0..ckks.max_slots())
            .map(|i| Complex::new((i as f64).sin(), 0.5))
            .collect();
        let sent = ckks.encrypt(&secret, &values, 1, params.top());
        let Ok(x) = sent.and_then(|s| s.expand(&ctx)) else {
            continue;
        };
        let ev = Evaluator::new(&ckks, &keys);
        let limbs = params.levels().last().map_or(0, |l| l.primes.len());
        let digits = usize::from(params.digit_of().iter().copied().max().unwrap_or(0)) + 1;
        let floor = key_switch_floor(params.log_n(), limbs, params.special().len(), digits);
        group.throughput(Throughput::Elements(floor));
        group.bench_function(BenchmarkId::new("mul_relin_rescale", name), |b| {
            b.iter(|| ev.mul(black_box(&x), &x).and_then(|p| ev.relinearise_rescale(&p)));
        });
        group.bench_function(BenchmarkId::new("rotate", name), |b| {
            b.iter(|| ev.rotate(black_box(&x), 1))
        });
        group.throughput(Throughput::Elements(8 * floor));
        group.bench_function(BenchmarkId::new("rotate_hoisted_8", name), |b| {
            b.iter(|| ev.rotate_hoisted(black_box(&x), &[1, 2, 3, 4, 5, 6, 7, 8]));
        });
        group.throughput(Throughput::Elements((limbs as u64) << params.log_n()));
        group.bench_function(BenchmarkId::new("encrypt", name), |b| {
            b.iter(|| ckks.encrypt(&secret, black_box(&values), 1, params.top()));
        });
        group.bench_function(BenchmarkId::new("decrypt", name), |b| {
            b.iter(|| {
                ckks.decrypt(&secret, black_box(&x))
                    .and_then(|d| d.release(Release::Owner))
            })
        });
    }
    group.finish();
}

fn gemm(c: &mut Criterion) {
    let mut group = c.benchmark_group("gemm");
    let (log_n, width) = (14, 32);
    let primes: Vec<u32> = cipherformer::arith::ntt_primes(log_n, 2, 1 << 30)
        .take(4)
        .collect();
    let cpu = Cpu::new();
    let Ok(basis) = Basis::new(log_n, &primes) else {
        return;
    };
    let rows = compact(&[0, 1, 2, 3]);
    let span = Span::dense(width, 2, &rows);
    let all = (
        cpu.tables(&basis),
        cpu.alloc(log_n, span.count()),
        cpu.alloc(log_n, span.count()),
    );
    let (Ok(t), Ok(mut src), Ok(mut dst)) = all else {
        return;
    };
    let _ = cpu.zero(Mut::new(&mut src, span));
    let weights: Vec<i16> = (0..width * width)
        .map(|i| (i as i16).wrapping_mul(77) >> 7)
        .collect();
    let matrix = Matrix {
        outputs: width,
        inputs: width,
        entries: Entries::I16(&weights),
    };
    group.throughput(Throughput::Elements(
        (width * width * 2 * rows.len()) as u64 * (1 << log_n),
    ));
    group.bench_function("32x32, 4 limbs, N = 2^14", |b| {
        let src = cipherformer::backend::Ref::new(&src, span);
        b.iter(|| cpu.gemm(&t, Mut::new(black_box(&mut dst), span), src, matrix));
    });
    group.finish();
}

criterion_group!(benches, ntt, ckks, gemm);
criterion_main!(benches);
