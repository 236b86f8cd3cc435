//! The model card.

use std::path::Path;

use cipherformer::model::{LanguageModel, Ranges};

use super::{corpus::Language, evaluate::Calibration, fit::Settings};

/// What the card reports.
pub struct Card<'a> {
    /// Root of the repository.
    pub root: &'a Path,
    /// Settings of the training.
    pub settings: &'a Settings,
    /// The training material.
    pub languages: &'a [Language],
    /// The calibration texts.
    pub calibration: &'a Calibration,
    /// The model.
    pub model: &'a LanguageModel,
    /// The model trained without attention.
    pub ablation: &'a LanguageModel,
    /// Seconds the training of the model took.
    pub seconds: f64,
    /// Size of the weight file.
    pub bytes: usize,
    /// Ranges over training windows, over held-out windows, and over every pair of tokens.
    pub ranges: [Ranges; 3],
}

/// The card as Markdown.
pub fn render(card: &Card<'_>) -> Result<String, String> {
    Ok(format!("{:?}", card.ranges))
}
