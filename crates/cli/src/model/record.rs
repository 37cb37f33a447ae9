//! What a pulled model was made of, kept beside its files.

use std::io::{self, ErrorKind};
use std::path::{Component, Path};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::checksum::FileState;
use super::manifest::{PinnedFile, PinnedModel};

/// What the file is called.
const FILE_NAME: &str = "siamese-manifest.json";

/// A model's name, its revision, and every file with its checksum.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) model: String,
    /// The commit on the hub.
    pub(crate) revision: String,
    files: Vec<RecordedFile>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RecordedFile {
    path: String,
    bytes: u64,
    sha256: String,
}

impl Record {
    /// What a pull was asked for.
    pub(crate) fn of(model: &PinnedModel) -> Self {
        let file = |file: &PinnedFile| RecordedFile {
            path: file.path.to_owned(),
            bytes: file.bytes,
            sha256: file.sha256.to_owned(),
        };
        Self {
            model: model.name.to_owned(),
            revision: model.revision.to_owned(),
            files: model.files.iter().map(file).collect(),
        }
    }

    /// Writes it beside the model's files.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(self)?;
        fs_err::write(folder.join(FILE_NAME), json)
    }

    /// Reads that of a folder, if there is one.
    ///
    /// # Errors
    /// When it cannot be read, or names files elsewhere.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE_NAME);
        let json = match fs_err::read(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let record: Self = serde_json::from_slice(&json)
            .with_context(|| format!("{} is damaged", path.display()))?;
        if let Some(file) = record.files.iter().find(|file| !is_inside(&file.path)) {
            bail!("{} names a file elsewhere: {}", path.display(), file.path);
        }
        Ok(Some(record))
    }

    /// How many files there are.
    pub(crate) fn count(&self) -> usize {
        self.files.len()
    }

    /// The files of a folder that are not what is recorded, and what is wrong with each.
    ///
    /// # Errors
    /// When one is there and cannot be read.
    pub(crate) fn wrong_files(&self, folder: &Path) -> io::Result<Vec<(String, FileState)>> {
        let mut wrong = Vec::new();
        for file in &self.files {
            let state = FileState::of(&folder.join(&file.path), file.bytes, &file.sha256)?;
            if state != FileState::Intact {
                wrong.push((file.path.clone(), state));
            }
        }
        Ok(wrong)
    }
}

/// Whether a path stays in the folder that it is joined to.
pub(super) fn is_inside(path: &str) -> bool {
    let mut components = Path::new(path).components().peekable();
    components.peek().is_some() && components.all(|it| matches!(it, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_names_files_elsewhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Record::read(folder.path()).unwrap().is_none());
        for path in ["../secret", "/etc/passwd", ""] {
            let file = serde_json::json!({"path": path, "bytes": 1, "sha256": ""});
            let record = serde_json::json!({"model": "a", "revision": "b", "files": [file]});
            fs_err::write(folder.path().join(FILE_NAME), record.to_string()).unwrap();
            let error = Record::read(folder.path()).unwrap_err().to_string();
            assert!(error.contains("names a file elsewhere"), "{error}");
        }
        fs_err::write(folder.path().join(FILE_NAME), "{").unwrap();
        let error = Record::read(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("siamese-manifest.json is damaged"),
            "{error}"
        );
    }
}
