//! BFV on one full ciphertext at the highest level.

use std::hint::black_box;

use super::{Case, Result, Shape, Work, floor::Ring};
use crate::{
    backend::Backend,
    bfv::{Bfv, Ciphertext, Evaluator, Factor, Packing, Params, Spec},
    rlwe::{EvaluationKeys, KeyNeeds, LevelContext, PublicKey, SecretKey},
};

const MUL: &str = "bfv/mul_relin";
const ROTATE: &str = "bfv/rotate";
const ADD: &str = "bfv/add";
const MUL_PLAIN: &str = "bfv/mul_plain";
const ENCODE: &str = "bfv/encode";
const ENCRYPT: &str = "bfv/encrypt";

pub(super) const OPS: &[&str] = &[MUL, ROTATE, ADD, MUL_PLAIN, ENCODE, ENCRYPT];

/// The plaintext modulus 3 2^18 + 1, a prime that has slots in every ring up to N = 2^17.
pub(super) const PLAIN: u128 = 786_433;
/// Bytes of an integer of a plaintext.
const SLOT: f64 = 8.0;

struct Operands<B: Backend> {
    bfv: Bfv<B>,
    public: PublicKey<B>,
    keys: EvaluationKeys<B>,
    values: Vec<u64>,
    x: Ciphertext<B>,
    y: Ciphertext<B>,
    plain: Factor<B>,
}

impl<B: Backend> Operands<B> {
    fn new(backend: B, log_n: u32, wanted: &[&str]) -> Result<Self> {
        let spec = if log_n == 13 {
            Spec::n13(PLAIN)
        } else {
            Spec::n14(PLAIN)
        };
        let bfv = Bfv::new(backend, Params::new(spec)?)?;
        let (ctx, top) = (bfv.context().clone(), bfv.params().top());
        let mut needs = KeyNeeds::new(bfv.params().rlwe());
        if wanted.contains(&MUL) {
            needs = needs.relinearise();
        }
        if wanted.contains(&ROTATE) {
            needs = needs.rotate([1]);
        }
        let secret = SecretKey::generate(&ctx)?;
        let values: Vec<u64> = (0..bfv.params().degree() as u64)
            .map(|i| i * i % PLAIN as u64)
            .collect();
        let encrypt = || {
            bfv.encrypt(&secret, Packing::Slots, &values, 1, top)?
                .expand(&ctx)
        };
        Ok(Self {
            x: encrypt()?,
            y: encrypt()?,
            plain: bfv.factor(Packing::Slots, &values, 1, top)?,
            public: secret.public_key()?,
            keys: secret.evaluation_keys(&needs)?.expand(&ctx)?,
            bfv,
            values,
        })
    }

    /// One run; the result is of no use to anyone.
    fn run(&self, op: &str) -> Result<()> {
        let (bfv, top) = (&self.bfv, self.x.level());
        let ev = Evaluator::new(bfv, &self.keys);
        match op {
            MUL => drop(black_box(ev.relinearise(&ev.mul(&self.x, &self.y)?)?)),
            ROTATE => drop(black_box(ev.rotate_columns(&self.x, 1)?)),
            ADD => drop(black_box(ev.add(&self.x, &self.y)?)),
            MUL_PLAIN => drop(black_box(ev.mul_plain(&self.x, &self.plain)?)),
            ENCODE => drop(black_box(bfv.factor(Packing::Slots, &self.values, 1, top)?)),
            _ => {
                let ct = bfv.encrypt_public(&self.public, Packing::Slots, &self.values, 1, top)?;
                drop(black_box(ct));
            }
        }
        Ok(bfv.context().backend().wait()?)
    }
}

/// What each operation cannot do without; `auxiliary` primes of products.
fn work<B: Backend>(op: &str, ring: Ring, level: &LevelContext<B>, auxiliary: usize) -> Work {
    let (l, r) = (level.rows.len(), auxiliary);
    let slots = ring.moved_bytes(SLOT);
    match op {
        MUL => {
            // Four polynomials to Q u R; three of the tensor divided by Q in R, and back from R to Q.
            let extend = ring.transform(l) + ring.conversion(l, r) + ring.transform(r);
            let divide = ring.transform(l + r) + ring.conversion(l, r) + ring.scale(r);
            let back = ring.conversion(r, l) + ring.transform(l);
            let product = 4 * extend + ring.tensor(l + r) + 3 * (divide + back);
            product + ring.key_switch(level) + ring.moved(6 * l)
        }
        ROTATE => ring.key_switch(level) + ring.moved(4 * l),
        ADD => ring.moved(6 * l),
        MUL_PLAIN => ring.sums(1, 2 * l) + ring.moved(5 * l),
        // One transform modulo t, then one a row.
        ENCODE => ring.transform(l + 1) + slots + ring.moved(l),
        // v, e_0 + m and e_1; the public key's second half is a seed.
        _ => ring.transform(1 + 3 * l) + ring.sums(1, 2 * l) + slots + ring.moved(3 * l),
    }
}

pub(super) fn cases<B: Backend>(backend: B, log_n: u32, wanted: &[&str]) -> Result<Vec<Case>> {
    let operands = Operands::new(backend, log_n, wanted)?;
    let (ctx, top) = (operands.bfv.context().clone(), operands.x.level());
    let level = ctx.level("bench", top)?;
    let auxiliary = operands.bfv.params().auxiliary("bench", top)?.len();
    let work = |op: &str| Ok(work(op, Ring::new(log_n), level, auxiliary));
    Case::chosen(OPS, wanted, Shape::of(&ctx, level, 1), work, move |op| {
        operands.run(op)
    })
}
