//! Slots to plaintexts and back, encryption and decryption.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Ciphertext, CkksError, Decrypted, Plaintext, Result, SeededCiphertext};
use crate::{
    arith::{Complex, Double, Embedding},
    backend::Backend,
    ring::Scale,
    rlwe::{Coeff, Context, Level, Poly, PublicKey, SecretKey},
};

/// A context with the tables of the slot transform. Cheap to clone.
pub struct Ckks<B: Backend> {
    ctx: Context<B>,
    embedding: Arc<Embedding>,
}

/// log2 of a modulus that holds whatever the transform's 64-bit integers do.
const LARGE_MODULUS_LOG2: f64 = 63.0;

impl<B: Backend> Clone for Ckks<B> {
    fn clone(&self) -> Self {
        Self {
            ctx: self.ctx.clone(),
            embedding: Arc::clone(&self.embedding),
        }
    }
}

impl<B: Backend> Ckks<B> {
    /// Prepares the slot transform of a context.
    pub fn new(ctx: &Context<B>) -> Self {
        Self {
            ctx: ctx.clone(),
            embedding: Arc::new(Embedding::new(ctx.log_n())),
        }
    }

    /// The context.
    pub fn context(&self) -> &Context<B> {
        &self.ctx
    }

    /// The tables of the slot transform.
    pub fn embedding(&self) -> &Embedding {
        &self.embedding
    }

    /// The largest number of slots, N/2.
    pub fn max_slots(&self) -> usize {
        self.ctx.params().degree() / 2
    }

    /// The canonical scale of a level.
    pub fn scale(&self, level: Level) -> Result<&Scale> {
        Ok(&self.ctx.params().level("scale", level)?.scale)
    }

    /// Demands coefficients within (-Q/2, Q/2), which backends wrap around without a word.
    fn check_values(&self, values: &[Complex], items: usize, level: Level, scale: Double) -> Result<()> {
        let log2_q = self.ctx.params().level("encode", level)?.log2_q;
        if log2_q >= LARGE_MODULUS_LOG2 {
            return Ok(());
        }
        let (slots, limit) = (values.len() / items, (log2_q - 1.0).exp2());
        for (item, values) in values.chunks(slots).enumerate() {
            // No coefficient is above the mean magnitude. Written so that not-a-number goes on to the transform's own check.
            let mean = values.iter().map(|z| z.abs()).sum::<f64>() / slots as f64;
            if mean * scale.hi < 0.999 * limit {
                continue;
            }
            let mut coefficients = Zeroizing::new(vec![0i128; self.ctx.params().degree()]);
            (self.embedding).embed_wide(values, scale, &mut coefficients)?;
            if let Some(index) = coefficients.iter().position(|c| c.unsigned_abs() as f64 >= limit) {
                let bits = coefficients
                    .get(index)
                    .map_or(0.0, |c| (c.unsigned_abs() as f64).log2());
                let (operation, scale_log2) = ("encode", scale.hi.log2());
                return Err(CkksError::Values {
                    operation,
                    level,
                    item,
                    index,
                    bits,
                    scale_log2,
                    log2_q,
                });
            }
        }
        Ok(())
    }

    /// Demands a scale below the modulus of a level.
    pub(crate) fn check_room(&self, operation: &'static str, level: Level, scale: &Scale) -> Result<()> {
        let log2_q = self.ctx.params().level(operation, level)?.log2_q;
        if scale.is_below(log2_q) {
            return Ok(());
        }
        Err(CkksError::Room {
            operation,
            level,
            scale_log2: scale.log2(),
            log2_q,
        })
    }

    /// Rounded coefficients of `items` plaintexts (C); `values` holds equally many slots for each, a power of two up to N/2.
    fn embed(&self, values: &[Complex], items: usize, level: Level, scale: &Scale) -> Result<Poly<B, Coeff>> {
        let wanted = || format!("{items} times a power of two up to {}", self.max_slots());
        if items == 0 || values.is_empty() || !values.len().is_multiple_of(items) {
            let remedy = "pad every item to as many slots";
            return Err(CkksError::Length {
                operation: "encode",
                given: values.len(),
                wanted: wanted(),
                remedy,
            });
        }
        let rows = &self.ctx.level("encode", level)?.rows;
        let mut poly = Poly::sharing(&self.ctx, items, Arc::clone(rows))?;
        let (hi, lo) = scale.to_parts();
        let scale = Double { hi, lo };
        self.check_values(values, items, level, scale)?;
        let (backend, tables) = (self.ctx.backend(), self.ctx.tables());
        backend.embed(tables, poly.view_mut(), &self.embedding, values, scale)?;
        Ok(poly)
    }

    /// Encodes `items` plaintexts at a level and scale, for sums and products with ciphertexts.
    ///
    /// `values` holds equally many slots for each item, a power of two up to N/2.
    pub fn encode(
        &self,
        values: &[Complex],
        items: usize,
        level: Level,
        scale: &Scale,
    ) -> Result<Plaintext<B>> {
        let poly = self.embed(values, items, level, scale)?.into_eval(&self.ctx)?;
        Ok(Plaintext {
            poly,
            params: self.ctx.params().clone(),
            level,
            scale: scale.clone(),
            slots: values.len() / items,
        })
    }

    /// Encrypts with the secret key at the canonical scale of `level`: seeded, half the bytes, the least noise.
    pub fn encrypt(
        &self,
        key: &SecretKey<B>,
        values: &[Complex],
        items: usize,
        level: Level,
    ) -> Result<SeededCiphertext<B>> {
        self.ctx
            .params()
            .check("encrypt", "the secret key", key.context().params())?;
        let scale = self.ctx.params().level("encrypt", level)?.scale.clone();
        let mut message = self.embed(values, items, level, &scale)?;
        let inner = key.encrypt(&message, level)?;
        self.ctx.backend().zero(message.view_mut())?;
        Ok(SeededCiphertext {
            inner,
            scale,
            slots: values.len() / items,
        })
    }

    /// Encrypts with a public key at the canonical scale of `level`.
    pub fn encrypt_public(
        &self,
        key: &PublicKey<B>,
        values: &[Complex],
        items: usize,
        level: Level,
    ) -> Result<Ciphertext<B>> {
        let scale = self.ctx.params().level("encrypt", level)?.scale.clone();
        let mut message = self.embed(values, items, level, &scale)?;
        let inner = key.encrypt(&self.ctx, &message, level)?;
        self.ctx.backend().zero(message.view_mut())?;
        Ok(Ciphertext {
            inner,
            scale,
            slots: values.len() / items,
        })
    }

    /// Decrypts every item; [`Decrypted::release`] decodes `items * slots` values under a stated policy. What grew beyond half the
    /// modulus during a computation has wrapped around it, which nothing can tell from the ciphertext.
    pub fn decrypt(&self, key: &SecretKey<B>, ct: &Ciphertext<B>) -> Result<Decrypted<B>> {
        ct.inner.check_context("decrypt", &self.ctx)?;
        let phase = key.phase(&ct.inner)?;
        Ok(Decrypted {
            ctx: self.ctx.clone(),
            phase,
            slots: ct.slots,
            level: ct.level(),
            scale: ct.scale.clone(),
            embedding: Arc::clone(&self.embedding),
        })
    }
}
