//! What becomes of documents that resemble others, in requests and in the settings of collections.

use serde::{Deserialize, Serialize, Serializer};
use siamese_index::{DuplicateAction, OnDuplicate};
use utoipa::ToSchema;

use super::duplicates::check_score;
use crate::error::ApiError;
use crate::extract::{from_object_only, present};
use crate::service::DuplicateRule;

/// What becomes of a document that resembles one that is stored, or one before it in the same request. One
/// that replaces another with its id is not compared with that one; one whose text does not change is not
/// compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnDuplicateShape {
    /// It is stored, and nothing is compared.
    Allow,
    /// It is stored, and `duplicate_of` names the other one.
    Flag,
    /// It is not stored: its status is `rejected`, and `duplicate_of` names the other one.
    Reject,
}

/// What becomes of a document that resembles another one.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct DuplicateSettingShape {
    #[schema(inline)]
    mode: OnDuplicateShape,
    /// The least cosine of two documents that resemble each other; goes with `flag` and `reject`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, minimum = -1, maximum = 1, example = 0.95)]
    min_score: Option<f32>,
}

from_object_only!(DuplicateSettingShape);

impl Serialize for DuplicateSettingShape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl DuplicateSettingShape {
    /// # Errors
    /// 422 for a threshold that is missing, for nothing, or out of range.
    pub(super) fn checked(self) -> Result<Option<OnDuplicate>, ApiError> {
        let checked = self.mode.checked(self.min_score);
        checked.map_err(|error| error.at("/on_duplicate/min_score"))
    }
}

impl From<Option<OnDuplicate>> for DuplicateSettingShape {
    fn from(on_duplicate: Option<OnDuplicate>) -> Self {
        Self {
            mode: match on_duplicate.map(|it| it.action) {
                None => OnDuplicateShape::Allow,
                Some(DuplicateAction::Flag) => OnDuplicateShape::Flag,
                Some(DuplicateAction::Reject) => OnDuplicateShape::Reject,
            },
            min_score: on_duplicate.map(|it| it.min_score),
        }
    }
}

/// Reads what a request says about documents that resemble others.
///
/// # Errors
/// As [`OnDuplicateShape::checked`], and 422 for a threshold alone.
pub(super) fn rule(
    on_duplicate: Option<OnDuplicateShape>,
    min_score: Option<f32>,
) -> Result<DuplicateRule, ApiError> {
    match (on_duplicate, min_score) {
        (None, None) => Ok(DuplicateRule::OfCollection),
        (on_duplicate, min_score) => {
            let on_duplicate = on_duplicate.unwrap_or(OnDuplicateShape::Allow);
            Ok(DuplicateRule::Given(on_duplicate.checked(min_score)?))
        }
    }
}

impl OnDuplicateShape {
    /// # Errors
    /// 422 for a threshold that is missing, for nothing, or out of range.
    fn checked(self, min_score: Option<f32>) -> Result<Option<OnDuplicate>, ApiError> {
        let action = match self {
            Self::Allow => None,
            Self::Flag => Some(DuplicateAction::Flag),
            Self::Reject => Some(DuplicateAction::Reject),
        };
        match (action, min_score) {
            (None, None) => Ok(None),
            (Some(action), Some(min_score)) => {
                check_score(min_score)?;
                Ok(Some(OnDuplicate { action, min_score }))
            }
            (Some(_), None) => {
                let detail = "flag and reject need min_score beside them";
                Err(ApiError::invalid("/min_score", detail))
            }
            (None, Some(_)) => {
                let detail = "min_score goes with on_duplicate: flag or reject";
                Err(ApiError::invalid("/min_score", detail))
            }
        }
    }
}
