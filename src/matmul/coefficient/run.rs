//! The server's part: products, summed in the evaluation domain, brought down and interleaved.

use super::{CoefficientError, Encrypted, Output, Plain, Plan, Result, Results};
use crate::{
    backend::Backend,
    bfv::{Bfv, BfvError, Ciphertext, Evaluator, interleaving_automorphisms},
    rlwe::{self, EvaluationKeys, MissingKey, SwitchKey},
};

/// Bytes of products, and of plain polynomials, that are made at a time: what caches hold, more or less. Encrypted operands are read
/// once for each time, so that as many bytes as they have are made at least.
pub(super) const AT_A_TIME: usize = 16 << 20;

impl Plan {
    /// Demands ciphertexts of one operand for every request.
    fn check_inputs<B: Backend>(
        &self,
        bfv: &Bfv<B>,
        what: &'static str,
        inputs: &[Ciphertext<B>],
        items: usize,
    ) -> Result<()> {
        let mismatch = |what, have: usize, wanted: usize, remedy| CoefficientError::Mismatch {
            operation: "multiply",
            what,
            have: have.to_string(),
            wanted: wanted.to_string(),
            remedy,
        };
        let requests = self.request().requests;
        if inputs.len() != requests {
            let remedy = "pass the ciphertexts of every request that the plan was made for";
            return Err(mismatch("requests", inputs.len(), requests, remedy));
        }
        for input in inputs {
            input.rlwe().check_context("multiply", bfv.context())?;
            if input.plain() != bfv.plain() {
                return Err(BfvError::Foreign {
                    operation: "multiply",
                    what: "the ciphertext",
                    theirs: input.plain().value(),
                    t: bfv.plain().value(),
                }
                .into());
            }
            if input.level() != self.levels().input {
                return Err(CoefficientError::Level {
                    operation: "multiply",
                    have: input.level(),
                    wanted: self.levels().input,
                });
            }
            let remedy = "encrypt the whole operand with `Plan::encrypt`";
            if input.items() != items {
                return Err(mismatch(what, input.items(), items, remedy));
            }
            if input.components() != 2 {
                return Err(mismatch("components", input.components(), 2, remedy));
            }
        }
        Ok(())
    }

    /// Demands every key that the plan needs, of every request.
    fn check_keys<B: Backend>(&self, bfv: &Bfv<B>, keys: &[&EvaluationKeys<B>]) -> Result<()> {
        let both = self.request().encrypted == Encrypted::Both;
        let (requests, levels) = (self.request().requests, self.levels());
        if self.output() == Output::Cut && !both {
            return Ok(());
        }
        if keys.len() != requests {
            return Err(CoefficientError::Mismatch {
                operation: "multiply",
                what: "evaluation keys",
                have: keys.len().to_string(),
                wanted: requests.to_string(),
                remedy: "pass the keys of every request, in the order of the requests",
            });
        }
        let reaches = |key: &SwitchKey<B>, wanted| -> Result<()> {
            Ok(bfv.context().check_key("multiply", wanted, key)?)
        };
        for keys in keys {
            if both {
                reaches(keys.relinearisation("multiply")?, levels.input)?;
            }
            if self.output() == Output::Packed {
                let log_n = self.params().rlwe().log_n();
                for g in interleaving_automorphisms(log_n, self.block().inner) {
                    let key = keys.galois("multiply", g)?;
                    debug_assert!(key.purpose() == MissingKey::Galois(g));
                    reaches(key, levels.packing)?;
                }
            }
        }
        Ok(())
    }

    /// Columns of blocks that are worked on at a time, for `items` results a column and `inputs` ciphertexts that are read for them.
    pub(super) fn columns_at_a_time<B: Backend>(
        &self,
        bfv: &Bfv<B>,
        items: usize,
        inputs: usize,
    ) -> Result<usize> {
        let level = bfv.context().level("multiply", self.levels().input)?;
        Ok(self.columns_of_rows(level.rows.len(), items, inputs))
    }

