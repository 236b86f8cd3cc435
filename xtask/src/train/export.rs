//! From the training form to the inference form: everything affine is folded, then ranges are balanced.
//!
//! `W BN(x) + b = (W / sd) x + (b - W mean / sd)`. Balancing uses what the formulas leave free: `(c q, k / c)`,
//! `(c v, Wo / c)`, `(c h, W2 / c^2)`, and the scale of the residual stream.

use candle_core::Tensor;
use cipherformer::model::{
    Affine, Config, HEAD_WIDTH, HEADS, LABELS, LanguageModel, Quantised, Ranges, SYMBOLS, VOCABULARY, WIDTH,
    WINDOW, Window,
};

use super::network::{DOWN, EPSILON, HEAD, KEY, Layer, Network, Norm, OUTPUT, QUERY, UP, VALUE};

/// Share of the allowed range that balancing aims at.
const FILL: f64 = 0.5;

/// The inference form, balanced on `windows`; its margin is 0 until it is calibrated. The ablation, which is compared
/// but not shipped, is not balanced.
pub fn export(network: &Network, windows: &[Window]) -> Result<LanguageModel, String> {
    let mut model = fold(network).map_err(|e| format!("export failed: {e}"))?;
    if network.attention {
        let twin = Quantised::from(&model);
        let seen = Ranges::over(&twin, windows).map_err(|e| e.to_string())?;
        balance(&mut model, &seen.max(&Ranges::of_every_pair(&twin)));
    }
    Ok(model)
}

fn fold(network: &Network) -> candle_core::Result<LanguageModel> {
    let [before_attention, before_up, before_head] = &network.norms;
    let layer = |index: usize| &network.layers[index];
    let root = (HEAD_WIDTH as f64).powf(-0.25);
    let mut output = affine(layer(OUTPUT), None, 1.0)?;
    if !network.attention {
        output.weight.fill(0.0);
        output.bias.fill(0.0);
    }
    let (first, second, pair) = (
        values(&network.first)?,
        values(&network.second)?,
        values(&network.pair)?,
    );
    let embedding = (0..VOCABULARY * WIDTH).map(|i| {
        let (token, feature) = (i / WIDTH, i % WIDTH);
        first[token / SYMBOLS * WIDTH + feature] + second[token % SYMBOLS * WIDTH + feature] + pair[i]
    });
    let per_head = |tensor: &Tensor| -> candle_core::Result<[f32; HEADS]> {
        let values = values(tensor)?;
        Ok(std::array::from_fn(|h| values[h]))
    };
    Ok(LanguageModel {
        config: Config::LANGUAGE,
        labels: LABELS.map(str::to_owned).to_vec(),
        embedding: embedding.collect(),
        query: affine(layer(QUERY), Some(before_attention), root)?,
        key: affine(layer(KEY), Some(before_attention), root)?,
        value: affine(layer(VALUE), Some(before_attention), (WINDOW as f64).powf(-0.5))?,
        output,
        up: affine(layer(UP), Some(before_up), 1.0)?,
        down: affine(layer(DOWN), None, 1.0)?,
        head: affine(layer(HEAD), Some(before_head), 1.0)?,
        shift: per_head(&network.shift)?,
        offset: per_head(&network.offset)?,
        margin: 0.0,
    })
}

/// `scale * (W BN(x) + b)` as one affine map.
fn affine(layer: &Layer, norm: Option<&Norm>, scale: f64) -> candle_core::Result<Affine> {
    let (outputs, inputs) = layer.weight.dims2()?;
    let (weight, bias) = (values(&layer.weight)?, values(&layer.bias)?);
    let (mean, variance) = match norm {
        Some(norm) => (values(&norm.mean)?, values(&norm.variance)?),
        None => (vec![0.0; inputs], vec![(1.0 - EPSILON) as f32; inputs]),
    };
    let gain: Vec<f64> = variance
        .iter()
        .map(|v| (f64::from(*v) + EPSILON).sqrt().recip())
        .collect();
    let mut folded = Affine {
        inputs,
        outputs,
        weight: Vec::new(),
        bias: Vec::new(),
    };
    for (row, b) in weight.chunks_exact(inputs).zip(bias) {
        let mut constant = f64::from(b);
        for (i, w) in row.iter().enumerate() {
            let w = f64::from(*w) * gain[i];
            constant -= w * f64::from(mean[i]);
            folded.weight.push((scale * w) as f32);
        }
        folded.bias.push((scale * constant) as f32);
    }
    Ok(folded)
}

fn balance(model: &mut LanguageModel, seen: &Ranges) {
    let target = Ranges::TARGET;
    let even = (seen.key / seen.query).sqrt();
    outputs(&mut model.query, even);
    outputs(&mut model.key, even.recip());
    let room = FILL * (target.attended / seen.attended).min(target.value / seen.value);
    outputs(&mut model.value, room);
    inputs(&mut model.output, room.recip());
    let room = FILL * target.hidden / seen.hidden;
    outputs(&mut model.up, room);
    inputs(&mut model.down, (room * room).recip());
    let room = FILL * (target.x / seen.x).min(target.y / seen.y).min(target.z / seen.z);
    model.embedding.iter_mut().for_each(|e| *e *= room as f32);
    outputs(&mut model.output, room);
    outputs(&mut model.down, room);
    for map in [
        &mut model.query,
        &mut model.key,
        &mut model.value,
        &mut model.up,
        &mut model.head,
    ] {
        inputs(map, room.recip());
    }
}

fn outputs(map: &mut Affine, scale: f64) {
    inputs(map, scale);
    map.bias.iter_mut().for_each(|b| *b *= scale as f32);
}

fn inputs(map: &mut Affine, scale: f64) {
    map.weight.iter_mut().for_each(|w| *w *= scale as f32);
}

fn values(tensor: &Tensor) -> candle_core::Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1::<f32>()
}
