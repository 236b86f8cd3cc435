//! What a plan takes on the machine at hand: the parts of its run, each timed by itself and counted, as for the packings of CKKS
//! ([`Rates`]).
//!
//! | part | count | measured |
//! |---|---|---|
//! | products with plain polynomials | passes over some columns, and over the last ones | a `block_product` modulo some of the primes |
//! | products of ciphertexts | operands, products, divided sums, relinearisations | three small `inner_products`, a relinearisation |
//! | the way to the level of packing | M N' a request | a change of level |
//! | interleaving | automorphisms | the merges of one group |
//! | results | ciphertexts down | a change of level, and what is cut |
//!
//! Preparation is the coefficients of the plain operand, and K N' times `evaluate`.

use super::{Encrypted, Output, Plain, Plan, Result, Results, cost::merges};
use crate::{
    backend::{
        Backend, Integers, Mut, Part, Ref, Span,
        clock::usual_us,
        null::{Counts, Null},
        part::{FOOTPRINT, MEMORY, extrapolated},
    },
    bfv::{self, Bfv, Evaluator, interleaving_automorphisms},
    matmul::{
        Cost, Rates,
        rates::{PRODUCTS, Turns},
    },
    rlwe::{self, EvaluationKeys, KeyNeeds, Level, SecretKey},
};

/// Ciphertexts of a group of merges at most.
const GROUP: usize = 64;
/// Words that a measurement transforms, more or less.
const TRANSFORMED: usize = 1 << 20;

/// Ciphertexts that hold zeros.
fn zeros<B: Backend>(
    bfv: &Bfv<B>,
    level: Level,
    items: usize,
    components: usize,
) -> Result<bfv::Ciphertext<B>> {
    let inner = rlwe::Ciphertext::zero(bfv.context(), level, items, components)?;
    Ok(bfv::Ciphertext::from_parts(inner, bfv.plain()))
}

impl Plan {
    /// Measures the parts of the product and of its preparation, in some tenths of a second; BFV of the plan's parameters.
    pub fn rates<B: Backend>(&self, bfv: &Bfv<B>) -> Result<Rates> {
        self.check_scheme("rates", bfv)?;
        let mut rates = Rates::default();
        match self.request().encrypted {
            Encrypted::Both => self.products_of_ciphertexts(bfv, &mut rates)?,
            _ => {
                self.preparation(bfv, &mut rates)?;
                self.products(bfv, &mut rates)?;
            }
        }
        self.way_down(bfv, &mut rates)?;
        Ok(rates)
    }

    /// Sums of products, of all requests.
    fn sums(&self) -> usize {
        self.request().requests * self.tiles().m * self.tiles().n
    }

    fn preparation<B: Backend>(&self, bfv: &Bfv<B>, rates: &mut Rates) -> Result<()> {
        let (ctx, tiles, shape) = (bfv.context(), self.tiles(), self.inner_shape());
        let backend = ctx.backend();
        let values = vec![1; shape.k * shape.n];
        let us = usual_us(backend, 1, || -> Result<()> {
            drop(std::hint::black_box(self.weights(&values)?));
            Ok(())
        })?;
        rates.prepare.push(Part::new("coefficients", 1.0, us));
        let (rows, degree) = (
            &ctx.level("rates", self.levels().input)?.rows,
            ctx.params().degree(),
        );
        let (all, poly) = (tiles.k * tiles.n, rows.len() * degree);
        let some = all.min((TRANSFORMED / poly).max(1));
        let slots = (all / some).min(MEMORY / (4 * some * poly)).max(1);
        let coefficients = vec![1i64; some * self.block().right_length()];
        let span = Span::dense(slots * some, 1, rows);
        let mut plain = backend.alloc(ctx.log_n(), span.count())?;
        let mut turns = Turns::new(slots);
        let us = usual_us(backend, all / some, || -> Result<()> {
            let to = Mut::new(&mut plain, span.slice_items(turns.take() * some, some));
            Ok(backend.evaluate(ctx.tables(), to, Integers::I64(&coefficients))?)
        })?;
        let each = us / some as f64;
        rates.prepare.push(Part::new("evaluations", all as f64, each));
        Ok(())
    }

