//! Attention with PowerSoftmax (arXiv 2410.09457) in column packing.
//!
//!   q, k, v = affine(x);  y_tu = (q_t . k_u / R)^p / L;  o_t = (sum_u y_tu v_u) / (eps + sum_u y_tu);  result = affine(o).
//!
//! The division comes after the sum over tokens: the powers alone are L ciphertexts wide, the reciprocal is one a head, and the last
//! product one a feature. 1/sqrt(d) is folded into the affine maps. Levels: one for the scores, those of
//! [`PowerSoftmax`](crate::circuit::functions::PowerSoftmax) for the rest; the sums over values are ready long before the reciprocal is.

use crate::{
    backend::Backend,
    circuit::{Arithmetic, CircuitError, Encrypted, Result, functions::PowerSoftmax},
    ckks::{Ciphertext, Evaluator},
    matmul::{ColumnWeights, Columns},
    rlwe::{KeyNeeds, Params},
    transformer::{Progress, Stage},
};

/// Multi-head attention with its weights.
#[derive(Clone, Debug)]
pub struct PowerAttention {
    /// The packing.
    pub columns: Columns,
    /// Heads; the features of the projections are split evenly among them.
    pub heads: usize,
    /// The normalisation, over as many items as there are tokens.
    pub softmax: PowerSoftmax,
    /// x to queries.
    pub query: ColumnWeights,
    /// x to keys.
    pub key: ColumnWeights,
    /// x to values.
    pub value: ColumnWeights,
    /// Heads to features.
    pub output: ColumnWeights,
}

impl PowerAttention {
    /// Levels that it uses at the most, if scores come at about the canonical scale.
    pub fn depth(&self) -> u32 {
        1 + self.softmax.most_depth()
    }

    /// The keys that `forward` uses, for an input at the top level.
    pub fn keys(&self, params: &Params) -> KeyNeeds {
        self.columns.attention_keys(KeyNeeds::new(params))
    }

    /// Rotations of `forward`: those of products over tokens, and those of the weights' sums.
    pub fn rotations(&self) -> usize {
        let (products, _) = self.columns.attention_key_switches(self.width());
        self.heads * (products + self.giant() - 1)
    }

    /// Giant steps of products over tokens: each feature has a relinearisation of each.
    fn giant(&self) -> usize {
        self.columns.attention_key_switches(1).1 - self.columns.tokens()
    }

    /// For every token the sum of its weights, which [`Columns::scores`] orders: one ciphertext, at the same level and scale.
    fn summed<B: Backend>(&self, ev: &Evaluator<'_, B>, y: &Ciphertext<B>) -> Result<Ciphertext<B>> {
        let baby = self.columns.tokens() / self.giant();
        let mut m = Encrypted::new(ev);
        let mut total = m.sum_items(&y.slice(0, baby)?)?;
        for first in (baby..self.columns.tokens()).step_by(baby) {
            let sum = m.sum_items(&y.slice(first, baby)?)?;
            ev.add_assign(
                &mut total,
                &ev.rotate(&sum, (first * self.columns.batch()) as i64)?,
            )?;
        }
        Ok(total)
    }

    /// Features of a head.
    pub(super) fn width(&self) -> usize {
        self.query.outputs / self.heads.max(1)
    }

