//! What a client needs of the model, and may know: the embedding table, the names of the languages, the margin.
//!
//! The file is safetensors with one `f32` tensor, `embedding` `[2916, 32]`. The header's `config` entry is that of the weight file;
//! its `blake3` entry is BLAKE3, in hexadecimal, of the bytes of `config` and then those of the tensor.

use std::collections::HashMap;

use safetensors::{Dtype, tensor::TensorView};

use super::{
    LanguageModel, ModelError, VOCABULARY, WIDTH, WINDOW, Window,
    weights::{self, Header},
};

/// The public part of a [`LanguageModel`].
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// `E`, row-major `[vocabulary][width]`.
    pub table: Vec<f32>,
    /// The languages in output order, ISO 639-1.
    pub labels: Vec<String>,
    /// Least difference between the two largest probabilities for a language to be named.
    pub margin: f32,
}

impl From<&LanguageModel> for Embedding {
    fn from(model: &LanguageModel) -> Self {
        Self {
            table: model.embedding.clone(),
            labels: model.labels.clone(),
            margin: model.margin,
        }
    }
}

/// The rows of a table for a window, `[window][width]`.
pub(super) fn rows(table: &[f32], window: &Window) -> Result<Vec<f32>, ModelError> {
    let mut x = Vec::with_capacity(WINDOW * WIDTH);
    for (position, &token) in window.iter().enumerate() {
        let start = usize::from(token) * WIDTH;
        let row = table.get(start..start + WIDTH).ok_or(ModelError::Token {
            position,
            token,
            vocabulary: table.len() / WIDTH,
        })?;
        x.extend_from_slice(row);
    }
    Ok(x)
}

fn checksum(config: &str, table: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(config.as_bytes());
    hasher.update(table);
    hasher.finalize().to_hex().to_string()
}

impl Embedding {
    /// `x`: the embeddings of a window, row-major `[window][width]`. This is what an encrypting client sends.
    ///
    /// # Errors
    /// [`ModelError::Token`] for a token outside the vocabulary.
    pub fn embed(&self, window: &Window) -> Result<Vec<f32>, ModelError> {
        rows(&self.table, window)
    }

    /// Reads the file that [`to_safetensors`](Self::to_safetensors) writes, checking its sizes, every value, and the checksum.
    ///
    /// # Errors
    /// Those of [`LanguageModel::from_safetensors`], and [`ModelError::Checksum`].
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, ModelError> {
        let (file, metadata) = weights::container(bytes)?;
        let entry = |name: &str| metadata.get(name).map_or("", String::as_str);
        let header = weights::check_header(entry("config"))?;
        let table = weights::read(&file, "embedding", &[VOCABULARY, WIDTH], weights::VALUE_LIMIT)?;
        let data = file.tensor("embedding").map(|t| t.data()).unwrap_or_default();
        let (found, wanted) = (entry("blake3"), checksum(entry("config"), data));
        if found != wanted {
            return Err(ModelError::Checksum {
                found: found.chars().take(64).collect(),
                wanted,
            });
        }
        Ok(Self {
            table,
            labels: header.labels,
            margin: header.margin,
        })
    }

    /// Writes the file; equal tables give equal bytes up to the order of the header's two entries.
    ///
    /// # Errors
    /// [`ModelError::Container`] if the table's length is not its stated shape.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, ModelError> {
        let failed = |reason: String| ModelError::Container { bytes: 0, reason };
        let config = Header::language(&self.labels, self.margin).to_json()?;
        let data: Vec<u8> = self.table.iter().flat_map(|x| x.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F32, vec![VOCABULARY, WIDTH], &data);
        let view = view.map_err(|e| failed(e.to_string()))?;
        let metadata = HashMap::from([
            ("blake3".to_owned(), checksum(&config, &data)),
            ("config".to_owned(), config),
        ]);
        safetensors::serialize([("embedding", view)], Some(metadata)).map_err(|e| failed(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_model_and_survives_its_file() {
        let model = LanguageModel::builtin().unwrap();
        let embedding = Embedding::from(&model);
        let bytes = embedding.to_safetensors().unwrap();
        assert_eq!(Embedding::from_safetensors(&bytes).unwrap(), embedding);
        let window = std::array::from_fn(|t| (t * 91) as u16);
        assert_eq!(embedding.embed(&window), model.embed(&window));
    }

    /// Every byte of the header, and bytes all over the table.
    #[test]
    fn a_changed_or_short_file_is_refused() {
        let embedding = Embedding::from(&LanguageModel::builtin().unwrap());
        let bytes = embedding.to_safetensors().unwrap();
        for at in (0..1000).chain((1000..bytes.len()).step_by(997)) {
            let mut other = bytes.clone();
            other[at] ^= 1;
            let read = Embedding::from_safetensors(&other);
            // Padding of the header means nothing.
            assert!(
                read.is_err() || bytes[at] == b' ' && read == Ok(embedding.clone()),
                "byte {at}"
            );
        }
        for length in [0, 7, 8, 100, 1000, bytes.len() - 1] {
            assert!(Embedding::from_safetensors(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_weight_file_is_no_embedding_file() {
        let bytes = LanguageModel::builtin().unwrap().to_safetensors().unwrap();
        assert!(matches!(
            Embedding::from_safetensors(&bytes),
            Err(ModelError::Checksum { .. })
        ));
    }
}
