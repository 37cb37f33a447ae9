//! Whether keys are asked for, and which there are.
//!
//! Once there is a file of keys, nobody gets in without one until the service is started again, whatever becomes of
//! the file: a file that has vanished lets nobody in, and one that cannot be read leaves the keys as they were.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::audit::AuditLog;
use super::key_ring::KeyRing;
use super::keys_file::{KeysError, KeysFile};
use super::routes::{Need, need_of};
use crate::config::Settings;
use crate::file_stamp::{FileStamp, keep_looking};

/// Why the service does not open its doors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The file of keys cannot be used.
    #[error("cannot read the keys: {0}")]
    Keys(#[from] KeysError),
    /// The settings name a file that is not there.
    #[error(
        "access.keys_file names {path}, and no such file is there; `siamese key create NAME --scope admin` makes it",
        path = path.display()
    )]
    Missing {
        /// The file from the settings.
        path: PathBuf,
    },
    /// Others can reach the service, and it would let them do everything.
    #[error(
        "{address} can be reached by others, and there are no keys; make one with `siamese key create NAME --scope admin`, which writes {path}, or serve everybody with --insecure (access.insecure)",
        path = path.display()
    )]
    NoKeys {
        /// The address from the settings.
        address: SocketAddr,
        /// Where the keys would be.
        path: PathBuf,
    },
    /// The audit log cannot be written.
    #[error("cannot write the audit log {path}: {source}", path = path.display())]
    Audit {
        /// `access.audit_file`.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// The keys of the service, and the log of what is done with them. Clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Access(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: KeysFile,
    /// Nothing while no keys are asked for.
    keys: RwLock<Option<Arc<KeyRing>>>,
    /// Which version of the file was read last.
    stamp: Mutex<Option<FileStamp>>,
    open_metrics: bool,
    audit: Option<AuditLog>,
}

impl Access {
    /// Reads the keys, and opens the audit log if there is to be one.
    ///
    /// # Errors
    /// No keys where they are needed, or files that cannot be used.
    pub(crate) fn open(settings: &Settings) -> Result<Self, AccessError> {
        let access = &settings.access;
        let file = settings.keys_file();
        let path = || file.path().to_owned();
        let stamp = FileStamp::of(file.path());
        let records = file.read()?;
        let address = settings.server.listen;
        let is_local = address.ip().to_canonical().is_loopback();
        if records.is_none() && access.names_keys_file() {
            return Err(AccessError::Missing { path: path() });
        }
        if records.is_none() && !is_local && !access.insecure {
            let path = path();
            return Err(AccessError::NoKeys { address, path });
        }
        if records.is_none() && !is_local {
            tracing::warn!(%address, "access.insecure: everybody who reaches this address may do everything");
        }
        let keys = records.map(|records| Arc::new(KeyRing::new(records, None)));
        let audit = access.audit_file().map(|path| {
            AuditLog::open(path).map_err(|source| AccessError::Audit {
                path: path.to_owned(),
                source,
            })
        });
        Ok(Self(Arc::new(Inner {
            file,
            keys: RwLock::new(keys),
            stamp: Mutex::new(stamp),
            open_metrics: access.open_metrics,
            audit: audit.transpose()?,
        })))
    }

