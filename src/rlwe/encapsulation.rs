//! Raising a ciphertext from level 0 to the top through an ephemeral sparse secret (Bossuat, Troncoso-Pastoriza, Hubaux, eprint
//! 2022/024): sparse-secret encapsulation.
//!
//! A ciphertext modulo q_0, read modulo the top's Q, has the phase m + q_0 I, and I is small only when the secret is sparse. So:
//!
//! 1. a key switch from the dense secret s to a sparse s', modulo q_0 p_0;
//! 2. ModRaise: the centred lift of both components from q_0 to Q, and of the second to P as well;
//! 3. a key switch from s' to s modulo Q P, with one digit: what is switched is below q_0.
//!
//! **The key of step 1 is an encryption under s', and it exists modulo q_0 p_0 only**, p_0 the fewest special primes that are at least
//! q_0: a secret of weight 32 is worth 128 bits only under a small modulus (171.9 bits at 2^121, 88.7 at 2^1547, N = 2^16). An
//! [`Encapsulation`] is the one place that chooses its primes, and refuses a product above its bound. s' is drawn
//! for one pair of keys, and nothing keeps it.

use zeroize::Zeroizing;

use super::{Ciphertext, Context, Eval, Level, Params, Poly, Result, RlweError, SecretKey};
use crate::{
    backend::{
        Backend, BasisStep, DigitStep, Integers, KeySwitch, Mut, Ref, Row, Span, compact, derived::select,
        primes_of,
    },
    ring::{Conversion, Galois, Step, log2_product},
    sample::{PrivateSeed, PublicSeed, sparse_ternary},
};

/// Coefficients +-1 of the ephemeral secret.
pub const EPHEMERAL_WEIGHT: u32 = 32;

/// Largest log2(q_0 p_0) by log2 N. Estimates (MATZOV cost, meet-in-the-middle hybrid included) at weight 32: 150.2 bits for
/// (2^15, 110) and 171.7 for (2^16, 122); 2^17 is no easier.
const MOST_LOG2_QP: [(u32, f64); 3] = [(15, 112.0), (16, 122.0), (17, 122.0)];

/// The primes of the key from the dense to the sparse secret: those of level 0, and the fewest special primes whose product is
/// not smaller.
#[derive(Clone, Debug)]
pub struct Encapsulation {
    params: Params,
    base: Vec<u32>,
    special: Vec<u32>,
}

impl Encapsulation {
    /// Chooses p_0 and checks q_0 p_0.
    ///
    /// # Errors
    /// [`RlweError::SparseModulus`] above the bound of the ring degree. Parameters without any security, as tests use them, are not
    /// held to it.
    pub fn new(params: &Params) -> Result<Self> {
        let base = params.level("encapsulation", Level(0))?.primes.clone();
        let value = |i: &u32| params.basis().prime(*i).value();
        let log2 = |indices: &[u32]| log2_product(&indices.iter().map(value).collect::<Vec<_>>());
        let enough = |count: &usize| log2(&params.special()[..*count]) >= log2(&base);
        let count = (1..params.special().len()).find(enough);
        let special = params.special()[..count.unwrap_or(params.special().len())].to_vec();
        let log2_qp = log2(&base) + log2(&special);
        let (log_n, weight) = (params.log_n(), EPHEMERAL_WEIGHT);
        let known = MOST_LOG2_QP.iter().find(|(n, _)| *n == log_n);
        let limit = known.map_or(0.0, |(_, most)| *most);
        if params.security_bits() > 0 && log2_qp > limit {
            return Err(RlweError::SparseModulus {
                log_n,
                weight,
                log2_qp,
                limit,
            });
        }
        Ok(Self {
            params: params.clone(),
            base,
            special,
        })
    }

    /// log2(q_0 p_0), the largest modulus under which anything is encrypted with the sparse secret.
    pub fn log2_qp(&self) -> f64 {
        let all = self.base.iter().chain(&self.special);
        log2_product(
            &all.map(|i| self.params.basis().prime(*i).value())
                .collect::<Vec<_>>(),
        )
    }

    /// The rows of the key from the dense to the sparse secret.
    fn rows(&self) -> Vec<Row> {
        compact(&self.base.iter().chain(&self.special).copied().collect::<Vec<_>>())
    }

    /// p_0 modulo the primes of level 0.
    fn factor(&self) -> Vec<u32> {
        let basis = self.params.basis();
        let of = |i: &u32| basis.product(&self.special, basis.prime(*i));
        self.base.iter().map(of).collect()
    }
}

/// Half a key as it travels: b of its one digit, and the seed of a.
struct Half<B: Backend> {
    first: Poly<B, Eval>,
    seed: PublicSeed,
}

