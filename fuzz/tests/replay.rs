//! The corpus through the bodies of the targets, without a fuzzer; and some thousand mutations of the seeds.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::{fs, path::PathBuf};

use cipherformer_fuzz::{
    check::check, compute::compute, frame::Frame, infer::infer, mutate::mutate, parse::parse, seeds,
    text::text,
};

fn body(target: &str) -> fn(&[u8]) -> bool {
    match target {
        "parse" => parse,
        "check" => check,
        "compute" => compute,
        "infer" => infer,
        _ => text,
    }
}

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target)
}

#[test]
fn seeds_are_committed_and_accepted() {
    for (target, seeds) in seeds::all() {
        for (name, seed) in seeds {
            let committed = fs::read(folder(target).join(&name)).unwrap();
            assert!(
                committed == seed,
                "{target}/{name}: run `cargo run --no-default-features --example corpus`"
            );
            // The one that has to be long to be valid.
            let refused = name == "weights-short";
            assert_eq!(body(target)(&seed), !refused, "{target}/{name}");
        }
    }
}

#[test]
fn the_corpus_breaks_no_promise() {
    for (target, _) in seeds::all() {
        for entry in fs::read_dir(folder(target)).unwrap() {
            body(target)(&fs::read(entry.unwrap().path()).unwrap());
        }
    }
}

/// The seals are written twice, in the library and in [`Frame`], by the same document.
#[test]
fn a_file_sealed_again_is_the_file() {
    for (name, file) in seeds::files() {
        let frame = Frame::open(&file).unwrap();
        assert!(frame.seal() == file, "{name}");
        assert_eq!(Frame::from_open(&frame.to_open()).unwrap(), frame, "{name}");
    }
}

/// The mutator on its own, with a crude stand-in for the fuzzer's bytes.
fn mutations(body: fn(&[u8]) -> bool, count: u32) -> [u32; 2] {
    let seeds = seeds::open();
    let donors: Vec<Frame> = seeds.iter().filter_map(|(_, s)| Frame::from_open(s)).collect();
    let mut outcomes = [0; 2];
    for round in 0..count {
        let (_, seed) = &seeds[round as usize % seeds.len()];
        let mut data = seed.clone();
        data.resize(seed.len() + 256, 0);
        let mut size = seed.len();
        for step in 0..1 + round % 3 {
            size = mutate(&mut data, size, round * 4 + step, &donors, |bytes, size| {
                let at = round as usize * 31 % size.max(1);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (round % 8);
                }
                size
            });
        }
        outcomes[usize::from(body(&data[..size]))] += 1;
    }
    outcomes
}

#[test]
fn mutated_files_with_right_seals_break_no_promise() {
    let [refused, accepted] = mutations(check, 20_000);
    assert!(
        refused > 5_000 && accepted > 2_000,
        "{refused} refused, {accepted} accepted"
    );
}

#[test]
fn what_loads_of_them_computes() {
    let [idle, computed] = mutations(compute, 1_000);
    assert!(idle > 200 && computed > 100, "{idle} idle, {computed} computed");
}
