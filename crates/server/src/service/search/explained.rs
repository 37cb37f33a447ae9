//! What the words of the query and of the first hits give to their scores.

use std::sync::{Arc, Mutex, PoisonError};

use super::QueryInput;
use super::page::Page;
use super::stage::Stage;
use crate::answer::Room;
use crate::app::Engine;
use crate::error::ApiError;
use crate::service::explanation::{ExplainHits, explain_hits};

/// A wish to have the first hits of a page explained.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExplainFirst {
    /// Hits that are explained.
    pub(crate) hits: usize,
    /// Tokens that the query and a passage may have.
    pub(crate) max_tokens: usize,
}

/// Explains the first hits of those pages that want it. What that takes is held in `room`.
///
/// # Errors
/// As [`explain_hits`].
pub(super) async fn explain(
    engine: &Engine,
    pages: &mut [Page],
    stages: &[Stage],
    room: &Mutex<Room>,
) -> Result<(), ApiError> {
    for (nth, (page, stage)) in pages.iter_mut().zip(stages).enumerate() {
        let (Some(wish), QueryInput::Text(query)) = (stage.search.explain, &stage.search.query)
        else {
            continue;
        };
        let hits = page.hits.iter().take(wish.hits);
        let task = ExplainHits {
            query: query.clone(),
            hits: hits.map(|found| found.hit.clone()).collect(),
            max_tokens: wish.max_tokens,
        };
        // Kept with the page, until the answer is written.
        let mut own = room
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .another();
        let explained = explain_hits(engine, &stage.collection, task, &mut own).await;
        let explained = explained.map_err(|error| error.of_search(nth))?;
        for (found, explanation) in page.hits.iter_mut().zip(explained) {
            found.explanation = explanation;
        }
        page.explained_in = Some(Arc::new(own));
    }
    Ok(())
}
