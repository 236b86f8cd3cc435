//! Key switching: prepared keys, sums of digits and keys, whole switches.
//!
//! A switch is eight launches: the inverse transform of what is switched, scaled (two); base conversions of all digits with the outer pass
//! of their targets; the inner pass of all digits with the sums, to which the addend is added and sigma applied; and the division, whose
//! inverse transform, conversion and forward transform are fused in the same way (four, for both polynomials). One without a division
//! extends the digits as [`Backend::mod_up`] does and sums them up in one launch, to where the result is.

use super::{
    Cuda,
    basis::{Part, Prepared},
    device::{Argument, Cost, Grid, THREADS, rows},
    memory::Buffer,
    ntt::Tables,
    operands::{Addend, Digits, Keys, MAX_DIGITS, MAX_KEYS, MAX_ROWS, Shape, narrow},
};
use crate::{
    backend::{
        Backend, BackendError, KeySwitch, Mut, Ref, Result, Row, Span, compact, derived, of_items,
        prime::montgomery, primes_of,
    },
    ring::Galois,
};

/// Words of a thread of `key_sums`.
const PER_THREAD: u32 = 4;
/// Shared memory of a block that keeps digits for several items, so that four blocks fit a multiprocessor: eight digits and both polynomials of
/// the addend.
const MOST_SHARED: u32 = 40 << 10;
/// Bytes that the digits and sums of the items of one pass may take; more items are switched in several passes.
const SCRATCH_BYTES: usize = 1 << 30;

/// Rows of a key on the device, in Montgomery's form.
pub struct Key {
    rows: Buffer,
    primes: Vec<u32>,
    digits: usize,
}

/// What is summed up: all but where it lies.
struct Terms<'a> {
    digits: &'a [u32],
    keys: &'a [&'a Key],
    elements: &'a [Galois],
    addend: Option<(Ref<'a, Cuda>, &'a [u32])>,
}

impl<'a> Terms<'a> {
    /// Those of the items from `first` on.
    fn slice(&self, first: usize, items: usize) -> Terms<'a> {
        Terms {
            digits: self.digits,
            keys: of_items(self.keys, first, items),
            elements: of_items(self.elements, first, items),
            addend: (self.addend).map(|(a, c)| (a.map(|s| s.slice_items(first, items)), c)),
        }
    }

    /// How many of `items` items from `first` on go into one launch: those whose keys have equal rows, at most `most`.
    fn alike(&self, first: usize, items: usize, most: usize) -> usize {
        if self.keys.len() == 1 && self.elements.len() == 1 {
            return items.min(most);
        }
        let most = items.min(most).min(MAX_KEYS);
        if self.keys.len() == 1 {
            return most;
        }
        let own = &self.keys[first..];
        own.iter()
            .take(most)
            .take_while(|k| k.primes == own[0].primes)
            .count()
    }

    /// What the kernels are told of keys and automorphisms.
    fn keys(&self, log_n: u32, rows: &[Row]) -> Result<Keys> {
        if self.digits.len() > MAX_DIGITS {
            let need = "keys of more than 64 digits on CUDA";
            return Err(BackendError::Unsupported { need });
        }
        let first = self.keys[0];
        let most = self.digits.iter().max().map_or(0, |d| *d as usize);
        assert!(
            self.keys.iter().all(|k| most < k.digits),
            "the key has no digit {most}"
        );
        let mut table = Keys {
            words: [0; MAX_KEYS],
            inverse: [1; MAX_KEYS],
            rows: first.primes.len() as u32,
            key_step: u32::from(self.keys.len() > 1),
            element_step: u32::from(self.elements.len() > 1),
            digits: self.digits.len() as u32,
            at: [0; MAX_ROWS],
            digit: [0; MAX_DIGITS],
            addends: self.addend.as_ref().map_or(0, |(a, _)| a.span.polys as u32),
        };
        for (word, key) in table.words.iter_mut().zip(self.keys) {
            *word = key.rows.address();
        }
        for (inverse, g) in table.inverse.iter_mut().zip(self.elements) {
            *inverse = g.inverse(log_n).element();
        }
        for (at, row) in table.at.iter_mut().zip(rows) {
            let held = first.primes.iter().position(|p| *p == row.prime);
            assert!(held.is_some(), "the key has no row of prime {}", row.prime);
            *at = narrow(held.unwrap_or_default() as u32)?;
        }
        for (to, digit) in table.digit.iter_mut().zip(self.digits) {
            *to = *digit as u8;
        }
        Ok(table)
    }

    /// c times the addend for the rows of the sums, and how many of its rows that reads.
    fn addend(&self, t: &Tables, sums: &[Row]) -> Result<(Addend, usize)> {
        let Some((addend, factor)) = &self.addend else {
            return Ok((Addend::none(), 0));
        };
        let place = |row: &Row| addend.span.rows.iter().position(|r| r.prime == row.prime);
        let at: Vec<Option<u32>> = (sums.iter())
            .map(|r| place(r).map(|i| addend.span.rows[i].at))
            .collect();
        let form = |row: &Row| place(row).map_or(0, |i| montgomery(t.modulus(*row), factor[i]));
        let factors: Vec<u32> = sums.iter().map(form).collect();
        let read = at.iter().flatten().count() * addend.span.polys;
        Ok((
            Addend::new(rows(addend.buffer, &addend.span)?, &at, &factors)?,
            read,
        ))
    }

    /// Rows of keys that `items` items read.
    fn key_rows(&self, rows: usize, items: usize) -> usize {
        2 * self.digits.len() * rows * items
    }
}

