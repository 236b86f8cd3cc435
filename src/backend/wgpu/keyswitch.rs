//! Keys, their sums with digits, and key switches from digits. Kernel: `shaders/keyswitch.wgsl`.

use super::{
    Wgpu,
    elementwise::{Constants, OverRows},
    memory::Buffer,
    ntt::{Added, Addend, Tables},
    operands::{Operand, Part},
    queue::Launch,
};
use crate::{
    backend::{Backend, KeySwitch, Mut, Ref, Result, Row, Span, compact, derived, primes_of},
    ring::Galois,
};

/// Coefficients of a workgroup.
const BLOCK: u32 = 256;
/// Digits, and items, of one launch.
const MOST_DIGITS: usize = 1024;
const MOST_ITEMS: usize = 4096;
/// Words that the digits and sums of the items of one pass may take, or one binding if that is less.
const SCRATCH_WORDS: usize = 1 << 28;
/// Flags of the kernel: the destination has the sum of other digits; items have an element each.
const ONTO: u32 = 1;
const EACH: u32 = 2;

/// A key on the device, in Montgomery's form: rows `[prime][digit][b, a][n]`.
pub struct Key {
    rows: Buffer,
    primes: Vec<u32>,
    digits: usize,
}

/// What is summed up beside the digits.
struct Terms<'a> {
    /// Which digit of the key belongs to each polynomial of the source.
    digits: &'a [u32],
    /// One for all items, or one an item.
    elements: &'a [Galois],
    addend: Option<Addend<'a>>,
}

impl Wgpu {
    pub(super) fn new_key(&self, t: &Tables, key: Ref<Self>) -> Result<Key> {
        let digits = key.span.items;
        let buffer = self.device.take(t.log_n, key.span.count())?;
        let primes = primes_of(key.span.rows);
        let places = places(&primes, digits);
        let to = Span {
            offset: 0,
            items: digits,
            item_stride: 2,
            polys: 2,
            poly_stride: 1,
            rows: &places,
        };
        let one = vec![1; primes.len()];
        self.over_rows(&OverRows {
            kernel: "mul_const_rows",
            tables: Some(t),
            dst: Operand::new(&buffer, to),
            left: Some(Operand::read(&key)),
            right: None,
            table: None,
            constants: Constants::OfRows(&t.montgomery(&key.span, &t.montgomery(&key.span, &one))),
            numbers: &|_| [0; 4],
            blocks: (1u32 << t.log_n).div_ceil(4 * BLOCK),
        })?;
        Ok(Key {
            rows: buffer,
            primes,
            digits,
        })
    }

    pub(super) fn inner_product(
        &self,
        t: &Tables,
        dst: &Mut<Self>,
        src: &Ref<Self>,
        digits: &[u32],
        keys: &[&Key],
    ) -> Result<()> {
        let terms = Terms {
            digits,
            elements: &[Galois::IDENTITY],
            addend: None,
        };
        self.sums(t, dst, src, &terms, keys)
    }

    /// See [`derived::key_switch`]: so many items at a time that digits and sums take a bounded scratch.
    pub(super) fn switch(
        &self,
        t: &Tables,
        mut dst: Mut<Self>,
        src: Ref<Self>,
        addend: Ref<Self>,
        k: &KeySwitch<Self>,
    ) -> Result<()> {
        let words = ((k.digits.len() + 2) * k.extended.len()) << t.log_n;
        let most = (self.device.binding_words.min(SCRATCH_WORDS) / words.max(1)).max(1);
        for first in (0..dst.span.items).step_by(most) {
            let items = most.min(dst.span.items - first);
            let part = k.slice_items(first, items);
            let (src, addend) = (
                src.map(|s| s.slice_items(first, items)),
                addend.map(|s| s.slice_items(first, items)),
            );
            let dst = dst.part(|s| s.slice_items(first, items));
            derived::key_switch(self, t, dst, src, addend, &part)?;
        }
        Ok(())
    }

    /// See [`derived::switch_digits`]: the addend and sigma are part of the sums, which are the result if nothing is divided.
    pub(super) fn switch_ready(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        digits: Ref<Self>,
        addend: Ref<Self>,
        k: &KeySwitch<Self>,
    ) -> Result<()> {
        // The kernel starts from the addend with the first digit: without any there is no launch that would add it.
        if k.digits.is_empty() {
            return derived::switch_digits(self, t, dst, digits, addend, k);
        }
        let rows = compact(&primes_of(k.extended));
        let span = Span::dense(dst.span.items, 2, &rows);
        let which: Vec<u32> = k.digits.iter().map(|d| d.digit).collect();
        let place = |prime: u32| addend.span.rows.iter().position(|r| r.prime == prime);
        let added = Added::new(t, &span, addend.span.rows, |p| place(p).map(|i| k.factor[i]));
        let terms = Terms {
            digits: &which,
            elements: k.elements,
            addend: added.as_ref().map(|a| a.of(&addend)),
        };
        // dst has the extended rows in their order where nothing is divided.
        let Some(step) = k.step else {
            return self.sums(t, &dst, &digits, &terms, k.keys);
        };
        let mut sums = self.device.take(t.log_n, span.count())?;
        self.sums(t, &Mut::new(&mut sums, span), &digits, &terms, k.keys)?;
        self.step(t, dst, Ref::new(&sums, span), step)
    }

