//! Valid inputs of every kind, the same on every machine: where the fuzzer begins.

use cipherformer::{
    backend::cpu::Cpu,
    bfv::{self, Packing},
    circuit::bootstrap::SeededBootstrapKeys,
    ckks::{self, Evaluator},
    matmul::coefficient::{Plain, Side},
    model::LABELS,
    ring::{Scale, insecure_chains},
    rlwe::{Context, KeyNeeds, Level, SecretKey, Spec},
    wire::{self, Name, Record, Stamp},
};

use crate::{
    frame::Frame,
    home::{BFV, CKKS, INFER, MODEL_FRAME, PLAN, bfv_spec, integers, values},
    text,
};

/// A name and its bytes.
pub type Seed = (String, Vec<u8>);

/// Files of version 1, which is read and no longer written.
const VERSION_1: [(&str, &[u8]); 6] = [
    (
        "v1-parameters",
        include_bytes!("../../tests/golden/v1/parameters.bin"),
    ),
    (
        "v1-secret-key",
        include_bytes!("../../tests/golden/v1/secret_key.bin"),
    ),
    (
        "v1-public-key",
        include_bytes!("../../tests/golden/v1/public_key.bin"),
    ),
    (
        "v1-evaluation-keys",
        include_bytes!("../../tests/golden/v1/evaluation_keys.bin"),
    ),
    (
        "v1-seeded-ciphertexts",
        include_bytes!("../../tests/golden/v1/seeded_ciphertexts.bin"),
    ),
    (
        "v1-ciphertexts",
        include_bytes!("../../tests/golden/v1/ciphertexts.bin"),
    ),
];

/// A list of files of one client.
struct Files {
    seeds: Vec<Seed>,
    key: Name,
}

impl Files {
    fn stamp(&self) -> Stamp {
        Stamp {
            key: self.key,
            request: Name::default(),
        }
    }

    fn keep<C, T: Record<C>>(&mut self, name: &str, value: &T, home: &C, stamp: Stamp) {
        let file = wire::to_bytes(value, home, stamp).unwrap();
        self.seeds.push((name.to_owned(), file));
    }

    fn part<C, T: Record<C>>(&mut self, name: &str, value: &T, home: &C) {
        self.keep(name, value, home, self.stamp());
    }

    fn asked<C, T: Record<C>>(&mut self, name: &str, value: &T, home: &C) {
        let request = Name(*b"sixteen bytes ok");
        let stamp = Stamp {
            request,
            ..self.stamp()
        };
        self.keep(name, value, home, stamp);
    }
}

/// The files of a secret that the home's own use does not change, so that they are the same whatever was done before.
fn client(ctx: &Context<Cpu>) -> (SecretKey<Cpu>, Files) {
    let secret = SecretKey::insecure_deterministic(ctx, [7; 32]).unwrap();
    let key = Name(secret.name());
    let seeds = Vec::new();
    (secret, Files { seeds, key })
}

fn parameters() -> Vec<Seed> {
    let small = insecure_chains().filter(|(_, chain)| chain.log_n <= 7);
    let file = |(name, chain)| {
        let file = wire::to_bytes(&Spec { chain }, &(), Stamp::default());
        (format!("parameters-{name}"), file.unwrap())
    };
    small.map(file).collect()
}

/// From the client's secret as it was before anything was drawn from it: the golden files' own.
fn bootstrap_keys(ctx: &Context<Cpu>) -> SeededBootstrapKeys<Cpu> {
    let (secret, _) = client(ctx);
    let needs = KeyNeeds::new(ctx.params()).up_to(Level(1)).relinearise();
    SeededBootstrapKeys {
        raise: secret.raise_keys().unwrap(),
        evaluation: secret.evaluation_keys(&needs.rotate([1])).unwrap(),
    }
}