    /// Reads the keys again whenever their file changes, for as long as the service is there.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(crate) fn watch(&self) -> std::io::Result<()> {
        keep_looking("keys", &self.0, |inner| Self(inner).look())
    }

    /// Reads the keys if their file has changed.
    pub(super) fn look(&self) {
        let path = self.0.file.path();
        let now = FileStamp::of(path);
        let mut stamp = self.0.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        if *stamp == now {
            return;
        }
        match self.0.file.read() {
            Ok(Some(records)) => {
                let ring = KeyRing::new(records, self.keys().as_deref());
                tracing::info!(keys = ring.len(), "the keys were read again");
                self.set(ring);
            }
            Ok(None) if self.keys().is_some() => {
                tracing::warn!(path = %path.display(), "the file of keys is gone, and nobody is let in");
                self.set(KeyRing::default());
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "the file of keys has changed and cannot be used; the keys are as before");
            }
        }
        *stamp = now;
    }

    /// The keys; nothing while none are asked for.
    pub(super) fn keys(&self) -> Option<Arc<KeyRing>> {
        let keys = self.0.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.clone()
    }

    /// Returns whether keys are asked for.
    pub(crate) fn is_closed(&self) -> bool {
        self.keys().is_some()
    }

    /// What a route needs, as the settings have it.
    pub(super) fn need_of(&self, method: &str, pattern: &str) -> Option<Need> {
        match pattern {
            "/metrics" if self.0.open_metrics => Some(Need::Nothing),
            _ => need_of(method, pattern),
        }
    }

    /// Returns whether the metrics are for everybody.
    pub(super) fn has_open_metrics(&self) -> bool {
        self.0.open_metrics
    }

    /// The audit log, if there is one.
    pub(super) fn audit(&self) -> Option<&AuditLog> {
        self.0.audit.as_ref()
    }

    /// Waits until what was done is in the audit log.
    pub(crate) fn finish(&self) {
        if let Some(audit) = self.audit() {
            audit.flush();
        }
    }

    fn set(&self, ring: KeyRing) {
        let mut keys = self.0.keys.write().unwrap_or_else(PoisonError::into_inner);
        *keys = Some(Arc::new(ring));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::access::{KeyCollections, NewKey, Scope};
    use crate::config::Overrides;

    fn settings(data: &Path, listen: &str) -> Settings {
        Settings::load(&Overrides {
            data_dir: Some(data.to_owned()),
            listen: Some(listen.to_owned()),
            ..Overrides::default()
        })
        .unwrap()
    }

    fn new(name: &str) -> NewKey {
        NewKey {
            name: name.to_owned(),
            scopes: vec![Scope::Admin],
            collections: KeyCollections::default(),
            expires_at: None,
            max_requests_per_minute: None,
            max_tokens_per_minute: None,
        }
    }

    #[test]
    fn without_keys_only_loopback_is_served() {
        let folder = tempfile::tempdir().unwrap();
        for listen in ["127.0.0.1:0", "[::1]:0", "127.9.9.9:0"] {
            assert!(
                !Access::open(&settings(folder.path(), listen))
                    .unwrap()
                    .is_closed()
            );
        }
        for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
            let mut settings = settings(folder.path(), listen);
            let error = Access::open(&settings).unwrap_err().to_string();
            assert!(
                error.contains("siamese key create") && error.contains("--insecure"),
                "{error}"
            );
            settings.access.insecure = true;
            assert!(!Access::open(&settings).unwrap().is_closed());
        }
    }

    #[test]
    fn with_a_file_of_keys_one_is_asked_for_everywhere_also_when_it_comes_later() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(folder.path(), "127.0.0.1:0");
        settings.access.insecure = true;
        let access = Access::open(&settings).unwrap();
        let secret = settings.keys_file().create(new("first")).unwrap();
        assert!(!access.is_closed());
        access.look();
        assert!(access.keys().unwrap().find(&secret).is_ok());
        assert!(Access::open(&settings).unwrap().is_closed());
    }

    #[test]
    fn a_revoked_key_and_a_vanished_file_let_nobody_in_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), "127.0.0.1:0");
        let file = settings.keys_file();
        let (one, two) = (
            file.create(new("one")).unwrap(),
            file.create(new("two")).unwrap(),
        );
        let access = Access::open(&settings).unwrap();
        let lets_in = |key| access.keys().is_some_and(|keys| keys.find(key).is_ok());
        file.revoke("one").unwrap();
        access.look();
        assert!(!lets_in(&one) && lets_in(&two));
        fs_err::write(file.path(), "keys = [").unwrap();
        access.look();
        assert!(lets_in(&two));
        fs_err::remove_file(file.path()).unwrap();
        access.look();
        assert!(!lets_in(&two) && access.is_closed());
    }

    #[test]
    fn a_file_that_the_settings_name_has_to_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(folder.path(), "127.0.0.1:0");
        settings.access.keys_file = folder.path().join("elsewhere.toml");
        let error = Access::open(&settings).unwrap_err().to_string();
        assert!(
            error.contains("elsewhere.toml") && error.contains("access.keys_file"),
            "{error}"
        );
    }
}
