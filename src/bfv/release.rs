//! Decryptions, and the policies under which their integers are given out.

use zeroize::Zeroizing;

use super::{BfvError, Noise, Params, Result, ciphertext::check_plain};
use crate::rlwe::{Level, RlweError};

/// For whom decrypted integers are, and why they may be.
#[derive(Clone, Copy, Debug)]
pub enum Release<'a> {
    /// For the owner of the key alone: neither the values nor anything that depends on them, a retry or a complaint included,
    /// reaches anyone else.
    Owner,
    /// For others as well, exact: given out only when the noise of the agreed computation, [`Noise::bound_log2`], is below 1/2, so
    /// that a decryption is wrong with probability 2^-128 at most, whatever the inputs.
    ///
    /// The noise is that of the computation which the owner of the key agreed to, followed by the owner; never a figure that came
    /// with the ciphertext, and never a measured one, which would depend on the key.
    Exact(&'a Noise),
}

/// Decrypted integers modulo t, equally many for each item. Not printable; cleared when dropped.
pub struct Decrypted {
    pub(super) values: Zeroizing<Vec<u64>>,
    pub(super) params: Params,
    pub(super) level: Level,
}

impl std::fmt::Debug for Decrypted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decrypted(..)")
    }
}

impl Decrypted {
    /// How many integers there are, those of all items together.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The integers at these places of all, in this order.
    pub(crate) fn pick(&self, places: impl Iterator<Item = usize>) -> Self {
        let values = places.map(|at| self.values.get(at).copied().unwrap_or(0));
        Self {
            values: Zeroizing::new(values.collect()),
            params: self.params.clone(),
            level: self.level,
        }
    }

    fn check(&self, release: Release) -> Result<()> {
        let Release::Exact(noise) = release else {
            return Ok(());
        };
        let (ours, theirs) = (&self.params, noise.params());
        (ours.rlwe()).check("release", "the noise", theirs.rlwe())?;
        check_plain("release", "the noise", ours.plain(), theirs.plain())?;
        if noise.level() != self.level {
            let remedy = "follow the computation down to the level of its result";
            return Err(RlweError::mismatch("release", "levels", self.level, noise.level(), remedy).into());
        }
        // Written so that not-a-number is refused.
        if noise.bound_log2() < -1.0 {
            return Ok(());
        }
        Err(BfvError::Withheld {
            level: self.level,
            bound_log2: noise.bound_log2(),
            sd_log2: noise.sd_log2(),
        })
    }

    /// The integers in [0, t), item after item.
    pub fn release(self, release: Release) -> Result<Vec<u64>> {
        self.check(release)?;
        Ok(self.values.to_vec())
    }

    /// The integers centred around 0, as [`PlainModulus::centred`](super::PlainModulus::centred).
    pub fn release_centred(self, release: Release) -> Result<Vec<i64>> {
        self.check(release)?;
        let plain = self.params.plain();
        Ok(self.values.iter().map(|v| plain.centred(*v)).collect())
    }
}