    /// The same for polynomials of `rows` rows.
    pub(super) fn columns_of_rows(&self, rows: usize, items: usize, inputs: usize) -> usize {
        let poly = rows * 4 * self.params().degree();
        let most = AT_A_TIME.max(2 * inputs * poly);
        (most / (poly * self.tiles().k.max(2 * items))).clamp(1, self.tiles().n)
    }

    /// Products with a plain operand: `inputs` are the encrypted operands of all requests, `keys` their evaluation keys in the same
    /// order ([`Plan::keys`]; none are needed for cut results).
    ///
    /// Every product of polynomials is summed up in registers over the inner dimension, for all requests with one pass over the plain
    /// operand. What comes back is not yet fit for a client that must not learn the plain operand: see the module's page.
    pub fn multiply<B: Backend>(
        &self,
        bfv: &Bfv<B>,
        plain: &Plain<'_, B>,
        inputs: &[Ciphertext<B>],
        keys: &[&EvaluationKeys<B>],
    ) -> Result<Vec<Results<B>>> {
        self.check_scheme("multiply", bfv)?;
        let encrypted = self.request().encrypted;
        if encrypted == Encrypted::Both {
            let (operation, remedy) = ("multiply", "use `Plan::multiply_encrypted`");
            return Err(CoefficientError::Operand {
                operation,
                encrypted,
                remedy,
            });
        }
        if !plain.plan().same(self) {
            return Err(CoefficientError::Mismatch {
                operation: "multiply",
                what: "the plan of the weights",
                have: plain.plan().shape().to_string(),
                wanted: self.shape().to_string(),
                remedy: "encode the weights with this plan",
            });
        }
        let tiles = self.tiles();
        self.check_inputs(bfv, "ciphertexts of a request", inputs, tiles.m * tiles.k)?;
        self.check_keys(bfv, keys)?;
        let (ctx, none) = (bfv.context(), EvaluationKeys::none());
        let ev = Evaluator::new(bfv, &none);
        let all = match inputs {
            [one] => one.clone(),
            _ => ev.concat(inputs)?,
        };
        let rows = inputs.len() * tiles.m;
        let mut collectors = self.collectors(bfv, keys, &none, inputs.len());
        let (level, step) = (
            self.levels().input,
            self.columns_at_a_time(bfv, rows, rows * tiles.k)?,
        );
        for first in (0..tiles.n).step_by(step) {
            let columns = step.min(tiles.n - first);
            let products = plain.with_columns(bfv, first, columns, |plain| {
                let items = rows * columns;
                let inner = rlwe::Ciphertext::build(ctx, "multiply", level, items, 2, |dst| {
                    let (backend, tables) = (ctx.backend(), ctx.tables());
                    Ok(backend.block_product(tables, dst, all.rlwe().view(), plain, tiles.k)?)
                })?;
                Ok(Ciphertext::from_parts(inner, bfv.plain()))
            })?;
            let products = ev.switch_to(&products, self.levels().packing)?;
            for (request, collector) in collectors.iter_mut().enumerate() {
                for column in 0..columns {
                    let first = request * tiles.m * columns + column;
                    collector.push(products.every(first, columns, tiles.m)?)?;
                }
            }
        }
        plain.with_bias(bfv, |bias| {
            let results = collectors.into_iter().map(|collector| {
                let results = collector.finish()?;
                match bias {
                    Some(bias) => results.add(bfv, bias),
                    None => Ok(results),
                }
            });
            results.collect()
        })
    }

