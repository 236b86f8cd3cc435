//! Base conversions with their transforms: digits (ModUp), divisions (ModDown, rescaling), whole key switches.
//!
//! Rows go from one kernel to the next while they are in the second-level cache: a group of targets is formed, transformed and
//! used before the next one.

use std::sync::Arc;

use super::{
    Cpu,
    automorphism::Automorphism,
    basis::{Conversion, GROUP},
    keyswitch::{self, Key, Start},
    lanes::LANES,
    memory::{Pool, Reader, Writer},
    ntt::Tables,
    scratch::Scratch,
    threads::{Share, enter},
};
use crate::{
    arith::Modulus,
    backend::{BasisStep, DigitStep, KeySwitch, Row},
    ring::Galois,
};

/// Parts of a row that threads share.
const PARTS: usize = 8;

/// Rows of the extended basis that a key switch completes at a time.
const ROWS: usize = 4;

/// The tables, the memory and the threads of one operation.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) t: &'a Tables,
    pub(super) pool: &'a Arc<Pool>,
    pub(super) share: Share,
}

/// Position of a prime in a list of rows.
fn place(rows: &[Row], prime: u32) -> usize {
    let found = rows.iter().position(|r| r.prime == prime);
    assert!(found.is_some(), "no row of prime {prime}");
    found.unwrap_or_default()
}

/// Part `i` of `parts` of equal size, up to one.
fn part(count: usize, parts: usize, i: usize) -> std::ops::Range<usize> {
    i * count / parts..(i + 1) * count / parts
}

impl<'a> Work<'a> {
    fn n(&self) -> usize {
        1 << self.t.log_n
    }

    fn scratch(&self, rows: usize) -> Scratch {
        Scratch::new(self.pool, rows, self.n())
    }

    fn modulus(&self, prime: u32) -> Modulus {
        self.t.prime(prime).modulus()
    }

    /// row = NTT(row).
    fn forward(&self, prime: u32, row: &mut [u32]) {
        self.t.prime(prime).forward(self.t.instructions, row);
    }

    /// row = factor INTT(from).
    fn inverse(&self, prime: u32, from: &[u32], row: &mut [u32], factor: u32) {
        let transform = self.t.prime(prime);
        transform.inverse_scaled(self.t.instructions, from, row, factor);
    }

