//! The language model in a file.

use cipherformer::{
    backend::cpu::Cpu,
    model::{LanguageModel, Quantised, windows},
    ring::insecure_chain,
    rlwe::{Context, Params, Spec},
    wire::{self, Detail, Stamp, WireError},
};

use super::objects::{HEADER, Object, Parts, Random, again, context, home, model};

fn load(bytes: &[u8]) -> wire::Result<(Quantised, Stamp)> {
    wire::from_bytes(bytes, &context())
}

#[test]
fn a_loaded_model_is_the_model() {
    let object = model(&context());
    let (loaded, stamp) = load(&object.bytes).unwrap();
    let own = Quantised::from(&LanguageModel::builtin().unwrap());
    assert_eq!(stamp, Stamp::default());
    assert!(loaded == own);
    for window in windows(
        "Le train de nuit pour Lyon est parti avec une heure de retard.",
        2,
    )
    .unwrap()
    {
        assert_eq!(loaded.forward(&window), own.forward(&window));
    }
    let path = std::env::temp_dir().join(format!("cipherformer-{}.model", std::process::id()));
    std::fs::write(&path, &object.bytes).unwrap();
    let summary = wire::inspect(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let Detail::Model(found) = summary.detail else {
        panic!("{:?}", summary.detail);
    };
    assert_eq!((found.weight_bits, found.margin), (8, own.margin));
    assert_eq!(summary.parameters, "insecure_n4_rational40_l3_d2");
}

/// The file is large, so that its checksum stands for it.
#[test]
fn the_golden_file_is_what_is_written() {
    let found = blake3::hash(&model(&context()).bytes).to_string();
    assert_eq!(
        found,
        "949fbae97f3ac837ac2088b8cf697f957db149a913617fee3473ede102c0a3e4"
    );
}

/// A model belongs to the parameters that it is evaluated under.
#[test]
fn a_model_for_other_parameters_is_refused() {
    let chain = insecure_chain("insecure_n5_rational40_l4_d3").unwrap();
    let other = Context::new(Cpu::new(), Params::insecure(Spec { chain }).unwrap()).unwrap();
    let error = load(&model(&other).bytes).unwrap_err();
    assert!(matches!(error, WireError::Parameters { .. }), "{error}");
}

#[test]
fn faults_of_a_model_are_named() {
    let parts = Parts::new(&model(&context()));
    let message = |section: usize, at: usize, new: &[u8]| {
        let error = load(&parts.clone().with(section, at, new).sealed()).unwrap_err();
        error.to_string()
    };
    for (section, at, new, words) in [
        (0, 0, 7u32.to_le_bytes(), ["index", "sizes"]),
        (0, 28, 1.5f32.to_le_bytes(), ["index", "margin"]),
        (0, 32, f32::NAN.to_le_bytes(), ["index", "shift"]),
        (0, 50, [0xff; 4], ["index", "alphabet"]),
        (8, 400, f32::INFINITY.to_le_bytes(), ["embedding", "finite"]),
        (8, 4, 2e6f32.to_le_bytes(), ["embedding", "1000000"]),
        (1, 6, [0, 0x80, 0, 0], ["query", "a weight"]),
        (7, 2 * 32 * 6, f32::NAN.to_le_bytes(), ["head", "a bias"]),
    ] {
        let found = message(section, at, &new);
        for word in words {
            assert!(found.contains(word), "no {word:?} in {found:?}");
        }
    }
    let mut own = Quantised::from(&LanguageModel::builtin().unwrap());
    own.embedding[3] = 0.1;
    let refused = wire::to_bytes(&own, &context(), Stamp::default()).unwrap_err();
    assert!(refused.to_string().contains("an embedding"), "{refused}");
    own.embedding.pop();
    let refused = wire::to_bytes(&own, &context(), Stamp::default()).unwrap_err();
    assert!(refused.to_string().contains("93311"), "{refused}");
}

/// Every section's name and place, by a flipped bit in each and in its checksum.
#[test]
fn damage_of_a_model_is_placed() {
    let home = home();
    let Object {
        name,
        bytes,
        sections,
    } = model(&home.ctx);
    let names = [
        "index",
        "query",
        "key",
        "value",
        "output",
        "up",
        "down",
        "head",
        "embedding",
    ];
    let mut random = Random(77);
    let mut start = HEADER;
    for (section, length) in names.iter().zip(&sections) {
        let end = start + *length as usize + 32;
        for at in [
            start,
            end - 33,
            end - 32,
            end - 1,
            start + random.below(end - start),
        ] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << random.below(8);
            let message = again(name, &damaged, &home).unwrap_err().to_string();
            let place = format!("a model: {section} ({length} bytes at offset {start}) is damaged");
            assert!(message.contains(&place), "{message}");
        }
        for cut in [start, end - 32] {
            assert!(matches!(
                again(name, &bytes[..cut], &home),
                Err(WireError::Length { .. })
            ));
        }
        start = end;
    }
}
