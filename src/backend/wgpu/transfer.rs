//! Words to and from the device.
//!
//! Small uploads travel in the page of the next submission; large ones are written at once, after what was gathered is submitted.

use std::sync::mpsc;

use ::wgpu::{Buffer as Raw, BufferDescriptor, BufferUsages, CommandEncoder, ErrorFilter, MapMode};

use super::{
    device::Device,
    memory::Buffer,
    queue::{FRAME_WORDS, PAGE_WORDS, State},
};
use crate::backend::{BackendError, Result};

/// Words that are brought to the host at a time.
const READ_WORDS: usize = 4 << 20;
/// Bytes that may be on their way to the device before the host waits.
const MOST_WRITTEN: usize = 256 << 20;

impl Device {
    /// Words from the host to a buffer, `runs` of them one after the other: (first word in the buffer, words).
    pub(super) fn write(&self, buffer: &Buffer, runs: &[(usize, usize)], words: &[u32]) -> Result<()> {
        self.failure.check()?;
        let raw = &buffer.memory()?.raw;
        if words.len() <= FRAME_WORDS {
            let mut state = self.state();
            if state.page.len() + words.len() > PAGE_WORDS {
                self.flush(&mut state);
            }
            let from = state.page.len();
            state.page.extend_from_slice(words);
            let page = state.device_page.clone();
            copy_runs(state.encoder(&self.gpu), (&page, from), raw, runs);
            return Ok(());
        }
        if let [(first, _)] = runs {
            let mut state = self.state();
            self.flush(&mut state);
            return self.write_now(&mut state, raw, *first, words);
        }
        let staged = self.take(0, words.len())?;
        let from = &staged.memory()?.raw;
        let mut state = self.state();
        self.flush(&mut state);
        self.write_now(&mut state, from, 0, words)?;
        copy_runs(state.encoder(&self.gpu), (from, 0), raw, runs);
        Ok(())
    }

    /// What `make` gives, unless the driver has no room for `wanted` bytes on the way to the device or from it.
    fn roomy<T>(&self, wanted: usize, make: impl FnOnce() -> T) -> Result<T> {
        let scope = self.gpu.push_error_scope(ErrorFilter::OutOfMemory);
        let made = make();
        match pollster::block_on(scope.pop()) {
            Some(_) => Err(BackendError::OutOfMemory { wanted, free: 0 }),
            None => Ok(made),
        }
    }

    /// Words to memory that nothing gathered uses.
    fn write_now(&self, state: &mut State, raw: &Raw, first: usize, words: &[u32]) -> Result<()> {
        const STEP: usize = MOST_WRITTEN / 16;
        for (i, words) in words.chunks(STEP).enumerate() {
            let (at, bytes) = (4 * (first + i * STEP) as u64, bytemuck::cast_slice(words));
            self.roomy(bytes.len(), || self.queue.write_buffer(raw, at, bytes))?;
            state.written += 4 * words.len();
            if state.written >= MOST_WRITTEN {
                self.queue.submit([]);
                self.settle(state)?;
            }
        }
        Ok(())
    }

    /// Words of a buffer to the host, in the order of `runs`; waits for them.
    pub(super) fn read(&self, buffer: &Buffer, runs: &[(usize, usize)], words: &mut [u32]) -> Result<()> {
        let mut rest = runs.iter().copied();
        let (mut run, mut done) = (rest.next(), 0);
        while done < words.len() {
            // As many runs, or parts of them, as the landing place holds.
            let (mut list, mut room) = (Vec::new(), READ_WORDS);
            while let (Some((first, count)), true) = (run, room > 0) {
                let part = count.min(room);
                list.push((first, part));
                room -= part;
                run = match part == count {
                    true => rest.next(),
                    false => Some((first + part, count - part)),
                };
            }
            let count = READ_WORDS - room;
            if count == 0 {
                break;
            }
            self.read_some(buffer, &list, &mut words[done..done + count])?;
            done += count;
        }
        Ok(())
    }

    fn read_some(&self, buffer: &Buffer, runs: &[(usize, usize)], words: &mut [u32]) -> Result<()> {
        self.failure.check()?;
        let raw = &buffer.memory()?.raw;
        let bytes = 4 * words.len() as u64;
        let mut state = self.state();
        let landing = match state.landing.take() {
            Some(landing) if landing.size() >= bytes => landing,
            _ => self.roomy(bytes as usize, || {
                self.gpu.create_buffer(&BufferDescriptor {
                    label: None,
                    size: bytes.next_power_of_two(),
                    usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                })
            })?,
        };
        let encoder = state.encoder(&self.gpu);
        let mut to = 0;
        for (first, count) in runs {
            let [first, count] = [first, count].map(|x| 4 * *x as u64);
            encoder.copy_buffer_to_buffer(raw, first, &landing, to, count);
            to += count;
        }
        self.flush(&mut state);
        let (sender, receiver) = mpsc::channel();
        landing.map_async(MapMode::Read, 0..bytes, move |result| {
            // The receiver is gone only if this read was given up.
            let _ = sender.send(result);
        });
        self.settle(&mut state)?;
        let lost = |reason: String| BackendError::Lost { reason };
        let mapped = receiver.try_recv().map_err(|e| lost(e.to_string()))?;
        mapped.map_err(|e| lost(e.to_string()))?;
        {
            let view = landing
                .get_mapped_range(0..bytes)
                .map_err(|e| lost(e.to_string()))?;
            bytemuck::cast_slice_mut::<u32, u8>(words).copy_from_slice(&view);
        }
        landing.unmap();
        state.landing = Some(landing);
        Ok(())
    }
}

/// Copies words that lie one after the other to their places.
fn copy_runs(encoder: &mut CommandEncoder, (from, first): (&Raw, usize), to: &Raw, runs: &[(usize, usize)]) {
    let mut at = 4 * first as u64;
    for (first, count) in runs {
        let [first, count] = [first, count].map(|x| 4 * *x as u64);
        encoder.copy_buffer_to_buffer(from, at, to, first, count);
        at += count;
    }
}
