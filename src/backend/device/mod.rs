//! Which device computes: chosen once, at the top of a program.
//!
//! [`BackendChoice`] is what a user asks for (`auto`, `cpu`, `cuda:1`), [`Device`] what came of it: an open backend, and why it is
//! this one. Everything between is generic over [`Backend`], and whoever holds a `Device` matches it once a call:
//! [`Device::run`] for programs that embed the crate.

mod choice;
mod error;
mod list;

use std::sync::Arc;

pub use choice::{BackendChoice, DeviceOptions};
pub use error::DeviceError;
pub use list::{BackendKind, DeviceBackend, Open};

pub(crate) use list::{Any, Family, backends, on};

use super::{Backend, Capabilities, cpu::Cpu};

/// Result of looking for a device.
pub type Result<T> = std::result::Result<T, DeviceError>;

/// The family of backends themselves.
pub(crate) struct Itself;

impl Family for Itself {
    type On<B: Backend> = B;
}

/// An open backend, and why it is this one. Cheap to clone; clones share its queue and memory.
#[derive(Clone)]
pub struct Device(Arc<Opened>);

struct Opened {
    backend: Any<Itself>,
    kind: BackendKind,
    ordinal: usize,
    emulated: bool,
    why: String,
}

/// Work that is written for any backend; [`Device::run`] gives it the one that was chosen.
///
/// ```
/// use cipherformer::backend::device::{BackendChoice, Device, DeviceBackend, Job};
/// struct Name;
/// impl Job for Name {
///     type Output = String;
///     fn run<B: DeviceBackend>(self, backend: &B) -> String {
///         backend.capabilities().name.to_owned()
///     }
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// assert_eq!(Device::open("cpu".parse::<BackendChoice>()?)?.run(Name), "cpu");
/// # Ok(())
/// # }
/// ```
pub trait Job {
    /// What it gives.
    type Output;
    /// Does it.
    fn run<B: DeviceBackend>(self, backend: &B) -> Self::Output;
}

impl Device {
    /// Opens what was asked for: a [`BackendChoice`], or [`DeviceOptions`] with a budget of memory. `auto` never fails.
    pub fn open(options: impl Into<DeviceOptions>) -> Result<Self> {
        let DeviceOptions { choice, memory_bytes } = options.into();
        match choice {
            BackendChoice::Auto => Ok(Self::auto_within(memory_bytes)),
            BackendChoice::Device { kind, ordinal } => {
                let (backend, emulated) = list::open(kind, ordinal, memory_bytes)?;
                let why = String::from("it was asked for");
                Ok(Self::new(backend, (kind, ordinal), emulated, why))
            }
        }
    }

    /// The fastest device that works: the first GPU, in the order of [`BackendKind::ALL`], else the CPU. One that only a processor
    /// stands behind, as an emulated driver or a software adapter, is never chosen.
    pub fn auto() -> Self {
        Self::auto_within(None)
    }

    fn auto_within(memory_bytes: Option<usize>) -> Self {
        let mut passed_over = Vec::new();
        for kind in BackendKind::ALL.iter().filter(|k| **k != BackendKind::Cpu) {
            match first_real(*kind, memory_bytes) {
                Ok(device) => return device,
                Err(reason) => passed_over.push(reason),
            }
        }
        let why = if passed_over.is_empty() {
            String::from("this build has no other backend")
        } else {
            format!("no GPU can be used ({})", passed_over.join("; "))
        };
        let cpu = Cpu::any::<Itself>(Arc::new(Cpu::new()));
        Self::new(cpu, (BackendKind::Cpu, 0), false, why)
    }

    fn new(backend: Any<Itself>, (kind, ordinal): (BackendKind, usize), emulated: bool, why: String) -> Self {
        Self(Arc::new(Opened {
            backend,
            kind,
            ordinal,
            emulated,
            why,
        }))
    }

    /// How many devices of a kind there are.
    pub fn count(kind: BackendKind) -> Result<usize> {
        list::count(kind)
    }

    /// The kind of backend.
    pub fn kind(&self) -> BackendKind {
        self.0.kind
    }

    /// Its number among those of its kind; 0 for one that the program opened.
    pub fn ordinal(&self) -> usize {
        self.0.ordinal
    }

