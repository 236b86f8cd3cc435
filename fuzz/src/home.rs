//! What files are loaded with: small parameters without any security, keys that everybody can compute.

use std::sync::LazyLock;

use cipherformer::{
    arith::Complex,
    backend::{Backend, cpu::Cpu, oracle::Oracle},
    bfv::{self, Bfv, Packing, packing_automorphisms},
    ckks::{Ciphertext, Ckks},
    matmul::coefficient::{Output, Plan, Request, Shape},
    model::{LanguageModel, Quantised},
    ring::insecure_chain,
    rlwe::{Context, EvaluationKeys, KeyNeeds, Params, SecretKey, Spec},
    transformer::LanguageClassifier,
    wire::{self, Stamp},
};

use crate::frame::Frame;

/// A scheme with keys, and a ciphertext for loaded objects to be used with: two items at the highest level.
pub struct Home<B: Backend, S, C> {
    /// The scheme.
    pub scheme: S,
    /// The secret.
    pub secret: SecretKey<B>,
    /// Relinearisation, rotations by 1, 2 and -2, conjugation, and what the home's own use is besides.
    pub keys: EvaluationKeys<B>,
    /// The ciphertext.
    pub partner: C,
}

/// A home of CKKS.
pub type CkksHome<B> = Home<B, Ckks<B>, Ciphertext<B>>;
/// A home of BFV.
pub type BfvHome<B> = Home<B, Bfv<B>, bfv::Ciphertext<B>>;

/// The numbers of the kinds of BFV parameters and of models.
const BFV_KIND: u8 = 7;
const MODEL_KIND: u8 = 10;

/// Windows of text in a batch of the small classifier: 32 tokens of 2 windows are the 64 slots of its ring.
pub const WINDOWS: usize = 2;

/// A chain of the insecure ones.
pub fn spec(chain: &str) -> Spec {
    Spec {
        chain: insecure_chain(chain).unwrap(),
    }
}

/// The parameters of [`BFV`].
pub fn bfv_spec() -> bfv::Spec {
    bfv::Spec {
        log_n: 4,
        primes: 5,
        digits: 2,
        plain: 65537,
    }
}

/// Some numbers below 1 in magnitude.
pub fn values(count: usize) -> Vec<Complex> {
    let value = |i: usize| Complex::new((i % 16) as f64 / 16.0, -0.5);
    (0..count).map(value).collect()
}

/// Some integers.
pub fn integers(count: usize) -> Vec<u64> {
    (0..count as u64).map(|i| i * 4099 % 65537).collect()
}

fn needs(params: &Params) -> KeyNeeds {
    KeyNeeds::new(params).relinearise().rotate([1, 2, -2]).conjugate()
}

fn keys<B: Backend>(ctx: &Context<B>, needs: &KeyNeeds) -> (SecretKey<B>, EvaluationKeys<B>) {
    let secret = SecretKey::insecure_deterministic(ctx, [7; 32]).unwrap();
    let keys = secret.evaluation_keys(needs).unwrap().expand(ctx).unwrap();
    (secret, keys)
}

fn ckks_home<B: Backend>(backend: B, chain: &str, needs: impl Fn(&Params) -> KeyNeeds) -> CkksHome<B> {
    let params = Params::insecure(spec(chain)).unwrap();
    let scheme = Ckks::new(&Context::new(backend, params.clone()).unwrap());
    let (secret, keys) = keys(scheme.context(), &needs(&params));
    let slots = values(2 * scheme.max_slots());
    let sent = scheme.encrypt(&secret, &slots, 2, params.top()).unwrap();
    Home {
        partner: sent.expand(scheme.context()).unwrap(),
        scheme,
        secret,
        keys,
    }
}

fn small<B: Backend>(backend: B) -> CkksHome<B> {
    ckks_home(backend, "insecure_n4_rational40_l3_d2", needs)
}

fn bfv_home<B: Backend>(backend: B) -> BfvHome<B> {
    let scheme = Bfv::new(backend, bfv::Params::insecure(bfv_spec()).unwrap()).unwrap();
    let (ctx, top) = (scheme.context(), scheme.params().top());
    let needs = packing_automorphisms(ctx.log_n()).fold(needs(ctx.params()), KeyNeeds::automorphism);
    let (secret, keys) = keys(ctx, &needs);
    let sent = scheme
        .encrypt(&secret, Packing::Slots, &integers(32), 2, top)
        .unwrap();
    Home {
        partner: sent.expand(ctx).unwrap(),
        scheme,
        secret,
        keys,
    }
}

