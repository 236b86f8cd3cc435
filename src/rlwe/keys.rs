//! Public and evaluation keys: what a server may hold.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::{
    Ciphertext, Coeff, Context, Eval, Level, MissingKey, Params, Poly, Result, RlweError,
    secret::small,
    store::{Prepared, Reservation},
};
use crate::{
    backend::{Backend, Integers, Mut, Ref, Span, derived::select, primes_of},
    ring::Galois,
    sample::{PrivateSeed, PublicSeed, centred_binomial, ternary},
};

/// Which evaluation keys a computation needs, and up to which level each.
#[derive(Clone, Debug)]
pub struct KeyNeeds {
    log_n: u32,
    top: Level,
    relinearisation: Option<Level>,
    galois: BTreeMap<Galois, Level>,
}

impl KeyNeeds {
    /// No keys yet; keys named from now on reach the highest level.
    pub fn new(params: &Params) -> Self {
        Self {
            log_n: params.log_n(),
            top: params.top(),
            relinearisation: None,
            galois: BTreeMap::new(),
        }
    }

    /// Keys named from now on reach `level` only, which makes them smaller.
    pub fn up_to(mut self, level: Level) -> Self {
        self.top = level;
        self
    }

    /// Products of ciphertexts.
    pub fn relinearise(mut self) -> Self {
        self.relinearisation = Some(self.relinearisation.map_or(self.top, |l| l.max(self.top)));
        self
    }

    /// Left rotations by these numbers of slots.
    pub fn rotate(self, steps: impl IntoIterator<Item = i64>) -> Self {
        let log_n = self.log_n;
        steps
            .into_iter()
            .fold(self, |needs, k| needs.automorphism(Galois::rotation(k, log_n)))
    }

    /// Complex conjugation.
    pub fn conjugate(self) -> Self {
        let log_n = self.log_n;
        self.automorphism(Galois::conjugation(log_n))
    }

    /// Any automorphism; the identity needs no key.
    pub fn automorphism(mut self, g: Galois) -> Self {
        if g != Galois::IDENTITY {
            let level = self.galois.entry(g).or_insert(self.top);
            *level = (*level).max(self.top);
        }
        self
    }

    /// How many keys.
    pub fn count(&self) -> usize {
        usize::from(self.relinearisation.is_some()) + self.galois.len()
    }

    pub(crate) fn relinearisation(&self) -> Option<Level> {
        self.relinearisation
    }

    pub(crate) fn galois(&self) -> impl Iterator<Item = (Galois, Level)> + '_ {
        self.galois.iter().map(|(g, l)| (*g, *l))
    }
}

/// A key-switching key as it travels: b_j, and the seed of every a_j. Half the bytes.
pub struct SeededSwitchKey<B: Backend> {
    pub(crate) params: Params,
    pub(crate) purpose: MissingKey,
    pub(crate) level: Level,
    pub(crate) first: Poly<B, Eval>,
    pub(crate) seed: PublicSeed,
}

impl<B: Backend> SeededSwitchKey<B> {
    /// Bytes of residues and seed.
    pub fn bytes(&self, ctx: &Context<B>) -> usize {
        self.first.items * self.first.rows.len() * (4 << ctx.log_n()) + 32
    }

    /// Bytes of the key as a device uses it.
    pub(super) fn expanded_bytes(&self, ctx: &Context<B>) -> usize {
        2 * self.first.items * self.first.rows.len() * (4 << ctx.log_n())
    }

    /// The key as a device uses it.
    pub fn expand(&self, ctx: &Context<B>) -> Result<SwitchKey<B>> {
        ctx.params().check("expand", "the seeded key", &self.params)?;
        Ok(SwitchKey {
            params: self.params.clone(),
            purpose: self.purpose,
            level: self.level,
            form: Form::Expanded {
                key: self.prepare(ctx)?,
                _reserved: None,
            },
            bytes: self.expanded_bytes(ctx),
        })
    }

    /// Both halves, in the order of the backend.
    pub(super) fn prepare(&self, ctx: &Context<B>) -> Result<B::Key> {
        let (backend, tables) = (ctx.backend(), ctx.tables());
        let (digits, rows) = (self.first.items, &self.first.rows);
        let whole = Span::dense(digits, 2, rows);
        let mut key = backend.alloc(ctx.log_n(), whole.count())?;
        backend.copy(Mut::new(&mut key, whole.slice_polys(0, 1)), self.first.view())?;
        let masks = Span {
            offset: rows.len(),
            items: 1,
            item_stride: 0,
            polys: digits,
            poly_stride: 2 * rows.len(),
            rows,
        };
        backend.expand(tables, Mut::new(&mut key, masks), &[self.seed], 0)?;
        Ok(backend.prepare(tables, Ref::new(&key, whole))?)
    }
}

/// A key-switching key in use.
pub struct SwitchKey<B: Backend> {
    params: Params,
    purpose: MissingKey,
    level: Level,
    form: Form<B>,
    bytes: usize,
}

