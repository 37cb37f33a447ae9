//! `POST /training/pairs`: pairs of texts that belong together, as a collection knows them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use siamese_index::{FieldPath, Reader};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::lines::{LineSource, streamed, written};
use super::problems::{BodyProblems, CollectionProblems, EngineProblems};
use super::search::in_range;
use crate::access::CollectionName;
use crate::answer::{Room, WrittenPieces};
use crate::app::App;
use crate::backend::Capability;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, JsonBody, from_object_only, present, whole_number};
use crate::service::{PairLine, PairPlan, PairSources, blocking_steps, plan};

/// Pairs of one value unless the request says otherwise.
const DEFAULT_PAIRS_PER_VALUE: usize = 100;
/// Chooses the same pairs as `siamese train` without `--seed` learns from.
const DEFAULT_SEED: u64 = 42;
/// Pairs whose texts are read at once.
const PAIRS_PER_READ: usize = 16;

/// Choosing takes memory for ids and values of all documents, so it is done once at a time.
static CHOOSING: Semaphore = Semaphore::const_new(1);

/// Where pairs come from: at least one of `same`, `refers` and `feedback`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct PairsRequest {
    /// A field of the metadata: two documents with the same value of it belong together. All with one value form
    /// a ring of pairs, and the value is the `label`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, example = "topic")]
    same: Option<String>,
    /// A field of the metadata that holds the id of another document, which the document belongs to, such as the
    /// ticket that it was merged into.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, example = "merged_into")]
    refers: Option<String>,
    /// With `true`: a query and each document that was useful for it belong together, and documents that were not
    /// useful for it are its negatives (`POST /feedback`).
    #[serde(default)]
    feedback: bool,
    /// Pairs at most; up to `limits.max_training_pairs`.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 100_000, default = 100_000)]
    max_pairs: Option<usize>,
    /// Pairs at most of one value of `same`, of documents that refer to the same one, and of one query.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 100_000, default = 100)]
    max_pairs_per_value: Option<usize>,
    /// The same seed chooses the same pairs of the same documents, in the same order.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 0, maximum = 4_294_967_295_u32, default = 42)]
    seed: Option<u32>,
}

from_object_only!(PairsRequest);

impl JsonBody for PairsRequest {
    type Checked = PairSources;

    fn check(self, limits: &Limits) -> Result<PairSources, ApiError> {
        let max = limits.max_training_pairs;
        let max_pairs = self.max_pairs.unwrap_or(max);
        let per_value = self
            .max_pairs_per_value
            .unwrap_or(DEFAULT_PAIRS_PER_VALUE.min(max));
        for (pointer, value) in [
            ("/max_pairs", max_pairs),
            ("/max_pairs_per_value", per_value),
        ] {
            in_range(pointer, value, 1, max, "limits.max_training_pairs")?;
        }
        if self.same.is_none() && self.refers.is_none() && !self.feedback {
            let detail = "give at least one of same, refers and feedback";
            return Err(ApiError::invalid("", detail));
        }
        let field = |text: Option<String>, pointer| {
            text.map(|text| field(&text, pointer, limits)).transpose()
        };
        Ok(PairSources {
            same: field(self.same, "/same")?,
            refers: field(self.refers, "/refers")?,
            feedback: self.feedback,
            max_pairs,
            max_pairs_per_value: per_value,
            seed: self.seed.map_or(DEFAULT_SEED, u64::from),
        })
    }
}

fn field(text: &str, pointer: &str, limits: &Limits) -> Result<FieldPath, ApiError> {
    let max = limits.max_filter_text_bytes;
    if text.len() > max {
        let detail = format!(
            "the path has {} bytes, over limits.max_filter_text_bytes = {max}",
            text.len()
        );
        return Err(ApiError::invalid(pointer, detail));
    }
    FieldPath::parse(text).map_err(|error| ApiError::invalid(pointer, error.to_string()))
}

/// Write pairs of texts that belong together, as lines of JSON that `siamese train --data` reads: `anchor`,
/// `positive`, `negative_1` .. where there are, `label`; and `source`, `anchor_id` and `positive_id` for people.
/// Texts are the beginnings of documents as they are encoded, 8 KiB at most.
#[utoipa::path(
    post, path = "/training/pairs", operation_id = "training_pairs", tag = "training",
    request_body = PairsRequest,
    responses(
        (status = 200, description = "Lines of JSON", content_type = "application/x-ndjson"),
        CollectionProblems, BodyProblems, EngineProblems
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    collection: CollectionName,
    ApiJson(sources): ApiJson<PairsRequest>,
) -> Result<Response, ApiError> {
    let collection = app.engine()?.reader(&collection)?;
    let collection = collection.embedded_arc(Capability::TrainingPairs)?;
    let (reader, room) = (Arc::clone(&collection), app.room());
    let choosing = CHOOSING.acquire().await.map_err(ApiError::internal)?;
    let (plan, room) = blocking_steps(move |cancel| {
        let _choosing = choosing;
        cancel.long_step()?;
        let plan = plan(&reader, &sources, &|| cancel.step())?;
        // It is held while the lines are read, which may be as slow as the client likes.
        let mut room = room;
        room.hold(plan.bytes())?;
        Ok((plan, room))
    })
    .await?;
    let lines = Lines {
        collection,
        plan,
        next: 0,
        _room: room,
    };
    Ok(streamed(&app, lines))
}

/// Pairs on their way out.
struct Lines {
    collection: Arc<Reader>,
    plan: PairPlan,
    next: usize,
    _room: Room,
}

impl LineSource for Lines {
    fn next(&mut self, room: Room) -> Result<Option<WrittenPieces>, ApiError> {
        let end = (self.next + PAIRS_PER_READ).min(self.plan.len());
        if self.next == end {
            return Ok(None);
        }
        let lines = (self.next..end).map(|place| self.plan.line(place, &self.collection));
        let lines = lines.filter_map(Result::transpose);
        let lines: Vec<PairLine> = lines.collect::<Result<_, _>>()?;
        let lines = written(room, &lines)?;
        self.next = end;
        Ok(Some(lines))
    }
}
