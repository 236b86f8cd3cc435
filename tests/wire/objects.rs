//! One object of every kind, from a key that everybody can compute, and their bytes taken apart.

use cipherformer::{
    arith::Complex,
    backend::cpu::Cpu,
    bfv::{self, Bfv, Packing},
    circuit::bootstrap::SeededBootstrapKeys,
    ckks::{Ciphertext, Ckks, Evaluator, SeededCiphertext},
    matmul::coefficient::{Output, Outputs, Plain, Plan, Request, Shape, Side, Weights},
    model::{LanguageModel, Quantised},
    ring::insecure_chain,
    rlwe::{
        Context, EvaluationKeys, KeyNeeds, Level, Params, PublicKey, SecretKey, SeededEvaluationKeys,
        SeededRaiseKeys, Spec,
    },
    wire::{self, Name, Record, Stamp},
};

/// Bytes of a header, and where its checksum begins.
pub const HEADER: usize = 128;
pub const SEAL: usize = 96;

pub fn spec() -> Spec {
    let chain = insecure_chain("insecure_n4_rational40_l3_d2").unwrap();
    Spec { chain }
}

pub fn bfv_spec() -> bfv::Spec {
    bfv::Spec {
        log_n: 4,
        primes: 5,
        digits: 2,
        plain: 65537,
    }
}

/// What objects are read with.
pub struct Home {
    pub ctx: Context<Cpu>,
    pub bfv: Bfv<Cpu>,
    pub cut: Plan,
    pub packed: Plan,
}

pub fn home() -> Home {
    let bfv = Bfv::new(Cpu::poisoned(), bfv::Params::insecure(bfv_spec()).unwrap()).unwrap();
    Home {
        ctx: context(),
        cut: plan(&bfv, Output::Cut),
        packed: plan(&bfv, Output::Packed),
        bfv,
    }
}

pub fn context() -> Context<Cpu> {
    Context::new(Cpu::poisoned(), Params::insecure(spec()).unwrap()).unwrap()
}

pub fn values() -> Vec<Complex> {
    (0..16).map(|i| Complex::new(f64::from(i) / 16.0, -0.5)).collect()
}

/// A file, and the bytes of its sections.
pub struct Object {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub sections: Vec<u64>,
}

fn object<C, T: Record<C>>(name: &'static str, value: &T, home: &C, stamp: Stamp) -> Object {
    Object {
        name,
        bytes: wire::to_bytes(value, home, stamp).unwrap(),
        sections: value.sections(home).unwrap(),
    }
}

pub fn make(home: &Home) -> Vec<Object> {
    let mut objects = make_ckks(&home.ctx);
    objects.extend(make_bfv(&home.bfv));
    objects.extend(make_coefficient(home));
    objects
}

/// A product of which cut results have rows that are no whole number of bytes, for both ways that results travel.
pub fn plan(bfv: &Bfv<Cpu>, output: Output) -> Plan {
    let request = Request::new(Shape::new(3, 5, 3)).output(output);
    Plan::new(bfv.params(), &request.weight_bound(300)).unwrap()
}

fn make_coefficient(home: &Home) -> Vec<Object> {
    let Home { bfv, cut, packed, .. } = home;
    let ctx = bfv.context();
    let key = SecretKey::insecure_deterministic(ctx, [9; 32]).unwrap();
    let stamp = Stamp {
        key: Name(key.name()),
        request: Name(*b"another sixteen!"),
    };
    let values: Vec<i64> = (0..15).map(|i| i * i * 3 - 300).collect();
    let outputs = |plan: &Plan| {
        let weights = plan.weights(&values).unwrap();
        let keys = key
            .evaluation_keys(&plan.keys(KeyNeeds::new(ctx.params())))
            .unwrap();
        let keys = keys.expand(ctx).unwrap();
        let sent = plan.encrypt(bfv, &key, Side::Left, &[7; 15]).unwrap();
        let inputs = [sent.expand(ctx).unwrap()];
        let plain = Plain::OnTheFly(&weights);
        let results = plan.multiply(bfv, &plain, &inputs, &[&keys]).unwrap();
        results.into_iter().next().unwrap().release(bfv).unwrap()
    };
    let plain = packed.weights(&values).unwrap();
    let biased = cut
        .weights(&values)
        .unwrap()
        .with_bias(&[-32768, 5, 32767])
        .unwrap();
    vec![
        object("coefficient_weights", &plain, packed, Stamp::default()),
        object("coefficient_weights_biased", &biased, cut, Stamp::default()),
        object(
            "coefficient_outputs",
            &outputs(packed),
            &(bfv.clone(), packed.clone()),
            stamp,
        ),
        object(
            "coefficient_outputs_cut",
            &outputs(cut),
            &(bfv.clone(), cut.clone()),
            stamp,
        ),
    ]
}

