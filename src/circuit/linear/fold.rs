//! Sums of slots at equal distances, and copies of a slot to equal distances, in a number of rotations that grows like a logarithm.
//!
//! With s_k\[i\] = sum over j < k of x\[i + j d\]:
//!
//! ```text
//! s_2k = s_k + rot_(k d)(s_k)          s_(k+1) = x + rot_d(s_k)
//! ```
//!
//! from the highest bit of the count down. Copies are sums to the other side (d negative): of values that are count d slots apart with
//! zeros between, every slot gets its own. No level is used.

use crate::{
    backend::Backend,
    circuit::{CircuitError, Result},
    ckks::{Ciphertext, Evaluator},
    ring::Galois,
    rlwe::KeyNeeds,
};

/// One step, and the rotation that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Twice as many terms.
    Double(i64),
    /// One more.
    Append(i64),
}

impl Step {
    fn rotation(self) -> i64 {
        match self {
            Self::Double(k) | Self::Append(k) => k,
        }
    }
}

/// A plan of steps; the keys that it needs follow from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    slots: usize,
    steps: Vec<Step>,
}

impl Fold {
    /// Slot i becomes the sum of slots i, i + stride, .., i + (count - 1) stride, cyclically.
    ///
    /// # Errors
    /// No slots, no terms, a stride of zero, or terms beyond one turn.
    pub fn sum(slots: usize, stride: usize, count: usize) -> Result<Self> {
        Self::new(slots, stride, count, 1)
    }

    /// Slot i becomes the sum of slots i, i - stride, ..: slots whose number is a multiple of count stride are copied to the count - 1 places
    /// behind them, if those hold zeros.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn replicate(slots: usize, stride: usize, count: usize) -> Result<Self> {
        Self::new(slots, stride, count, -1)
    }

    fn new(slots: usize, stride: usize, count: usize, sign: i64) -> Result<Self> {
        let span = stride.checked_mul(count);
        if count == 0 || stride == 0 || span.is_none_or(|span| span > slots) {
            let (left, right) = (format!("{count} terms {stride} apart"), format!("{slots} slots"));
            let remedy = "use terms of one turn, at least one slot apart";
            return Err(CircuitError::mismatch("fold", "sizes", left, right, remedy));
        }
        let mut steps = Vec::new();
        let mut have = 1usize;
        for bit in (0..count.ilog2()).rev() {
            steps.push(Step::Double(sign * (have * stride) as i64));
            have *= 2;
            if count >> bit & 1 == 1 {
                steps.push(Step::Append(sign * stride as i64));
                have += 1;
            }
        }
        Ok(Self { slots, steps })
    }

    /// The rotations, in order; keys repeat.
    pub fn rotations(&self) -> impl Iterator<Item = i64> + '_ {
        self.steps.iter().map(|step| step.rotation())
    }

    /// `needs` and the rotations of this plan, up to the level of `needs`.
    pub fn add_needs(&self, needs: KeyNeeds) -> KeyNeeds {
        needs.rotate(self.rotations())
    }

    /// The sums, every item for itself, at the same level and scale.
    ///
    /// # Errors
    /// Other slots, three components, a key that is missing or too short: before work starts.
    pub fn apply<B: Backend>(&self, ev: &Evaluator<'_, B>, x: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        if x.slots() != self.slots {
            let remedy = "plan for the slots of the ciphertext";
            return Err(CircuitError::mismatch(
                "fold",
                "slot counts",
                self.slots,
                x.slots(),
                remedy,
            ));
        }
        let ctx = ev.ckks().context();
        for k in self.rotations() {
            let key = ev.keys().galois("fold", Galois::rotation(k, ctx.log_n()))?;
            ctx.check_key("fold", x.level(), key)?;
        }
        let mut sum = x.clone();
        for step in &self.steps {
            let mut turned = ev.rotate(&sum, step.rotation())?;
            let other = match step {
                Step::Double(_) => &sum,
                Step::Append(_) => x,
            };
            ev.add_assign(&mut turned, other)?;
            sum = turned;
        }
        Ok(sum)
    }
}

