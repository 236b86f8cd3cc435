//! Scores and weighted sums of a single request in diagonal packing: few ciphertexts instead of one a feature.
//!
//! Slot f T + t, with T a power of two, at least m + L - 1 for m queries and L keys. Queries fill t < m; keys and values are repeated
//! with period L up to m + L - 1, so that a rotation by r < L is one of tokens modulo L wherever a query is, without a mask:
//!
//! ```text
//! S_r = sum_f q Rot_r(k),  over the features of a ciphertext by log2 F rotations by T, 2 T, ..:  every slot f T + t holds q_t . k_{t+r}
//! o = sum_r p_r Rot_r(v)
//! ```
//!
//! The sums over features leave a score in the slots of all features, which is where values need it. Features beyond N / 2T go to more
//! ciphertexts, whose products are added before the relinearisation. Key switches for L keys and c ciphertexts: c (L - 1) hoisted
//! rotations, L relinearisations and L log2 F rotations for scores; c (L - 1) and c for sums.

use crate::{
    arith::Complex,
    backend::Backend,
    ckks::{Ciphertext, Evaluator, Result},
    rlwe::{KeyNeeds, RlweError},
};

/// The shape of attention for one request: m queries and L keys of d features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SingleAttention {
    queries: usize,
    keys: usize,
    features: usize,
    /// T.
    stride: usize,
    /// F, a power of two.
    width: usize,
}

impl SingleAttention {
    /// m queries, L keys, d features, in ciphertexts of at most `slots` slots, a power of two.
    pub fn new(queries: usize, keys: usize, features: usize, slots: usize) -> Result<Self> {
        let refused = |left: String, right: String, remedy| {
            Err(RlweError::mismatch("attention of one request", "shapes", left, right, remedy).into())
        };
        if queries == 0 || keys == 0 || features == 0 || !slots.is_power_of_two() {
            let left = format!("{queries} queries, {keys} keys, {features} features, {slots} slots");
            return refused(left, "at least 1 each".to_owned(), "slots are a power of two");
        }
        let tokens = queries
            .checked_add(keys - 1)
            .and_then(usize::checked_next_power_of_two);
        let Some(stride) = tokens.filter(|t| *t <= slots) else {
            let (left, right) = (format!("{queries} + {keys} - 1 tokens"), format!("{slots} slots"));
            return refused(left, right, "cut queries into parts, or use a larger ring");
        };
        let width = features.next_power_of_two().min(slots / stride);
        Ok(Self {
            queries,
            keys,
            features,
            stride,
            width,
        })
    }

    /// Slots of a ciphertext.
    pub fn slots(self) -> usize {
        self.stride * self.width
    }

    /// Ciphertexts of queries, of keys, or of values.
    pub fn items(self) -> usize {
        self.features.div_ceil(self.width)
    }

    /// Queries, `[m][d]`, as slots of `items` ciphertexts.
    pub fn pack_queries(self, values: &[f64]) -> Vec<Complex> {
        self.pack(values, self.queries, self.queries)
    }

    /// Keys or values, `[L][d]`, as slots of `items` ciphertexts.
    pub fn pack_keys(self, values: &[f64]) -> Vec<Complex> {
        self.pack(values, self.keys, self.queries + self.keys - 1)
    }

    fn pack(self, values: &[f64], tokens: usize, filled: usize) -> Vec<Complex> {
        let mut slots = vec![Complex::default(); self.items() * self.slots()];
        for (i, x) in values.iter().enumerate().take(tokens * self.features) {
            let (token, feature) = (i / self.features, i % self.features);
            // Ciphertexts hold whole features one after the other: feature f begins at f T.
            for t in (token..filled).step_by(tokens) {
                if let Some(slot) = slots.get_mut(feature * self.stride + t) {
                    *slot = Complex::from(*x);
                }
            }
        }
        slots
    }

    /// Where `scores` puts q_t . k_u: (item, slot); every later feature of the item repeats it.
    pub fn score_place(self, t: usize, u: usize) -> (usize, usize) {
        ((u + self.keys - t % self.keys) % self.keys, t)
    }

    /// Results of `weighted_sum`, `[m][d]`, from the slots of `items` ciphertexts.
    pub fn unpack(self, slots: &[Complex]) -> Vec<f64> {
        let of = |i: usize| {
            let (token, feature) = (i / self.features, i % self.features);
            slots
                .get(feature * self.stride + token)
                .map_or(f64::NAN, |z| z.re)
        };
        (0..self.queries * self.features).map(of).collect()
    }

    fn turns(self) -> Vec<i64> {
        (0..self.keys as i64).collect()
    }

    /// Rotations that add the features of a ciphertext.
    fn folds(self) -> impl Iterator<Item = i64> {
        (0..self.width.trailing_zeros()).map(move |i| (self.stride << i) as i64)
    }

    /// The keys of `scores` and `weighted_sum`.
    pub fn keys(self, needs: KeyNeeds) -> KeyNeeds {
        needs.relinearise().rotate(self.turns()).rotate(self.folds())
    }

    /// Key switches of `scores` and `weighted_sum` together: (rotations, relinearisations).
    pub fn key_switches(self) -> (usize, usize) {
        let folds = self.keys * self.folds().count();
        (
            2 * self.items() * (self.keys - 1) + folds,
            self.keys + self.items(),
        )
    }

    fn check<B: Backend>(self, operation: &'static str, x: &Ciphertext<B>, items: usize) -> Result<()> {
        if (x.slots(), x.items()) == (self.slots(), items) {
            return Ok(());
        }
        let left = format!("{} ciphertexts of {} slots", x.items(), x.slots());
        let right = format!("{items} of {}", self.slots());
        Err(RlweError::mismatch(operation, "shapes", left, right, "pack for this shape").into())
    }

    /// All scores, rescaled: L ciphertexts S_r.
    pub fn scores<B: Backend>(
        self,
        ev: &Evaluator<'_, B>,
        q: &Ciphertext<B>,
        k: &Ciphertext<B>,
    ) -> Result<Ciphertext<B>> {
        self.check("scores", q, self.items())?;
        self.check("scores", k, self.items())?;
        let turned = ev.rotate_hoisted(k, &self.turns())?;
        let pairs: Vec<_> = turned.iter().map(|k| (q, k)).collect();
        let mut sum = ev.relinearise_rescale(&ev.inner_products(&pairs)?)?;
        for step in self.folds() {
            let turned = ev.rotate(&sum, step)?;
            ev.add_assign(&mut sum, &turned)?;
        }
        Ok(sum)
    }

    /// The sums of values weighted by p, L ciphertexts in the order of `scores`; rescaled. Slots of no query hold anything.
    pub fn weighted_sum<B: Backend>(
        self,
        ev: &Evaluator<'_, B>,
        p: &Ciphertext<B>,
        v: &Ciphertext<B>,
    ) -> Result<Ciphertext<B>> {
        self.check("weighted_sum", p, self.keys)?;
        self.check("weighted_sum", v, self.items())?;
        let turned = ev.concat(&ev.rotate_hoisted(v, &self.turns())?)?;
        let parts = (0..self.items())
            .map(|c| turned.every(c, self.items(), self.keys))
            .collect::<Result<Vec<_>>>()?;
        let pairs: Vec<_> = parts.iter().map(|v| (p, v)).collect();
        ev.relinearise_rescale(&ev.inner_products(&pairs)?)
    }
}
