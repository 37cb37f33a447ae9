//! `GET /export`: a collection as lines of JSON, to be imported elsewhere.

#![expect(
    unused_qualifications,
    reason = "utoipa writes parameter types with a path"
)]

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use siamese_encoder::Encoder;
use siamese_index::{Collection, GraphSettings};
use utoipa::{IntoParams, ToSchema};

use super::collections::ChunkingShape;
use super::documents::DocumentDescription;
use super::problems::{CollectionProblems, EngineProblems, ParameterProblems};
use crate::app::App;
use crate::error::{ApiError, Problem};
use crate::extract::{ApiQuery, CollectionName};
use crate::service::blocking;

const NDJSON: &str = "application/x-ndjson";
/// Version of the lines.
const VERSION: u32 = 1;
/// Documents that are read at once; what an export holds in memory.
const DOCUMENTS_PER_READ: usize = 8;

/// What to add to each document.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// `vectors` adds each passage's embedding, so that nothing need be encoded again.
    #[param(inline)]
    include: Option<ExportInclude>,
}

/// Parts of an export that are left out unless asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExportInclude {
    /// The embeddings of the passages.
    Vectors,
}

/// One line of an export: `export` is the first, `end` or `error` the last, and each between them is
/// a document.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Head { export: Head },
    Document(DocumentDescription),
    End { end: End },
    Failed { error: Problem },
}

/// What the documents are of.
#[derive(Serialize)]
struct Head {
    version: u32,
    collection: String,
    encoder_id: String,
    model: String,
    dimensions: usize,
    vectors: bool,
    chunking: ChunkingShape,
    index: GraphShape,
    lexical: bool,
}

#[derive(Serialize)]
struct GraphShape {
    m: usize,
    ef_construction: usize,
    ef_search: usize,
}

impl From<GraphSettings> for GraphShape {
    fn from(settings: GraphSettings) -> Self {
        Self {
            m: settings.m,
            ef_construction: settings.ef_construction,
            ef_search: settings.ef_search,
        }
    }
}

#[derive(Serialize)]
struct End {
    documents: u64,
}

/// Export a collection as lines of JSON: first `{"export": ..}` with the encoder's identity and the
/// settings, then one document a line, ordered by id, then `{"end": {"documents": n}}`. An export that
/// breaks off has no such end. Documents that are written meanwhile may or may not be in it.
#[utoipa::path(
    get, path = "/export", operation_id = "export", tag = "documents",
    params(ExportQuery),
    responses(
        (status = 200, description = "Lines of JSON", content_type = "application/x-ndjson"),
        CollectionProblems, ParameterProblems, EngineProblems
    )
)]
pub(crate) async fn get(
    State(app): State<App>,
    collection: CollectionName,
    ApiQuery(query): ApiQuery<ExportQuery>,
) -> Result<Response, ApiError> {
    let engine = app.engine()?;
    let collection = engine.collection(&collection)?;
    let with_vectors = query.include.is_some();
    let head = head(&collection, &engine.encoder, with_vectors);
    let export = Export {
        collection,
        with_vectors,
        progress: Progress::Begun(Box::new(head)),
        documents: 0,
    };
    let lines = stream::unfold(export, |export| async move {
        let next = blocking(move || Ok(export.next()));
        next.await.unwrap_or_default().map(|(lines, export)| {
            let lines: Result<Bytes, std::convert::Infallible> = Ok(lines);
            (lines, export)
        })
    });
    Ok(([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response())
}

fn head(collection: &Collection, encoder: &Encoder, vectors: bool) -> Head {
    let info = encoder.info();
    let settings = collection.settings();
    Head {
        version: VERSION,
        collection: collection.name().to_owned(),
        encoder_id: info.id.to_string(),
        model: info.model.clone(),
        dimensions: info.dimensions,
        vectors,
        chunking: settings.chunking.into(),
        index: settings.graph.into(),
        lexical: settings.lexical,
    }
}

/// How far an export has come.
struct Export {
    collection: Arc<Collection>,
    with_vectors: bool,
    progress: Progress,
    documents: u64,
}

enum Progress {
    Begun(Box<Head>),
    After(Option<String>),
    Ended,
}

impl Export {
    /// The next lines; `None` after the last.
    fn next(mut self) -> Option<(Bytes, Self)> {
        let lines = match std::mem::replace(&mut self.progress, Progress::Ended) {
            Progress::Begun(head) => {
                self.progress = Progress::After(None);
                vec![Line::Head { export: *head }]
            }
            Progress::After(after) => self.documents_after(after.as_deref()),
            Progress::Ended => return None,
        };
        Some((as_bytes(&lines), self))
    }

    fn documents_after(&mut self, after: Option<&str>) -> Vec<Line> {
        let read = self
            .collection
            .list_whole(after, DOCUMENTS_PER_READ, self.with_vectors);
        let documents = match read {
            Ok(documents) => documents,
            Err(error) => {
                let error = ApiError::from(error).problem(None);
                return vec![Line::Failed { error }];
            }
        };
        let Some((last, _)) = documents.last() else {
            let documents = self.documents;
            let end = End { documents };
            return vec![Line::End { end }];
        };
        self.progress = Progress::After(Some(last.id.clone()));
        self.documents += documents.len() as u64;
        let lines = documents.into_iter();
        lines
            .map(|(document, passages)| {
                Line::Document(DocumentDescription::with_passages(document, passages))
            })
            .collect()
    }
}

fn as_bytes(lines: &[Line]) -> Bytes {
    let mut bytes = Vec::new();
    for line in lines {
        // Shapes of our own have no keys that are not strings, which is all that could fail.
        bytes.extend(serde_json::to_vec(line).unwrap_or_default());
        bytes.push(b'\n');
    }
    bytes.into()
}
