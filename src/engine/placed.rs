//! Things on devices: what a facade holds without naming the backend.

use std::sync::Arc;

use super::{EngineError, Result};
use crate::backend::device::{Any, Device, DeviceBackend, Family};

/// Something on a device. Cheap to clone; clones share it.
pub(super) struct Placed<F: Family> {
    pub(super) device: Device,
    pub(super) any: Any<F>,
}

impl<F: Family> Clone for Placed<F> {
    fn clone(&self) -> Self {
        Self {
            device: self.device.clone(),
            any: self.any.clone(),
        }
    }
}

impl<F: Family> Placed<F> {
    /// On a device of this backend.
    pub(super) fn new<B: DeviceBackend>(device: &Device, x: F::On<B>) -> Self {
        Self {
            device: device.clone(),
            any: B::any(Arc::new(x)),
        }
    }

    /// The thing itself, for an operation that runs on `device`.
    pub(super) fn for_device<B: DeviceBackend>(
        &self,
        operation: &'static str,
        device: &Device,
    ) -> Result<&F::On<B>> {
        let there = B::of(&self.any).filter(|_| self.device.shares_memory(device));
        there.ok_or_else(|| EngineError::OtherDevice {
            operation,
            theirs: self.device.choice(),
            own: device.choice(),
        })
    }

    /// The thing itself, for a caller who says which backend it is.
    pub(super) fn typed<B: DeviceBackend>(&self, operation: &'static str) -> Result<&F::On<B>> {
        B::of(&self.any).ok_or_else(|| EngineError::OtherBackend {
            operation,
            own: self.device.choice(),
            wanted: B::KIND.name(),
        })
    }
}
