//! Rates of a machine for a plan, measured in some tens of milliseconds on blocks like its own, and the cost that follows.
//!
//! | part | counted | rate |
//! |---|---|---|
//! | plain polynomials from integers | K N' | one `evaluate` |
//! | products with plain polynomials | M K N' a request | a `block_product` modulo one prime |
//! | products of ciphertexts | operands, products, divided sums, relinearisations | three small `inner_products`, a relinearisation |
//! | the way to the level of packing | M N' a request | a change of level |
//! | interleaving | automorphisms | the merges of one group |
//! | results | ciphertexts down | a change of level, and what is cut |

use std::time::Instant;

use super::{Encrypted, Output, Plain, Plan, Result, Results};
use crate::{
    backend::{
        Backend, Integers, Mut, Ref, Span,
        null::{Counts, Null},
    },
    bfv::{self, Bfv, Evaluator, interleaving_automorphisms},
    matmul::{Cost, rates::least_us},
    rlwe::{self, EvaluationKeys, KeyNeeds, Level, SecretKey},
};

/// Ciphertexts of a measurement at most. All sizes are such that one takes a millisecond or two.
const ITEMS: usize = 8;
/// Rows of ciphertexts, columns and terms of a measured product at most: as many as share what is copied and what is in registers.
const ROWS: usize = 2;
const COLUMNS: usize = 4;
const TERMS: usize = 16;

/// Microseconds of one unit of each kind of work.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// The whole plain operand, from numbers to coefficients.
    encode: f64,
    /// A plain polynomial, from coefficients to evaluations.
    evaluate: f64,
    /// A product of polynomials, both components.
    product: f64,
    /// A ciphertext brought to the auxiliary primes.
    operand: f64,
    /// A sum of products of ciphertexts divided by Q / t.
    divide: f64,
    relinearise: f64,
    /// A sum from the level of inputs to that of packing.
    step: f64,
    /// An automorphism and the additions around it.
    merge: f64,
    /// A result from the level of packing to its own, and what is left of it.
    result: f64,
}

/// Ciphertexts that hold zeros.
fn zeros<B: Backend>(
    bfv: &Bfv<B>,
    level: Level,
    items: usize,
    components: usize,
) -> Result<bfv::Ciphertext<B>> {
    let ctx = bfv.context();
    let inner = rlwe::Ciphertext::build(ctx, "rates", level, items, components, |dst| {
        Ok(ctx.backend().zero(dst)?)
    })?;
    Ok(bfv::Ciphertext::from_parts(inner, bfv.plain()))
}

impl Rates {
    /// The least of both, rate by rate: two measurements are disturbed less than one.
    pub fn least(self, other: Self) -> Self {
        Self {
            encode: self.encode.min(other.encode),
            evaluate: self.evaluate.min(other.evaluate),
            product: self.product.min(other.product),
            operand: self.operand.min(other.operand),
            divide: self.divide.min(other.divide),
            relinearise: self.relinearise.min(other.relinearise),
            step: self.step.min(other.step),
            merge: self.merge.min(other.merge),
            result: self.result.min(other.result),
        }
    }

    /// Measures what the plan needs, on its own parameters; some tens of milliseconds.
    pub fn measure<B: Backend>(bfv: &Bfv<B>, plan: &Plan) -> Result<Self> {
        plan.check_scheme("rates", bfv)?;
        let mut rates = Self::default();
        match plan.request().encrypted {
            Encrypted::Both => rates.encrypted(bfv, plan)?,
            _ => rates.plain(bfv, plan)?,
        }
        let (ctx, levels, none) = (bfv.context(), plan.levels(), EvaluationKeys::none());
        let ev = Evaluator::new(bfv, &none);
        let tiles = plan.tiles();
        let items = (tiles.m * tiles.n * plan.request().requests).min(ITEMS);
        let sums = zeros(bfv, levels.input, items, 2)?;
        if levels.packing < levels.input {
            rates.step = least_us(ctx, || -> Result<()> {
                drop(ev.switch_to(&sums, levels.packing)?);
                Ok(())
            })? / items as f64;
        }
        if plan.output() == Output::Packed && plan.block().inner > 1 {
            rates.merge = Self::merge(bfv, plan)?;
        }
        let items = plan.results().min(2);
        let results = zeros(bfv, levels.packing, items, 2)?;
        rates.result = least_us(ctx, || -> Result<()> {
            let (plan, ct) = (plan.clone(), ev.switch_to(&results, levels.output)?);
            drop(Results { plan, ct }.release(bfv)?);
            Ok(())
        })? / items as f64;
        Ok(rates)
    }

