//! The oracle: every operation by its definition, as slow and as plain as that is.
//!
//! It shares no kernel with another backend and overrides no derived operation. It asserts what the contract demands of
//! callers: rows within their buffers, destinations apart, operands of equal shape, canonical residues, and nothing read
//! that was never written. Running a computation on it is therefore a check of every layer above.

mod arithmetic;
mod conversion;
mod memory;

pub use conversion::Prepared;
pub use memory::{Buffer, Tables};

use memory::{Rows, alike, constant, gather, gather_any, scatter, scatter_any};

use super::{Backend, BackendError, Capabilities, Integers, Matrix, Mut, Ref, Result, primes_of};
use crate::{
    arith::smallest_root,
    ring::{Basis, Conversion, Galois},
    sample::PublicSeed,
};

/// The oracle. It has no state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Oracle;

/// The rows of a key: one item a digit, two polynomials.
pub struct Key {
    rows: Rows,
    digits: usize,
    primes: Vec<u32>,
}

fn wide(row: &[u32]) -> impl Iterator<Item = i128> {
    row.iter().map(|x| i128::from(*x))
}

fn pairs<'a>(a: &'a [u32], b: &'a [u32]) -> impl Iterator<Item = (i128, i128)> {
    wide(a).zip(wide(b))
}

