//! The definitions of the derived operations, in terms of the required ones.
//!
//! A backend that fuses one of them keeps its result bit for bit; conformance compares it with the body here.

#[cfg(any(feature = "cuda", feature = "wgpu"))]
use std::sync::Arc;

use zeroize::Zeroizing;

use super::{
    Backend, BasisStep, DigitStep, EncodeError, Integers, KeySwitch, Light, Moved, Mut, Onto, Product, Ref,
    Result, Row, Span, compact, primes_of,
};
use crate::{
    arith::{Complex, Double, Embedding},
    ring::{Crt, Galois, Scale},
};

/// The rows of `rows` that hold `primes`, in the order of `primes`; absent primes are left out.
pub fn select(rows: &[Row], primes: &[u32]) -> Vec<Row> {
    primes
        .iter()
        .filter_map(|p| rows.iter().find(|r| r.prime == *p).copied())
        .collect()
}

/// See [`Backend::tensor`].
pub fn tensor<B: Backend>(
    b: &B,
    t: &B::Tables,
    mut dst: Mut<B>,
    x: Ref<B>,
    y: Ref<B>,
    terms: usize,
) -> Result<()> {
    for item in 0..dst.span.items {
        let mut dst = dst.part(|s| s.slice_items(item, 1));
        for term in 0..terms {
            fn at<'a, B: Backend>(r: Ref<'a, B>, item: usize, poly: usize) -> Ref<'a, B> {
                r.map(|s| s.slice_items(item, 1).slice_polys(poly, 1))
            }
            let (x, y) = (
                |poly| at(x, item * terms + term, poly),
                |poly| at(y, item * terms + term, poly),
            );
            if term == 0 {
                b.mul(t, dst.part(|s| s.slice_polys(0, 1)), x(0), y(0))?;
                b.mul(t, dst.part(|s| s.slice_polys(1, 1)), x(0), y(1))?;
                b.mul(t, dst.part(|s| s.slice_polys(2, 1)), x(1), y(1))?;
            } else {
                b.mul_add(t, dst.part(|s| s.slice_polys(0, 1)), x(0), y(0))?;
                b.mul_add(t, dst.part(|s| s.slice_polys(1, 1)), x(0), y(1))?;
                b.mul_add(t, dst.part(|s| s.slice_polys(2, 1)), x(1), y(1))?;
            }
            b.mul_add(t, dst.part(|s| s.slice_polys(1, 1)), x(1), y(0))?;
        }
    }
    Ok(())
}

/// See [`Backend::block_product`].
pub fn block_product<B: Backend>(
    b: &B,
    t: &B::Tables,
    mut dst: Mut<B>,
    x: Ref<B>,
    y: Ref<B>,
    terms: usize,
) -> Result<()> {
    let columns = y.span.items.checked_div(terms).unwrap_or(0).max(1);
    let polys = dst.span.polys;
    for item in 0..dst.span.items {
        let (row, column) = (item / columns, item % columns);
        let term = |j| Product {
            a: x.map(|s| s.slice_items(row * terms + j, 1)),
            b: y.map(|s| s.slice_items(column * terms + j, 1).repeat_polys(polys)),
        };
        let terms: Vec<Product<B>> = (0..terms).map(term).collect();
        b.mul_accumulate(t, dst.part(|s| s.slice_items(item, 1)), Onto::Zero, &terms)?;
    }
    Ok(())
}

/// log2 of the words of a row that holds each evaluation of a polynomial in X^(N / length) once; that of N where `length` is none of 2 to N.
pub fn shortest_log_n(log_n: u32, length: usize) -> u32 {
    match length.checked_ilog2() {
        Some(log) if log > 0 => log.min(log_n),
        _ => log_n,
    }
}

/// See [`Backend::sparse`].
pub fn sparse<B: Backend>(
    b: &B,
    t: &B::Tables,
    rows: &[Row],
    items: usize,
    values: Integers,
) -> Result<B::Buffer> {
    let span = Span::dense(items, 1, rows);
    let mut buffer = b.alloc(b.log_n(t), span.count())?;
    b.lift(t, Mut::new(&mut buffer, span), values)?;
    b.ntt(t, Mut::new(&mut buffer, span))?;
    Ok(buffer)
}

