//! The tools, in the words that models read.

use std::fmt::Write;

use rmcp::model::{Tool as Description, ToolAnnotations};
use serde_json::{Map, Value, json};
use siamese_index::check_collection_name;

use super::tool_call::ToolCall;
use crate::access::{Need, need_of};
use crate::extract::DEFAULT_COLLECTION;

/// The argument that names a collection.
const COLLECTION: &str = "collection";

/// A tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Search,
    Similarity,
    Add,
    Get,
    Delete,
}

impl Tool {
    pub(super) const ALL: [Self; 5] = [
        Self::Search,
        Self::Similarity,
        Self::Add,
        Self::Get,
        Self::Delete,
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Similarity => "similarity",
            Self::Add => "add",
            Self::Get => "get",
            Self::Delete => "delete",
        }
    }

    /// The route behind it.
    fn route(self) -> (&'static str, &'static str) {
        match self {
            Self::Search => ("POST", "/search"),
            Self::Similarity => ("POST", "/similarity"),
            Self::Add => ("POST", "/documents"),
            Self::Get => ("GET", "/documents"),
            Self::Delete => ("POST", "/documents/delete"),
        }
    }

    /// What a key has to be for, to use it.
    pub(super) fn need(self) -> Option<Need> {
        let (method, route) = self.route();
        need_of(method, route)
    }

    /// What a client is told of it.
    pub(super) fn description(self) -> Description {
        let (text, schema, hints) = match self {
            Self::Search => (SEARCH, search_schema(), reading()),
            Self::Similarity => (SIMILARITY, similarity_schema(), reading()),
            Self::Add => (ADD, add_schema(), writing().destructive(true)),
            Self::Get => (GET, get_schema(), reading()),
            Self::Delete => (DELETE, delete_schema(), writing().destructive(true)),
        };
        Description::new(self.name(), text, schema).with_annotations(hints)
    }

    /// The request that arguments make.
    ///
    /// # Errors
    /// A sentence about an argument that the tool does not have or cannot use.
    pub(super) fn call(self, mut arguments: Map<String, Value>) -> Result<ToolCall, String> {
        let collection = match arguments.remove(COLLECTION) {
            None | Some(Value::Null) => DEFAULT_COLLECTION.to_owned(),
            Some(Value::String(name)) => name,
            Some(_) => return Err("collection must be a string".to_owned()),
        };
        // It stands in a path.
        check_collection_name(&collection).map_err(|error| error.to_string())?;
        self.check_names(&arguments)?;
        let (method, route) = self.route();
        let path = format!("/collections/{collection}{route}");
        if self != Self::Get {
            let body = Some(Value::Object(arguments));
            return Ok(ToolCall { method, path, body });
        }
        let Some(Value::String(id)) = arguments.get("id") else {
            return Err("id must be a string: the id of a document".to_owned());
        };
        Ok(ToolCall {
            method,
            path: format!("{path}?id={}", escaped(id)),
            body: None,
        })
    }

    /// Routes can do more than their tools are described to do.
    fn check_names(self, arguments: &Map<String, Value>) -> Result<(), String> {
        let description = self.description();
        let known = description.input_schema.get("properties");
        let is_known = |name: &str| known.is_some_and(|known| known.get(name).is_some());
        match arguments.keys().find(|name| !is_known(name)) {
            Some(name) => Err(format!("{} has no argument {name:?}", self.name())),
            None => Ok(()),
        }
    }
}

const SEARCH: &str = "Find documents by meaning. Returns hits, best first, each with the id of a document, its title and metadata, \
                      a score (cosine, higher is nearer), and the passage that fits best.";
const SIMILARITY: &str = "Compare one text with others by meaning. Returns one score (cosine, -1 to 1) for each of targets, in order.";
const ADD: &str = "Store documents, durably, so that they can be found at once. A document with an id that is there already takes its place.";
const GET: &str = "Read one document by its id: its title, whole text and metadata.";
const DELETE: &str =
    "Delete documents by their ids, for good. Ids that are not there are passed over.";

fn reading() -> ToolAnnotations {
    ToolAnnotations::new().read_only(true).open_world(false)
}

fn writing() -> ToolAnnotations {
    let hints = ToolAnnotations::new().read_only(false);
    hints.idempotent(true).open_world(false)
}

