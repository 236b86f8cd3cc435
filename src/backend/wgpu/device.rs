//! Adapters and devices: which there are, what they must have, and one of them opened.

use std::sync::{Arc, Mutex, PoisonError};

use ::wgpu::{
    Adapter as RawAdapter, Backends, DeviceDescriptor, DeviceType, Features, Instance, InstanceDescriptor,
    InstanceFlags, Limits, MemoryBudgetThresholds,
};

use super::{memory::Pool, queue::State};
use crate::backend::{BackendError, Result};

/// Storage buffers of a kernel, workgroup memory in bytes, and threads of a workgroup: what every adapter for WebGPU has.
const STORAGE_BUFFERS: u32 = 6;
const WORKGROUP_BYTES: u32 = 16_384;
const THREADS: u32 = 256;
/// The least that a binding can hold.
const BINDING_BYTES: u64 = 128 << 20;
/// Part of the memory of a device, in percent, beyond which nothing is allocated, where the driver tells how much there is.
const SHARE: u8 = 94;

/// Why there is no device to use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WgpuError {
    /// There is no adapter at all.
    #[error(
        "no GPU for wgpu: no Vulkan, Metal or Direct3D 12 driver was found; install the driver of the GPU (on Linux also the Vulkan loader, libvulkan1; mesa-vulkan-drivers has one that runs on the CPU), or use another backend"
    )]
    NoAdapter,
    /// There is no such adapter.
    #[error("wgpu adapter {ordinal} does not exist: there are {count}; use one from 0")]
    NoOrdinal {
        /// The adapter that was asked for.
        ordinal: usize,
        /// How many there are.
        count: usize,
    },
    /// No adapter has this name.
    #[error("no wgpu adapter has {name:?} in its name; there are: {names}")]
    NoName {
        /// What was looked for.
        name: String,
        /// The names of all.
        names: String,
    },
    /// The adapter is too small.
    #[error("{device} has {have} {what}, the kernels need {wanted}; use another adapter or backend")]
    TooSmall {
        /// The adapter.
        device: String,
        /// What there is too little of.
        what: &'static str,
        /// How much it has.
        have: u64,
        /// How much is needed.
        wanted: u64,
    },
    /// The device could not be opened.
    #[error("{device} could not be opened: {reason}; is its driver up to date?")]
    Device {
        /// The adapter.
        device: String,
        /// What the driver said.
        reason: String,
    },
}

/// What kind of device an adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AdapterKind {
    /// A GPU with memory of its own.
    DiscreteGpu,
    /// A GPU that shares the memory of the processor.
    IntegratedGpu,
    /// A GPU of a virtual machine.
    VirtualGpu,
    /// Not known.
    Other,
    /// Software that runs on the processor: right bits, but slower than the CPU backend.
    Cpu,
}

impl AdapterKind {
    fn new(kind: DeviceType) -> Self {
        match kind {
            DeviceType::DiscreteGpu => Self::DiscreteGpu,
            DeviceType::IntegratedGpu => Self::IntegratedGpu,
            DeviceType::VirtualGpu => Self::VirtualGpu,
            DeviceType::Cpu => Self::Cpu,
            DeviceType::Other => Self::Other,
        }
    }
}

impl std::fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::DiscreteGpu => "discrete GPU",
            Self::IntegratedGpu => "integrated GPU",
            Self::VirtualGpu => "virtual GPU",
            Self::Other => "device of unknown kind",
            Self::Cpu => "software on the CPU",
        })
    }
}

/// An adapter of this machine; its ordinal is its position in [`Wgpu::adapters`](super::Wgpu::adapters).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Adapter {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: AdapterKind,
    /// Through what it is reached: `Vulkan`, `Metal` or `Dx12`.
    pub api: String,
    /// Its driver, with the version.
    pub driver: String,
    /// Whether its shaders have 64-bit integers.
    pub int64: bool,
    /// Bytes of an operand that one launch can reach; larger ones are split.
    pub binding_bytes: u64,
}

impl Adapter {
    fn new(raw: &RawAdapter) -> Self {
        let info = raw.get_info();
        let driver = [info.driver, info.driver_info];
        Self {
            name: info.name,
            kind: AdapterKind::new(info.device_type),
            api: format!("{:?}", info.backend),
            driver: driver.join(" ").trim().to_owned(),
            int64: raw.features().contains(Features::SHADER_INT64),
            binding_bytes: raw.limits().max_storage_buffer_binding_size,
        }
    }
}

impl std::fmt::Display for Adapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = if self.int64 { 64 } else { 32 };
        let Self { name, kind, api, .. } = self;
        write!(f, "{name}, {kind}, {api}, {words}-bit kernels")
    }
}

/// Which adapter to open.
#[derive(Clone, Copy)]
pub(super) enum Which<'a> {
    Ordinal(usize),
    Name(&'a str),
}

/// How tests want a device; the default is how everyone does.
#[doc(hidden)]
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// Kernels in core WGSL even where there are 64-bit integers.
    pub core_only: bool,
    /// A lower limit of bindings, in bytes.
    pub binding_bytes: Option<usize>,
    /// Memory filled with 0xA5 when it is given out.
    pub poison: bool,
    /// A text of the shaders, and what replaces its first occurrence.
    pub fault: Option<[&'static str; 2]>,
}

/// What became of a device that failed.
#[derive(Clone, Default)]
pub(super) struct Failure(Arc<Mutex<Option<String>>>);

impl Failure {
    /// The first reason is kept.
    pub(super) fn set(&self, reason: String) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get_or_insert(reason);
    }

    pub(super) fn check(&self) -> Result<()> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match held.clone() {
            Some(reason) => Err(BackendError::Lost { reason }),
            None => Ok(()),
        }
    }
}

