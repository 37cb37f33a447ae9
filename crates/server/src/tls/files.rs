//! The files, and what is made of them.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err::File;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::error::TlsError;

/// Size of each file: a chain has some kilobytes, a list of authorities some hundred.
const MAX_FILE_BYTES: u64 = 4 << 20;

const CERTIFICATE: &str = "server.tls.certificate";
const KEY: &str = "server.tls.key";
const CLIENT_CA: &str = "server.tls.client_ca";

/// Where certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The certificate, followed by those between it and one that clients know.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// What certificates of clients are checked with; nothing when clients need none.
    pub(crate) client_ca: Option<PathBuf>,
}

/// How a handshake is made.
#[derive(Debug, Clone)]
pub(crate) struct Handshakes {
    /// HTTP/2 for clients that speak it, else HTTP/1.1.
    pub(crate) all: Arc<ServerConfig>,
    /// HTTP/1.1 alone, for connections that are there for one request.
    pub(crate) http1: Arc<ServerConfig>,
}

impl TlsFiles {
    /// All of them.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let own = [&self.certificate, &self.key].into_iter();
        own.chain(&self.client_ca).map(PathBuf::as_path)
    }

    /// Reads them and looks whether they can be used.
    ///
    /// # Errors
    /// A file that cannot be read or does not hold what it should, and a key of another certificate.
    pub(super) fn read(&self) -> Result<Handshakes, TlsError> {
        let chain = certificates(&self.certificate, CERTIFICATE)?;
        let key = private_key(&self.key)?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?;
        let builder = match &self.client_ca {
            Some(path) => builder.with_client_cert_verifier(client_verifier(path, provider)?),
            None => builder.with_no_client_auth(),
        };
        let mut all = builder
            .with_single_cert(chain, key)
            .map_err(TlsError::Pair)?;
        let mut http1 = all.clone();
        all.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Handshakes {
            all: Arc::new(all),
            http1: Arc::new(http1),
        })
    }
}

fn client_verifier(
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, CLIENT_CA)? {
        let added = roots.add(certificate);
        added.map_err(|error| TlsError::ClientCa(error.to_string()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    verifier
        .build()
        .map_err(|error| TlsError::ClientCa(error.to_string()))
}

fn certificates(
    path: &Path,
    setting: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path, setting)?;
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(content(path, setting, "holds no certificate (PEM)"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(content(
            path,
            setting,
            format!("is no PEM file of certificates: {error}"),
        )),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = read(path, KEY)?;
    // What the reader says of a key that it cannot read must not have a part of it.
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| content(path, KEY, "holds no private key (PEM, not encrypted)"))
}

fn read(path: &Path, setting: &'static str) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read { setting, source };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    let mut file = file.take(MAX_FILE_BYTES + 1);
    file.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let reason = format!("has more than {MAX_FILE_BYTES} bytes");
        return Err(content(path, setting, reason));
    }
    Ok(bytes)
}

fn content(path: &Path, setting: &'static str, reason: impl Into<String>) -> TlsError {
    TlsError::Content {
        setting,
        path: path.to_owned(),
        reason: reason.into(),
    }
}
