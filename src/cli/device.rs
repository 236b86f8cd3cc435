//! `--backend`: what computes, and what is said of it.

use clap::Args;

use super::show;
use crate::{
    backend::device::{BackendChoice, Device, Result},
    report::DeviceReport,
};

/// For commands whose work is worth a GPU.
#[derive(Args)]
pub(super) struct DeviceArgs {
    /// What computes: auto, cpu, or a GPU as in cuda or cuda:1. `auto` takes the first GPU that works, else the CPU, and says why
    #[arg(long, value_name = "BACKEND", default_value_t)]
    backend: BackendChoice,
}

/// For a client's commands: little work, and a secret.
#[derive(Args)]
pub(super) struct ClientDeviceArgs {
    /// What computes: cpu, auto, or a GPU as in cuda or cuda:1, whose memory then holds the secret for a while
    #[arg(long, value_name = "BACKEND", default_value_t = BackendChoice::CPU)]
    backend: BackendChoice,
}

impl DeviceArgs {
    /// Opens it.
    pub(super) fn open(&self) -> Result<Device> {
        Device::open(self.backend)
    }
}

impl ClientDeviceArgs {
    /// Opens it.
    pub(super) fn open(&self) -> Result<Device> {
        Device::open(self.backend)
    }
}

/// The device of a run.
pub(super) fn report(device: &Device) -> DeviceReport {
    let capabilities = device.capabilities();
    DeviceReport {
        backend: capabilities.name,
        device: capabilities.device,
        emulated: device.is_emulated(),
        why: device.why().to_owned(),
    }
}

/// The device, for people: `cpu backend`, `cuda backend (NVIDIA A100)`.
pub(super) fn name(report: &DeviceReport) -> String {
    match report.backend {
        "cpu" => String::from("cpu backend"),
        backend => format!("{backend} backend ({})", report.device),
    }
}

/// Says that times are of no account, where they are not.
pub(super) fn warn_of_emulation(report: &DeviceReport) {
    if report.emulated {
        say!(
            "  {}",
            show::bold("The processor takes the place of a GPU here: results are right, times say nothing.")
        );
    }
}
