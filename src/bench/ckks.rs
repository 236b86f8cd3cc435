//! CKKS on one full ciphertext at the highest level of a shipped chain.

use std::hint::black_box;

use super::{Case, Result, Shape, Work, floor::Ring};
use crate::{
    arith::Complex,
    backend::Backend,
    ckks::{Ciphertext, Ckks, Evaluator, Plaintext, Release},
    ring::Scale,
    rlwe::{Context, EvaluationKeys, KeyNeeds, Level, LevelContext, Params, PublicKey, SecretKey},
};
#[cfg(feature = "cuda")]
use crate::{
    backend::{conformance::Opaque, cuda::Cuda},
    bench::{BenchError, traffic::Traffic},
    rlwe::RlweError,
};

const ROTATE: &str = "ckks/rotate";
const HOISTED: &str = "ckks/rotate_hoisted_8";
const MUL: &str = "ckks/mul_relin_rescale";
#[cfg(feature = "cuda")]
const RESCALE: &str = "ckks/rescale";
const MUL_PLAIN: &str = "ckks/mul_plain";
const ENCODE: &str = "ckks/encode";
const ENCRYPT: &str = "ckks/encrypt";
const DECRYPT: &str = "ckks/decrypt_decode";

const SUM: &str = "ckks/inner_product_plain_16";

pub(super) const OPS: &[&str] = &[MUL, ROTATE, HOISTED, MUL_PLAIN, SUM, ENCODE, ENCRYPT, DECRYPT];

/// Products of a ciphertext and a plaintext that are summed.
const TERMS: usize = 16;