fn make_bfv(bfv: &Bfv<Cpu>) -> Vec<Object> {
    let ctx = bfv.context();
    let key = SecretKey::insecure_deterministic(ctx, [9; 32]).unwrap();
    let stamp = Stamp {
        key: Name(key.name()),
        request: Name(*b"another sixteen!"),
    };
    let integers: Vec<u64> = (0..48).collect();
    let sent = bfv.encrypt(&key, Packing::Coefficients, &integers, 3, ctx.params().top());
    let sent = sent.unwrap();
    let x = sent.expand(ctx).unwrap();
    let sum = bfv::Evaluator::new(bfv, &EvaluationKeys::none()).add(&x, &x);
    vec![
        object("bfv_parameters", &bfv_spec(), &(), Stamp::default()),
        object("seeded_bfv_ciphertexts", &sent, bfv, stamp),
        object("bfv_ciphertexts", &sum.unwrap(), bfv, stamp),
    ]
}

/// The model, as the parameters at hand would evaluate it.
pub fn model(ctx: &Context<Cpu>) -> Object {
    let model = Quantised::from(&LanguageModel::builtin().unwrap());
    object("model", &model, ctx, Stamp::default())
}

/// From a key that nothing else was drawn from.
fn bootstrap_keys(ctx: &Context<Cpu>) -> SeededBootstrapKeys<Cpu> {
    let key = SecretKey::insecure_deterministic(ctx, [7; 32]).unwrap();
    let needs = KeyNeeds::new(ctx.params()).up_to(Level(1)).relinearise();
    SeededBootstrapKeys {
        raise: key.raise_keys().unwrap(),
        evaluation: key.evaluation_keys(&needs.rotate([1])).unwrap(),
    }
}

fn make_ckks(ctx: &Context<Cpu>) -> Vec<Object> {
    let key = SecretKey::insecure_deterministic(ctx, [7; 32]).unwrap();
    let stamp = Stamp {
        key: Name(key.name()),
        request: Name::default(),
    };
    let asked = Stamp {
        request: Name(*b"sixteen bytes ok"),
        ..stamp
    };
    let needs = KeyNeeds::new(ctx.params()).relinearise().rotate([1, -2]);
    let needs = needs.up_to(Level(1)).conjugate();
    let keys = key.evaluation_keys(&needs).unwrap();
    let ckks = Ckks::new(ctx);
    let sent = ckks.encrypt(&key, &values(), 2, ctx.params().top()).unwrap();
    let x = sent.expand(ctx).unwrap();
    let expanded = keys.expand(ctx).unwrap();
    let square = Evaluator::new(&ckks, &expanded).mul(&x, &x).unwrap();
    let public = key.public_key().unwrap();
    let bootstrap = bootstrap_keys(ctx);
    vec![
        object("parameters", &spec(), &(), Stamp::default()),
        object("secret_key", &key, ctx, stamp),
        object("public_key", &public, ctx, stamp),
        object("evaluation_keys", &keys, ctx, stamp),
        object("seeded_ciphertexts", &sent, ctx, asked),
        object("ciphertexts", &square, ctx, asked),
        object("raise_keys", &bootstrap.raise, ctx, stamp),
        object("bootstrap_keys", &bootstrap, ctx, stamp),
    ]
}

