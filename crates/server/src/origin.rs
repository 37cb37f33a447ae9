//! Which web pages may use the service.
//!
//! Its own pages may, and those of the origins in the settings: they may change something, and read what
//! is answered (CORS). Others may neither.

use std::time::Duration;

use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, AllowPrivateNetwork, CorsLayer};

use crate::access::{RATE_LIMIT, RATE_LIMIT_POLICY};
use crate::error::{ApiError, ErrorCode};
use crate::middleware::REQUEST_ID;

/// What browsers say about where a request comes from.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Time for which a browser need not ask again what a page may do.
const PREFLIGHT_LIFETIME: Duration = Duration::from_secs(3600);

/// The pages, beside the service's own, that may use it.
#[derive(Debug, Clone)]
pub(crate) struct AllowedOrigins(Vec<String>);

impl AllowedOrigins {
    pub(crate) fn new(origins: &[String]) -> Self {
        let lower = |origin: &String| origin.trim_end_matches('/').to_ascii_lowercase();
        Self(origins.iter().map(lower).collect())
    }

    /// Looks at a request that may change something.
    ///
    /// # Errors
    /// 403 when it comes from a page of another site.
    pub(crate) fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        // Browsers let pages read answers of their own site only, and these change nothing.
        if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return Ok(());
        }
        let mut origins = headers.get_all(header::ORIGIN).iter().peekable();
        if origins.peek().is_none() {
            let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
            return match site {
                Some(b"cross-site" | b"same-site") => Err(refusal("another site")),
                _ => Ok(()),
            };
        }
        for origin in origins {
            let origin = origin.to_str().unwrap_or_default();
            if !self.allows(origin) && !is_own(origin, uri, headers) {
                return Err(refusal(origin));
            }
        }
        Ok(())
    }

    /// What tells browsers that these pages may read answers; nothing when there are none.
    pub(crate) fn cors(&self) -> Option<CorsLayer> {
        if self.0.is_empty() {
            return None;
        }
        let allowed = self.clone();
        let allows = move |origin: &HeaderValue, _: &Parts| {
            origin.to_str().is_ok_and(|origin| allowed.allows(origin))
        };
        let methods = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ];
        let exposed = [
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            RATE_LIMIT,
            RATE_LIMIT_POLICY,
            HeaderName::from_static(REQUEST_ID),
        ];
        Some(
            CorsLayer::new()
                .allow_origin(AllowOrigin::predicate(allows))
                .allow_methods(methods)
                .allow_headers(AllowHeaders::mirror_request())
                .expose_headers(exposed)
                // A page from elsewhere in the network may ask a service on this machine.
                .allow_private_network(AllowPrivateNetwork::yes())
                .max_age(PREFLIGHT_LIFETIME),
        )
    }

    fn allows(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        let mut allowed = self.0.iter();
        allowed.any(|allowed| allowed == "*" || *allowed == origin)
    }
}

/// Whether this is how a browser names the pages of a site, or stands for all of them.
pub(crate) fn is_origin(text: &str) -> bool {
    let uri = text.trim_end_matches('/').parse::<Uri>();
    text == "*"
        || uri.is_ok_and(|uri| {
            uri.scheme().is_some()
                && uri.authority().is_some()
                && uri.path() == "/"
                && uri.query().is_none()
        })
}

/// Whether the page was loaded from the host and port that the request is for. The scheme is not
/// looked at: a proxy may have taken TLS off.
fn is_own(origin: &str, uri: &Uri, headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = uri.authority().map(Authority::as_str).or(host);
    let origin = origin.split_once("://").map(|(_, authority)| authority);
    matches!((origin, host), (Some(origin), Some(host)) if origin.eq_ignore_ascii_case(host))
}

fn refusal(origin: &str) -> ApiError {
    ApiError::new(
        ErrorCode::OriginNotAllowed,
        format!(
            "pages of {origin:?} may not change anything here; server.allowed_origins names those \
             that may"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed(method: &Method, headers: &[(&'static str, &str)]) -> bool {
        let allowed = AllowedOrigins::new(&["https://search.example.org/".to_owned()]);
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let headers: HeaderMap = headers.collect();
        allowed
            .check(method, &Uri::from_static("/documents"), &headers)
            .is_ok()
    }

    const HOST: (&str, &str) = ("host", "localhost:8080");

    #[test]
    fn the_own_page_the_allowed_ones_and_what_is_no_browser_may_write() {
        for headers in [
            &[HOST][..],
            &[HOST, ("origin", "http://localhost:8080")],
            &[
                HOST,
                ("origin", "https://localhost:8080"),
                ("sec-fetch-site", "same-origin"),
            ],
            &[
                HOST,
                ("origin", "https://SEARCH.example.org"),
                ("sec-fetch-site", "cross-site"),
            ],
            &[HOST, ("sec-fetch-site", "none")],
        ] {
            assert!(is_allowed(&Method::POST, headers), "{headers:?}");
        }
    }

    #[test]
    fn origins_are_told_from_what_is_none() {
        for origin in [
            "*",
            "https://a.example",
            "http://localhost:3000/",
            "http://[::1]:8080",
        ] {
            assert!(is_origin(origin), "{origin}");
        }
        for text in [
            "",
            "a.example",
            "https://",
            "https://a.example/path",
            "null",
            "**",
        ] {
            assert!(!is_origin(text), "{text}");
        }
    }

    #[test]
    fn pages_of_other_sites_may_not() {
        for headers in [
            &[HOST, ("origin", "http://evil.example")][..],
            &[HOST, ("origin", "http://localhost:3000")],
            &[HOST, ("origin", "null")],
            &[HOST, ("origin", "")],
            &[HOST, ("origin", "http://localhost:8080.evil.example")],
            &[HOST, ("sec-fetch-site", "cross-site")],
        ] {
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                assert!(!is_allowed(&method, headers), "{method} {headers:?}");
            }
            assert!(is_allowed(&Method::GET, headers));
        }
    }
}
