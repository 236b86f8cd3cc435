//! `bench ceilings`: what the device can do at best, to hold everything else against.

use serde::Serialize;

use crate::{
    backend::device::{Device, DeviceBackend, on},
    bench::Ceilings,
    cli::{CeilingsArgs, Failure, device},
    report::{DeviceReport, bytes},
};

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    device: DeviceReport,
    /// Threads of the host.
    threads: usize,
    /// Products of 32-bit words in 64 bits a second; on a GPU those that its matrix products reach.
    products_per_second: f64,
    copies: Vec<Copy>,
}

#[derive(Serialize)]
struct Copy {
    /// Source and destination together.
    footprint_bytes: usize,
    /// Read and written.
    bytes_per_second: f64,
}

pub(crate) fn run(args: &CeilingsArgs) -> Result<(), Failure> {
    let device = args.device.open()?;
    on!(device.any(), backend => run_on(args, &device, backend.as_ref()))
}

fn run_on<B: DeviceBackend>(args: &CeilingsArgs, device: &Device, backend: &B) -> Result<(), Failure> {
    let ceilings = Ceilings::of(backend)?;
    let copies = ceilings.copies.iter().map(|(footprint, rate)| Copy {
        footprint_bytes: *footprint,
        bytes_per_second: *rate,
    });
    let report = Report {
        device: device::report(device),
        threads: rayon::current_num_threads(),
        products_per_second: ceilings.products,
        copies: copies.collect(),
    };
    if args.json {
        say!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    say!();
    say!("  {} backend: {}", report.device.backend, report.device.device);
    device::warn_of_emulation(&report.device);
    say!();
    say!(
        "  products of 32-bit words  {:>9.1} G/s",
        report.products_per_second / 1e9
    );
    for copy in &report.copies {
        say!(
            "  copies within {:>8}    {:>9.1} GB/s read and written",
            bytes(copy.footprint_bytes),
            copy.bytes_per_second / 1e9
        );
    }
    Ok(())
}
