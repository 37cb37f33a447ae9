//! Where a service is, and the key for it.

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ureq::http::{HeaderValue, Uri};

/// Which service and which of its collections a command works with.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Connection {
    #[command(flatten)]
    pub(super) address: Address,
    /// Collection to work with.
    #[arg(long, default_value = "default", value_parser = collection_name)]
    pub(super) collection: String,
}

/// Which service a command works with.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Address {
    /// Address of the service.
    #[arg(
        long,
        env = "SIAMESE_URL",
        default_value = "http://127.0.0.1:8080",
        value_parser = address
    )]
    url: String,
    /// Key for the service; the environment is better, since others see what stands on a command line.
    #[arg(long, env = "SIAMESE_API_KEY", hide_env_values = true)]
    key: Option<Secret>,
}

/// A key, which is printed nowhere.
#[derive(Clone)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.trim().to_owned()))
    }
}

impl Address {
    /// A service that asks for no key.
    pub(crate) fn of(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            key: None,
        }
    }

    /// One of its collections.
    pub(crate) fn collection(&self, name: impl Into<String>) -> Connection {
        Connection {
            address: self.clone(),
            collection: name.into(),
        }
    }

    /// The part of every address before its path.
    pub(super) fn base_url(&self) -> &str {
        self.url.trim_end_matches('/')
    }

    /// What says who asks. A key that cannot stand in a header is not sent, and the service says what it misses.
    pub(super) fn bearer(&self) -> Option<HeaderValue> {
        let Secret(key) = self.key.as_ref()?;
        let mut bearer = HeaderValue::try_from(format!("Bearer {key}")).ok()?;
        bearer.set_sensitive(true);
        Some(bearer)
    }

    /// Whether it is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }
}

fn is_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn address(text: &str) -> Result<String, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(_)) => Ok(text.to_owned()),
        _ => Err("give an address such as http://127.0.0.1:8080".to_owned()),
    }
}

pub(crate) fn collection_name(text: &str) -> Result<String, String> {
    let checked = siamese_index::check_collection_name(text);
    checked.map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_recognised_in_every_spelling() {
        for url in [
            "http://127.0.0.1:8080",
            "http://localhost",
            "http://[::1]:80/",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["http://192.168.1.2:8080", "https://localhost.example.org"] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn an_address_needs_a_scheme_and_a_host() {
        assert!(address("http://search.internal:8080").is_ok());
        assert!(address("search.internal").is_err());
        assert!(address("ftp://search.internal").is_err());
    }

    #[test]
    fn a_collections_name_cannot_change_the_path() {
        assert!(collection_name("tickets-2025").is_ok());
        for name in ["", "a/b", "a b", "..", "ä"] {
            assert!(collection_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_key_is_sent_and_not_printed() {
        let address = Address {
            key: Some(" siamese_1 \n".parse().unwrap()),
            ..Address::of("http://localhost/")
        };
        assert_eq!(address.bearer().unwrap(), "Bearer siamese_1");
        assert!(!format!("{address:?} {:?}", address.bearer()).contains("siamese_1"));
        assert_eq!(address.base_url(), "http://localhost");
    }
}
