//! What is asked of a plan.

use serde::{Deserialize, Serialize};

use super::Shape;

/// Which operands are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encrypted {
    /// The left one; the right one is plain.
    Left,
    /// The right one; the left one is plain.
    Right,
    /// Both.
    Both,
}

impl Encrypted {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
            Self::Both => "both",
        }
    }
}

impl std::fmt::Display for Encrypted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Left => "the left operand",
            Self::Right => "the right operand",
            Self::Both => "both operands",
        })
    }
}

/// How results travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Ciphertexts as they are, without the coefficients of c_0 that hold no result: no evaluation keys.
    Cut,
    /// Interleaved, so that every coefficient holds a result: as few ciphertexts as can be, a key switch for each that is saved.
    Packed,
}

impl Output {
    /// The name of coefficient packing with such results.
    pub fn packing(self) -> &'static str {
        match self {
            Self::Cut => "coefficient_cut",
            Self::Packed => "coefficient_packed",
        }
    }
}

/// What blocks are chosen for. Ties are broken by time, then by all bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The server's time.
    Time,
    /// Bytes of encrypted operands.
    BytesUp,
    /// Bytes of results.
    BytesDown,
    /// Both.
    Bytes,
}

impl Objective {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Time, Self::BytesUp, Self::BytesDown, Self::Bytes];
}

/// A product, and what matters about it.
///
/// Requests of one key are stacked: their rows are rows of the left operand, and share ciphertexts. `requests` counts requests with
/// different keys, which share the plain operand only.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The product.
    pub shape: Shape,
    /// Which operands are encrypted.
    pub encrypted: Encrypted,
    /// How results travel; `None`: whatever suits the objective.
    pub output: Option<Output>,
    /// What blocks are chosen for.
    pub objective: Objective,
    /// The largest magnitude of an entry of the plain operand; `None`: floor(t / 2), any residue. A smaller one allows smaller moduli.
    pub weight_bound: Option<u64>,
    /// Bits that the noise of results stays below 1/2, beyond what decryption needs: room for noise that hides them.
    pub headroom_bits: u32,
    /// Requests with different keys.
    pub requests: usize,
}

impl Request {
    /// One request, left operand encrypted, for the least time.
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            encrypted: Encrypted::Left,
            output: None,
            objective: Objective::Time,
            weight_bound: None,
            headroom_bits: 0,
            requests: 1,
        }
    }

    /// With these operands encrypted.
    pub fn encrypted(self, encrypted: Encrypted) -> Self {
        Self { encrypted, ..self }
    }

    /// With results travelling this way.
    pub fn output(self, output: Output) -> Self {
        Self {
            output: Some(output),
            ..self
        }
    }

    /// With blocks chosen for this.
    pub fn objective(self, objective: Objective) -> Self {
        Self { objective, ..self }
    }

    /// With entries of the plain operand up to this magnitude.
    pub fn weight_bound(self, bound: u64) -> Self {
        Self {
            weight_bound: Some(bound),
            ..self
        }
    }

    /// With so many bits of room for noise that hides results.
    pub fn headroom_bits(self, headroom_bits: u32) -> Self {
        Self {
            headroom_bits,
            ..self
        }
    }

    /// For so many requests with keys of their own.
    pub fn requests(self, requests: usize) -> Self {
        Self { requests, ..self }
    }

    /// The product as polynomials are multiplied: the encrypted operand on the left, so that of a plain left operand the transposed one.
    pub(super) fn inner_shape(&self) -> Shape {
        match self.encrypted {
            Encrypted::Right => self.shape.transposed(),
            _ => self.shape,
        }
    }
}