#[cfg(all(test, feature = "fallback"))]
mod tests {
    use super::*;
    use crate::{
        arith::Complex,
        backend::cpu::Cpu,
        ckks::{Ckks, Release},
        ring::insecure_chain,
        rlwe::{Context, Params, RlweError, SecretKey, Spec},
    };

    #[test]
    fn few_rotations_and_fewer_keys() {
        for (count, rotations) in [(1, 0), (2, 1), (3, 2), (7, 4), (8, 3), (12, 4), (100, 8)] {
            let fold = Fold::sum(1024, 2, count).unwrap();
            assert_eq!(fold.rotations().count(), rotations, "{count}");
        }
        // 1 and 1, 3, 6.
        let chain = insecure_chain("insecure_n8_rational45_l3_d1").unwrap();
        let params = Params::insecure(Spec { chain }).unwrap();
        let fold = Fold::replicate(128, 1, 12).unwrap();
        assert_eq!(fold.rotations().collect::<Vec<_>>(), [-1, -1, -3, -6]);
        assert_eq!(fold.add_needs(KeyNeeds::new(&params)).count(), 3);
        for (slots, stride, count) in [(8, 0, 2), (8, 1, 0), (8, 3, 3), (8, usize::MAX, 2)] {
            let error = Fold::sum(slots, stride, count).err().unwrap();
            assert!(matches!(error, CircuitError::Mismatch { .. }), "{error}");
        }
    }

    #[test]
    fn slots_are_summed_and_copied() {
        let chain = insecure_chain("insecure_n8_rational45_l3_d1").unwrap();
        let ctx = Context::new(Cpu::new(), Params::insecure(Spec { chain }).unwrap()).unwrap();
        let ckks = Ckks::new(&ctx);
        let secret = SecretKey::insecure_deterministic(&ctx, [5; 32]).unwrap();
        let slots = 64;
        let value = |i: usize| (i * i % 23) as f64 / 23.0 - 0.5;
        for (stride, count) in [(1, 5), (4, 8), (1, 64), (7, 9), (3, 1)] {
            let at = |i: usize, j: usize, back: bool| match back {
                true => (i + slots - j * stride % slots) % slots,
                false => (i + j * stride) % slots,
            };
            for back in [false, true] {
                // To be copied: a value a block of count strides, zeros elsewhere.
                let x: Vec<f64> = (0..2 * slots)
                    .map(|i| match back && i % slots % (count * stride) >= stride {
                        true => 0.0,
                        false => value(i),
                    })
                    .collect();
                let fold = match back {
                    true => Fold::replicate(slots, stride, count),
                    false => Fold::sum(slots, stride, count),
                };
                let fold = fold.unwrap();
                let packed: Vec<Complex> = x.iter().map(|x| (*x).into()).collect();
                let ct = ckks.encrypt(&secret, &packed, 2, ctx.params().top()).unwrap();
                let ct = ct.expand(&ctx).unwrap();
                let needs = fold.add_needs(KeyNeeds::new(ctx.params()));
                let keys = secret.evaluation_keys(&needs).unwrap().expand(&ctx).unwrap();
                let y = fold.apply(&Evaluator::new(&ckks, &keys), &ct).unwrap();
                assert_eq!((y.level(), y.scale()), (ct.level(), ct.scale()));
                let have = ckks
                    .decrypt(&secret, &y)
                    .unwrap()
                    .release(Release::Owner)
                    .unwrap();
                for (i, have) in have.iter().enumerate() {
                    let (item, i) = (i / slots * slots, i % slots);
                    let want: f64 = (0..count).map(|j| x[item + at(i, j, back)]).sum();
                    assert!(
                        (*have - Complex::from(want)).abs() < 2f64.powi(-24),
                        "{stride} {count} {i}"
                    );
                }
                if count > 1 {
                    let none = crate::rlwe::EvaluationKeys::none();
                    let error = fold.apply(&Evaluator::new(&ckks, &none), &ct).err().unwrap();
                    let missing = matches!(
                        &error,
                        CircuitError::Ckks(crate::ckks::CkksError::Rlwe(RlweError::MissingKey { .. }))
                    );
                    assert!(missing, "{error}");
                }
            }
        }
    }
}