    /// Scaled sources and v of several conversions, one after the other: `[conversion][source, v][n]`.
    ///
    /// `write(prime, factor, row)` gives a source in coefficients, times its factor.
    fn sources<'c>(
        &self,
        conversions: impl Iterator<Item = &'c Conversion> + Clone + Sync,
        write: impl Fn(u32, u32, &mut [u32]) + Sync,
    ) -> Scratch {
        let total = conversions.clone().map(Conversion::rows).sum();
        let y = self.scratch(total);
        let sources = conversions.clone().map(|c| c.sources.len()).sum();
        self.share.each(sources, |mut i| {
            let mut first = 0;
            for c in conversions.clone() {
                if let Some(prime) = c.sources.get(i) {
                    // SAFETY: every source of every conversion has its own row.
                    let row = unsafe { y.row(first + i) };
                    write(*prime, c.factor(i), row);
                    c.complete(self.t.instructions, row);
                    break;
                }
                i -= c.sources.len();
                first += c.rows();
            }
        });
        if !conversions.clone().any(Conversion::has_quotient) {
            return y;
        }
        // There may be fewer conversions than threads, or one more: parts of rows share them out evenly.
        let parts = if self.share == Share::Alone { 1 } else { PARTS };
        let parts = parts.min(self.n().div_ceil(LANES));
        self.share.each(conversions.clone().count() * parts, |at| {
            let (i, words) = (at / parts, part(self.n() / LANES, parts, at % parts));
            let words = match parts {
                1 => 0..self.n(),
                _ => words.start * LANES..words.end * LANES,
            };
            let first = conversions.clone().take(i).map(Conversion::rows).sum();
            for c in conversions.clone().skip(i).take(1).filter(|c| c.has_quotient()) {
                let sources = c.sources.len();
                // SAFETY: nothing writes to sources any more; every part of v is written by one task.
                let (y, v) = unsafe {
                    (
                        &*y.rows(first, sources),
                        y.block(first + c.rows() - 1, words.clone()),
                    )
                };
                c.quotient(self.t.instructions, y, self.n(), words.clone(), v);
            }
        });
        y
    }

    /// The targets from `first` on, one for each row of `out`, from sources y and v.
    fn targets(&self, c: &Conversion, y: &[u32], first: usize, out: &mut [&mut [u32]]) {
        let mut moduli = [self.modulus(c.targets[first]); GROUP];
        for (m, prime) in moduli.iter_mut().zip(&c.targets[first..]) {
            *m = self.modulus(*prime);
        }
        c.convert(self.t.instructions, &moduli, y, self.n(), first, out);
    }

    /// How many groups `count` rows are worked on in, of at most `most` rows: equally many for each thread.
    fn count_groups(&self, count: usize, most: usize) -> usize {
        let groups = count.div_ceil(most);
        groups
            .next_multiple_of(self.share.threads())
            .min(count.max(groups))
    }

    /// All targets in groups: each is written to `row(target)`, and then goes through `finish(target, row)`.
    fn groups<'r>(
        &self,
        c: &Conversion,
        y: &[u32],
        row: impl Fn(usize) -> &'r mut [u32] + Sync,
        finish: impl Fn(usize, &mut [u32]) + Sync,
    ) {
        let groups = self.count_groups(c.targets.len(), GROUP);
        self.share
            .each(groups, |g| self.group(c, y, [g, groups], &row, &finish));
    }

    /// One group of targets.
    fn group<'r>(
        &self,
        c: &Conversion,
        y: &[u32],
        [g, groups]: [usize; 2],
        row: impl Fn(usize) -> &'r mut [u32],
        finish: impl Fn(usize, &mut [u32]),
    ) {
        let range = part(c.targets.len(), groups, g);
        if range.is_empty() {
            return;
        }
        let mut rows = range.clone().map(row);
        let mut out: [&mut [u32]; GROUP] = std::array::from_fn(|_| rows.next().unwrap_or_default());
        let out = &mut out[..range.len()];
        self.targets(c, y, range.start, out);
        for (target, out) in range.zip(out) {
            finish(target, out);
        }
    }
}

/// See [`Backend::convert`](crate::backend::Backend::convert).
pub(super) fn convert(t: &Tables, pool: &Arc<Pool>, dst: Writer, src: Reader, c: &Conversion) {
    let polys = dst.span.polys;
    let (outer, share) = Share::new().split(dst.span.items * polys);
    let one = |at| {
        let (item, poly, work) = (at / polys, at % polys, Work { t, pool, share });
        let y = work.sources([c].into_iter(), |prime, factor, out| {
            let row = src.row(item, poly, place(src.span.rows, prime));
            super::elementwise::scale_row(t.instructions, work.modulus(prime), out, row, factor);
        });
        // SAFETY: nothing writes to y any more; every row of every polynomial occurs once.
        let (y, row) = unsafe { (&*y.rows(0, c.rows()), |target| dst.row(item, poly, target)) };
        work.groups(c, y, row, |_, _| ());
    };
    enter(|| outer.each(dst.span.items * polys, one));
}

