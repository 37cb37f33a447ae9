//! The texts of people's files, and the model that encodes them, without a service.

use std::path::PathBuf;

use anyhow::{Result, bail};
use siamese_encoder::Encoder;
use siamese_server::config::{Overrides, Settings};

use crate::account::Place;
use crate::model;
use crate::reading::{self, Document, ENDINGS, Found, Item, ReadOptions};

/// A text, and where it is.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) place: Place,
    pub(crate) document: Document,
}

/// What was read, and how much could not be.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    pub(crate) texts: Vec<Text>,
    pub(crate) failed: usize,
}

/// The files to read.
///
/// # Errors
/// When there are none.
pub(crate) fn find(paths: &[PathBuf], options: &ReadOptions) -> Result<Found> {
    let found = reading::find(paths, options)?;
    if found.files.is_empty() && found.failed.is_empty() {
        bail!("nothing to read: no {ENDINGS} files there");
    }
    Ok(found)
}

impl Texts {
    /// Reads all files, and says what cannot be read.
    pub(crate) fn read(found: &Found, options: &ReadOptions) -> Self {
        let mut read = Self::default();
        for (file, reason) in &found.failed {
            eprintln!("{file}: {reason}");
            read.failed += 1;
        }
        for (file, item) in reading::items_with_any_ids(&found.files, options) {
            let at = |line| Place::new(&file.shown, line);
            match item {
                Item::Document(document) => read.texts.push(Text {
                    place: at(document.line),
                    document,
                }),
                Item::Failed(trouble) => {
                    eprintln!("{}: {}", at(trouble.line), trouble.reason);
                    read.failed += 1;
                }
                Item::Warning(trouble) => {
                    eprintln!("{}: warning: {}", at(trouble.line), trouble.reason);
                }
                Item::Skipped(_) => {}
            }
        }
        read
    }
}

/// Opens the model of this name or folder, or that of the settings.
///
/// # Errors
/// When there is none that can be opened.
pub(crate) fn open_encoder(model: Option<&str>) -> Result<Encoder> {
    let settings = Settings::load(&Overrides {
        model: model.map(str::to_owned),
        ..Overrides::default()
    })?;
    let models_dir = model::models_dir(&settings);
    let folder = model::resolve_or_pull(&settings.encoder.model, &models_dir)?;
    Ok(siamese_server::open_encoder(&settings, &folder)?)
}
