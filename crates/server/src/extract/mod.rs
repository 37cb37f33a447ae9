//! Extractors whose every refusal is a problem document.

mod census;
mod json;
mod object;
mod params;
mod prefer;
mod whole_number;

pub(crate) use census::ListLimit;
#[cfg(test)]
pub(crate) use json::parse_json;
pub(crate) use json::{
    ApiJson, JsonBody, OptionalJson, announced_bytes, media_type, parse_body, parse_line,
    parse_on_thread, pointer_token, present, require_json, too_large, undecodable,
};
pub(crate) use object::from_object_only;
pub(crate) use params::{
    ApiPath, ApiQuery, CollectionName, DEFAULT_COLLECTION, DocumentId, query_pairs,
};
pub(crate) use prefer::{RESPOND_ASYNC, RespondAsync};
pub(crate) use whole_number::whole_number;
