//! Ring learning with errors, free of any scheme: parameters, keys, encryption, key switching, automorphisms.
//!
//! Two sides, two sets of types. The client holds a [`SecretKey`]. A server holds [`EvaluationKeys`] and a [`Context`], and no
//! type of its can carry a secret.

mod ciphertext;
mod context;
mod encapsulation;
mod error;
mod extended;
mod extended_sums;
mod keys;
mod params;
mod poly;
mod secret;
mod store;
mod switch;

pub use crate::ring::security;
pub use ciphertext::{Ciphertext, SeededCiphertext};
pub use context::{Context, LevelContext};
pub use encapsulation::{EPHEMERAL_WEIGHT, Encapsulation, RaiseKeys, SeededRaiseKeys};
pub use error::{MissingKey, RlweError};
pub use extended::Extended;
pub(crate) use extended_sums::ExtendedPlain;
pub use keys::{EvaluationKeys, KeyNeeds, PublicKey, SeededEvaluationKeys, SeededSwitchKey, SwitchKey};
pub use params::{Level, LevelParams, Params, Spec};
pub use poly::{Coeff, Domain, Eval, Poly};
pub use secret::SecretKey;
pub use store::{Expansion, KeyStore, Room, StoreCounts};
pub use switch::Digits;

/// Result of an operation of this layer.
pub type Result<T> = std::result::Result<T, RlweError>;
