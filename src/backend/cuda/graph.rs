//! Recorded circuits, replayed as CUDA graphs: one submission for all launches, and no work of the host in between.
//!
//! What a circuit computes on the way lies in an arena of the recording, so that addresses stay as they are, and the recording keeps all
//! memory that the circuit touches. What the host gave (constants, Galois elements, uploads) has the values of the time of recording; operands
//! on the device are read anew by each replay.

use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{CudaGraph, CudaStream, sys};

use super::{
    Cuda,
    device::{Device, Queue},
    memory::{Recording, lost},
};
use crate::backend::{BackendError, Result};

/// A recorded circuit.
///
/// Its results are the values that the recording returned; they hold what the latest replay computed, and nothing before the first one.
pub struct Graph {
    // Dropped before the memory that it uses.
    graph: Mutex<Replay>,
    _recording: Recording,
    _device: Arc<Device>,
}

/// The driver's graph; none for a circuit without work.
struct Replay(Option<CudaGraph>);

// SAFETY: the driver's handles may be used from any thread, one at a time, which the mutex around this sees to.
unsafe impl Send for Replay {}

impl Graph {
    /// Submits the circuit to the queue of its device.
    pub fn launch(&self) -> Result<()> {
        let replay = self.graph.lock().unwrap_or_else(PoisonError::into_inner);
        match &replay.0 {
            Some(graph) => graph.launch().map_err(lost),
            None => Ok(()),
        }
    }
}

/// A recording that has begun; ends it if nobody else does.
struct Capture<'a> {
    device: &'a Device,
    stream: &'a Arc<CudaStream>,
    ended: bool,
}

impl Capture<'_> {
    fn end(&mut self) -> Result<(Option<CudaGraph>, Option<Recording>)> {
        self.ended = true;
        let graph = self.stream.end_capture(sys::CUgraphInstantiate_flags(0));
        let recording = self.device.pool.end_recording();
        Ok((graph.map_err(lost)?, recording))
    }
}

impl Drop for Capture<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.end();
        }
    }
}

impl Cuda {
    /// Records the work that `circuit` submits instead of doing it, for [`Graph::launch`] to do as often as wanted with what its operands hold
    /// by then; returns what the circuit returns, which holds nothing before the first launch.
    ///
    /// Errors when the circuit does, when it asks for results on the host (`download`, `wait`), within another recording, and for a counting
    /// device. While a circuit is recorded, work of other threads on this device is refused.
    pub fn record<T, E: From<BackendError>>(
        &self,
        circuit: impl FnOnce() -> std::result::Result<T, E>,
    ) -> std::result::Result<(Graph, T), E> {
        let Queue::Driver { stream, .. } = self.device.pool.queue() else {
            let need = "recording on a device that only counts";
            return Err(BackendError::Unsupported { need }.into());
        };
        self.device.pool.begin_recording(stream)?;
        // Memory and constants come by way of another stream, which only this mode allows.
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        if let Err(error) = stream.begin_capture(mode) {
            drop(self.device.pool.end_recording());
            return Err(lost(error).into());
        }
        let mut capture = Capture {
            device: &self.device,
            stream,
            ended: false,
        };
        let results = circuit()?;
        let (graph, recording) = capture.end()?;
        let Some(recording) = recording else {
            let need = "a recording that another one has ended";
            return Err(BackendError::Unsupported { need }.into());
        };
        let graph = Graph {
            graph: Mutex::new(Replay(graph)),
            _recording: recording,
            _device: Arc::clone(&self.device),
        };
        Ok((graph, results))
    }
}
