//! What a bootstrap is made of, and the levels that it takes.

use super::failure_log2;
use crate::{
    circuit::{CircuitError, Result, polynomial::depth_of},
    rlwe::{EPHEMERAL_WEIGHT, Level},
};

/// Which transform comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Raise, coefficients to slots, reduce, slots to coefficients: from level 0.
    RaiseFirst,
    /// Slots to coefficients, raise, coefficients to slots, reduce: the matrices back take the lowest levels, where they cost
    /// least, and the input has to leave them.
    CoefficientsFirst,
}

/// What a bootstrap is made of.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct BootstrapSpec {
    /// Slots of the ciphertexts, a power of two from 2 to N/2.
    pub slots: usize,
    /// Matrices of coefficients to slots, one level each; from 1 to log2 of the slots.
    pub to_slots: usize,
    /// Matrices of slots to coefficients, one level each; from 1 to log2 of the slots.
    pub to_coefficients: usize,
    /// K: the overflow lies in [-K, K].
    pub range: u32,
    /// Degree of the cosine as a polynomial of T_2.
    pub degree: usize,
    /// Double angles after it.
    pub double_angles: u32,
    /// Degree of the arcsine, an odd number; `None` for the sine as it is.
    pub arcsine: Option<usize>,
    /// Which transform comes first.
    pub order: Order,
    /// Whether slots are multiplied by a fixed vector of +-1 before and after: equal slots, whose polynomial is one large coefficient,
    /// where the sine is off most, become like any others. Takes level 1 instead of level 0.
    pub mask: bool,
}

impl BootstrapSpec {
    /// Three matrices each way, or as many as there are butterflies, log2 `slots`; K = 16, degree 31 and two double angles: the usual one.
    pub fn new(slots: usize) -> Self {
        let matrices = slots.max(2).ilog2().min(3) as usize;
        Self {
            slots,
            to_slots: matrices,
            to_coefficients: matrices,
            range: 16,
            degree: 31,
            double_angles: 2,
            arcsine: None,
            order: Order::RaiseFirst,
            mask: false,
        }
    }

    /// Levels of the modular reduction.
    pub fn reduction_depth(&self) -> u32 {
        1 + depth_of(self.degree) + self.double_angles + self.arcsine.map_or(0, depth_of)
    }

    /// Levels of a bootstrap from the top down.
    pub fn depth(&self) -> u32 {
        let after = match self.order {
            Order::RaiseFirst => self.to_coefficients as u32,
            // To the canonical scale.
            Order::CoefficientsFirst => 1,
        };
        self.to_slots as u32 + self.reduction_depth() + after
    }

    /// The lowest level from which it starts.
    pub fn input_level(&self) -> Level {
        match self.order {
            Order::RaiseFirst => Level(u32::from(self.mask)),
            Order::CoefficientsFirst => Level(self.to_coefficients as u32),
        }
    }

    /// log2 of a bound on the probability that the bootstrap of one ciphertext of N = 2^log_n coefficients fails.
    pub fn failure_log2(&self, log_n: u32) -> f64 {
        failure_log2(log_n, EPHEMERAL_WEIGHT, f64::from(self.range))
    }

    /// Demands parts that a ring of `most` slots can have and that go together.
    pub(super) fn check(&self, most: usize) -> Result<()> {
        if !self.slots.is_power_of_two() || !(2..=most).contains(&self.slots) {
            let remedy = "use a power of two of slots from 2 to N/2";
            return Err(CircuitError::mismatch(
                "bootstrap",
                "slot counts",
                most,
                self.slots,
                remedy,
            ));
        }
        if self.to_slots == 0 || self.to_coefficients == 0 || self.degree == 0 || self.range == 0 {
            let remedy = "use at least one matrix each way, degree 1 and K = 1";
            return Err(CircuitError::mismatch(
                "bootstrap",
                "parts",
                0,
                "at least 1",
                remedy,
            ));
        }
        if self.mask && self.order == Order::CoefficientsFirst {
            let remedy = "a mask goes with the raise first";
            return Err(CircuitError::mismatch(
                "bootstrap",
                "orders",
                "mask",
                "coefficients first",
                remedy,
            ));
        }
        Ok(())
    }

    /// The largest |x - 1/4|.
    pub(super) fn bound(&self) -> f64 {
        f64::from(self.range) + 0.25
    }

    /// What x is multiplied by for the reduction: sqrt(2) y = x `unit` - `unit` / 4.
    pub(super) fn unit(&self) -> f64 {
        std::f64::consts::SQRT_2 / self.bound()
    }
}