fn ckks_files() -> Vec<Seed> {
    let (ckks, ctx) = (&CKKS.scheme, CKKS.scheme.context());
    let (secret, mut files) = client(ctx);
    files.part("secret-key", &secret, ctx);
    files.part("public-key", &secret.public_key().unwrap(), ctx);
    let needs = || KeyNeeds::new(ctx.params());
    let all = |needs: KeyNeeds| needs.relinearise().rotate([1, -2]).conjugate();
    for (name, needs) in [
        ("evaluation-keys", all(needs())),
        ("evaluation-keys-low", all(needs().up_to(Level(1)))),
        ("evaluation-keys-none", needs()),
    ] {
        files.part(name, &secret.evaluation_keys(&needs).unwrap(), ctx);
    }
    let sent = ckks.encrypt(&secret, &values(16), 2, ctx.params().top()).unwrap();
    let x = sent.expand(ctx).unwrap();
    let ev = Evaluator::new(ckks, &CKKS.keys);
    let square = ev.mul(&x, &x).unwrap();
    files.asked("seeded-ciphertexts", &sent, ctx);
    files.asked("ciphertexts", &x, ctx);
    files.asked("ciphertexts-product", &square, ctx);
    files.asked(
        "ciphertexts-below",
        &ev.relinearise_rescale(&square).unwrap(),
        ctx,
    );
    let last = ckks.encrypt(&secret, &values(4), 1, Level(0)).unwrap();
    files.asked("seeded-ciphertexts-last", &last, ctx);
    files.asked("ciphertexts-last", &last.expand(ctx).unwrap(), ctx);
    let bootstrap = bootstrap_keys(ctx);
    files.part("raise-keys", &bootstrap.raise, ctx);
    files.part("bootstrap-keys", &bootstrap, ctx);
    files.seeds
}

fn bfv_files() -> Vec<Seed> {
    let (bfv, ctx) = (&BFV.scheme, BFV.scheme.context());
    let (secret, mut files) = client(ctx);
    files.keep("bfv-parameters", &bfv_spec(), &(), Stamp::default());
    let needs = KeyNeeds::new(ctx.params()).relinearise().rotate([1]).conjugate();
    files.part(
        "bfv-evaluation-keys",
        &secret.evaluation_keys(&needs).unwrap(),
        ctx,
    );
    let sent = bfv.encrypt(&secret, Packing::Slots, &integers(32), 2, bfv.params().top());
    let sent = sent.unwrap();
    let x = sent.expand(ctx).unwrap();
    let square = bfv::Evaluator::new(bfv, &BFV.keys).mul(&x, &x).unwrap();
    files.asked("bfv-seeded-ciphertexts", &sent, bfv);
    files.asked("bfv-ciphertexts", &x, bfv);
    files.asked("bfv-ciphertexts-product", &square, bfv);
    files.seeds
}

/// Weights, with and without a bias, and results of a product in coefficient packing.
fn product_files() -> Vec<Seed> {
    let (bfv, plan) = &*PLAN;
    let (secret, mut files) = client(bfv.context());
    let entries: Vec<i64> = (0..15).map(|i| i * 37 % 601 - 300).collect();
    let weights = plan.weights(&entries).unwrap();
    let biased = weights.clone().with_bias(&[-32768, 0, 32767]).unwrap();
    files.keep("product-weights", &weights, plan, Stamp::default());
    files.keep("product-weights-bias", &biased, plan, Stamp::default());
    let sent = plan.encrypt(bfv, &secret, Side::Left, &integers(15)).unwrap();
    let inputs = [sent.expand(bfv.context()).unwrap()];
    let results = plan
        .multiply(bfv, &Plain::OnTheFly(&biased), &inputs, &[])
        .unwrap();
    for results in results {
        files.asked("product-results", &results.release(bfv).unwrap(), &*PLAN);
    }
    files.seeds
}

fn infer_files() -> Vec<Seed> {
    let (ckks, ctx) = (&INFER.scheme, INFER.scheme.context());
    let (secret, mut files) = client(ctx);
    let sent = ckks.encrypt(&secret, &values(64), 1, ctx.params().top()).unwrap();
    files.asked("infer-seeded-ciphertexts", &sent, ctx);
    let whole: ckks::Ciphertext<Cpu> = sent.expand(ctx).unwrap();
    files.asked("infer-ciphertexts", &whole, ctx);
    files.seeds
}