    /// The choice that opens this very device: `cpu`, `cuda:0`.
    pub fn choice(&self) -> BackendChoice {
        self.0.kind.device(self.0.ordinal)
    }

    /// What the backend says of itself.
    pub fn capabilities(&self) -> Capabilities {
        on!(&self.0.backend, backend => backend.capabilities())
    }

    /// What its kernels are, in words, where there is a choice: PTX, or machine code (feature `cuda-native`).
    pub fn kernels(&self) -> Option<&str> {
        on!(&self.0.backend, backend => Open::kernels(backend.as_ref()))
    }

    /// Why it is this device, in words.
    pub fn why(&self) -> &str {
        &self.0.why
    }

    /// Whether a GPU's place is taken by the processor: an emulated driver, or a software adapter.
    pub fn is_emulated(&self) -> bool {
        self.0.emulated
    }

    /// The backend, for those who know which it is.
    pub fn backend<B: DeviceBackend>(&self) -> Option<&B> {
        B::of(&self.0.backend)
    }

    /// Does work that is written for any backend on the one that was chosen.
    pub fn run<J: Job>(&self, job: J) -> J::Output {
        on!(&self.0.backend, backend => job.run(backend.as_ref()))
    }

    /// The backend as a value to match.
    pub(crate) fn any(&self) -> &Any<Itself> {
        &self.0.backend
    }

    /// Whether memory of one is memory of the other, in the order of one queue.
    pub(crate) fn shares_memory(&self, other: &Self) -> bool {
        let host = |d: &Self| d.kind() == BackendKind::Cpu;
        Arc::ptr_eq(&self.0, &other.0) || (host(self) && host(other))
    }
}

impl<B: DeviceBackend> From<B> for Device {
    fn from(backend: B) -> Self {
        let (emulated, why) = (backend.is_emulated(), String::from("the program opened it"));
        Self::new(B::any::<Itself>(Arc::new(backend)), (B::KIND, 0), emulated, why)
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device({}, {})", self.choice(), self.capabilities().device)
    }
}

/// The first device of a kind that works and is no emulation, or why there is none.
fn first_real(kind: BackendKind, memory_bytes: Option<usize>) -> std::result::Result<Device, String> {
    let count = list::count(kind).map_err(|e| e.to_string())?;
    let mut reasons = Vec::new();
    for ordinal in 0..count {
        let choice = kind.device(ordinal);
        match list::open(kind, ordinal, memory_bytes) {
            Ok((backend, false)) => {
                let why = format!("{choice} is the first GPU that works");
                return Ok(Device::new(backend, (kind, ordinal), false, why));
            }
            Ok((backend, true)) => {
                let name = on!(&backend, b => b.capabilities().device);
                reasons.push(format!(
                    "{choice} is only emulated by the processor ({name}), which `auto` never takes"
                ));
            }
            Err(error) => reasons.push(error.to_string()),
        }
    }
    if reasons.is_empty() {
        reasons.push(format!("there is no {kind} device"));
    }
    Err(reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_never_fails_and_says_why() {
        let device = Device::auto();
        assert!(!device.why().is_empty());
        assert!(!device.is_emulated());
        assert_eq!(device.capabilities().name, device.kind().name());
        // What it names opens again.
        assert_eq!(Device::open(device.choice()).unwrap().choice(), device.choice());
    }

    #[test]
    fn memory_is_shared_by_clones_and_by_all_of_the_host() {
        let (a, b) = (Device::from(Cpu::new()), Device::from(Cpu::new()));
        assert!(a.shares_memory(&a.clone()) && a.shares_memory(&b));
        assert!(a.backend::<Cpu>().is_some());
    }

    #[test]
    fn a_device_that_does_not_exist_is_refused_with_numbers() {
        let wrong: BackendChoice = "cpu:3".parse().unwrap();
        let error = Device::open(wrong).unwrap_err();
        assert!(matches!(
            error,
            DeviceError::NoDevice {
                kind: BackendKind::Cpu,
                ordinal: 3,
                count: 1
            }
        ));
        assert!(error.to_string().contains("cpu:3"), "{error}");
    }
}