/// Rotations that share their digits.
const STEPS: [i64; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
/// Bytes of a complex number.
const SLOT: f64 = 16.0;

/// Two parties' keys, and operands.
struct Operands<B: Backend> {
    ckks: Ckks<B>,
    secret: SecretKey<B>,
    public: PublicKey<B>,
    keys: EvaluationKeys<B>,
    values: Vec<Complex>,
    scale: Scale,
    x: Ciphertext<B>,
    y: Ciphertext<B>,
    plain: Plaintext<B>,
    /// Of a sum of products; none if it is not wanted.
    terms: Vec<(Ciphertext<B>, Plaintext<B>)>,
}

impl<B: Backend> Operands<B> {
    fn new(backend: B, params: Params, wanted: &[&str], top: Level) -> Result<Self> {
        let mut needs = KeyNeeds::new(&params);
        if wanted.contains(&MUL) {
            needs = needs.relinearise();
        }
        if wanted.contains(&ROTATE) {
            needs = needs.rotate([1]);
        }
        if wanted.contains(&HOISTED) {
            needs = needs.rotate(STEPS);
        }
        let ckks = Ckks::new(&Context::new(backend, params)?);
        let ctx = ckks.context().clone();
        let secret = SecretKey::generate(&ctx)?;
        let values: Vec<Complex> = (0..ckks.max_slots())
            .map(|i| Complex::new((i as f64).sin(), (0.7 * i as f64).cos()))
            .collect();
        let scale = ckks.scale(top)?.clone();
        let term = |_| {
            let fresh = ckks.encrypt(&secret, &values, 1, top)?.expand(&ctx)?;
            Ok((fresh, ckks.encode(&values, 1, top, &scale)?))
        };
        let count = if wanted.contains(&SUM) { TERMS } else { 0 };
        Ok(Self {
            terms: (0..count).map(term).collect::<Result<_>>()?,
            x: ckks.encrypt(&secret, &values, 1, top)?.expand(&ctx)?,
            y: ckks.encrypt(&secret, &values, 1, top)?.expand(&ctx)?,
            plain: ckks.encode(&values, 1, top, &scale)?,
            public: secret.public_key()?,
            keys: secret.evaluation_keys(&needs)?.expand(&ctx)?,
            secret,
            ckks,
            values,
            scale,
        })
    }

    /// One run; the result is of no use to anyone.
    fn run(&self, op: &str) -> Result<()> {
        let (ckks, top) = (&self.ckks, self.x.level());
        let ev = Evaluator::new(ckks, &self.keys);
        match op {
            MUL => drop(black_box(ev.relinearise_rescale(&ev.mul(&self.x, &self.y)?)?)),
            ROTATE => drop(black_box(ev.rotate(&self.x, 1)?)),
            HOISTED => drop(black_box(ev.rotate_hoisted(&self.x, &STEPS)?)),
            #[cfg(feature = "cuda")]
            RESCALE => drop(black_box(ev.rescale(&self.x)?)),
            MUL_PLAIN => drop(black_box(ev.mul_plain(&self.x, &self.plain)?)),
            SUM => {
                let terms: Vec<_> = self.terms.iter().map(|(x, plain)| (x, plain)).collect();
                drop(black_box(ev.inner_product_plain(&terms)?));
            }
            ENCODE => drop(black_box(ckks.encode(&self.values, 1, top, &self.scale)?)),
            ENCRYPT => drop(black_box(ckks.encrypt_public(
                &self.public,
                &self.values,
                1,
                top,
            )?)),
            _ => drop(black_box(
                ckks.decrypt(&self.secret, &self.x)?.release(Release::Owner)?,
            )),
        }
        Ok(ckks.context().backend().wait()?)
    }
}

/// What each operation cannot do without.
fn work<B: Backend>(op: &str, ring: Ring, level: &LevelContext<B>) -> Work {
    let l = level.rows.len();
    let slots = ring.moved_bytes(SLOT / 2.0);
    match op {
        MUL => {
            // Division by the special primes and the rescale in one.
            let division = level.mod_down_rescale.as_ref().map_or(Work::default(), |s| {
                let rows = s.step.result.len();
                2 * ring.division(s.step.removed.len(), rows) + ring.moved(2 * rows)
            });
            ring.tensor(l) + ring.digits(level) + ring.inner_product(level) + division + ring.moved(4 * l)
        }
        ROTATE => ring.key_switch(level) + ring.moved(4 * l),
        HOISTED => {
            let one = ring.inner_product(level) + ring.mod_down(level) + ring.moved(2 * l);
            ring.digits(level) + STEPS.len() * one + ring.moved(2 * l)
        }
        #[cfg(feature = "cuda")]
        RESCALE => level.rescale.as_ref().map_or(Work::default(), |s| {
            let rows = s.step.result.len();
            2 * ring.division(s.step.removed.len(), rows) + ring.moved(2 * (l + rows))
        }),
        MUL_PLAIN => ring.sums(1, 2 * l) + ring.moved(5 * l),
        SUM => ring.sums(TERMS, 2 * l) + ring.moved(3 * TERMS * l + 2 * l),
        ENCODE => ring.embedding() + ring.transform(l) + slots + ring.moved(l),
        // v, e_0 + m and e_1; the public key's second half is a seed.
        ENCRYPT => {
            let message = ring.embedding() + slots;
            message + ring.transform(3 * l) + ring.sums(1, 2 * l) + ring.moved(3 * l)
        }
        // One product a row and coefficient lifts the residues.
        _ => {
            let phase = ring.sums(1, l) + ring.transform(l) + ring.moved(3 * l);
            phase + ring.sums(l, 1) + ring.embedding() + slots
        }
    }
}

pub(super) fn cases<B: Backend>(backend: B, chain: &str, wanted: &[&str]) -> Result<Vec<Case>> {
    let params = Params::shipped(chain)?;
    let top = params.top();
    let operands = Operands::new(backend, params, wanted, top)?;
    let ctx = operands.ckks.context().clone();
    let level = ctx.level("bench", operands.x.level())?;
    let work = |op: &str| Ok(work(op, Ring::new(ctx.log_n()), level));
    Case::chosen(OPS, wanted, Shape::of(&ctx, level, 1), work, move |op| {
        operands.run(op)
    })
}

/// The traffic of operations at levels of so many limbs, fused and by the derived bodies.
#[cfg(feature = "cuda")]
pub(super) fn traffic(params: &Params) -> Result<Vec<Traffic>> {
    let wanted = [(47, &[MUL, ROTATE, RESCALE][..]), (28, &[HOISTED]), (12, &[MUL])];
    let mut all = Vec::new();
    for (limbs, ops) in wanted {
        let level = (params.levels().iter()).position(|l| l.primes.len() == limbs);
        let level = level.ok_or(BenchError::Rlwe(RlweError::NoLevel {
            operation: "traffic",
            level: Level(limbs as u32),
            top: params.top().0,
        }))?;
        let level = Level(level as u32);
        let (fused, parts) = (Cuda::counting(), Cuda::counting());
        let whole = Operands::new(fused.clone(), params.clone(), ops, level)?;
        let unfused = Operands::new(Opaque::new(parts.clone()), params.clone(), ops, level)?;
        let ctx = whole.ckks.context();
        for op in ops {
            fused.launches();
            whole.run(op)?;
            let launches = fused.launches();
            parts.launches();
            unfused.run(op)?;
            let moved = parts.launches().iter().map(|l| l.moved_bytes()).sum();
            all.push(Traffic {
                operation: format!("{}, {limbs} limbs of N = 2^{}", &op[5..], ctx.log_n()),
                log_n: ctx.log_n(),
                launches,
                unfused_bytes: Some(moved),
                floor_bytes: work(op, Ring::new(ctx.log_n()), ctx.level("traffic", level)?).bytes,
            });
        }
    }
    Ok(all)
}
