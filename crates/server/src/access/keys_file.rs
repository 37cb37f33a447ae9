//! The file with what is known of all keys.
//!
//! It holds hashes only. It is replaced as a whole, so that whoever reads it reads all of one version.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use fs_err::{File, OpenOptions};
use serde::{Deserialize, Serialize};

use super::key::SecretKey;
use super::key_record::WrittenKey;
pub use super::key_record::{KeyRecord, NewKey};

/// Keys that a file may hold. All of them are in memory.
const MAX_KEYS: usize = 10_000;
/// Size of a file with so many keys, each with some dozen collections.
const MAX_FILE_BYTES: u64 = 16 << 20;

const HEAD: &str = "# Keys of siamese: what each is for, and a hash of it. The keys themselves are nowhere.
# `siamese key create`, `list` and `revoke` work with this file; the service reads it again when it changes.

";

/// Why the file of keys cannot be used or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The operating system failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file says what it must not.
    #[error("the keys in {path} cannot be used: {reason}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// What was asked for cannot be.
    #[error("{0}")]
    Refused(String),
    /// The system gave no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// The file, wherever it is. It may not be there yet.
#[derive(Debug, Clone)]
pub struct KeysFile(PathBuf);

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    keys: Vec<WrittenKey>,
}

impl KeysFile {
    /// The file at this path.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Reads all keys; nothing when there is no file.
    ///
    /// # Errors
    /// A file that cannot be read, or says what it must not.
    pub fn read(&self) -> Result<Option<Vec<KeyRecord>>, KeysError> {
        let file = match File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut text = String::new();
        file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
        let records = read(&text).map_err(|reason| self.invalid(reason))?;
        Ok(Some(records))
    }

    /// Makes a key and writes down what it is for. The key itself is in what is returned, and nowhere else.
    ///
    /// # Errors
    /// A name that another key has, a file that cannot be read or written, a system without random numbers.
    pub fn create(&self, key: NewKey) -> Result<SecretKey, KeysError> {
        key.check().map_err(KeysError::Refused)?;
        let _lock = self.lock()?;
        let mut records = self.read()?.unwrap_or_default();
        if records.iter().any(|record| record.key.name == key.name) {
            let detail = format!(
                "a key is called {:?} already; revoke it first, or take another name",
                key.name
            );
            return Err(KeysError::Refused(detail));
        }
        if records.len() >= MAX_KEYS {
            let detail = format!("there are {MAX_KEYS} keys already");
            return Err(KeysError::Refused(detail));
        }
        let secret = SecretKey::generate().map_err(KeysError::Random)?;
        records.push(KeyRecord::new(&secret, key));
        self.write(&records)?;
        Ok(secret)
    }

    /// Removes the key with this name or id, and returns what was known of it.
    ///
    /// # Errors
    /// No such key, a file that cannot be read or written.
    pub fn revoke(&self, name_or_id: &str) -> Result<KeyRecord, KeysError> {
        let _lock = self.lock()?;
        let mut records = self.read()?.unwrap_or_default();
        let is_it = |record: &KeyRecord| record.key.name == name_or_id || record.id == name_or_id;
        let Some(place) = records.iter().position(is_it) else {
            let detail = format!("no key has the name or the id {name_or_id:?}");
            return Err(KeysError::Refused(detail));
        };
        let revoked = records.remove(place);
        self.write(&records)?;
        Ok(revoked)
    }

    fn invalid(&self, reason: String) -> KeysError {
        KeysError::Invalid {
            path: self.0.clone(),
            reason,
        }
    }