impl Backend for Oracle {
    type Buffer = Buffer;
    type Tables = Tables;
    type Conversion = Prepared;
    type Key = Key;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "oracle",
            device: String::from("definitions on the host"),
            computes: true,
        }
    }

    fn alloc(&self, log_n: u32, rows: usize) -> Result<Buffer> {
        Ok(Buffer::new(log_n, rows))
    }

    fn upload(&self, dst: Mut<Self>, words: &[u32]) -> Result<()> {
        let (n, span) = (dst.buffer.n(), dst.span);
        assert_eq!(words.len(), span.count() * n, "one word a coefficient");
        scatter_any(dst, |at| {
            let row = (at.item * span.polys + at.poly) * span.rows.len() + at.row;
            words[row * n..][..n].to_vec()
        });
        Ok(())
    }

    fn download(&self, src: Ref<Self>, words: &mut [u32]) -> Result<()> {
        let rows = gather_any(src);
        assert_eq!(
            words.len(),
            src.span.count() * src.buffer.n(),
            "one word a coefficient"
        );
        words.copy_from_slice(&rows.concat());
        Ok(())
    }

    fn copy(&self, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        alike(&dst.span, &src.span);
        assert_eq!(dst.buffer.n(), src.buffer.n(), "one ring degree");
        let rows = gather_any(src);
        scatter_any(dst, |at| rows.at(at).to_vec());
        Ok(())
    }

    fn zero(&self, dst: Mut<Self>) -> Result<()> {
        let n = dst.buffer.n();
        scatter_any(dst, |_| vec![0; n]);
        Ok(())
    }

    fn tables(&self, basis: &Basis) -> Result<Tables> {
        let root = |m| smallest_root(m, basis.log_n()).map(u64::from);
        let roots = basis.primes().iter().map(|m| root(*m));
        let roots = roots.collect::<std::result::Result<Vec<_>, _>>();
        Ok(Tables {
            log_n: basis.log_n(),
            primes: basis.primes().iter().map(|m| u64::from(m.value())).collect(),
            roots: roots.map_err(|_| BackendError::Unsupported { need: "this basis" })?,
        })
    }

    fn log_n(&self, t: &Tables) -> u32 {
        t.log_n
    }

    fn conversion(&self, t: &Tables, constants: &Conversion) -> Result<Prepared> {
        Ok(Prepared::new(t, constants))
    }

    fn wait(&self) -> Result<()> {
        Ok(())
    }

    fn add(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        alike(&dst.span, &src.span);
        let (old, src) = (gather(t, dst.read()), gather(t, src));
        scatter(t, dst, |at| {
            pairs(old.at(at), src.at(at)).map(|(x, y)| x + y).collect()
        });
        Ok(())
    }

    fn sub(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        alike(&dst.span, &src.span);
        let (old, src) = (gather(t, dst.read()), gather(t, src));
        scatter(t, dst, |at| {
            pairs(old.at(at), src.at(at)).map(|(x, y)| x - y).collect()
        });
        Ok(())
    }

    fn neg(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        let old = gather(t, dst.read());
        scatter(t, dst, |at| wide(old.at(at)).map(|x| -x).collect());
        Ok(())
    }

    fn mul(&self, t: &Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>) -> Result<()> {
        alike(&dst.span, &a.span);
        alike(&dst.span, &b.span);
        let (a, b) = (gather(t, a), gather(t, b));
        scatter(t, dst, |at| {
            pairs(a.at(at), b.at(at)).map(|(x, y)| x * y).collect()
        });
        Ok(())
    }

    fn mul_add(&self, t: &Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>) -> Result<()> {
        alike(&dst.span, &a.span);
        alike(&dst.span, &b.span);
        let (old, a, b) = (gather(t, dst.read()), gather(t, a), gather(t, b));
        scatter(t, dst, |at| {
            let products = pairs(a.at(at), b.at(at)).map(|(x, y)| x * y);
            products.zip(wide(old.at(at))).map(|(xy, z)| xy + z).collect()
        });
        Ok(())
    }

    fn mul_const(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, c: &[u32]) -> Result<()> {
        alike(&dst.span, &src.span);
        let (src, rows, items) = (gather(t, src), dst.span.rows.len(), dst.span.items);
        scatter(t, dst, |at| {
            let c = constant(c, rows, items, at);
            wide(src.at(at)).map(|x| c * x).collect()
        });
        Ok(())
    }

    fn mul_const_add(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, c: &[u32]) -> Result<()> {
        alike(&dst.span, &src.span);
        let (rows, items) = (dst.span.rows.len(), dst.span.items);
        let (old, src) = (gather(t, dst.read()), gather(t, src));
        scatter(t, dst, |at| {
            let c = constant(c, rows, items, at);
            pairs(old.at(at), src.at(at)).map(|(x, y)| x + c * y).collect()
        });
        Ok(())
    }

    fn add_const(&self, t: &Tables, dst: Mut<Self>, c: &[u32]) -> Result<()> {
        let (rows, items) = (dst.span.rows.len(), dst.span.items);
        let old = gather(t, dst.read());
        scatter(t, dst, |at| {
            let c = constant(c, rows, items, at);
            wide(old.at(at)).map(|x| x + c).collect()
        });
        Ok(())
    }

    /// Through coefficients: X^(N/2) moves them up by N/2, negated where they pass N.
    fn mul_i(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        let old = gather(t, dst.read());
        scatter(t, dst, |at| {
            let (p, psi) = t.prime(at);
            let f = arithmetic::interpolate(p, psi, old.at(at));
            let (low, high) = f.split_at(f.len() / 2);
            let turned: Vec<u64> = high
                .iter()
                .map(|x| (p - x) % p)
                .chain(low.iter().copied())
                .collect();
            arithmetic::evaluate(p, psi, &turned)
        });
        Ok(())
    }

    /// Through coefficients, by [`Galois::apply_to_coefficients`].
    fn permute(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, g: &[Galois]) -> Result<()> {
        alike(&dst.span, &src.span);
        let items = dst.span.items;
        assert!(g.len() == 1 || g.len() == items, "one element, or one an item");
        let src = gather(t, src);
        scatter(t, dst, |at| {
            let (p, psi) = t.prime(at);
            let g = if g.len() == 1 { g[0] } else { g[at.item] };
            assert!(
                Galois::new(g.element(), t.log_n).is_some(),
                "odd elements below 2N"
            );
            let f: Vec<i64> = arithmetic::interpolate(p, psi, src.at(at))
                .iter()
                .map(|x| *x as i64)
                .collect();
            let moved = g.apply_to_coefficients(&f);
            let moved: Vec<u64> = moved.iter().map(|x| x.rem_euclid(p as i64) as u64).collect();
            arithmetic::evaluate(p, psi, &moved)
        });
        Ok(())
    }

    fn ntt(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        let old = gather(t, dst.read());
        scatter(t, dst, |at| {
            let (p, psi) = t.prime(at);
            let f: Vec<u64> = old.at(at).iter().map(|x| u64::from(*x)).collect();
            arithmetic::evaluate(p, psi, &f)
        });
        Ok(())
    }

    fn intt(&self, t: &Tables, dst: Mut<Self>) -> Result<()> {
        let old = gather(t, dst.read());
        scatter(t, dst, |at| {
            let (p, psi) = t.prime(at);
            let f = arithmetic::interpolate(p, psi, old.at(at));
            f.into_iter().map(i128::from).collect()
        });
        Ok(())
    }

    fn lift(&self, t: &Tables, dst: Mut<Self>, values: Integers) -> Result<()> {
        let (n, polys) = (1usize << t.log_n, dst.span.polys);
        let count = dst.span.items * polys;
        assert!(
            count > 0 && values.len().is_multiple_of(count),
            "equally many integers a polynomial"
        );
        let length = values.len() / count;
        assert!(
            length > 0 && n.is_multiple_of(length),
            "N / gap integers a polynomial"
        );
        scatter(t, dst, |at| {
            let mut row = vec![0; n];
            for k in 0..length {
                let from = (at.item * polys + at.poly) * length + k;
                row[k * (n / length)] = match values {
                    Integers::I32(v) => i128::from(v[from]),
                    Integers::I64(v) => i128::from(v[from]),
                    Integers::I128(v) => v[from],
                };
            }
            row
        });
        Ok(())
    }

    fn convert(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, c: &Prepared) -> Result<()> {
        assert_eq!(
            primes_of(src.span.rows),
            c.constants.sources,
            "source rows in order"
        );
        assert_eq!(
            primes_of(dst.span.rows),
            c.constants.targets,
            "target rows in order"
        );
        assert_eq!((dst.span.items, dst.span.polys), (src.span.items, src.span.polys));
        let (span, rows) = (src.span, gather(t, src));
        let mut lifts = Vec::new();
        for at in (0..span.items * span.polys).map(|i| (i / span.polys, i % span.polys)) {
            let column = |k: usize| (0..span.rows.len()).map(move |row| (at, row, k));
            let word = |((item, poly), row, k): ((usize, usize), usize, usize)| rows.row(item, poly, row)[k];
            let n = 1usize << t.log_n;
            lifts.push(
                (0..n)
                    .map(|k| c.lift(&column(k).map(word).collect::<Vec<_>>()))
                    .collect::<Vec<_>>(),
            );
        }
        scatter(t, dst, |at| {
            let (r, b) = (c.targets[at.row], c.after[at.row]);
            let lifts = lifts[at.item * span.polys + at.poly].iter();
            lifts
                .map(|x| arithmetic::residue(x, r) as i128 * i128::from(b))
                .collect()
        });
        Ok(())
    }

    fn expand(&self, t: &Tables, dst: Mut<Self>, seeds: &[PublicSeed], label: u64) -> Result<()> {
        let span = dst.span;
        assert_eq!(seeds.len(), span.items, "one seed an item");
        scatter(t, dst, |at| {
            let (stream, prime) = (label + at.poly as u64, u64::from(span.rows[at.row].prime));
            let lane =
                |k: u64| arithmetic::chacha_lane(&seeds[at.item].0, stream, (prime << 32) | (k / 4), k % 4);
            (0..1u64 << t.log_n)
                .map(|k| (lane(k) % at.p as u128) as i128)
                .collect()
        });
        Ok(())
    }

    fn prepare(&self, t: &Tables, key: Ref<Self>) -> Result<Key> {
        assert_eq!(key.span.polys, 2, "a key has two polynomials a digit");
        Ok(Key {
            rows: gather(t, key),
            digits: key.span.items,
            primes: primes_of(key.span.rows),
        })
    }

    fn key_inner_product(
        &self,
        t: &Tables,
        dst: Mut<Self>,
        src: Ref<Self>,
        digits: &[u32],
        keys: &[&Key],
    ) -> Result<()> {
        let span = dst.span;
        assert!(
            span.polys == 2 && src.span.polys == digits.len(),
            "digits in, two polynomials out"
        );
        alike(&span.slice_polys(0, 1), &src.span.slice_polys(0, 1));
        assert!(
            keys.len() == 1 || keys.len() == span.items,
            "one key, or one an item"
        );
        let src = gather(t, src);
        scatter(t, dst, |at| {
            let key = if keys.len() == 1 { keys[0] } else { keys[at.item] };
            let prime = span.rows[at.row].prime;
            let held = key.primes.iter().position(|p| *p == prime);
            assert!(held.is_some(), "the key has a row of prime {prime}");
            let held = held.unwrap_or_default();
            let mut sums = vec![0; 1 << t.log_n];
            for (j, digit) in digits.iter().enumerate() {
                assert!((*digit as usize) < key.digits, "the key has digit {digit}");
                let key = key.rows.row(*digit as usize, at.poly, held);
                let digit = src.row(at.item, j, at.row);
                for (sum, (x, y)) in sums.iter_mut().zip(pairs(digit, key)) {
                    *sum += x * y;
                }
            }
            sums
        });
        Ok(())
    }

    fn gemm(&self, t: &Tables, dst: Mut<Self>, src: Ref<Self>, weights: Matrix) -> Result<()> {
        let (outputs, inputs) = (weights.outputs, weights.inputs);
        assert!(
            dst.span.items == outputs && src.span.items == inputs,
            "one item an input and an output"
        );
        alike(&dst.span.slice_items(0, 1), &src.span.slice_items(0, 1));
        let src = gather(t, src);
        scatter(t, dst, |at| {
            let mut sums = vec![0; 1 << t.log_n];
            for i in 0..inputs {
                let w = i128::from(weights.entries.get(at.item * inputs + i));
                for (sum, x) in sums.iter_mut().zip(wide(src.row(i, at.poly, at.row))) {
                    *sum += w * x;
                }
            }
            sums
        });
        Ok(())
    }
}
