//! Attention in column packing for any numbers of queries, keys and requests: tiles, padded with zeros.
//!
//! m queries and l keys of R requests, d features. With N/2 slots,
//!
//! ```text
//! B = 2^ceil(log2 R)      P = min(2^ceil(log2 l), N/2B)      L = min(max(2^ceil(log2 m), P), N/2B)
//! ```
//!
//! queries go into M = ceil(m/L) tiles of L tokens, keys and values into K = ceil(l/P) tiles of P tokens that repeat up to L. A tile of
//! queries and one of keys are a product of [`Columns`], and what a tile has turned serves all tiles of the other kind. Weighted sums are
//! added over the tiles of keys before they are relinearised. With s baby steps:
//!
//! | | rotations | relinearisations |
//! |---|---|---|
//! | scores | M d (P/s - 1) + K d (s - 1) | M K P |
//! | sums | K d (s - 1) + M d (P/s - 1) | M d P/s |
//!
//! Padding: scores with a query or a key that is none are 0. A function f of scores makes f(0) of them, but values of no key are zeros, so
//! that weighted sums have nothing of them, whatever f is: no mask is needed, and no level. What needs a sum of f over the keys itself, such as
//! a softmax, has (K P - l) f(0) too much in every row, a public number. Values that a circuit makes with a bias are not zero where there is no
//! key: add the bias times [`key_slots`](TiledColumns::key_slots), as a plaintext.

use super::{Columns, column::inner_products, demands::Demands};
use crate::{
    arith::Complex,
    backend::Backend,
    ckks::{Ciphertext, CkksError, Evaluator, Result},
    rlwe::{KeyNeeds, RlweError},
};

/// Numbers of an operand, and scores, at most.
pub(super) const MOST: usize = 1 << 32;

/// m queries and l keys of d features, for R requests, in column packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TiledColumns {
    columns: Columns,
    queries: usize,
    keys: usize,
    features: usize,
    requests: usize,
}

impl TiledColumns {
    /// `queries` and `keys` of `requests` requests, `features` features, in ciphertexts of at most `slots` slots, a power of two.
    pub fn new(queries: usize, keys: usize, features: usize, requests: usize, slots: usize) -> Result<Self> {
        let operation = "attention in column packing";
        let given = || format!("{queries} queries, {keys} keys, {features} features x {requests} requests");
        let refused = |wanted: String, remedy| {
            Err(RlweError::mismatch(operation, "shapes", given(), wanted, remedy).into())
        };
        let all = [queries, keys, features, requests];
        if all.contains(&0) || !slots.is_power_of_two() {
            return refused(
                format!("at least 1 each, {slots} slots"),
                "slots are a power of two",
            );
        }
        let numbers = |a: usize, b: usize| a.checked_mul(b)?.checked_mul(requests);
        let sizes = [(queries, features), (keys, features), (queries, keys)];
        if sizes
            .into_iter()
            .any(|(a, b)| numbers(a, b).is_none_or(|n| n > MOST))
        {
            return refused(format!("at most {MOST} numbers or scores"), "split the requests");
        }
        let batch = requests.next_power_of_two();
        if batch > slots {
            return refused(
                format!("{slots} slots"),
                "split the requests, or use a larger ring",
            );
        }
        let most = slots / batch;
        let period = keys.next_power_of_two().min(most);
        let tokens = queries.next_power_of_two().max(period).min(most);
        Ok(Self {
            columns: Columns::with_keys(tokens, period, batch)?,
            queries,
            keys,
            features,
            requests,
        })
    }

    /// The shape of a tile.
    pub fn columns(self) -> Columns {
        self.columns
    }

    /// Features d.
    pub(super) fn features(self) -> usize {
        self.features
    }

    /// Tiles of queries, M.
    pub fn query_tiles(self) -> usize {
        self.queries.div_ceil(self.columns.tokens())
    }

    /// Tiles of keys and of values, K.
    pub fn key_tiles(self) -> usize {
        self.keys.div_ceil(self.columns.keys())
    }

    /// Queries, `[request][m][d]`, as slots of M d ciphertexts, `[tile][feature]`.
    pub fn pack_queries(self, values: &[f64]) -> Result<Vec<Complex>> {
        self.pack("pack_queries", values, self.queries, self.columns.tokens())
    }

    /// Keys or values, `[request][l][d]`, as slots of K d ciphertexts, `[tile][feature]`.
    pub fn pack_keys(self, values: &[f64]) -> Result<Vec<Complex>> {
        self.pack("pack_keys", values, self.keys, self.columns.keys())
    }

    /// `each` tokens of a tile, repeated to fill it.
    fn pack(
        self,
        operation: &'static str,
        values: &[f64],
        tokens: usize,
        each: usize,
    ) -> Result<Vec<Complex>> {
        check_length(operation, values.len(), self.requests * tokens * self.features)?;
        let slots = self.columns.slots();
        let mut all = vec![Complex::default(); tokens.div_ceil(each) * self.features * slots];
        for (i, x) in values.iter().enumerate() {
            let (row, feature) = (i / self.features, i % self.features);
            let (request, token) = (row / tokens, row % tokens);
            let first = (token / each * self.features + feature) * slots;
            for t in (token % each..self.columns.tokens()).step_by(each) {
                if let Some(slot) = all.get_mut(first + self.columns.slot(t, request)) {
                    *slot = Complex::from(*x);
                }
            }
        }
        Ok(all)
    }

    /// 1 in the slots of tokens of keys and values, 0 in those of padding: K plaintexts, one a tile.
    pub fn key_slots(self) -> Vec<Complex> {
        let each = self.columns.keys();
        let one = |i: usize| {
            let (tile, slot) = (i / self.columns.slots(), i % self.columns.slots());
            let (token, request) = (slot / self.columns.batch(), slot % self.columns.batch());
            let inside = tile * each + token % each < self.keys && request < self.requests;
            Complex::from(if inside { 1.0 } else { 0.0 })
        };
        (0..self.key_tiles() * self.columns.slots()).map(one).collect()
    }

