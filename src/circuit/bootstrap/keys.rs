//! The keys of a bootstrap.

use super::Bootstrapper;
use crate::{
    backend::Backend,
    circuit::Result,
    ckks::Evaluator,
    ring::Galois,
    rlwe::{
        Context, EvaluationKeys, Expansion, KeyNeeds, KeyStore, RaiseKeys, SecretKey, SeededEvaluationKeys,
        SeededRaiseKeys,
    },
};

/// What a client makes for a server that bootstraps, as it travels.
pub struct SeededBootstrapKeys<B: Backend> {
    /// Rotations, conjugation, relinearisation.
    pub evaluation: SeededEvaluationKeys<B>,
    /// The two keys of the encapsulation.
    pub raise: SeededRaiseKeys<B>,
}

impl<B: Backend> SeededBootstrapKeys<B> {
    /// The keys of a bootstrap, and those that `needs` names besides; `progress(done, all)` is told after every one.
    ///
    /// # Errors
    /// Parameters whose base is too large for a sparse secret; no randomness; no memory.
    pub fn generate(
        key: &SecretKey<B>,
        bootstrapper: &Bootstrapper<B>,
        needs: KeyNeeds,
        progress: impl Fn(usize, usize),
    ) -> Result<Self> {
        let needs = bootstrapper.add_needs(needs);
        Ok(Self {
            raise: key.raise_keys()?,
            evaluation: key.evaluation_keys_with(&needs, progress)?,
        })
    }

    /// Bytes of residues and seeds.
    pub fn bytes(&self, ctx: &Context<B>) -> usize {
        self.evaluation.bytes(ctx) + self.raise.bytes(ctx)
    }

    /// The keys as a server uses them, each seeded key freed as soon as it is expanded: half the memory of [`expand`](Self::expand)
    /// at its peak.
    ///
    /// # Errors
    /// Keys of other parameters; no memory.
    pub fn into_keys(self, ctx: &Context<B>) -> Result<BootstrapKeys<B>> {
        Ok(BootstrapKeys {
            raise: self.raise.expand(ctx)?,
            evaluation: self.evaluation.into_keys(ctx)?,
        })
    }

    /// The keys in a store, which bounds what those of the evaluation take; the two of the encapsulation are expanded beside it.
    ///
    /// # Errors
    /// A budget without room for the keys, before anything is expanded; keys of other parameters; no memory.
    pub fn hold(
        self,
        ctx: &Context<B>,
        store: &KeyStore<B>,
        expansion: Expansion,
    ) -> Result<BootstrapKeys<B>> {
        Ok(BootstrapKeys {
            evaluation: store.hold(ctx, self.evaluation, expansion)?,
            raise: self.raise.expand(ctx)?,
        })
    }

    /// The keys as a server uses them.
    ///
    /// # Errors
    /// Keys of other parameters; no memory.
    pub fn expand(&self, ctx: &Context<B>) -> Result<BootstrapKeys<B>> {
        Ok(BootstrapKeys {
            evaluation: self.evaluation.expand(ctx)?,
            raise: self.raise.expand(ctx)?,
        })
    }
}

/// What a server bootstraps with.
pub struct BootstrapKeys<B: Backend> {
    /// Rotations, conjugation, relinearisation.
    pub evaluation: EvaluationKeys<B>,
    /// The two keys of the encapsulation.
    pub raise: RaiseKeys<B>,
}

impl<B: Backend> BootstrapKeys<B> {
    /// Bytes on the device, as they are held.
    pub fn bytes(&self) -> usize {
        self.evaluation.bytes() + self.raise.bytes()
    }

    /// The most bytes while they are used: with keys that a store expands on use, up to its budget.
    pub fn most_bytes(&self) -> usize {
        self.evaluation.most_bytes() + self.raise.bytes()
    }
}

impl<B: Backend> Bootstrapper<B> {
    /// `needs` and the keys of a bootstrap, each up to the level where it is used.
    pub fn add_needs(&self, needs: KeyNeeds) -> KeyNeeds {
        let top = self.ckks.context().params().top();
        let needs = needs.up_to(top).rotate(self.trace().map(|k| k as i64));
        let needs = self.to_slots.iter().fold(needs, |needs, t| t.add_needs(needs));
        let needs = needs.up_to(self.reduction_level()).conjugate().relinearise();
        let needs = self
            .to_coefficients
            .iter()
            .fold(needs, |needs, t| t.add_needs(needs));
        if self.is_packed() {
            return needs.up_to(self.output_level()).rotate([self.spec.slots as i64]);
        }
        needs
    }

    /// Demands every key before work starts.
    pub(super) fn check_keys(&self, ev: &Evaluator<'_, B>, raise: &RaiseKeys<B>) -> Result<()> {
        let (ctx, keys) = (self.ckks.context(), ev.keys());
        let operation = "bootstrap";
        raise.check(ctx, operation)?;
        let rotation = |k: usize| Galois::rotation(k as i64, ctx.log_n());
        for k in self.trace() {
            ctx.check_key(
                operation,
                ctx.params().top(),
                keys.galois(operation, rotation(k))?,
            )?;
        }
        for t in self.to_slots.iter().chain(&self.to_coefficients) {
            t.check_keys(ev)?;
        }
        let conjugation = Galois::conjugation(ctx.log_n());
        ctx.check_key(
            operation,
            self.reduction_level(),
            keys.galois(operation, conjugation)?,
        )?;
        ctx.check_key(
            operation,
            self.reduction_level(),
            keys.relinearisation(operation)?,
        )?;
        if self.is_packed() {
            let key = keys.galois(operation, rotation(self.spec.slots))?;
            ctx.check_key(operation, self.output_level(), key)?;
        }
        Ok(())
    }
}