    /// What attention adds to x: one ciphertext a feature, up to [`depth`](Self::depth) levels down; the scale is that of the level times 2^w.
    ///
    /// x holds one ciphertext a feature at the canonical scale of its level.
    ///
    /// # Errors
    /// Too few levels, a missing key, before work starts; inputs of other shapes.
    pub fn forward<B: Backend>(
        &self,
        ev: &Evaluator<'_, B>,
        x: &Ciphertext<B>,
        progress: &mut Progress<'_>,
    ) -> Result<Ciphertext<B>> {
        if x.level().0 < self.depth() {
            return Err(CircuitError::Levels {
                operation: String::from("attention with PowerSoftmax"),
                level: x.level(),
                needed: self.depth(),
                remedy: String::from("encrypt at that level or above"),
            });
        }
        let needs = self
            .columns
            .attention_keys(KeyNeeds::new(ev.ckks().context().params()).up_to(x.level()));
        ev.keys()
            .check(ev.ckks().context(), "attention with PowerSoftmax", &needs)?;
        let mut m = Encrypted::new(ev);
        progress.expect(4 + 3 * self.heads);
        let q = progress.time(Stage::Projections, || self.query.apply(ev, x))?;
        let k = progress.time(Stage::Projections, || self.key.apply(ev, x))?;
        let mut values: Option<Ciphertext<B>> = None;
        let mut outputs = Vec::with_capacity(self.heads);
        for h in 0..self.heads {
            let of = |all: &Ciphertext<B>| all.slice(h * self.width(), self.width());
            let (q, k) = (of(&q)?, of(&k)?);
            let scores = progress.time(Stage::Qk, || self.columns.scores(ev, &q, &k))?;
            let (y, inverse) = progress.time_of(Stage::Sigma, || -> Result<_> {
                let y = self.softmax.powers_on(&mut m, &scores)?;
                let mean = self.summed(ev, &y)?;
                let inverse = self.softmax.reciprocal_on(&mut m, &mean)?;
                Ok((y, inverse))
            })?;
            let v = match values.take() {
                Some(values) => values,
                // At the level of the weights, which is known now.
                None => progress.time_of(Stage::Projections, || -> Result<_> {
                    let canonical = ev.ckks().scale(y.level())?.clone();
                    Ok(self.value.apply(ev, &ev.adjust(x, y.level(), &canonical)?)?)
                })?,
            };
            outputs.push(progress.time_of(Stage::Pv, || -> Result<_> {
                let sums = self.columns.weighted_sum(ev, &y, &of(&v)?)?;
                self.softmax.quotient_on(&mut m, &sums, &inverse)
            })?);
            values = Some(v);
        }
        let all = m.concat(&outputs)?;
        Ok(progress.time(Stage::Projections, || self.output.apply(ev, &all))?)
    }
}

