//! Why the files for TLS cannot be used.

use std::path::PathBuf;

use tokio_rustls::rustls;

/// Why the files for TLS cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{setting}: {source}")]
    Read {
        /// Section and key.
        setting: &'static str,
        /// What the operating system said, with the path.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{setting}: {path} {reason}", path = path.display())]
    Content {
        /// Section and key.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key do not go together, or are of a kind that is not spoken.
    #[error(
        "server.tls.certificate and server.tls.key cannot be used together: {0}; is the key that of the first certificate in the file?"
    )]
    Pair(rustls::Error),
    /// The certificates that clients' are checked with cannot be used.
    #[error("server.tls.client_ca cannot be used: {0}")]
    ClientCa(String),
}
