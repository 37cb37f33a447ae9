//! What a tool asks of the service.

use serde_json::Value;

/// A request to a route of the service.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The path, with what stands behind its `?`.
    pub path: String,
    /// The JSON body, if there is one.
    pub body: Option<Value>,
}

/// What a route has answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolAnswer {
    /// Whether it did what was asked.
    pub is_success: bool,
    /// Its body: a problem document where it did not.
    pub body: Value,
}

impl ToolAnswer {
    /// An answer that is none of the service's own.
    pub(super) fn failure(detail: &str) -> Self {
        Self {
            is_success: false,
            body: serde_json::json!({ "detail": detail }),
        }
    }
}
