//! Slots to residues and back on the device: the f64 transforms, rounding, and the sum of mixed-radix digits.

use std::sync::OnceLock;

use super::{
    Cuda,
    device::{Argument, Cost, Grid, THREADS},
    memory::Buffer,
    ntt::Tables,
    operands::{MAX_ROWS, Shape},
};
use crate::{
    arith::{Complex, Double, Embedding},
    backend::{Backend, EncodeError, Mut, Ref, Result, Row, Span, derived},
    ring::{Crt, Scale, mixed_radix},
};

/// log2 of the numbers of a block whose stages run in shared memory.
const LOG_BLOCK: u32 = 10;
/// Threads of a block of `decode_lift`, and digits that each keeps in shared memory: half of the warps of a multiprocessor then have enough.
const DECODERS: u32 = 128;
const KEPT_DIGITS: usize = 38;
/// Sums of digits are formed as long as all numbers are below 2^900.
const MOST_LOG2: i64 = 900;
/// The largest second grid dimension that items go to.
const MOST_ITEMS: usize = 65_535;
/// Half of the largest integer that slots may give: what the definition refuses is far beyond.
const LIMIT_LOG2: i32 = 61;

/// Twiddles of slot transforms: uploaded once, when they are needed.
#[derive(Default)]
pub(super) struct Twiddles {
    single: OnceLock<Buffer>,
    twofold: OnceLock<Buffer>,
}

impl Twiddles {
    fn get<'a>(
        cell: &'a OnceLock<Buffer>,
        cuda: &Cuda,
        table: impl FnOnce() -> Vec<f64>,
    ) -> Result<&'a Buffer> {
        if let Some(buffer) = cell.get() {
            return Ok(buffer);
        }
        let buffer = cuda.device.constants(bytemuck::cast_slice(&table()))?;
        Ok(cell.get_or_init(|| buffer))
    }

    fn single(&self, cuda: &Cuda, embedding: &Embedding) -> Result<&Buffer> {
        Self::get(&self.single, cuda, || {
            embedding.twiddles().iter().flat_map(|z| [z.re, z.im]).collect()
        })
    }

    fn twofold(&self, cuda: &Cuda, embedding: &Embedding) -> Result<&Buffer> {
        Self::get(&self.twofold, cuda, || {
            let parts = |z: &crate::arith::Pair<Double>| [z.re.hi, z.re.lo, z.im.hi, z.im.lo];
            embedding.precise_twiddles().iter().flat_map(parts).collect()
        })
    }
}

/// The kernels of one kind of arithmetic.
struct Kind {
    /// Kernels of one stage of longer blocks, two stages, ...
    outer: &'static [&'static str],
    inner: &'static str,
    /// Words of a number.
    words: usize,
}

const SINGLE: Kind = Kind {
    outer: &["embed_outer_single_1", "embed_outer_single_2"],
    inner: "embed_inner_single",
    words: 4,
};
const TWOFOLD: Kind = Kind {
    outer: &["embed_outer_twofold_1"],
    inner: "embed_inner_twofold",
    words: 8,
};
const UNEMBED_OUTER: &[&str] = &["unembed_outer_1", "unembed_outer_2"];

/// Numbers of all items on the device, and how they are laid out.
struct Numbers<'a> {
    from: &'a Buffer,
    to: &'a Buffer,
    twiddles: &'a Buffer,
    log_slots: u32,
    items: usize,
    words: usize,
}

impl Numbers<'_> {
    fn count(&self) -> usize {
        self.items << self.log_slots
    }
}