    /// Products of two encrypted operands, request by request; `keys` as for [`Plan::multiply`], with a relinearisation key each.
    pub fn multiply_encrypted<B: Backend>(
        &self,
        bfv: &Bfv<B>,
        left: &[Ciphertext<B>],
        right: &[Ciphertext<B>],
        keys: &[&EvaluationKeys<B>],
    ) -> Result<Vec<Results<B>>> {
        self.check_scheme("multiply_encrypted", bfv)?;
        let (encrypted, tiles) = (self.request().encrypted, self.tiles());
        if encrypted != Encrypted::Both {
            let (operation, remedy) = ("multiply_encrypted", "use `Plan::multiply`");
            return Err(CoefficientError::Operand {
                operation,
                encrypted,
                remedy,
            });
        }
        self.check_inputs(bfv, "ciphertexts of a left operand", left, tiles.m * tiles.k)?;
        self.check_inputs(bfv, "ciphertexts of a right operand", right, tiles.n * tiles.k)?;
        self.check_keys(bfv, keys)?;
        let none = EvaluationKeys::none();
        let step = self.columns_at_a_time(bfv, 2 * tiles.m, tiles.m * tiles.k)?;
        let mut collectors = self.collectors(bfv, keys, &none, left.len());
        for (((left, right), keys), collector) in left.iter().zip(right).zip(keys).zip(&mut collectors) {
            let ev = Evaluator::new(bfv, keys);
            for first in (0..tiles.n).step_by(step) {
                let columns = step.min(tiles.n - first);
                let right = right.slice(first * tiles.k, columns * tiles.k)?;
                let products = ev.relinearise(&ev.inner_products(left, &right, tiles.k)?)?;
                let products = ev.switch_to(&products, self.levels().packing)?;
                for column in 0..columns {
                    collector.push(products.every(column, columns, tiles.m)?)?;
                }
            }
        }
        collectors.into_iter().map(Collector::finish).collect()
    }

    fn collectors<'a, B: Backend>(
        &self,
        bfv: &Bfv<B>,
        keys: &[&'a EvaluationKeys<B>],
        none: &'a EvaluationKeys<B>,
        requests: usize,
    ) -> Vec<Collector<'a, B>> {
        let collector = |request: usize| Collector {
            plan: self.clone(),
            ev: Evaluator::new(bfv, keys.get(request).copied().unwrap_or(none)),
            waiting: Vec::new(),
            done: Vec::new(),
        };
        (0..requests).map(collector).collect()
    }
}

/// The results of one request, as they come: column of blocks after column, at the level of packing.
struct Collector<'k, B: Backend> {
    plan: Plan,
    ev: Evaluator<'k, B>,
    /// Sums that wait for others to be interleaved with.
    waiting: Vec<Ciphertext<B>>,
    done: Vec<Ciphertext<B>>,
}

impl<B: Backend> Collector<'_, B> {
    fn push(&mut self, sums: Ciphertext<B>) -> Result<()> {
        if self.plan.output() == Output::Cut {
            let level = self.plan.levels().output;
            self.done.push(self.ev.switch_to(&sums, level)?);
            return Ok(());
        }
        let (mut sums, group) = (sums, self.plan.block().inner);
        loop {
            let waiting: usize = self.waiting.iter().map(Ciphertext::items).sum();
            let wanted = group - waiting;
            if sums.items() < wanted {
                self.waiting.push(sums);
                return Ok(());
            }
            self.waiting.push(sums.slice(0, wanted)?);
            self.merge()?;
            if sums.items() == wanted {
                return Ok(());
            }
            sums = sums.slice(wanted, sums.items() - wanted)?;
        }
    }

    /// Interleaves what waits.
    fn merge(&mut self) -> Result<()> {
        let group = self.ev.concat(&self.waiting)?;
        self.waiting.clear();
        self.done
            .push(self.ev.interleave(&group, self.plan.block().inner)?);
        Ok(())
    }

    fn finish(mut self) -> Result<Results<B>> {
        if !self.waiting.is_empty() {
            self.merge()?;
        }
        let all = self.ev.concat(&self.done)?;
        Ok(Results {
            ct: self.ev.switch_to(&all, self.plan.levels().output)?,
            plan: self.plan,
        })
    }
}