/// Reads an object as the kind that it should be, and writes it again.
pub fn again(name: &str, bytes: &[u8], home: &Home) -> wire::Result<Vec<u8>> {
    fn pass<C, T: Record<C>>(bytes: &[u8], home: &C) -> wire::Result<Vec<u8>> {
        let (value, stamp): (T, Stamp) = wire::from_bytes(bytes, home)?;
        wire::to_bytes(&value, home, stamp)
    }
    let Home {
        ctx,
        bfv,
        cut,
        packed,
    } = home;
    let with = |plan: &Plan| (bfv.clone(), plan.clone());
    match name {
        "parameters" => pass::<(), Spec>(bytes, &()),
        "secret_key" => pass::<_, SecretKey<Cpu>>(bytes, ctx),
        "public_key" => pass::<_, PublicKey<Cpu>>(bytes, ctx),
        "evaluation_keys" => pass::<_, SeededEvaluationKeys<Cpu>>(bytes, ctx),
        "seeded_ciphertexts" => pass::<_, SeededCiphertext<Cpu>>(bytes, ctx),
        "ciphertexts" => pass::<_, Ciphertext<Cpu>>(bytes, ctx),
        "raise_keys" => pass::<_, SeededRaiseKeys<Cpu>>(bytes, ctx),
        "bootstrap_keys" => pass::<_, SeededBootstrapKeys<Cpu>>(bytes, ctx),
        "bfv_parameters" => pass::<(), bfv::Spec>(bytes, &()),
        "seeded_bfv_ciphertexts" => pass::<_, bfv::SeededCiphertext<Cpu>>(bytes, bfv),
        "bfv_ciphertexts" => pass::<_, bfv::Ciphertext<Cpu>>(bytes, bfv),
        "coefficient_weights" => pass::<_, Weights>(bytes, packed),
        "coefficient_weights_biased" => pass::<_, Weights>(bytes, cut),
        "coefficient_outputs" => pass::<_, Outputs<Cpu>>(bytes, &with(packed)),
        "coefficient_outputs_cut" => pass::<_, Outputs<Cpu>>(bytes, &with(cut)),
        "model" => pass::<_, Quantised>(bytes, ctx),
        _ => panic!("no object is called {name}"),
    }
}

/// A frame taken apart: the header without its checksum, and the sections without theirs.
#[derive(Clone)]
pub struct Parts {
    pub header: Vec<u8>,
    pub sections: Vec<Vec<u8>>,
}

impl Parts {
    pub fn new(object: &Object) -> Self {
        let mut at = HEADER;
        let section = |len: &u64| {
            let bytes = object.bytes[at..at + *len as usize].to_vec();
            at += *len as usize + 32;
            bytes
        };
        Self {
            sections: object.sections.iter().map(section).collect(),
            header: object.bytes[..SEAL].to_vec(),
        }
    }

    /// The bytes of section `n` replaced from `at` on.
    pub fn with(mut self, n: usize, at: usize, new: &[u8]) -> Self {
        self.sections[n][at..at + new.len()].copy_from_slice(new);
        self
    }

    /// The header's lengths set to those that there are.
    pub fn measured(mut self) -> Self {
        let payload: usize = self.sections.iter().map(|s| s.len() + 32).sum();
        let first = self.sections.first().map_or(0, Vec::len);
        self.header[80..88].copy_from_slice(&(payload as u64).to_le_bytes());
        self.header[88..96].copy_from_slice(&(first as u64).to_le_bytes());
        self
    }

    /// The frame, with valid checksums, as `docs/wire.md` defines them.
    pub fn sealed(&self) -> Vec<u8> {
        let mut bytes = self.header.clone();
        let seal = blake3::hash(&bytes);
        bytes.extend(seal.as_bytes());
        for (n, section) in self.sections.iter().enumerate() {
            let mut hasher = blake3::Hasher::new_keyed(seal.as_bytes());
            hasher.update(&(n as u64).to_le_bytes()).update(section);
            bytes.extend(section);
            bytes.extend(hasher.finalize().as_bytes());
        }
        bytes
    }
}

pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() >> 11) as usize % n.max(1)
    }
}
