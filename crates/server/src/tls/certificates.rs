//! The certificate that the service shows, and its successors.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::error::TlsError;
use super::files::{Handshakes, TlsFiles};
use crate::file_stamp::{FileStamp, keep_looking};
use crate::metrics;

/// Certificate and key of the service, as they are in the files now. Clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Certificates(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    files: TlsFiles,
    handshakes: RwLock<Handshakes>,
    looks: Mutex<Looks>,
}

/// Versions of the files, in the order of [`TlsFiles::paths`].
type Stamps = Vec<Option<FileStamp>>;

#[derive(Debug)]
struct Looks {
    /// What was read last, whether it could be used or not.
    read: Stamps,
    /// What was there at the last look.
    seen: Stamps,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// When they cannot be used.
    pub(crate) fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let stamps = stamps(&files);
        let handshakes = files.read()?;
        Ok(Self(Arc::new(Inner {
            files,
            handshakes: RwLock::new(handshakes),
            looks: Mutex::new(Looks {
                read: stamps.clone(),
                seen: stamps,
            }),
        })))
    }

    /// How a handshake is made now.
    pub(crate) fn handshakes(&self) -> Handshakes {
        let handshakes = self.0.handshakes.read();
        handshakes.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again whenever they change, for as long as the service is there.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(crate) fn watch(&self) -> std::io::Result<()> {
        keep_looking("certificates", &self.0, |inner| Self(inner).look())
    }

    /// Reads the files if they have changed. Certificate and key are replaced one after the other, so that they are left
    /// alone until nothing has changed between two looks.
    fn look(&self) {
        let now = stamps(&self.0.files);
        let mut looks = self.0.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let is_settled = looks.seen == now;
        looks.seen.clone_from(&now);
        if !is_settled || looks.read == now {
            return;
        }
        looks.read = now;
        let read = self.0.files.read();
        metrics::tls_reloaded(read.is_ok());
        match read {
            Ok(handshakes) => {
                let current = self.0.handshakes.write();
                *current.unwrap_or_else(PoisonError::into_inner) = handshakes;
                tracing::info!("the certificate was read again");
            }
            Err(error) => {
                tracing::error!(%error, "the files for TLS have changed and cannot be used; the certificate is as before");
            }
        }
    }
}

fn stamps(files: &TlsFiles) -> Stamps {
    files
        .paths()
        .map(|path: &Path| FileStamp::of(path))
        .collect()
}
