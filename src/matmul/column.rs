//! Column packing: one ciphertext a feature, slot = token * batch + request.
//!
//! A matrix of weights is a matrix of integers times the vector of ciphertexts: no rotation, no plaintext polynomial.
//! Products over tokens are made diagonal by diagonal, with L tokens and B requests; a rotation by k B moves every
//! request k tokens on. With r = g s + j, j < s (two-sided baby-step giant-step):
//!
//!   S_{g,j} = sum_l Rot_{-gsB}(q_l) Rot_{jB}(k_l):  slot t holds q[t - gs] . k[t + j],
//!   o_c = sum_g Rot_{gsB}( sum_j f(S_{g,j}) Rot_{jB}(v_c) ):  slot t holds sum_u f(q[t] . k[u]) v_c[u].
//!
//! The rotation of a diagonal to its own place and the one back cancel between the two, so that 2 (L - s) of them are
//! never made: for d features, 2 d (s - 1) + 2 d (L/s - 1) rotations in all. f acts slot by slot.
//!
//! With fewer keys than tokens, keys and values repeat with period P along the L tokens: all the same with P in place of L, but that a
//! rotation back by g s tokens is one by L - g s. [`TiledColumns`](super::TiledColumns) cuts any numbers of queries and keys into such shapes.

use super::{MatmulError, Shape, Weights, demands::Demands, shape::quantise};
use crate::{
    backend::{Backend, Entries, Matrix},
    ckks::{Ciphertext, Evaluator, Result},
    rlwe::{KeyNeeds, RlweError},
};

/// An affine map of features, x -> W x / 2^weight_bits + b.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnWeights {
    /// Length of the result.
    pub outputs: usize,
    /// Length of x.
    pub inputs: usize,
    /// W, row-major `[outputs][inputs]`.
    pub weights: Vec<i16>,
    /// Fractional bits of W.
    pub weight_bits: u32,
    /// b, `[outputs]`.
    pub bias: Vec<f64>,
}

impl ColumnWeights {
    /// W^T of a k x n matrix of magnitudes up to `bound`, rounded to as many fractional bits as 16-bit integers hold, at most
    /// `most_bits`; b is zero. The product raises the scale by 2^`weight_bits`, exactly.
    ///
    /// Errors: a shape of nothing, another number of weights, a weight that is not finite or beyond the bound, a bound beyond 2^14.
    pub fn encode(
        weights: Weights<'_>,
        (k, n): (usize, usize),
        bound: f64,
        most_bits: u32,
    ) -> super::Result<Self> {
        let shape = Shape::new(1, k, n);
        shape.check()?;
        let what = "weights";
        if !(bound > 0.0 && bound <= 16384.0) {
            return Err(MatmulError::Bound { what, value: bound });
        }
        let all = weights.checked(shape, bound)?;
        let weight_bits = (14.9 - bound.log2()).floor().min(f64::from(most_bits)) as u32;
        Ok(Self::rounded(&all, (k, n), weight_bits))
    }

    /// W^T of a k x n matrix that was checked, rounded; b is zero.
    pub(super) fn rounded(all: &[f64], (k, n): (usize, usize), weight_bits: u32) -> Self {
        let integers = quantise(all, weight_bits);
        let by_output = (0..k * n).map(|i| integers.get(i % k * n + i / k).copied().unwrap_or(0));
        Self {
            outputs: n,
            inputs: k,
            weights: by_output.collect(),
            weight_bits,
            bias: vec![0.0; n],
        }
    }

    /// W as backends take it.
    pub(super) fn matrix(&self) -> Matrix<'_> {
        Matrix {
            outputs: self.outputs,
            inputs: self.inputs,
            entries: Entries::I16(&self.weights),
        }
    }

    /// One ciphertext a feature in, one a feature out; the scale grows by 2^weight_bits.
    pub fn apply<B: Backend>(&self, ev: &Evaluator<'_, B>, x: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        ev.add_const_each(&self.apply_linear(ev, x)?, &self.bias)
    }

    /// W x / 2^weight_bits without b.
    pub fn apply_linear<B: Backend>(
        &self,
        ev: &Evaluator<'_, B>,
        x: &Ciphertext<B>,
    ) -> Result<Ciphertext<B>> {
        ev.mul_matrix(x, self.matrix(), self.weight_bits)
    }
}

/// Slots of the largest ring, N = 2^17.
const MOST_SLOTS: usize = 1 << 16;

/// The shape of column packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    tokens: usize,
    keys: usize,
    batch: usize,
    baby: usize,
}

