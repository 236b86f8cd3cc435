//! Keys, and their inner product with digits. Kernel: `shaders/keyswitch.wgsl`.

use super::{
    Wgpu,
    elementwise::{Constants, OverRows},
    memory::Buffer,
    ntt::Tables,
    operands::{Operand, Part},
    queue::Launch,
};
use crate::backend::{Mut, Ref, Result, Row, Span};

/// Coefficients of a workgroup.
const BLOCK: u32 = 256;
/// Digits of one launch.
const MOST_DIGITS: usize = 1024;

/// A key on the device, in Montgomery's form: [prime][digit][b, a][n].
pub struct Key {
    rows: Buffer,
    primes: Vec<u32>,
    digits: usize,
}

impl Wgpu {
    pub(super) fn new_key(&self, t: &Tables, key: Ref<Self>) -> Result<Key> {
        let digits = key.span.items;
        let buffer = self.device.take(t.log_n, key.span.count())?;
        let primes: Vec<u32> = key.span.rows.iter().map(|r| r.prime).collect();
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
        if digits.is_empty() {
            return self.pointwise("zero_rows", None, dst, None, None, Constants::None);
        }
        let all = Part::whole(&dst.span);
        if let [key] = keys {
            return self.product_with(t, dst, src, digits, key, all);
        }
        for (item, key) in keys.iter().enumerate() {
            let items = item..item + 1;
            self.product_with(t, dst, src, digits, key, Part { items, ..all.clone() })?;
        }
        Ok(())
    }

    /// The items of a part with one key.
    fn product_with(
        &self,
        t: &Tables,
        dst: &Mut<Self>,
        src: &Ref<Self>,
        digits: &[u32],
        key: &Key,
        part: Part,
    ) -> Result<()> {
        let most = digits.iter().max().map_or(0, |d| *d as usize);
        assert!(most < key.digits, "the key has no digit {most}");
        let places = places(&key.primes, key.digits);
        let held = |row: &Row| {
            let held = places.iter().find(|p| p.prime == row.prime);
            assert!(held.is_some(), "the key has no row of prime {}", row.prime);
            held.copied().unwrap_or(*row)
        };
        let rows: Vec<Row> = dst.span.rows.iter().map(held).collect();
        let (to, from) = (Operand::write(dst), Operand::read(src));
        // A row of the key is all its digits.
        let of_key = Span {
            items: 1,
            item_stride: 0,
            polys: 2 * key.digits,
            poly_stride: 1,
            ..Span::dense(1, 1, &rows)
        };
        let of_key = Operand::new(&key.rows, of_key);
        let over = |part: &Part, polys| Part {
            polys,
            ..part.clone()
        };
        let key_part = |part: &Part| {
            of_key.part(&Part {
                items: 0..1,
                polys: 0..2 * key.digits,
                rows: part.rows.clone(),
            })
        };
        // Polynomials of a part are its digits; digits that do not fit with the others are added in a second launch.
        let fits = |part: &Part| {
            part.polys.len() <= MOST_DIGITS
                && to.part(&over(part, 0..2)).fits(&self.device)
                && from.part(part).fits(&self.device)
                && key_part(part).fits(&self.device)
        };
        over(&part, 0..digits.len()).each(&fits, &mut |part| {
            let dst = to.part(&over(part, 0..2));
            self.device.launch(&Launch {
                kernel: "key_inner_product",
                log_n: t.log_n,
                polys: 1,
                rows: dst.span.rows,
                primes: Some(t.primes()),
                dst,
                left: Some(from.part(part)),
                right: None,
                table: Some(key_part(part)),
                numbers: [part.polys.len() as u32, 0, u32::from(part.polys.start > 0), 0],
                list: Some((1, &digits[part.polys.clone()])),
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
