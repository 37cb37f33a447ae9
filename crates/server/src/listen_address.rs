//! The address to listen on, as people write it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::Deserializer;
use serde::de::{self, Visitor};

/// Reads `127.0.0.1:8080`, `[::1]:8080` or `localhost:8080`. A port alone, `8080` or `:8080`, is one of
/// this machine only: who wants to be reached from others says so with `0.0.0.0:8080`.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn parse_listen_address(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port),
        None if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => ("", text),
        None => return Err(format!("{text:?} has no port; write {}", with_port(text))),
    };
    let port = parse_port(text, port)?;
    let host = match host {
        "" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ if host.eq_ignore_ascii_case("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => parse_host(text, host)?,
    };
    Ok(SocketAddr::new(host, port))
}

fn with_port(host: &str) -> String {
    match host {
        "" => "127.0.0.1:8080".to_owned(),
        _ => format!("{host}:8080"),
    }
}

fn parse_port(text: &str, port: &str) -> Result<u16, String> {
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse()
        .ok()
        .filter(|_| is_number)
        .ok_or_else(|| match is_number {
            true => format!(
                "{text:?} has the port {port}; ports are 0 to 65535, and 0 takes a free one"
            ),
            false => format!("{text:?} does not end with a port, a number of 0 to 65535"),
        })
}

fn parse_host(text: &str, host: &str) -> Result<IpAddr, String> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match (bare, host.parse::<IpAddr>()) {
        (None, Ok(address @ IpAddr::V4(_))) => Ok(address),
        (Some(bare), _) => bare
            .parse()
            .map(IpAddr::V6)
            .map_err(|_| format!("in {text:?}, {bare:?} is not an IPv6 address")),
        (None, _) if host.contains(':') => Err(format!(
            "in {text:?}, an IPv6 address must stand in brackets, such as [::1]:8080"
        )),
        (None, _) => Err(format!(
            "in {text:?}, {host:?} is not an address of this machine; write its number, such as \
             127.0.0.1, 0.0.0.0 for all addresses, or localhost"
        )),
    }
}

/// For a setting.
///
/// # Errors
/// As [`parse_listen_address`].
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SocketAddr, D::Error> {
    struct Address;

    impl Visitor<'_> for Address {
        type Value = SocketAddr;

        fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
            to.write_str("an address with a port, such as \"127.0.0.1:8080\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<SocketAddr, E> {
            parse_listen_address(text).map_err(E::custom)
        }

        /// An environment variable that holds a port alone is a number.
        fn visit_u64<E: de::Error>(self, port: u64) -> Result<SocketAddr, E> {
            self.visit_str(&port.to_string())
        }
    }

    deserializer.deserialize_any(Address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, expected) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("[::1]:8080", "[::1]:8080"),
            ("[::]:65535", "[::]:65535"),
            ("localhost:8080", "127.0.0.1:8080"),
            ("LOCALHOST:80", "127.0.0.1:80"),
            (":8080", "127.0.0.1:8080"),
            ("8080", "127.0.0.1:8080"),
            (" 127.0.0.1:1 ", "127.0.0.1:1"),
        ] {
            let address = parse_listen_address(text).map(|address| address.to_string());
            assert_eq!(address.as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_told_what_is_wrong_with_it() {
        for (text, said) in [
            ("", "has no port"),
            ("127.0.0.1", "write 127.0.0.1:8080"),
            ("localhost", "write localhost:8080"),
            ("localhost:", "does not end with a port"),
            ("localhost:http", "does not end with a port"),
            ("localhost:+80", "does not end with a port"),
            ("127.0.0.1:65536", "the port 65536; ports are 0 to 65535"),
            ("99999999999999999999", "ports are 0 to 65535"),
            ("::1:8080", "in brackets"),
            ("[::1:8080", "in brackets"),
            ("[127.0.0.1]:80", "not an IPv6 address"),
            ("127.0.0.256:80", "not an address of this machine"),
            ("http://localhost:80", "in brackets"),
            ("search.internal:80", "not an address of this machine"),
        ] {
            let error = parse_listen_address(text).unwrap_err();
            assert!(error.contains(said), "{text:?}: {error}");
        }
    }
}
