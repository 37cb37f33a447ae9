//! What is compared, and by what.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use siamese_index::{Error as IndexError, Generation, GenerationState, Index, Reader};

use crate::app::Engine;
use crate::backend::Capability;
use crate::error::{ApiError, ErrorCode};
use crate::service::search::Mode;

/// What to compare by.
#[derive(Debug)]
pub(crate) struct ComparisonTask {
    pub(crate) queries: Vec<ComparedQuery>,
    pub(crate) mode: Mode,
    /// Score every vector.
    pub(crate) exact: bool,
    /// Hits whose overlap is counted, and which are shown.
    pub(crate) top_k: usize,
    /// The most queries to show.
    pub(crate) max_changes: usize,
    /// `limits.max_top_k`.
    pub(crate) max_top_k: usize,
    /// `limits.max_comparing_ms`.
    pub(crate) max_time: Duration,
}

/// A query, with what is known about its answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct ComparedQuery {
    pub(crate) text: String,
    /// A document with this id is not found: in some data sets queries are documents.
    pub(crate) own_id: Option<String>,
    /// Grades by ids of documents; empty when nothing is known.
    pub(crate) relevant: HashMap<String, i64>,
}

/// The active generation of a collection, and another one.
#[derive(Debug, Clone)]
pub(crate) struct ComparedGenerations {
    index: Arc<Index>,
    name: String,
    pub(super) sides: [Generation; 2],
}

impl ComparedGenerations {
    /// # Errors
    /// 404 when there is no such generation, 409 when it is the active one or lacks documents.
    pub(crate) fn of(engine: &Engine, name: &str, number: u32) -> Result<Self, ApiError> {
        let index = Arc::clone(engine.index(Capability::Comparison)?);
        let other = index.generation(name, number)?;
        let refused = |reason: &str| {
            let detail = format!("generation {number} of the collection {name:?} {reason}");
            Err(ApiError::new(ErrorCode::Conflict, detail))
        };
        match other.state {
            GenerationState::Active => {
                return refused("is the active one, with which others are compared");
            }
            GenerationState::Filling | GenerationState::Paused => {
                return refused("lacks documents; compare it when it has been filled");
            }
            GenerationState::Ready | GenerationState::Retired => {}
        }
        let is_active = |it: &Generation| it.state == GenerationState::Active;
        let active = index.generations(name)?.into_iter().find(is_active);
        let active =
            active.ok_or_else(|| ApiError::internal("a collection has no active generation"))?;
        Ok(Self {
            index,
            name: name.to_owned(),
            sides: [active, other],
        })
    }

    /// The collection's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn readers(&self) -> [&Arc<Reader>; 2] {
        self.sides.each_ref().map(|side| side.collection.reader())
    }

    /// Of one that is being deleted, searches find less and less, and say nothing.
    pub(super) fn check_present(&self) -> Result<(), ApiError> {
        for side in &self.sides {
            let found = self.index.generation(&self.name, side.number)?;
            if !Arc::ptr_eq(&found.collection, &side.collection) {
                return Err(IndexError::GenerationNotFound {
                    name: self.name.clone(),
                    number: side.number,
                }
                .into());
            }
        }
        Ok(())
    }
}
