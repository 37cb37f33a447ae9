//! Extractors whose every refusal is a problem document.

mod json;
mod params;

pub(crate) use json::{ApiJson, OptionalJson, media_type, parse_json, pointer_token, present};
pub(crate) use params::{ApiPath, ApiQuery, CollectionName, DocumentId};