/// See [`derived::mod_up`](crate::backend::derived::mod_up).
pub(super) fn mod_up(t: &Tables, pool: &Arc<Pool>, dst: Writer, src: Reader, digits: &[DigitStep<Cpu>]) {
    let (outer, share) = Share::new().split(dst.span.items);
    let one = |item| {
        let work = Work { t, pool, share };
        let from = |prime| src.row(item, 0, place(src.span.rows, prime));
        let conversions = digits.iter().map(|d| &d.conversion);
        let y = work.sources(conversions, |prime, factor, out| {
            work.inverse(prime, from(prime), out, factor);
        });
        // Groups of the targets of every digit, and its own rows as one group more.
        let most = digits.iter().map(|d| d.targets.len()).max().unwrap_or(0);
        let groups = work.count_groups(most, GROUP);
        share.each(digits.len() * (groups + 1), |at| {
            let (j, g) = (at / (groups + 1), at % (groups + 1));
            let (digit, before) = (&digits[j], &digits[..j]);
            // SAFETY: each row of each polynomial is written once, in a group or as one of the digit's own.
            let to = |prime| unsafe { dst.row(item, j, place(dst.span.rows, prime)) };
            if g == groups {
                for prime in &digit.sources {
                    to(*prime).copy_from_slice(from(*prime));
                }
                return;
            }
            let first = before.iter().map(|d| d.conversion.rows()).sum();
            // SAFETY: nothing writes to y any more.
            let words = unsafe { &*y.rows(first, digit.conversion.rows()) };
            let row = |target: usize| to(digit.targets[target]);
            work.group(&digit.conversion, words, [g, groups], row, |target, out| {
                work.forward(digit.targets[target], out);
            });
        });
    };
    enter(|| outer.each(dst.span.items, one));
}

/// See [`derived::step`](crate::backend::derived::step).
pub(super) fn step(t: &Tables, pool: &Arc<Pool>, dst: Writer, src: Reader, s: &BasisStep<Cpu>) {
    let polys = dst.span.polys;
    let (outer, share) = Share::new().split(dst.span.items * polys);
    let one = |at| {
        let (item, poly) = (at / polys, at % polys);
        let from = |prime| src.row(item, poly, place(src.span.rows, prime));
        divide(Work { t, pool, share }, &dst, (item, poly), from, s);
    };
    enter(|| outer.each(dst.span.items * polys, one));
}

/// One polynomial of a step; `from` gives its rows by prime.
fn divide<'a>(
    work: Work,
    dst: &Writer,
    (item, poly): (usize, usize),
    from: impl Fn(u32) -> &'a [u32] + Sync,
    s: &BasisStep<Cpu>,
) {
    let c = &s.conversion;
    let y = work.sources([c].into_iter(), |prime, factor, out| {
        work.inverse(prime, from(prime), out, factor);
    });
    // SAFETY: nothing writes to y any more; every row of the polynomial occurs once.
    let (y, row) = unsafe { (&*y.rows(0, c.rows()), |target| dst.row(item, poly, target)) };
    work.groups(c, y, row, |target, out| {
        let prime = c.targets[target];
        let kept = s.step.kept.iter().position(|p| *p == prime);
        match kept.map(|i| s.step.kept_factor[i]) {
            Some(factor) => {
                let transform = work.t.prime(prime);
                transform.forward_mul_add(work.t.instructions, out, from(prime), factor);
            }
            None => work.forward(prime, out),
        }
    });
}

/// What a key switch adds, and where: the rows of the addend by prime.
struct Addend<'a> {
    rows: Reader<'a>,
    factor: &'a [u32],
}

impl Addend<'_> {
    /// What the sums of one row start from.
    fn start(&self, m: Modulus, item: usize, prime: u32) -> Start<'_> {
        let none = Start {
            factor: 0,
            rows: [None; 2],
        };
        let span = &self.rows.span;
        let Some(row) = span.rows.iter().position(|r| r.prime == prime) else {
            return none;
        };
        let of = |poly| (poly < span.polys).then(|| self.rows.row(item, poly, row));
        Start {
            factor: m.mul(self.factor[row], m.reduce(1 << 32)),
            rows: [of(0), of(1)],
        }
    }
}

/// Where the sums of one item go, `[b, a][extended rows]` (E), already moved by the automorphism.
enum Sums<'a> {
    /// To be divided.
    Scratch { words: Scratch, rows: &'a [Row] },
    /// To the result, for want of a division.
    Result { dst: &'a Writer<'a>, item: usize },
}