/// See [`Backend::sparse`]; where rows are shorter than N, the same in the ring of their degree, whose tables `ring` gives by log2 of it.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
pub(super) fn sparse_in_subring<B: Backend>(
    b: &B,
    t: &B::Tables,
    rows: &[Row],
    items: usize,
    values: Integers,
    ring: impl FnOnce(u32) -> Result<Arc<B::Tables>>,
) -> Result<B::Buffer> {
    match b.sparse_log_n(t, values.len() / items.max(1)) {
        log_n if log_n < b.log_n(t) => sparse(b, ring(log_n)?.as_ref(), rows, items, values),
        _ => sparse(b, t, rows, items, values),
    }
}

/// See [`Backend::sparse_product`].
pub fn sparse_product<B: Backend>(
    b: &B,
    t: &B::Tables,
    dst: Mut<B>,
    x: Ref<B>,
    y: Ref<B>,
    terms: usize,
) -> Result<()> {
    b.block_product(t, dst, x, y, terms)
}

/// The row of a light polynomial.
const LIGHT: [Row; 1] = [Row { at: 0, prime: 0 }];

/// See [`Backend::light`]: the lower and the upper half of every integer's two's complement, 2 length words a polynomial.
pub fn light<B: Backend>(b: &B, count: usize, length: usize, values: &[i32]) -> Result<B::Buffer> {
    let halves = |v: &i32| [*v as u32 & 0xffff, *v as u32 >> 16];
    let words: Vec<u32> = values.iter().flat_map(halves).collect();
    rows_of_words(b, count, 2 * length, &words)
}

/// The same as whole words, which are no residues: for backends that look at none of them but in their own
/// [`Backend::light_product`].
pub(super) fn light_words<B: Backend>(
    b: &B,
    count: usize,
    length: usize,
    values: &[i32],
) -> Result<B::Buffer> {
    rows_of_words(b, count, length, bytemuck::cast_slice(values))
}

/// `count` rows of `length` words.
fn rows_of_words<B: Backend>(b: &B, count: usize, length: usize, words: &[u32]) -> Result<B::Buffer> {
    let mut buffer = b.alloc(length.checked_ilog2().unwrap_or(0), count)?;
    b.upload(Mut::new(&mut buffer, Span::dense(count, 1, &LIGHT)), words)?;
    Ok(buffer)
}

/// See [`Backend::light_product`]: the polynomials are lifted and transformed, then multiplied.
pub fn light_product<B: Backend>(
    b: &B,
    t: &B::Tables,
    dst: Mut<B>,
    a: &[Ref<B>],
    light: Light<B>,
) -> Result<()> {
    if a.is_empty() {
        return b.zero(dst);
    }
    let from = Span::dense(light.first + a.len(), 1, &LIGHT).slice_items(light.first, a.len());
    let mut halves = vec![0; 2 * a.len() * light.length];
    b.download(Ref::new(light.buffer, from), &mut halves)?;
    let whole = |[low, high]: &[u32; 2]| (low | high << 16) as i32;
    let values: Vec<i32> = halves.as_chunks().0.iter().map(whole).collect();
    let rows = compact(&primes_of(dst.span.rows));
    let span = Span::dense(a.len(), 1, &rows);
    let mut plain = b.alloc(b.log_n(t), span.count())?;
    b.lift(t, Mut::new(&mut plain, span), Integers::I32(&values))?;
    b.ntt(t, Mut::new(&mut plain, span))?;
    b.mul_accumulate(t, dst, Onto::Zero, &products(a, Ref::new(&plain, span)))
}

/// Term j of a times item j of b, which serves all items and polynomials of the term.
pub fn products<'a, B: Backend>(a: &[Ref<'a, B>], b: Ref<'a, B>) -> Vec<Product<'a, B>> {
    let product = |(j, a): (usize, &Ref<'a, B>)| {
        let (items, polys) = (a.span.items, a.span.polys);
        Product {
            a: *a,
            b: b.map(|s| s.slice_items(j, 1).repeat_items(items).repeat_polys(polys)),
        }
    };
    a.iter().enumerate().map(product).collect()
}

/// The values of every polynomial, then zeros up to N.
fn padded<T: Copy + Default + zeroize::Zeroize>(values: &[T], polys: usize, n: usize) -> Zeroizing<Vec<T>> {
    let length = values.len() / polys.max(1);
    let mut all = Zeroizing::new(vec![T::default(); polys * n]);
    for (to, from) in all.chunks_mut(n).zip(values.chunks(length.max(1))) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    }
    all
}

