//! Complex halving in column packing: two diagonals, or two features, in one ciphertext.
//!
//! Scores: with k^ = k + i Rot_{L/2}(k), one inner product gives two diagonals, q . Rot_j(k^) = q . Rot_j(k) + i q . Rot_{j + L/2}(k) for
//! real q and k. With s baby steps and L/2s giant steps,
//!
//! ```text
//! S_{g,j} = sum_l Rot_{-gs}(q_l) Rot_j(k^_l):  slot t holds q[t - gs] . k[t + j] + i q[t - gs] . k[t + j + L/2]
//! ```
//!
//! which are half as many products and relinearisations. A function of scores needs the parts apart, which a conjugation each gives.
//! Then
//!
//! ```text
//! o_c = sum_g Rot_{gs}( sum_j f(Re S_{g,j}) Rot_j(v_c) + f(Im S_{g,j}) Rot_{j + L/2}(v_c) ).
//! ```
//!
//! Keys that repeat with a period P below L are halved alike, with P in place of L where diagonals are counted.
//!
//! Values: weights are real, so that v_c + i v_{c + d/2} carries two features through weighted sums and affine maps (STIP pairs so).

use super::{Columns, column::inner_products, demands::Demands};
use crate::{
    backend::Backend,
    ckks::{Ciphertext, Evaluator, Result},
    rlwe::{KeyNeeds, RlweError},
};

impl Columns {
    /// s: half of what full scores take, so that the weighted sum has the same rotations as there.
    fn half_baby(self) -> usize {
        (self.baby() / 2).max(1)
    }

    pub(super) fn half_giant(self) -> usize {
        (self.keys() / 2 / self.half_baby()).max(1)
    }

    /// Queries go back by g s tokens, cyclically.
    fn half_back(self) -> Vec<i64> {
        let back = |g| (self.tokens() - g * self.half_baby()) % self.tokens();
        self.steps((0..self.half_giant()).map(back))
    }

    /// Results go forward by g s tokens.
    fn half_forward(self) -> Vec<i64> {
        self.steps((1..self.half_giant()).map(|g| g * self.half_baby()))
    }

    /// The tokens by which values are rotated: j, then j + L/2.
    fn half_offsets(self) -> impl Iterator<Item = usize> {
        let (baby, half) = (self.half_baby(), self.keys() / 2);
        (0..baby).chain(half..half + baby)
    }

    /// The keys of `scores_halved` and `weighted_sum_halved`, and of `split`.
    pub fn halved_keys(self, needs: KeyNeeds) -> KeyNeeds {
        needs
            .relinearise()
            .conjugate()
            .rotate(self.steps(self.half_offsets()))
            .rotate(self.half_forward())
            .rotate(self.half_back())
    }

    /// Key switches of `scores_halved`, and of `weighted_sum_halved` and `split` for pairs, for d features: (rotations and conjugations,
    /// relinearisations).
    pub fn halved_key_switches(self, features: usize) -> (usize, usize) {
        let (baby, giant, half) = (self.half_baby(), self.half_giant(), self.keys() / 2);
        let scores = features * (baby + giant - 1) + half;
        let sums = features / 2 * (2 * baby - 1 + giant - 1 + 1);
        (scores + sums, half + features / 2 * giant)
    }

    /// Where `scores_halved` puts the score of query t and key u: (item, 0 for the real parts and 1 for the imaginary ones, token of the
    /// slot).
    pub fn halved_place(self, t: usize, u: usize) -> (usize, usize, usize) {
        let (baby, half) = (self.half_baby(), self.keys() / 2);
        let diagonal = (u + self.keys() - t % self.keys()) % self.keys();
        let (part, diagonal) = (diagonal / half.max(1), diagonal % half.max(1));
        let back = diagonal / baby * baby;
        (diagonal, part, (t + back) % self.tokens())
    }

    fn check_halves(self, operation: &'static str) -> Result<()> {
        if self.keys() >= 2 {
            return Ok(());
        }
        let remedy = "a single key has one diagonal; use `scores`";
        Err(RlweError::mismatch(operation, "numbers of keys", self.keys(), "at least 2", remedy).into())
    }