impl Sums<'_> {
    /// Both polynomials of one row.
    ///
    /// # Safety
    /// As [`Scratch::rows`].
    #[expect(clippy::mut_from_ref, reason = "rows are shared out to threads, each to one")]
    unsafe fn both(&self, row: usize) -> [&mut [u32]; 2] {
        // SAFETY: different rows; the caller's promise.
        unsafe {
            match self {
                Self::Scratch { words, rows } => [words.row(row), words.row(rows.len() + row)],
                Self::Result { dst, item } => [dst.row(*item, 0, row), dst.row(*item, 1, row)],
            }
        }
    }
}

/// One item of a key switch.
struct Item<'a> {
    work: Work<'a>,
    k: &'a KeySwitch<'a, Cpu>,
    key: &'a Key,
    sigma: Option<&'a Automorphism>,
    addend: Addend<'a>,
    item: usize,
}

impl Item<'_> {
    /// Row `row` of both sums from the digits of that row.
    fn sum<'d>(&self, sums: &Sums, row: usize, digit: impl Fn(usize) -> &'d [u32]) {
        let prime = self.k.extended[row].prime;
        let (m, key) = (self.work.modulus(prime), self.key.row(prime));
        let start = self.addend.start(m, self.item, prime);
        let which = self.k.digits.iter().map(|d| d.digit);
        // SAFETY: every row of the sums is written by one task.
        let out = unsafe { sums.both(row) };
        keyswitch::with_terms(which, digit, key, |terms| {
            keyswitch::inner_product(self.work.t.instructions, m, out, start, terms, self.sigma);
        });
    }

    /// The digits of a polynomial, whose rows `from` gives by prime, extended and summed up a few rows at a time.
    fn extend_and_sum<'s>(&self, sums: &Sums, from: impl Fn(u32) -> &'s [u32] + Sync) {
        let (work, digits, extended) = (self.work, self.k.digits, self.k.extended);
        let y = work.sources(digits.iter().map(|d| &d.conversion), |prime, factor, out| {
            work.inverse(prime, from(prime), out, factor);
        });
        let groups = work.count_groups(extended.len(), ROWS);
        work.share.each(groups, |g| {
            let rows = &extended[part(extended.len(), groups, g)];
            let up = work.scratch(digits.len() * rows.len());
            let mut first = 0;
            for (j, digit) in digits.iter().enumerate() {
                // SAFETY: nothing writes to y any more; the rows of this task are its own, and each is asked for once.
                let (y, out) = unsafe {
                    let y = &*y.rows(first, digit.conversion.rows());
                    (y, |i| up.row(j * rows.len() + i))
                };
                self.extend(digit, y, rows, out);
                first += digit.conversion.rows();
            }
            let start = part(extended.len(), groups, g).start;
            for (i, row) in rows.iter().enumerate() {
                self.sum(sums, start + i, |j| {
                    if digits[j].sources.contains(&row.prime) {
                        from(row.prime)
                    } else {
                        // SAFETY: nothing writes to the rows of this task any more.
                        unsafe { up.row(j * rows.len() + i) }
                    }
                });
            }
        });
    }

    /// Those of `rows` that are not the digit's own, in the evaluation domain.
    fn extend<'o>(
        &self,
        digit: &DigitStep<Cpu>,
        y: &[u32],
        rows: &[Row],
        out: impl Fn(usize) -> &'o mut [u32],
    ) {
        let target = |row: &Row| digit.targets.iter().position(|p| *p == row.prime);
        let mut wanted = (rows.iter().enumerate())
            .filter_map(|(i, row)| Some((target(row)?, out(i))))
            .peekable();
        while let Some((first, row)) = wanted.next() {
            // Neighbouring targets are formed together.
            let mut tile: [&mut [u32]; ROWS] = std::array::from_fn(|_| Default::default());
            tile[0] = row;
            let mut count = 1;
            while let Some((_, row)) = wanted.next_if(|(target, _)| *target == first + count && count < ROWS)
            {
                tile[count] = row;
                count += 1;
            }
            let tile = &mut tile[..count];
            self.work.targets(&digit.conversion, y, first, tile);
            for (target, out) in (first..).zip(tile) {
                self.work.forward(digit.targets[target], out);
            }
        }
    }

    /// Sums that are all written, divided.
    fn divide(&self, dst: &Writer, words: &Scratch, step: &BasisStep<Cpu>) {
        let (outer, share) = self.work.share.split(2);
        let rows = self.k.extended;
        outer.each(2, |poly| {
            let work = Work { share, ..self.work };
            // SAFETY: nothing writes to the sums any more.
            let row = |prime| unsafe { &*words.row(poly * rows.len() + place(rows, prime)) };
            divide(work, dst, (self.item, poly), row, step);
        });
    }
}

