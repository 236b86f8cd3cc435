//! Readers of what is not in frames: weights, JSON, and texts. The first byte of an input says which.

use std::sync::LazyLock;

use cipherformer::{
    bfv,
    cli::Request,
    model::{Embedding, LanguageModel, Quantised, VOCABULARY, WIDTH, WINDOW, normalise, windows},
    ring::Scale,
    rlwe::Spec,
    wire::{self, Stamp},
};

/// The weight file that ships with the crate: its description, and its numbers.
static WEIGHTS: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let file = LanguageModel::builtin().unwrap().to_safetensors().unwrap();
    let (length, rest) = file.split_first_chunk::<8>().unwrap();
    let (header, numbers) = rest.split_at(u64::from_le_bytes(*length) as usize);
    (header.to_vec(), numbers.to_vec())
});

/// The numbers of the table of embeddings.
static EMBEDDINGS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let model = LanguageModel::builtin().unwrap();
    model.embedding.iter().flat_map(|x| x.to_le_bytes()).collect()
});

/// The description of the weight file that ships with the crate.
pub fn weights_header() -> Vec<u8> {
    WEIGHTS.0.clone()
}

fn weight_file(header: &[u8], numbers: &[u8]) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [length.as_slice(), header, numbers].concat()
}

/// A weight file that is accepted is written and read as the same model, and classifies.
fn weights(file: &[u8]) -> bool {
    let model = match LanguageModel::from_safetensors(file) {
        Ok(model) => model,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let written = model.to_safetensors().unwrap();
    // Bits, since a weight of minus zero equals one of zero.
    let read = LanguageModel::from_safetensors(&written).unwrap();
    assert!(read.to_safetensors().unwrap() == written);
    let window = std::array::from_fn::<u16, WINDOW, _>(|i| (i * 91 % VOCABULARY) as u16);
    model.forward(&window).unwrap();
    Quantised::from(&model).forward(&window).unwrap();
    true
}

/// The shipped numbers with some of them replaced: place (32 bits) and value (32 bits) each.
fn patched(patches: &[u8]) -> Vec<u8> {
    let mut numbers = WEIGHTS.1.clone();
    let words = numbers.len() / 4;
    let (patches, _) = patches.as_chunks::<8>();
    for patch in patches {
        let (place, value) = patch.split_at(4);
        let at = u32::from_le_bytes(place.try_into().unwrap()) as usize % words * 4;
        numbers[at..at + 4].copy_from_slice(value);
    }
    weight_file(&WEIGHTS.0, &numbers)
}

/// The table of embeddings with another description, its checksum right.
fn described(config: &[u8]) -> bool {
    let Ok(config) = std::str::from_utf8(config) else {
        return false;
    };
    let table = &EMBEDDINGS;
    let digest = blake3::Hasher::new()
        .update(config.as_bytes())
        .update(table)
        .finalize();
    let header = serde_json::json!({
        "__metadata__": { "config": config, "blake3": digest.to_hex().to_string() },
        "embedding": { "dtype": "F32", "shape": [VOCABULARY, WIDTH], "data_offsets": [0, table.len()] },
    });
    embeddings(&weight_file(header.to_string().as_bytes(), table))
}

/// A table of embeddings that is accepted is written and read as the same.
fn embeddings(file: &[u8]) -> bool {
    match Embedding::from_safetensors(file) {
        Ok(embedding) => {
            let written = embedding.to_safetensors().unwrap();
            assert_eq!(Embedding::from_safetensors(&written).unwrap(), embedding);
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

fn request(json: &[u8]) -> bool {
    let request = match Request::from_json(json) {
        Ok(request) => request,
        Err(error) => {
            assert!(!error.is_empty());
            return false;
        }
    };
    let written = request.to_json().unwrap();
    let read = Request::from_json(&written).unwrap();
    assert_eq!(read.windows(), request.windows());
    assert!(read.to_json().unwrap() == written);
    true
}

fn scale(json: &[u8]) -> bool {
    let Ok(scale): Result<Scale, _> = serde_json::from_slice(json) else {
        return false;
    };
    let written = serde_json::to_vec(&scale).unwrap();
    assert_eq!(serde_json::from_slice::<Scale>(&written).unwrap(), scale);
    assert!(scale.log2().is_finite());
    let (high, low) = scale.to_parts();
    assert!(high >= 0.0 && !low.is_nan());
    if let Ok(square) = scale.mul(&scale) {
        assert_eq!(square.div(&scale).unwrap(), scale);
    }
    true
}

fn chain(json: &[u8]) -> bool {
    let Ok(spec): Result<Spec, _> = serde_json::from_slice(json) else {
        return false;
    };
    match wire::to_bytes(&spec, &(), Stamp::default()) {
        Ok(file) => {
            let (read, _): (Spec, Stamp) = wire::from_bytes(&file, &()).unwrap();
            assert_eq!(read, spec);
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

fn integers(json: &[u8]) -> bool {
    let Ok(spec): Result<bfv::Spec, _> = serde_json::from_slice(json) else {
        return false;
    };
    match bfv::Params::insecure(spec) {
        Ok(params) => params.degree() == 1 << params.spec().log_n,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

fn words(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    let normal = normalise(text);
    assert_eq!(normalise(&normal), normal, "normal text changes again");
    match windows(text, 8) {
        Ok(found) => {
            assert!((1..=8).contains(&found.len()));
            let all = found.iter().flatten();
            assert!(all.map(|t| usize::from(*t)).all(|t| t < VOCABULARY));
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// Whether the input was accepted.
pub fn text(input: &[u8]) -> bool {
    let Some((which, rest)) = input.split_first() else {
        return false;
    };
    match which {
        b'w' => weights(rest),
        b'h' => weights(&weight_file(rest, &WEIGHTS.1)),
        b'p' => weights(&patched(rest)),
        b'e' => embeddings(rest),
        b'd' => described(rest),
        b'r' => request(rest),
        b's' => scale(rest),
        b'c' => chain(rest),
        b'b' => integers(rest),
        b't' => words(rest),
        _ => false,
    }
}