    /// The scores of one head, rescaled: (real parts, imaginary parts) of S_{g,j}, L/2 ciphertexts each in the order g s + j. q and k are
    /// real, one ciphertext a feature.
    pub fn scores_halved<B: Backend>(
        self,
        ev: &Evaluator<'_, B>,
        q: &Ciphertext<B>,
        k: &Ciphertext<B>,
    ) -> Result<(Ciphertext<B>, Ciphertext<B>)> {
        let operation = "scores_halved";
        self.check_halves(operation)?;
        let demands = Demands::new(ev, operation);
        demands.shape(q, q.items(), self.slots())?;
        demands.shape(k, q.items(), self.slots())?;
        let below = demands.product(q, k)?;
        let (baby, half) = (self.half_baby(), (self.keys() / 2 * self.batch()) as i64);
        let (back, turns) = (self.half_back(), self.steps(0..baby));
        for steps in [&back, &turns, &vec![half]] {
            demands.rotations(q.level(), steps.iter().copied())?;
        }
        demands.conjugation(below)?;
        let pair = ev.add(k, &ev.mul_i(&ev.rotate(k, half)?)?)?;
        let turned_q = ev.rotate_hoisted(q, &back)?;
        let turned_k = ev.rotate_hoisted(&pair, &turns)?;
        self.split(ev, &inner_products(ev, &turned_q, &turned_k)?)
    }

    /// The sums of values weighted by p, both parts as `scores_halved` orders them, rescaled; one ciphertext an item of v, which may
    /// hold two features as `pair` joins them.
    pub fn weighted_sum_halved<B: Backend>(
        self,
        ev: &Evaluator<'_, B>,
        (near, far): (&Ciphertext<B>, &Ciphertext<B>),
        v: &Ciphertext<B>,
    ) -> Result<Ciphertext<B>> {
        let operation = "weighted_sum_halved";
        self.check_halves(operation)?;
        let demands = Demands::new(ev, operation);
        for (x, items) in [(near, self.keys() / 2), (far, self.keys() / 2), (v, v.items())] {
            demands.shape(x, items, self.slots())?;
        }
        demands.product(far, v)?;
        demands.scales(near, far)?;
        let below = demands.product(near, v)?;
        let (baby, features) = (self.half_baby(), v.items());
        let offsets = self.steps(self.half_offsets());
        demands.rotations(v.level(), offsets.iter().copied())?;
        demands.rotations(below, self.half_forward())?;
        let turned = ev.concat(&ev.rotate_hoisted(v, &offsets)?)?;
        let mut weights = Vec::new();
        for g in 0..self.half_giant() {
            let of = |p: &Ciphertext<B>| p.slice(g * baby, baby);
            weights.push(ev.concat(&[of(near)?, of(far)?])?);
        }
        self.sum_giant_steps(ev, &weights, &turned, baby, features)
    }

    /// Items c and c + d/2 as real and imaginary part: half as many ciphertexts.
    pub fn pair<B: Backend>(self, ev: &Evaluator<'_, B>, x: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        let half = x.items() / 2;
        if !x.items().is_multiple_of(2) {
            let remedy = "pair an even number of features";
            return Err(RlweError::mismatch("pair", "items", x.items(), "an even number", remedy).into());
        }
        ev.add(&x.slice(0, half)?, &ev.mul_i(&x.slice(half, half)?)?)
    }

    /// (real parts, imaginary parts) of every slot: one conjugation each.
    pub fn split<B: Backend>(
        self,
        ev: &Evaluator<'_, B>,
        x: &Ciphertext<B>,
    ) -> Result<(Ciphertext<B>, Ciphertext<B>)> {
        let conjugate = ev.conjugate(x)?;
        let real = ev.add(x, &conjugate)?.divided_by_pow2(1)?;
        // (x - conj x) / 2i = i (conj x - x) / 2.
        let imaginary = ev.mul_i(&ev.sub(&conjugate, x)?)?.divided_by_pow2(1)?;
        Ok((real, imaginary))
    }
}
