//! What a client would like of an answer (RFC 7240).

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// Whether the client would rather be answered at once, with a job that does the work:
/// `Prefer: respond-async`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RespondAsync(pub(crate) bool);

/// The preference as headers spell it.
pub(crate) const RESPOND_ASYNC: &str = "respond-async";

impl<S: Sync> FromRequestParts<S> for RespondAsync {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let lines = parts.headers.get_all("prefer").into_iter();
        let mut preferences = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            // Parameters and values of a preference that has none are not looked at.
            .map(|preference| {
                preference
                    .split([';', '='])
                    .next()
                    .unwrap_or_default()
                    .trim()
            });
        Ok(Self(preferences.any(|preference| {
            preference.eq_ignore_ascii_case(RESPOND_ASYNC)
        })))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    async fn asked(lines: &[&str]) -> bool {
        let mut request = Request::builder();
        for line in lines {
            request = request.header("Prefer", *line);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let Ok(asked) = RespondAsync::from_request_parts(&mut parts, &()).await;
        asked.0
    }

    #[tokio::test]
    async fn one_preference_of_several_lines_and_lists_counts_in_any_case() {
        assert!(asked(&["respond-async"]).await);
        assert!(asked(&["return=minimal", "wait=10, Respond-Async"]).await);
        assert!(asked(&["respond-async; foo=1"]).await);
        for lines in [
            &[][..],
            &[""],
            &["respond-asynchronously"],
            &["x=respond-async"],
        ] {
            assert!(!asked(lines).await, "{lines:?}");
        }
    }
}
