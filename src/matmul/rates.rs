//! Rates of a machine, measured in some tens of milliseconds on rows and in sums like those of a plan.
//!
//! | part | counted | rate |
//! |---|---|---|
//! | plaintexts to residues | rows of `lift` | a `lift` and a transform of a row |
//! | sums of products | rows read by `mul_accumulate` | one with the plan's terms and items |
//! | products of matrices | rows of `gemm` times k | one with the plan's k |
//! | key switches | rows of `key_inner_product`, `mod_up`, `step`, `permute` | each by itself |
//! | everything else | bytes | a copy |

use std::time::Instant;

use super::{MatmulPlan, Result, layout::Layout};
use crate::{
    arith::{Complex, Double, Embedding},
    backend::{
        Backend, BackendError, Entries, Integers, Matrix, Mut, Onto, Product, Ref, Row, Span,
        null::{Counts, Operation},
    },
    ring::Galois,
    rlwe::Context,
};

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
    /// Of encoding a plaintext on the host, without residues; of an integer, where weights are those.
    pub(super) encode: f64,
}

/// Bytes of plaintexts that a measured sum goes through before it meets the same ones again: more than caches hold, since a run meets each
/// once.
const COLD: usize = 1 << 26;
/// Weights of a measured product of matrices, and terms of a measured sum, at most.
const GEMM: usize = 1 << 12;
const TERMS: usize = 32;

/// Least microseconds of a run, which other programs on the machine disturb least: one to warm up, then at least seven and about five
/// milliseconds. What is measured takes a millisecond or two, less than the turn that a program gets on a busy machine.
pub(super) fn least_us<B: Backend, E: From<BackendError>>(
    ctx: &Context<B>,
    mut run: impl FnMut() -> std::result::Result<(), E>,
) -> std::result::Result<f64, E> {
    run()?;
    let (mut least, mut runs, start) = (f64::INFINITY, 0, Instant::now());
    while runs < 7 || start.elapsed().as_micros() < 5000 {
        let one = Instant::now();
        run()?;
        ctx.backend().wait()?;
        least = least.min(one.elapsed().as_secs_f64() * 1e6);
        runs += 1;
    }
    Ok(least)
}

/// Zeroed memory.
fn zeroed<B: Backend>(ctx: &Context<B>, items: usize, polys: usize, rows: &[Row]) -> Result<B::Buffer> {
    let span = Span::dense(items, polys, rows);
    let mut buffer = ctx.backend().alloc(ctx.log_n(), span.count())?;
    ctx.backend().zero(Mut::new(&mut buffer, span))?;
    Ok(buffer)
}

impl Rates {
    /// The least of both, rate by rate: two measurements are disturbed less than one.
    pub fn least(self, other: Self) -> Self {
        Self {
            expand_row: self.expand_row.min(other.expand_row),
            accumulate_row: self.accumulate_row.min(other.accumulate_row),
            gemm_row: self.gemm_row.min(other.gemm_row),
            key_row: self.key_row.min(other.key_row),
            mod_up_row: self.mod_up_row.min(other.mod_up_row),
            step_row: self.step_row.min(other.step_row),
            permute_row: self.permute_row.min(other.permute_row),
            copy_byte: self.copy_byte.min(other.copy_byte),
            encode: self.encode.min(other.encode),
        }
    }

    /// Measures what the plan needs, on a context of its parameters; some tens of milliseconds.
    pub fn measure<B: Backend>(ctx: &Context<B>, plan: &MatmulPlan) -> Result<Self> {
        let (backend, tables) = (ctx.backend(), ctx.tables());
        let level = ctx.level("matmul", plan.level)?;
        let mut rates = Self::default();
        let (terms, groups, users, rows) = match &plan.layout {
            Layout::Features(_) => {
                // One row for all, of as many outputs as share the copies of inputs, and as many inputs as there is time for.
                let row = level.rows.get(..1).unwrap_or_default();
                let n = plan.shape.n.min(64);
                let k = plan.shape.k.min((GEMM / n).max(1));
                let src = zeroed(ctx, k, 1, row)?;
                let mut dst = zeroed(ctx, n, 1, row)?;
                let weights = vec![0i16; n * k];
                let us = least_us(ctx, || -> Result<()> {
                    let matrix = Matrix {
                        outputs: n,
                        inputs: k,
                        entries: Entries::I16(&weights),
                    };
                    let to = Mut::new(&mut dst, Span::dense(n, 1, row));
                    Ok(backend.gemm(tables, to, Ref::new(&src, Span::dense(k, 1, row)), matrix)?)
                })?;
                rates.gemm_row = us / (k * n) as f64;
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
        let polynomial = rows.len() * (4 << ctx.log_n());
        let terms = terms.min(TERMS).min(COLD / polynomial).max(1);
        let users = users.min(16).min(COLD / (terms * polynomial)).max(1);
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
        let us = least_us(ctx, || -> Result<()> {
            let span = all_plain.slice_items(turn % groups * terms, terms);
            turn += 1;
            backend.lift(tables, Mut::new(&mut plain, span), Integers::I32(&integers))?;
            Ok(backend.ntt(tables, Mut::new(&mut plain, span))?)
        })?;
        rates.expand_row = us / span.count() as f64;
        let x = zeroed(ctx, terms * users, 2, &rows)?;
        let mut sum = zeroed(ctx, users, 2, &rows)?;
        let us = least_us(ctx, || -> Result<()> {
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
        let us = least_us(ctx, || -> Result<()> {
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
        let us = least_us(ctx, || -> Result<()> {
            let dst = Mut::new(&mut sums, pair);
            Ok(backend.key_inner_product(tables, dst, Ref::new(&up, many), &which, &[&key])?)
        })?;
        self.key_row = us / pair.count() as f64;
        let mut moved = zeroed(ctx, ITEMS, 2, extended)?;
        let g = Galois::rotation(1, ctx.log_n());
        let us = least_us(ctx, || -> Result<()> {
            Ok(backend.permute(tables, Mut::new(&mut moved, pair), Ref::new(&sums, pair), &[g])?)
        })?;
        self.permute_row = us / pair.count() as f64;
        let down = Span::dense(ITEMS, 2, &level.rows);
        let mut low = zeroed(ctx, ITEMS, 2, &level.rows)?;
        let us = least_us(ctx, || -> Result<()> {
            Ok(backend.step(
                tables,
                Mut::new(&mut low, down),
                Ref::new(&sums, pair),
                &level.mod_down,
            )?)
        })?;
        self.step_row = us / down.count() as f64;
        let us = least_us(ctx, || -> Result<()> {
            Ok(backend.copy(Mut::new(&mut moved, pair), Ref::new(&sums, pair))?)
        })?;
        self.copy_byte = us / (2 * pair.count() * (4 << ctx.log_n())) as f64;
        Ok(())
    }

    /// Microseconds of what was counted; `inputs` is k where products of matrices were.
    pub(super) fn us(&self, counts: &Counts, log_n: u32, inputs: usize) -> f64 {
        let rows = |op| counts.of(op).rows as f64;
        let read = counts.of(Operation::MulAccumulate).read_bytes as f64 / f64::from(4u32 << log_n);
        let streams = [
            Operation::MulConst,
            Operation::MulConstAdd,
            Operation::Copy,
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
}
