#![no_main]

use cipherformer_fuzz::{home, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: home::prepare(),
    |data: &[u8]| {
        parse::parse(data);
    }
);
