//! The queue: launches gathered into submissions, their arguments in one page of memory.
//!
//! A submission takes up to [`BATCH`] launches. Arguments, small constants and small uploads are written to a page on the host, which
//! goes to the device in front of the submission that reads it. Only `wait` and reading wait.

use std::{
    collections::HashMap,
    sync::{MutexGuard, PoisonError},
};

use ::wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, BindingResource, Buffer as Raw, BufferBinding,
    BufferDescriptor, BufferSize, BufferUsages, CommandEncoder, CommandEncoderDescriptor, ComputePass,
    ComputePassDescriptor, PollType,
};

use super::{
    device::{Device, Options},
    kernels::{BINDINGS, Kernels},
    memory::Buffer,
    operands::{Operand, Window},
};
use crate::backend::{BackendError, Result, Row};

/// Launches of a submission.
const BATCH: usize = 64;
/// Words of arguments of a submission, and of one launch at the most.
pub(super) const PAGE_WORDS: usize = 1 << 18;
pub(super) const FRAME_WORDS: usize = 1 << 14;
/// Words of the fixed part of arguments, as in `shaders/common.wgsl`.
const HEADER_WORDS: usize = 24;
const NUMBERS: usize = 4;
const OPERANDS: usize = 8;
/// Bind groups that are kept.
const MOST_GROUPS: usize = 1024;

/// One launch of a kernel.
pub(super) struct Launch<'a> {
    pub(super) kernel: &'static str,
    pub(super) log_n: u32,
    /// Polynomials of an item in the third dimension of the grid.
    pub(super) polys: usize,
    /// The rows that the kernel's list of primes is of.
    pub(super) rows: &'a [Row],
    pub(super) primes: Option<&'a Buffer>,
    pub(super) dst: Operand<'a>,
    pub(super) left: Option<Operand<'a>>,
    pub(super) right: Option<Operand<'a>>,
    pub(super) table: Option<Operand<'a>>,
    pub(super) numbers: [u32; 4],
    /// Words that travel with the arguments, and which number says where they are.
    pub(super) list: Option<(usize, &'a [u32])>,
    pub(super) grid: [u32; 3],
}

/// What is on its way to the device.
pub(super) struct State {
    encoder: Option<CommandEncoder>,
    pass: Option<ComputePass<'static>>,
    pub(super) page: Vec<u32>,
    /// Where the page goes, and what unused bindings are bound to.
    pub(super) device_page: Raw,
    unused: Raw,
    launches: usize,
    pub(super) written: usize,
    groups: HashMap<[Window; BINDINGS - 1], BindGroup>,
    pub(super) landing: Option<Raw>,
    kernels: Kernels,
    forgetful: bool,
    /// How often work was submitted, and waited for.
    pub(super) submissions: usize,
    pub(super) waits: usize,
}

impl State {
    pub(super) fn new(gpu: &::wgpu::Device, int64: bool, options: Options) -> Self {
        let buffer = |words: usize, usage| {
            gpu.create_buffer(&BufferDescriptor {
                label: None,
                size: 4 * words as u64,
                usage,
                mapped_at_creation: false,
            })
        };
        let page = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
        Self {
            encoder: None,
            pass: None,
            page: Vec::with_capacity(PAGE_WORDS),
            device_page: buffer(PAGE_WORDS + FRAME_WORDS, page),
            unused: buffer(64, BufferUsages::STORAGE),
            launches: 0,
            written: 0,
            groups: HashMap::new(),
            landing: None,
            kernels: Kernels::new(gpu, int64, options),
            forgetful: options.poison,
            submissions: 0,
            waits: 0,
        }
    }

    /// The encoder, outside of a pass.
    pub(super) fn encoder(&mut self, gpu: &::wgpu::Device) -> &mut CommandEncoder {
        self.pass = None;
        self.encoder
            .get_or_insert_with(|| gpu.create_command_encoder(&CommandEncoderDescriptor::default()))
    }

    fn pass(&mut self, gpu: &::wgpu::Device) -> &mut ComputePass<'static> {
        let encoder = self
            .encoder
            .get_or_insert_with(|| gpu.create_command_encoder(&CommandEncoderDescriptor::default()));
        self.pass.get_or_insert_with(|| {
            encoder
                .begin_compute_pass(&ComputePassDescriptor::default())
                .forget_lifetime()
        })
    }

    /// The bind group of these windows, none for the unused bindings.
    fn group(&mut self, gpu: &::wgpu::Device, bound: [Option<(&Raw, Window)>; BINDINGS - 1]) -> BindGroup {
        let unused = Window {
            id: 0,
            first_word: 0,
            words: 64,
        };
        let key = bound.map(|b| b.map_or(unused, |(_, window)| window));
        if let Some(group) = self.groups.get(&key) {
            return group.clone();
        }
        if self.groups.len() >= MOST_GROUPS {
            self.groups.clear();
        }
        let binding = |buffer, first: usize, words: usize| {
            BindingResource::Buffer(BufferBinding {
                buffer,
                offset: 4 * first as u64,
                size: BufferSize::new(4 * words as u64),
            })
        };
        let entry = |i: usize| BindGroupEntry {
            binding: i as u32,
            resource: match i.checked_sub(1).map(|k| bound[k]) {
                None => binding(&self.device_page, 0, FRAME_WORDS),
                Some(None) => binding(&self.unused, 0, unused.words),
                Some(Some((raw, window))) => binding(raw, window.first_word, window.words),
            },
        };
        let group = gpu.create_bind_group(&BindGroupDescriptor {
            label: None,
            layout: &self.kernels.bindings,
            entries: &std::array::from_fn::<_, BINDINGS, _>(entry),
        });
        self.groups.insert(key, group.clone());
        group
    }

    /// The arguments of a launch, appended to the page; `first` is the first row of each operand's window. Returns where they begin, in words.
    fn arguments(&mut self, launch: &Launch, align: usize, first: [usize; 4]) -> usize {
        let page = &mut self.page;
        let start = page.len().next_multiple_of(align);
        page.resize(start + HEADER_WORDS, 0);
        (page[start], page[start + 1]) = (launch.log_n, launch.polys as u32);
        page[start + 2] = (page.len() - start) as u32;
        page[start + 3] = launch.rows.len() as u32;
        page.extend(launch.rows.iter().map(|r| r.prime));
        page[start + NUMBERS..start + OPERANDS].copy_from_slice(&launch.numbers);
        if let Some((which, list)) = launch.list {
            page[start + NUMBERS + which] = (page.len() - start) as u32;
            page.extend_from_slice(list);
        }
        let operands = [Some(launch.dst), launch.left, launch.right, launch.table];
        for (k, (operand, first)) in operands.into_iter().zip(first).enumerate() {
            let Some(Operand { span, at, .. }) = operand else {
                continue;
            };
            // Modulo 2^32, so that rows and base may be taken apart.
            let base = (span.offset as u32).wrapping_sub(first as u32);
            let words = [
                base,
                span.item_stride as u32,
                span.poly_stride as u32,
                (page.len() - start) as u32,
            ];
            page[start + OPERANDS + 4 * k..][..4].copy_from_slice(&words);
            match at {
                Some(at) => page.extend_from_slice(at),
                None => page.extend(span.rows.iter().map(|r| r.at)),
            }
        }
        start
    }
}