    /// One operand is plain, and prepared.
    fn products<B: Backend>(&self, bfv: &Bfv<B>, rates: &mut Rates) -> Result<()> {
        let (ctx, tiles) = (bfv.context(), self.tiles());
        let (backend, tables) = (ctx.backend(), ctx.tables());
        let (level, degree) = (ctx.level("rates", self.levels().input)?, ctx.params().degree());
        let all_rows = self.request().requests * tiles.m;
        let step = self.columns_at_a_time(bfv, all_rows, all_rows * tiles.k)?;
        let primes = level.rows.len();
        // Cut where there is no room: terms and rows by their memory, primes and columns by the time of their products.
        let terms = tiles.k.min(MEMORY / (2 * 4 * degree)).max(1);
        let rows = all_rows.min(MEMORY / (2 * 4 * degree * terms)).max(1);
        let product = 2 * rows * terms * degree;
        let some_primes = primes.min(PRODUCTS / (product * step)).max(1);
        let most = (PRODUCTS / (product * some_primes)).min(MEMORY / (4 * degree * terms * some_primes));
        let level_rows = level.rows.get(..some_primes).unwrap_or_default();
        let from = Span::dense(rows * terms, 2, level_rows);
        let mut x = backend.alloc(ctx.log_n(), from.count())?;
        backend.zero(Mut::new(&mut x, from))?;
        let footprint = usize::try_from(self.count()?.peak_bytes).unwrap_or(usize::MAX);
        let mut pass_us = |columns: usize| -> Result<f64> {
            let to = Span::dense(rows * columns, 2, level_rows);
            let bytes = |span: Span| 4 * degree * span.count();
            let pass = 4 * degree * terms * some_primes * columns;
            // A run meets each plain polynomial once, and all else that it works on before the next run does: operands of so many passes
            // are taken in turn.
            let others = footprint.saturating_sub(bytes(from) + bytes(to));
            let passes = (others as f64 / pass as f64).max(tiles.n.div_ceil(columns) as f64);
            let passes = passes.clamp(1.0, (FOOTPRINT as f64 / pass as f64).max(1.0));
            let time = |slots: usize| -> Result<f64> {
                let plain = Span::dense(slots * columns * terms, 1, level_rows);
                let mut w = backend.alloc(ctx.log_n(), plain.count())?;
                backend.zero(Mut::new(&mut w, plain))?;
                let mut sums = backend.alloc(ctx.log_n(), to.count())?;
                let mut turns = Turns::new(slots);
                usual_us(backend, slots, || -> Result<()> {
                    let some = plain.slice_items(turns.take() * columns * terms, columns * terms);
                    let (sums, w) = (Mut::new(&mut sums, to), Ref::new(&w, some));
                    Ok(backend.block_product(tables, sums, Ref::new(&x, from), w, terms)?)
                })
            };
            let (whole, part) = (passes as usize, passes.fract());
            let fewer = time(whole)?;
            Ok(match part {
                0.0 => fewer,
                part => fewer + part * (time(whole + 1)? - fewer),
            })
        };
        let of = |all: usize, some: usize| all as f64 / some as f64;
        let more = of(all_rows, rows) * of(tiles.k, terms) * of(primes, some_primes);
        let us = more * extrapolated(step, most.max(2), &mut pass_us)?;
        let (passes, last) = ((tiles.n / step) as f64, tiles.n % step);
        (rates.run).push(Part::new("products of some columns", passes, us));
        if last > 0 {
            let us = more * extrapolated(last, most.max(2), pass_us)?;
            (rates.run).push(Part::new("products of the last columns", 1.0, us));
        }
        Ok(())
    }

