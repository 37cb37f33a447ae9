//! Who made a vector.

use std::fmt;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::checkpoint::Checkpoint;
use crate::files::open;
use crate::model_folder::{InputModule, Step, TowerDescription};
use crate::towers::Towers;
use crate::{Error, files};

/// SHA-256 over everything that decides what vectors an encoder makes: weights, tokenizer,
/// architecture, pooling, later modules, prompts, window, dimensions.
///
/// Vectors are comparable exactly when their encoders' ids are equal. It is written as 64
/// hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EncoderId(String);

impl EncoderId {
    /// The id as 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EncoderId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Collects named parts into an id. Order and names matter.
#[derive(Debug, Default)]
pub(crate) struct EncoderIdBuilder(Sha256);

impl EncoderIdBuilder {
    /// Adds a part. Lengths go in as well, so that no two lists of parts hash alike.
    pub(crate) fn part(&mut self, name: &str, bytes: &[u8]) {
        self.0.update((name.len() as u64).to_le_bytes());
        self.0.update(name);
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Adds the bytes of all files with a folder's weights.
    ///
    /// # Errors
    /// When one is missing, damaged, or cannot be read.
    pub(crate) fn weights(&mut self, name: &str, folder: &Path) -> Result<(), Error> {
        let checkpoint = Checkpoint::open(folder)?;
        checkpoint
            .files()
            .try_for_each(|path| self.file(name, path))
    }

    /// Adds a file's bytes, piece by piece.
    fn file(&mut self, name: &str, path: &Path) -> Result<(), Error> {
        const PIECE_BYTES: usize = 1 << 18;
        let mut file = open(path)?;
        let length = file.metadata()?.len();
        self.0.update((name.len() as u64).to_le_bytes());
        self.0.update(name);
        self.0.update(length.to_le_bytes());
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = file.read(&mut piece)?;
            if read == 0 {
                return Ok(());
            }
            self.0.update(&piece[..read]);
        }
    }

    pub(crate) fn finish(self) -> EncoderId {
        let digest = self.0.finalize();
        EncoderId(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Hashes what of the model's files decides the vectors.
///
/// # Errors
/// When one is missing, damaged, or cannot be read.
pub(crate) fn hash_files(described: &Towers<TowerDescription>) -> Result<EncoderIdBuilder, Error> {
    let mut id = EncoderIdBuilder::default();
    for tower in described.iter() {
        identify_tower(&mut id, tower)?;
    }
    Ok(id)
}

fn identify_tower(id: &mut EncoderIdBuilder, tower: &TowerDescription) -> Result<(), Error> {
    let (folder, pooling) = (tower.input.folder(), tower.input.pooling());
    let tokenizer = files::read(&folder.join("tokenizer.json"))?;
    match &tower.input {
        InputModule::Transformer { settings, .. } => {
            id.part("config", &files::read(&folder.join("config.json"))?);
            id.part("tokenizer", &tokenizer);
            id.weights("weights", folder)?;
            id.part("lower_case", &[u8::from(settings.do_lower_case)]);
        }
        InputModule::Static(settings) => {
            id.part("tokenizer", &tokenizer);
            id.weights("static weights", folder)?;
            id.part("skips_unknown", &[u8::from(settings.skips_unknown)]);
        }
    }
    for mode in &pooling.modes {
        id.part("pooling", mode.to_string().as_bytes());
    }
    id.part("include_prompt", &[u8::from(pooling.include_prompt)]);
    for step in &tower.steps {
        match step {
            Step::Normalize => id.part("normalize", &[]),
            Step::Dense(folder, _) => {
                id.part("dense", &files::read(&folder.join("config.json"))?);
                id.weights("dense weights", folder)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(parts: &[(&str, &str)]) -> EncoderId {
        let mut builder = EncoderIdBuilder::default();
        parts
            .iter()
            .for_each(|(name, bytes)| builder.part(name, bytes.as_bytes()));
        builder.finish()
    }

    #[test]
    fn where_one_part_ends_and_the_next_begins_matters() {
        assert_ne!(id(&[("a", "bc"), ("d", "")]), id(&[("a", "b"), ("cd", "")]));
        assert_eq!(id(&[("a", "b")]), id(&[("a", "b")]));
        assert_eq!(id(&[]).as_str().len(), 64);
    }
}