    /// One operand is plain.
    fn plain<B: Backend>(&mut self, bfv: &Bfv<B>, plan: &Plan) -> Result<()> {
        let (ctx, tiles, shape) = (bfv.context(), plan.tiles(), plan.inner_shape());
        let (backend, tables) = (ctx.backend(), ctx.tables());
        let level = ctx.level("rates", plan.levels().input)?;
        let values = vec![1; shape.k * shape.n];
        self.encode = f64::INFINITY;
        for _ in 0..3 {
            let clock = Instant::now();
            drop(plan.weights(&values)?);
            self.encode = self.encode.min(clock.elapsed().as_secs_f64() * 1e6);
        }
        // One prime for all.
        let (row, primes) = (level.rows.get(..1).unwrap_or_default(), level.rows.len() as f64);
        let rows = (plan.request().requests * tiles.m).min(ROWS);
        let (columns, terms) = (tiles.n.min(COLUMNS), tiles.k.min(TERMS));
        let coefficients = vec![1i64; columns * terms * plan.block().right_length()];
        let span = Span::dense(columns * terms, 1, row);
        let mut plain = backend.alloc(ctx.log_n(), span.count())?;
        self.evaluate = least_us(ctx, || -> Result<()> {
            Ok(backend.evaluate(tables, Mut::new(&mut plain, span), Integers::I64(&coefficients))?)
        })? * primes
            / (columns * terms) as f64;
        let (from, to) = (
            Span::dense(rows * terms, 2, row),
            Span::dense(rows * columns, 2, row),
        );
        let mut x = backend.alloc(ctx.log_n(), from.count())?;
        backend.zero(Mut::new(&mut x, from))?;
        let mut sums = backend.alloc(ctx.log_n(), to.count())?;
        self.product = least_us(ctx, || -> Result<()> {
            let (sums, plain) = (Mut::new(&mut sums, to), Ref::new(&plain, span));
            Ok(backend.block_product(tables, sums, Ref::new(&x, from), plain, terms)?)
        })? * primes
            / (rows * columns * terms) as f64;
        Ok(())
    }

    /// Both are encrypted: f(m, n, T) microseconds for m rows and n columns of T ciphertexts are (m + n) T operands, m n T products and
    /// m n sums (no more than fit one division), which three measurements tell apart.
    fn encrypted<B: Backend>(&mut self, bfv: &Bfv<B>, plan: &Plan) -> Result<()> {
        let (ctx, level) = (bfv.context(), plan.levels().input);
        let secret = SecretKey::generate(ctx)?;
        let needs = KeyNeeds::new(ctx.params()).up_to(level).relinearise();
        let keys = secret.evaluation_keys(&needs)?.expand(ctx)?;
        let ev = Evaluator::new(bfv, &keys);
        let terms = plan.params().terms("rates", level)?.min(4);
        let four = zeros(bfv, level, 8, 2)?;
        let time = |m: usize, n: usize, terms: usize| -> Result<f64> {
            let (x, y) = (four.slice(0, m * terms)?, four.slice(0, n * terms)?);
            least_us(ctx, || -> Result<()> {
                drop(ev.inner_products(&x, &y, terms)?);
                Ok(())
            })
        };
        let (one, many, square) = (time(1, 1, 1)?, time(1, 1, terms)?, time(2, 2, terms)?);
        let t = terms as f64;
        // one = 2 o + p + s, many = T (2 o + p) + s, square = 2 T (2 o + p) + 2 T p + 4 s.
        let pair = if terms > 1 {
            ((many - one) / (t - 1.0)).max(0.0)
        } else {
            0.8 * one
        };
        self.divide = (one - pair).max(0.0);
        self.product = ((square - 2.0 * t * pair - 4.0 * self.divide) / (2.0 * t)).clamp(0.0, pair);
        self.operand = (pair - self.product) / 2.0;
        let products = zeros(bfv, level, 4, 3)?;
        self.relinearise = least_us(ctx, || -> Result<()> {
            drop(ev.relinearise(&products)?);
            Ok(())
        })? / 4.0;
        Ok(())
    }

