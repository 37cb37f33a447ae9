//! Certificates for tests of TLS: authorities that are made on the spot, and what they sign.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

/// An authority of its own.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, in files.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate (PEM).
    pub certificate: PathBuf,
    /// Its key (PEM).
    pub key: PathBuf,
}

impl Authority {
    /// A new one that nobody knows.
    ///
    /// # Panics
    /// When the machine has no random numbers.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Its own certificate (PEM).
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes a certificate for this machine and its key into files that begin with `path`, in the place of what was
    /// there.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn issue(&self, path: &Path) -> Identity {
        let names = ["localhost", "127.0.0.1"].map(ToOwned::to_owned);
        let params = CertificateParams::new(names).expect("names");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let identity = Identity {
            certificate: path.with_extension("crt"),
            key: path.with_extension("key"),
        };
        fs_err::write(&identity.certificate, certificate.pem()).expect("a file");
        fs_err::write(&identity.key, key.serialize_pem()).expect("a file");
        identity
    }

    /// Settings of a client that knows this authority and no other, and shows a certificate if it has one.
    ///
    /// # Panics
    /// When a file of the certificate cannot be read.
    pub fn client(&self, own: Option<&Identity>) -> TlsConfig {
        let root = Certificate::from_pem(self.pem.as_bytes()).expect("a certificate");
        let roots = RootCerts::new_with_certs(&[root]);
        let own = own.map(|own| {
            let read = |path: &Path| fs_err::read(path).expect("a file");
            let certificate = Certificate::from_pem(&read(&own.certificate));
            let key = PrivateKey::from_pem(&read(&own.key));
            ClientCert::new_with_certs(&[certificate.expect("a certificate")], key.expect("a key"))
        });
        TlsConfig::builder()
            .root_certs(roots)
            .client_cert(own)
            .build()
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
