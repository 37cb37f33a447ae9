//! Extractors whose every refusal is a problem document.

mod body;
#[cfg(test)]
mod body_limits_tests;
mod census;
mod json;
mod json_value;
mod object;
mod params;
mod prefer;
mod whole_number;

pub(crate) use body::{announced_bytes, too_large, undecodable};
pub(crate) use census::ListLimit;
pub(crate) use json::{
    ApiJson, JsonBody, OptionalJson, media_type, parse_body, parse_line, parse_on_thread,
    read_counted, require_json,
};
#[cfg(test)]
pub(crate) use json_value::parse_json;
pub(crate) use json_value::{pointer_token, present};
pub(crate) use object::from_object_only;
pub(crate) use params::{
    ApiPath, ApiQuery, DEFAULT_COLLECTION, DocumentId, GenerationNumber, query_pairs,
};
pub(crate) use prefer::{RESPOND_ASYNC, RespondAsync};
pub(crate) use whole_number::whole_number;
