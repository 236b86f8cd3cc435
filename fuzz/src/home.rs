//! What files are loaded with: small parameters without any security, keys that everybody can compute.

use std::sync::LazyLock;

use cipherformer::{
    arith::Complex,
    backend::{Backend, cpu::Cpu, oracle::Oracle},
    ckks::{Ciphertext, Ckks},
    model::{LanguageModel, Quantised},
    ring::insecure_chain,
    rlwe::{Context, EvaluationKeys, KeyNeeds, Params, SecretKey, Spec},
    transformer::LanguageClassifier,
    wire,
};

/// A context with keys, and a ciphertext for loaded objects to be used with.
pub struct Home<B: Backend> {
    /// The scheme.
    pub ckks: Ckks<B>,
    /// The digest of its parameters.
    pub digest: [u8; 32],
    /// The secret.
    pub secret: SecretKey<B>,
    /// Relinearisation, rotations by 1, 2 and -2, conjugation.
    pub keys: EvaluationKeys<B>,
    /// Two items at the highest level.
    pub partner: Ciphertext<B>,
}

/// Windows of text in a batch of the small classifier: 32 tokens of 2 windows are the 64 slots of its ring.
pub const WINDOWS: usize = 2;

/// The classifier with the built-in weights.
pub static CLASSIFIER: LazyLock<LanguageClassifier> = LazyLock::new(|| {
    let model = Quantised::from(&LanguageModel::builtin().unwrap());
    LanguageClassifier::new(&model, WINDOWS).unwrap()
});

/// A chain of the insecure ones.
pub fn spec(chain: &str) -> Spec {
    Spec {
        chain: insecure_chain(chain).unwrap(),
    }
}

/// Some numbers below 1 in magnitude.
pub fn values(count: usize) -> Vec<Complex> {
    let value = |i: usize| Complex::new((i % 16) as f64 / 16.0, -0.5);
    (0..count).map(value).collect()
}

impl<B: Backend> Home<B> {
    fn new(backend: B, chain: &str, needs: impl FnOnce(&Params) -> KeyNeeds) -> Self {
        let params = Params::insecure(spec(chain)).unwrap();
        let ckks = Ckks::new(&Context::new(backend, params.clone()).unwrap());
        let secret = SecretKey::insecure_deterministic(ckks.context(), [7; 32]).unwrap();
        let keys = secret.evaluation_keys(&needs(&params)).unwrap();
        let keys = keys.expand(ckks.context()).unwrap();
        let slots = values(2 * ckks.max_slots());
        let sent = ckks.encrypt(&secret, &slots, 2, params.top()).unwrap();
        let partner = sent.expand(ckks.context()).unwrap();
        let digest = wire::digest(params.spec());
        Self {
            ckks,
            digest,
            secret,
            keys,
            partner,
        }
    }

    /// The ring of 16.
    pub fn small(backend: B) -> Self {
        Self::new(backend, "insecure_n4_rational40_l3_d2", |params| {
            KeyNeeds::new(params).relinearise().rotate([1, 2, -2]).conjugate()
        })
    }

    /// The context.
    pub fn context(&self) -> &Context<B> {
        self.ckks.context()
    }
}

/// The ring of 16, on the backend whose fresh memory is poisoned.
pub static SMALL: LazyLock<Home<Cpu>> = LazyLock::new(|| Home::small(Cpu::poisoned()));

/// The same by the definitions.
pub static ORACLE: LazyLock<Home<Oracle>> = LazyLock::new(|| Home::small(Oracle));

/// The ring of 128 for the classifier, with its keys.
pub static MODEL: LazyLock<Home<Cpu>> = LazyLock::new(|| {
    Home::new(Cpu::poisoned(), "insecure_n7_rational38_l4_d2", |params| {
        CLASSIFIER.keys(params).rotate([1, 2, -2]).conjugate()
    })
});

/// The home whose parameters a file names, or the small one.
pub fn of(file: &[u8]) -> &'static Home<Cpu> {
    let homes = [&*SMALL, &*MODEL];
    let found = homes.into_iter().find(|h| file.get(16..48) == Some(&h.digest));
    found.unwrap_or(&SMALL)
}

/// Leaves all work to the calling thread, which has to be the only one that ever uses the library: as in a fuzzer.
pub fn alone() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread();
    pool.build_global().unwrap();
}
