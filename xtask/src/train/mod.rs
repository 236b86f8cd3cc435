//! `cargo xtask train`: trains the language-identification model and writes its weights, card and curve.

#[cfg(feature = "train")]
mod card;
#[cfg(feature = "train")]
mod corpus;
#[cfg(feature = "train")]
mod curve;
#[cfg(feature = "train")]
mod evaluate;
#[cfg(feature = "train")]
mod export;
#[cfg(feature = "train")]
mod fit;
#[cfg(feature = "train")]
mod network;
#[cfg(feature = "train")]
mod rng;
#[cfg(feature = "train")]
mod run;
#[cfg(feature = "train")]
mod sampler;

#[cfg(feature = "train")]
pub use run::run;

/// Says how to get the training.
#[cfg(not(feature = "train"))]
pub fn run(_: &[String]) -> Result<(), String> {
    Err("training needs the `train` feature, which compiles candle: \
         cargo run --release -p xtask --features train -- train"
        .to_owned())
}