    /// Both are encrypted: f(m, n, T) microseconds for m rows and n columns of T ciphertexts are (m + n) T operands, m n T products and
    /// m n sums (no more than fit one division), which three measurements tell apart.
    fn products_of_ciphertexts<B: Backend>(&self, bfv: &Bfv<B>, rates: &mut Rates) -> Result<()> {
        let (ctx, level, tiles) = (bfv.context(), self.levels().input, self.tiles());
        let secret = SecretKey::generate(ctx)?;
        let needs = KeyNeeds::new(ctx.params()).up_to(level).relinearise();
        let keys = secret.evaluation_keys(&needs)?.expand(ctx)?;
        let ev = Evaluator::new(bfv, &keys);
        let room = self.params().terms("rates", level)?.max(1);
        let terms = room.min(4);
        let four = zeros(bfv, level, 8, 2)?;
        let time = |m: usize, n: usize, terms: usize| -> Result<f64> {
            let (x, y) = (four.slice(0, m * terms)?, four.slice(0, n * terms)?);
            usual_us(ctx.backend(), 1, || -> Result<()> {
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
        let divide = (one - pair).max(0.0);
        let product = ((square - 2.0 * t * pair - 4.0 * divide) / (2.0 * t)).clamp(0.0, pair);
        let products = zeros(bfv, level, 4, 3)?;
        let relinearise = usual_us(ctx.backend(), 1, || -> Result<()> {
            drop(ev.relinearise(&products)?);
            Ok(())
        })? / 4.0;

        // Every pass over some columns brings the left operand to the auxiliary primes again.
        let columns = self.columns_at_a_time(bfv, 2 * tiles.m, tiles.m * tiles.k)?;
        let operands = tiles.m * tiles.k * tiles.n.div_ceil(columns) + tiles.k * tiles.n;
        let (sums, requests) = (self.sums(), self.request().requests);
        let parts = [
            (
                "operands to auxiliary primes",
                requests * operands,
                (pair - product) / 2.0,
            ),
            ("products of ciphertexts", self.costs().products, product),
            ("divisions by Q / t", sums * tiles.k.div_ceil(room), divide),
            ("relinearisations", sums, relinearise),
        ];
        (rates.run).extend(parts.map(|(name, count, us)| Part::new(name, count as f64, us)));
        Ok(())
    }

    /// From sums to results that can be sent.
    fn way_down<B: Backend>(&self, bfv: &Bfv<B>, rates: &mut Rates) -> Result<()> {
        let (backend, levels, none) = (bfv.context().backend(), self.levels(), EvaluationKeys::none());
        let ev = Evaluator::new(bfv, &none);
        // As many at once as a run has, where there is room: whether caches hold them shows.
        let room = |level: Level| -> Result<usize> {
            let rows = bfv.context().level("rates", level)?.rows.len();
            Ok((MEMORY / (2 * 4 * rows * bfv.context().params().degree())).max(1))
        };
        if levels.packing < levels.input {
            let items = self.sums().min(room(levels.input)?);
            let sums = zeros(bfv, levels.input, items, 2)?;
            let us = usual_us(backend, self.sums() / items, || -> Result<()> {
                drop(ev.switch_to(&sums, levels.packing)?);
                Ok(())
            })?;
            let (count, each) = (self.sums() as f64, us / items as f64);
            rates.run.push(Part::new("changes of level", count, each));
        }
        if self.output() == Output::Packed && self.block().inner > 1 {
            let (count, each) = (self.costs().automorphisms as f64, self.merge_us(bfv)?);
            rates.run.push(Part::new("merges", count, each));
        }
        let all = self.results() * self.request().requests;
        let items = self.results().min(room(levels.packing)?);
        let results = zeros(bfv, levels.packing, items, 2)?;
        let us = usual_us(backend, all / items, || -> Result<()> {
            let (plan, ct) = (self.clone(), ev.switch_to(&results, levels.output)?);
            let ct = ev.concat(&[ct])?;
            drop(std::hint::black_box(Results { plan, ct }.release(bfv)?));
            Ok(())
        })?;
        rates
            .run
            .push(Part::new("results", all as f64, us / items as f64));
        Ok(())
    }

    /// A merge, among those of a group that is as large as the plan's or as a measurement allows.
    fn merge_us<B: Backend>(&self, bfv: &Bfv<B>) -> Result<f64> {
        let (ctx, level, tiles) = (bfv.context(), self.levels().packing, self.tiles());
        let count = self.block().inner.min(GROUP);
        let items = count.min(tiles.m * tiles.n);
        let needs = KeyNeeds::new(ctx.params()).up_to(level);
        let needs = interleaving_automorphisms(ctx.log_n(), count).fold(needs, KeyNeeds::automorphism);
        let keys = SecretKey::generate(ctx)?.evaluation_keys(&needs)?.expand(ctx)?;
        let (ev, group) = (Evaluator::new(bfv, &keys), [zeros(bfv, level, items, 2)?]);
        let groups = self.sums().div_ceil(self.block().inner);
        let us = usual_us(ctx.backend(), groups, || -> Result<()> {
            drop(ev.interleave(&ev.concat(&group)?, count)?);
            Ok(())
        })?;
        Ok(us / merges(items, count) as f64)
    }

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
        let (counts, costs, params) = (self.count()?, self.costs(), self.params());
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
            prepare_us: rates.prepare_us(),
            run_us: rates.run_us(),
            parts: rates.clone(),
            error_bound: 0.0,
        })
    }
}
