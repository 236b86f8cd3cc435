//! How large files are; `docs/wire.md` repeats the table that this prints.

use cipherformer::{
    arith::Complex,
    backend::{cpu::Cpu, null::Null},
    bfv::{self, Bfv, Packing},
    circuit::bootstrap::{Bootstrapper, SeededBootstrapKeys, preset},
    ckks::Ckks,
    model::{LanguageModel, Quantised},
    rlwe::{Context, KeyNeeds, Params, SecretKey},
    wire::{self, Record, Stamp},
};

fn size<C, T: Record<C>>(value: &T, home: &C) -> usize {
    wire::to_bytes(value, home, Stamp::default()).unwrap().len()
}

/// SEAL stores 64 bits a residue: `polys` polynomials of N = 2^14 modulo `primes` primes. Its default chain there has 8 primes of
/// 48 and 49 bits and a special one, log2 QP = 438, and key switching a digit for each prime.
fn seal(polys: usize, primes: usize) -> usize {
    8 * polys * (primes << 14)
}

/// Files are packed at the bits of their primes, and what framing adds is below 0.2 %.
#[test]
fn sizes_are_bounded() {
    let mut rows = Vec::new();
    let mut row = |what: &str, bytes: usize, other: Option<usize>| {
        let other = other.map_or(String::new(), |bytes| bytes.to_string());
        println!("{what:<62} {bytes:>9} {other:>9}");
        rows.push(bytes);
    };
    println!("{:<62} {:>9} {:>9}", "", "bytes", "SEAL");

    // log2 Q = 420.
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
    row(
        "ciphertext, N = 2^14, 14 primes of 30 bits",
        whole,
        Some(seal(2, 8)),
    );
    row("the same, seeded", sent, Some(seal(1, 8)));
    assert!(whole <= 1_750_000 && sent <= 875_000);
    let residues = 2 * 14 * 30 * (1 << 11);
    assert!((whole - residues) * 500 < residues);

    // 2 digits, log2 QP = 418.
    let params = Params::shipped("langid").unwrap();
    let ctx = Context::new(Cpu::new(), params.clone()).unwrap();
    let key = SecretKey::generate(&ctx).unwrap();
    let keys = key
        .evaluation_keys(&KeyNeeds::new(&params).relinearise())
        .unwrap();
    let bytes = size(&keys, &ctx);
    row("relinearisation key of `langid`, seeded", bytes, Some(seal(8, 9)));
    assert!(bytes * 5 < seal(8, 9));
    let ckks = Ckks::new(&ctx);
    let sent = ckks
        .encrypt(&key, &[Complex::default(); 8192], 1, params.top())
        .unwrap();
    let whole = sent.expand(&ctx).unwrap();
    row("ciphertext of `langid`", size(&whole, &ctx), None);
    row("the same, seeded", size(&sent, &ctx), None);
    let model = Quantised::from(&LanguageModel::builtin().unwrap());
    row("the language model", size(&model, &ctx), None);
    // What docs/wire.md says.
    let documented = include_str!("../../docs/wire.md");
    for bytes in rows {
        let shown = format!("| {} |", grouped(bytes as u64));
        assert!(documented.contains(&shown), "docs/wire.md lacks {shown}");
    }
}

/// With a comma between thousands.
fn grouped(n: u64) -> String {
    match n {
        0..1000 => n.to_string(),
        _ => format!("{},{:03}", grouped(n / 1000), n % 1000),
    }
}

/// All keys of the usual bootstrap, by what their sections are: nothing is computed.
#[test]
fn the_keys_of_a_bootstrap_travel_in_half_their_bytes() {
    let preset = preset("throughput").unwrap();
    let ctx = Context::new(Null::new(), preset.params().unwrap()).unwrap();
    let bootstrapper = Bootstrapper::new(&Ckks::new(&ctx), &preset.spec).unwrap();
    let secret = SecretKey::generate(&ctx).unwrap();
    let needs = KeyNeeds::new(ctx.params());
    let keys = SeededBootstrapKeys::generate(&secret, &bootstrapper, needs, |_, _| ()).unwrap();
    let bytes = wire::file_bytes(&keys, &ctx).unwrap();
    println!(
        "{} keys of `throughput`: {} bytes",
        keys.evaluation.count() + 2,
        grouped(bytes)
    );
    assert!(bytes <= 2_800_000_000);
    let predicted = bootstrapper.key_bytes().unwrap();
    assert!(bytes as usize * 2 <= predicted.expanded + predicted.raise);
}
