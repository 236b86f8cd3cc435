//! The weights of the model and their file.
//!
//! The file is safetensors, all `f32`: `embedding` `[2916, 32]`; `query`, `key`, `value`, `output`, `up`, `down`,
//! `head`, each as `.weight` `[outputs, inputs]` and `.bias` `[outputs]`; `shift` and `offset` `[2]`. The header's
//! `config` entry is JSON: the sizes, the alphabet, the labels and the margin.

use std::collections::HashMap;

use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::{ALPHABET, ModelError, SYMBOLS, WEIGHT_BITS, WINDOW, Window, embedding};

/// Features of a token.
pub const WIDTH: usize = 32;
/// Attention heads; head `h` uses features `16 h .. 16 h + 16`.
pub const HEADS: usize = 2;
/// Features of one head.
pub const HEAD_WIDTH: usize = WIDTH / HEADS;
/// Width of the feed-forward layer.
pub const HIDDEN: usize = 64;
/// Number of languages.
pub const CLASSES: usize = 6;
/// Number of tokens: every pair of characters.
pub const VOCABULARY: usize = SYMBOLS * SYMBOLS;
/// The languages in output order, ISO 639-1.
pub const LABELS: [&str; CLASSES] = ["en", "fr", "de", "es", "it", "nl"];

/// The sizes of the model, as the weight file states them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Number of tokens known.
    pub vocabulary: usize,
    /// Tokens per window.
    pub window: usize,
    /// Features of a token.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub hidden: usize,
    /// Number of logits.
    pub classes: usize,
}

impl Config {
    /// The one size there is.
    pub const LANGUAGE: Self = Self {
        vocabulary: VOCABULARY,
        window: WINDOW,
        width: WIDTH,
        heads: HEADS,
        hidden: HIDDEN,
        classes: CLASSES,
    };
}

/// The `config` entry of the file's header.
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    #[serde(flatten)]
    config: Config,
    alphabet: String,
    pub(super) labels: Vec<String>,
    pub(super) margin: f32,
}

impl Header {
    pub(super) fn language(labels: &[String], margin: f32) -> Self {
        Self {
            config: Config::LANGUAGE,
            alphabet: ALPHABET.to_owned(),
            labels: labels.to_vec(),
            margin,
        }
    }

    pub(super) fn to_json(&self) -> Result<String, ModelError> {
        serde_json::to_string(self).map_err(|e| ModelError::Container {
            bytes: 0,
            reason: e.to_string(),
        })
    }
}

/// An affine map `x -> W x + b`.
#[derive(Debug, Clone, PartialEq)]
pub struct Affine {
    /// Length of `x`.
    pub inputs: usize,
    /// Length of the result.
    pub outputs: usize,
    /// `W`, row-major `[outputs][inputs]`.
    pub weight: Vec<f32>,
    /// `b`, `[outputs]`.
    pub bias: Vec<f32>,
}

impl Affine {
    /// `W x + b`. `x` holds `inputs` values; the result holds `outputs`.
    #[must_use]
    pub fn apply(&self, x: &[f32]) -> Vec<f32> {
        let rows = self.weight.chunks_exact(self.inputs).zip(&self.bias);
        rows.map(|(row, b)| b + row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>())
            .collect()
    }
}

/// The model: embedding table, affine maps, and the constants of the attention polynomial.
#[derive(Debug, Clone, PartialEq)]
pub struct LanguageModel {
    /// Sizes.
    pub config: Config,
    /// The languages in output order, ISO 639-1.
    pub labels: Vec<String>,
    /// `E`, row-major `[vocabulary][width]`.
    pub embedding: Vec<f32>,
    /// `Wq, bq`: 32 to 32.
    pub query: Affine,
    /// `Wk, bk`: 32 to 32.
    pub key: Affine,
    /// `Wv, bv`: 32 to 32.
    pub value: Affine,
    /// `Wo, bo`: 32 to 32.
    pub output: Affine,
    /// `W1, b1`: 32 to 64.
    pub up: Affine,
    /// `W2, b2`: 64 to 32.
    pub down: Affine,
    /// `Wh, bh`: 32 to 6.
    pub head: Affine,
    /// Added to a score before squaring, per head.
    pub shift: [f32; HEADS],
    /// Added after squaring, per head.
    pub offset: [f32; HEADS],
    /// Least difference between the two largest probabilities for a language to be named.
    pub margin: f32,
}

