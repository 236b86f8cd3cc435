//! Hybrid key switching (Han, Ki, eprint 2019/688): ModUp, inner product with the key, ModDown.
//!
//! Noise added, in coefficients: Var = sum_j N sigma^2 Q_j^2 / (12 P^2) + (1 + hw)/12, with all conversions centred.
//!
//! What is not switched is multiplied by P and added to the sums, so that it comes out of the division as it was. The key of an
//! automorphism sigma switches from s to sigma^-1(s), and sigma is applied once, to the sums: the digits do not depend on
//! sigma, and a hoisted set of rotations shares them.

use smallvec::SmallVec;

use super::{Ciphertext, Context, Level, Result, RlweError, SwitchKey, keys::prepared};
use crate::{
    backend::{Backend, BasisStep, KeySwitch, Mut, Ref, Span},
    ring::Galois,
};

/// The extended digits of one polynomial an item (E): made once, used by every rotation of a hoisted set.
pub struct Digits<B: Backend> {
    pub(super) buffer: B::Buffer,
    pub(super) items: usize,
    pub(super) level: Level,
}

/// What is switched.
enum Source<'a, B: Backend> {
    /// A component of the ciphertext.
    Component(usize),
    /// A component whose digits are extended already.
    Digits(&'a Digits<B>),
}

impl<B: Backend> Context<B> {
    /// ModUp of component `component` of every item.
    pub fn mod_up(&self, ct: &Ciphertext<B>, component: usize) -> Result<Digits<B>> {
        ct.check_context("mod_up", self)?;
        check_component(ct, component)?;
        let level = self.level("mod_up", ct.level())?;
        let (items, digits) = (ct.items(), level.digits.len());
        let mut buffer = self
            .backend()
            .alloc(self.log_n(), items * digits * level.extended.len())?;
        let dst = Mut::new(&mut buffer, Span::dense(items, digits, &level.extended));
        let src = ct.view().map(|s| s.slice_polys(component, 1));
        self.backend().mod_up(self.tables(), dst, src, &level.digits)?;
        Ok(Digits {
            buffer,
            items,
            level: ct.level(),
        })
    }

    /// sigma of the first `kept` components plus the key switch of `source`, divided by `step`, at level `to`.
    ///
    /// One key and element for all items, or one an item. Errors when a key is truncated below the level.
    #[expect(clippy::too_many_arguments, reason = "what a switch consists of")]
    fn switch(
        &self,
        operation: &'static str,
        ct: &Ciphertext<B>,
        source: Source<B>,
        kept: usize,
        keys: &[&SwitchKey<B>],
        elements: &[Galois],
        (step, to): (&BasisStep<B>, Level),
    ) -> Result<Ciphertext<B>> {
        ct.check_context(operation, self)?;
        let level = self.level(operation, ct.level())?;
        self.check_keys(operation, ct, keys)?;
        let held = prepared(self, keys)?;
        let keys: SmallVec<[&B::Key; 16]> = held.iter().map(|key| &**key).collect();
        let k = KeySwitch {
            digits: &level.digits,
            extended: &level.extended,
            keys: &keys,
            factor: &level.special_product,
            elements,
            step: Some(step),
        };
        let addend = ct.view().map(|s| s.slice_polys(0, kept));
        Ciphertext::build(self, operation, to, ct.items(), 2, |dst| {
            let (backend, tables) = (self.backend(), self.tables());
            match source {
                Source::Component(component) => {
                    check_component(ct, component)?;
                    let src = ct.view().map(|s| s.slice_polys(component, 1));
                    Ok(backend.key_switch(tables, dst, src, addend, &k)?)
                }
                Source::Digits(digits) => {
                    check_digits(ct, digits)?;
                    let span = Span::dense(digits.items, level.digits.len(), &level.extended);
                    // A single item may be repeated.
                    let span = match digits.items {
                        1 => span.repeat_items(ct.items()),
                        _ => span,
                    };
                    let digits = Ref::new(&digits.buffer, span);
                    Ok(backend.switch_digits(tables, dst, digits, addend, &k)?)
                }
            }
        })
    }

    /// sigma_g of `ct` for each key and element, with one ModUp for all; a single ciphertext is switched in one call for all of them, and the
    /// results share memory. Keys that a store expands on use are taken one after the other.
    pub(crate) fn automorphisms(
        &self,
        operation: &'static str,
        ct: &Ciphertext<B>,
        keys: &[&SwitchKey<B>],
        elements: &[Galois],
    ) -> Result<SmallVec<[Ciphertext<B>; 8]>> {
        if elements.is_empty() {
            return Ok(SmallVec::new());
        }
        let digits = self.mod_up(ct, 1)?;
        if ct.items() == 1 && keys.iter().all(|key| key.is_expanded()) {
            let repeated = ct.every(0, 0, elements.len())?;
            let all = self.automorphism(operation, &repeated, Some(&digits), keys, elements)?;
            return (0..elements.len()).map(|i| all.slice(i, 1)).collect();
        }
        keys.iter()
            .zip(elements)
            .map(|(key, g)| self.automorphism(operation, ct, Some(&digits), &[*key], &[*g]))
            .collect()
    }

    pub(super) fn check_keys(
        &self,
        operation: &str,
        ct: &Ciphertext<B>,
        keys: &[&SwitchKey<B>],
    ) -> Result<()> {
        if keys.len() != 1 && keys.len() != ct.items() {
            let remedy = "pass one key, or one for each ciphertext";
            let (items, held) = (format!("{} items", ct.items()), format!("{} keys", keys.len()));
            return Err(RlweError::mismatch("key switch", "counts", items, held, remedy));
        }
        for key in keys {
            self.params().check(operation, "the key", key.params())?;
            key.check_level(operation, ct.level())?;
        }
        Ok(())
    }

