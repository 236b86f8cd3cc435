//! What the fuzz targets do with their input, and what they demand of the library. A body panics where a promise is broken.
//!
//! * [`parse`]: any bytes as a file. * [`check`]: a file whose seals are right whatever else is wrong with it. * [`compute`]: what
//!   loads is used, on two backends. * [`infer`]: the classifier on loaded weights and ciphertexts. * [`text`]: the readers of weights, JSON
//!   and text.
//!
//! [`frame`] is the form in which files are mutated, [`mutate`] mutates it, [`seeds`] makes valid files of every kind.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a target reports by panicking")]

pub mod check;
pub mod compute;
pub mod frame;
pub mod home;
pub mod infer;
pub mod mutate;
pub mod parse;
pub mod seeds;
pub mod text;

/// A target whose inputs are files, mutated in their form: `$body` gets every one of them.
#[cfg(feature = "libfuzzer")]
#[macro_export]
macro_rules! target_of_files {
    ($body:path) => {
        static DONORS: std::sync::LazyLock<Vec<$crate::frame::Frame>> = std::sync::LazyLock::new(|| {
            let open = $crate::seeds::open();
            open.iter()
                .filter_map(|(_, open)| $crate::frame::Frame::from_open(open))
                .collect()
        });

        libfuzzer_sys::fuzz_target!(
            init: $crate::home::prepare(),
            |data: &[u8]| {
                $body(data);
            }
        );

        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            $crate::mutate::mutate(&mut data[..max_size], size, seed, &DONORS, |bytes, size| {
                let most = bytes.len();
                libfuzzer_sys::fuzzer_mutate(bytes, size, most)
            })
        });
    };
}