    /// Where `scores` puts the score of query t and key u of a request: (item, slot).
    pub fn score_place(self, t: usize, u: usize, request: usize) -> (usize, usize) {
        let (tokens, each) = (self.columns.tokens(), self.columns.keys());
        let (diagonal, token) = self.columns.score_place(t % tokens, u % each);
        let pair = t / tokens * self.key_tiles() + u / each;
        (pair * each + diagonal, self.columns.slot(token, request))
    }

    /// Results of `weighted_sum`, `[request][m][d]`, from the slots of M d ciphertexts.
    pub fn unpack(self, slots: &[Complex]) -> Result<Vec<f64>> {
        let tokens = self.columns.tokens();
        let wanted = self.query_tiles() * self.features * self.columns.slots();
        check_length("unpack", slots.len(), wanted)?;
        let of = |i: usize| {
            let (row, feature) = (i / self.features, i % self.features);
            let (request, t) = (row / self.queries, row % self.queries);
            let item = t / tokens * self.features + feature;
            let at = item * self.columns.slots() + self.columns.slot(t % tokens, request);
            slots.get(at).map_or(f64::NAN, |z| z.re)
        };
        Ok((0..self.requests * self.queries * self.features)
            .map(of)
            .collect())
    }

    /// The keys of `scores` and `weighted_sum`.
    pub fn needs(self, needs: KeyNeeds) -> KeyNeeds {
        self.columns.attention_keys(needs)
    }

    /// Key switches of `scores` and `weighted_sum` together: (rotations, relinearisations).
    pub fn key_switches(self) -> (usize, usize) {
        let (m, k, d) = (self.query_tiles(), self.key_tiles(), self.features);
        let (baby, giant) = (self.columns.baby(), self.columns.giant());
        (
            2 * d * (m * (giant - 1) + k * (baby - 1)),
            m * k * self.columns.keys() + m * d * giant,
        )
    }

    /// All scores, rescaled: P ciphertexts for each tile of queries and each of keys, `[query tile][key tile][diagonal]`.
    ///
    /// Errors, before any work: operands that do not fit, no level left, a missing key.
    pub fn scores<B: Backend>(
        self,
        ev: &Evaluator<'_, B>,
        q: &Ciphertext<B>,
        k: &Ciphertext<B>,
    ) -> Result<Ciphertext<B>> {
        let (m, n, d) = (self.query_tiles(), self.key_tiles(), self.features);
        let demands = Demands::new(ev, "scores");
        demands.shape(q, m * d, self.columns.slots())?;
        demands.shape(k, n * d, self.columns.slots())?;
        self.columns.check_scores(ev, q, k)?;
        let turned_k = tiles(k, n, d)?
            .iter()
            .map(|k| self.columns.turned_keys(ev, k))
            .collect::<Result<Vec<_>>>()?;
        let mut all = Vec::with_capacity(m * n);
        for q in tiles(q, m, d)? {
            let turned_q = self.columns.turned_queries(ev, &q)?;
            for turned_k in &turned_k {
                all.push(inner_products(ev, &turned_q, turned_k)?);
            }
        }
        ev.concat(&all)
    }

    /// The sums of values weighted by p (as `scores` orders it), rescaled: M d ciphertexts, `[query tile][feature]`.
    ///
    /// Errors, before any work: operands that do not fit, no level left, a missing key.
    pub fn weighted_sum<B: Backend>(
        self,
        ev: &Evaluator<'_, B>,
        p: &Ciphertext<B>,
        v: &Ciphertext<B>,
    ) -> Result<Ciphertext<B>> {
        let (m, n, d) = (self.query_tiles(), self.key_tiles(), self.features);
        let (each, baby) = (self.columns.keys(), self.columns.baby());
        let demands = Demands::new(ev, "weighted_sum");
        demands.shape(p, m * n * each, self.columns.slots())?;
        demands.shape(v, n * d, self.columns.slots())?;
        self.columns.check_weighted_sum(ev, p, v)?;
        // [key tile][baby step][feature]
        let mut turned = Vec::with_capacity(n * baby);
        for v in tiles(v, n, d)? {
            turned.extend(self.columns.turned_keys(ev, &v)?);
        }
        let turned = ev.concat(&turned)?;
        let mut sums = Vec::with_capacity(m);
        for tile in 0..m {
            // Of a giant step: [key tile][baby step].
            let step = |g: usize| -> Result<Ciphertext<B>> {
                let of = |key_tile: usize| p.slice((tile * n + key_tile) * each + g * baby, baby);
                ev.concat(&(0..n).map(of).collect::<Result<Vec<_>>>()?)
            };
            let weights = (0..self.columns.giant()).map(step).collect::<Result<Vec<_>>>()?;
            sums.push(self.columns.sum_giant_steps(ev, &weights, &turned, baby, d)?);
        }
        ev.concat(&sums)
    }
}

/// `count` tiles of `each` items.
fn tiles<B: Backend>(x: &Ciphertext<B>, count: usize, each: usize) -> Result<Vec<Ciphertext<B>>> {
    (0..count).map(|i| x.slice(i * each, each)).collect()
}

/// Demands so many numbers.
pub(super) fn check_length(operation: &'static str, given: usize, wanted: usize) -> Result<()> {
    if given == wanted {
        return Ok(());
    }
    Err(CkksError::Length {
        operation,
        given,
        wanted: wanted.to_string(),
        remedy: "pass the whole matrix of every request, row after row",
    })
}
