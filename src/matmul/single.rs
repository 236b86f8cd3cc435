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
//! ciphertexts, whose products are added before the relinearisation.
//!
//! Where m + L - 1 tokens are more than the slots, queries are cut into M tiles of m' and keys into K tiles of L' tokens with m' + L' - 1 of
//! them at most. Of all cuts of keys into K = 1, 2, 4, .. even tiles that one is taken which has the fewest key switches and ciphertexts
//! together. Keys that fill up the last tile are zeros, and so are their values: their scores are 0, and whatever a function makes of
//! these, nothing of it is in the sums, which are added over tiles before the relinearisation.
//!
//! For c ciphertexts of a tile:
//!
//! | | hoisted rotations | relinearisations | rotations |
//! |---|---|---|---|
//! | scores | K c (L' - 1) | M K L' | M K L' log2 F |
//! | sums | K c (L' - 1) | M c | |

use super::{
    column::inner_products,
    demands::Demands,
    tiled::{MOST, check_length},
};
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
    /// m' and L'.
    tile: (usize, usize),
    /// T.
    stride: usize,
    /// F, a power of two.
    width: usize,
}

impl SingleAttention {
    /// m queries, L keys, d features, in ciphertexts of at most `slots` slots, a power of two.
    pub fn new(queries: usize, keys: usize, features: usize, slots: usize) -> Result<Self> {
        let refused = |wanted: String, remedy| {
            let given = format!("{queries} queries, {keys} keys, {features} features");
            Err(RlweError::mismatch("attention of one request", "shapes", given, wanted, remedy).into())
        };
        if queries == 0 || keys == 0 || features == 0 || !slots.is_power_of_two() {
            return refused(
                format!("at least 1 each, {slots} slots"),
                "slots are a power of two",
            );
        }
        let sizes = [(queries, features), (keys, features), (queries, keys)];
        if sizes
            .into_iter()
            .any(|(a, b)| a.checked_mul(b).is_none_or(|n| n > MOST))
        {
            return refused(format!("at most {MOST} numbers or scores"), "split the product");
        }
        let of = |tile: (usize, usize)| {
            let stride = (tile.0 + tile.1 - 1).next_power_of_two();
            Self {
                queries,
                keys,
                features,
                tile,
                stride,
                width: features.next_power_of_two().min((slots / stride).max(1)),
            }
        };
        if queries + keys - 1 <= slots {
            return Ok(of((queries, keys)));
        }
        let cuts = (0..=keys.ilog2() + 1).map(|i| keys.div_ceil(1 << i));
        let fits = cuts.filter(|each| *each <= slots).map(|each| {
            // Even tiles of as many queries as there is room for.
            let tiles = queries.div_ceil(slots - each + 1);
            of((queries.div_ceil(tiles), each))
        });
        // A tile of one key always fits.
        Ok(fits.min_by_key(|s| s.work()).unwrap_or_else(|| of((1, 1))))
    }

    /// Key switches, and ciphertexts of queries, keys and values.
    fn work(self) -> usize {
        let (rotations, relinearisations) = self.key_switches();
        let ciphertexts = self.items() * (self.query_tiles() + 2 * self.key_tiles());
        rotations + relinearisations + ciphertexts
    }

    /// Slots of a ciphertext.
    pub fn slots(self) -> usize {
        self.stride * self.width
    }

    /// Ciphertexts of a tile of queries, of keys, or of values.
    pub fn items(self) -> usize {
        self.features.div_ceil(self.width)
    }

    /// Tiles of queries, M.
    pub fn query_tiles(self) -> usize {
        self.queries.div_ceil(self.tile.0)
    }

    /// Tiles of keys and of values, K.
    pub fn key_tiles(self) -> usize {
        self.keys.div_ceil(self.tile.1)
    }

    /// Queries, `[m][d]`, as slots of `query_tiles` times `items` ciphertexts, tile after tile.
    pub fn pack_queries(self, values: &[f64]) -> Result<Vec<Complex>> {
        let each = self.tile.0;
        self.pack("pack_queries", values, (self.queries, each), each)
    }

    /// Keys or values, `[L][d]`, as slots of `key_tiles` times `items` ciphertexts, tile after tile.
    pub fn pack_keys(self, values: &[f64]) -> Result<Vec<Complex>> {
        let (queries, each) = self.tile;
        self.pack("pack_keys", values, (self.keys, each), queries + each - 1)
    }

    /// Tiles of `each` tokens, repeated up to `filled` of them.
    fn pack(
        self,
        operation: &'static str,
        values: &[f64],
        (tokens, each): (usize, usize),
        filled: usize,
    ) -> Result<Vec<Complex>> {
        check_length(operation, values.len(), tokens * self.features)?;
        let of_tile = self.items() * self.slots();
        let mut slots = vec![Complex::default(); tokens.div_ceil(each) * of_tile];
        for (i, x) in values.iter().enumerate() {
            let (token, feature) = (i / self.features, i % self.features);
            // Ciphertexts hold whole features one after the other: feature f begins at f T.
            let first = token / each * of_tile + feature * self.stride;
            for t in (token % each..filled).step_by(each) {
                if let Some(slot) = slots.get_mut(first + t) {
                    *slot = Complex::from(*x);
                }
            }
        }
        Ok(slots)
    }

