//! `GET /search`: the body of `POST /search` as parameters of an address.

#![expect(
    unused_qualifications,
    reason = "utoipa writes parameter types with a path"
)]

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::de::IgnoredAny;
use utoipa::IntoParams;

use super::hits::SearchResponse;
use super::problems::{CursorProblems, EngineProblems, ParameterProblems, SearchProblems};
use super::search::{self, SearchRequest};
use crate::access::CollectionName;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::{parse_body, query_pairs};

/// A search, as parameters. All fields of the body of `POST /search` are parameters of the
/// same names; lists and objects are JSON.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "describes parameters, which are read as the fields of a body"
)]
pub(crate) struct SearchParameters {
    /// Text to search for; `query` is the same.
    #[param(min_length = 1, example = "I cannot sign in any more")]
    q: Option<String>,
    /// Hits to return; at most `limits.max_top_k`.
    #[param(minimum = 1, maximum = 1000, default = 10)]
    top_k: Option<usize>,
    /// Hits to skip; at most `limits.max_offset`.
    #[param(minimum = 0, maximum = 10000, default = 0)]
    offset: Option<usize>,
    /// A filter as JSON.
    #[param(example = r#"{"status": "open"}"#)]
    filter: Option<String>,
    /// `semantic`, `lexical` or `hybrid`.
    mode: Option<String>,
    /// Fields of the metadata to count, with commas between them or one by one.
    #[param(example = "status")]
    facets: Option<String>,
    /// Parts of the hits, with commas between them or one by one.
    #[param(example = "text,metadata")]
    include: Option<String>,
    /// Leave out documents that score less.
    min_score: Option<f32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// The number of a generation of the collection.
    #[param(minimum = 1)]
    generation: Option<u32>,
}

/// How a parameter becomes a field of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As it stands.
    Text,
    /// A number, `true` or `false`.
    Plain,
    /// JSON.
    Json,
    /// JSON, or texts with commas between them; may be there more than once.
    List,
}

/// What each parameter is; an unknown one becomes a field that is refused as such.
fn kind(name: &str) -> Kind {
    match name {
        "top_k" | "offset" | "alpha" | "min_score" | "diversity" | "group_size" | "ef"
        | "exact" | "auto_cut" | "generation" => Kind::Plain,
        "vector" | "positive" | "negative" | "filter" | "rerank" => Kind::Json,
        "facets" | "include" => Kind::List,
        _ => Kind::Text,
    }
}

/// Search, asked by an address.
///
/// The answer is that of `POST /search` with the same fields.
#[utoipa::path(
    get, path = "/search", operation_id = "search_by_address", tag = "search",
    params(SearchParameters),
    responses(
        (status = 200, body = SearchResponse),
        ParameterProblems, SearchProblems, CursorProblems, EngineProblems
    )
)]
pub(crate) async fn get(
    State(app): State<App>,
    collection: CollectionName,
    uri: Uri,
) -> Result<Response, ApiError> {
    let body = body(query_pairs(&uri)?)?;
    let (search, layout) = parse_body::<SearchRequest>(body.into_bytes(), &app).await?;
    search::answer(&app, &collection, search, layout).await
}

/// The body that says the same. What is JSON is put into it as it stands, so that numbers stay what they
/// are.
fn body(parameters: Vec<(String, String)>) -> Result<String, ApiError> {
    let mut fields: Vec<(String, String)> = Vec::with_capacity(parameters.len());
    for (name, text) in parameters {
        let name = if name == "q" {
            "query".to_owned()
        } else {
            name
        };
        let kind = kind(&name);
        // A form sends what was left empty, too.
        if text.is_empty() && kind != Kind::Text {
            continue;
        }
        let value = json(&name, kind, &text)?;
        match fields.iter_mut().find(|(other, _)| *other == name) {
            None => fields.push((name, value)),
            Some((_, list)) if kind == Kind::List => *list = joined(list, &value),
            Some(_) => {
                let detail = format!("the parameter {name} is there twice");
                return Err(ApiError::invalid(format!("/{name}"), detail));
            }
        }
    }
    let fields = fields.iter();
    let fields: Vec<String> = fields
        .map(|(name, value)| format!("{}:{value}", quoted(name)))
        .collect();
    Ok(format!("{{{}}}", fields.join(",")))
}

fn json(name: &str, kind: Kind, text: &str) -> Result<String, ApiError> {
    let is_json = || serde_json::from_str::<IgnoredAny>(text).is_ok();
    Ok(match kind {
        Kind::Plain if is_json() => text.to_owned(),
        Kind::Text | Kind::Plain => quoted(text),
        Kind::List if text.starts_with('[') && is_json() => text.to_owned(),
        Kind::List => {
            let items: Vec<String> = text.split(',').map(|item| quoted(item.trim())).collect();
            format!("[{}]", items.join(","))
        }
        Kind::Json => match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => text.to_owned(),
            Err(error) => {
                let detail = format!("{name} is not JSON: {error}");
                return Err(ApiError::invalid(format!("/{name}"), detail));
            }
        },
    })
}

/// Two JSON arrays as one.
fn joined(left: &str, right: &str) -> String {
    let inner = |list: &str| {
        let list = list.trim();
        list[1..list.len() - 1].trim().to_owned()
    };
    let items: Vec<String> = [inner(left), inner(right)].into();
    let items: Vec<String> = items
        .into_iter()
        .filter(|items| !items.is_empty())
        .collect();
    format!("[{}]", items.join(","))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body_of(query: &str) -> Result<String, String> {
        let uri: Uri = format!("/search?{query}").parse().unwrap();
        let pairs = query_pairs(&uri).map_err(|error| error.problem(None).detail)?;
        body(pairs).map_err(|error| error.problem(None).detail)
    }

    #[test]
    fn what_is_no_utf_8_is_refused_by_name() {
        let detail = body_of("top_k=1&q=%ff").unwrap_err();
        assert_eq!(
            detail,
            "the parameter q is not valid UTF-8 when percent-decoded"
        );
        assert_eq!(body_of("q=%ef%bf%bd").unwrap(), "{\"query\":\"\u{fffd}\"}");
    }

    #[test]
    fn parameters_become_the_fields_of_the_body() {
        for (query, expected) in [
            ("", "{}"),
            ("q=a+b%22c", r#"{"query":"a b\"c"}"#),
            ("query=7&top_k=3", r#"{"query":"7","top_k":3}"#),
            ("q=x&top_k=&filter=", r#"{"query":"x"}"#),
            ("q=", r#"{"query":""}"#),
            ("top_k=many", r#"{"top_k":"many"}"#),
            (
                "exact=true&min_score=-0.5",
                r#"{"exact":true,"min_score":-0.5}"#,
            ),
            (
                "filter=%7B%22a%22:0.30000000000000004%7D",
                r#"{"filter":{"a":0.30000000000000004}}"#,
            ),
            ("facets=a,b&facets=c.d", r#"{"facets":["a","b","c.d"]}"#),
            (
                "include=%5B%22text%22%5D&include=%5B%5D",
                r#"{"include":["text"]}"#,
            ),
            ("nonsense=1", r#"{"nonsense":"1"}"#),
        ] {
            assert_eq!(body_of(query).as_deref(), Ok(expected), "{query}");
        }
    }

    #[test]
    fn what_should_be_json_and_is_not_is_named() {
        let error = body_of("filter=%7Ba").unwrap_err();
        assert!(error.starts_with("filter is not JSON"), "{error}");
        let error = body_of("q=a&query=b").unwrap_err();
        assert_eq!(error, "the parameter query is there twice");
    }
}
