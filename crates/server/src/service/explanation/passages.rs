//! Which passages of stored documents to explain.

use std::ops::Range;
use std::sync::Arc;

use siamese_encoder::{Encoder, InputKind};
use siamese_index::{StoredDocument, StoredPassage, cosine, unit_or_zero};

use super::{ExplainedItem, ExplainedPassage, ExplainedText};
use crate::answer::Room;
use crate::app::Engine;
use crate::backend::Reader;
use crate::error::{ApiError, ErrorCode};
use crate::queue::Lane;
use crate::request_part::RequestPart;
use crate::service::chunking::with_title;
use crate::service::{Cancel, blocking_steps};

/// What is known of an item before a passage is chosen.
#[derive(Debug)]
enum Candidates {
    Text(String, InputKind),
    Passages(StoredCandidates),
}

/// A stored document, and those of its passages that may be explained.
#[derive(Debug)]
struct StoredCandidates {
    document: StoredDocument,
    /// At least one, with their vectors.
    passages: Vec<StoredPassage>,
    /// What they take of the memory for answers.
    _room: Room,
}

/// The texts of two items. Where a document has several passages, those two that are nearest to each other.
///
/// # Errors
/// As [`super::explain`].
pub(super) async fn chosen(
    engine: &Engine,
    encoder: &Arc<Encoder>,
    collection: &Arc<Reader>,
    items: [ExplainedItem; 2],
    room: &Room,
) -> Result<[ExplainedText; 2], ApiError> {
    let (stored, rooms) = (Arc::clone(collection), [room.another(), room.another()]);
    let candidates = blocking_steps(move |_| {
        let [left, right] = items;
        let [room_of_left, room_of_right] = rooms;
        Ok([
            Candidates::of(left, &*stored, 0, room_of_left)?,
            Candidates::of(right, &*stored, 1, room_of_right)?,
        ])
    })
    .await?;
    if candidates.iter().all(|candidates| candidates.count() == 1) {
        return Ok(candidates.map(|candidates| candidates.into_text(0)));
    }
    let mut vectors = Vec::with_capacity(2);
    for candidates in &candidates {
        vectors.push(match candidates {
            Candidates::Text(text, kind) => {
                Some(vector(engine, encoder, text.clone(), *kind).await?)
            }
            Candidates::Passages(_) => None,
        });
    }
    blocking_steps(move |cancel| {
        let sides = candidates.iter().zip(&vectors);
        let sides: Vec<Vec<&[f32]>> = sides
            .map(|(candidates, vector)| match (candidates, vector) {
                (Candidates::Passages(stored), _) => stored.vectors(),
                (Candidates::Text(..), vector) => vector.iter().map(Vec::as_slice).collect(),
            })
            .collect();
        let places = nearest(&sides[0], &sides[1], cancel)?;
        let [left, right] = candidates;
        Ok([left.into_text(places.0), right.into_text(places.1)])
    })
    .await
}

async fn vector(
    engine: &Engine,
    encoder: &Arc<Encoder>,
    text: String,
    kind: InputKind,
) -> Result<Vec<f32>, ApiError> {
    let texts = vec![text];
    let embeddings = engine
        .embed_asked(encoder, texts, kind, Lane::for_texts(1))
        .await?;
    let vector = embeddings.into_iter().next().map(|text| text.vector);
    vector
        .map(|vector| unit_or_zero(&vector))
        .ok_or_else(|| ApiError::internal("the encoder returned no vector"))
}

/// The indexes of the two vectors with the largest cosine; of equals, the first.
fn nearest(left: &[&[f32]], right: &[&[f32]], cancel: &Cancel) -> Result<(usize, usize), ApiError> {
    let mut best = (f32::NEG_INFINITY, (0, 0));
    for (row, left) in left.iter().enumerate() {
        cancel.step()?;
        for (column, right) in right.iter().enumerate() {
            let score = cosine(left, right);
            if score > best.0 {
                best = (score, (row, column));
            }
        }
    }
    Ok(best.1)
}

impl Candidates {
    fn of(
        item: ExplainedItem,
        collection: &Reader,
        side: usize,
        room: Room,
    ) -> Result<Self, ApiError> {
        match item {
            ExplainedItem::Text(text, kind) => Ok(Self::Text(text, kind)),
            ExplainedItem::Document { id, passage } => {
                let of_document = StoredCandidates::read(collection, &id, room);
                let of_document = of_document.map_err(|error| match error.code() {
                    ErrorCode::DocumentNotFound => error.at_part(RequestPart::ExplainedId(side)),
                    _ => error,
                })?;
                let of_document = match passage {
                    Some(span) => of_document.only(&span, RequestPart::ExplainedPassage(side))?,
                    None => of_document,
                };
                Ok(Self::Passages(of_document))
            }
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Text(..) => 1,
            Self::Passages(stored) => stored.passages.len(),
        }
    }

    /// The text that is encoded of the candidate at `place`.
    fn into_text(self, place: usize) -> ExplainedText {
        match self {
            Self::Text(text, kind) => ExplainedText {
                text,
                kind,
                passage: None,
            },
            Self::Passages(stored) => stored.into_text(place),
        }
    }
}

impl StoredCandidates {
    fn read(collection: &Reader, id: &str, mut room: Room) -> Result<Self, ApiError> {
        let whole = collection.get_whole(id, true)?;
        let (document, passages) = whole.ok_or_else(|| ApiError::document_not_found(id))?;
        let values = passages
            .iter()
            .flat_map(|passage| &passage.vector)
            .map(Vec::len);
        room.hold(document.text.len() + values.sum::<usize>() * size_of::<f32>())?;
        Ok(Self {
            document,
            passages,
            _room: room,
        })
    }

    fn only(mut self, span: &Range<usize>, part: RequestPart) -> Result<Self, ApiError> {
        self.passages
            .retain(|passage| passage.start == span.start && passage.end == span.end);
        if self.passages.is_empty() {
            let (id, of) = (&self.document.id, self.document.passages);
            let detail = format!(
                "the document {id:?} has no passage from byte {} to byte {}; it has {of}, which \
                 GET /documents/{{id}} lists",
                span.start, span.end
            );
            return Err(ApiError::about(part, detail));
        }
        self.passages.truncate(1);
        Ok(self)
    }

    fn vectors(&self) -> Vec<&[f32]> {
        let passages = self.passages.iter();
        passages
            .map(|passage| passage.vector.as_deref().unwrap_or_default())
            .collect()
    }

    fn into_text(self, place: usize) -> ExplainedText {
        let document = self.document;
        let span = self
            .passages
            .get(place)
            .map_or(0..0, |passage| passage.start..passage.end);
        let own = document.text.get(span.clone()).unwrap_or_default();
        let text = with_title(document.title.as_deref(), own);
        ExplainedText {
            kind: InputKind::Document,
            passage: Some(ExplainedPassage {
                offset: text.len() - own.len(),
                id: document.id,
                span,
                is_one_of: (document.passages > 1).then_some(document.passages),
            }),
            text,
        }
    }
}
