//! The network in training form: pre-norm batch normalisation, factored embedding, and a penalty on large values.
//!
//! `E[(a, b)] = first[a] + second[b] + pair[(a, b)]`, so that a rare pair learns from its two characters. Queries and
//! keys are scaled by `1 / d^(1/4)` each, attention by `1 / sqrt(L)`; `export` folds it all.

use candle_core::{D, Device, Result, Tensor, Var};
use cipherformer::model::{CLASSES, HEAD_WIDTH, HEADS, HIDDEN, SYMBOLS, VOCABULARY, WIDTH, WINDOW};

use super::rng::Rng;

/// Added to a batch variance before its root.
pub const EPSILON: f64 = 1e-5;

/// Largest magnitudes that cost nothing, in the units of the network: score, hidden, attended, residual, logits.
const FREE: [f64; 5] = [2.5, 2.5, 6.0, 5.0, 9.0];

/// A trained affine map.
pub struct Layer {
    /// `[outputs, inputs]`.
    pub weight: Var,
    /// `[outputs]`.
    pub bias: Var,
}

impl Layer {
    fn new(inputs: usize, outputs: usize, gain: f64, rng: &mut Rng) -> Result<Self> {
        let deviation = gain / (inputs as f64).sqrt();
        Ok(Self {
            weight: random(&[outputs, inputs], deviation, rng)?,
            bias: random(&[outputs], 0.0, rng)?,
        })
    }

    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        x.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)
    }
}

/// Running statistics of one batch normalisation, `[1, WIDTH]` each.
pub struct Norm {
    /// Mean of each feature.
    pub mean: Tensor,
    /// Variance of each feature.
    pub variance: Tensor,
}

/// The trained variables.
pub struct Network {
    /// `[SYMBOLS, WIDTH]`: the part of an embedding that the first character gives.
    pub first: Var,
    /// `[SYMBOLS, WIDTH]`: the part of the second character.
    pub second: Var,
    /// `[VOCABULARY, WIDTH]`: what is particular to the pair.
    pub pair: Var,
    /// Query, key, value, output, up, down, head.
    pub layers: [Layer; 7],
    /// `[1, HEADS, 1, 1]`.
    pub shift: Var,
    /// `[1, HEADS, 1, 1]`.
    pub offset: Var,
    /// Before attention, before the feed-forward layer, before the head.
    pub norms: [Norm; 3],
    /// False in the ablation: the attention term is left out.
    pub attention: bool,
}

/// Index into [`Network::layers`].
pub const QUERY: usize = 0;
/// Index into [`Network::layers`].
pub const KEY: usize = 1;
/// Index into [`Network::layers`].
pub const VALUE: usize = 2;
/// Index into [`Network::layers`].
pub const OUTPUT: usize = 3;
/// Index into [`Network::layers`].
pub const UP: usize = 4;
/// Index into [`Network::layers`].
pub const DOWN: usize = 5;
/// Index into [`Network::layers`].
pub const HEAD: usize = 6;

impl Network {
    /// A network with random weights.
    pub fn new(attention: bool, rng: &mut Rng) -> Result<Self> {
        let norm = || -> Result<Norm> {
            let device = Device::Cpu;
            Ok(Norm {
                mean: Tensor::zeros((1, WIDTH), candle_core::DType::F32, &device)?,
                variance: Tensor::ones((1, WIDTH), candle_core::DType::F32, &device)?,
            })
        };
        let constant = |value: f32| Var::from_tensor(&Tensor::full(value, (1, HEADS, 1, 1), &Device::Cpu)?);
        let network = Self {
            first: random(&[SYMBOLS, WIDTH], 0.5, rng)?,
            second: random(&[SYMBOLS, WIDTH], 0.5, rng)?,
            pair: random(&[VOCABULARY, WIDTH], 0.5, rng)?,
            layers: [
                Layer::new(WIDTH, WIDTH, 0.6, rng)?,
                Layer::new(WIDTH, WIDTH, 0.6, rng)?,
                Layer::new(WIDTH, WIDTH, 1.0, rng)?,
                Layer::new(WIDTH, WIDTH, 0.3, rng)?,
                Layer::new(WIDTH, HIDDEN, 0.7, rng)?,
                Layer::new(HIDDEN, WIDTH, 0.3, rng)?,
                Layer::new(WIDTH, CLASSES, 0.5, rng)?,
            ],
            // sigma(s) = s + s^2 up to the constant: nearly linear near zero.
            shift: constant(0.5)?,
            offset: constant(-0.25)?,
            norms: [norm()?, norm()?, norm()?],
            attention,
        };
        let half = Tensor::full(0.5f32, HIDDEN, &Device::Cpu)?;
        network.layers[UP].bias.set(&half)?;
        Ok(network)
    }

