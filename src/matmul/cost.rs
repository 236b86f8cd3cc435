//! What a product costs before it runs: counts from the counting backend, times rates measured in a few milliseconds.
//!
//! | part | counted | rate, measured on the plan's own rows |
//! |---|---|---|
//! | plaintexts to residues | rows of `lift` | a `lift` and a transform of a row |
//! | sums of products | rows read by `mul_accumulate` | one with the plan's terms and items |
//! | products of matrices | rows of `gemm` times k | one with the plan's k |
//! | key switches | rows of `key_inner_product`, `mod_up`, `step`, `permute` | each by itself |
//! | everything else | bytes | a copy |
//!
//! [`Cost`] knows no scheme and no packing by type, so that [`choose`] compares whatever is costed.

use std::time::Instant;

use serde::Serialize;

use super::{
    EncodedWeights, Inputs, MatmulError, MatmulPlan, Options, Packing, Result, Shape, layout::Layout,
};
use crate::{
    arith::{Complex, Double, Embedding},
    backend::{
        Backend, Entries, Integers, Matrix, Mut, Onto, Product, Ref, Row, Span,
        null::{Counts, Null, Operation},
    },
    ckks::Ckks,
    ring::Galois,
    rlwe::{self, Context, EvaluationKeys, Params, SecretKey},
};

/// Bytes a second of the link by which [`choose`] weighs bytes against time: 1 Gbit/s.
const LINK: f64 = 125e6;

/// What one product takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// `ckks` or `bfv`.
    pub scheme: &'static str,
    /// The packing.
    pub packing: &'static str,
    /// Name of the chain.
    pub chain: String,
    /// log2 of the ring degree.
    pub log_n: u32,
    /// Classical security in bits.
    pub security_bits: u32,
    /// The level of inputs and result.
    pub level: u32,
    /// Bits by which weights raise the scale: what a rescale afterwards removes.
    pub weight_bits: u32,
    /// Levels that the product uses: none, since nothing is rescaled.
    pub levels: u32,
    /// Ciphertexts from client to server.
    pub ciphertexts_up: usize,
    /// Ciphertexts back.
    pub ciphertexts_down: usize,
    /// Rotations.
    pub rotations: u64,
    /// Products of a ciphertext and a plaintext; of a ciphertext and an integer where weights are integers.
    pub products: u64,
    /// Rotation keys.
    pub keys: usize,
    /// Bytes of inputs, seeded.
    pub bytes_up: usize,
    /// Bytes of results.
    pub bytes_down: usize,
    /// Bytes of keys, seeded, sent once.
    pub key_bytes: usize,
    /// The most bytes in use on the server, weights and keys included.
    pub peak_bytes: u64,
    /// Predicted microseconds of encoding the weights.
    pub prepare_us: f64,
    /// Predicted microseconds of the product.
    pub run_us: f64,
    /// Bound on the error of an entry.
    pub error_bound: f64,
}

impl Cost {
    /// Microseconds of the server, and of bytes both ways at 1 Gbit/s.
    pub fn total_us(&self) -> f64 {
        self.run_us + (self.bytes_up + self.bytes_down) as f64 / LINK * 1e6
    }
}

/// A choice among costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// Index of the chosen one.
    pub index: usize,
    /// Why, in a sentence.
    pub reason: String,
}

