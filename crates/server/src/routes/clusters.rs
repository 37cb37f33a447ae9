//! `POST /clusters`: groups of documents that are alike.

use std::num::NonZeroUsize;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use siamese_index::{Cluster, ClusterForm, ClusterOptions, Reader, Workers};
use utoipa::ToSchema;

use super::duplicates::{check_score, is_too_long};
use super::filter::FilterShape;
use super::jobs::{PreferHeader, StartedJob, started};
use super::problems::{
    AnswerProblems, BodyProblems, CollectionProblems, ComparisonProblems, EngineProblems,
};
use super::search::in_range;
use crate::access::{CollectionName, Principal};
use crate::answer;
use crate::app::App;
use crate::backend::Capability;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, JsonBody, RespondAsync, from_object_only, present, whole_number};
use crate::jobs::{JobKind, JobRun, NewJob};
use crate::service::blocking_steps;

/// Groups returned unless the request says otherwise.
const DEFAULT_CLUSTERS: usize = 1000;
/// Groups that a job reads and writes at once.
const CLUSTERS_PER_STEP: usize = 256;
/// Documents of the smallest group unless the request says otherwise.
const DEFAULT_SIZE: usize = 2;

/// Which documents to group, and how.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct ClustersRequest {
    /// The least cosine of two documents that are alike.
    #[schema(minimum = -1, maximum = 1, example = 0.85)]
    min_score: f32,
    #[serde(default)]
    #[schema(inline)]
    form: FormShape,
    /// Documents of the smallest group that counts, at least 2, which it is unless given.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 2)]
    min_size: Option<usize>,
    /// Group only documents that pass.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    filter: Option<FilterShape>,
    /// Groups to return, the largest ones; up to `limits.max_pairs`. 1000 unless given.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    limit: Option<usize>,
}

from_object_only!(ClustersRequest);

/// What makes a group.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FormShape {
    /// Everything that is joined by pairs, directly or through others. The ends of a long chain may have
    /// little in common.
    #[default]
    Components,
    /// A document and all that are alike to it. The largest group is taken first, and what is in it is in
    /// no other.
    Communities,
}

/// Groups of documents that are alike.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClustersResponse {
    /// The largest first.
    clusters: Vec<ClusterShape>,
    total: ClusterTotal,
}

/// How much was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClusterTotal {
    /// Groups, returned or not.
    clusters: u64,
    /// Documents in all groups.
    clustered: u64,
    /// Documents that were compared.
    documents: u64,
}

/// A group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClusterShape {
    /// The document that is most alike to all others of the group.
    #[schema(example = "ticket-4")]
    medoid: String,
    /// How many documents are in it.
    size: usize,
    /// The medoid, then the others, the nearest to it first. One that has been replaced or deleted meanwhile
    /// is left out.
    members: Vec<MemberShape>,
}

/// A document of a group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberShape {
    /// Its id.
    id: String,
    /// Its cosine with the medoid.
    score: f32,
}

impl JsonBody for ClustersRequest {
    /// How to group, and how many groups to return.
    type Checked = (ClusterOptions, usize);

    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        check_score(self.min_score)?;
        let limit = self.limit.unwrap_or(DEFAULT_CLUSTERS.min(limits.max_pairs));
        in_range("/limit", limit, 1, limits.max_pairs, "limits.max_pairs")?;
        let min_size = self.min_size.unwrap_or(DEFAULT_SIZE);
        if min_size < 2 {
            let detail = format!("min_size is {min_size}, and must be at least 2");
            return Err(ApiError::invalid("/min_size", detail));
        }
        let filter = self.filter.map(|filter| filter.read(limits, "/filter"));
        let options = ClusterOptions {
            min_score: self.min_score,
            form: self.form.into(),
            min_size,
            filter: filter.transpose()?,
            workers: Workers::new(NonZeroUsize::MIN),
        };
        Ok((options, limit))
    }
}

