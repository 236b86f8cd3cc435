//! The shipped model keeps what its card promises, and damaged weight files are refused.

use cipherformer::model::{
    LABELS, LanguageModel, ModelError, Quantised, Ranges, VOCABULARY, Verdict, WINDOW, heldout, windows,
};

const FILE: &[u8] = include_bytes!("../models/langid.safetensors");

fn verdicts(classify: impl Fn(&str) -> Verdict) -> Vec<(usize, Verdict)> {
    heldout()
        .iter()
        .map(|(language, sentence)| (*language, classify(sentence)))
        .collect()
}

#[test]
fn names_at_least_95_of_100_held_out_sentences_and_is_rarely_unsure() {
    let model = LanguageModel::builtin().unwrap();
    let verdicts = verdicts(|text| model.classify(text, 8).unwrap());
    let right = verdicts
        .iter()
        .filter(|(language, v)| v.best == *language)
        .count();
    let unsure = verdicts.iter().filter(|(_, v)| v.unsure).count();
    assert!(
        right * 100 >= verdicts.len() * 95,
        "{right} of {}",
        verdicts.len()
    );
    assert!(
        unsure * 100 < verdicts.len() * 2,
        "{unsure} unsure of {}",
        verdicts.len()
    );
}

#[test]
fn quantised_twin_names_the_same_language() {
    let model = LanguageModel::builtin().unwrap();
    let twin = Quantised::from(&model);
    let plain = verdicts(|text| model.classify(text, 8).unwrap());
    let rounded = verdicts(|text| twin.classify(text, 8).unwrap());
    let same = plain
        .iter()
        .zip(&rounded)
        .filter(|((_, a), (_, b))| a.best == b.best)
        .count();
    assert!(same * 1000 >= plain.len() * 995, "{same} of {}", plain.len());
}

#[test]
fn integer_weights_stay_small() {
    let twin = Quantised::from(&LanguageModel::builtin().unwrap());
    for map in [
        &twin.query,
        &twin.key,
        &twin.value,
        &twin.output,
        &twin.up,
        &twin.down,
        &twin.head,
    ] {
        assert!(
            map.largest() <= 2047,
            "{} by {}: {}",
            map.outputs,
            map.inputs,
            map.largest()
        );
    }
}

#[test]
fn every_intermediate_value_stays_in_its_range() {
    let twin = Quantised::from(&LanguageModel::builtin().unwrap());
    let mut all = Vec::new();
    for (_, sentence) in heldout() {
        all.extend(windows(sentence, 64).unwrap());
    }
    for text in ["a", "zzz", "'''x", "qwxj vbkk ÿÿœœ ßßß", "ok", "llllll ssss eeee"] {
        all.extend(windows(text, 64).unwrap());
    }
    let seen = Ranges::over(&twin, &all).unwrap();
    assert!(seen.within(&Ranges::TARGET), "{seen:?}");
    let every = Ranges::of_every_pair(&twin);
    assert!(every.within(&Ranges::TARGET), "{every:?}");
    for ((name, seen), (_, every)) in seen.rows().iter().zip(every.rows()).take(6) {
        assert!(
            *seen <= every + 1e-9,
            "{name}: {seen} seen, {every} is the most there is"
        );
    }
}

#[test]
fn says_unsure_for_what_is_no_language() {
    let model = LanguageModel::builtin().unwrap();
    for text in ["xkcd wvq jjq", "qz", "vbnm qwzx"] {
        let verdict = model.classify(text, 8).unwrap();
        assert_eq!(verdict.label(&model.labels), "unsure", "{text}: {verdict:?}");
    }
    let sentence = "The museum opens at nine and closes at half past five.";
    assert_eq!(model.classify(sentence, 8).unwrap().label(&model.labels), "en");
    assert_eq!(model.labels, LABELS);
}

#[test]
fn weight_file_is_below_one_megabyte() {
    assert!(FILE.len() < 1_000_000, "{} bytes", FILE.len());
}

#[test]
fn truncated_files_are_refused() {
    for length in [0, 1, 7, 8, 9, 100, 1000, FILE.len() / 2, FILE.len() - 1] {
        let refused = LanguageModel::from_safetensors(&FILE[..length]);
        assert!(
            matches!(refused, Err(ModelError::Container { .. })),
            "{length}: {refused:?}"
        );
    }
}

#[test]
fn flipped_bytes_never_panic() {
    for at in (0..FILE.len()).step_by(997).chain(0..2000) {
        let mut bytes = FILE.to_vec();
        bytes[at] ^= 0xff;
        let _ = LanguageModel::from_safetensors(&bytes);
    }
}

/// Replaces `from` by `to` of the same length in the header.
fn edited(from: &str, to: &str) -> Result<LanguageModel, ModelError> {
    assert_eq!(from.len(), to.len());
    let mut bytes = FILE.to_vec();
    let at = bytes.windows(from.len()).position(|w| w == from.as_bytes());
    assert!(at.is_some(), "{from} is not in the file");
    for (byte, new) in bytes.iter_mut().skip(at.unwrap_or(0)).zip(to.bytes()) {
        *byte = new;
    }
    LanguageModel::from_safetensors(&bytes)
}

#[test]
fn wrong_shapes_types_and_names_are_refused() {
    assert!(
        matches!(edited("[2916,32]", "[32,2916]"), Err(ModelError::Shape { tensor, .. }) if tensor == "embedding")
    );
    assert!(matches!(
        edited("\"F32\"", "\"I32\""),
        Err(ModelError::Shape { .. })
    ));
    assert!(
        matches!(edited("up.weight", "pu.weight"), Err(ModelError::Missing { tensor }) if tensor == "up.weight")
    );
}

#[test]
fn a_header_for_another_model_is_refused() {
    let field = |result| match result {
        Err(ModelError::Config { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(edited("\\\"window\\\":32", "\\\"window\\\":64")), "sizes");
    assert_eq!(
        field(edited("\\\"en\\\",\\\"fr\\\"", "\\\"fr\\\",\\\"en\\\"")),
        "labels"
    );
    assert_eq!(field(edited("abcd", "abdc")), "alphabet");
    assert_eq!(field(edited("\\\"margin\\\":0", "\\\"margin\\\":7")), "margin");
    assert_eq!(field(edited("\\\"window\\\"", "\\\"wandow\\\"")), "config");
}

#[test]
fn values_that_are_not_finite_or_too_large_are_refused() {
    for value in [f32::NAN, f32::INFINITY, -1e30] {
        let mut model = LanguageModel::builtin().unwrap();
        model.down.weight[70] = value;
        let refused = LanguageModel::from_safetensors(&model.to_safetensors().unwrap());
        let Err(ModelError::Value { tensor, index, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((tensor.as_str(), index), ("down.weight", 70));
    }
}

#[test]
fn tokens_outside_the_vocabulary_are_refused_by_both_forms() {
    let model = LanguageModel::builtin().unwrap();
    let mut window = [0; WINDOW];
    window[31] = u16::MAX;
    let refused = ModelError::Token {
        position: 31,
        token: u16::MAX,
        vocabulary: VOCABULARY,
    };
    assert_eq!(model.forward(&window), Err(refused.clone()));
    assert_eq!(Quantised::from(&model).forward(&window), Err(refused));
}
