//! The training loop: AdamW with a warm-up and a cosine, then exact batch statistics.

use std::time::Instant;

use candle_core::{Device, Tensor};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use cipherformer::model::{CLASSES, SYMBOLS, WINDOW};

use super::{
    corpus::Language,
    network::{Network, cross_entropy},
    rng::Rng,
    sampler::{Words, example},
};

/// What a training run is given.
#[derive(Clone, Copy)]
pub struct Settings {
    /// Steps of the optimiser.
    pub steps: usize,
    /// Windows per step.
    pub batch: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// Highest learning rate.
    pub rate: f64,
    /// Weight of the range penalty.
    pub penalty: f64,
    /// Whether the attention term is there.
    pub attention: bool,
}

/// Steps over which the learning rate rises.
const WARM_UP: usize = 100;
/// How far running statistics move towards those of a batch.
const MOMENTUM: f64 = 0.1;
/// Batches over which the final statistics are averaged.
const STATISTICS: usize = 100;

/// What a training run gives.
pub struct Fitted {
    /// The network.
    pub network: Network,
    /// Its mean loss over the last 100 steps.
    pub loss: f64,
    /// The words of the texts drawn for the steps.
    pub words: Words,
}

/// Trains a network; the same settings give the same network.
pub fn fit(languages: &[Language], settings: &Settings) -> Result<Fitted, String> {
    let failed = |e: candle_core::Error| format!("training failed: {e}");
    let mut rng = Rng::new(settings.seed);
    let mut network = Network::new(settings.attention, &mut rng).map_err(failed)?;
    let parameters = ParamsAdamW {
        lr: settings.rate,
        weight_decay: 0.05,
        ..ParamsAdamW::default()
    };
    let mut optimiser = AdamW::new(network.variables(), parameters).map_err(failed)?;
    let start = Instant::now();
    let mut shown = (0.0, 0.0);
    let mut last = f64::NAN;
    let mut words = Words::default();
    for step in 0..settings.steps {
        let warm = ((step + 1) as f64 / WARM_UP as f64).min(1.0);
        let cosine = 0.5 + 0.5 * (std::f64::consts::PI * step as f64 / settings.steps as f64).cos();
        optimiser.set_learning_rate(settings.rate * warm * cosine);
        let (first, second, target) = batch(languages, settings.batch, &mut rng, &mut words)?;
        let (loss, penalty) = (|| {
            let (logits, penalty) = network.forward(&first, &second, MOMENTUM)?;
            let loss = cross_entropy(&logits, &target)?;
            optimiser.backward_step(&(&loss + (&penalty * settings.penalty)?)?)?;
            Ok((loss.to_scalar::<f32>()?, penalty.to_scalar::<f32>()?))
        })()
        .map_err(failed)?;
        if !loss.is_finite() {
            return Err(format!("loss is {loss} at step {step}: lower the learning rate"));
        }
        shown = (shown.0 + f64::from(loss), shown.1 + f64::from(penalty));
        if (step + 1) % 100 == 0 {
            let seconds = start.elapsed().as_secs_f64();
            println!(
                "  step {:>5} of {}  loss {:.4}  excess {:.5}  {seconds:.0} s",
                step + 1,
                settings.steps,
                shown.0 / 100.0,
                shown.1 / 100.0
            );
            last = shown.0 / 100.0;
            shown = (0.0, 0.0);
        }
    }
    for count in 0..STATISTICS {
        let (first, second, _) = batch(languages, settings.batch, &mut rng, &mut Words::default())?;
        network
            .forward(&first, &second, 1.0 / (count + 1) as f64)
            .map_err(failed)?;
    }
    Ok(Fitted {
        network,
        loss: last,
        words,
    })
}

fn batch(
    languages: &[Language],
    size: usize,
    rng: &mut Rng,
    words: &mut Words,
) -> Result<(Tensor, Tensor, Tensor), String> {
    let mut first = Vec::with_capacity(size * WINDOW);
    let mut second = Vec::with_capacity(size * WINDOW);
    let mut targets = Vec::with_capacity(size * CLASSES);
    for _ in 0..size {
        let drawn = example(languages, rng)?;
        first.extend(drawn.window.iter().map(|t| u32::from(*t) / SYMBOLS as u32));
        second.extend(drawn.window.iter().map(|t| u32::from(*t) % SYMBOLS as u32));
        targets.extend(drawn.target);
        *words += drawn.words;
    }
    let tensors = (|| {
        Ok((
            Tensor::from_vec(first, (size, WINDOW), &Device::Cpu)?,
            Tensor::from_vec(second, (size, WINDOW), &Device::Cpu)?,
            Tensor::from_vec(targets, (size, CLASSES), &Device::Cpu)?,
        ))
    })();
    tensors.map_err(|e: candle_core::Error| format!("batch of {size}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::export::export;

    #[test]
    fn equal_seeds_give_equal_weights_and_others_do_not() {
        let list = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        let languages: Vec<Language> = (0..CLASSES)
            .map(|c| {
                let words = list(&"abc def ghi jkl mno pqr".replace('a', &"aeiouy"[c..=c]));
                Language::new("en", &words, &words, vec!["one two three four".to_owned()])
            })
            .collect();
        let weights = |seed| {
            let settings = Settings {
                steps: 3,
                batch: 4,
                seed,
                rate: 1e-3,
                penalty: 1.0,
                attention: true,
            };
            let network = fit(&languages, &settings).unwrap().network;
            export(&network, &[[0; WINDOW]])
                .unwrap()
                .to_safetensors()
                .unwrap()
        };
        assert_eq!(weights(1), weights(1));
        assert_ne!(weights(1), weights(2));
    }
}