/// Item `item` of a key switch, to `f`.
fn with_item<R>(
    work: Work,
    addend: Reader,
    k: &KeySwitch<Cpu>,
    item: usize,
    f: impl FnOnce(&Item) -> R,
) -> R {
    let of = |count: usize| if count == 1 { 0 } else { item };
    let g = k.elements[of(k.elements.len())];
    let sigma = (g != Galois::IDENTITY).then(|| work.t.automorphism(g));
    f(&Item {
        work,
        k,
        key: k.keys[of(k.keys.len())],
        sigma: sigma.as_deref(),
        addend: Addend {
            rows: addend,
            factor: k.factor,
        },
        item,
    })
}

/// Runs `sum` on every item of a key switch, with a place for its sums, and divides them if there is a division.
fn switch(
    t: &Tables,
    pool: &Arc<Pool>,
    dst: Writer,
    addend: Reader,
    k: &KeySwitch<Cpu>,
    sum: impl Fn(&Item, &Sums) + Sync,
) {
    let items = dst.span.items;
    let (outer, share) = Share::new().split(items);
    let one = |item| {
        with_item(Work { t, pool, share }, addend, k, item, |this| {
            let Some(step) = k.step else {
                return sum(this, &Sums::Result { dst: &dst, item });
            };
            let sums = Sums::Scratch {
                words: this.work.scratch(2 * k.extended.len()),
                rows: k.extended,
            };
            sum(this, &sums);
            if let Sums::Scratch { words, .. } = &sums {
                this.divide(&dst, words, step);
            }
        });
    };
    enter(|| outer.each(items, one));
}

/// See [`derived::key_switch`](crate::backend::derived::key_switch).
pub(super) fn key_switch(
    t: &Tables,
    pool: &Arc<Pool>,
    dst: Writer,
    src: Reader,
    addend: Reader,
    k: &KeySwitch<Cpu>,
) {
    switch(t, pool, dst, addend, k, |this, sums| {
        this.extend_and_sum(sums, |prime| src.row(this.item, 0, place(src.span.rows, prime)));
    });
}

/// See [`derived::switch_digits`](crate::backend::derived::switch_digits).
pub(super) fn switch_digits(
    t: &Tables,
    pool: &Arc<Pool>,
    dst: Writer,
    digits: Reader,
    addend: Reader,
    k: &KeySwitch<Cpu>,
) {
    let sum = |this: &Item, sums: &Sums, row: usize| {
        let at = place(digits.span.rows, k.extended[row].prime);
        this.sum(sums, row, |j| digits.row(this.item, j, at));
    };
    if k.step.is_none() {
        // Row by row: those of digits that items share stay in the second-level cache.
        let (share, items) = (Share::new(), dst.span.items);
        return share.each(k.extended.len(), |row| {
            let work = Work {
                t,
                pool,
                share: Share::Alone,
            };
            for item in 0..items {
                with_item(work, addend, k, item, |this| {
                    sum(this, &Sums::Result { dst: &dst, item }, row);
                });
            }
        });
    }
    switch(t, pool, dst, addend, k, |this, sums| {
        this.work.share.each(k.extended.len(), |row| sum(this, sums, row));
    });
}
