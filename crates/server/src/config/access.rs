//! Who may use the service.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Settings;
use crate::access::KeysFile;

/// Where the keys are in the data folder, unless the settings say otherwise.
const KEYS_FILE: &str = "keys.toml";

/// `[access]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessSettings {
    pub(crate) keys_file: PathBuf,
    /// Whether others are served although there are no keys.
    pub insecure: bool,
    /// Whether a first key is made when there is no file of keys.
    pub create_first_key: bool,
    /// Whether the metrics are for everybody.
    pub open_metrics: bool,
    audit_file: PathBuf,
}

impl AccessSettings {
    /// Returns whether the settings name a file of keys, which has to be there then.
    pub(crate) fn names_keys_file(&self) -> bool {
        !self.keys_file.as_os_str().is_empty()
    }

    /// The file for the audit log; nothing when there is none.
    pub fn audit_file(&self) -> Option<&Path> {
        Some(self.audit_file.as_path()).filter(|file| !file.as_os_str().is_empty())
    }
}

impl Settings {
    /// The file of keys: the one in the settings, or one in the data folder.
    pub fn keys_file(&self) -> KeysFile {
        KeysFile::at(match self.access.names_keys_file() {
            true => self.access.keys_file.clone(),
            false => self.storage.data_dir.join(KEYS_FILE),
        })
    }
}