impl From<FormShape> for ClusterForm {
    fn from(shape: FormShape) -> Self {
        match shape {
            FormShape::Components => Self::Components,
            FormShape::Communities => Self::Communities,
        }
    }
}

/// Group the documents that are alike, each group with the document that stands for it best.
///
/// Answers at once up to `limits.max_comparisons_at_once`; beyond that, or with `Prefer: respond-async`, a
/// job groups, and `GET /jobs/{id}/result` returns the groups.
#[utoipa::path(
    post, path = "/clusters", operation_id = "clusters", tag = "similarity",
    params(PreferHeader),
    request_body = ClustersRequest,
    responses(
        (status = 200, body = ClustersResponse),
        (status = 202, body = StartedJob, description = "A job groups"),
        BodyProblems, AnswerProblems, ComparisonProblems, CollectionProblems, EngineProblems
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    principal: Principal,
    name: CollectionName,
    RespondAsync(is_wanted_later): RespondAsync,
    ApiJson((options, limit)): ApiJson<ClustersRequest>,
) -> Result<Response, ApiError> {
    let collection = app.engine()?.reader(&name)?;
    let collection = collection.embedded_arc(Capability::Clusters)?;
    if is_wanted_later || is_too_long(&app, &collection, &options.alike()).await? {
        let job = job(collection.name().to_owned(), collection, options, limit);
        return started(&app, &principal, job, is_wanted_later).await;
    }
    let room = app.room();
    blocking_steps(move |cancel| {
        cancel.long_step()?;
        let found = collection.clusters(&options, cancel.flag(), &Default::default())?;
        let largest = found.clusters.iter().take(limit);
        let clusters = largest.map(|cluster| ClusterShape::read(&collection, cluster));
        let response = ClustersResponse {
            clusters: clusters
                .filter_map(Result::transpose)
                .collect::<Result<_, _>>()?,
            total: ClusterTotal::of(&found.clusters, found.documents),
        };
        answer::json(room.until(cancel), &response)
    })
    .await
}

fn job(name: String, collection: Arc<Reader>, options: ClusterOptions, limit: usize) -> NewJob {
    NewJob {
        kind: JobKind::Clusters,
        collection: Some(name),
        unit: "comparisons",
        on_cancel: None,
        work: Box::new(move |run| {
            let options = ClusterOptions {
                workers: JobRun::workers(),
                ..options
            };
            let found = collection.clusters(&options, run.cancel, run.progress)?;
            let mut lines = run.result()?;
            let clusters = &found.clusters[..found.clusters.len().min(limit)];
            for clusters in clusters.chunks(CLUSTERS_PER_STEP) {
                let mut shapes = Vec::with_capacity(clusters.len());
                for cluster in clusters {
                    run.cancel.check()?;
                    shapes.extend(ClusterShape::read(&collection, cluster)?);
                }
                lines.write_all(&shapes)?;
            }
            lines.finish()?;
            let total = ClusterTotal::of(&found.clusters, found.documents);
            serde_json::to_value(total).map_err(ApiError::internal)
        }),
    }
}

impl ClusterTotal {
    fn of(clusters: &[Cluster], documents: u64) -> Self {
        Self {
            clusters: clusters.len() as u64,
            clustered: clusters
                .iter()
                .map(|cluster| cluster.members.len() as u64)
                .sum(),
            documents,
        }
    }
}

impl ClusterShape {
    /// Reads who is in a group. `None` when fewer than two are left.
    fn read(collection: &Reader, cluster: &Cluster) -> Result<Option<Self>, ApiError> {
        let mut members = Vec::with_capacity(cluster.members.len());
        for member in &cluster.members {
            let id = collection.read_member(member)?;
            members.extend(id.map(|id| MemberShape {
                id,
                score: member.score,
            }));
        }
        let Some(first) = members.first().filter(|_| members.len() > 1) else {
            return Ok(None);
        };
        Ok(Some(Self {
            medoid: first.id.clone(),
            size: members.len(),
            members,
        }))
    }
}
