//! The key that a request brings along.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use super::key::{PREFIX, SecretKey};
use crate::error::{ApiError, ErrorCode};

/// Where clients put a key that do not say `Authorization: Bearer`.
pub(super) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Parameters that people put keys into.
const PARAMETERS: [&str; 6] = [
    "api_key",
    "api-key",
    "apikey",
    "x-api-key",
    "access_token",
    "key",
];

/// What a request says of its key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credential {
    /// Nothing.
    None,
    /// What has the form of a key.
    Key(SecretKey),
    /// Something else, or several that differ.
    Unreadable(&'static str),
}

impl Credential {
    /// Takes the key out of a request's headers, so that nothing further in can write it into a log.
    pub(super) fn take(headers: &mut HeaderMap) -> Self {
        let mut found: Option<HeaderValue> = None;
        for value in bearer_tokens(headers).chain(headers.get_all(API_KEY).iter().cloned()) {
            match &found {
                Some(other) if *other != value => {
                    return Self::Unreadable("the request has several keys, which differ");
                }
                _ => found = Some(value),
            }
        }
        headers.remove(header::AUTHORIZATION);
        headers.remove(API_KEY);
        let Some(value) = found else {
            return Self::None;
        };
        let key = value.to_str().ok().and_then(SecretKey::parse);
        key.map_or(
            Self::Unreadable("this is not a key of this service"),
            Self::Key,
        )
    }
}

/// What stands behind `Bearer`. Other schemes are those of proxies.
fn bearer_tokens(headers: &HeaderMap) -> impl Iterator<Item = HeaderValue> {
    let values = headers.get_all(header::AUTHORIZATION).iter();
    values.filter_map(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
        let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer ");
        let token = HeaderValue::from_bytes(token.trim_ascii()).ok()?;
        is_bearer.then_some(token)
    })
}

/// Refuses a key in an address, where it ends up in logs of proxies and histories of browsers.
///
/// # Errors
/// 400 when there is one.
pub(super) fn check_address(uri: &Uri) -> Result<(), ApiError> {
    let query = uri.query().unwrap_or_default();
    let has_key = query.contains(PREFIX) || uri.path().contains(PREFIX);
    if has_key && any_key(query).or_else(|| any_key(uri.path())).is_some() {
        let detail = "a key stands in the address, where it ends up in logs: revoke it, and send another in the header Authorization or x-api-key";
        return Err(ApiError::new(ErrorCode::KeyInAddress, detail));
    }
    Ok(())
}

/// A path as it may stand in a log.
pub(crate) fn logged_path(path: &str) -> &str {
    match path.contains(PREFIX) && any_key(path).is_some() {
        true => "(a key)",
        false => path,
    }
}

/// The first key in a text.
fn any_key(text: &str) -> Option<SecretKey> {
    let starts = text.match_indices(PREFIX).map(|(start, _)| start);
    let mut candidates = starts.filter_map(|start| {
        let end = start + super::key::KEY_CHARS;
        SecretKey::parse(text.get(start..end)?)
    });
    candidates.next()
}

/// Whether a request without a key has put one into a parameter.
pub(super) fn has_key_parameter(uri: &Uri) -> bool {
    let parameters = uri.query().unwrap_or_default().split('&');
    let names = parameters.map(|parameter| parameter.split('=').next().unwrap_or_default());
    names.into_iter().any(|name| {
        PARAMETERS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(lines: &[(&str, &str)]) -> Credential {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        let credential = Credential::take(&mut headers);
        if !matches!(credential, Credential::Unreadable(_)) {
            assert!(headers.is_empty(), "{headers:?}");
        }
        credential
    }

    #[test]
    fn a_key_is_found_in_either_header_and_taken_out_of_it() {
        let key = SecretKey::generate().unwrap();
        let text = key.reveal();
        let bearer = format!("Bearer {text}");
        let lower = format!("bearer   {text} ");
        for lines in [
            &[("authorization", bearer.as_str())][..],
            &[("authorization", &lower)],
            &[("x-api-key", text)],
            &[("x-api-key", text), ("authorization", &bearer)],
            &[("authorization", "Basic dTpw"), ("x-api-key", text)],
        ] {
            assert_eq!(taken(lines), Credential::Key(key.clone()), "{lines:?}");
        }
        for lines in [
            &[][..],
            &[("authorization", "Basic dTpw")],
            &[("authorization", "")],
        ] {
            assert_eq!(taken(lines), Credential::None, "{lines:?}");
        }
    }

    #[test]
    fn several_keys_and_what_is_none_are_refused() {
        let (one, two) = (
            SecretKey::generate().unwrap(),
            SecretKey::generate().unwrap(),
        );
        let long = "x".repeat(100_000);
        for lines in [
            &[("x-api-key", one.reveal()), ("x-api-key", two.reveal())][..],
            &[("x-api-key", "none")],
            &[("x-api-key", "")],
            &[("x-api-key", &long)],
            &[("authorization", "Bearer sk-1234")],
        ] {
            assert!(
                matches!(taken(lines), Credential::Unreadable(_)),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn a_key_in_the_address_is_found_wherever_it_stands() {
        let key = SecretKey::generate().unwrap();
        let is_there = |uri: String| check_address(&uri.parse().unwrap()).is_err();
        for uri in [
            "/search?q=a&any={}",
            "/documents/{}",
            "/search?{}",
            "/a?x=siamese_{}",
        ] {
            assert!(is_there(uri.replace("{}", key.reveal())), "{uri}");
        }
        for uri in ["/search?q=siamese_cats", "/search", "/documents/siamese_"] {
            assert!(!is_there(uri.to_owned()), "{uri}");
        }
    }

    #[test]
    fn a_path_with_a_key_is_not_logged() {
        let key = SecretKey::generate().unwrap();
        assert_eq!(
            logged_path("/documents/siamese_cats"),
            "/documents/siamese_cats"
        );
        assert_eq!(
            logged_path(&format!("/documents/{}", key.reveal())),
            "(a key)"
        );
    }

    #[test]
    fn parameters_that_are_meant_for_a_key_are_known() {
        let is_one = |uri: &str| has_key_parameter(&uri.parse().unwrap());
        assert!(is_one("/search?q=a&api_key=x") && is_one("/?KEY=") && is_one("/?access_token=x"));
        assert!(!is_one("/search?q=key") && !is_one("/search"));
    }
}