impl Cuda {
    pub(super) fn prepare_key(&self, t: &Tables, key: Ref<Self>) -> Result<Key> {
        let primes = primes_of(key.span.rows);
        let mut rows = self.alloc(t.log_n, key.span.count())?;
        let own = compact(&primes);
        let dense = Span::dense(key.span.items, key.span.polys, &own);
        let by: Vec<u32> = own.iter().map(|r| montgomery(t.modulus(*r), 1)).collect();
        self.mul_const(t, Mut::new(&mut rows, dense), key, &by)?;
        Ok(Key {
            rows,
            primes,
            digits: key.span.items,
        })
    }

    /// Sums of digits that are ready.
    fn sums(&self, t: &Tables, mut dst: Mut<Self>, digits: Ref<Self>, terms: &Terms) -> Result<()> {
        assert!(
            dst.span.polys == 2 && digits.span.polys == terms.digits.len(),
            "digits in, two polynomials out"
        );
        let items = dst.span.items;
        let repeats = |r: &Ref<Self>| r.span.item_stride == 0;
        let shared = THREADS * PER_THREAD * 4 * (terms.digits.len() as u32 + 2);
        let share = items > 1
            && repeats(&digits)
            && terms.addend.as_ref().is_none_or(|(a, _)| repeats(a))
            && shared <= MOST_SHARED;
        let mut first = 0;
        while first < items {
            let count = terms.alike(first, items - first, usize::MAX);
            let now = terms.slice(first, count);
            let to = dst.part(|s| s.slice_items(first, count));
            let from = digits.map(|s| s.slice_items(first, count));
            let shape = Shape {
                polys: 1,
                ..Shape::new(t.log_n, &to.span)?
            };
            let (addend, added) = now.addend(t, to.span.rows)?;
            let arguments = [
                Argument::write(&to)?,
                Argument::read(&from)?,
                Argument::Keys(Box::new(now.keys(t.log_n, to.span.rows)?)),
                Argument::Addend(Box::new(addend)),
                Argument::Number(count as u32),
                t.primes()?,
            ];
            let rows = to.span.rows.len();
            let (kernel, layers, shared) = match share {
                true => ("key_sums_shared", 1, shared),
                false => ("key_sums", count, 0),
            };
            let read = (rows * now.digits.len() + added) * layers + now.key_rows(rows, count);
            let blocks = (1u32 << t.log_n).div_ceil(THREADS * PER_THREAD);
            let grid = Grid {
                shared,
                ..Grid::new(layers as u32, THREADS, blocks as usize)
            };
            // SAFETY: the arguments of `key_sums`; `Terms::keys` checked that the keys have the rows and digits, and dst, digits and
            // addend lie within their buffers for as many items and polynomials as the kernel touches.
            unsafe {
                let cost = Cost::rows(t.log_n, read, 2 * rows * count);
                self.device.launch(kernel, &shape, grid, cost, &arguments)
            }?;
            first += count;
        }
        Ok(())
    }