    /// The same file with another ending.
    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.0.clone().into_os_string();
        name.push(ending);
        name.into()
    }

    /// Keeps others from changing the file, until the lock is dropped.
    fn lock(&self) -> Result<File, KeysError> {
        if let Some(folder) = self.0.parent() {
            fs_err::create_dir_all(folder)?;
        }
        let file =
            private(OpenOptions::new().create(true).append(true)).open(self.beside(".lock"))?;
        file.file().lock()?;
        Ok(file)
    }

    fn write(&self, records: &[KeyRecord]) -> Result<(), KeysError> {
        let written = Written {
            keys: records.iter().map(Into::into).collect(),
        };
        let text =
            toml::to_string_pretty(&written).map_err(|error| self.invalid(error.to_string()))?;
        let new = self.beside(".new");
        let mut file =
            private(OpenOptions::new().create(true).write(true).truncate(true)).open(&new)?;
        file.write_all(HEAD.as_bytes())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs_err::rename(&new, &self.0)?;
        // So that a key that was revoked stays revoked after a power cut.
        #[cfg(unix)]
        if let Some(folder) = self.0.parent() {
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

/// A new file is for its user alone.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Reads what a file says.
fn read(text: &str) -> Result<Vec<KeyRecord>, String> {
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it has more than {MAX_FILE_BYTES} bytes"));
    }
    let written: Written = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    if written.keys.len() > MAX_KEYS {
        return Err(format!("it has more than {MAX_KEYS} keys"));
    }
    let records = written.keys.into_iter().map(KeyRecord::try_from);
    let records = records.collect::<Result<Vec<_>, _>>()?;
    let mut known = HashSet::new();
    for record in &records {
        for name in [&record.id, &record.key.name] {
            if !known.insert(name.clone()) {
                return Err(format!("two keys have the name or the id {name:?}"));
            }
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{KeyCollections, Scope};

    fn new(name: &str) -> NewKey {
        NewKey {
            name: name.to_owned(),
            scopes: vec![Scope::Search, Scope::Write],
            collections: KeyCollections::new(Some(vec!["acme-*".to_owned()])).unwrap(),
            expires_at: Some("2030-01-01T00:00:00Z".parse().unwrap()),
            max_requests_per_minute: 60.try_into().ok(),
            max_tokens_per_minute: None,
        }
    }

    #[test]
    fn a_key_is_read_as_it_was_made_and_is_not_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeysFile::at(folder.path().join("deep/keys.toml"));
        assert!(file.read().unwrap().is_none());
        let secret = file.create(new("ci")).unwrap();
        let records = file.read().unwrap().unwrap();
        let [record] = &records[..] else {
            panic!("{records:?}")
        };
        assert_eq!(
            (record.id.as_str(), record.key.name.as_str()),
            (secret.id(), "ci")
        );
        assert_eq!(record.key.scopes, new("ci").scopes);
        assert_eq!(record.key.collections, new("ci").collections);
        assert_eq!(record.key.expires_at, new("ci").expires_at);
        assert_eq!(record.key.max_requests_per_minute, 60.try_into().ok());
        assert!(record.hash.is(&secret.hash()));
        let text = fs_err::read_to_string(file.path()).unwrap();
        assert!(
            !text.contains(secret.reveal().rsplit('_').next().unwrap()),
            "{text}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn other_users_cannot_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = KeysFile::at(folder.path().join("keys.toml"));
        file.create(new("ci")).unwrap();
        let mode = fs_err::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }

    #[test]
    fn a_name_is_given_once_and_a_key_is_revoked_by_its_name_or_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeysFile::at(folder.path().join("keys.toml"));
        let first = file.create(new("one")).unwrap();
        file.create(new("two")).unwrap();
        let taken = file.create(new("one")).unwrap_err().to_string();
        assert!(taken.contains("called \"one\" already"), "{taken}");
        assert_eq!(file.revoke(first.id()).unwrap().key.name, "one");
        assert_eq!(file.revoke("two").unwrap().key.name, "two");
        let unknown = file.revoke("two").unwrap_err().to_string();
        assert!(unknown.contains("no key"), "{unknown}");
        // A file without keys lets nobody in; no file is another matter.
        assert!(file.read().unwrap().unwrap().is_empty());
    }

    #[test]
    fn a_file_that_says_what_it_must_not_is_refused_with_the_reason() {
        let sha256 = "0".repeat(64);
        let key = |rest: &str| {
            format!(
                "[[keys]]\nid = \"a\"\nname = \"ci\"\nsha256 = \"{sha256}\"\ncreated_at = \"2026-01-01T00:00:00Z\"\n{rest}\n"
            )
        };
        let good = key("scopes = [\"search\"]");
        assert_eq!(read(&good).unwrap().len(), 1);
        for (text, said) in [
            (key("scopes = []"), "no scope"),
            (key("scopes = [\"root\"]"), "root"),
            (key("scopes = [\"search\"]\ncollections = []"), "empty"),
            (key("scopes = [\"search\"]\ncollections = [\"*\"]"), "\"*\""),
            (
                key("scopes = [\"metrics\"]\ncollections = [\"a\"]"),
                "metrics",
            ),
            (
                key("scopes = [\"search\"]\nexpires_at = \"soon\""),
                "expires_at",
            ),
            (
                key("scopes = [\"search\"]\nmax_requests_per_minute = 0"),
                "zero",
            ),
            (key("scopes = [\"search\"]\nscope = 1"), "scope"),
            (good.replace("ci", "c i"), "cannot be a key's name"),
            (good.replace(&sha256, "12"), "sha256"),
            (good.repeat(2), "two keys"),
            ("keys = 1".to_owned(), "a sequence"),
            ("[[keys]".to_owned(), ""),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