impl<B: Backend> Half<B> {
    fn expand(&self, ctx: &Context<B>) -> Result<B::Key> {
        let (backend, tables, rows) = (ctx.backend(), ctx.tables(), &self.first.rows);
        let whole = Span::dense(1, 2, rows);
        let mut key = backend.alloc(ctx.log_n(), whole.count())?;
        backend.copy(Mut::new(&mut key, whole.slice_polys(0, 1)), self.first.view())?;
        backend.expand(
            tables,
            Mut::new(&mut key, whole.slice_polys(1, 1)),
            &[self.seed],
            0,
        )?;
        Ok(backend.prepare(tables, Ref::new(&key, whole))?)
    }

    fn bytes(&self, ctx: &Context<B>) -> usize {
        self.first.rows.len() * (4 << ctx.log_n()) + 32
    }
}

/// The two keys of an encapsulation as they travel.
pub struct SeededRaiseKeys<B: Backend> {
    primes: Encapsulation,
    /// From the dense to the sparse secret, modulo q_0 p_0.
    down: Half<B>,
    /// From the sparse to the dense secret, modulo Q P.
    up: Half<B>,
}

impl<B: Backend> SeededRaiseKeys<B> {
    /// Bytes of residues and seeds.
    pub fn bytes(&self, ctx: &Context<B>) -> usize {
        self.down.bytes(ctx) + self.up.bytes(ctx)
    }

    /// The rows of both keys, first the one to the sparse secret: what they have to be for these parameters.
    pub(crate) fn rows(ctx: &Context<B>) -> Result<[Vec<Row>; 2]> {
        let top = ctx.level("raise keys", ctx.params().top())?;
        Ok([Encapsulation::new(ctx.params())?.rows(), top.extended.clone()])
    }

    /// b and the seed of a of both keys, in that order.
    pub(crate) fn halves(&self) -> [(&Poly<B, Eval>, &PublicSeed); 2] {
        [&self.down, &self.up].map(|half| (&half.first, &half.seed))
    }

    /// Keys from their halves, which have the rows of [`rows`](Self::rows).
    pub(crate) fn from_halves(ctx: &Context<B>, halves: [(Poly<B, Eval>, PublicSeed); 2]) -> Result<Self> {
        let [down, up] = halves.map(|(first, seed)| Half { first, seed });
        Ok(Self {
            primes: Encapsulation::new(ctx.params())?,
            down,
            up,
        })
    }

    /// The parameters that they were made with.
    pub(crate) fn params(&self) -> &Params {
        &self.primes.params
    }

    /// log2 of the modulus of the key under the sparse secret.
    pub fn sparse_log2_qp(&self) -> f64 {
        let basis = self.primes.params.basis();
        let rows = self.down.first.rows.iter().map(|r| basis.prime(r.prime).value());
        log2_product(&rows.collect::<Vec<_>>())
    }

    /// The keys as a device uses them.
    pub fn expand(&self, ctx: &Context<B>) -> Result<RaiseKeys<B>> {
        let params = ctx.params();
        params.check("expand", "the seeded raise key", &self.primes.params)?;
        let (backend, tables, basis) = (ctx.backend(), ctx.tables(), params.basis());
        let Encapsulation { base, special, .. } = &self.primes;
        let conversion = |from: &[u32], to: &[u32]| -> Result<B::Conversion> {
            Ok(backend.conversion(tables, &Conversion::new(basis, from, to))?)
        };
        let all: Vec<u32> = base.iter().chain(special).copied().collect();
        let step = Step::new(basis, &all, base);
        let top = params.level("expand", params.top())?;
        let beyond = top.primes.iter().chain(params.special()).copied();
        let targets: Vec<u32> = beyond.filter(|i| !base.contains(i)).collect();
        Ok(RaiseKeys {
            down_digit: DigitStep {
                digit: 0,
                sources: base.clone(),
                targets: special.clone(),
                conversion: conversion(base, special)?,
            },
            down_step: BasisStep {
                conversion: backend.conversion(tables, &step.conversion)?,
                step,
            },
            up_digit: DigitStep {
                digit: 0,
                sources: base.clone(),
                conversion: conversion(base, &targets)?,
                targets,
            },
            rows: self.primes.rows(),
            factor: self.primes.factor(),
            down: self.down.expand(ctx)?,
            up: self.up.expand(ctx)?,
            bytes: 2 * (self.down.first.rows.len() + self.up.first.rows.len()) * (4 << ctx.log_n()),
            params: params.clone(),
        })
    }
}

/// The two keys of an encapsulation in use.
pub struct RaiseKeys<B: Backend> {
    params: Params,
    rows: Vec<Row>,
    factor: Vec<u32>,
    down_digit: DigitStep<B>,
    down_step: BasisStep<B>,
    up_digit: DigitStep<B>,
    down: B::Key,
    up: B::Key,
    bytes: usize,
}

