//! The shaders: sources put together, pipelines made when they are first used.

use std::collections::HashMap;

use ::wgpu::{
    BindGroupLayout, BindGroupLayoutDescriptor, BindGroupLayoutEntry, BindingType, BufferBindingType,
    ComputePipeline, ComputePipelineDescriptor, Device, ErrorFilter, PipelineCompilationOptions,
    PipelineLayout, PipelineLayoutDescriptor, ShaderModule, ShaderModuleDescriptor, ShaderRuntimeChecks,
    ShaderSource, ShaderStages,
};

use super::device::Options;
use crate::backend::{BackendError, Result};

const WIDE32: &str = include_str!("../../../shaders/wide32.wgsl");
const WIDE64: &str = include_str!("../../../shaders/wide64.wgsl");
const COMMON: &str = include_str!("../../../shaders/common.wgsl");
const STEMS: [(&str, &str); 6] = [
    ("basis", include_str!("../../../shaders/basis.wgsl")),
    ("elementwise", include_str!("../../../shaders/elementwise.wgsl")),
    ("encode", include_str!("../../../shaders/encode.wgsl")),
    ("keyswitch", include_str!("../../../shaders/keyswitch.wgsl")),
    ("matmul", include_str!("../../../shaders/matmul.wgsl")),
    ("ntt", include_str!("../../../shaders/ntt.wgsl")),
];

/// Bindings of every kernel: arguments, primes, destination, left, right, table.
pub(super) const BINDINGS: usize = 6;
const DESTINATION: usize = 2;

/// The shader modules by the stems of their files: in core WGSL, or with 64-bit integers.
#[doc(hidden)]
pub fn modules(int64: bool) -> Vec<(&'static str, String)> {
    let wide = if int64 { WIDE64 } else { WIDE32 };
    let whole = |(stem, source)| (stem, [wide, COMMON, source].concat());
    STEMS.into_iter().map(whole).collect()
}

/// Modules and pipelines of one device.
pub(super) struct Kernels {
    gpu: Device,
    sources: Vec<(&'static str, String)>,
    /// Whether accesses are checked: only where a test has changed the sources.
    checked: bool,
    pub(super) bindings: BindGroupLayout,
    layout: PipelineLayout,
    modules: HashMap<&'static str, ShaderModule>,
    pipelines: HashMap<&'static str, ComputePipeline>,
}

impl Kernels {
    pub(super) fn new(gpu: &Device, int64: bool, options: Options) -> Self {
        let entry = |i: usize| BindGroupLayoutEntry {
            binding: i as u32,
            visibility: ShaderStages::COMPUTE,
            ty: BindingType::Buffer {
                ty: BufferBindingType::Storage {
                    read_only: i != DESTINATION,
                },
                has_dynamic_offset: i == 0,
                min_binding_size: None,
            },
            count: None,
        };
        let bindings = gpu.create_bind_group_layout(&BindGroupLayoutDescriptor {
            label: None,
            entries: &std::array::from_fn::<_, BINDINGS, _>(entry),
        });
        let layout = gpu.create_pipeline_layout(&PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        let mut sources = modules(int64);
        if let Some([from, to]) = options.fault {
            for (_, source) in &mut sources {
                *source = source.replacen(from, to, 1);
            }
        }
        Self {
            gpu: gpu.clone(),
            sources,
            checked: options.fault.is_some(),
            bindings,
            layout,
            modules: HashMap::new(),
            pipelines: HashMap::new(),
        }
    }

    /// The pipeline of a kernel.
    pub(super) fn pipeline(&mut self, kernel: &'static str) -> Result<ComputePipeline> {
        if let Some(pipeline) = self.pipelines.get(kernel) {
            return Ok(pipeline.clone());
        }
        let entry = format!("fn {kernel}(");
        let found = self.sources.iter().find(|(_, source)| source.contains(&entry));
        let Some((stem, source)) = found else {
            return Err(BackendError::Unsupported { need: kernel });
        };
        let scope = self.gpu.push_error_scope(ErrorFilter::Validation);
        let (gpu, checked) = (&self.gpu, self.checked);
        let module = self
            .modules
            .entry(stem)
            .or_insert_with(|| module(gpu, stem, source, checked));
        let pipeline = self.gpu.create_compute_pipeline(&ComputePipelineDescriptor {
            label: Some(kernel),
            layout: Some(&self.layout),
            module,
            entry_point: Some(kernel),
            compilation_options: PipelineCompilationOptions {
                constants: &[],
                // Kernels write workgroup memory before they read it.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        if let Some(error) = pollster::block_on(scope.pop()) {
            return Err(BackendError::Lost {
                reason: format!("kernel {kernel}: {error}"),
            });
        }
        self.pipelines.insert(kernel, pipeline.clone());
        Ok(pipeline)
    }
}

fn module(gpu: &Device, stem: &str, source: &str, checked: bool) -> ShaderModule {
    let descriptor = ShaderModuleDescriptor {
        label: Some(stem),
        source: ShaderSource::Wgsl(source.into()),
    };
    if checked {
        return gpu.create_shader_module(descriptor);
    }
    // SAFETY: the sources are this crate's. What they touch lies within rows that were checked against their buffers when the launch was
    // made, workgroup arrays are indexed below their lengths, and every loop counts to a bound.
    unsafe { gpu.create_shader_module_trusted(descriptor, ShaderRuntimeChecks::unchecked()) }
}
