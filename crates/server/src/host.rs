//! Which names the service answers to.
//!
//! Without this, a web page could make its own name resolve to this machine (DNS rebinding), and
//! read and delete everything, since the browser takes the service for a part of the page's site.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, Version, header};

use crate::error::{ApiError, ErrorCode};

/// The hosts that requests may be for.
#[derive(Debug, Clone)]
pub(crate) struct AllowedHosts {
    listen: IpAddr,
    /// Lower case; `*` stands for all names, `*.example.org` for all below one.
    names: Vec<String>,
}

impl AllowedHosts {
    pub(crate) fn new(listen: SocketAddr, names: &[String]) -> Self {
        Self {
            listen: listen.ip().to_canonical(),
            names: names.iter().map(|name| name.to_ascii_lowercase()).collect(),
        }
    }

    /// Looks at the target of a request and at its `Host`; both must be allowed.
    ///
    /// # Errors
    /// 421 for another host, 400 when it is missing, not one, or not readable.
    pub(crate) fn check(
        &self,
        uri: &Uri,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        if let Some(authority) = uri.authority() {
            self.check_authority(authority)?;
        }
        let mut hosts = headers.get_all(header::HOST).iter();
        match (hosts.next(), hosts.next()) {
            (Some(host), None) => {
                let host = host.to_str().ok().and_then(|host| host.parse().ok());
                self.check_authority(&host.ok_or_else(|| bad("the header Host is no host"))?)
            }
            (Some(_), Some(_)) => Err(bad("the header Host stands there more than once")),
            // In HTTP/2 the host is a part of the target.
            (None, _) if version == Version::HTTP_2 && uri.authority().is_some() => Ok(()),
            // What speaks HTTP/1.0 without a host is a script or a probe, and no browser.
            (None, _) if version < Version::HTTP_11 => Ok(()),
            (None, _) => Err(bad("the header Host is missing")),
        }
    }

    fn check_authority(&self, authority: &Authority) -> Result<(), ApiError> {
        let host = authority.host();
        if !authority.as_str().contains('@') && self.allows(host) {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorCode::HostNotAllowed,
            format!(
                "the service does not answer to the host {host:?}; server.allowed_hosts names those \
                 that it answers to beside its own address and loopback"
            ),
        ))
    }

    fn allows(&self, host: &str) -> bool {
        if self.names.iter().any(|name| name == "*") {
            return true;
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>()
            && self.allows_address(address.to_canonical())
        {
            return true;
        }
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        name == "localhost" || self.names.iter().any(|allowed| matches(allowed, &name))
    }

    /// An address cannot be rebound. One that listens everywhere cannot know all of its own: behind
    /// a published port of a container they are not even on this machine.
    fn allows_address(&self, address: IpAddr) -> bool {
        address.is_loopback() || address == self.listen || self.listen.is_unspecified()
    }
}

fn matches(allowed: &str, name: &str) -> bool {
    match allowed.strip_prefix("*.") {
        Some(parent) => name
            .strip_suffix(parent)
            .is_some_and(|below| below.len() > 1 && below.ends_with('.')),
        None => allowed == name,
    }
}

fn bad(detail: &str) -> ApiError {
    ApiError::new(ErrorCode::BadHost, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(listen: &str, names: &[&str], host: &str) -> bool {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let hosts = AllowedHosts::new(listen.parse().unwrap(), &names);
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        let checked = hosts.check(&Uri::from_static("/search"), Version::HTTP_11, &headers);
        checked.is_ok()
    }

    #[test]
    fn loopback_and_the_own_address_need_no_setting() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.",
            "127.0.0.1:1",
            "[::1]:8080",
            "10.0.0.5:8080",
        ] {
            assert!(allows("10.0.0.5:8080", &[], host), "{host}");
        }
    }

    #[test]
    fn other_names_need_one() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "a@localhost",
            "10.0.0.6",
            "",
        ] {
            assert!(!allows("10.0.0.5:8080", &[], host), "{host}");
        }
        assert!(allows(
            "127.0.0.1:80",
            &["Search.internal"],
            "search.INTERNAL:8080"
        ));
        assert!(allows(
            "127.0.0.1:80",
            &["*.example.org"],
            "a.b.example.org"
        ));
        for host in ["example.org", "badexample.org", ".example.org"] {
            assert!(!allows("127.0.0.1:80", &["*.example.org"], host), "{host}");
        }
        assert!(allows("127.0.0.1:80", &["*"], "anything.example"));
    }

    #[test]
    fn a_service_on_every_address_answers_to_every_address_but_not_to_every_name() {
        assert!(allows("0.0.0.0:8080", &[], "203.0.113.7:8080"));
        assert!(allows("[::]:8080", &[], "[2001:db8::1]:8080"));
        assert!(!allows("0.0.0.0:8080", &[], "evil.example"));
    }

    #[test]
    fn the_target_counts_as_the_header_does() {
        let hosts = AllowedHosts::new("127.0.0.1:80".parse().unwrap(), &[]);
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "localhost".parse().unwrap());
        let code = |uri: &'static str, version, headers: &HeaderMap| {
            let error = hosts.check(&Uri::from_static(uri), version, headers);
            error.err().map(|error| error.code())
        };
        let foreign = code("http://evil.example/", Version::HTTP_11, &headers);
        assert_eq!(foreign, Some(ErrorCode::HostNotAllowed));
        assert_eq!(code("http://localhost/", Version::HTTP_11, &headers), None);
        headers.append(header::HOST, "localhost".parse().unwrap());
        assert_eq!(
            code("/", Version::HTTP_11, &headers),
            Some(ErrorCode::BadHost)
        );
        let none = HeaderMap::new();
        assert_eq!(code("/", Version::HTTP_11, &none), Some(ErrorCode::BadHost));
        assert_eq!(code("/", Version::HTTP_10, &none), None);
        let second = Version::HTTP_2;
        assert_eq!(code("/", second, &none), Some(ErrorCode::BadHost));
        assert_eq!(code("http://localhost/", second, &none), None);
        let foreign = code("http://evil.example/", second, &none);
        assert_eq!(foreign, Some(ErrorCode::HostNotAllowed));
    }
}
