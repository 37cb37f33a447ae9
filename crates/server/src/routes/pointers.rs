//! Where the parts of a request stand in its body.

use crate::error::ApiError;
use crate::request_part::RequestPart;

/// The only document of a request.
const ONLY_DOCUMENT: &str = "/documents/0";

impl RequestPart {
    /// The JSON pointer to it.
    fn pointer(self) -> String {
        let fixed = match self {
            Self::Query => "/query",
            Self::Vector => "/vector",
            Self::Id => "/id",
            Self::Positive => "/positive",
            Self::PositiveId(place) => return format!("/positive/{place}/id"),
            Self::Negative => "/negative",
            Self::NegativeId(place) => return format!("/negative/{place}/id"),
            Self::Mode => "/mode",
            Self::Filter => "/filter",
            Self::Facet(place) => return format!("/facets/{place}"),
            Self::Cursor => "/cursor",
            Self::Rerank => "/rerank",
            Self::DocumentText(place) => return format!("/documents/{place}/text"),
            Self::Text(place) => return format!("/texts/{place}"),
            Self::ExplainedItem(place) => explained(place),
            Self::ExplainedId(place) => return format!("{}/id", explained(place)),
            Self::ExplainedPassage(place) => return format!("{}/passage", explained(place)),
            Self::PromptName => "/prompt_name",
            Self::Dimensions => "/dimensions",
            Self::Model => "/model",
            Self::Encoder => "/encoder",
        };
        fixed.to_owned()
    }
}

fn explained(place: usize) -> &'static str {
    if place == 0 { "/a" } else { "/b" }
}

impl ApiError {
    /// A 422 about a part of the request.
    pub(crate) fn about(part: RequestPart, detail: impl Into<String>) -> Self {
        Self::invalid(part.pointer(), detail)
    }

    /// The same error, about a part of the request.
    #[must_use]
    pub(crate) fn at_part(self, part: RequestPart) -> Self {
        self.at(part.pointer())
    }

    /// The same error, about a part of the request unless it points at one already.
    #[must_use]
    pub(crate) fn or_at_part(self, part: RequestPart) -> Self {
        match self.pointer() {
            Some(_) => self,
            None => self.at_part(part),
        }
    }

    /// The same error of a document that is a whole line, and not one of a list.
    #[must_use]
    pub(crate) fn of_line(self) -> Self {
        self.below(ONLY_DOCUMENT)
    }
}