    /// From three components to two: (c_0, c_1) + the key switch of c_2 from s^2.
    pub(crate) fn relinearise(&self, ct: &Ciphertext<B>, key: &SwitchKey<B>) -> Result<Ciphertext<B>> {
        let step = &self.level("relinearise", ct.level())?.mod_down;
        let identity = [Galois::IDENTITY];
        let (source, to) = (Source::Component(2), (step, ct.level()));
        self.switch("relinearise", ct, source, 2, &[key], &identity, to)
    }

    /// The same with the step to the level below in one division; `None` at the lowest level.
    pub(crate) fn relinearise_rescale(
        &self,
        operation: &'static str,
        ct: &Ciphertext<B>,
        key: &SwitchKey<B>,
    ) -> Result<Option<Ciphertext<B>>> {
        let step = self.level(operation, ct.level())?.mod_down_rescale.as_ref();
        let Some(to) = step.zip(ct.level().below()) else {
            return Ok(None);
        };
        let identity = [Galois::IDENTITY];
        self.switch(operation, ct, Source::Component(2), 2, &[key], &identity, to)
            .map(Some)
    }

    /// sigma_g of every item: one element and key for all items, or one an item; `digits` are those of the second component, if
    /// they are at hand.
    pub(crate) fn automorphism(
        &self,
        operation: &'static str,
        ct: &Ciphertext<B>,
        digits: Option<&Digits<B>>,
        keys: &[&SwitchKey<B>],
        elements: &[Galois],
    ) -> Result<Ciphertext<B>> {
        let step = &self.level(operation, ct.level())?.mod_down;
        let source = digits.map_or(Source::Component(1), Source::Digits);
        self.switch(operation, ct, source, 1, keys, elements, (step, ct.level()))
    }
}

/// Demands that the ciphertext has the component.
fn check_component<B: Backend>(ct: &Ciphertext<B>, component: usize) -> Result<()> {
    if component >= ct.components() {
        let (held, remedy) = (ct.components(), "components count from 0");
        let wanted = format!("component {component}");
        return Err(RlweError::mismatch("mod_up", "components", held, wanted, remedy));
    }
    Ok(())
}

/// Demands digits as of the ciphertext's level and items.
pub(super) fn check_digits<B: Backend>(ct: &Ciphertext<B>, digits: &Digits<B>) -> Result<()> {
    let items = digits.items == ct.items() || digits.items == 1 && ct.repeats();
    if digits.level != ct.level() || !items {
        let shape = |level: Level, items: usize| format!("{items} items at {level}");
        let (left, right) = (shape(ct.level(), ct.items()), shape(digits.level, digits.items));
        let remedy = "extend the digits of this ciphertext";
        return Err(RlweError::mismatch("key switch", "digits", left, right, remedy));
    }
    Ok(())
}

#[cfg(all(test, feature = "fallback"))]
mod tests {
    use super::*;
    use crate::{
        backend::{Integers, cpu::Cpu},
        ring::{ChainKind, ChainSpec, build},
        rlwe::{KeyNeeds, Params, Poly, SecretKey, Spec},
    };

    #[test]
    fn keys_and_digits_have_to_fit() {
        let spec = ChainSpec {
            log_n: 4,
            kind: ChainKind::Single,
            scale_bits: vec![28.0; 2],
            absorbed_bits: vec![0],
            base_bits: 30.0,
            digits: 2,
            special_margin_bits: 2.0,
            max_log2_qp: Some(1000.0),
        };
        let chain = build(&spec).unwrap();
        let params = Params::insecure(Spec { chain }).unwrap();
        let ctx = Context::new(Cpu::new(), params).unwrap();
        let sk = SecretKey::insecure_deterministic(&ctx, [7; 32]).unwrap();
        let needs = KeyNeeds::new(ctx.params()).rotate([1]);
        let keys = sk.evaluation_keys(&needs).unwrap().expand(&ctx).unwrap();
        let g = Galois::rotation(1, ctx.log_n());
        let key = keys.galois("test", g).unwrap();
        let encrypt = |items: usize| {
            let top = ctx.params().top();
            let rows = ctx.level("test", top).unwrap().rows.to_vec();
            let zero = vec![0; items << ctx.log_n()];
            let message = Poly::lift(&ctx, items, &rows, Integers::I32(&zero)).unwrap();
            sk.encrypt(&message, top).unwrap().expand(&ctx).unwrap()
        };
        let (three, two) = (encrypt(3), encrypt(2));
        let says = |keys: &[&SwitchKey<Cpu>], digits: Option<&Digits<Cpu>>, wanted: &str| {
            let error = ctx.automorphism("test", &three, digits, keys, &[g]);
            assert_eq!(error.err().unwrap().to_string(), wanted);
        };
        let remedy = "pass one key, or one for each ciphertext";
        says(
            &[],
            None,
            &format!("key switch: counts differ: 3 items and 0 keys; {remedy}"),
        );
        says(
            &[key, key],
            None,
            &format!("key switch: counts differ: 3 items and 2 keys; {remedy}"),
        );
        let digits = ctx.mod_up(&two, 1).unwrap();
        says(
            &[key],
            Some(&digits),
            "key switch: digits differ: 3 items at level 1 and 2 items at level 1; extend the digits of this ciphertext",
        );
        assert!(
            ctx.automorphism("test", &two, Some(&digits), &[key], &[g])
                .is_ok()
        );
    }
}
