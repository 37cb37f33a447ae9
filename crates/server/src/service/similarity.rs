//! Scores of pairs: text against text, text against stored, stored against stored.

use std::collections::HashMap;
use std::sync::Arc;

use siamese_encoder::{Encoder, InputKind};
use siamese_index::{cosine, unit_or_zero};

use super::search::stored_vector;
use super::{Cancel, blocking_steps};
use crate::app::Engine;
use crate::backend::Reader;
use crate::error::ApiError;
use crate::queue::Lane;
use crate::request_part::RequestPart;
use crate::telemetry::{Clock, Step};

/// How two vectors are compared; higher is always more alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Metric {
    /// Cosine of the angle, -1 to 1.
    #[default]
    Cosine,
    /// Dot product. Vectors are of unit length here, so it is the cosine.
    Dot,
    /// Negative Euclidean distance, as in sentence-transformers; 0 for equal vectors.
    Euclidean,
    /// Negative Manhattan distance, as in sentence-transformers; 0 for equal vectors.
    Manhattan,
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Operand {
    /// Encoded now.
    Text(String),
    /// The stored vector of a document.
    Document(String),
}

/// What is compared, as vectors.
#[derive(Debug)]
pub(crate) struct Compared {
    vectors: Vec<Vec<f32>>,
    /// For each operand the place of its vector.
    positions: Vec<usize>,
    metric: Metric,
}

impl Compared {
    /// The score of two operands by their places.
    pub(crate) fn score(&self, left: usize, right: usize) -> f32 {
        let vector = |place: usize| &self.vectors[self.positions[place]];
        self.metric.score(vector(left), vector(right))
    }
}

/// The vectors of `operands`. Each distinct one is encoded or read once.
///
/// # Errors
/// 404 for an unknown document, 503 when the queue is full.
pub(crate) async fn compared(
    engine: &Engine,
    collection: &Arc<Reader>,
    model: Option<&str>,
    operands: Vec<Operand>,
    metric: Metric,
) -> Result<Compared, ApiError> {
    let encoder = encoder(engine, &**collection, model, &operands).await?;
    let stored = Arc::clone(collection);
    let clock = Clock::start(Step::Search);
    let (distinct, positions, vectors) = blocking_steps(move |cancel| {
        let (distinct, positions) = deduplicated(operands);
        let vectors = stored_vectors(&*stored, &distinct, cancel)?;
        Ok((distinct, positions, vectors))
    })
    .await?;
    drop(clock);
    Ok(Compared {
        vectors: with_texts(engine, encoder.as_ref(), distinct, vectors).await?,
        positions,
        metric,
    })
}

/// What encodes the texts, if there are any: what is asked for, or what made the collection's vectors.
///
/// # Errors
/// 404 for an unknown model, 422 for one whose vectors cannot be compared with those of the documents, 503 for one
/// that cannot be used.
async fn encoder(
    engine: &Engine,
    collection: &Reader,
    model: Option<&str>,
    operands: &[Operand],
) -> Result<Option<Arc<Encoder>>, ApiError> {
    let is_text = |operand: &Operand| matches!(operand, Operand::Text(_));
    if !operands.iter().any(is_text) {
        return Ok(None);
    }
    if model.is_none() {
        return engine.models.encoder_of(collection).await.map(Some);
    }
    let encoder = engine.models.encoder_for(model).await?;
    let made_by = collection.encoder();
    if !operands.iter().all(is_text) && made_by.identity.id != encoder.info().id.as_str() {
        let detail = format!(
            "the documents of {:?} have vectors of {}, which cannot be compared with those of {}; leave model out",
            collection.name(),
            made_by.identity.name,
            encoder.info().model
        );
        return Err(ApiError::about(RequestPart::Model, detail));
    }
    Ok(Some(encoder))
}