/// Two batches of one request.
fn batches(seeds: &[Seed]) -> Seed {
    let (_, file) = seeds.iter().find(|(name, _)| name == "ciphertexts").unwrap();
    ("ciphertexts-batches".to_owned(), [file.as_slice(), file].concat())
}

/// Files, as they are or were written.
pub fn files() -> Vec<Seed> {
    let old = VERSION_1.map(|(name, file)| (name.to_owned(), file.to_vec()));
    [
        parameters(),
        ckks_files(),
        bfv_files(),
        product_files(),
        infer_files(),
        old.into(),
    ]
    .concat()
}

/// Weights, open: the first section alone, and all up to the long table of embeddings.
fn model() -> [Seed; 2] {
    let short = |name: &str, sections| {
        let mut frame = MODEL_FRAME.clone();
        frame.sections.truncate(sections);
        (name.to_owned(), frame.to_open())
    };
    let long = MODEL_FRAME.sections.iter().position(|s| s.len() > 1 << 16);
    [short("model-head", 1), short("model-matrices", long.unwrap())]
}

/// The same files, open, and one of weights.
pub fn open() -> Vec<Seed> {
    let open = |(name, file): Seed| (name, Frame::open(&file).unwrap().to_open());
    files().into_iter().map(open).chain(model()).collect()
}

/// Those that are computed with one by one.
fn computed() -> Vec<Seed> {
    let kept = |(name, _): &Seed| !name.starts_with("infer") && !name.starts_with("model");
    open().into_iter().filter(kept).collect()
}

/// Those that the classifier is run with.
fn inferred() -> Vec<Seed> {
    let kept = |(name, _): &Seed| name.starts_with("infer") || name.starts_with("model");
    open().into_iter().filter(kept).collect()
}

/// Inputs of the readers of everything else.
fn texts() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut keep = |name: &str, which: u8, rest: &[u8]| {
        seeds.push((name.to_owned(), [&[which], rest].concat()));
    };
    keep("weights-header", b'h', &text::weights_header());
    keep("weights-short", b'w', b"\x08\0\0\0\0\0\0\0{}      ");
    let patch = [[1, 0, 0, 0], 1f32.to_le_bytes()].concat();
    keep("weights-patch", b'p', &patch);
    let description: serde_json::Value = serde_json::from_slice(&text::weights_header()).unwrap();
    let config = description["__metadata__"]["config"].as_str().unwrap();
    keep("embeddings-description", b'd', config.as_bytes());
    keep("request-one", b'r', br#"{"texts":[{"windows":3}]}"#);
    keep(
        "request-lines",
        b'r',
        br#"{"texts":[{"line":1,"windows":256},{"line":3,"windows":0,"error":"no letter found"}]}"#,
    );
    let scale = Scale::pow2(40).times_prime(268_369_921, -3).unwrap();
    keep("scale", b's', &serde_json::to_vec(&scale).unwrap());
    for (name, chain) in insecure_chains().take(3) {
        let json = serde_json::to_vec(&Spec { chain }).unwrap();
        keep(&format!("chain-{name}"), b'c', &json);
    }
    keep("bfv", b'b', br#"{"log_n":4,"primes":3,"digits":2,"plain":65537}"#);
    keep(
        "bfv-wide",
        b'b',
        br#"{"log_n":6,"primes":4,"digits":4,"plain":18446744073709551616}"#,
    );
    let text = "L\u{2019}e\u{301}te\u{301} \u{130}STANBUL \u{df} \u{1e9e} 42!";
    keep("text", b't', text.as_bytes());
    keep("labels", b't', LABELS.join(" ").as_bytes());
    seeds
}

/// Every target, which is the name of its folder in the corpus, and its seeds.
pub fn all() -> [(&'static str, Vec<Seed>); 5] {
    [
        (
            "parse",
            files().into_iter().chain([batches(&ckks_files())]).collect(),
        ),
        ("check", open()),
        ("compute", computed()),
        ("infer", inferred()),
        ("text", texts()),
    ]
}
