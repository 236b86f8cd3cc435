//! The shaders of the wgpu backend without a device: they are core WGSL, compile to SPIR-V, and stay within what every adapter has.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step of a test is a failed test"
)]

use cipherformer::backend::wgpu::modules;
use wgpu::naga::{
    AddressSpace, Module,
    back::spv,
    front::wgsl,
    proc::Layouter,
    valid::{Capabilities, ModuleInfo, ValidationFlags, Validator},
};

/// What WebGPU promises of every adapter, and wgpu does not check: bytes of workgroup memory.
const WORKGROUP_BYTES: u32 = 16_384;
const INVOCATIONS: u32 = 256;
/// What the backend asks of an adapter; WebGPU promises eight.
const STORAGE_BUFFERS: usize = 6;

fn parse(stem: &str, source: &str) -> Module {
    wgsl::parse_str(source).unwrap_or_else(|e| panic!("{stem}: {}", e.emit_to_string(source)))
}

fn validate(stem: &str, source: &str, capabilities: Capabilities) -> (Module, ModuleInfo) {
    let module = parse(stem, source);
    let info = Validator::new(ValidationFlags::all(), capabilities).validate(&module);
    let info = info.unwrap_or_else(|e| panic!("{stem}: {}", e.emit_to_string(source)));
    (module, info)
}

/// Bytes of workgroup memory, threads, and storage buffers of each entry point.
fn needs(module: &Module, info: &ModuleInfo) -> Vec<(String, u32, u32, usize)> {
    let mut layouter = Layouter::default();
    layouter.update(module.to_ctx()).unwrap();
    let of_entry = |(i, entry): (usize, &wgpu::naga::EntryPoint)| {
        let used = info.get_entry_point(i);
        let variables = module
            .global_variables
            .iter()
            .filter(|(h, _)| !used[*h].is_empty());
        let (mut bytes, mut buffers) = (0, 0);
        for (_, variable) in variables {
            match variable.space {
                AddressSpace::WorkGroup => bytes += layouter[variable.ty].size,
                AddressSpace::Storage { .. } => buffers += 1,
                _ => {}
            }
        }
        let threads = entry.workgroup_size.iter().product();
        (entry.name.clone(), bytes, threads, buffers)
    };
    module.entry_points.iter().enumerate().map(of_entry).collect()
}

#[test]
fn the_core_variant_needs_nothing_beyond_core_wgsl() {
    for (stem, source) in modules(false) {
        let (module, info) = validate(stem, &source, Capabilities::empty());
        let words = spv::write_vec(&module, &info, &spv::Options::default(), None).unwrap();
        assert!(words.len() > 100, "{stem}");
    }
}

#[test]
fn the_other_variant_needs_64_bit_integers_alone() {
    for (stem, source) in modules(true) {
        let (module, info) = validate(stem, &source, Capabilities::SHADER_INT64);
        let words = spv::write_vec(&module, &info, &spv::Options::default(), None).unwrap();
        assert!(words.len() > 100, "{stem}");
    }
}

#[test]
fn kernels_stay_within_what_every_adapter_has() {
    let mut count = 0;
    for int64 in [false, true] {
        for (stem, source) in modules(int64) {
            let (module, info) = validate(stem, &source, Capabilities::SHADER_INT64);
            for (name, bytes, threads, buffers) in needs(&module, &info) {
                println!("{name}: {bytes} bytes, {threads} threads, {buffers} storage buffers");
                assert!(bytes <= WORKGROUP_BYTES, "{name} has {bytes} bytes");
                assert!(threads <= INVOCATIONS, "{name} has {threads} threads");
                assert!(buffers <= STORAGE_BUFFERS, "{name} has {buffers} storage buffers");
                count += 1;
            }
        }
    }
    assert_eq!(count, 2 * 28);
}

/// The checks see what they are for.
#[test]
fn a_larger_tile_and_a_64_bit_word_are_seen() {
    let ntt = |int64| {
        modules(int64)
            .into_iter()
            .find(|(stem, _)| *stem == "ntt")
            .unwrap()
            .1
    };
    let source = ntt(false);
    let larger = source.replace("array<u32, 4096>", "array<u32, 4097>");
    let (module, info) = validate("ntt", &larger, Capabilities::empty());
    assert!(
        needs(&module, &info)
            .iter()
            .all(|(_, bytes, ..)| *bytes > WORKGROUP_BYTES)
    );
    let source = ntt(true);
    let module = parse("ntt", &source);
    let core = Validator::new(ValidationFlags::all(), Capabilities::empty());
    assert!({ core }.validate(&module).is_err());
}