/// How a key is held.
enum Form<B: Backend> {
    /// As a device uses it; in a store, with its share of the budget.
    Expanded {
        key: B::Key,
        _reserved: Option<Reservation<B>>,
    },
    /// Seeded, in a store that expands it for every use.
    Stored {
        seeded: SeededSwitchKey<B>,
        reserved: Reservation<B>,
    },
}

impl<B: Backend> SwitchKey<B> {
    /// What it is for.
    pub fn purpose(&self) -> MissingKey {
        self.purpose
    }

    /// The highest level at which it can be used.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Bytes as it is held: expanded, or seeded in a store that expands it on use.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A seeded key in a store.
    pub(super) fn stored(ctx: &Context<B>, seeded: SeededSwitchKey<B>, reserved: Reservation<B>) -> Self {
        Self {
            params: seeded.params.clone(),
            purpose: seeded.purpose,
            level: seeded.level,
            bytes: seeded.bytes(ctx),
            form: Form::Stored { seeded, reserved },
        }
    }

    /// The same key with its share of a store's budget.
    pub(super) fn reserved(mut self, own: Reservation<B>) -> Self {
        if let Form::Expanded { _reserved, .. } = &mut self.form {
            *_reserved = Some(own);
        }
        self
    }

    /// Whether it need not be expanded first.
    pub(super) fn is_expanded(&self) -> bool {
        matches!(self.form, Form::Expanded { .. })
    }

    /// Demands a key that reaches a level; the error names `operation`.
    pub(crate) fn check_level(&self, operation: &str, wanted: Level) -> Result<()> {
        if self.level >= wanted {
            return Ok(());
        }
        Err(RlweError::KeyLevel {
            operation: operation.to_owned(),
            key: self.purpose,
            wanted,
            held: self.level,
        })
    }

    pub(super) fn params(&self) -> &Params {
        &self.params
    }

    /// The key in the order of the backend; one that a store holds is expanded if it has to be.
    fn prepared(&self, ctx: &Context<B>) -> Result<Prepared<'_, B>> {
        Ok(match &self.form {
            Form::Expanded { key, .. } => Prepared::Own(key),
            Form::Stored { seeded, reserved } => Prepared::Stored(reserved.expanded(ctx, seeded)?),
        })
    }
}

/// Some keys that are used together.
pub(super) fn prepared<'k, B: Backend>(
    ctx: &Context<B>,
    keys: &[&'k SwitchKey<B>],
) -> Result<SmallVec<[Prepared<'k, B>; 16]>> {
    keys.iter().map(|key| key.prepared(ctx)).collect()
}

/// Evaluation keys as they travel from client to server.
pub struct SeededEvaluationKeys<B: Backend> {
    pub(crate) keys: Vec<SeededSwitchKey<B>>,
}

impl<B: Backend> SeededEvaluationKeys<B> {
    /// Bytes of all keys.
    pub fn bytes(&self, ctx: &Context<B>) -> usize {
        self.keys.iter().map(|k| k.bytes(ctx)).sum()
    }

    /// Bytes of all keys once they are expanded.
    pub fn expanded_bytes(&self, ctx: &Context<B>) -> usize {
        self.keys.iter().map(|k| k.expanded_bytes(ctx)).sum()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// The keys as a server uses them.
    pub fn expand(&self, ctx: &Context<B>) -> Result<EvaluationKeys<B>> {
        let mut keys = EvaluationKeys::none();
        for seeded in &self.keys {
            keys.insert(seeded.expand(ctx)?);
        }
        Ok(keys)
    }

    /// As [`expand`](Self::expand), each seeded key freed as soon as it is expanded.
    pub fn into_keys(self, ctx: &Context<B>) -> Result<EvaluationKeys<B>> {
        let mut keys = EvaluationKeys::none();
        for seeded in self.keys {
            keys.insert(seeded.expand(ctx)?);
            drop(seeded);
            ctx.backend().trim();
        }
        Ok(keys)
    }
}

/// What a server computes with. It holds no secret and has no way to one.
pub struct EvaluationKeys<B: Backend> {
    relinearisation: Option<SwitchKey<B>>,
    galois: BTreeMap<Galois, SwitchKey<B>>,
}

impl<B: Backend> EvaluationKeys<B> {
    /// No keys: enough for additions and products with plaintexts.
    pub fn none() -> Self {
        Self {
            relinearisation: None,
            galois: BTreeMap::new(),
        }
    }

    pub(super) fn insert(&mut self, key: SwitchKey<B>) {
        match key.purpose {
            MissingKey::Relinearisation => self.relinearisation = Some(key),
            MissingKey::Galois(g) => drop(self.galois.insert(g, key)),
        }
    }

    /// The relinearisation key; the error names `operation`.
    pub fn relinearisation(&self, operation: &str) -> Result<&SwitchKey<B>> {
        self.relinearisation
            .as_ref()
            .ok_or_else(|| self.missing(operation, MissingKey::Relinearisation))
    }

    /// The key of an automorphism; the error names `operation`.
    pub fn galois(&self, operation: &str, g: Galois) -> Result<&SwitchKey<B>> {
        self.galois
            .get(&g)
            .ok_or_else(|| self.missing(operation, MissingKey::Galois(g)))
    }