impl<B: Backend> RaiseKeys<B> {
    /// Demands that they were made for the parameters of a context.
    pub(crate) fn check(&self, ctx: &Context<B>, operation: &str) -> Result<()> {
        ctx.params().check(operation, "the raise key", &self.params)
    }

    /// Bytes of residues on the device.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The ephemeral secret: all n coefficients in one draw, so that the weight is that of all of them.
fn ephemeral(seed: &PrivateSeed, n: usize) -> Zeroizing<Vec<i32>> {
    let mut drawn = Zeroizing::new(vec![0i8; n]);
    sparse_ternary(
        &mut seed.stream("ephemeral secret", 0),
        EPHEMERAL_WEIGHT,
        &mut drawn,
    );
    let mut wide = Zeroizing::new(vec![0i32; n]);
    wide.iter_mut()
        .zip(drawn.iter())
        .for_each(|(wide, x)| *wide = i32::from(*x));
    wide
}

impl<B: Backend> SecretKey<B> {
    /// The keys that raise ciphertexts from level 0 to the top, through a sparse secret of their own.
    ///
    /// # Errors
    /// [`RlweError::SparseModulus`] for parameters whose base is too large for it.
    pub fn raise_keys(&self) -> Result<SeededRaiseKeys<B>> {
        let ctx = &self.ctx;
        let primes = Encapsulation::new(ctx.params())?;
        let (backend, tables, params) = (ctx.backend(), ctx.tables(), ctx.params());
        let fresh = match &self.insecure_seeds {
            None => PrivateSeed::from_os()?,
            Some(_) => PrivateSeed::insecure_from_bytes(*self.error_seed.expose()),
        };
        let signs = ephemeral(&fresh, params.degree());
        let mut sparse = Poly::lift(ctx, 1, &self.rows.rows, Integers::I32(&signs))?.into_eval(ctx)?;

        let half = |rows: &[Row],
                    from: &Poly<B, Eval>,
                    under: &Poly<B, Eval>,
                    factor: &[u32],
                    to: &[u32]|
         -> Result<Half<B>> {
            let seed = self.public_seed()?;
            let mut first = self.masked_error(rows, 1, &seed, under)?;
            let (dst, src) = (select(rows, to), select(&from.rows, to));
            let mut view = first.view_mut();
            let part = view.part(|s| s.with_rows(&dst));
            backend.mul_const_add(tables, part, from.view().map(|s| s.with_rows(&src)), factor)?;
            Ok(Half { first, seed })
        };
        let down = half(
            &primes.rows(),
            &self.rows,
            &sparse,
            &primes.factor(),
            &primes.base,
        );
        let top = ctx.level("raise keys", params.top())?;
        let level = &params.level("raise keys", params.top())?.primes;
        let up = half(&top.extended, &sparse, &self.rows, &top.special_product, level);
        backend.zero(sparse.view_mut())?;
        Ok(SeededRaiseKeys {
            primes,
            down: down?,
            up: up?,
        })
    }
}

impl<B: Backend> Context<B> {
    /// From level 0 to the top: the phase m becomes m + q_0 I, with |m + q_0 I| < 16.5 q_0 in all coefficients but for a probability
    /// that `circuit::bootstrap::overflow_tail_log2` computes.
    pub fn raise(&self, ct: &Ciphertext<B>, keys: &RaiseKeys<B>) -> Result<Ciphertext<B>> {
        let operation = "raise";
        ct.check_context(operation, self)?;
        keys.check(self, operation)?;
        ct.check_components(operation, 2, "relinearise first")?;
        if ct.level() != Level(0) {
            let remedy = "bring the ciphertext to level 0 with `adjust`";
            return Err(RlweError::mismatch(
                operation,
                "levels",
                ct.level(),
                Level(0),
                remedy,
            ));
        }
        let (backend, tables, items) = (self.backend(), self.tables(), ct.items());
        let base = self.level(operation, Level(0))?;
        let identity = [Galois::IDENTITY];

        let span = Span::dense(items, 2, &base.rows);
        let mut low = backend.alloc(self.log_n(), span.count())?;
        let down = KeySwitch {
            digits: std::slice::from_ref(&keys.down_digit),
            extended: &keys.rows,
            keys: &[&keys.down],
            factor: &keys.factor,
            elements: &identity,
            step: Some(&keys.down_step),
        };
        let (src, addend) = (
            ct.view().map(|s| s.slice_polys(1, 1)),
            ct.view().map(|s| s.slice_polys(0, 1)),
        );
        backend.key_switch(tables, Mut::new(&mut low, span), src, addend, &down)?;

        let top = self.params().top();
        let level = self.level(operation, top)?;
        let high = Span::dense(items, 2, &level.extended);
        let mut raised = backend.alloc(self.log_n(), high.count())?;
        let own = select(&level.extended, &primes_of(&base.rows));
        let from = select(&base.rows, &primes_of(&own));
        if !own.is_empty() {
            let dst = Mut::new(&mut raised, high.with_rows(&own));
            backend.copy(dst, Ref::new(&low, span.with_rows(&from)))?;
        }
        backend.intt(tables, Mut::new(&mut low, span))?;
        let targets = select(&level.extended, &keys.up_digit.targets);
        let dst = Mut::new(&mut raised, high.with_rows(&targets));
        backend.convert(tables, dst, Ref::new(&low, span), &keys.up_digit.conversion)?;
        backend.ntt(tables, Mut::new(&mut raised, high.with_rows(&targets)))?;

        let up = KeySwitch {
            digits: std::slice::from_ref(&keys.up_digit),
            extended: &level.extended,
            keys: &[&keys.up],
            factor: &level.special_product,
            elements: &identity,
            step: Some(&level.mod_down),
        };
        let rows = &level.extended[..level.rows.len()];
        Ciphertext::build(self, operation, top, items, 2, |dst| {
            let digits = Ref::new(&raised, high.slice_polys(1, 1));
            let addend = Ref::new(&raised, high.slice_polys(0, 1).with_rows(rows));
            Ok(backend.switch_digits(tables, dst, digits, addend, &up)?)
        })
    }
}

#[cfg(all(test, feature = "fallback"))]
mod tests {
    use super::*;
    use crate::{
        backend::cpu::Cpu,
        ring::{chain, insecure_chain},
        rlwe::Spec,
    };