/// See [`Backend::evaluate`].
pub fn evaluate<B: Backend>(b: &B, t: &B::Tables, mut dst: Mut<B>, values: Integers) -> Result<()> {
    let (n, polys) = (1usize << b.log_n(t), dst.span.items * dst.span.polys);
    match values {
        Integers::I32(v) => b.lift(t, dst.again(), Integers::I32(&padded(v, polys, n)))?,
        Integers::I64(v) => b.lift(t, dst.again(), Integers::I64(&padded(v, polys, n)))?,
        Integers::I128(v) => b.lift(t, dst.again(), Integers::I128(&padded(v, polys, n)))?,
    }
    b.ntt(t, dst)
}

/// See [`Backend::permute_add`].
pub fn permute_add<B: Backend>(b: &B, t: &B::Tables, dst: Mut<B>, src: Ref<B>, g: &[Galois]) -> Result<()> {
    let (log_n, rows) = (b.log_n(t), compact(&primes_of(src.span.rows)));
    let mut moved = b.alloc(log_n, src.span.count())?;
    let span = Span::dense(src.span.items, src.span.polys, &rows);
    b.permute(t, Mut::new(&mut moved, span), src, g)?;
    b.add(t, dst, Ref::new(&moved, span))
}

/// See [`Backend::mul_accumulate`].
pub fn mul_accumulate<B: Backend>(
    b: &B,
    t: &B::Tables,
    dst: Mut<B>,
    onto: Onto,
    terms: &[Product<B>],
) -> Result<()> {
    accumulate(b, dst, onto, terms, |dst, onto, term| match onto {
        Onto::Zero => b.mul(t, dst, term.a, term.b),
        Onto::Destination => b.mul_add(t, dst, term.a, term.b),
    })
}

/// See [`Backend::permute_accumulate`].
pub fn permute_accumulate<B: Backend>(
    b: &B,
    t: &B::Tables,
    dst: Mut<B>,
    onto: Onto,
    terms: &[Moved<B>],
) -> Result<()> {
    accumulate(b, dst, onto, terms, |dst, onto, term| match onto {
        Onto::Zero => b.permute(t, dst, term.src, &[term.element]),
        Onto::Destination => b.permute_add(t, dst, term.src, &[term.element]),
    })
}

/// The sum of terms, of which `add` writes one over what the destination holds or adds one to it.
fn accumulate<B: Backend, T>(
    b: &B,
    mut dst: Mut<B>,
    mut onto: Onto,
    terms: &[T],
    add: impl Fn(Mut<B>, Onto, &T) -> Result<()>,
) -> Result<()> {
    for term in terms {
        add(dst.again(), onto, term)?;
        onto = Onto::Destination;
    }
    match onto {
        Onto::Zero => b.zero(dst),
        Onto::Destination => Ok(()),
    }
}

/// See [`Backend::mod_up`].
///
/// d_j = d mod Q_j lifted centred to the other rows; the rows of Q_j itself are copied.
pub fn mod_up<B: Backend>(
    b: &B,
    t: &B::Tables,
    mut dst: Mut<B>,
    src: Ref<B>,
    digits: &[DigitStep<B>],
) -> Result<()> {
    let rows = compact(&primes_of(src.span.rows));
    let span = Span::dense(src.span.items, 1, &rows);
    let mut coefficients = b.alloc(b.log_n(t), span.count())?;
    b.copy(Mut::new(&mut coefficients, span), src)?;
    b.intt(t, Mut::new(&mut coefficients, span))?;
    for (j, digit) in digits.iter().enumerate() {
        let sources = select(&rows, &digit.sources);
        let own = (
            select(dst.span.rows, &digit.sources),
            select(src.span.rows, &digit.sources),
        );
        let targets = select(dst.span.rows, &digit.targets);
        let mut poly = dst.part(|s| s.slice_polys(j, 1));
        let from = Ref::new(&coefficients, span.with_rows(&sources));
        b.convert(t, poly.part(|s| s.with_rows(&targets)), from, &digit.conversion)?;
        b.ntt(t, poly.part(|s| s.with_rows(&targets)))?;
        b.copy(
            poly.part(|s| s.with_rows(&own.0)),
            Ref::new(src.buffer, src.span.with_rows(&own.1)),
        )?;
    }
    Ok(())
}

