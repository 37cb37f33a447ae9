//! Who asks, and what that allows.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::budget::Budget;
use super::collection_name::CollectionName;
use super::key_ring::Key;
use super::routes::{Need, Reach};
use super::scope::Scope;
use crate::error::{ApiError, ErrorCode};
use crate::jobs::JobRecord;

/// The caller of a request.
#[derive(Debug, Clone)]
pub(crate) enum Principal {
    /// Anyone, where no keys are asked for. Everything is allowed.
    Anyone,
    /// Somebody without a key, at a route that is open. Nothing else is allowed.
    Nobody,
    /// The holder of a key.
    Holder(Arc<Key>),
}

impl Principal {
    /// The collection of this name, or that an alias of this name stands for. It is not said whether there is one.
    ///
    /// # Errors
    /// 403 when the key is not for it.
    pub(crate) fn collection(&self, name: &str) -> Result<CollectionName, ApiError> {
        if self.sees(name) {
            return Ok(CollectionName::allowed(name));
        }
        let detail = format!("this key is not for the collection {name:?}");
        Err(ApiError::new(ErrorCode::CollectionNotPermitted, detail))
    }

    /// Returns whether a collection or an alias of this name is among those of the key.
    pub(crate) fn sees(&self, name: &str) -> bool {
        match self {
            Self::Anyone => true,
            Self::Nobody => false,
            Self::Holder(key) => key.record.key.collections.contain(name),
        }
    }

    /// Returns whether a job is the caller's own, or one that it administers.
    pub(crate) fn sees_job(&self, job: &JobRecord) -> bool {
        let is_own = self.id().is_some_and(|id| job.owner.as_deref() == Some(id));
        let is_in_sight = match &job.collection {
            Some(collection) => self.sees(collection),
            None => self.sees_everything(),
        };
        is_own || (self.has(Scope::Admin) && is_in_sight)
    }

    /// The id of the key; none without one.
    pub(crate) fn id(&self) -> Option<&str> {
        match self {
            Self::Holder(key) => Some(&key.record.id),
            Self::Anyone | Self::Nobody => None,
        }
    }

    /// What the key is called; none without one.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Holder(key) => Some(&key.record.key.name),
            Self::Anyone | Self::Nobody => None,
        }
    }

    /// What the key may ask for in a minute.
    pub(super) fn budget(&self) -> Option<&Arc<Budget>> {
        match self {
            Self::Holder(key) => Some(&key.budget),
            Self::Anyone | Self::Nobody => None,
        }
    }

    /// Looks whether the caller may use a route.
    ///
    /// # Errors
    /// 401 without a key, 403 for a key that is not for it.
    pub(super) fn check(&self, need: Need) -> Result<(), ApiError> {
        let Need::Scope(scope, reach) = need else {
            return Ok(());
        };
        if matches!(self, Self::Nobody) {
            return Err(missing_key());
        }
        if !self.has(scope) {
            let detail = format!("this key does not have the scope {scope}, which is needed here");
            return Err(ApiError::new(ErrorCode::ScopeMissing, detail));
        }
        if reach == Reach::Everything && !self.sees_everything() {
            let detail = "this is about all collections, and this key is for some of them only";
            return Err(ApiError::new(ErrorCode::CollectionNotPermitted, detail));
        }
        Ok(())
    }

    /// Returns whether the caller may use a route.
    pub(crate) fn may(&self, need: Need) -> bool {
        matches!(self, Self::Anyone) || self.check(need).is_ok()
    }

    fn has(&self, wanted: Scope) -> bool {
        match self {
            Self::Anyone => true,
            Self::Nobody => false,
            Self::Holder(key) => key.record.key.scopes.iter().any(|own| own.includes(wanted)),
        }
    }

    /// Returns whether no collection is hidden from the caller.
    pub(crate) fn sees_everything(&self) -> bool {
        match self {
            Self::Anyone => true,
            Self::Nobody => false,
            Self::Holder(key) => key.record.key.collections.are_all(),
        }
    }
}

pub(super) fn missing_key() -> ApiError {
    ApiError::new(
        ErrorCode::KeyMissing,
        "this service asks for a key, in the header Authorization: Bearer or x-api-key",
    )
}

/// A request that no layer has looked at is nobody's.
impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let found = parts.extensions.get::<Self>();
        Ok(found.cloned().unwrap_or(Self::Nobody))
    }
}
