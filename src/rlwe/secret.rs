//! The secret key, and what only its holder can do.

use std::sync::atomic::{AtomicU64, Ordering};

use zeroize::Zeroizing;

use super::{
    Ciphertext, Coeff, Context, Eval, KeyNeeds, Level, MissingKey, Poly, PublicKey, Result, SeededCiphertext,
    SeededEvaluationKeys, SeededSwitchKey,
};
use crate::{
    backend::{Backend, Integers, Mut, Ref, Row, Span, compact, derived::select, primes_of},
    sample::{PrivateSeed, PrivateStream, PublicSeed, centred_binomial, ternary},
};

/// A uniform ternary secret s. Not printable, not cloneable, cleared when dropped.
pub struct SecretKey<B: Backend> {
    pub(super) ctx: Context<B>,
    /// What s was drawn from.
    seed: PrivateSeed,
    /// What errors are drawn from: never the seed of a key that was stored, or a second run would repeat the errors of the first.
    pub(super) error_seed: PrivateSeed,
    /// How many error streams were taken from their seed.
    errors: AtomicU64,
    /// For a deterministic key, how many public seeds were derived; any other asks the operating system for them.
    pub(super) insecure_seeds: Option<AtomicU64>,
    /// s modulo every prime (E).
    pub(super) rows: Poly<B, Eval>,
}

impl<B: Backend> Drop for SecretKey<B> {
    fn drop(&mut self) {
        // A device that is lost keeps nothing; any other takes the zeroes before its memory is used again.
        let _ = self.ctx.backend().zero(self.rows.view_mut());
    }
}

impl<B: Backend> std::fmt::Debug for SecretKey<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl<B: Backend> SecretKey<B> {
    /// A fresh key from the operating system's randomness.
    pub fn generate(ctx: &Context<B>) -> Result<Self> {
        Self::from_stored(ctx, PrivateSeed::from_os()?)
    }

    /// The key that was drawn from this seed, with errors from fresh randomness.
    pub(crate) fn from_stored(ctx: &Context<B>, seed: PrivateSeed) -> Result<Self> {
        Self::from_seeds(ctx, seed, PrivateSeed::from_os()?)
    }

    /// The bytes to store, from which anyone can compute s.
    pub(crate) fn stored(&self) -> &[u8; 32] {
        self.seed.expose()
    }

    /// 16 bytes that tell this key from others, to mark what belongs to it; they say nothing about s.
    pub fn name(&self) -> [u8; 16] {
        let mut name = [0; 16];
        self.seed.stream("key name", 0).fill_bytes(&mut name);
        name
    }

    /// A key that anyone can compute: for tests of equality between backends only. Its errors, and the public seeds of all it
    /// makes, repeat as well.
    pub fn insecure_deterministic(ctx: &Context<B>, seed: [u8; 32]) -> Result<Self> {
        let insecure = || PrivateSeed::insecure_from_bytes(seed);
        let mut key = Self::from_seeds(ctx, insecure(), insecure())?;
        key.insecure_seeds = Some(AtomicU64::new(0));
        Ok(key)
    }

    fn from_seeds(ctx: &Context<B>, seed: PrivateSeed, error_seed: PrivateSeed) -> Result<Self> {
        let n = ctx.params().degree();
        let signs = small(seed.stream("secret key", 0), n, ternary);
        let all: Vec<u32> = (0..ctx.params().basis().primes().len() as u32).collect();
        let rows = Poly::lift(ctx, 1, &compact(&all), Integers::I32(&signs))?.into_eval(ctx)?;
        Ok(Self {
            ctx: ctx.clone(),
            seed,
            error_seed,
            errors: AtomicU64::new(0),
            insecure_seeds: None,
            rows,
        })
    }

    /// The coefficients of s, for diagnostics.
    #[cfg(feature = "diagnostics")]
    pub(crate) fn coefficients(&self) -> Zeroizing<Vec<i8>> {
        let mut signs = Zeroizing::new(vec![0i8; self.ctx.params().degree()]);
        ternary(&mut self.seed.stream("secret key", 0), &mut signs);
        signs
    }

    /// The context that the key belongs to.
    pub fn context(&self) -> &Context<B> {
        &self.ctx
    }