    /// Where `scores` puts q_t . k_u: (item, slot); every later feature of the item repeats it.
    pub fn score_place(self, t: usize, u: usize) -> (usize, usize) {
        let (queries, each) = self.tile;
        let pair = t / queries * self.key_tiles() + u / each;
        let (t, u) = (t % queries, u % each);
        (pair * each + (u + each - t % each) % each, t)
    }

    /// Results of `weighted_sum`, `[m][d]`, from the slots of `query_tiles` times `items` ciphertexts.
    pub fn unpack(self, slots: &[Complex]) -> Result<Vec<f64>> {
        let of_tile = self.items() * self.slots();
        check_length("unpack", slots.len(), self.query_tiles() * of_tile)?;
        let of = |i: usize| {
            let (token, feature) = (i / self.features, i % self.features);
            let first = token / self.tile.0 * of_tile + feature * self.stride;
            slots.get(first + token % self.tile.0).map_or(f64::NAN, |z| z.re)
        };
        Ok((0..self.queries * self.features).map(of).collect())
    }

    fn turns(self) -> Vec<i64> {
        (0..self.tile.1 as i64).collect()
    }

    /// F.
    pub(super) fn width(self) -> usize {
        self.width
    }

    /// Keys, with those of padding.
    pub(super) fn padded_keys(self) -> usize {
        self.key_tiles() * self.tile.1
    }

    /// Rotations that add the features of a ciphertext.
    pub(super) fn folds(self) -> impl Iterator<Item = i64> {
        (0..self.width.trailing_zeros()).map(move |i| (self.stride << i) as i64)
    }

    /// The keys of `scores` and `weighted_sum`.
    pub fn keys(self, needs: KeyNeeds) -> KeyNeeds {
        needs.relinearise().rotate(self.turns()).rotate(self.folds())
    }

    /// Key switches of `scores` and `weighted_sum` together: (rotations, relinearisations).
    pub fn key_switches(self) -> (usize, usize) {
        let (m, k, each) = (self.query_tiles(), self.key_tiles(), self.tile.1);
        let scores = m * k * each;
        let folds = scores * self.width.trailing_zeros() as usize;
        (
            2 * k * self.items() * (each - 1) + folds,
            scores + m * self.items(),
        )
    }

    /// All scores, rescaled: L' ciphertexts S_r for each tile of queries and each of keys, `[query tile][key tile][r]`.
    ///
    /// Errors, before any work: operands that do not fit, no level left, a missing key.
    pub fn scores<B: Backend>(
        self,
        ev: &Evaluator<'_, B>,
        q: &Ciphertext<B>,
        k: &Ciphertext<B>,
    ) -> Result<Ciphertext<B>> {
        let (m, n, items) = (self.query_tiles(), self.key_tiles(), self.items());
        let demands = Demands::new(ev, "scores");
        demands.shape(q, m * items, self.slots())?;
        demands.shape(k, n * items, self.slots())?;
        let below = demands.product(q, k)?;
        demands.rotations(k.level(), self.turns())?;
        demands.rotations(below, self.folds())?;
        let queries = (0..m)
            .map(|tile| q.slice(tile * items, items))
            .collect::<Result<Vec<_>>>()?;
        // [key tile][r]
        let mut turned = Vec::with_capacity(n * self.tile.1);
        for tile in 0..n {
            turned.extend(ev.rotate_hoisted(&k.slice(tile * items, items)?, &self.turns())?);
        }
        let mut sum = inner_products(ev, &queries, &turned)?;
        for step in self.folds() {
            let turned = ev.rotate(&sum, step)?;
            ev.add_assign(&mut sum, &turned)?;
        }
        Ok(sum)
    }

    /// The sums of values weighted by p, in the order of `scores`; rescaled, `query_tiles` times `items` ciphertexts. Slots of no query
    /// hold anything.
    ///
    /// Errors, before any work: operands that do not fit, no level left, a missing key.
    pub fn weighted_sum<B: Backend>(
        self,
        ev: &Evaluator<'_, B>,
        p: &Ciphertext<B>,
        v: &Ciphertext<B>,
    ) -> Result<Ciphertext<B>> {
        let (m, n, items) = (self.query_tiles(), self.key_tiles(), self.items());
        let of_tile = n * self.tile.1;
        let demands = Demands::new(ev, "weighted_sum");
        demands.shape(p, m * of_tile, self.slots())?;
        demands.shape(v, n * items, self.slots())?;
        demands.product(p, v)?;
        demands.rotations(v.level(), self.turns())?;
        // [key tile][r][ciphertext of the tile]
        let mut turned = Vec::with_capacity(of_tile);
        for tile in 0..n {
            turned.extend(ev.rotate_hoisted(&v.slice(tile * items, items)?, &self.turns())?);
        }
        let turned = ev.concat(&turned)?;
        let values = (0..items)
            .map(|c| turned.every(c, items, of_tile))
            .collect::<Result<Vec<_>>>()?;
        let weights = (0..m)
            .map(|tile| p.slice(tile * of_tile, of_tile))
            .collect::<Result<Vec<_>>>()?;
        inner_products(ev, &weights, &values)
    }
}