/// The least [`total_us`](Cost::total_us) within a budget of bytes in use; an error says what every other one needs.
pub fn choose(shape: Shape, costs: &[Cost], budget: Option<u64>) -> Result<Choice> {
    let fits = |c: &Cost| budget.is_none_or(|b| c.peak_bytes <= b);
    let mut within: Vec<(usize, &Cost)> = costs.iter().enumerate().filter(|(_, c)| fits(c)).collect();
    within.sort_by(|a, b| a.1.total_us().total_cmp(&b.1.total_us()));
    let Some((index, best)) = within.first() else {
        let each = costs
            .iter()
            .map(|c| format!("{} needs {} bytes", c.packing, c.peak_bytes));
        let why = match costs {
            [] => String::from("no packing holds it with these parameters"),
            _ => each.collect::<Vec<_>>().join(", "),
        };
        let shape = shape.to_string();
        return Err(MatmulError::NoPlan { shape, why });
    };
    let ms = |us: f64| format!("{:.1} ms", us / 1e3);
    let transfer = best.total_us() - best.run_us;
    let mut reason = format!(
        "{} takes least: {} of work and {} of transfer at 1 Gbit/s",
        best.packing,
        ms(best.run_us),
        ms(transfer)
    );
    if let Some((_, next)) = within.get(1) {
        let times = next.total_us() / best.total_us();
        reason += &format!("; {} takes {times:.1} times as long", next.packing);
    }
    let left = costs.len() - within.len();
    if left > 0 {
        reason += &format!("; {left} did not fit the budget");
    }
    Ok(Choice {
        index: *index,
        reason,
    })
}

/// Microseconds of one unit of each kind of work on a backend, on rows and in sums like those of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    expand_row: f64,
    accumulate_row: f64,
    gemm_row: f64,
    key_row: f64,
    mod_up_row: f64,
    step_row: f64,
    permute_row: f64,
    copy_byte: f64,
    /// Of encoding a plaintext on the host, without residues.
    encode: f64,
}

/// Bytes of plaintexts that a measured sum goes through before it meets the same ones again: more than caches hold, since a run meets each
/// once.
const COLD: usize = 1 << 26;

/// Median microseconds of a run: one to warm up, then at least five and about three milliseconds.
fn median_us<B: Backend>(ctx: &Context<B>, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    run()?;
    let (mut all, start) = (Vec::new(), Instant::now());
    while all.len() < 5 || start.elapsed().as_micros() < 3000 {
        let one = Instant::now();
        run()?;
        ctx.backend().wait()?;
        all.push(one.elapsed().as_secs_f64() * 1e6);
    }
    all.sort_unstable_by(f64::total_cmp);
    Ok(all.get(all.len() / 2).copied().unwrap_or(f64::NAN))
}

/// Zeroed memory.
fn zeroed<B: Backend>(ctx: &Context<B>, items: usize, polys: usize, rows: &[Row]) -> Result<B::Buffer> {
    let span = Span::dense(items, polys, rows);
    let mut buffer = ctx.backend().alloc(ctx.log_n(), span.count())?;
    ctx.backend().zero(Mut::new(&mut buffer, span))?;
    Ok(buffer)
}