/// A device with its kernels and its one queue.
pub(super) struct Device {
    pub(super) label: String,
    pub(super) gpu: ::wgpu::Device,
    pub(super) queue: ::wgpu::Queue,
    pub(super) pool: Arc<Pool>,
    pub(super) state: Mutex<State>,
    pub(super) failure: Failure,
    /// The most words that one binding holds.
    pub(super) binding_words: usize,
    /// Where a binding may begin: at multiples of so many words.
    pub(super) align_words: usize,
}

/// All adapters, GPUs with memory of their own first, software last.
fn raw_adapters() -> Vec<RawAdapter> {
    let mut descriptor = InstanceDescriptor::new_without_display_handle();
    descriptor.backends = Backends::VULKAN | Backends::METAL | Backends::DX12;
    descriptor.flags = InstanceFlags::empty();
    descriptor.memory_budget_thresholds = MemoryBudgetThresholds {
        for_resource_creation: Some(SHARE),
        for_device_loss: None,
    };
    let instance = Instance::new(descriptor);
    let mut list = pollster::block_on(instance.enumerate_adapters(Backends::all()));
    list.sort_by_key(|a| AdapterKind::new(a.get_info().device_type));
    list
}

/// What [`Wgpu::adapters`](super::Wgpu::adapters) tells.
pub(super) fn adapters() -> Vec<Adapter> {
    raw_adapters().iter().map(Adapter::new).collect()
}

fn choose(which: Which<'_>) -> std::result::Result<RawAdapter, WgpuError> {
    let mut list = raw_adapters();
    let count = list.len();
    if count == 0 {
        return Err(WgpuError::NoAdapter);
    }
    let names: Vec<String> = list.iter().map(|a| a.get_info().name).collect();
    let at = match which {
        Which::Ordinal(ordinal) if ordinal < count => ordinal,
        Which::Ordinal(ordinal) => return Err(WgpuError::NoOrdinal { ordinal, count }),
        Which::Name(name) => {
            let wanted = name.to_lowercase();
            let found = names.iter().position(|n| n.to_lowercase().contains(&wanted));
            found.ok_or_else(|| WgpuError::NoName {
                name: name.to_owned(),
                names: names.join(", "),
            })?
        }
    };
    Ok(list.swap_remove(at))
}

fn check_limits(device: &str, have: &Limits) -> std::result::Result<(), WgpuError> {
    let needs = [
        (
            "storage buffers a kernel",
            u64::from(have.max_storage_buffers_per_shader_stage),
            u64::from(STORAGE_BUFFERS),
        ),
        (
            "bytes of workgroup memory",
            u64::from(have.max_compute_workgroup_storage_size),
            u64::from(WORKGROUP_BYTES),
        ),
        (
            "threads a workgroup",
            u64::from(have.max_compute_invocations_per_workgroup),
            u64::from(THREADS),
        ),
        (
            "bytes a binding",
            have.max_storage_buffer_binding_size,
            BINDING_BYTES,
        ),
    ];
    for (what, have, wanted) in needs {
        if have < wanted {
            let device = device.to_owned();
            return Err(WgpuError::TooSmall {
                device,
                what,
                have,
                wanted,
            });
        }
    }
    Ok(())
}

impl Device {
    /// Opens an adapter; its pool holds at most `budget` bytes, if there is one.
    pub(super) fn open(
        which: Which<'_>,
        budget: Option<usize>,
        options: Options,
    ) -> std::result::Result<Self, WgpuError> {
        let raw = choose(which)?;
        let mut adapter = Adapter::new(&raw);
        adapter.int64 &= !options.core_only;
        let have = raw.limits();
        check_limits(&adapter.name, &have)?;
        let required_features = match adapter.int64 {
            true => Features::SHADER_INT64,
            false => Features::empty(),
        };
        let descriptor = DeviceDescriptor {
            required_features,
            required_limits: Limits {
                max_storage_buffers_per_shader_stage: STORAGE_BUFFERS,
                max_compute_workgroup_storage_size: WORKGROUP_BYTES,
                max_compute_invocations_per_workgroup: THREADS,
                ..have.clone()
            },
            ..DeviceDescriptor::default()
        };
        let refused = |e: ::wgpu::RequestDeviceError| WgpuError::Device {
            device: adapter.name.clone(),
            reason: e.to_string(),
        };
        let (gpu, queue) = pollster::block_on(raw.request_device(&descriptor)).map_err(refused)?;
        let failure = Failure::default();
        let (on_loss, on_error) = (failure.clone(), failure.clone());
        gpu.set_device_lost_callback(move |reason, text| on_loss.set(format!("{reason:?}: {text}")));
        gpu.on_uncaptured_error(Arc::new(move |e: ::wgpu::Error| on_error.set(e.to_string())));
        let largest = usize::try_from(have.max_buffer_size).unwrap_or(usize::MAX);
        let pool = Arc::new(Pool::new(gpu.clone(), budget, largest, options.poison));
        let binding = usize::try_from(have.max_storage_buffer_binding_size).unwrap_or(usize::MAX);
        let align_words = (have.min_storage_buffer_offset_alignment as usize / 4).max(1);
        Ok(Self {
            label: adapter.to_string(),
            state: Mutex::new(State::new(&gpu, adapter.int64, options)),
            gpu,
            queue,
            pool,
            failure,
            binding_words: options.binding_bytes.unwrap_or(usize::MAX).min(binding) / 4,
            align_words,
        })
    }
}