const BUILTIN: &[u8] = include_bytes!("../../models/langid.safetensors");

impl LanguageModel {
    /// The trained model that ships with the crate (`docs/model-card.md`).
    ///
    /// # Errors
    /// Those of [`from_safetensors`](Self::from_safetensors), if the crate was built around a damaged file.
    pub fn builtin() -> Result<Self, ModelError> {
        Self::from_safetensors(BUILTIN)
    }

    /// Reads a weight file, checking every size and every value.
    ///
    /// # Errors
    /// [`ModelError::Container`] if it is not safetensors, [`ModelError::Config`] if its header is for another model,
    /// [`ModelError::Missing`], [`ModelError::Shape`] or [`ModelError::Value`] for a tensor that cannot be used. A
    /// matrix entry is taken up to the magnitude its integer form can hold (below 128), anything else up to 10^6.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, ModelError> {
        let (file, metadata) = container(bytes)?;
        let header = check_header(metadata.get("config").map_or("", String::as_str))?;
        let affine = |name: &str, inputs: usize, outputs: usize| -> Result<Affine, ModelError> {
            Ok(Affine {
                inputs,
                outputs,
                weight: read(&file, &format!("{name}.weight"), &[outputs, inputs], WEIGHT_LIMIT)?,
                bias: read(&file, &format!("{name}.bias"), &[outputs], VALUE_LIMIT)?,
            })
        };
        let per_head = |name: &str| -> Result<[f32; HEADS], ModelError> {
            let values = read(&file, name, &[HEADS], VALUE_LIMIT)?;
            Ok(std::array::from_fn(|h| values[h]))
        };
        Ok(Self {
            config: header.config,
            labels: header.labels,
            embedding: read(&file, "embedding", &[VOCABULARY, WIDTH], VALUE_LIMIT)?,
            query: affine("query", WIDTH, WIDTH)?,
            key: affine("key", WIDTH, WIDTH)?,
            value: affine("value", WIDTH, WIDTH)?,
            output: affine("output", WIDTH, WIDTH)?,
            up: affine("up", WIDTH, HIDDEN)?,
            down: affine("down", HIDDEN, WIDTH)?,
            head: affine("head", WIDTH, CLASSES)?,
            shift: per_head("shift")?,
            offset: per_head("offset")?,
            margin: header.margin,
        })
    }

    /// Writes the weight file that [`from_safetensors`](Self::from_safetensors) reads; equal models give equal bytes.
    ///
    /// # Errors
    /// [`ModelError::Container`] if a tensor's length is not its stated shape.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, ModelError> {
        let failed = |reason: String| ModelError::Container { bytes: 0, reason };
        let header = Header {
            config: self.config,
            ..Header::language(&self.labels, self.margin)
        };
        let header = header.to_json()?;
        let mut tensors = vec![
            (
                "embedding".to_owned(),
                vec![self.config.vocabulary, self.config.width],
                self.embedding.as_slice(),
            ),
            ("shift".to_owned(), vec![HEADS], self.shift.as_slice()),
            ("offset".to_owned(), vec![HEADS], self.offset.as_slice()),
        ];
        for (name, map) in self.maps() {
            tensors.push((
                format!("{name}.weight"),
                vec![map.outputs, map.inputs],
                &map.weight,
            ));
            tensors.push((format!("{name}.bias"), vec![map.outputs], &map.bias));
        }
        let data: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(_, _, v)| v.iter().flat_map(|x| x.to_le_bytes()).collect())
            .collect();
        let mut views = Vec::with_capacity(tensors.len());
        for ((name, shape, _), bytes) in tensors.into_iter().zip(&data) {
            let view = safetensors::tensor::TensorView::new(Dtype::F32, shape, bytes);
            views.push((name, view.map_err(|e| failed(e.to_string()))?));
        }
        let metadata = HashMap::from([("config".to_owned(), header)]);
        safetensors::serialize(views, Some(metadata)).map_err(|e| failed(e.to_string()))
    }

    /// The seven affine maps with their names in the file.
    #[must_use]
    pub fn maps(&self) -> [(&'static str, &Affine); 7] {
        [
            ("query", &self.query),
            ("key", &self.key),
            ("value", &self.value),
            ("output", &self.output),
            ("up", &self.up),
            ("down", &self.down),
            ("head", &self.head),
        ]
    }

    /// `x`: the embeddings of a window, row-major `[window][width]`. This is what an encrypting client sends.
    ///
    /// # Errors
    /// [`ModelError::Token`] for a token outside the vocabulary.
    pub fn embed(&self, window: &Window) -> Result<Vec<f32>, ModelError> {
        embedding::rows(&self.embedding, window)
    }
}

