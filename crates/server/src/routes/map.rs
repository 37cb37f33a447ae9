//! `POST /map`: documents as points of a plane, to look at.

use std::num::NonZeroUsize;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::ser::{Error as _, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use siamese_index::{DocumentMap, FieldPath, MapOptions, MapPoint, Reader};
use utoipa::ToSchema;

use super::facets::json_value;
use super::filter::{FilterShape, check_text_bytes};
use super::problems::{
    AnswerProblems, BodyProblems, CollectionProblems, ComparisonProblems, EngineProblems,
};
use super::search::in_range;
use crate::access::CollectionName;
use crate::answer;
use crate::app::App;
use crate::backend::Capability;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, JsonBody, from_object_only, present, whole_number};
use crate::service::blocking_steps;

/// Points returned unless the request says otherwise.
const DEFAULT_POINTS: usize = 2000;

/// Which documents to put on the map.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct MapRequest {
    /// Only documents that pass.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    filter: Option<FilterShape>,
    /// Points to return, up to `limits.max_map_points`; 2000 unless given. Of more documents, so many are taken
    /// evenly, in the order in which they were stored.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// Path of a metadata field, as in filters, whose value each point has as `value`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, example = "status")]
    field: Option<String>,
}

from_object_only!(MapRequest);

/// Documents in the plane in which their vectors differ most.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MapResponse {
    /// In the order in which the documents were stored.
    #[schema(value_type = Vec<PointShape>)]
    points: Points,
    /// Documents that pass, on the map or not.
    documents: u64,
    /// How much of all variance each of the two directions shows, 0 to 1. The less it is, the less says what lies near
    /// to what.
    #[schema(min_items = 2, max_items = 2)]
    shares: [f64; 2],
}

/// Where a document is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PointShape {
    /// The document's id.
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// Along the direction in which the documents differ most; the mean of all is 0.
    x: f32,
    /// Along the next one.
    y: f32,
    /// The value of `field`, a string, a number, true, false or null; the first one of an array. Absent where there is
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

impl JsonBody for MapRequest {
    /// Which points, and what each has as its value.
    type Checked = (MapOptions, Option<FieldPath>);

    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        let max = limits.max_map_points;
        let limit = self.limit.unwrap_or(DEFAULT_POINTS.min(max));
        in_range("/limit", limit, 1, max, "limits.max_map_points")?;
        let filter = self.filter.map(|filter| filter.read(limits, "/filter"));
        let options = MapOptions {
            filter: filter.transpose()?,
            max_points: NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN),
        };
        let field = self.field.map(|field| {
            check_text_bytes(&field, limits.max_filter_text_bytes, "/field")?;
            FieldPath::parse(&field).map_err(|error| ApiError::invalid("/field", error.to_string()))
        });
        Ok((options, field.transpose()?))
    }
}

/// Project documents onto the plane in which their vectors differ most (principal component analysis), to look at.
///
/// Documents that are alike lie near to each other; the opposite need not be true, since two dimensions show little of
/// several hundred. The same documents have the same map.
#[utoipa::path(
    post, path = "/map", operation_id = "map", tag = "similarity",
    request_body = MapRequest,
    responses(
        (status = 200, body = MapResponse),
        BodyProblems, AnswerProblems, ComparisonProblems, CollectionProblems, EngineProblems
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    name: CollectionName,
    ApiJson((options, field)): ApiJson<MapRequest>,
) -> Result<Response, ApiError> {
    let collection = app.engine()?.reader(&name)?;
    let collection = collection.embedded_arc(Capability::Map)?;
    let mut room = app.room();
    blocking_steps(move |cancel| {
        // The points are held while they are written, which may be as slow as the client reads.
        room.hold(options.max_points.get() * size_of::<MapPoint>())?;
        cancel.long_step()?;
        let map = {
            // Until then, a vector may be held for each: the mean of a document's passages.
            let mut of_vectors = room.another();
            of_vectors
                .hold(options.max_points.get() * collection.dimensions() * size_of::<f32>())?;
            collection.map(&options, cancel.flag())?
        };
        let (documents, shares) = (map.documents, map.shares);
        let points = Points {
            collection,
            map,
            field,
        };
        let response = MapResponse {
            points,
            documents,
            shares,
        };
        answer::json(room.until(cancel), &response)
    })
    .await
}

/// Points of which each is read when it is written.
#[derive(Debug)]
struct Points {
    collection: Arc<Reader>,
    map: DocumentMap,
    field: Option<FieldPath>,
}

impl Points {
    /// `None` of a document that has been replaced or deleted meanwhile.
    fn read(&self, point: &MapPoint) -> Result<Option<PointShape>, siamese_index::Error> {
        let document = self.collection.read_point(point)?;
        Ok(document.map(|document| {
            let values = |field: &FieldPath| field.values(&document.metadata).into_iter().next();
            PointShape {
                value: self
                    .field
                    .as_ref()
                    .and_then(values)
                    .map(|value| json_value(&value)),
                id: document.id,
                title: document.title,
                x: point.x,
                y: point.y,
            }
        }))
    }
}

impl Serialize for Points {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut points = serializer.serialize_seq(None)?;
        for point in &self.map.points {
            if let Some(point) = self.read(point).map_err(S::Error::custom)? {
                points.serialize_element(&point)?;
            }
        }
        points.end()
    }
}