/// See [`Backend::step`] and [`Step`](crate::ring::Step).
pub fn step<B: Backend>(b: &B, t: &B::Tables, mut dst: Mut<B>, src: Ref<B>, s: &BasisStep<B>) -> Result<()> {
    let removed = select(src.span.rows, &s.step.removed);
    let rows = compact(&s.step.removed);
    let span = Span::dense(src.span.items, src.span.polys, &rows);
    let mut coefficients = b.alloc(b.log_n(t), span.count())?;
    b.copy(
        Mut::new(&mut coefficients, span),
        Ref::new(src.buffer, src.span.with_rows(&removed)),
    )?;
    b.intt(t, Mut::new(&mut coefficients, span))?;
    b.convert(t, dst.again(), Ref::new(&coefficients, span), &s.conversion)?;
    b.ntt(t, dst.again())?;
    let kept = (
        select(dst.span.rows, &s.step.kept),
        select(src.span.rows, &s.step.kept),
    );
    let from = Ref::new(src.buffer, src.span.with_rows(&kept.1));
    b.mul_const_add(t, dst.part(|s| s.with_rows(&kept.0)), from, &s.step.kept_factor)
}

/// See [`Backend::key_switch`].
pub fn key_switch<B: Backend>(
    b: &B,
    t: &B::Tables,
    dst: Mut<B>,
    src: Ref<B>,
    addend: Ref<B>,
    k: &KeySwitch<B>,
) -> Result<()> {
    let span = Span::dense(src.span.items, k.digits.len(), k.extended);
    let mut digits = b.alloc(b.log_n(t), span.count())?;
    b.mod_up(t, Mut::new(&mut digits, span), src, k.digits)?;
    b.switch_digits(t, dst, Ref::new(&digits, span), addend, k)
}

/// See [`Backend::switch_digits`].
///
/// sigma is applied before the step: an automorphism costs nothing where sums are written, and the step rounds what it gets. Without a
/// step dst has the extended rows, in their order.
pub fn switch_digits<B: Backend>(
    b: &B,
    t: &B::Tables,
    dst: Mut<B>,
    digits: Ref<B>,
    addend: Ref<B>,
    k: &KeySwitch<B>,
) -> Result<()> {
    let extended = compact(&primes_of(k.extended));
    let span = Span::dense(dst.span.items, 2, &extended);
    let mut sums = b.alloc(b.log_n(t), span.count())?;
    let which: Vec<u32> = k.digits.iter().map(|d| d.digit).collect();
    b.key_inner_product(t, Mut::new(&mut sums, span), digits, &which, k.keys)?;
    let own = select(&extended, &primes_of(addend.span.rows));
    let part = span.slice_polys(0, addend.span.polys).with_rows(&own);
    b.mul_const_add(t, Mut::new(&mut sums, part), addend, k.factor)?;
    let Some(step) = k.step else {
        return b.permute(t, dst, Ref::new(&sums, span), k.elements);
    };
    if k.elements.iter().all(|g| *g == Galois::IDENTITY) {
        return b.step(t, dst, Ref::new(&sums, span), step);
    }
    let mut moved = b.alloc(b.log_n(t), span.count())?;
    b.permute(t, Mut::new(&mut moved, span), Ref::new(&sums, span), k.elements)?;
    b.step(t, dst, Ref::new(&moved, span), step)
}

/// See [`Backend::embed`]: the host's transform, then `lift`.
pub fn embed<B: Backend>(
    b: &B,
    t: &B::Tables,
    dst: Mut<B>,
    embedding: &Embedding,
    slots: &[Complex],
    scale: Double,
) -> std::result::Result<(), EncodeError> {
    let (n, items) = (1usize << b.log_n(t), dst.span.items.max(1));
    let per_item = slots.len() / items;
    // A message may be secret: the host's copy is cleared.
    let mut coefficients = Zeroizing::new(vec![0i64; n * items]);
    for (slots, out) in slots.chunks(per_item.max(1)).zip(coefficients.chunks_mut(n)) {
        embedding.embed(slots, scale, out)?;
    }
    b.lift(t, dst, Integers::I64(&coefficients))?;
    Ok(())
}

/// See [`Backend::decode`]: exact integers on the host, each divided with one rounding, then the host's transform.
pub fn decode<B: Backend>(
    b: &B,
    t: &B::Tables,
    src: Ref<B>,
    embedding: &Embedding,
    crt: &Crt,
    scale: &Scale,
    slots: &mut [Complex],
) -> std::result::Result<(), EncodeError> {
    let n = 1usize << b.log_n(t);
    let per_item = slots.len() / src.span.items.max(1);
    let mut words = Zeroizing::new(vec![0; src.span.rows.len() * n]);
    for (item, slots) in slots.chunks_mut(per_item.max(1)).enumerate() {
        b.download(src.map(|s| s.slice_items(item, 1)), &mut words)?;
        let coefficients = Zeroizing::new(crt.lift_rows_f64(&words, n, scale)?);
        embedding.unembed(&coefficients, slots)?;
    }
    Ok(())
}
