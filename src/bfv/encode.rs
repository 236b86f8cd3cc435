//! Integers to plaintexts and back, encryption and decryption.
//!
//! Encoding: with h = floor((t - 1) / 2) and r = (Q m + h) mod t, round(Q m / t) = (Q m + h - r) / t, halves down; modulo a
//! prime of Q that is (h - r) t^-1, with |h - r| <= t / 2. Only Q mod t and t^-1 are needed, and no big integers.
//!
//! Decryption: t x / Q = sum t y_i / q_i modulo t, y_i = x_i (Q / q_i)^-1 mod q_i, each term cut into an integer and a fraction
//! of 64 bits: the rounding is exact unless the noise is within rows 2^-64 of 1/2, where it has failed already.

use zeroize::Zeroizing;

use super::{
    Addend, Bfv, BfvError, Ciphertext, Decrypted, Factor, Packing, Result, SeededCiphertext,
    ciphertext::{Encoded, check_plain},
};
use crate::{
    arith::Modulus,
    backend::{Backend, Integers},
    rlwe::{Coeff, Level, Poly, PublicKey, SecretKey},
};

impl<B: Backend> Bfv<B> {
    /// The primes of a level.
    pub(super) fn primes(&self, operation: &'static str, level: Level) -> Result<Vec<Modulus>> {
        let params = self.context().params();
        let primes = params.level(operation, level)?.primes.iter();
        Ok(primes.map(|i| params.basis().prime(*i)).collect())
    }

    /// Q modulo t at a level.
    fn modulus_mod_t(&self, operation: &'static str, level: Level) -> Result<u64> {
        let primes: Vec<u32> = self.primes(operation, level)?.iter().map(|q| q.value()).collect();
        Ok(self.plain().product(&primes))
    }

    /// t^-1 modulo every prime of a level.
    fn inverse_t(&self, operation: &'static str, level: Level) -> Result<Vec<u32>> {
        let t = self.plain().value();
        let inverse = |q: &Modulus| q.inv(q.reduce_wide(t)).unwrap_or(0);
        Ok(self.primes(operation, level)?.iter().map(inverse).collect())
    }

    /// t times the error of round(Q m / t), centred: h - (Q m + h mod t), for a residue m.
    pub(super) fn rounding(&self, q_mod_t: u64, m: u64) -> i64 {
        let (t, half) = (self.plain(), self.plain().half());
        (i128::from(half) - i128::from(t.add(t.mul(q_mod_t, m), half))) as i64
    }

    /// round(Q c / t) modulo every prime of a level, for a constant c.
    pub(super) fn scaled_constant(&self, operation: &'static str, level: Level, c: u64) -> Result<Vec<u32>> {
        let w = self.rounding(self.modulus_mod_t(operation, level)?, c);
        let inverses = self.inverse_t(operation, level)?;
        let primes = self.primes(operation, level)?;
        let residue = |(q, inverse): (Modulus, u32)| q.mul(q.reduce_signed(w), inverse);
        Ok(primes.into_iter().zip(inverses).map(residue).collect())
    }

    /// The residue of an integer within +-t/2; `index` says where it was found.
    pub(crate) fn residue(&self, operation: &'static str, index: usize, value: i64) -> Result<u64> {
        let t = self.plain();
        let residue = t.residue(value.into());
        if t.centred(residue) != value && 2 * u128::from(value.unsigned_abs()) != t.value() {
            let t = t.value();
            return Err(BfvError::Integer {
                operation,
                index,
                value,
                t,
            });
        }
        Ok(residue)
    }

    /// The residues of integers within +-t/2.
    pub(crate) fn residues(&self, operation: &'static str, values: &[i64]) -> Result<Zeroizing<Vec<u64>>> {
        let residue = |(index, value): (usize, &i64)| self.residue(operation, index, *value);
        Ok(Zeroizing::new(
            values.iter().enumerate().map(residue).collect::<Result<_>>()?,
        ))
    }

    /// N coefficients modulo t for each of `items` plaintexts; `values` holds equally many for each, up to N.
    fn coefficients(
        &self,
        operation: &'static str,
        packing: Packing,
        values: &[u64],
        items: usize,
    ) -> Result<Zeroizing<Vec<u64>>> {
        let (n, t) = (self.params().degree(), self.plain().value());
        if items == 0 || !values.len().is_multiple_of(items) || !(1..=n).contains(&(values.len() / items)) {
            return Err(BfvError::Length {
                operation,
                given: values.len(),
                wanted: format!("{items} times 1 to {n}"),
                remedy: "pass at least one item, and equally many values for each",
            });
        }
        if let Some(index) = values.iter().position(|v| u128::from(*v) >= t) {
            let value = values.get(index).copied().unwrap_or(0);
            return Err(BfvError::Value {
                operation,
                index,
                value,
                t,
            });
        }
        let slots = self.slots(operation, packing)?;
        let mut all = Zeroizing::new(vec![0u64; items * n]);
        for (to, from) in all.chunks_mut(n).zip(values.chunks(values.len() / items)) {
            to[..from.len()].copy_from_slice(from);
            if let Some(slots) = slots {
                slots.to_coefficients(to);
            }
        }
        Ok(all)
    }

