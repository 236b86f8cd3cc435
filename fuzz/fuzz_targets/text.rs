#![no_main]

use cipherformer_fuzz::{home, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: home::prepare(),
    |data: &[u8]| {
        text::text(data);
    }
);
