//! TLS: certificate and key from files, read again when they change.

mod certificates;
mod error;
mod files;

pub use self::error::TlsError;

pub(crate) use self::certificates::Certificates;
pub(crate) use self::files::TlsFiles;