impl Rates {
    /// Measures what the plan needs, on a context of its parameters; some tens of milliseconds.
    pub fn measure<B: Backend>(ctx: &Context<B>, plan: &MatmulPlan) -> Result<Self> {
        let (backend, tables) = (ctx.backend(), ctx.tables());
        let level = ctx.level("matmul", plan.level)?;
        let mut rates = Self::default();
        let (terms, groups, users, rows) = match &plan.layout {
            Layout::Features(layout) => {
                let (k, n, polys) = (
                    plan.shape.k.min(256),
                    plan.shape.n.min(64),
                    2 * layout.tiles.min(2),
                );
                let src = zeroed(ctx, k, polys, &level.rows)?;
                let mut dst = zeroed(ctx, n, polys, &level.rows)?;
                let weights = vec![0i16; n * k];
                let us = median_us(ctx, || {
                    let matrix = Matrix {
                        outputs: n,
                        inputs: k,
                        entries: Entries::I16(&weights),
                    };
                    let to = Mut::new(&mut dst, Span::dense(n, polys, &level.rows));
                    let from = Ref::new(&src, Span::dense(k, polys, &level.rows));
                    Ok(backend.gemm(tables, to, from, matrix)?)
                })?;
                rates.gemm_row = us / (k * n * polys * level.rows.len()) as f64;
                rates.encode = 3e-3;
                return Ok(rates);
            }
            Layout::Blocks(layout) => (
                layout.inner_blocks(plan.shape),
                layout.output_blocks(plan.shape),
                layout.row_blocks(plan.shape),
                level.rows.to_vec(),
            ),
            Layout::Diagonal(layout) => (
                layout.inputs * layout.baby,
                layout.outputs * layout.giant(),
                layout.tiles,
                level.extended.clone(),
            ),
        };
        let (terms, users) = (terms.min(128), users.min(16));
        let span = Span::dense(terms, 1, &rows);
        // Plaintexts that are kept come from memory, expanded ones from the cache.
        let group = span.count() * (4 << ctx.log_n());
        let kept = if plan.options.ready { groups } else { 1 };
        let groups = (COLD / group).clamp(1, kept);
        let mut plain = zeroed(ctx, groups * terms, 1, &rows)?;
        let all_plain = Span::dense(groups * terms, 1, &rows);
        let each = match &plan.layout {
            Layout::Diagonal(layout) => 2 * layout.slots(),
            _ => ctx.params().degree(),
        };
        let integers = vec![1i32; terms * each];
        let mut turn = 0;
        let us = median_us(ctx, || {
            let span = all_plain.slice_items(turn % groups * terms, terms);
            turn += 1;
            backend.lift(tables, Mut::new(&mut plain, span), Integers::I32(&integers))?;
            Ok(backend.ntt(tables, Mut::new(&mut plain, span))?)
        })?;
        rates.expand_row = us / span.count() as f64;
        let x = zeroed(ctx, terms * users, 2, &rows)?;
        let mut sum = zeroed(ctx, users, 2, &rows)?;
        let us = median_us(ctx, || {
            let of_group = all_plain.slice_items(turn % groups * terms, terms);
            turn += 1;
            let all: Vec<Product<B>> = (0..terms)
                .map(|t| Product {
                    a: Ref::new(
                        &x,
                        Span::dense(terms * users, 2, &rows).slice_items(t * users, users),
                    ),
                    b: Ref::new(
                        &plain,
                        of_group.slice_items(t, 1).repeat_items(users).repeat_polys(2),
                    ),
                })
                .collect();
            let dst = Mut::new(&mut sum, Span::dense(users, 2, &rows));
            Ok(backend.mul_accumulate(tables, dst, Onto::Zero, &all)?)
        })?;
        rates.accumulate_row = us / (terms * users * 4 * rows.len()) as f64;
        rates.encode = plan.encode_us();
        if let Layout::Diagonal(_) = &plan.layout {
            rates.key_switch(ctx, plan)?;
        }
        Ok(rates)
    }

    fn key_switch<B: Backend>(&mut self, ctx: &Context<B>, plan: &MatmulPlan) -> Result<()> {
        const ITEMS: usize = 2;
        let (backend, tables) = (ctx.backend(), ctx.tables());
        let level = ctx.level("matmul", plan.level)?;
        let (extended, digits) = (&level.extended, level.digits.len());
        let which: Vec<u32> = level.digits.iter().map(|d| d.digit).collect();
        let reach = which.iter().max().map_or(0, |d| *d as usize + 1);
        let key = zeroed(ctx, reach, 2, extended)?;
        let key = backend.prepare(tables, Ref::new(&key, Span::dense(reach, 2, extended)))?;
        let source = zeroed(ctx, ITEMS, 1, &level.rows)?;
        let mut up = zeroed(ctx, ITEMS, digits, extended)?;
        let (one, many) = (
            Span::dense(ITEMS, 1, &level.rows),
            Span::dense(ITEMS, digits, extended),
        );
        let us = median_us(ctx, || {
            Ok(backend.mod_up(
                tables,
                Mut::new(&mut up, many),
                Ref::new(&source, one),
                &level.digits,
            )?)
        })?;
        self.mod_up_row = us / many.count() as f64;
        let pair = Span::dense(ITEMS, 2, extended);
        let mut sums = zeroed(ctx, ITEMS, 2, extended)?;
        let us = median_us(ctx, || {
            let dst = Mut::new(&mut sums, pair);
            Ok(backend.key_inner_product(tables, dst, Ref::new(&up, many), &which, &[&key])?)
        })?;
        self.key_row = us / pair.count() as f64;
        let mut moved = zeroed(ctx, ITEMS, 2, extended)?;
        let g = Galois::rotation(1, ctx.log_n());
        let us = median_us(ctx, || {
            Ok(backend.permute(tables, Mut::new(&mut moved, pair), Ref::new(&sums, pair), &[g])?)
        })?;
        self.permute_row = us / pair.count() as f64;
        let down = Span::dense(ITEMS, 2, &level.rows);
        let mut low = zeroed(ctx, ITEMS, 2, &level.rows)?;
        let us = median_us(ctx, || {
            Ok(backend.step(
                tables,
                Mut::new(&mut low, down),
                Ref::new(&sums, pair),
                &level.mod_down,
            )?)
        })?;
        self.step_row = us / down.count() as f64;
        let us = median_us(ctx, || {
            Ok(backend.copy(Mut::new(&mut moved, pair), Ref::new(&sums, pair))?)
        })?;
        self.copy_byte = us / (2 * pair.count() * (4 << ctx.log_n())) as f64;
        Ok(())
    }

