//! What a model's folder says of how it came to be.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::curve;
use crate::report::{Figure, MeasuredBy};
use crate::{Error, Report, Settings};

/// The report for programs.
const REPORT: &str = "training.json";
/// Loss and figures as a picture.
const CURVE: &str = "training.svg";
/// The report for people; the head is what model hubs read.
const CARD: &str = "README.md";

/// Writes both into a folder.
pub(crate) fn write(
    folder: &Path,
    base: &Path,
    settings: &Settings,
    report: &Report,
) -> Result<(), Error> {
    let base = base.file_name().unwrap_or_default().to_string_lossy();
    let weights = fs_err::read(folder.join("model.safetensors"))?;
    let digest = Sha256::digest(&weights);
    let weights_sha256 = digest
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    let training = json!({
        "base_model": base,
        "weights_sha256": weights_sha256,
        "settings": said(settings),
        "report": report,
    });
    fs_err::write(folder.join(REPORT), format!("{training:#}\n"))?;
    fs_err::write(folder.join(CURVE), curve::picture(report))?;
    fs_err::write(folder.join(CARD), card(&base, report))?;
    Ok(())
}

/// What follows from settings, and not from where they are used.
pub(crate) fn said(settings: &Settings) -> Value {
    json!({
        "epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "max_pass_bytes": settings.max_pass_bytes,
        "mini_batch_size": settings.mini_batch_size,
        "lora_rank": settings.lora_rank,
        "lora_alpha": settings.lora_alpha,
        "learning_rate": settings.largest_rate(),
        "warmup": settings.warmup,
        "weight_decay": settings.weight_decay,
        "max_gradient_norm": settings.max_gradient_norm,
        "scale": settings.scale,
        "margin": settings.margin,
        "symmetric": settings.symmetric,
        "dimensions": settings.dimensions,
        "dropout": settings.dropout,
        "max_tokens": settings.max_tokens,
        "held_out": settings.held_out,
        "patience": settings.patience,
        "seed": settings.seed,
    })
}

fn card(base: &str, report: &Report) -> String {
    let mut card = format!(
        "---\nlibrary_name: sentence-transformers\npipeline_tag: sentence-similarity\ntags:\n- sentence-transformers\n---\n\n\
         # {base}, trained further\n\n{} examples, loss {}, the model after epoch {} of {}. What it was made from is in \
         `{REPORT}`: settings, SHA-256 of the examples, figures.\n",
        report.training_examples,
        report.loss,
        report.best_epoch,
        report.epochs.len(),
    );
    let rows: Vec<String> = report.figures().iter().map(row).collect();
    if !rows.is_empty() {
        // Writing to a string does not fail.
        let _ = writeln!(
            card,
            "\n| measured by | figure | before | after |\n|---|---|---|---|\n{}",
            rows.join("\n")
        );
    }
    // Writing to a string does not fail.
    let _ = writeln!(card, "\n![Loss and figures]({CURVE})");
    card
}

fn row(figure: &Figure) -> String {
    let of = match figure.measured_by {
        MeasuredBy::HeldOut => "examples kept aside",
        MeasuredBy::Control => "something else",
    };
    let Figure {
        name,
        before,
        after,
        ..
    } = figure;
    format!("| {of} | {name} | {before:.4} | {after:.4} |")
}
