//! Extractors whose every refusal is a problem document.

mod json;
mod object;
mod params;
mod whole_number;

pub(crate) use json::{ApiJson, OptionalJson, media_type, parse_json, pointer_token, present};
pub(crate) use object::from_object_only;
pub(crate) use params::{ApiPath, ApiQuery, CollectionName, DocumentId};
pub(crate) use whole_number::whole_number;