    /// A merge of a group that is as large as the plan's, or as a measurement allows.
    fn merge<B: Backend>(bfv: &Bfv<B>, plan: &Plan) -> Result<f64> {
        let (ctx, level) = (bfv.context(), plan.levels().packing);
        let count = plan.block().inner.min(ITEMS);
        let needs = KeyNeeds::new(ctx.params()).up_to(level);
        let needs = interleaving_automorphisms(ctx.log_n(), count).fold(needs, KeyNeeds::automorphism);
        let keys = SecretKey::generate(ctx)?.evaluation_keys(&needs)?.expand(ctx)?;
        let (ev, group) = (Evaluator::new(bfv, &keys), zeros(bfv, level, count, 2)?);
        let us = least_us(ctx, || -> Result<()> {
            drop(ev.interleave(&group, count)?);
            Ok(())
        })?;
        Ok(us / (count - 1) as f64)
    }
}

impl Plan {
    /// A run on the counting backend, with prepared weights.
    fn count(&self) -> Result<Counts> {
        let null = Null::new();
        let bfv = Bfv::new(null.clone(), self.params().clone())?;
        let (ctx, tiles, shape) = (bfv.context(), self.tiles(), self.inner_shape());
        let secret = SecretKey::generate(ctx)?;
        let needs = self.keys(KeyNeeds::new(ctx.params()));
        let keys = secret.evaluation_keys(&needs)?.expand(ctx)?;
        let requests = self.request().requests;
        let level = self.levels().input;
        let left = (0..requests)
            .map(|_| zeros(&bfv, level, tiles.m * tiles.k, 2))
            .collect::<Result<Vec<_>>>()?;
        let keys = vec![&keys; requests];
        if self.request().encrypted == Encrypted::Both {
            let right = (0..requests)
                .map(|_| zeros(&bfv, level, tiles.n * tiles.k, 2))
                .collect::<Result<Vec<_>>>()?;
            null.reset();
            drop(self.multiply_encrypted(&bfv, &left, &right, &keys)?);
        } else {
            let prepared = self.weights(&vec![0; shape.k * shape.n])?.prepare(&bfv)?;
            null.reset();
            drop(self.multiply(&bfv, &Plain::Prepared(&prepared), &left, &keys)?);
        }
        Ok(null.counts())
    }

    /// Counts and predicts the plan for a comparison with other packings; `rates` were measured for it.
    pub fn cost(&self, rates: &Rates) -> Result<Cost> {
        let (counts, costs, tiles) = (self.count()?, self.costs(), self.tiles());
        let (request, params, shape) = (self.request(), self.params(), self.inner_shape());
        let both = request.encrypted == Encrypted::Both;
        let sums = (request.requests * tiles.m * tiles.n) as f64;
        let mut run_us = costs.products as f64 * rates.product
            + sums * rates.step
            + costs.automorphisms as f64 * rates.merge
            + costs.ciphertexts_down as f64 * rates.result;
        let plain = match both {
            true => {
                let room = params.terms("cost", self.levels().input)?.max(1);
                // Every pass over some columns brings the left operand to the auxiliary primes again.
                let rows = params.rlwe().level("cost", self.levels().input)?.primes.len();
                let columns = self.columns_of_rows(rows, 2 * tiles.m, tiles.m * tiles.k);
                let operands = tiles.m * tiles.k * tiles.n.div_ceil(columns) + tiles.k * tiles.n;
                run_us += (request.requests * operands) as f64 * rates.operand
                    + sums * (tiles.k.div_ceil(room) as f64 * rates.divide + rates.relinearise);
                0
            }
            false => shape.k * shape.n,
        };
        let prepare_us = match plain {
            0 => 0.0,
            _ => rates.encode + costs.plain_polynomials as f64 * rates.evaluate,
        };
        Ok(Cost {
            scheme: "bfv",
            packing: self.output().packing(),
            chain: format!("n{} t 2^{:.0}", params.rlwe().log_n(), params.plain().log2()),
            log_n: params.rlwe().log_n(),
            security_bits: params.rlwe().security_bits(),
            level: self.levels().input.0,
            weight_bits: 0,
            levels: costs.levels as u32,
            ciphertexts_up: costs.ciphertexts_up,
            ciphertexts_down: costs.ciphertexts_down,
            rotations: costs.automorphisms as u64,
            products: costs.products as u64,
            keys: costs.keys,
            bytes_up: costs.bytes_up,
            bytes_down: costs.bytes_down,
            key_bytes: costs.key_bytes,
            peak_bytes: counts.peak_bytes,
            prepare_us,
            run_us,
            error_bound: 0.0,
        })
    }
}