    /// round(Q m / t) (C).
    fn scaled(
        &self,
        operation: &'static str,
        packing: Packing,
        values: &[u64],
        items: usize,
        level: Level,
    ) -> Result<Poly<B, Coeff>> {
        let ctx = self.context();
        let rows = &ctx.level(operation, level)?.rows;
        let m = self.coefficients(operation, packing, values, items)?;
        let q = self.modulus_mod_t(operation, level)?;
        let w: Zeroizing<Vec<i64>> = Zeroizing::new(m.iter().map(|m| self.rounding(q, *m)).collect());
        let mut lifted = Poly::lift(ctx, items, rows, Integers::I64(&w))?;
        let mut poly = Poly::alloc(ctx, items, rows)?;
        let inverses = self.inverse_t(operation, level)?;
        let (backend, tables) = (ctx.backend(), ctx.tables());
        backend.mul_const(tables, poly.view_mut(), lifted.view(), &inverses)?;
        backend.zero(lifted.view_mut())?;
        Ok(poly)
    }

    fn encoded(&self, poly: Poly<B, Coeff>, level: Level) -> Result<Encoded<B>> {
        Ok(Encoded {
            poly: poly.into_eval(self.context())?,
            params: self.context().params().clone(),
            plain: self.plain(),
            level,
        })
    }

    /// Encodes `items` plaintexts to add to ciphertexts at `level`. `values` in [0, t), equally many for each item and up to N;
    /// those that are left out are 0.
    pub fn addend(&self, packing: Packing, values: &[u64], items: usize, level: Level) -> Result<Addend<B>> {
        let poly = self.scaled("addend", packing, values, items, level)?;
        Ok(Addend(self.encoded(poly, level)?))
    }

    /// Encodes `items` plaintexts to multiply ciphertexts by at `level`; values as for `addend`.
    pub fn factor(&self, packing: Packing, values: &[u64], items: usize, level: Level) -> Result<Factor<B>> {
        let rows = &self.context().level("factor", level)?.rows;
        let m = self.coefficients("factor", packing, values, items)?;
        let centred: Zeroizing<Vec<i64>> =
            Zeroizing::new(m.iter().map(|m| self.plain().centred(*m)).collect());
        let poly = Poly::lift(self.context(), items, rows, Integers::I64(&centred))?;
        Ok(Factor(self.encoded(poly, level)?))
    }

    /// Encrypts with the secret key: seeded, half the bytes, the least noise. Values as for `addend`.
    pub fn encrypt(
        &self,
        key: &SecretKey<B>,
        packing: Packing,
        values: &[u64],
        items: usize,
        level: Level,
    ) -> Result<SeededCiphertext<B>> {
        let ctx = self.context();
        (ctx.params()).check("encrypt", "the secret key", key.context().params())?;
        let mut message = self.scaled("encrypt", packing, values, items, level)?;
        let inner = key.encrypt(&message, level)?;
        ctx.backend().zero(message.view_mut())?;
        let plain = self.plain();
        Ok(SeededCiphertext { inner, plain })
    }

    /// Encrypts with a public key. Values as for `addend`.
    pub fn encrypt_public(
        &self,
        key: &PublicKey<B>,
        packing: Packing,
        values: &[u64],
        items: usize,
        level: Level,
    ) -> Result<Ciphertext<B>> {
        let ctx = self.context();
        let mut message = self.scaled("encrypt", packing, values, items, level)?;
        let inner = key.encrypt(ctx, &message, level)?;
        ctx.backend().zero(message.view_mut())?;
        let plain = self.plain();
        Ok(Ciphertext { inner, plain })
    }

    /// Demands a ciphertext of these parameters.
    pub(super) fn check(&self, operation: &'static str, ct: &Ciphertext<B>) -> Result<()> {
        ct.inner.check_context(operation, self.context())?;
        check_plain(operation, "the ciphertext", self.plain(), ct.plain)
    }

    /// Decrypts and decodes every item: N integers each. Exact as long as the invariant noise is below 1/2; what exceeded it
    /// during a computation gives arbitrary integers, which nothing can tell from the ciphertext.
    pub fn decrypt(&self, key: &SecretKey<B>, packing: Packing, ct: &Ciphertext<B>) -> Result<Decrypted> {
        self.check("decrypt", ct)?;
        let slots = self.slots("decrypt", packing)?;
        let (ctx, n, t) = (self.context(), self.params().degree(), self.plain().value());
        let primes = self.primes("decrypt", ct.level())?;
        let others = |q: Modulus| {
            let rest = primes.iter().filter(|p| **p != q);
            rest.fold(1, |product, p| q.mul(product, q.reduce(u64::from(p.value()))))
        };
        let factors: Vec<u32> = primes.iter().map(|q| q.inv(others(*q)).unwrap_or(0)).collect();
        let mut phase = key.phase(&ct.inner)?;
        let mut words = Zeroizing::new(vec![0u32; ct.items() * primes.len() * n]);
        ctx.backend().download(phase.view(), &mut words)?;
        ctx.backend().zero(phase.view_mut())?;
        let mut values = Zeroizing::new(vec![0u64; ct.items() * n]);
        for (block, values) in words.chunks(primes.len() * n).zip(values.chunks_mut(n)) {
            for (k, value) in values.iter_mut().enumerate() {
                let (mut whole, mut fraction) = (0u128, 1u128 << 63);
                for ((q, factor), row) in primes.iter().zip(&factors).zip(block.chunks(n)) {
                    // t y < 2^94; the fraction's error is below 2^-64.
                    let (ty, p) = (t * u128::from(q.mul(row[k], *factor)), u128::from(q.value()));
                    whole += ty / p;
                    fraction += ((ty % p) << 64) / p;
                }
                *value = ((whole + (fraction >> 64)) % t) as u64;
            }
            if let Some(slots) = slots {
                slots.to_values(values);
            }
        }
        Ok(Decrypted {
            values,
            params: self.params().clone(),
            level: ct.level(),
        })
    }
}
