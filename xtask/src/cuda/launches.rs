//! Blocks of launches as the shipped chains make them: threads, and the most shared memory that a launch adds, by kernel.
//!
//! Every level of every chain is gone through on the device that only counts: key switches with each division, of one set of digits
//! for several items too, the step down, slots to rows and back. The operations of the traffic table come besides.

use std::{collections::BTreeMap, error::Error};

use cipherformer::{
    arith::{Complex, Double, Embedding},
    backend::{
        Backend, KeySwitch, Mut, Ref, Span, compact,
        cuda::{Cuda, Launch},
    },
    bench::traffic,
    ring::{self, Crt, Galois, Scale},
    rlwe::{Context, Level, Params, Spec},
};

/// Items of a launch.
const ITEMS: usize = 2;
/// Scales of slots in f64 and in double-double arithmetic, as log2.
const SCALES: [i32; 2] = [20, 55];

/// A block of a kernel.
#[derive(Clone, Copy, Default)]
pub struct Block {
    pub threads: u32,
    /// Bytes of shared memory beside what the kernel declares.
    pub shared_bytes: u32,
}

impl Block {
    /// Of each the larger one.
    pub fn max(self, other: Self) -> Self {
        Self {
            threads: self.threads.max(other.threads),
            shared_bytes: self.shared_bytes.max(other.shared_bytes),
        }
    }
}

/// The largest blocks of each kernel.
pub fn largest() -> Result<BTreeMap<&'static str, Block>, String> {
    let mut largest = BTreeMap::new();
    let mut add = |launches: &[Launch]| {
        for launch in launches.iter().filter(|l| l.threads > 0) {
            let block: &mut Block = largest.entry(launch.kernel).or_default();
            *block = block.max(Block {
                threads: launch.threads,
                shared_bytes: launch.shared_bytes,
            });
        }
    };
    for (name, chain) in ring::chains().chain(ring::insecure_chains()) {
        let of_chain = |e: Box<dyn Error>| format!("{name}: {e}");
        let levels = 0..=chain.top() as u32;
        let params = Params::insecure(Spec { chain }).map_err(|e| of_chain(e.into()))?;
        let cuda = Cuda::counting();
        let ctx = Context::new(cuda.clone(), params).map_err(|e| of_chain(e.into()))?;
        for at in levels {
            level(&ctx, Level(at)).map_err(of_chain)?;
            add(&cuda.launches());
        }
    }
    for operation in traffic::measure().map_err(|e| e.to_string())? {
        add(&operation.launches);
    }
    Ok(largest)
}

/// What a level has to do.
fn level(ctx: &Context<Cuda>, at: Level) -> Result<(), Box<dyn Error>> {
    let (b, t, log_n) = (ctx.backend(), ctx.tables(), ctx.log_n());
    let constants = ctx.level("the budget of kernels", at)?;
    let rows = &constants.rows;
    let input = b.alloc(log_n, 3 * ITEMS * rows.len())?;
    let input = Ref::new(&input, Span::dense(ITEMS, 3, rows));

    let extended: Vec<u32> = constants.extended.iter().map(|r| r.prime).collect();
    let extended = compact(&extended);
    let key_digits = 1 + constants
        .digits
        .iter()
        .map(|d| d.digit as usize)
        .max()
        .unwrap_or(0);
    let key = Span::dense(key_digits, 2, &extended);
    let memory = b.alloc(log_n, key.count())?;
    let key = b.prepare(t, Ref::new(&memory, key))?;
    let elements: Vec<Galois> = (1..=ITEMS as i64).map(|k| Galois::rotation(k, log_n)).collect();
    let span = Span::dense(1, constants.digits.len(), &constants.extended);
    let mut digits = b.alloc(log_n, span.count())?;
    let one = input.map(|s| s.slice_items(0, 1).slice_polys(1, 1));
    b.mod_up(t, Mut::new(&mut digits, span), one, &constants.digits)?;
    let below = constants.mod_down_rescale.as_ref();
    for (step, switched) in [(Some(&constants.mod_down), 1), (below, 2)] {
        let Some(step) = step else { continue };
        let result = compact(&step.step.result);
        let switch = KeySwitch {
            digits: &constants.digits,
            extended: &constants.extended,
            keys: &[&key],
            factor: &constants.special_product,
            elements: &elements,
            step: Some(step),
        };
        let to = Span::dense(ITEMS, 2, &result);
        let mut out = b.alloc(log_n, to.count())?;
        let src = input.map(|s| s.slice_polys(switched, 1));
        let addend = input.map(|s| s.slice_polys(0, switched));
        b.key_switch(t, Mut::new(&mut out, to), src, addend, &switch)?;
        let shared = Ref::new(&digits, span.repeat_items(ITEMS));
        let addend = input.map(|s| s.slice_polys(0, 1).repeat_items(ITEMS));
        b.switch_digits(t, Mut::new(&mut out, to), shared, addend, &switch)?;
    }
    if let Some(step) = &constants.rescale {
        let result = compact(&step.step.result);
        let to = Span::dense(ITEMS, 2, &result);
        let mut out = b.alloc(log_n, to.count())?;
        b.step(
            t,
            Mut::new(&mut out, to),
            input.map(|s| s.slice_polys(0, 2)),
            step,
        )?;
    }

    let embedding = Embedding::new(log_n);
    let mut slots = vec![Complex::default(); embedding.slots()];
    let dense = Span::dense(1, 1, rows);
    let mut out = b.alloc(log_n, dense.count())?;
    for bits in SCALES {
        b.embed(
            t,
            Mut::new(&mut out, dense),
            &embedding,
            &slots,
            Double::ONE.ldexp(bits),
        )?;
    }
    let modulus = |row: &cipherformer::backend::Row| ctx.params().basis().prime(row.prime).value();
    let moduli: Vec<u32> = rows.iter().map(modulus).collect();
    let (crt, scale) = (Crt::new(&moduli)?, Scale::pow2(SCALES[0]));
    b.decode(t, Ref::new(&out, dense), &embedding, &crt, &scale, &mut slots)?;
    Ok(())
}
