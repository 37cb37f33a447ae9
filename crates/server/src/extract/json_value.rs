//! One JSON value of a known shape: syntax and shape, each refused with a pointer.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_path_to_error::Segment;

use crate::error::{ApiError, ErrorCode};

/// Reads one JSON value of a known shape.
///
/// # Errors
/// 400 for bytes that are no JSON, 422 with a pointer for JSON of another shape.
pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        ApiError::new(
            ErrorCode::MalformedJson,
            format!(
                "the body is not valid UTF-8 after byte {}",
                error.valid_up_to()
            ),
        )
    })?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer);
    let value = value.map_err(|error| shape_error(text, error))?;
    deserializer.end().map_err(|error| syntax_error(&error))?;
    Ok(value)
}

/// Reads an optional field that may be left out but is not `null`.
///
/// # Errors
/// When the value is `null` or of another type.
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

fn shape_error(text: &str, error: serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let pointer = json_pointer(error.path());
    let error = error.into_inner();
    let message = without_position(&error.to_string());
    // To serde_json that is a mistake of syntax, like a missing bracket.
    if message == "number out of range" {
        let detail = "the number is larger than the numbers that are kept here";
        return ApiError::invalid(pointer, detail);
    }
    // So is a number, or null, in the place of a name.
    if message == "expected value" && serde_json::from_str::<IgnoredAny>(text).is_ok() {
        return ApiError::invalid(pointer, "expected a string, one of the names allowed here");
    }
    if !error.is_data() {
        let syntax = syntax_error(&error);
        return match pointer.as_str() {
            "" => syntax,
            pointer => syntax.at(pointer),
        };
    }
    ApiError::invalid(pointer, message)
}

fn syntax_error(error: &serde_json::Error) -> ApiError {
    let mut detail = error.to_string();
    if detail.contains("surrogate") || detail.contains("hex escape") {
        detail.push_str(
            "; an escape from \\ud800 to \\udfff is half of a character, and two halves stand together",
        );
    }
    ApiError::new(ErrorCode::MalformedJson, detail)
}

/// serde_json ends its messages with a position, which a pointer says better.
fn without_position(message: &str) -> String {
    message
        .split(" at line ")
        .next()
        .unwrap_or(message)
        .to_owned()
}

/// The path of an error as a JSON pointer (RFC 6901).
fn json_pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", pointer_token(key))),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// A key as a part of a JSON pointer.
pub(crate) fn pointer_token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "read by the derived code only")]
        items: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "read by the derived code only")]
        text: String,
        #[expect(dead_code, reason = "read by the derived code only")]
        #[serde(default, deserialize_with = "present")]
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Known,
    }

    fn refusal(body: &[u8]) -> (ErrorCode, Option<String>, String) {
        let error = parse_json::<Outer>(body).unwrap_err();
        let problem = error.problem(None);
        (problem.code, problem.pointer, problem.detail)
    }

    #[test]
    fn a_wrong_type_is_pointed_at() {
        let (code, pointer, _) = refusal(br#"{"items":[{"text":"a"},{"text":1}]}"#);
        assert_eq!(code, ErrorCode::InvalidRequest);
        assert_eq!(pointer.as_deref(), Some("/items/1/text"));
    }

    #[test]
    fn a_name_of_another_type_is_pointed_at() {
        for value in ["null", "5", "[\"known\"]", "\"other\""] {
            let body = format!(r#"{{"items":[{{"text":"a","kind":{value}}}]}}"#);
            let (code, pointer, detail) = refusal(body.as_bytes());
            assert_eq!(code, ErrorCode::InvalidRequest, "{value}: {detail}");
            assert_eq!(pointer.as_deref(), Some("/items/0/kind"));
        }
        let broken = refusal(br#"{"items":[{"text":"a","kind":}]}"#);
        assert_eq!(broken.0, ErrorCode::MalformedJson);
    }

    #[test]
    fn an_unknown_field_is_pointed_at_and_named() {
        let (code, pointer, detail) = refusal(br#"{"items":[{"text":"a","tex~t":1}]}"#);
        assert_eq!(code, ErrorCode::InvalidRequest);
        assert_eq!(pointer.as_deref(), Some("/items/0/tex~0t"));
        assert!(detail.contains("tex~t"));
    }

    #[test]
    fn broken_json_and_trailing_text_are_malformed() {
        assert_eq!(refusal(b"{").0, ErrorCode::MalformedJson);
        assert_eq!(refusal(br#"{"items":[]} x"#).0, ErrorCode::MalformedJson);
        assert_eq!(refusal(b"").0, ErrorCode::MalformedJson);
    }

    #[test]
    fn a_number_beyond_its_range_is_pointed_at() {
        let body = br#"{"items": [1e400]}"#;
        let refused = parse_json::<HashMap<String, Vec<f64>>>(body).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidRequest);
        assert_eq!(refused.problem(None).pointer.unwrap(), "/items/0");
    }

    #[test]
    fn half_a_character_is_pointed_at() {
        for half in [
            r"\ud800",
            r"\udc00",
            r"\ud800x",
            r"\ud800\n",
            r"\ud800\u0041",
        ] {
            let body = format!(r#"{{"items":[{{"text":"a"}},{{"text":"{half}"}}]}}"#);
            let (code, pointer, detail) = refusal(body.as_bytes());
            assert_eq!(code, ErrorCode::MalformedJson);
            assert_eq!(pointer.as_deref(), Some("/items/1/text"), "{half}");
            assert!(detail.contains("half of a character"), "{detail}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_malformed() {
        let (code, _, detail) = refusal(b"{\"items\":[{\"text\":\"\xff\"}]}");
        assert_eq!(code, ErrorCode::MalformedJson);
        assert!(detail.contains("UTF-8"));
    }
}