/// CKKS on a ring of 16, on the backend whose fresh memory is poisoned.
pub static CKKS: LazyLock<CkksHome<Cpu>> = LazyLock::new(|| small(Cpu::poisoned()));
/// The same by the definitions.
pub static CKKS_ORACLE: LazyLock<CkksHome<Oracle>> = LazyLock::new(|| small(Oracle));
/// BFV on a ring of 16.
pub static BFV: LazyLock<BfvHome<Cpu>> = LazyLock::new(|| bfv_home(Cpu::poisoned()));
/// The same by the definitions.
pub static BFV_ORACLE: LazyLock<BfvHome<Oracle>> = LazyLock::new(|| bfv_home(Oracle));
/// A product in coefficient packing under the parameters of [`BFV`], with which its weights and results are read.
pub static PLAN: LazyLock<(Bfv<Cpu>, Plan)> = LazyLock::new(|| {
    let request = Request::new(Shape::new(3, 5, 3))
        .output(Output::Cut)
        .weight_bound(300);
    let plan = Plan::new(BFV.scheme.params(), &request).unwrap();
    (BFV.scheme.clone(), plan)
});
/// CKKS on the ring of 128 that the classifier fits into, with its keys.
pub static INFER: LazyLock<CkksHome<Cpu>> = LazyLock::new(|| {
    ckks_home(Cpu::poisoned(), "insecure_n7_rational38_l4_d2", |params| {
        classifier(&MODEL).unwrap().keys(params)
    })
});

/// The built-in weights.
pub static MODEL: LazyLock<Quantised> = LazyLock::new(|| Quantised::from(&LanguageModel::builtin().unwrap()));

/// The file of the built-in weights, open.
pub static MODEL_FRAME: LazyLock<Frame> = LazyLock::new(|| {
    let file = wire::to_bytes(&*MODEL, INFER.scheme.context(), Stamp::default()).unwrap();
    Frame::open(&file).unwrap()
});

/// The classifier with these weights.
pub fn classifier(model: &Quantised) -> cipherformer::ckks::Result<LanguageClassifier> {
    LanguageClassifier::new(model, WINDOWS)
}

/// The context of the parameters that a file names, or that of [`CKKS`].
pub fn context(file: &[u8]) -> &'static Context<Cpu> {
    static KNOWN: LazyLock<[([u8; 32], &Context<Cpu>); 3]> = LazyLock::new(|| {
        let homes = [
            CKKS.scheme.context(),
            BFV.scheme.context(),
            INFER.scheme.context(),
        ];
        homes.map(|ctx| (wire::digest(ctx.params().spec()), ctx))
    });
    let found = KNOWN.iter().find(|(digest, _)| file.get(16..48) == Some(digest));
    found.map_or(CKKS.scheme.context(), |(_, ctx)| ctx)
}

/// The specification in a file of BFV parameters, if it is one worth making.
fn bfv_digest(section: &[u8]) -> Option<[u8; 32]> {
    let number = |at: usize| Some(u32::from_le_bytes(*section.get(at..)?.first_chunk()?));
    let spec = bfv::Spec {
        log_n: number(0)?,
        primes: number(4)? as usize,
        digits: number(8)? as usize,
        plain: u128::from_le_bytes(*section.get(12..)?.first_chunk()?),
    };
    let params = (spec.log_n <= 8).then(|| bfv::Params::insecure(spec).ok())??;
    Some(wire::digest(params.rlwe().spec()))
}

/// The kind of an open form, and the file with right seals. The sections that a model is short of are those of the built-in weights,
/// whose table of embeddings alone has 373 kB. BFV parameters carry the digest of the chain that the library makes of them.
pub fn seal(open: &[u8]) -> Option<(u8, Vec<u8>)> {
    let mut frame = Frame::from_open(open)?;
    match frame.kind() {
        MODEL_KIND => {
            let rest = MODEL_FRAME.sections.iter().skip(frame.sections.len());
            frame.sections.extend(rest.cloned());
        }
        BFV_KIND => {
            if let Some(digest) = frame.sections.first().and_then(|s| bfv_digest(s)) {
                frame.header[16..48].copy_from_slice(&digest);
            }
        }
        _ => {}
    }
    Some((frame.kind(), frame.seal()))
}

/// Makes all homes before the first input, whose time is measured, and leaves all work to the calling thread: the only one that may
/// use the library, as in a fuzzer.
pub fn prepare() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread();
    pool.build_global().unwrap();
    context(&[]);
    LazyLock::force(&CKKS_ORACLE);
    LazyLock::force(&BFV_ORACLE);
    LazyLock::force(&MODEL_FRAME);
}