/// The distinct operands, and for each original one its place among them.
fn deduplicated(operands: Vec<Operand>) -> (Vec<Operand>, Vec<usize>) {
    let mut places = HashMap::new();
    let mut distinct = Vec::new();
    let positions = operands.into_iter().map(|operand| {
        *places
            .entry(operand)
            .or_insert_with_key(|operand: &Operand| {
                distinct.push(operand.clone());
                distinct.len() - 1
            })
    });
    let positions = positions.collect();
    (distinct, positions)
}

/// The vectors of stored documents; none in the places of texts.
fn stored_vectors(
    collection: &Reader,
    operands: &[Operand],
    cancel: &Cancel,
) -> Result<Vec<Vec<f32>>, ApiError> {
    let vector = |operand: &Operand| match operand {
        Operand::Text(_) => Ok(Vec::new()),
        Operand::Document(id) => {
            cancel.step()?;
            stored_vector(collection, id).map(|vector| unit_or_zero(&vector))
        }
    };
    operands.iter().map(vector).collect()
}

/// The same vectors, with those of texts in their places.
async fn with_texts(
    engine: &Engine,
    encoder: Option<&Arc<Encoder>>,
    operands: Vec<Operand>,
    mut vectors: Vec<Vec<f32>>,
) -> Result<Vec<Vec<f32>>, ApiError> {
    let Some(encoder) = encoder else {
        return Ok(vectors);
    };
    let texts = operands.into_iter().enumerate();
    let texts = texts.filter_map(|(place, operand)| match operand {
        Operand::Text(text) => Some((place, text)),
        Operand::Document(_) => None,
    });
    let (places, texts): (Vec<_>, Vec<_>) = texts.unzip();
    let lane = Lane::for_texts(texts.len());
    let embeddings = engine
        .embed_asked(encoder, texts, InputKind::Document, lane)
        .await?;
    for (place, embedding) in places.into_iter().zip(embeddings) {
        vectors[place] = unit_or_zero(&embedding.vector);
    }
    Ok(vectors)
}

impl Metric {
    /// The score of two vectors of unit length.
    fn score(self, left: &[f32], right: &[f32]) -> f32 {
        let differences = left.iter().zip(right);
        let differences = differences.map(|(a, b)| f64::from(*a) - f64::from(*b));
        match self {
            Self::Cosine | Self::Dot => cosine(left, right),
            Self::Euclidean => negative(differences.map(|by| by * by).sum::<f64>().sqrt()),
            Self::Manhattan => negative(differences.map(f64::abs).sum()),
        }
    }
}

/// A distance as a score; that of equals is 0 and not -0.
fn negative(distance: f64) -> f32 {
    (0.0 - distance) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_operands_share_one_place() {
        let text = |text: &str| Operand::Text(text.to_owned());
        let (distinct, positions) = deduplicated(vec![
            text("a"),
            Operand::Document("a".to_owned()),
            text("a"),
            text("b"),
        ]);
        assert_eq!(distinct.len(), 3);
        assert_eq!(positions, [0, 1, 0, 2]);
    }

    #[test]
    fn metrics_follow_their_definitions_on_a_right_angle() {
        let (x, y) = ([1.0, 0.0], [0.0, 1.0]);
        assert_eq!(Metric::Cosine.score(&x, &y), 0.0);
        assert_eq!(Metric::Dot.score(&x, &x), 1.0);
        assert_eq!(Metric::Euclidean.score(&x, &y), -(2.0_f32.sqrt()));
        assert_eq!(Metric::Manhattan.score(&x, &y), -2.0);
    }

    #[test]
    fn equals_have_one_and_no_distance_and_nothing_is_over_one() {
        let vector = unit_or_zero(&[0.1; 384]);
        for metric in [Metric::Cosine, Metric::Dot] {
            assert_eq!(metric.score(&vector, &vector), 1.0);
        }
        for metric in [Metric::Euclidean, Metric::Manhattan] {
            assert!(metric.score(&vector, &vector).is_sign_positive());
        }
    }
}
