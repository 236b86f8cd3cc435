//! Errors of bootstraps, beside what was foretold: of one, of several in a row, of two rounds.

use std::collections::BTreeMap;

use crate::{
    arith::Complex,
    backend::Backend,
    circuit::bootstrap::{BootstrapKeys, Bootstrapper, Prediction, messages},
    ckks::{Ciphertext, Ckks, Release},
    cli::Failure,
    report::{Bits, Refined, Successive},
    rlwe::{Level, SecretKey},
};

/// How far below 1 the error of one bootstrap is to be, in bits, when it is multiplied for another.
const ROOM_BITS: f64 = 2.0;

/// What is bootstrapped several times in a row, and in two rounds.
const LONG_KINDS: [&str; 2] = ["random", "searched"];

/// A message with its name.
pub(super) type Message = (&'static str, Vec<Complex>);

/// Errors of slots, added up.
#[derive(Clone, Copy, Default)]
pub(super) struct Errors {
    squares: f64,
    count: usize,
    largest: f64,
}

impl Errors {
    /// Minus log2 of the root of the mean square, and of the largest.
    pub(super) fn bits(&self) -> Bits {
        Bits {
            mean: -(self.squares / self.count as f64).sqrt().log2(),
            worst: -self.largest.log2(),
        }
    }
}

fn bits(prediction: Prediction) -> Bits {
    let Prediction { mean, worst } = prediction;
    Bits { mean, worst }
}

/// A bootstrap, its keys and the secret key.
pub(super) struct Bench<'a, B: Backend> {
    pub(super) ckks: &'a Ckks<B>,
    pub(super) secret: &'a SecretKey<B>,
    pub(super) bootstrapper: &'a Bootstrapper<B>,
    pub(super) keys: &'a BootstrapKeys<B>,
}

impl<B: Backend> Bench<'_, B> {
    /// Messages of a run: those of every bootstrap, and the one that `searched_message` found for this one.
    pub(super) fn messages(&self, run: usize, searched: &[Complex]) -> Vec<Message> {
        let usual = messages(self.bootstrapper.spec().slots, run).into_iter();
        usual.chain([("searched", searched.to_vec())]).collect()
    }

    pub(super) fn encrypt(&self, values: &[Complex], level: Level) -> Result<Ciphertext<B>, Failure> {
        let fresh = self.ckks.encrypt(self.secret, values, 1, level)?;
        Ok(fresh.expand(self.ckks.context())?)
    }

    /// Adds the errors of a ciphertext of `values`.
    pub(super) fn add(
        &self,
        errors: &mut Errors,
        ct: &Ciphertext<B>,
        values: &[Complex],
    ) -> Result<(), Failure> {
        let have = self.ckks.decrypt(self.secret, ct)?.release(Release::Owner)?;
        for (have, want) in have.iter().zip(values) {
            let error = (*have - *want).abs();
            errors.squares += error * error;
            errors.largest = errors.largest.max(error);
        }
        errors.count += values.len();
        Ok(())
    }

    /// Of every kind of message, as `runs` bootstraps of each are foretold.
    pub(super) fn foretold(
        &self,
        messages: &[Message],
        runs: usize,
    ) -> Result<BTreeMap<&'static str, Bits>, Failure> {
        let of = |(kind, values): &Message| Ok((*kind, bits(self.bootstrapper.predict(values, runs)?)));
        messages.iter().map(of).collect()
    }

    /// After each of `count` bootstraps of one ciphertext.
    pub(super) fn successive(
        &self,
        messages: &[Message],
        count: usize,
        done: impl Fn(),
    ) -> Result<BTreeMap<&'static str, Vec<Successive>>, Failure> {
        let mut all = BTreeMap::new();
        if count == 0 {
            return Ok(all);
        }
        for (kind, values) in messages.iter().filter(|(kind, _)| LONG_KINDS.contains(kind)) {
            let mut ct = self.encrypt(values, self.bootstrapper.spec().input_level())?;
            let mut row = Vec::with_capacity(count);
            for bootstraps in 1..=count {
                ct = self.bootstrapper.bootstrap(self.keys, &ct)?;
                let mut errors = Errors::default();
                self.add(&mut errors, &ct, values)?;
                let predicted = self.bootstrapper.predict_successive(values, bootstraps, 1)?;
                row.push(Successive {
                    bootstraps,
                    precision_bits: errors.bits(),
                    predicted_bits: bits(predicted),
                });
                done();
            }
            all.insert(*kind, row);
        }
        Ok(all)
    }

    /// Of two rounds with the first one's error times 2^`power`: of messages whose worst slot is foretold to stay below 1 then.
    pub(super) fn refined(
        &self,
        messages: &[Message],
        power: u32,
        done: impl Fn(),
    ) -> Result<Refined, Failure> {
        let level = Level(self.bootstrapper.spec().input_level().0 + 1);
        let (mut precision, mut predicted) = (BTreeMap::new(), BTreeMap::new());
        for (kind, values) in messages.iter().filter(|(kind, _)| LONG_KINDS.contains(kind)) {
            if self.bootstrapper.predict(values, 1)?.worst < f64::from(power) + ROOM_BITS {
                continue;
            }
            let ct = self.encrypt(values, level)?;
            let out = self.bootstrapper.bootstrap_refined(self.keys, &ct, power)?;
            let mut errors = Errors::default();
            self.add(&mut errors, &out, values)?;
            precision.insert(*kind, errors.bits());
            predicted.insert(*kind, bits(self.bootstrapper.predict_refined(values, power, 1)?));
            done();
        }
        Ok(Refined {
            power,
            precision_bits: precision,
            predicted_bits: predicted,
        })
    }
}
