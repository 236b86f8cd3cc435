//! How large files are; `docs/wire.md` repeats the table that this prints.

use cipherformer::{
    arith::Complex,
    backend::cpu::Cpu,
    bfv::{self, Bfv, Packing},
    ckks::Ckks,
    model::{LanguageModel, Quantised},
    rlwe::{Context, KeyNeeds, Params, SecretKey},
    wire::{self, Record, Stamp},
};

fn size<C, T: Record<C>>(value: &T, home: &C) -> usize {
    wire::to_bytes(value, home, Stamp::default()).unwrap().len()
}

/// SEAL stores 64 bits a residue: `polys` polynomials of N = 2^14 modulo `primes` primes.
fn seal(polys: usize, primes: usize) -> usize {
    8 * polys * primes << 14
}

/// Files are packed at the bits of their primes, and what framing adds is below 0.2 %.
#[test]
fn sizes_are_bounded() {
    let mut rows = Vec::new();
    let mut row = |what: &str, bytes: usize, other: usize| {
        println!("{what:<62} {bytes:>9} {other:>9}");
        rows.push(bytes);
    };
    println!("{:<62} {:>9} {:>9}", "", "bytes", "SEAL");

    // 14 primes of 30 bits: log2 Q = 420. SEAL takes 8 primes of 52.5 bits for it.
    let spec = bfv::Spec {
        log_n: 14,
        primes: 14,
        digits: 2,
        plain: 65537,
    };
    let bfv = Bfv::new(Cpu::new(), bfv::Params::insecure(spec).unwrap()).unwrap();
    let key = SecretKey::generate(bfv.context()).unwrap();
    let values: Vec<u64> = (0..1 << 14).collect();
    let top = bfv.context().params().top();
    let sent = bfv.encrypt(&key, Packing::Coefficients, &values, 1, top).unwrap();
    let whole = sent.expand(bfv.context()).unwrap();
    let (sent, whole) = (size(&sent, &bfv), size(&whole, &bfv));
    row("ciphertext, N = 2^14, 14 primes of 30 bits", whole, seal(2, 8));
    row("the same, seeded", sent, seal(1, 8));
    assert!(whole <= 1_750_000 && sent <= 875_000);
    let residues = 2 * 14 * 30 << 11;
    assert!((whole - residues) * 500 < residues);

    // SEAL: 8 digits, each modulo the 8 primes and a special one, log2 QP = 435; this chain has 2 digits and log2 QP = 422.
    let params = Params::shipped("langid").unwrap();
    let ctx = Context::new(Cpu::new(), params.clone()).unwrap();
    let key = SecretKey::generate(&ctx).unwrap();
    let keys = key
        .evaluation_keys(&KeyNeeds::new(&params).relinearise())
        .unwrap();
    let bytes = size(&keys, &ctx);
    row("relinearisation key of `langid`, seeded", bytes, seal(8, 9));
    assert!(bytes * 5 < seal(8, 9));
    let ckks = Ckks::new(&ctx);
    let sent = ckks
        .encrypt(&key, &[Complex::default(); 8192], 1, params.top())
        .unwrap();
    let whole = sent.expand(&ctx).unwrap();
    row("ciphertext of `langid`", size(&whole, &ctx), seal(2, 8));
    row("the same, seeded", size(&sent, &ctx), seal(1, 8));
    println!("log2 QP of `langid`: {:.1}", params.log2_qp());
    let model = Quantised::from(&LanguageModel::builtin().unwrap());
    println!("the model: {}", size(&model, &ctx));
    assert!(rows.iter().all(|bytes| *bytes > 0));
}
