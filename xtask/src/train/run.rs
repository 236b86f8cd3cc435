//! The whole of a training: data, two networks, export, measurement, files.

use std::{fs, path::Path, time::Instant};

use cipherformer::model::{LanguageModel, Quantised, Ranges, Window, heldout, windows};

use super::{
    card::{self, Card},
    corpus::{self, Language},
    curve,
    evaluate::{self, Calibration, WINDOWS},
    export::export,
    fit::{Settings, fit},
    rng::Rng,
    sampler::{self, Words},
};

/// The settings of the shipped model.
const SETTINGS: Settings = Settings {
    steps: 1500,
    batch: 128,
    seed: 20,
    rate: 4e-3,
    penalty: 1.0,
    attention: true,
};

/// Share of the calibration pieces that may be unsure.
const ALLOWED_UNSURE: f64 = 0.015;

/// Training windows over which ranges are balanced and measured.
pub const MEASURED: usize = 20_000;

/// Trains, measures and writes. Arguments: `--steps N`, `--word-lists DIR`.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let mut settings = SETTINGS;
    let mut lists = "/usr/share/dict".to_owned();
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let value = rest.next().ok_or(format!("{name} needs a value"))?;
        match name.as_str() {
            "--steps" => settings.steps = value.parse().map_err(|e| format!("--steps {value}: {e}"))?,
            "--word-lists" => lists.clone_from(value),
            _ => return Err(format!("{name} is not known: --steps N and --word-lists DIR are")),
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let languages = corpus::load(&root, Path::new(&lists))?;
    let sampled = sample(&languages, settings.seed)?;
    let periodic = sampler::periodic();
    let extreme = [sampled.as_slice(), &periodic].concat();
    let calibration = Calibration::new(&languages, &mut Rng::new(settings.seed + 2));
    println!("training with attention");
    let start = Instant::now();
    let (model, loss, words) = train(&languages, &settings, &extreme, &calibration)?;
    let seconds = start.elapsed().as_secs_f64();
    let bytes = model.to_safetensors().map_err(|e| e.to_string())?;
    write(&root.join("models/langid.safetensors"), &bytes)?;
    println!("training without attention");
    let (ablation, ablation_loss, _) = train(
        &languages,
        &Settings {
            attention: false,
            ..settings
        },
        &sampled,
        &calibration,
    )?;
    let kept: Vec<Window> = kept_windows()?;
    let twin = Quantised::from(&model);
    let over = |windows: &[Window]| Ranges::over(&twin, windows).map_err(|e| e.to_string());
    let card = Card {
        root: &root,
        settings: &settings,
        languages: &languages,
        calibration: &calibration,
        model: &model,
        ablation: &ablation,
        losses: [loss, ablation_loss],
        words: &words,
        seconds,
        bytes: bytes.len(),
        ranges: [
            over(&sampled)?,
            over(&kept)?,
            over(&periodic)?,
            Ranges::of_every_pair(&twin),
        ],
        allowed: ALLOWED_UNSURE,
    };
    write(&root.join("docs/model-card.md"), card::render(&card)?.as_bytes())?;
    write(
        &root.join("docs/model-curve.svg"),
        curve::render(&model, &ablation)?.as_bytes(),
    )?;
    println!(
        "held-out accuracy {:.4}, margin {}",
        evaluate::score(&model, None)?.accuracy(),
        model.margin
    );
    Ok(())
}

fn train(
    languages: &[Language],
    settings: &Settings,
    measured: &[Window],
    calibration: &Calibration,
) -> Result<(LanguageModel, f64, Words), String> {
    let fitted = fit(languages, settings)?;
    println!("  words drawn: {}", card::shares(&fitted.words));
    let mut model = export(&fitted.network, measured)?;
    model.margin = calibration.margin(&model, ALLOWED_UNSURE)?;
    Ok((model, fitted.loss, fitted.words))
}

/// Windows drawn like training windows, from another stream.
fn sample(languages: &[Language], seed: u64) -> Result<Vec<Window>, String> {
    let mut rng = Rng::new(seed + 1);
    (0..MEASURED)
        .map(|_| Ok(sampler::example(languages, &mut rng)?.window))
        .collect()
}

fn kept_windows() -> Result<Vec<Window>, String> {
    let mut all = Vec::new();
    for (_, sentence) in heldout() {
        all.extend(windows(sentence, WINDOWS).map_err(|e| e.to_string())?);
    }
    Ok(all)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    println!("wrote {} ({} bytes)", path.display(), bytes.len());
    Ok(())
}
