//! Sums of products with plaintexts that are expanded where they are used.
//!
//! A few plaintexts at a time are lifted and transformed modulo one prime, to rows that stay in the second-level cache until every item
//! and polynomial has been multiplied by them: nothing of them reaches memory.

use std::sync::Arc;

use super::{
    encode::{lift_short, spread},
    lanes::LANES,
    memory::{Pool, Reader, Writer, stride},
    ntt::{Tables, Transform},
    scratch::Scratch,
    sums::{PASS, Term, Terms},
    threads::Share,
};
use crate::backend::{Light, Onto, Ref, Result, Row, Span, cpu::Cpu};

/// Words of the expanded rows: half of a second-level cache of a mebibyte.
const CACHE: usize = 1 << 17;
/// Least words of a block of a sum.
const BLOCK: usize = 512;

/// Polynomials of small integers, and their transforms in a smaller ring where a vector has one evaluation of them at most.
struct Source<'a> {
    values: Reader<'a>,
    short: Option<Arc<Vec<Transform>>>,
}

impl Source<'_> {
    /// out = polynomial `term` modulo the prime of `row` (E).
    fn expand(&self, t: &Tables, term: usize, row: Row, out: &mut [u32]) {
        let (transform, length) = (t.prime(row.prime), self.values.n);
        let values = bytemuck::cast_slice(self.values.row(term, 0, 0));
        lift_short(t.instructions, transform.modulus(), values, &mut out[..length]);
        if let Some(short) = &self.short {
            short[row.prime as usize].forward(t.instructions, &mut out[..length]);
            repeat(out, length);
        } else {
            spread(out, length);
            transform.forward(t.instructions, out);
        }
    }
}

/// Each of the first `length` words as often as makes up the row, side by side.
fn repeat(out: &mut [u32], length: usize) {
    let gap = out.len() / length;
    for k in (0..length).rev() {
        // Place k gap is not before k, so that what is still to move is not yet overwritten.
        let word = out[k];
        out[k * gap..(k + 1) * gap].fill(word);
    }
}

/// See [`Backend::light_product`](crate::backend::Backend::light_product).
pub(super) fn product(
    t: &Tables,
    pool: &Arc<Pool>,
    dst: Writer,
    a: &[Ref<Cpu>],
    b: Light<Cpu>,
) -> Result<()> {
    if a.is_empty() {
        dst.for_each(|_, _, _, out| out.fill(0));
        return Ok(());
    }
    let (n, rows) = (dst.n, dst.span.rows);
    let log = b.length.checked_ilog2().unwrap_or(0);
    let short = match log > 0 && b.length * LANES <= n {
        true => Some(t.sparse(log)?),
        false => None,
    };
    let own = [Row { at: 0, prime: 0 }];
    let span = Span::dense(b.first + a.len(), 1, &own).slice_items(b.first, a.len());
    let source = Source {
        values: Reader::new(Ref::new(b.buffer, span)),
        short,
    };
    let at_once = (CACHE / n).clamp(1, PASS.min(a.len()));
    let (over_rows, inside) = Share::new().split(rows.len());
    over_rows.each(rows.len(), |row| {
        let expanded = Scratch::new(pool, at_once, n);
        for (pass, terms) in a.chunks(at_once).enumerate() {
            inside.each(terms.len(), |term| {
                // SAFETY: each task has a row of its own, and nothing else is used meanwhile.
                let out = unsafe { expanded.row(term) };
                source.expand(t, pass * at_once + term, rows[row], out);
            });
            let onto = if pass == 0 { Onto::Zero } else { Onto::Destination };
            sum(t, &dst, onto, terms, row, (&expanded, inside));
        }
    });
    Ok(())
}

/// dst = the sum of terms, each times its expanded row, modulo the prime of a row.
fn sum(
    t: &Tables,
    dst: &Writer,
    onto: Onto,
    terms: &[Ref<Cpu>],
    row: usize,
    (expanded, share): (&Scratch, Share),
) {
    let (m, polys) = (t.modulus(&dst.span, row), dst.span.polys);
    // Whole rows, unless they are shared out.
    let block = match share {
        Share::Alone => dst.n,
        Share::Threads => BLOCK.min(dst.n),
    };
    let (blocks, pairs) = (dst.n / block, polys.div_ceil(2));
    // SAFETY: expanded rows are written before this, by tasks that have ended, and only read while the reference lives.
    let expanded = &*unsafe { expanded.rows(0, terms.len()) };
    share.each(dst.span.items * pairs * blocks, |at| {
        let (item, first) = (at / (pairs * blocks), at / blocks % pairs * 2);
        let words = at % blocks * block..(at % blocks + 1) * block;
        // SAFETY: this block of these rows belongs to this task alone.
        let out = |poly| unsafe { dst.block(item, poly, row, words.clone()) };
        let b = |term: usize| &expanded[term * stride(dst.n)..][words.clone()];
        let a = |x, poly| &Reader::new(x).row(item, poly, row)[words.clone()];
        let terms = terms.iter().copied().enumerate();
        if first + 1 < polys {
            let pair = terms.map(|(term, x)| Term {
                a: [a(x, first), a(x, first + 1)],
                b: b(term),
            });
            let out = [out(first), out(first + 1)];
            pair.collect::<Terms<2>>().sum(t.instructions, m, onto, out);
        } else {
            let one = terms.map(|(term, x)| Term {
                a: [a(x, first)],
                b: b(term),
            });
            one.collect::<Terms<1>>()
                .sum(t.instructions, m, onto, [out(first)]);
        }
    });
}
