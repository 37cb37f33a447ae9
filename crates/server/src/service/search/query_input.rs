//! What a search starts from, and the vector that it becomes.

use crate::backend::Reader;
use crate::error::{ApiError, ErrorCode};
use crate::request_part::RequestPart;
use crate::service::{Embedding, Operand};

/// A sum of unit vectors shorter than this has no direction worth following.
const MIN_LENGTH: f32 = 1e-4;

/// What a search starts from.
#[derive(Debug, Clone)]
pub(crate) enum QueryInput {
    /// Documents like this text.
    Text(String),
    /// Documents near this vector.
    Vector(Vec<f32>),
    /// Documents like this stored one, which is left out itself.
    Document(String),
    /// Documents like some items and unlike others; stored ones are left out themselves.
    Examples {
        /// At least one.
        positive: Vec<Operand>,
        negative: Vec<Operand>,
    },
}

impl QueryInput {
    /// The texts to encode, in the order in which [`Self::vector`] takes their embeddings.
    pub(super) fn texts(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Text(text) => Box::new(std::iter::once(text.as_str())),
            Self::Vector(_) | Self::Document(_) => Box::new(std::iter::empty()),
            Self::Examples { positive, negative } => {
                let items = positive.iter().chain(negative);
                Box::new(items.filter_map(|item| match item {
                    Operand::Text(text) => Some(text.as_str()),
                    Operand::Document(_) => None,
                }))
            }
        }
    }

    /// Ids of stored documents that were asked with, and are not to be found.
    pub(super) fn stored_ids(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Text(_) | Self::Vector(_) => Box::new(std::iter::empty()),
            Self::Document(id) => Box::new(std::iter::once(id.as_str())),
            Self::Examples { positive, negative } => {
                let items = positive.iter().chain(negative);
                Box::new(items.filter_map(|item| match item {
                    Operand::Text(_) => None,
                    Operand::Document(id) => Some(id.as_str()),
                }))
            }
        }
    }

    /// The vector to search by.
    ///
    /// # Errors
    /// 404 for an unknown document, 422 for items that cancel each other out.
    pub(super) fn vector(
        &self,
        collection: &Reader,
        embeddings: Vec<Embedding>,
    ) -> Result<Vec<f32>, ApiError> {
        let mut embeddings = embeddings.into_iter().map(|embedding| embedding.vector);
        match self {
            Self::Text(_) => embeddings.next().ok_or_else(too_few_vectors),
            Self::Vector(vector) => Ok(vector.clone()),
            Self::Document(id) => {
                stored_vector(collection, id).map_err(|error| missing(error, RequestPart::Id))
            }
            Self::Examples { positive, negative } => {
                let mut vectors = |items: &[Operand], part: fn(usize) -> RequestPart| {
                    let items = items.iter().enumerate();
                    let vectors = items.map(|(place, item)| match item {
                        Operand::Text(_) => embeddings.next().ok_or_else(too_few_vectors),
                        Operand::Document(id) => stored_vector(collection, id)
                            .map_err(|error| missing(error, part(place))),
                    });
                    vectors.collect::<Result<Vec<_>, _>>()
                };
                let positive = vectors(positive, RequestPart::PositiveId)?;
                let negative = vectors(negative, RequestPart::NegativeId)?;
                direction(&positive, &negative)
                    .ok_or_else(|| ApiError::about(RequestPart::Negative, CANCELLED))
            }
        }
    }

    /// The part of a request that holds it.
    pub(super) fn part(&self) -> RequestPart {
        match self {
            Self::Text(_) => RequestPart::Query,
            Self::Vector(_) => RequestPart::Vector,
            Self::Document(_) => RequestPart::Id,
            Self::Examples { .. } => RequestPart::Positive,
        }
    }
}

const CANCELLED: &str = "the positive and the negative items cancel each other out";

/// Names the part of the request that asks for a document which is not there.
fn missing(error: ApiError, part: RequestPart) -> ApiError {
    match error.code() {
        ErrorCode::DocumentNotFound => error.at_part(part),
        _ => error,
    }
}

fn too_few_vectors() -> ApiError {
    ApiError::internal("the encoder returned too few vectors")
}

/// Towards the mean of the positive items and away from that of the negative ones: `2 p - n`, the
/// "average vector" of Qdrant's recommendations, which is Rocchio's formula (1971) with weights 2
/// and 1. Items count by their direction, not by their length.
fn direction(positive: &[Vec<f32>], negative: &[Vec<f32>]) -> Option<Vec<f32>> {
    let mut direction = mean_direction(positive)?;
    if let Some(away) = mean_direction(negative) {
        for (towards, away) in direction.iter_mut().zip(away) {
            *towards = 2.0 * *towards - away;
        }
    }
    (length(&direction) >= MIN_LENGTH).then_some(direction)
}

fn mean_direction(vectors: &[Vec<f32>]) -> Option<Vec<f32>> {
    let units: Vec<_> = vectors.iter().map(|vector| unit(vector)).collect();
    mean(&units)
}

fn unit(vector: &[f32]) -> Vec<f32> {
    let length = length(vector).max(f32::MIN_POSITIVE);
    vector.iter().map(|value| value / length).collect()
}

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|value| value * value).sum::<f32>().sqrt()
}

/// The vector that stands for a stored document: the mean of its passages' unit vectors.
///
/// # Errors
/// 404 when there is no such document.
pub(in crate::service) fn stored_vector(
    collection: &Reader,
    id: &str,
) -> Result<Vec<f32>, ApiError> {
    let vector = collection.mean_vector(id)?;
    vector.ok_or_else(|| ApiError::document_not_found(id))
}

fn mean(vectors: &[Vec<f32>]) -> Option<Vec<f32>> {
    let (first, rest) = vectors.split_first()?;
    let mut sum = first.clone();
    for vector in rest {
        sum.iter_mut()
            .zip(vector)
            .for_each(|(sum, value)| *sum += value);
    }
    let scale = 1.0 / vectors.len() as f32;
    sum.iter_mut().for_each(|value| *value *= scale);
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positive_items_count_twice_and_by_direction_only() {
        let direction = direction(&[vec![10.0, 0.0], vec![0.0, 1.0]], &[vec![0.0, 3.0]]).unwrap();
        assert!((direction[0] - 1.0).abs() < 1e-6, "{direction:?}");
        assert!(direction[1].abs() < 1e-6, "{direction:?}");
    }

    #[test]
    fn one_positive_item_is_itself() {
        assert_eq!(direction(&[vec![0.0, 2.0]], &[]), Some(vec![0.0, 1.0]));
    }

    #[test]
    fn items_that_cancel_have_no_direction() {
        assert_eq!(direction(&[vec![1.0, 0.0], vec![-1.0, 0.0]], &[]), None);
    }
}