impl Columns {
    /// `tokens` tokens of `batch` requests; both powers of two. Together they fill the slots.
    pub fn new(tokens: usize, batch: usize) -> Result<Self> {
        Self::with_keys(tokens, tokens, batch)
    }

    /// `tokens` tokens of `batch` requests with keys and values that repeat every `keys` tokens: powers of two, no more keys than
    /// tokens.
    pub fn with_keys(tokens: usize, keys: usize, batch: usize) -> Result<Self> {
        let powers = [tokens, keys, batch].into_iter().all(usize::is_power_of_two);
        if !powers || keys > tokens || tokens.checked_mul(batch).is_none_or(|s| s > MOST_SLOTS) {
            let given = format!("{tokens} tokens, {keys} keys x {batch} requests");
            let (wanted, remedy) = (
                "powers of two, at most N/2 slots",
                "pad to powers of two, or use `TiledColumns`, which cuts and pads",
            );
            return Err(RlweError::mismatch("column packing", "shapes", given, wanted, remedy).into());
        }
        // s is sqrt(2 P) or the power of two above it: baby steps are hoisted, giant steps of the result are not.
        let log_keys = keys.trailing_zeros();
        let baby = 1 << (log_keys + 1).div_ceil(2).min(log_keys);
        Ok(Self {
            tokens,
            keys,
            batch,
            baby,
        })
    }

    /// Number of tokens L.
    pub fn tokens(self) -> usize {
        self.tokens
    }

    /// Number of keys P: diagonals of scores.
    pub fn keys(self) -> usize {
        self.keys
    }

    /// Number of requests B.
    pub fn batch(self) -> usize {
        self.batch
    }

    /// Slots of a ciphertext, L B.
    pub fn slots(self) -> usize {
        self.tokens * self.batch
    }

    /// The slot of a token of a request.
    pub fn slot(self, token: usize, request: usize) -> usize {
        token * self.batch + request
    }

    /// s, the baby steps of products over tokens.
    pub(super) fn baby(self) -> usize {
        self.baby
    }

    pub(super) fn steps(self, tokens: impl Iterator<Item = usize>) -> Vec<i64> {
        tokens.map(|t| (t * self.batch) as i64).collect()
    }

    /// L/s, or P/s.
    pub(super) fn giant(self) -> usize {
        self.keys / self.baby
    }

    /// Queries go back by g s tokens, cyclically.
    fn back(self) -> Vec<i64> {
        self.steps((0..self.giant()).map(|g| (self.tokens - g * self.baby) % self.tokens))
    }

    /// Results go forward by g s tokens.
    fn forward(self) -> Vec<i64> {
        self.steps((1..self.giant()).map(|g| g * self.baby))
    }

    /// The rotations that products over tokens use: j B for j < s, and g s B and (L - g s) B.
    pub fn attention_keys(self, needs: KeyNeeds) -> KeyNeeds {
        needs
            .relinearise()
            .rotate(self.steps(1..self.baby))
            .rotate(self.forward())
            .rotate(self.back())
    }

    /// The rotations that sums over tokens use: 2^i B.
    pub fn sum_keys(self, needs: KeyNeeds) -> KeyNeeds {
        needs.rotate(self.sum_steps())
    }

    fn sum_steps(self) -> Vec<i64> {
        self.steps((0..self.tokens.trailing_zeros()).map(|i| 1 << i))
    }

    /// Key switches of `scores` and `weighted_sum` together for d features: (rotations, relinearisations).
    pub fn attention_key_switches(self, features: usize) -> (usize, usize) {
        let giant = self.giant();
        (
            2 * features * (self.baby - 1 + giant - 1),
            self.keys + features * giant,
        )
    }

    /// Where `scores` puts the score of query t and key u: (item, token of the slot).
    pub fn score_place(self, t: usize, u: usize) -> (usize, usize) {
        let diagonal = (u + self.keys - t % self.keys) % self.keys;
        (diagonal, (t + diagonal / self.baby * self.baby) % self.tokens)
    }

    /// Demands what `scores` uses, of operands of `features` items each.
    pub(super) fn check_scores<B: Backend>(
        self,
        ev: &Evaluator<'_, B>,
        q: &Ciphertext<B>,
        k: &Ciphertext<B>,
    ) -> Result<()> {
        let demands = Demands::new(ev, "scores");
        demands.product(q, k)?;
        demands.rotations(q.level(), self.back())?;
        demands.rotations(q.level(), self.steps(1..self.baby))
    }