    /// Demands all that a computation needs, each key up to its level; the error names `operation`.
    ///
    /// # Errors
    /// The first key that is missing, too short or of other parameters.
    pub fn check(&self, ctx: &Context<B>, operation: &str, needs: &KeyNeeds) -> Result<()> {
        if let Some(level) = needs.relinearisation() {
            ctx.check_key(operation, level, self.relinearisation(operation)?)?;
        }
        for (g, level) in needs.galois() {
            ctx.check_key(operation, level, self.galois(operation, g)?)?;
        }
        Ok(())
    }

    /// Bytes of all keys as they are held.
    pub fn bytes(&self) -> usize {
        self.all().map(SwitchKey::bytes).sum()
    }

    /// The most bytes that the keys take while they are used: in a store that expands them on use, its budget, if they fill it.
    pub fn most_bytes(&self) -> usize {
        let (mut budget, mut largest) = (usize::MAX, 0);
        let mut each = |key: &SwitchKey<B>| match &key.form {
            Form::Expanded { .. } => key.bytes,
            Form::Stored { reserved, .. } => {
                budget = reserved.budget();
                largest = largest.max(2 * key.bytes);
                3 * key.bytes
            }
        };
        let sum: usize = self.all().map(&mut each).sum();
        // The last one is written before it is put in the order of the backend.
        (sum + largest).min(budget)
    }

    fn all(&self) -> impl Iterator<Item = &SwitchKey<B>> {
        self.relinearisation.iter().chain(self.galois.values())
    }

    fn missing(&self, operation: &str, key: MissingKey) -> RlweError {
        let elements: Vec<String> = self
            .galois
            .keys()
            .take(16)
            .map(|g| g.element().to_string())
            .collect();
        let held = match (self.galois.len(), self.relinearisation.is_some()) {
            (0, false) => String::from(" (it holds no key at all)"),
            (0, true) => String::from(" (it holds the relinearisation key only)"),
            (n, _) => format!(
                " (it holds {n} Galois keys: {}{})",
                elements.join(", "),
                if n > 16 { ", .." } else { "" }
            ),
        };
        RlweError::MissingKey {
            operation: operation.to_owned(),
            key,
            held,
        }
    }
}

/// A public encryption key (b, a), b = -a s + e, modulo the primes of all levels.
pub struct PublicKey<B: Backend> {
    pub(crate) params: Params,
    pub(crate) first: Poly<B, Eval>,
    pub(crate) seed: PublicSeed,
    /// a, from stream 0 of the seed.
    mask: Poly<B, Eval>,
}

impl<B: Backend> PublicKey<B> {
    /// The key with this b, and a from the seed.
    pub(crate) fn new(ctx: &Context<B>, first: Poly<B, Eval>, seed: PublicSeed) -> Result<Self> {
        let mut mask = Poly::alloc(ctx, 1, &first.rows)?;
        ctx.backend().expand(ctx.tables(), mask.view_mut(), &[seed], 0)?;
        Ok(Self {
            params: ctx.params().clone(),
            first,
            seed,
            mask,
        })
    }

    /// Bytes of residues and seed, as the key travels.
    pub fn bytes(&self, ctx: &Context<B>) -> usize {
        self.first.rows.len() * (4 << ctx.log_n()) + 32
    }

    /// Encrypts (v b + e_0 + m, v a + e_1), v ternary. Coefficient noise: sigma sqrt(1 + hw_v + hw_s).
    ///
    /// `message` (C) has the rows of `level`.
    pub fn encrypt(&self, ctx: &Context<B>, message: &Poly<B, Coeff>, level: Level) -> Result<Ciphertext<B>> {
        ctx.params().check("encrypt", "the public key", &self.params)?;
        let rows = &ctx.level("encrypt", level)?.rows;
        message.check_rows("encrypt", level, rows)?;
        let (backend, tables, items) = (ctx.backend(), ctx.tables(), message.items);
        let private = PrivateSeed::from_os()?;
        let count = items << ctx.log_n();
        let signs = small(private.stream("public-key encryption", 0), count, ternary);
        let mut v = Poly::lift(ctx, items, rows, Integers::I32(&signs))?.into_eval(ctx)?;
        let own = select(&self.first.rows, &primes_of(rows));
        let ct = Ciphertext::build(ctx, "encrypt", level, items, 2, |mut dst| {
            for component in 0..2 {
                let stream = private.stream("errors of a public-key encryption", component);
                let errors = small(stream, count, centred_binomial);
                let dst = dst.part(|s| s.slice_polys(component as usize, 1));
                backend.lift(tables, dst, Integers::I32(&errors))?;
            }
            backend.add(tables, dst.part(|s| s.slice_polys(0, 1)), message.view())?;
            backend.ntt(tables, dst.again())?;
            for (component, half) in [&self.first, &self.mask].into_iter().enumerate() {
                let half = half.view().map(|s| s.with_rows(&own).repeat_items(items));
                backend.mul_add(tables, dst.part(|s| s.slice_polys(component, 1)), v.view(), half)?;
            }
            Ok(())
        });
        backend.zero(v.view_mut())?;
        ct
    }
}