    /// A seed to publish: fresh from the operating system, unless the key is an insecure deterministic one.
    pub(super) fn public_seed(&self) -> Result<PublicSeed> {
        let Some(seeds) = &self.insecure_seeds else {
            return Ok(PublicSeed::from_os()?);
        };
        let index = seeds.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 32];
        self.seed
            .stream("insecure public seeds", index)
            .fill_bytes(&mut bytes);
        Ok(PublicSeed(bytes))
    }

    /// s modulo the primes of `rows`, for `items` items.
    fn secret<'a>(&'a self, rows: &'a [Row], items: usize) -> Ref<'a, B> {
        self.rows.view().map(|s| s.with_rows(rows).repeat_items(items))
    }

    fn own_rows(&self, rows: &[Row]) -> Vec<Row> {
        select(&self.rows.rows, &primes_of(rows))
    }

    /// Fresh errors (C).
    fn error(&self, items: usize, rows: &[Row]) -> Result<Poly<B, Coeff>> {
        let index = self.errors.fetch_add(1, Ordering::Relaxed);
        let count = items << self.ctx.log_n();
        let stream = self.error_seed.stream("errors of the secret key", index);
        let errors = small(stream, count, centred_binomial);
        Poly::lift(&self.ctx, items, rows, Integers::I32(&errors))
    }

    /// Encrypts under s: c_0 = -a s + e + m, c_1 = a = the seed's stream 0. Coefficient noise: the error alone.
    ///
    /// `message` (C) has the rows of `level`.
    pub fn encrypt(&self, message: &Poly<B, Coeff>, level: Level) -> Result<SeededCiphertext<B>> {
        let rows = &self.ctx.level("encrypt", level)?.rows;
        message.check_rows("encrypt", level, rows)?;
        let (backend, tables, items) = (self.ctx.backend(), self.ctx.tables(), message.items);
        let mut first = self.error(items, rows)?;
        backend.add(tables, first.view_mut(), message.view())?;
        let mut first = first.into_eval(&self.ctx)?;
        let seeds = (0..items)
            .map(|_| self.public_seed())
            .collect::<Result<Vec<_>>>()?;
        let mut mask: Poly<B, Eval> = Poly::alloc(&self.ctx, items, rows)?;
        backend.expand(tables, mask.view_mut(), &seeds, 0)?;
        let mut product: Poly<B, Eval> = Poly::alloc(&self.ctx, items, rows)?;
        let own = self.own_rows(rows);
        backend.mul(tables, product.view_mut(), mask.view(), self.secret(&own, items))?;
        backend.sub(tables, first.view_mut(), product.view())?;
        backend.zero(product.view_mut())?;
        Ok(SeededCiphertext {
            first,
            seeds,
            level,
            params: self.ctx.params().clone(),
        })
    }

    /// The phase c_0 + c_1 s + c_2 s^2 of every item (C): the message and its noise.
    pub fn phase(&self, ct: &Ciphertext<B>) -> Result<Poly<B, Coeff>> {
        ct.check_context("decrypt", &self.ctx)?;
        let rows = &self.ctx.level("decrypt", ct.level())?.rows;
        let (backend, tables, items) = (self.ctx.backend(), self.ctx.tables(), ct.items());
        let own = self.own_rows(rows);
        let component = |c: usize| ct.view().map(|s| s.slice_polys(c, 1));
        let mut phase: Poly<B, Eval> = Poly::alloc(&self.ctx, items, rows)?;
        let last = ct.components() - 1;
        if last == 0 {
            backend.copy(phase.view_mut(), component(0))?;
            return phase.into_coeff(&self.ctx);
        }
        backend.mul(
            tables,
            phase.view_mut(),
            component(last),
            self.secret(&own, items),
        )?;
        backend.add(tables, phase.view_mut(), component(last - 1))?;
        for c in (0..last - 1).rev() {
            let mut product: Poly<B, Eval> = Poly::alloc(&self.ctx, items, rows)?;
            backend.mul(tables, product.view_mut(), phase.view(), self.secret(&own, items))?;
            backend.add(tables, product.view_mut(), component(c))?;
            std::mem::swap(&mut phase, &mut product);
            backend.zero(product.view_mut())?;
        }
        phase.into_coeff(&self.ctx)
    }

    /// A public key (b, a), b = -a s + e, modulo the primes of all levels.
    pub fn public_key(&self) -> Result<PublicKey<B>> {
        let rows = compact(&self.ctx.params().primes_up_to(self.ctx.params().top()));
        let seed = self.public_seed()?;
        let first = self.masked_error(&rows, 1, &seed, &self.rows)?;
        PublicKey::new(&self.ctx, first, seed)
    }

    /// e_j - a_j s' for j < `count` (E); a_j from stream j of the seed.
    pub(super) fn masked_error(
        &self,
        rows: &[Row],
        count: usize,
        seed: &PublicSeed,
        under: &Poly<B, Eval>,
    ) -> Result<Poly<B, Eval>> {
        let (backend, tables) = (self.ctx.backend(), self.ctx.tables());
        let mut first = self.error(count, rows)?.into_eval(&self.ctx)?;
        let mut mask: Poly<B, Eval> = Poly::alloc(&self.ctx, count, rows)?;
        backend.expand(
            tables,
            Mut::new(&mut mask.buffer, Span::dense(1, count, rows)),
            &[*seed],
            0,
        )?;
        let own = self.own_rows(rows);
        let under = under.view().map(|s| s.with_rows(&own).repeat_items(count));
        let mut product: Poly<B, Eval> = Poly::alloc(&self.ctx, count, rows)?;
        backend.mul(tables, product.view_mut(), mask.view(), under)?;
        backend.sub(tables, first.view_mut(), product.view())?;
        backend.zero(product.view_mut())?;
        Ok(first)
    }

    /// The key that switches from `from` to `under`: for each digit j, (-a_j under + e_j + P g_j from, a_j), where
    /// P g_j is P modulo the primes of digit j and zero elsewhere.
    fn switch_key(
        &self,
        purpose: MissingKey,
        from: &Poly<B, Eval>,
        under: &Poly<B, Eval>,
        level: Level,
    ) -> Result<SeededSwitchKey<B>> {
        let params = self.ctx.params();
        params.level("keygen", level)?;
        let mut primes = params.primes_up_to(level);
        let digit_of = |i: &u32| params.digit_of().get(*i as usize).map_or(0, |d| usize::from(*d));
        let digits = primes.iter().map(digit_of).max().unwrap_or(0) + 1;
        let of_digit: Vec<Vec<u32>> = (0..digits)
            .map(|d| primes.iter().filter(|i| digit_of(i) == d).copied().collect())
            .collect();
        primes.extend(params.special());
        let rows = compact(&primes);
        let seed = self.public_seed()?;
        let mut first = self.masked_error(&rows, digits, &seed, under)?;
        for (j, primes) in of_digit.iter().enumerate() {
            let (to, own) = (select(&rows, primes), select(&self.rows.rows, primes));
            let product: Vec<u32> = (primes.iter().map(|i| params.basis().prime(*i)))
                .map(|q| params.basis().product(params.special(), q))
                .collect();
            let mut first = first.view_mut();
            let dst = first.part(|s| s.slice_items(j, 1).with_rows(&to));
            let src = from.view().map(|s| s.with_rows(&own));
            self.ctx
                .backend()
                .mul_const_add(self.ctx.tables(), dst, src, &product)?;
        }
        Ok(SeededSwitchKey {
            params: params.clone(),
            purpose,
            level,
            first,
            seed,
        })
    }

    /// The keys that a server needs, seeded.
    pub fn evaluation_keys(&self, needs: &KeyNeeds) -> Result<SeededEvaluationKeys<B>> {
        self.evaluation_keys_with(needs, |_, _| ())
    }

    /// The same, telling `progress(done, all)` after every key.
    pub fn evaluation_keys_with(
        &self,
        needs: &KeyNeeds,
        progress: impl Fn(usize, usize),
    ) -> Result<SeededEvaluationKeys<B>> {
        let (backend, tables) = (self.ctx.backend(), self.ctx.tables());
        let all = needs.count();
        let mut keys = Vec::with_capacity(all);
        if let Some(level) = needs.relinearisation() {
            let mut square: Poly<B, Eval> = Poly::alloc(&self.ctx, 1, &self.rows.rows)?;
            backend.mul(tables, square.view_mut(), self.rows.view(), self.rows.view())?;
            keys.push(self.switch_key(MissingKey::Relinearisation, &square, &self.rows, level)?);
            backend.zero(square.view_mut())?;
            progress(keys.len(), all);
        }
        for (g, level) in needs.galois() {
            let mut under: Poly<B, Eval> = Poly::alloc(&self.ctx, 1, &self.rows.rows)?;
            let inverse = g.inverse(self.ctx.log_n());
            backend.permute(tables, under.view_mut(), self.rows.view(), &[inverse])?;
            keys.push(self.switch_key(MissingKey::Galois(g), &self.rows, &under, level)?);
            backend.zero(under.view_mut())?;
            progress(keys.len(), all);
        }
        Ok(SeededEvaluationKeys { keys })
    }
}

/// `count` small secrets drawn from a stream, as the integers that [`Poly::lift`] takes.
pub(super) fn small(
    mut stream: PrivateStream,
    count: usize,
    draw: impl Fn(&mut PrivateStream, &mut [i8]),
) -> Zeroizing<Vec<i32>> {
    let mut wide = Zeroizing::new(vec![0i32; count]);
    let mut drawn = Zeroizing::new([0i8; 1024]);
    for wide in wide.chunks_mut(drawn.len()) {
        draw(&mut stream, &mut drawn[..wide.len()]);
        for (wide, x) in wide.iter_mut().zip(drawn.iter()) {
            *wide = i32::from(*x);
        }
    }
    wide
}