    /// The sums of all items, with one key for all or one an item.
    fn sums(&self, t: &Tables, dst: &Mut<Self>, src: &Ref<Self>, terms: &Terms, keys: &[&Key]) -> Result<()> {
        let all = Part {
            polys: 0..terms.digits.len(),
            ..Part::whole(&dst.span)
        };
        if let [key] = keys {
            return self.sums_with(t, dst, src, terms, key, all);
        }
        for (item, key) in keys.iter().enumerate() {
            let items = item..item + 1;
            self.sums_with(t, dst, src, terms, key, Part { items, ..all.clone() })?;
        }
        Ok(())
    }

    /// The items of a part, whose polynomials are the digits, with one key.
    fn sums_with(
        &self,
        t: &Tables,
        dst: &Mut<Self>,
        src: &Ref<Self>,
        terms: &Terms,
        key: &Key,
        all: Part,
    ) -> Result<()> {
        if terms.digits.is_empty() {
            return self.pointwise("zero_rows", None, dst, None, None, Constants::None);
        }
        let most = terms.digits.iter().max().map_or(0, |d| *d as usize);
        assert!(most < key.digits, "the key has no digit {most}");
        let places = places(&key.primes, key.digits);
        let held = |row: &Row| {
            let held = places.iter().find(|p| p.prime == row.prime);
            assert!(held.is_some(), "the key has no row of prime {}", row.prime);
            held.copied().unwrap_or(*row)
        };
        let rows: Vec<Row> = dst.span.rows.iter().map(held).collect();
        // A row of the key is all its digits.
        let of_key = Span {
            polys: 2 * key.digits,
            poly_stride: 1,
            ..Span::dense(1, 1, &rows)
        };
        let (to, from, of_key) = (
            Operand::write(dst),
            Operand::read(src),
            Operand::new(&key.rows, of_key),
        );
        let addend = terms.addend.map(|a| a.operand);
        let with_polys = |part: &Part, polys: usize| Part {
            polys: 0..polys,
            ..part.clone()
        };
        let sums_part = |part: &Part| to.part(&with_polys(part, 2));
        let addend_part = |part: &Part| addend.map(|a| a.part(&with_polys(part, a.span.polys)));
        let key_part = |part: &Part| {
            of_key.part(&Part {
                items: 0..1,
                ..with_polys(part, 2 * key.digits)
            })
        };
        let fits = |part: &Part| {
            let operands = [sums_part(part), from.part(part), key_part(part)];
            part.polys.len() <= MOST_DIGITS
                && part.items.len() <= MOST_ITEMS
                && operands
                    .iter()
                    .chain(&addend_part(part))
                    .all(|o| o.fits(&self.device))
        };
        let each = terms.elements.len() > 1;
        let inverse = |g: &Galois| g.inverse(t.log_n).element();
        // Digits that do not fit with the others are added in launches of their own.
        all.each(&fits, &mut |part| {
            let dst = sums_part(part);
            let onto = part.polys.start > 0;
            let addend = addend_part(part).filter(|_| !onto);
            let mut list = terms.digits[part.polys.clone()].to_vec();
            match &terms.addend {
                Some(a) => list.extend(&a.factors[part.rows.clone()]),
                None => list.extend(std::iter::repeat_n(0, part.rows.len())),
            }
            let items = if each { part.items.clone() } else { 0..1 };
            list.extend(terms.elements[items].iter().map(inverse));
            self.device.launch(&Launch {
                kernel: "key_sums",
                log_n: t.log_n,
                polys: 1,
                rows: dst.span.rows,
                primes: Some(t.primes()),
                dst,
                left: Some(from.part(part)),
                right: addend,
                table: Some(key_part(part)),
                numbers: [
                    part.polys.len() as u32,
                    0,
                    addend.map_or(0, |a| a.span.polys as u32),
                    if onto { ONTO } else { 0 } | if each { EACH } else { 0 },
                ],
                list: Some((1, &list)),
                grid: [
                    (1u32 << t.log_n).div_ceil(BLOCK),
                    part.rows.len() as u32,
                    part.items.len() as u32,
                ],
            })
        })
    }
}

/// Where the rows of each prime of a key begin.
fn places(primes: &[u32], digits: usize) -> Vec<Row> {
    let place = |(i, prime): (usize, &u32)| Row {
        at: (2 * digits * i) as u32,
        prime: *prime,
    };
    primes.iter().enumerate().map(place).collect()
}
