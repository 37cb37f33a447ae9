//! TLS of the service's own address.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::SettingsError;
use super::values::time_ms;
use crate::tls::TlsFiles;

/// `[server.tls]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: PathBuf,
    /// Time for the handshake, from the moment a connection is opened.
    #[serde(rename = "handshake_timeout_ms", deserialize_with = "time_ms")]
    pub handshake_timeout: Duration,
}

impl TlsSettings {
    /// The service's certificate; nothing when it does not speak TLS.
    pub fn certificate(&self) -> Option<&Path> {
        named(&self.certificate)
    }

    /// The key of the certificate.
    pub fn key(&self) -> Option<&Path> {
        named(&self.key)
    }

    /// What certificates of clients are checked with; nothing when clients need none.
    pub fn client_ca(&self) -> Option<&Path> {
        named(&self.client_ca)
    }

    /// Where certificate and key are; nothing when the service does not speak TLS.
    pub(crate) fn files(&self) -> Option<TlsFiles> {
        Some(TlsFiles {
            certificate: self.certificate()?.to_owned(),
            key: self.key()?.to_owned(),
            client_ca: self.client_ca().map(Path::to_owned),
        })
    }

    /// # Errors
    /// A part of what TLS needs.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let missing = match (self.certificate(), self.key(), self.client_ca()) {
            (Some(_), Some(_), _) | (None, None, None) => return Ok(()),
            (None, ..) => "certificate",
            (_, None, _) => "key",
        };
        Err(SettingsError::TlsPart { missing })
    }
}

fn named(path: &Path) -> Option<&Path> {
    Some(path).filter(|path| !path.as_os_str().is_empty())
}