    #[test]
    fn the_secret_has_its_weight_in_every_ring() {
        for log_n in [6, 10, 11, 16] {
            let secret = ephemeral(&PrivateSeed::insecure_from_bytes([log_n; 32]), 1 << log_n);
            let weight: i32 = secret.iter().map(|x| x.abs()).sum();
            assert_eq!(weight, EPHEMERAL_WEIGHT as i32, "N = 2^{log_n}");
        }
    }

    #[test]
    fn nothing_larger_than_the_bound_constructs() {
        let shipped = |name: &str| Params::shipped(name).unwrap();
        // Bases of 60 bits and rings without a bound.
        for name in [
            "n15_pair55_l10_d3",
            "n15_rational40_l13_d3",
            "n14_pair55_l4_d2",
            "n13_rational40_l2_d3",
        ] {
            let error = Encapsulation::new(&shipped(name)).err().unwrap();
            assert!(
                matches!(error, RlweError::SparseModulus { .. }),
                "{name}: {error}"
            );
        }
        // A larger base, otherwise a good chain: level 0 takes the place of level 1.
        let mut table = chain("n16_boot40_l12_d3").unwrap();
        let good = Params::new(Spec { chain: table.clone() }).unwrap();
        assert!(Encapsulation::new(&good).unwrap().log2_qp() <= 122.0);
        table.levels.remove(0);
        table.levels[0].absorbed_bits = 0;
        let lowest = |i: &u16| table.levels.iter().position(|l| l.primes.contains(i));
        let mut order: Vec<u16> = (0..table.primes.len() as u16)
            .filter(|i| lowest(i).is_some())
            .collect();
        order.sort_by_key(|i| (lowest(i), *i));
        let place = |i: &u16| order.iter().position(|j| j == i).unwrap() as u16;
        let mut moved = table.clone();
        moved.primes = order.iter().map(|i| table.primes[usize::from(*i)]).collect();
        moved.digit_of.truncate(moved.primes.len());
        for level in &mut moved.levels {
            level.primes = level.primes.iter().map(place).collect();
            level.primes.sort_unstable();
        }
        let params = Params::new(Spec { chain: moved }).unwrap();
        let error = Encapsulation::new(&params).err().unwrap();
        assert!(
            matches!(error, RlweError::SparseModulus { log_n: 16, .. }),
            "{error}"
        );
    }

    #[test]
    fn the_key_under_the_sparse_secret_has_the_rows_of_q0_and_p0_only() {
        let chain = insecure_chain("insecure_n10_boot40_l3_d3").unwrap();
        let params = Params::insecure(Spec { chain }).unwrap();
        let ctx = Context::new(Cpu::new(), params).unwrap();
        let secret = SecretKey::generate(&ctx).unwrap();
        let keys = secret.raise_keys().unwrap();
        let primes = Encapsulation::new(ctx.params()).unwrap();
        assert_eq!(*keys.down.first.rows, *primes.rows());
        assert_eq!(primes.base, ctx.params().level("test", Level(0)).unwrap().primes);
        let base = log2_product(&ctx.params().spec().chain.level_primes(0));
        assert!(primes.log2_qp() < 2.0 * base + 30.0);
        assert_eq!(keys.sparse_log2_qp(), primes.log2_qp());
    }
}