impl Device {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Submits what was gathered.
    pub(super) fn flush(&self, state: &mut State) {
        state.pass = None;
        let Some(encoder) = state.encoder.take() else {
            return;
        };
        if !state.page.is_empty() {
            self.queue
                .write_buffer(&state.device_page, 0, bytemuck::cast_slice(&state.page));
        }
        self.queue.submit([encoder.finish()]);
        state.page.clear();
        (state.launches, state.submissions) = (0, state.submissions + 1);
        if state.forgetful {
            state.groups.clear();
        }
        // Lets go of what earlier submissions held; whatever fails here is found by the next wait.
        let _ = self.gpu.poll(PollType::Poll);
    }

    pub(super) fn settle(&self, state: &mut State) -> Result<()> {
        self.flush(state);
        (state.written, state.waits) = (0, state.waits + 1);
        let waited = self.gpu.poll(PollType::wait_indefinitely());
        self.failure.check()?;
        let lost = |e: ::wgpu::PollError| BackendError::Lost {
            reason: e.to_string(),
        };
        waited.map(|_| ()).map_err(lost)
    }

    /// Waits for everything submitted.
    pub(super) fn wait(&self) -> Result<()> {
        self.failure.check()?;
        self.settle(&mut self.state())
    }

    /// Memory for rows; what was released is given back to the device when there is no more.
    pub(super) fn take(&self, log_n: u32, rows: usize) -> Result<Buffer> {
        self.failure.check()?;
        if let Some(buffer) = self.pool.take(log_n, rows)? {
            return Ok(buffer);
        }
        self.give_back()?;
        let room = self.pool.take(log_n, rows)?;
        room.ok_or_else(|| BackendError::OutOfMemory {
            wanted: 4 * (rows << log_n),
            free: self.pool.free(),
        })
    }

    /// Gives released memory back to the device.
    pub(super) fn give_back(&self) -> Result<()> {
        let mut state = self.state();
        state.groups.clear();
        self.settle(&mut state)?;
        self.pool.trim();
        // A second time, since the device lets go of memory when it is asked.
        self.settle(&mut state)
    }

    /// Puts a launch in the queue.
    pub(super) fn launch(&self, launch: &Launch) -> Result<()> {
        if launch.grid.contains(&0) {
            return Ok(());
        }
        self.failure.check()?;
        let operands = [Some(launch.dst), launch.left, launch.right, launch.table];
        let (mut bound, mut first) = ([None; BINDINGS - 1], [0; 4]);
        if let Some(primes) = launch.primes {
            let window = Window {
                id: primes.memory()?.id,
                first_word: 0,
                words: primes.words(),
            };
            bound[0] = Some((&primes.memory()?.raw, window));
        }
        for (k, operand) in operands.iter().enumerate() {
            if let Some(operand) = operand {
                let (window, row) = operand.window(self)?;
                if window.words > self.binding_words {
                    let need = "rows of one operand so far apart on wgpu";
                    return Err(BackendError::Unsupported { need });
                }
                (bound[k + 1], first[k]) = (Some((&operand.buffer.memory()?.raw, window)), row);
            }
        }
        let words = HEADER_WORDS + launch.rows.len() + launch.list.map_or(0, |(_, list)| list.len());
        let others: usize = operands.iter().flatten().map(|o| o.span.rows.len()).sum();
        if words + others > FRAME_WORDS {
            let need = "launches with so many rows and constants on wgpu";
            return Err(BackendError::Unsupported { need });
        }
        let mut state = self.state();
        if state.page.len() + self.align_words + words + others > PAGE_WORDS {
            self.flush(&mut state);
        }
        let pipeline = state.kernels.pipeline(launch.kernel)?;
        let group = state.group(&self.gpu, bound);
        let start = state.arguments(launch, self.align_words, first);
        let pass = state.pass(&self.gpu);
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[4 * start as u32]);
        let [x, y, z] = launch.grid;
        pass.dispatch_workgroups(x, y, z);
        state.launches += 1;
        if state.launches >= BATCH {
            self.flush(&mut state);
        }
        Ok(())
    }
}