    /// Demands what `weighted_sum` uses, shapes apart.
    pub(super) fn check_weighted_sum<B: Backend>(
        self,
        ev: &Evaluator<'_, B>,
        p: &Ciphertext<B>,
        v: &Ciphertext<B>,
    ) -> Result<()> {
        let demands = Demands::new(ev, "weighted_sum");
        let below = demands.product(p, v)?;
        demands.rotations(v.level(), self.steps(1..self.baby))?;
        demands.rotations(below, self.forward())
    }

    /// Rotations of queries, giant steps back.
    pub(super) fn turned_queries<B: Backend>(
        self,
        ev: &Evaluator<'_, B>,
        q: &Ciphertext<B>,
    ) -> Result<Vec<Ciphertext<B>>> {
        ev.rotate_hoisted(q, &self.back())
    }

    /// Rotations of keys or values, baby steps.
    pub(super) fn turned_keys<B: Backend>(
        self,
        ev: &Evaluator<'_, B>,
        k: &Ciphertext<B>,
    ) -> Result<Vec<Ciphertext<B>>> {
        ev.rotate_hoisted(k, &self.steps(0..self.baby))
    }

    /// The scores of one head, as P ciphertexts S_{g,j} in the order g s + j, rescaled; q and k hold one ciphertext a
    /// feature. Errors, before any work: operands that do not fit, no level left, a missing key.
    pub fn scores<B: Backend>(
        self,
        ev: &Evaluator<'_, B>,
        q: &Ciphertext<B>,
        k: &Ciphertext<B>,
    ) -> Result<Ciphertext<B>> {
        let demands = Demands::new(ev, "scores");
        demands.shape(q, q.items(), self.slots())?;
        demands.shape(k, q.items(), self.slots())?;
        self.check_scores(ev, q, k)?;
        inner_products(ev, &self.turned_queries(ev, q)?, &self.turned_keys(ev, k)?)
    }

    /// The sums of values weighted by p (as `scores` orders it), one ciphertext a feature of v, rescaled. Errors, before any work:
    /// operands that do not fit, no level left, a missing key.
    pub fn weighted_sum<B: Backend>(
        self,
        ev: &Evaluator<'_, B>,
        p: &Ciphertext<B>,
        v: &Ciphertext<B>,
    ) -> Result<Ciphertext<B>> {
        let demands = Demands::new(ev, "weighted_sum");
        demands.shape(p, self.keys, self.slots())?;
        demands.shape(v, v.items(), self.slots())?;
        self.check_weighted_sum(ev, p, v)?;
        let features = v.items();
        let turned = ev.concat(&self.turned_keys(ev, v)?)?;
        let weights = (0..self.giant())
            .map(|g| p.slice(g * self.baby, self.baby))
            .collect::<Result<Vec<_>>>()?;
        self.sum_giant_steps(ev, &weights, &turned, self.baby, features)
    }

    /// sum over g of Rot_{gs}(sum over j of `weights[g]` item j times `turned` item j d + c), for every feature c; rescaled.
    pub(super) fn sum_giant_steps<B: Backend>(
        self,
        ev: &Evaluator<'_, B>,
        weights: &[Ciphertext<B>],
        turned: &Ciphertext<B>,
        baby: usize,
        features: usize,
    ) -> Result<Ciphertext<B>> {
        let values = (0..features)
            .map(|c| turned.every(c, features, turned.items() / features))
            .collect::<Result<Vec<_>>>()?;
        let sums = inner_products(ev, weights, &values)?;
        let mut total = sums.slice(0, features)?;
        for g in 1..weights.len() {
            let turned = ev.rotate(
                &sums.slice(g * features, features)?,
                (g * baby * self.batch) as i64,
            )?;
            ev.add_assign(&mut total, &turned)?;
        }
        Ok(total)
    }

    /// Every slot replaced by the sum over all tokens of its request.
    pub fn sum_tokens<B: Backend>(self, ev: &Evaluator<'_, B>, x: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        let demands = Demands::new(ev, "sum_tokens");
        demands.shape(x, x.items(), self.slots())?;
        demands.rotations(x.level(), self.sum_steps())?;
        self.sum_steps().into_iter().try_fold(x.clone(), |sum, step| {
            let turned = ev.rotate(&sum, step)?;
            ev.add(&sum, &turned)
        })
    }
}

/// The inner product over items of every a with every b, relinearised and rescaled: one item each, those of one a side by side.
pub(super) fn inner_products<B: Backend>(
    ev: &Evaluator<'_, B>,
    a: &[Ciphertext<B>],
    b: &[Ciphertext<B>],
) -> Result<Ciphertext<B>> {
    let pairs: Vec<_> = a.iter().flat_map(|a| b.iter().map(move |b| (a, b))).collect();
    ev.relinearise_rescale(&ev.inner_products(&pairs)?)
}