#[cfg(all(test, feature = "fallback"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

    use super::*;
    use crate::{
        arith::Complex,
        backend::{cpu::Cpu, null::Null},
        circuit::{Circuit, Forecast},
        ckks::{Ckks, Release},
        ring::{ChainKind, ChainSpec, build},
        rlwe::{Context, EvaluationKeys, Level, Params, SecretKey, Spec},
        transformer::PlainAttention,
    };

    const BITS: u32 = 8;

    fn map(size: usize, seed: usize) -> ColumnWeights {
        let weight = |i: usize| ((i * 37 + seed * 91) % 257) as i16 - 128;
        ColumnWeights {
            outputs: size,
            inputs: size,
            weights: (0..size * size).map(weight).collect(),
            weight_bits: BITS,
            bias: (0..size).map(|i| 0.05 * i as f64 - 0.1).collect(),
        }
    }

    fn apply(map: &ColumnWeights, x: &[f64]) -> Vec<f64> {
        let unit = f64::from(1u32 << BITS).recip();
        let row = |o: usize| map.weights[o * map.inputs..][..map.inputs].iter().zip(x);
        let of = |o: usize| row(o).map(|(w, x)| f64::from(*w) * x).sum::<f64>() * unit + map.bias[o];
        (0..map.outputs).map(of).collect()
    }

    fn attention(tokens: usize, batch: usize, dim: usize, range: f64) -> PowerAttention {
        PowerAttention {
            columns: Columns::new(tokens, batch).unwrap(),
            heads: 2,
            softmax: PowerSoftmax::new(tokens, range, 4, 1e-2, 12.0).unwrap(),
            query: map(dim, 1),
            key: map(dim, 2),
            value: map(dim, 3),
            output: map(dim, 4),
        }
    }

    fn params(depth: u32) -> Params {
        let mut absorbed_bits = vec![0; depth as usize];
        *absorbed_bits.last_mut().unwrap() = 2 * BITS as i32;
        let spec = ChainSpec {
            log_n: 8,
            kind: ChainKind::Rational,
            scale_bits: vec![45.0; depth as usize + 1],
            absorbed_bits,
            base_bits: 65.0,
            digits: 3,
            special_margin_bits: 2.0,
            max_log2_qp: Some(4000.0),
        };
        let chain = build(&spec).unwrap();
        Params::insecure(Spec { chain }).unwrap()
    }

    #[test]
    fn heads_are_weighted_sums_with_powers_of_scores() {
        let (tokens, batch, dim) = (8, 16, 4);
        let columns = Columns::new(tokens, batch).unwrap();
        let slots = columns.slots();
        let x: Vec<f64> = (0..dim * slots)
            .map(|i| (i * i % 199) as f64 / 99.5 - 1.0)
            .collect();
        let plain = |a: &PowerAttention, largest: &mut f64| -> Vec<f64> {
            let mut result = vec![0.0; dim * slots];
            for b in 0..batch {
                let row = |t: usize| {
                    (0..dim)
                        .map(|c| x[c * slots + columns.slot(t, b)])
                        .collect::<Vec<_>>()
                };
                let all = |m: &ColumnWeights| (0..tokens).map(|t| apply(m, &row(t))).collect::<Vec<_>>();
                let (q, k, v) = (all(&a.query), all(&a.key), all(&a.value));
                for (t, q) in q.iter().enumerate() {
                    let mut o = vec![0.0; dim];
                    for h in 0..2 {
                        let of = 2 * h..2 * h + 2;
                        let product = |k: &Vec<f64>| of.clone().map(|i| q[i] * k[i]).sum::<f64>();
                        let scores: Vec<f64> = k.iter().map(product).collect();
                        *largest = scores.iter().fold(*largest, |m, s| m.max(s.abs()));
                        for (p, v) in a.softmax.reference(&scores).iter().zip(&v) {
                            of.clone().for_each(|i| o[i] += p * v[i]);
                        }
                    }
                    for (c, y) in apply(&a.output, &o).into_iter().enumerate() {
                        result[c * slots + columns.slot(t, b)] = y;
                    }
                }
            }
            result
        };
        let mut largest = 0.0;
        plain(&attention(tokens, batch, dim, 1.0), &mut largest);
        let a = attention(tokens, batch, dim, 1.05 * largest);
        let want = plain(&a, &mut largest);

        let params = params(a.depth());
        let ctx = Context::new(Cpu::poisoned(), params.clone()).unwrap();
        let ckks = Ckks::new(&ctx);
        let secret = SecretKey::generate(&ctx).unwrap();
        let keys = secret
            .evaluation_keys(&a.keys(&params))
            .unwrap()
            .expand(&ctx)
            .unwrap();
        let values: Vec<Complex> = x.iter().map(|x| (*x).into()).collect();
        let ct = ckks.encrypt(&secret, &values, dim, params.top()).unwrap();
        let ct = ct.expand(&ctx).unwrap();
        let ev = Evaluator::new(&ckks, &keys);
        let mut show = |_, _, _| ();
        let y = a.forward(&ev, &ct, &mut Progress::new(&mut show)).unwrap();
        assert_eq!((y.level(), y.items()), (Level(0), dim));
        let have = ckks
            .decrypt(&secret, &y)
            .unwrap()
            .release(Release::Owner)
            .unwrap();
        let worst = have
            .iter()
            .zip(&want)
            .map(|(a, b)| (*a - Complex::from(*b)).abs());
        let worst = worst.fold(0.0, f64::max);
        let most = want.iter().fold(0.0f64, |m, y| m.max(y.abs()));
        println!("largest error {worst:.1e} of {most:.2}, scores up to {largest:.2}");
        // The division is off by its bound, which the output map adds up over features.
        assert!(
            worst < a.softmax.error() * 4.0 * most + 1e-4,
            "{worst:e} of {most}"
        );

        // Keys are demanded before anything is computed.
        let refused = |needs: KeyNeeds, words: &str| {
            let keys = secret.evaluation_keys(&needs).unwrap().expand(&ctx).unwrap();
            let mut parts = 0;
            let mut count = |_, _, _| parts += 1;
            let ev = Evaluator::new(&ckks, &keys);
            let error = a.forward(&ev, &ct, &mut Progress::new(&mut count)).err().unwrap();
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(parts, 0);
        };
        let needs = || KeyNeeds::new(&params);
        refused(needs().relinearise().rotate([16]), "needs the key");
        refused(a.columns.attention_keys(needs().up_to(Level(1))), "level 1 only");

        // With the plain values beside it, a score out of range is named.
        let mut debug = |a: &PowerAttention, x: &[f64]| {
            a.forward_debug(&ev, &ct, x, &mut Progress::new(&mut show))
                .err()
                .unwrap()
        };
        let scores = |b: usize| PlainAttention::new(&a, &x, b).scores();
        let (mut place, mut most) = ((0, 0, 0), 0.0f64);
        for b in 0..batch {
            for (h, head) in scores(b).iter().enumerate() {
                for (t, row) in head.iter().enumerate() {
                    for (u, score) in row.iter().enumerate() {
                        if score.abs() > most {
                            (place, most) = ((h, columns.slot(t, b), u), score.abs());
                        }
                    }
                }
            }
        }
        assert!((most - largest).abs() < 1e-9, "{most} {largest}");
        // An interval that the largest score alone is outside of; its ends have 24 bits.
        let narrow = attention(tokens, batch, dim, most * (1.0 - 1e-6));
        let error = debug(&narrow, &x);
        let CircuitError::Outside {
            function,
            item,
            slot,
            value,
            ..
        } = &error
        else {
            panic!("{error}")
        };
        assert_eq!((*slot, *item), (place.1, place.2), "{error}");
        assert!(function.contains(&format!("head {}", place.0)), "{error}");
        assert!((value.re.abs() - most).abs() < 1e-12, "{error}");
        let error = debug(&a, &x[1..]);
        assert!(matches!(error, CircuitError::Mismatch { .. }), "{error}");

        let low = ev.drop_to(&ct, Level(a.depth() - 1));
        let low = low.unwrap_or_else(|_| {
            let level = Level(a.depth() - 1);
            ev.adjust(&ct, level, ckks.scale(level).unwrap()).unwrap()
        });
        let error = a.forward(&ev, &low, &mut Progress::new(&mut show)).err().unwrap();
        assert!(matches!(error, CircuitError::Levels { .. }), "{error}");
    }

    #[test]
    fn rotations_are_as_many_as_foretold() {
        for (tokens, batch) in [(8, 16), (4, 32), (16, 8)] {
            let a = attention(tokens, batch, 4, 2.0);
            let backend = Null::new();
            let ctx = Context::new(backend.clone(), params(a.depth())).unwrap();
            let ckks = Ckks::new(&ctx);
            let secret = SecretKey::generate(&ctx).unwrap();
            let needs = a.keys(ctx.params());
            let keys: EvaluationKeys<Null> = secret.evaluation_keys(&needs).unwrap().expand(&ctx).unwrap();
            let values = vec![Complex::default(); 4 * 128];
            let ct = ckks.encrypt(&secret, &values, 4, ctx.params().top()).unwrap();
            let ct = ct.expand(&ctx).unwrap();
            backend.reset();
            let mut show = |_, _, _| ();
            let ev = Evaluator::new(&ckks, &keys);
            a.forward(&ev, &ct, &mut Progress::new(&mut show)).unwrap();
            let switches = backend.counts().key_switches as usize;
            // The normalisation over items ends in a product an item; here it is one a feature.
            let scores = ckks.encrypt(
                &secret,
                &vec![Complex::default(); tokens * 128],
                tokens,
                Level(a.depth() - 1),
            );
            let mut forecast = Forecast::dry(ctx.params());
            let shape = forecast.like(&scores.unwrap().expand(&ctx).unwrap());
            a.softmax.run(&mut forecast, &[shape]).unwrap();
            let softmax = forecast.cost().relinearisations - tokens;
            let products = 2 * (tokens + softmax + 2 * a.giant() + 2);
            assert_eq!(switches, a.rotations() + products, "{tokens} tokens");
        }
    }
}
