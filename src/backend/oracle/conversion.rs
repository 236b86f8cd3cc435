//! Base conversion with big integers: the lift of every coefficient, reduced modulo every target.

use num_bigint::{BigInt, BigUint};

use super::{arithmetic, memory::Tables};
use crate::ring::Conversion;

/// A conversion, its constants checked against one another.
pub struct Prepared {
    pub(super) constants: Conversion,
    sources: Vec<u64>,
    pub(super) targets: Vec<u64>,
    product: BigInt,
    /// Q / q_i.
    terms: Vec<BigInt>,
    /// b modulo each target, found from the weights.
    pub(super) after: Vec<u64>,
}

impl Prepared {
    /// Checks fraction = floor(2^64 / q), and weight q_i = -overflow (both are b Q) modulo every target.
    pub(super) fn new(t: &Tables, c: &Conversion) -> Self {
        let values = |indices: &[u32]| indices.iter().map(|i| t.primes[*i as usize]).collect::<Vec<_>>();
        let (sources, targets) = (values(&c.sources), values(&c.targets));
        let count = sources.len();
        assert!(c.source_factor.len() == count && c.fraction.len() == count);
        assert!(c.weights.len() == count * targets.len() && c.overflow.len() == targets.len());
        let product: BigUint = sources.iter().product();
        for (i, q) in sources.iter().enumerate() {
            assert!(u64::from(c.source_factor[i]) < *q, "source factor is canonical");
            assert_eq!(
                u128::from(c.fraction[i]),
                (1u128 << 64) / u128::from(*q),
                "fraction of a source"
            );
        }
        let mut after = Vec::new();
        for (j, r) in targets.iter().enumerate() {
            assert!(u64::from(c.overflow[j]) < *r, "overflow is canonical");
            for (i, q) in sources.iter().enumerate() {
                let weight = u64::from(c.weights[j * count + i]);
                assert!(weight < *r, "weight is canonical");
                assert_eq!(
                    (weight * (q % r) + u64::from(c.overflow[j])) % r,
                    0,
                    "weight and overflow"
                );
            }
            let term = sources.iter().skip(1).fold(1, |product, q| product * (q % r) % r);
            let b = c
                .weights
                .get(j * count)
                .map(|w| u64::from(*w) * arithmetic::inverse(*r, term) % r);
            after.push(b.unwrap_or(0));
        }
        let terms = sources.iter().map(|q| BigInt::from(&product / q));
        Self {
            terms: terms.collect(),
            product: BigInt::from(product),
            constants: c.clone(),
            sources,
            targets,
            after,
        }
    }

    /// sum y_i (Q/q_i) - v Q for the residues of one coefficient.
    pub(super) fn lift(&self, x: &[u32]) -> BigInt {
        let factors = self.constants.source_factor.iter();
        let y = x.iter().zip(factors).zip(&self.sources);
        let y: Vec<u64> = y.map(|((x, f), q)| u64::from(*x) * u64::from(*f) % q).collect();
        let fractions = y
            .iter()
            .zip(&self.constants.fraction)
            .map(|(y, f)| BigUint::from(*y) * f);
        let v = (fractions.sum::<BigUint>() + (1u64 << 63)) >> 64u32;
        let sum: BigInt = y.iter().zip(&self.terms).map(|(y, term)| term * *y).sum();
        let lift = sum - BigInt::from(v) * &self.product;
        // |lift| <= Q (1/2 + 2^-28), for up to 64 sources.
        let bound = &self.product * ((1u64 << 27) + 1);
        assert!(
            self.sources.len() > 64 || BigInt::from(lift.magnitude() << 28u32) <= bound,
            "the lift is centred"
        );
        lift
    }
}
