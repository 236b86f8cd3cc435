//! Shapes of products, and the numbers that are given for weights.

use half::{bf16, f16};

use super::{MatmulError, Result};

/// Numbers of a matrix, or of all matrices of a batch, at most.
const MOST: usize = 1 << 32;

/// Y_b = X_b W for each request b of a batch: X_b is m x k and encrypted, W is k x n and known to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows of X: tokens of a request.
    pub m: usize,
    /// Columns of X and rows of W: features in.
    pub k: usize,
    /// Columns of W: features out.
    pub n: usize,
    /// Requests computed together under one key.
    pub batch: usize,
}

impl Shape {
    /// One request.
    pub fn new(m: usize, k: usize, n: usize) -> Self {
        Self { m, k, n, batch: 1 }
    }

    /// The same product for `batch` requests.
    pub fn batch(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    /// Rows of all requests together.
    pub fn rows(self) -> usize {
        self.m * self.batch
    }

    /// Products of a weight and an input.
    pub fn products(self) -> f64 {
        self.m as f64 * self.k as f64 * self.n as f64 * self.batch as f64
    }

    /// Refuses products of nothing, and products that no index holds.
    pub(super) fn check(self) -> Result<()> {
        let Self { m, k, n, batch } = self;
        let refused = |why| Err(MatmulError::Shape { m, k, n, batch, why });
        if m == 0 || k == 0 || n == 0 || batch == 0 {
            return refused("a dimension is 0");
        }
        let rows = m.checked_mul(batch).filter(|r| *r <= MOST);
        let fits = |a: Option<usize>, b: usize| a.and_then(|a| a.checked_mul(b)).is_some_and(|x| x <= MOST);
        if !(fits(rows, k) && fits(rows, n) && fits(Some(k), n)) {
            return refused("the matrices are too large");
        }
        Ok(())
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { m, k, n, batch } = self;
        write!(f, "{batch} x ({m} x {k}) times {k} x {n}")
    }
}

/// Numbers as they lie in a model file.
#[derive(Clone, Copy, Debug)]
enum Numbers<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
    I8(&'a [i8], u32),
    I16(&'a [i16], u32),
    I32(&'a [i32], u32),
    I64(&'a [i64], u32),
}

/// A k x n matrix of weights, borrowed: row-major as in `x W`, or as `[outputs][inputs]` after [`Weights::by_output`].
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    numbers: Numbers<'a>,
    by_output: bool,
}

impl<'a> Weights<'a> {
    fn new(numbers: Numbers<'a>) -> Self {
        Self {
            numbers,
            by_output: false,
        }
    }

    /// Single precision.
    pub fn f32(values: &'a [f32]) -> Self {
        Self::new(Numbers::F32(values))
    }

    /// Half precision.
    pub fn f16(values: &'a [f16]) -> Self {
        Self::new(Numbers::F16(values))
    }

    /// Brain floating point.
    pub fn bf16(values: &'a [bf16]) -> Self {
        Self::new(Numbers::Bf16(values))
    }

    /// Integers over 2^fraction_bits: exact in every packing that has as many bits.
    pub fn i8(values: &'a [i8], fraction_bits: u32) -> Self {
        Self::new(Numbers::I8(values, fraction_bits))
    }

    /// As [`i8`](Self::i8), of 16 bits.
    pub fn i16(values: &'a [i16], fraction_bits: u32) -> Self {
        Self::new(Numbers::I16(values, fraction_bits))
    }

    /// As [`i8`](Self::i8), of 32 bits.
    pub fn i32(values: &'a [i32], fraction_bits: u32) -> Self {
        Self::new(Numbers::I32(values, fraction_bits))
    }

    /// As [`i8`](Self::i8), of 64 bits; packings of CKKS take the nearest number in double precision.
    pub fn i64(values: &'a [i64], fraction_bits: u32) -> Self {
        Self::new(Numbers::I64(values, fraction_bits))
    }

    /// The numbers are those of W transposed, `[n][k]`: how frameworks store linear layers.
    pub fn by_output(self) -> Self {
        Self {
            by_output: true,
            ..self
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self.numbers {
            Numbers::F32(v) => v.len(),
            Numbers::F16(v) => v.len(),
            Numbers::Bf16(v) => v.len(),
            Numbers::I8(v, _) => v.len(),
            Numbers::I16(v, _) => v.len(),
            Numbers::I32(v, _) => v.len(),
            Numbers::I64(v, _) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn get(&self, i: usize) -> f64 {
        let value = match self.numbers {
            Numbers::F32(v) => v.get(i).map(|x| f64::from(*x)),
            Numbers::F16(v) => v.get(i).map(|x| f64::from(*x)),
            Numbers::Bf16(v) => v.get(i).map(|x| f64::from(*x)),
            _ => (self.fixed(i)).map(|(x, bits)| x as f64 * (-f64::from(bits)).exp2()),
        };
        value.unwrap_or(f64::NAN)
    }

    /// An integer and its fractional bits; none where numbers are floating.
    fn fixed(&self, i: usize) -> Option<(i64, u32)> {
        match self.numbers {
            Numbers::I8(v, bits) => v.get(i).map(|x| (i64::from(*x), bits)),
            Numbers::I16(v, bits) => v.get(i).map(|x| (i64::from(*x), bits)),
            Numbers::I32(v, bits) => v.get(i).map(|x| (i64::from(*x), bits)),
            Numbers::I64(v, bits) => v.get(i).map(|x| (*x, bits)),
            Numbers::F32(_) | Numbers::F16(_) | Numbers::Bf16(_) => None,
        }
    }

    /// Number `i` times 2^scale_bits, if that is an integer of 64 bits.
    fn integer(&self, i: usize, scale_bits: u32) -> Option<i64> {
        let Some((value, bits)) = self.fixed(i) else {
            // Exact: a power of two changes the exponent alone, below 2^1024.
            let value = self.get(i) * f64::from(scale_bits).exp2();
            let inside = value.abs() < 2f64.powi(63) && value.fract() == 0.0;
            return inside.then_some(value as i64);
        };
        let (up, down) = (scale_bits.saturating_sub(bits), bits.saturating_sub(scale_bits));
        // Shifts of 63 bits and more leave nothing but zero.
        let unit = |bits: u32| i64::checked_pow(2, bits);
        match (unit(up), unit(down)) {
            _ if value == 0 => Some(0),
            (Some(up), Some(down)) => (value % down == 0).then(|| (value / down).checked_mul(up))?,
            _ => None,
        }
    }

    /// All of them times 2^scale_bits as integers, rows of `width` one after the other. Fails with the place and value of the first that
    /// is no integer of 64 bits then.
    pub(super) fn integers(
        &self,
        (height, width): (usize, usize),
        scale_bits: u32,
    ) -> std::result::Result<Vec<i64>, (usize, f64)> {
        let of = |at: usize| {
            let index = if self.by_output {
                at % width * height + at / width
            } else {
                at
            };
            (self.integer(index, scale_bits)).ok_or_else(|| (at, self.get(index)))
        };
        (0..height * width).map(of).collect()
    }

    /// All of them, `[k][n]`, each finite and at most `bound` in magnitude.
    pub(super) fn checked(&self, shape: Shape, bound: f64) -> Result<Vec<f64>> {
        let Shape { k, n, .. } = shape;
        if self.len() != k * n {
            return Err(MatmulError::Length {
                what: "weights",
                given: self.len(),
                wanted: k * n,
            });
        }
        let mut all = vec![0.0; k * n];
        for index in 0..k * n {
            let value = self.get(index);
            check_value("weight", index, value, bound)?;
            let at = if self.by_output {
                index % k * n + index / k
            } else {
                index
            };
            if let Some(to) = all.get_mut(at) {
                *to = value;
            }
        }
        Ok(all)
    }
}

/// Demands a finite value within a bound; written so that not-a-number is refused.
pub(super) fn check_value(what: &'static str, index: usize, value: f64, bound: f64) -> Result<()> {
    if value.abs() <= bound {
        return Ok(());
    }
    Err(MatmulError::Value {
        what,
        index,
        value,
        bound,
    })
}

/// `round(w 2^bits)`, which the plan keeps within 16 bits.
pub(super) fn quantise(weights: &[f64], fraction_bits: u32) -> Vec<i16> {
    let unit = f64::from(fraction_bits).exp2();
    weights.iter().map(|w| (w * unit).round() as i16).collect()
}