    pub(super) fn inner_product(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        src: Ref<Self>,
        digits: &[u32],
        keys: &[&Key],
    ) -> Result<()> {
        let terms = Terms {
            digits,
            keys,
            elements: &[Galois::IDENTITY],
            addend: None,
        };
        self.sums(t, dst, src, &terms)
    }

    /// See [`derived::switch_digits`].
    pub(super) fn switch_ready(
        &self,
        t: &Tables,
        mut dst: Mut<Self>,
        digits: Ref<Self>,
        addend: Ref<Self>,
        k: &KeySwitch<Self>,
    ) -> Result<()> {
        let which: Vec<u32> = k.digits.iter().map(|d| d.digit).collect();
        let all = terms(&which, addend, k);
        let Some(step) = k.step else {
            // Without a division the sums, with the addend and where sigma sends them, are the result: no scratch.
            return self.sums(t, dst, digits, &all);
        };
        let rows = compact(&primes_of(k.extended));
        self.each_part(t, dst.span.items, 2 * rows.len(), |first, items| {
            let span = Span::dense(items, 2, &rows);
            let mut sums = self.alloc(t.log_n, span.count())?;
            let digits = digits.map(|s| s.slice_items(first, items));
            self.sums(t, Mut::new(&mut sums, span), digits, &all.slice(first, items))?;
            let dst = dst.part(|s| s.slice_items(first, items));
            self.step(t, dst, Ref::new(&sums, span), step)
        })
    }

    /// See [`derived::key_switch`].
    pub(super) fn switch(
        &self,
        t: &Tables,
        mut dst: Mut<Self>,
        src: Ref<Self>,
        addend: Ref<Self>,
        k: &KeySwitch<Self>,
    ) -> Result<()> {
        let fits = k.digits.iter().all(|d| d.conversion.takes_transform(t));
        let scratch = (k.digits.len() + 2) * k.extended.len();
        let Some(step) = k.step.filter(|_| fits && k.digits.len() <= MAX_DIGITS) else {
            return self.each_part(t, dst.span.items, scratch, |first, items| {
                let part = k.slice_items(first, items);
                let (src, addend) = (
                    src.map(|s| s.slice_items(first, items)),
                    addend.map(|s| s.slice_items(first, items)),
                );
                let dst = dst.part(|s| s.slice_items(first, items));
                derived::key_switch(self, t, dst, src, addend, &part)
            });
        };
        let which: Vec<u32> = k.digits.iter().map(|d| d.digit).collect();
        let rows = compact(&primes_of(k.extended));
        let all = terms(&which, addend, k);
        self.each_part(t, dst.span.items, scratch, |first, items| {
            let (src, span) = (
                src.map(|s| s.slice_items(first, items)),
                Span::dense(items, 2, &rows),
            );
            let up = self.outer_digits(t, src, k, &rows)?;
            let mut sums = self.alloc(t.log_n, span.count())?;
            self.inner_sums(t, &mut sums, span, &up, src, k, &all.slice(first, items))?;
            drop(up);
            let dst = dst.part(|s| s.slice_items(first, items));
            self.step(t, dst, Ref::new(&sums, span), step)
        })
    }

    /// Runs `f` on the items in parts that need no more than a bounded scratch of `rows` rows an item.
    fn each_part(
        &self,
        t: &Tables,
        items: usize,
        rows: usize,
        mut f: impl FnMut(usize, usize) -> Result<()>,
    ) -> Result<()> {
        let most = (SCRATCH_BYTES / (rows << (t.log_n + 2)).max(1)).max(1);
        (0..items)
            .step_by(most)
            .try_for_each(|first| f(first, most.min(items - first)))
    }