    /// Microseconds of what was counted; `inputs` is k where products of matrices were.
    fn us(&self, counts: &Counts, log_n: u32, inputs: usize) -> f64 {
        let rows = |op| counts.of(op).rows as f64;
        let read = counts.of(Operation::MulAccumulate).read_bytes as f64 / f64::from(4u32 << log_n);
        let streams = [
            Operation::MulConst,
            Operation::MulConstAdd,
            Operation::Add,
            Operation::Zero,
        ];
        let bytes: u64 = streams
            .iter()
            .map(|op| counts.of(*op).read_bytes + counts.of(*op).written_bytes)
            .sum();
        rows(Operation::Lift) * self.expand_row
            + read * self.accumulate_row
            + rows(Operation::Gemm) * inputs as f64 * self.gemm_row
            + rows(Operation::KeyInnerProduct) * self.key_row
            + rows(Operation::ModUp) * self.mod_up_row
            + rows(Operation::Step) * self.step_row
            + rows(Operation::Permute) * self.permute_row
            + bytes as f64 * self.copy_byte
    }
}

impl MatmulPlan {
    /// Microseconds of encoding one plaintext on the host, without residues.
    fn encode_us(&self) -> f64 {
        let Layout::Diagonal(layout) = &self.layout else {
            // Zeroing and scattering; the integers of all weights are rounded once.
            return 1e-4 * self.params.degree() as f64 + 3e-3 * self.shape.k as f64;
        };
        let embedding = Embedding::new(self.params.log_n());
        let slots = vec![Complex::from(0.5); layout.slots()];
        let mut out = vec![0; self.params.degree()];
        let scale = Double {
            hi: f64::from(self.weight_bits).exp2(),
            lo: 0.0,
        };
        let mut least = f64::INFINITY;
        for _ in 0..5 {
            let start = Instant::now();
            if embedding.embed(&slots, scale, &mut out).is_err() {
                return f64::NAN;
            }
            least = least.min(start.elapsed().as_secs_f64() * 1e6);
        }
        least * 1.15
    }

    /// Products of a ciphertext and a plaintext, or an integer.
    fn plain_products(&self) -> u64 {
        let Shape { k, n, .. } = self.shape;
        let all = match &self.layout {
            Layout::Features(l) => k * n * l.tiles,
            Layout::Blocks(l) => {
                l.row_blocks(self.shape) * l.inner_blocks(self.shape) * l.output_blocks(self.shape)
            }
            Layout::Diagonal(l) => l.tiles * l.inputs * l.outputs * l.diagonals,
        };
        all as u64
    }