fn object(properties: Value, required: &[&str]) -> Map<String, Value> {
    let mut properties = properties;
    properties[COLLECTION] = json!({
        "type": "string", "default": DEFAULT_COLLECTION,
        "description": "The collection of documents to work with.",
    });
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), properties);
    schema.insert("required".to_owned(), json!(required));
    schema.insert("additionalProperties".to_owned(), json!(false));
    schema
}

fn search_schema() -> Map<String, Value> {
    let properties = json!({
        "query": { "type": "string", "description": "What to look for, in plain words." },
        "top_k": {
            "type": "integer", "minimum": 1, "maximum": 100, "default": 10,
            "description": "How many hits to return.",
        },
        "mode": {
            "type": "string", "enum": ["semantic", "lexical", "hybrid"], "default": "semantic",
            "description": "By meaning, by words, or by both.",
        },
        "filter": {
            "type": "object",
            "description": "Only documents whose metadata passes, such as {\"status\": \"open\"} or {\"year\": {\"$gte\": 2020}}.",
        },
        "include": {
            "type": "array", "items": { "type": "string", "enum": ["text", "metadata", "highlights"] },
            "default": ["metadata"],
            "description": "Parts of each hit; text is the whole text of the document.",
        },
    });
    object(properties, &["query"])
}

fn similarity_schema() -> Map<String, Value> {
    let properties = json!({
        "source": { "type": "string", "description": "The text to compare." },
        "targets": {
            "type": "array", "items": { "type": "string" }, "minItems": 1,
            "description": "The texts to compare it with.",
        },
    });
    object(properties, &["source", "targets"])
}

fn add_schema() -> Map<String, Value> {
    let document = json!({
        "type": "object",
        "properties": {
            "id": { "type": "string", "description": "Chosen by the service when absent." },
            "title": { "type": "string" },
            "text": { "type": "string" },
            "metadata": { "type": "object", "description": "For filters." },
        },
        "required": ["text"],
        "additionalProperties": false,
    });
    let properties = json!({
        "documents": { "type": "array", "items": document, "minItems": 1 },
    });
    object(properties, &["documents"])
}

fn get_schema() -> Map<String, Value> {
    object(json!({ "id": { "type": "string" } }), &["id"])
}

fn delete_schema() -> Map<String, Value> {
    let properties = json!({
        "ids": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
    });
    object(properties, &["ids"])
}

/// A value behind the `?` of an address.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            write!(escaped, "%{byte:02X}").unwrap_or_default();
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(tool: Tool, arguments: Value) -> Result<ToolCall, String> {
        let Value::Object(arguments) = arguments else {
            panic!("{arguments}")
        };
        tool.call(arguments)
    }

    #[test]
    fn arguments_become_the_body_of_a_route_of_the_collection() {
        let arguments = json!({ "query": "lamps", "top_k": 3, "collection": "shop" });
        assert_eq!(
            call(Tool::Search, arguments).unwrap(),
            ToolCall {
                method: "POST",
                path: "/collections/shop/search".to_owned(),
                body: Some(json!({ "query": "lamps", "top_k": 3 })),
            }
        );
        let got = call(Tool::Get, json!({ "id": "a/b?c=ü" })).unwrap();
        assert_eq!(
            got.path,
            "/collections/default/documents?id=a%2Fb%3Fc%3D%C3%BC"
        );
    }

    #[test]
    fn a_name_that_is_no_collection_s_never_stands_in_a_path() {
        for name in ["../documents", "a/b", "", "a?b", "%2e%2e", "a b"] {
            let refused = call(Tool::Search, json!({ "query": "x", "collection": name }));
            assert!(refused.is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_tool_takes_nothing_that_it_is_not_described_to_take() {
        for arguments in [
            json!({ "filter": {} }),
            json!({ "ids": ["a"], "dry_run": true }),
        ] {
            let refused = call(Tool::Delete, arguments).unwrap_err();
            assert!(refused.starts_with("delete has no argument"), "{refused}");
        }
        assert!(
            call(Tool::Get, json!({}))
                .unwrap_err()
                .contains("id must be")
        );
    }

    #[test]
    fn every_tool_has_a_route_that_needs_something() {
        for tool in Tool::ALL {
            assert!(matches!(tool.need(), Some(Need::Scope(..))), "{tool:?}");
            assert_eq!(Tool::named(tool.name()), Some(tool));
            let schema = tool.description().input_schema;
            for name in schema["required"].as_array().unwrap() {
                assert!(schema["properties"].get(name.as_str().unwrap()).is_some());
            }
        }
    }
}