impl Cuda {
    /// See [`Backend::embed`](crate::backend::Backend::embed). What might not fit goes to the body, which says so.
    pub(super) fn embed_slots(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        embedding: &Embedding,
        slots: &[Complex],
        scale: Double,
    ) -> std::result::Result<(), EncodeError> {
        let items = dst.span.items;
        let count = slots.len() / items.max(1);
        let precise = embedding.is_precise(count, scale, 1 << t.log_n).ok();
        let fits = slots.len() == items * count && items <= MOST_ITEMS && dst.span.polys == 1;
        let Some(precise) = precise.filter(|_| fits && bounded(slots, scale)) else {
            return derived::embed(self, t, dst, embedding, slots, scale);
        };
        let raw = self.device.constants(bytemuck::cast_slice(slots))?;
        let (kind, twiddles) = match precise {
            true => (&TWOFOLD, t.slots.twofold(self, embedding)?),
            false => (&SINGLE, t.slots.single(self, embedding)?),
        };
        let log_slots = count.trailing_zeros();
        let scratch = self.device.pool.take(0, kind.words * slots.len())?;
        let numbers = Numbers {
            from: &raw,
            to: &scratch,
            twiddles,
            log_slots,
            items,
            words: kind.words,
        };
        let (mut length, mut first) = (log_slots, true);
        while length > LOG_BLOCK {
            let stages = (kind.outer.len() as u32).min(length - LOG_BLOCK);
            self.outer_stages(kind.outer, stages, length, &numbers, first)?;
            (length, first) = (length - stages, false);
        }
        let integers = self.device.pool.take(0, 4 * slots.len())?;
        let block = 1usize << length;
        let factor = scale.ldexp(-(log_slots as i32));
        let source = if first { &raw } else { &scratch };
        let arguments = [
            Argument::Address(source.address()),
            Argument::Address(integers.address()),
            Argument::Address(twiddles.address()),
            Argument::Number(log_slots),
            Argument::Real([factor.hi, factor.lo]),
            Argument::Number(u32::from(first)),
        ];
        let grid = Grid {
            shared: (4 * kind.words * block) as u32,
            ..Grid::new((count / block) as u32, THREADS, items)
        };
        let cost = numbers.cost(4);
        // SAFETY: the arguments of `embed_inner_*`: `slots.len()` numbers, and two integers of 64 bits for each.
        unsafe { self.device.launch(kind.inner, &one_row(), grid, cost, &arguments) }?;
        Ok(self.lift_words(t, &dst, "lift_64", integers.address(), [2 * count, 0])?)
    }