    /// Runs on the counting backend: (counts of preparing, counts of a run).
    fn count(&self) -> Result<(Counts, Counts)> {
        let null = Null::new();
        let ctx = Context::new(null.clone(), self.params.clone())?;
        let ckks = Ckks::new(&ctx);
        let keys = match self.rotations().is_empty() {
            true => EvaluationKeys::none(),
            false => {
                let secret = SecretKey::generate(&ctx)?;
                secret.evaluation_keys(&self.keys())?.expand(&ctx)?
            }
        };
        null.reset();
        let weights: EncodedWeights<Null> = self.blank_weights(&ckks)?;
        let preparing = null.counts();
        let (items, _) = self.ciphertexts();
        let inner = rlwe::Ciphertext::build(&ctx, "matmul", self.level, items, 2, |_| Ok(()))?;
        let inputs: Inputs<Null> = self.blank_inputs(inner)?;
        null.reset();
        drop(self.run(&ckks, &[&keys], &weights, &inputs)?);
        Ok((preparing, null.counts()))
    }
}

/// Counts and predicts a plan; `rates` were measured for it.
pub fn cost(plan: &MatmulPlan, chain: &str, rates: &Rates) -> Result<Cost> {
    let (preparing, run) = plan.count()?;
    let (up, down) = plan.ciphertexts();
    let (params, log_n, k) = (&plan.params, plan.params.log_n(), plan.shape.k);
    let rows = params.level("matmul", plan.level)?.primes.len();
    let row_bytes = 4usize << log_n;
    let rotations = plan.rotations();
    let digits = params.primes_up_to(plan.level);
    let count = digits
        .iter()
        .filter_map(|i| params.digit_of().get(*i as usize))
        .collect::<std::collections::BTreeSet<_>>();
    let key = count.len() * (digits.len() + params.special().len()) * row_bytes + 32;
    let encoded = match &plan.layout {
        Layout::Features(_) => (plan.shape.k * plan.shape.n) as f64,
        Layout::Blocks(l) => (l.inner_blocks(plan.shape) * l.output_blocks(plan.shape)) as f64,
        Layout::Diagonal(l) => (l.inputs * l.outputs * l.diagonals) as f64,
    };
    Ok(Cost {
        scheme: "ckks",
        packing: plan.packing.name(),
        chain: chain.to_owned(),
        log_n,
        security_bits: params.security_bits(),
        level: plan.level.0,
        weight_bits: plan.weight_bits,
        levels: 0,
        ciphertexts_up: up,
        ciphertexts_down: down,
        rotations: run.key_switches,
        products: plan.plain_products(),
        keys: rotations.len(),
        bytes_up: up * (rows * row_bytes + 32),
        bytes_down: down * 2 * rows * row_bytes,
        key_bytes: rotations.len() * key,
        peak_bytes: run.peak_bytes,
        prepare_us: rates.us(&preparing, log_n, k) + encoded * rates.encode,
        run_us: rates.us(&run, log_n, k),
        error_bound: plan.error_bound(),
    })
}

/// The cheapest plan of every packing on the given chains, each costed on contexts that `context` makes of parameters. What no chain
/// holds is left out.
pub fn plans<B: Backend>(
    shape: Shape,
    options: Options,
    chains: &[(&str, Params)],
    mut context: impl FnMut(&Params) -> Result<Context<B>>,
) -> Result<Vec<(MatmulPlan, Cost)>> {
    shape.check()?;
    let mut all = Vec::new();
    for packing in Packing::ALL {
        let mut best: Option<(MatmulPlan, Cost)> = None;
        let mut last = None;
        for (name, params) in chains {
            // Of several chains of one degree the first that holds the product is the smallest.
            if last == Some(params.log_n()) {
                continue;
            }
            let Ok(plan) = MatmulPlan::with(shape, packing, params, options) else {
                continue;
            };
            last = Some(params.log_n());
            let rates = Rates::measure(&context(params)?, &plan)?;
            let cost = cost(&plan, name, &rates)?;
            if best.as_ref().is_none_or(|(_, b)| cost.total_us() < b.total_us()) {
                best = Some((plan, cost));
            }
        }
        all.extend(best);
    }
    Ok(all)
}