    /// Extended digits of `src`, `[item][digit][extended row]`, with the inner pass of their transform still to come and a digit's own rows left
    /// out.
    fn outer_digits(&self, t: &Tables, src: Ref<Self>, k: &KeySwitch<Self>, rows: &[Row]) -> Result<Buffer> {
        let conversions: Vec<(&Prepared, &[u32])> = (k.digits.iter())
            .map(|d| (&d.conversion, d.sources.as_slice()))
            .collect();
        let (coefficients, sources) = self.scaled_sources(t, src, &conversions)?;
        let scaled = Ref::new(&coefficients, Span::dense(src.span.items, 1, &sources));
        let span = Span::dense(src.span.items, k.digits.len(), rows);
        let mut up = self.alloc(t.log_n, span.count())?;
        let (mut parts, mut source) = (Vec::new(), 0);
        for (j, digit) in k.digits.iter().enumerate() {
            let shift = (j * rows.len()) as u32;
            let targets = derived::select(rows, &digit.targets).into_iter();
            parts.push(Part {
                conversion: &digit.conversion,
                source,
                targets: targets
                    .map(|r| Row {
                        at: r.at + shift,
                        ..r
                    })
                    .collect(),
            });
            source += digit.sources.len();
        }
        self.convert_outer(t, &Mut::new(&mut up, span.slice_polys(0, 1)), scaled, &parts)?;
        Ok(up)
    }

    /// The inner pass of digits and their sums.
    #[expect(clippy::too_many_arguments, reason = "what a sum consists of")]
    fn inner_sums(
        &self,
        t: &Tables,
        sums: &mut Buffer,
        span: Span,
        up: &Buffer,
        src: Ref<Self>,
        k: &KeySwitch<Self>,
        terms: &Terms,
    ) -> Result<()> {
        let own = |row: &Row| {
            let digit = k.digits.iter().position(|d| d.sources.contains(&row.prime))?;
            let held = src.span.rows.iter().find(|r| r.prime == row.prime)?;
            Some((held.at, digit as u8))
        };
        let own: Vec<Option<(u32, u8)>> = span.rows.iter().map(own).collect();
        let (count, e) = (k.digits.len(), span.rows.len());
        let mut first = 0;
        while first < span.items {
            let items = terms.alike(first, span.items - first, usize::MAX);
            let (now, src) = (
                terms.slice(first, items),
                src.map(|s| s.slice_items(first, items)),
            );
            let words = |buffer: &Buffer, polys: usize| {
                buffer.address() + (((first * polys * e) as u64) << (t.log_n + 2))
            };
            let (addend, added) = now.addend(t, span.rows)?;
            let digits = Digits::new(words(up, count), rows(src.buffer, &src.span)?, &own)?;
            let arguments = [
                Argument::Address(words(sums, 2)),
                Argument::Digits(Box::new(digits)),
                Argument::Keys(Box::new(now.keys(t.log_n, span.rows)?)),
                Argument::Addend(Box::new(addend)),
                t.primes()?,
                t.twiddles(),
            ];
            let shape = Shape::new(t.log_n, &span)?;
            let read = (count * e + added) * items + now.key_rows(e, items);
            let cost = Cost::rows(t.log_n, read, 2 * e * items).tables(e * t.inner_twiddles());
            let grid = Grid::new(items as u32, THREADS, t.inner_tiles() as usize);
            // SAFETY: the arguments of `ntt_inner_sums`; `up` and `sums` have `count` and two polynomials of `e` rows an item, and
            // `Terms::keys` checked that the keys have the rows and digits.
            unsafe {
                self.device
                    .launch("ntt_inner_sums", &shape, grid, cost, &arguments)
            }?;
            first += items;
        }
        Ok(())
    }
}

fn terms<'a>(digits: &'a [u32], addend: Ref<'a, Cuda>, k: &KeySwitch<'a, Cuda>) -> Terms<'a> {
    Terms {
        digits,
        keys: k.keys,
        elements: k.elements,
        addend: Some((addend, k.factor)),
    }
}