/// Largest magnitude of any number of a model.
pub(crate) const VALUE_LIMIT: f32 = 1e6;
const WEIGHT_LIMIT: f32 = i16::MAX as f32 / (1u32 << WEIGHT_BITS) as f32;

/// The tensors of a file, and the entries of its header.
pub(super) fn container(bytes: &[u8]) -> Result<(SafeTensors<'_>, HashMap<String, String>), ModelError> {
    let container = |e: safetensors::SafeTensorError| ModelError::Container {
        bytes: bytes.len(),
        reason: e.to_string(),
    };
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(container)?;
    let entries = metadata.metadata().clone().unwrap_or_default();
    Ok((SafeTensors::deserialize(bytes).map_err(container)?, entries))
}

pub(super) fn check_header(json: &str) -> Result<Header, ModelError> {
    let wrong = |field, found: String, wanted: String| ModelError::Config { field, found, wanted };
    let header: Header = serde_json::from_str(json).map_err(|e| {
        wrong(
            "config",
            format!("{json:?} ({e})"),
            "JSON with sizes, labels and margin".to_owned(),
        )
    })?;
    if header.config != Config::LANGUAGE {
        return Err(wrong(
            "sizes",
            format!("{:?}", header.config),
            format!("{:?}", Config::LANGUAGE),
        ));
    }
    if header.alphabet != ALPHABET {
        return Err(wrong(
            "alphabet",
            format!("{:?}", header.alphabet),
            format!("{ALPHABET:?}"),
        ));
    }
    if header.labels != LABELS {
        return Err(wrong(
            "labels",
            format!("{:?}", header.labels),
            format!("{LABELS:?}"),
        ));
    }
    if !(0.0..=1.0).contains(&header.margin) {
        return Err(wrong(
            "margin",
            header.margin.to_string(),
            "a value from 0 to 1".to_owned(),
        ));
    }
    Ok(header)
}

pub(super) fn read(
    file: &SafeTensors<'_>,
    tensor: &str,
    shape: &[usize],
    limit: f32,
) -> Result<Vec<f32>, ModelError> {
    let view = file.tensor(tensor).map_err(|_| ModelError::Missing {
        tensor: tensor.to_owned(),
    })?;
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        return Err(ModelError::Shape {
            tensor: tensor.to_owned(),
            found: format!("{:?} {:?}", view.dtype(), view.shape()),
            wanted: format!("{:?} {shape:?}", Dtype::F32),
        });
    }
    let (words, _) = view.data().as_chunks::<4>();
    let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    // Written so that a NaN, which no comparison accepts, counts as outside.
    match values.iter().position(|v| !(-limit..=limit).contains(v)) {
        Some(index) => Err(ModelError::Value {
            tensor: tensor.to_owned(),
            index,
            value: values[index],
            limit,
        }),
        None => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_file_loads_and_writes_back_byte_for_byte() {
        let model = LanguageModel::builtin().unwrap();
        assert_eq!(model.to_safetensors().unwrap(), BUILTIN);
    }

    #[test]
    fn a_token_outside_the_vocabulary_is_refused() {
        let model = LanguageModel::builtin().unwrap();
        let mut window = [0; WINDOW];
        assert_eq!(model.embed(&window).unwrap().len(), WINDOW * WIDTH);
        window[5] = VOCABULARY as u16;
        let refused = ModelError::Token {
            position: 5,
            token: 2916,
            vocabulary: VOCABULARY,
        };
        assert_eq!(model.embed(&window), Err(refused));
    }
}