    /// `stages` stages, the longest of them of blocks of 2^length numbers.
    fn outer_stages(
        &self,
        kernels: &[&'static str],
        stages: u32,
        length: u32,
        n: &Numbers,
        raw: bool,
    ) -> Result<()> {
        let arguments = [
            Argument::Address(if raw { n.from } else { n.to }.address()),
            Argument::Address(n.to.address()),
            Argument::Address(n.twiddles.address()),
            Argument::Number(1 << n.log_slots),
            Argument::Number(1 << length),
            Argument::Number(u32::from(raw)),
        ];
        let blocks = (1u32 << (n.log_slots - stages)).div_ceil(THREADS);
        let grid = Grid::new(blocks, THREADS, n.items);
        let kernel = kernels[stages as usize - 1];
        // SAFETY: the arguments of `embed_outer_*` and `unembed_outer_*`; `from` has two f64 a number where it is raw, `to` what the kind has.
        unsafe {
            self.device
                .launch(kernel, &one_row(), grid, n.cost(n.words), &arguments)
        }
    }

    /// See [`Backend::decode`](crate::backend::Backend::decode). What the kernels do not take goes to the body.
    pub(super) fn decode_slots(
        &self,
        t: &Tables,
        src: Ref<Self>,
        embedding: &Embedding,
        crt: &Crt,
        scale: &Scale,
        slots: &mut [Complex],
    ) -> std::result::Result<(), EncodeError> {
        let (n, items, rows) = (1usize << t.log_n, src.span.items, src.span.rows.len());
        let count = slots.len() / items.max(1);
        let fits = slots.len() == items * count
            && rows <= MAX_ROWS
            && items <= MOST_ITEMS
            && embedding.is_precise(count, Double::ONE, n).is_ok();
        let moduli: Vec<_> = src.span.rows.iter().map(|r| t.modulus(*r)).collect();
        let Some(digits) = mixed_radix::digits(&moduli).filter(|_| fits) else {
            return derived::decode(self, t, src, embedding, crt, scale, slots);
        };
        let values = mixed_radix::values(&moduli, scale, MOST_LOG2);
        let mut constants = Vec::with_capacity(rows * (rows + 2));
        for digit in &digits {
            constants.extend(
                [digit.start, digit.own]
                    .into_iter()
                    .chain(digit.lower.iter().copied()),
            );
            constants.resize(constants.len().next_multiple_of(rows + 2), 0);
        }
        let parts: Vec<f64> = values.iter().flat_map(|v| [v.hi, v.lo]).collect();
        let constants = self.device.constants(&constants)?;
        let parts = self.device.constants(bytemuck::cast_slice(&parts))?;
        // The flag comes last, a row of one word.
        let words = 4 * slots.len() + 1;
        let mut result = self.device.pool.take(0, words)?;
        let spilled_digits = rows.saturating_sub(KEPT_DIGITS);
        let spilled = match spilled_digits {
            0 => None,
            digits => Some(self.device.pool.take(0, digits * slots.len())?),
        };
        let flag = result.address() + 4 * (words as u64 - 1);
        let last = Span {
            offset: words - 1,
            ..Span::dense(1, 1, &[Row { at: 0, prime: 0 }])
        };
        self.zero(Mut::new(&mut result, last))?;
        let log_slots = count.trailing_zeros();
        let arguments = [
            Argument::read(&src)?,
            Argument::Address(result.address()),
            Argument::Address(spilled.as_ref().map_or(0, Buffer::address)),
            Argument::Address(constants.address()),
            Argument::Address(parts.address()),
            Argument::Number(values.len() as u32),
            Argument::Number(log_slots),
            Argument::Address(flag),
            t.primes()?,
        ];
        let grid = Grid {
            shared: 4 * DECODERS * rows.min(KEPT_DIGITS) as u32,
            ..Grid::new((count as u32).div_ceil(DECODERS), DECODERS, items)
        };
        // A spilled digit is written twice, for both parts, and read for every later one and for the sum.
        let read_again = spilled_digits * (spilled_digits + 1);
        let cost = Cost {
            read: ((8 * rows + 4 * read_again) * slots.len()) as u64,
            written: ((16 + 8 * spilled_digits) * slots.len()) as u64,
            tables: 0,
        };
        let shape = Shape::new(t.log_n, &src.span)?;
        // SAFETY: the arguments of `decode_lift`: constants of `rows` digits, `values.len()` values, two f64 a slot and the flag, and room for
        // the digits beyond those that are kept.
        unsafe {
            self.device
                .launch_rows("decode_lift", &shape, 1, grid, cost, &arguments)
        }?;
        let numbers = Numbers {
            from: &result,
            to: &result,
            twiddles: t.slots.single(self, embedding)?,
            log_slots,
            items,
            words: SINGLE.words,
        };
        let mut length = log_slots.min(LOG_BLOCK);
        let arguments = [
            Argument::Address(result.address()),
            Argument::Address(numbers.twiddles.address()),
            Argument::Number(count as u32),
        ];
        let grid = Grid {
            shared: 16 << length,
            ..Grid::new((count >> length) as u32, THREADS, items)
        };
        // SAFETY: the arguments of `unembed_inner`.
        unsafe {
            let cost = numbers.cost(numbers.words);
            self.device
                .launch("unembed_inner", &one_row(), grid, cost, &arguments)
        }?;
        while length < log_slots {
            let stages = (UNEMBED_OUTER.len() as u32).min(log_slots - length);
            length += stages;
            self.outer_stages(UNEMBED_OUTER, stages, length, &numbers, false)?;
        }
        let mut words = zeroize::Zeroizing::new(vec![0; words]);
        result.read(&mut words)?;
        let (flag, words) = (words[words.len() - 1], &words[..4 * slots.len()]);
        if flag != 0 {
            return derived::decode(self, t, src, embedding, crt, scale, slots);
        }
        bytemuck::cast_slice_mut::<Complex, u32>(slots).copy_from_slice(words);
        Ok(())
    }
}

impl Numbers<'_> {
    /// Reading all numbers, and writing `words` for each.
    fn cost(&self, words: usize) -> Cost {
        Cost {
            read: 4 * (self.words * self.count()) as u64,
            written: 4 * (words * self.count()) as u64,
            tables: (2 * self.words) as u64 * (1 << self.log_slots),
        }
    }
}

/// A launch over items alone.
fn one_row() -> Shape {
    Shape::of_rows(1)
}

/// Whether all integers will be small: no coefficient exceeds the largest slot.
fn bounded(slots: &[Complex], scale: Double) -> bool {
    // Not-a-number is below nothing.
    let limit = Double::ONE.ldexp(LIMIT_LOG2).hi / scale.hi;
    slots.iter().all(|z| z.re.abs() + z.im.abs() < limit)
}