    /// Everything the optimiser moves.
    pub fn variables(&self) -> Vec<Var> {
        let tables = [&self.first, &self.second, &self.pair, &self.shift, &self.offset];
        let layers = self.layers.iter().flat_map(|l| [&l.weight, &l.bias]);
        tables.into_iter().chain(layers).cloned().collect()
    }

    /// Logits `[batch, CLASSES]` and the range penalty of tokens `[batch, WINDOW]`, given as their two characters.
    ///
    /// Normalises by the statistics of the batch and moves the running ones towards them by `rate`.
    pub fn forward(&mut self, first: &Tensor, second: &Tensor, rate: f64) -> Result<(Tensor, Tensor)> {
        let batch = first.dim(0)?;
        let (first, second) = (first.flatten_all()?, second.flatten_all()?);
        let pair = ((&first * SYMBOLS as f64)? + &second)?;
        let x = (self.first.index_select(&first, 0)? + self.second.index_select(&second, 0)?)?;
        let x = (x + self.pair.index_select(&pair, 0)?)?;
        let mut penalties = Vec::new();
        let y = if self.attention {
            let normal = self.norms[0].apply(&x, rate)?;
            let heads = |layer: &Layer, scale: f64| -> Result<Tensor> {
                let rows = (layer.apply(&normal)? * scale)?;
                rows.reshape((batch, WINDOW, HEADS, HEAD_WIDTH))?
                    .transpose(1, 2)?
                    .contiguous()
            };
            let root = (HEAD_WIDTH as f64).powf(-0.25);
            let (query, key) = (heads(&self.layers[QUERY], root)?, heads(&self.layers[KEY], root)?);
            let value = heads(&self.layers[VALUE], (WINDOW as f64).powf(-0.5))?;
            let score = query
                .matmul(&key.t()?.contiguous()?)?
                .broadcast_add(&self.shift)?;
            penalties.push(excess(&score, FREE[0])?);
            let attended = score.sqr()?.broadcast_add(&self.offset)?.matmul(&value)?;
            let attended = attended
                .transpose(1, 2)?
                .contiguous()?
                .reshape((batch * WINDOW, WIDTH))?;
            penalties.push(excess(&attended, FREE[2])?);
            (&x + self.layers[OUTPUT].apply(&attended)?)?
        } else {
            x.clone()
        };
        let normal = self.norms[1].apply(&y, rate)?;
        let hidden = self.layers[UP].apply(&normal)?;
        penalties.push(excess(&hidden, FREE[1])?);
        let z = (&y + self.layers[DOWN].apply(&hidden.sqr()?)?)?;
        for stream in [&x, &y, &z] {
            penalties.push(excess(stream, FREE[3])?);
        }
        let normal = self.norms[2].apply(&z, rate)?;
        let mean = normal.reshape((batch, WINDOW, WIDTH))?.mean(1)?;
        let logits = self.layers[HEAD].apply(&mean)?;
        penalties.push(excess(&logits, FREE[4])?);
        let mut penalty = penalties[0].clone();
        for more in &penalties[1..] {
            penalty = (penalty + more)?;
        }
        Ok((logits, penalty))
    }
}

impl Norm {
    fn apply(&mut self, x: &Tensor, rate: f64) -> Result<Tensor> {
        let mean = x.mean_keepdim(0)?;
        let variance = x.broadcast_sub(&mean)?.sqr()?.mean_keepdim(0)?;
        let towards = |old: &Tensor, new: &Tensor| (old * (1.0 - rate))? + (new.detach() * rate)?;
        self.mean = towards(&self.mean, &mean)?;
        self.variance = towards(&self.variance, &variance)?;
        x.broadcast_sub(&mean)?
            .broadcast_div(&(variance + EPSILON)?.sqrt()?)
    }
}

/// Mean square of what the magnitudes have in excess of `free`.
fn excess(values: &Tensor, free: f64) -> Result<Tensor> {
    (values.abs()? - free)?.relu()?.sqr()?.mean_all()
}

/// Mean cross entropy of logits against probabilities, both `[batch, CLASSES]`.
pub fn cross_entropy(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    let logarithms = candle_nn::ops::log_softmax(logits, D::Minus1)?;
    (logarithms * target)?.sum(D::Minus1)?.mean_all()?.neg()
}

fn random(shape: &[usize], deviation: f64, rng: &mut Rng) -> Result<Var> {
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| (rng.normal() * deviation) as f32)
        .collect();
    Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)
}
