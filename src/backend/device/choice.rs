//! What a user asks for: `auto`, `cpu`, `cuda`, `cuda:1`.

use std::{fmt, str::FromStr};

use super::{BackendKind, DeviceError};

/// Which device is to compute. The texts are those of `--backend`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BackendChoice {
    /// The fastest one that works: a GPU, else the CPU.
    #[default]
    Auto,
    /// One device of a kind, by its number from 0.
    Device {
        /// The kind.
        kind: BackendKind,
        /// The number.
        ordinal: usize,
    },
}

impl BackendChoice {
    /// The CPU.
    pub const CPU: Self = BackendKind::Cpu.device(0);

    /// The same, holding at most `bytes` of the device's memory.
    pub const fn within(self, bytes: usize) -> DeviceOptions {
        DeviceOptions {
            choice: self,
            memory_bytes: Some(bytes),
        }
    }
}

impl BackendKind {
    /// The choice of one device of this kind.
    pub const fn device(self, ordinal: usize) -> BackendChoice {
        BackendChoice::Device { kind: self, ordinal }
    }
}

/// A choice, and what the device may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceOptions {
    /// Which device.
    pub choice: BackendChoice,
    /// Bytes of a GPU's memory to hold at most; nearly all that is free otherwise. The CPU takes memory from the system.
    pub memory_bytes: Option<usize>,
}

impl From<BackendChoice> for DeviceOptions {
    fn from(choice: BackendChoice) -> Self {
        Self {
            choice,
            memory_bytes: None,
        }
    }
}

impl FromStr for BackendChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (name, Some(number)),
            None => (text, None),
        };
        let kind = BackendKind::ALL.iter().find(|k| k.name() == name);
        let kind = kind.ok_or_else(|| DeviceError::Unknown {
            given: text.to_owned(),
        })?;
        let ordinal = match number {
            None => Some(0),
            // Without signs: "+1" is no number here. No machine has more than 2^16 devices.
            Some(n) if n.bytes().all(|b| b.is_ascii_digit()) => n.parse::<u16>().ok(),
            Some(_) => None,
        };
        let ordinal = ordinal.ok_or_else(|| DeviceError::Number {
            kind: *kind,
            given: text.to_owned(),
        })?;
        Ok(kind.device(usize::from(ordinal)))
    }
}

impl fmt::Display for BackendChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Device {
                kind: BackendKind::Cpu,
                ordinal: 0,
            } => f.write_str(BackendKind::Cpu.name()),
            Self::Device { kind, ordinal } => write!(f, "{kind}:{ordinal}"),
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let cuda = BackendKind::Cuda.device(3);
        for (text, choice) in [
            ("auto", BackendChoice::Auto),
            ("cpu", BackendChoice::CPU),
            ("cuda:3", cuda),
        ] {
            assert_eq!(text.parse::<BackendChoice>().unwrap(), choice);
            assert_eq!(choice.to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(BackendKind::Cuda.device(0)));
        assert_eq!(BackendChoice::default(), BackendChoice::Auto);
        assert_eq!(cuda.within(5).memory_bytes, Some(5));
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for kind in BackendKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind.device(0)));
            assert_ne!(kind.name(), "auto");
        }
        assert!(BackendKind::Cpu.is_built());
    }

    #[test]
    fn what_is_no_backend_is_refused_with_those_that_are() {
        for text in ["", "gpu", "CUDA", "auto:0", ":", " cpu"] {
            let error = text.parse::<BackendChoice>().unwrap_err();
            assert_eq!(error, DeviceError::Unknown { given: text.into() });
            let message = error.to_string();
            assert!(message.contains("cuda") && message.contains("auto"), "{message}");
        }
        for text in [
            "cuda:",
            "cuda:x",
            "cuda:-1",
            "cuda:+1",
            "cuda:1:2",
            "cuda:65536",
            "cuda: 1",
        ] {
            let error = text.parse::<BackendChoice>().unwrap_err();
            assert!(matches!(error, DeviceError::Number { .. }), "{text}: {error}");
            assert!(error.to_string().contains("cuda:1"), "{error}");
        }
    }
}
