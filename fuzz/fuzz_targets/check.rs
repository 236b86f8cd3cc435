#![no_main]

use std::sync::LazyLock;

use cipherformer_fuzz::{check, frame::Frame, home, mutate, seeds};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

static DONORS: LazyLock<Vec<Frame>> = LazyLock::new(|| {
    let open = seeds::open();
    open.iter()
        .filter_map(|(_, open)| Frame::from_open(open))
        .collect()
});

fuzz_target!(
    init: home::prepare(),
    |data: &[u8]| {
        check::check(data);
    }
);

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::mutate(&mut data[..max_size], size, seed, &DONORS, |bytes, size| {
        let most = bytes.len();
        fuzzer_mutate(bytes, size, most)
    })
});
