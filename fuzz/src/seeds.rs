//! Valid inputs of every kind, the same on every machine: where the fuzzer begins.

use cipherformer::{
    backend::cpu::Cpu,
    ckks::{Ciphertext, Evaluator, SeededCiphertext},
    model::LABELS,
    ring::{Scale, insecure_chains},
    rlwe::{KeyNeeds, Level, SecretKey, Spec},
    wire::{self, Name, Stamp},
};

use crate::{
    frame::Frame,
    home::{Home, MODEL, SMALL, values},
    text,
};

/// A name and its bytes.
pub type Seed = (String, Vec<u8>);

struct Files<'a> {
    home: &'a Home<Cpu>,
    stamp: Stamp,
    asked: Stamp,
}

impl<'a> Files<'a> {
    fn new(home: &'a Home<Cpu>) -> Self {
        let stamp = Stamp {
            key: Name(home.secret.name()),
            request: Name::default(),
        };
        let asked = Stamp {
            request: Name(*b"sixteen bytes ok"),
            ..stamp
        };
        Self { home, stamp, asked }
    }

    fn seeded(
        &self,
        secret: &SecretKey<Cpu>,
        slots: usize,
        items: usize,
        level: Level,
    ) -> (Vec<u8>, SeededCiphertext<Cpu>) {
        let sent = self
            .home
            .ckks
            .encrypt(secret, &values(items * slots), items, level);
        let sent = sent.unwrap();
        let file = wire::to_bytes(&sent, self.home.context(), self.asked).unwrap();
        (file, sent)
    }

    fn whole(&self, ciphertext: &Ciphertext<Cpu>) -> Vec<u8> {
        wire::to_bytes(ciphertext, self.home.context(), self.asked).unwrap()
    }
}

/// Files, as they are written.
pub fn files() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut keep = |name: &str, file: Vec<u8>| seeds.push((name.to_owned(), file));
    for (name, chain) in insecure_chains() {
        if chain.log_n <= 7 {
            let file = wire::to_bytes(&Spec { chain }, &(), Stamp::default()).unwrap();
            keep(&format!("parameters-{name}"), file);
        }
    }
    let files = Files::new(&SMALL);
    let ctx = SMALL.context();
    let top = ctx.params().top();
    // A key of its own: what was made before with the home's would change what it makes next.
    let secret = SecretKey::insecure_deterministic(ctx, [7; 32]).unwrap();
    keep("secret-key", wire::to_bytes(&secret, ctx, files.stamp).unwrap());
    let public = secret.public_key().unwrap();
    keep("public-key", wire::to_bytes(&public, ctx, files.stamp).unwrap());
    let needs = || KeyNeeds::new(ctx.params());
    let all = |needs: KeyNeeds| needs.relinearise().rotate([1, -2]).conjugate();
    for (name, needs) in [
        ("evaluation-keys", all(needs())),
        ("evaluation-keys-low", all(needs().up_to(Level(1)))),
        ("evaluation-keys-none", needs()),
    ] {
        let keys = secret.evaluation_keys(&needs).unwrap();
        keep(name, wire::to_bytes(&keys, ctx, files.stamp).unwrap());
    }
    let (file, sent) = files.seeded(&secret, 8, 2, top);
    keep("seeded-ciphertexts", file);
    let x = sent.expand(ctx).unwrap();
    let ev = Evaluator::new(&SMALL.ckks, &SMALL.keys);
    let square = ev.mul(&x, &x).unwrap();
    keep("ciphertexts", files.whole(&x));
    keep("ciphertexts-product", files.whole(&square));
    keep(
        "ciphertexts-below",
        files.whole(&ev.relinearise_rescale(&square).unwrap()),
    );
    let (file, sent) = files.seeded(&secret, 4, 1, Level(0));
    keep("seeded-ciphertexts-last", file);
    keep("ciphertexts-last", files.whole(&sent.expand(ctx).unwrap()));
    let files = Files::new(&MODEL);
    let secret = SecretKey::insecure_deterministic(MODEL.context(), [7; 32]).unwrap();
    let (file, sent) = files.seeded(&secret, 64, 1, MODEL.context().params().top());
    keep("model-seeded-ciphertexts", file);
    keep(
        "model-ciphertexts",
        files.whole(&sent.expand(MODEL.context()).unwrap()),
    );
    seeds
}

/// The same files, open.
pub fn open() -> Vec<Seed> {
    let open = |(name, file): Seed| (name, Frame::open(&file).unwrap().to_open());
    files().into_iter().map(open).collect()
}

/// Inputs of the readers of everything else.
pub fn texts() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut keep = |name: &str, which: u8, rest: &[u8]| {
        seeds.push((name.to_owned(), [&[which], rest].concat()));
    };
    keep("weights-header", b'h', &text::weights_header());
    keep("weights-short", b'w', b"\x08\0\0\0\0\0\0\0{}      ");
    keep(
        "weights-patch",
        b'p',
        &[[1, 0, 0, 0], 1f32.to_le_bytes()].concat(),
    );
    keep("request-one", b'r', br#"{"texts":[{"windows":3}]}"#);
    keep(
        "request-lines",
        b'r',
        br#"{"texts":[{"line":1,"windows":256},{"line":3,"windows":0,"error":"no letter found"}]}"#,
    );
    let scale = Scale::pow2(40).times_prime(268_369_921, -3).unwrap();
    keep("scale", b's', &serde_json::to_vec(&scale).unwrap());
    for (name, chain) in insecure_chains().take(3) {
        keep(
            &format!("chain-{name}"),
            b'c',
            &serde_json::to_vec(&Spec { chain }).unwrap(),
        );
    }
    keep("bfv", b'b', br#"{"log_n":4,"primes":3,"digits":2,"plain":65537}"#);
    keep(
        "bfv-wide",
        b'b',
        br#"{"log_n":6,"primes":4,"digits":4,"plain":18446744073709551616}"#,
    );
    keep(
        "text",
        b't',
        "L\u{2019}e\u{301}te\u{301} \u{130}STANBUL \u{df} \u{1e9e} 42!".as_bytes(),
    );
    keep("labels", b't', LABELS.join(" ").as_bytes());
    seeds
}

/// The folder of a target in the corpus, and its seeds.
pub fn all() -> [(&'static str, Vec<Seed>); 4] {
    [
        ("parse", files()),
        ("check", open()),
        ("compute", open()),
        ("text", texts()),
    ]
}
