//! `GET /export`: a collection as lines of JSON, to be imported elsewhere.

#![expect(
    unused_qualifications,
    reason = "utoipa writes parameter types with a path"
)]

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use siamese_index::{GraphSettings, Language};
use utoipa::{IntoParams, ToSchema};

use super::chunking::ChunkingShape;
use super::documents::DocumentDescription;
use super::lines::{LineSource, streamed, written};
use super::on_duplicate::DuplicateSettingShape;
use super::problems::{CollectionProblems, EngineProblems, ParameterProblems};
use crate::access::CollectionName;
use crate::answer::{Room, WrittenPieces};
use crate::app::App;
use crate::backend::Reader;
use crate::error::ApiError;
use crate::extract::ApiQuery;

/// Version of the lines.
const VERSION: u32 = 1;
/// Documents that are read at once, and their bytes in memory; one document may have more.
const DOCUMENTS_PER_READ: usize = 8;
const MAX_READ_BYTES: usize = 1 << 20;

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

/// One line of an export: `export` is the first, `end` the last, and each between them is
/// a document.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Head { export: Head },
    Document(DocumentDescription),
    End { end: End },
}

/// What the documents are of.
#[derive(Clone, Serialize)]
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
    language: Option<&'static str>,
    fold_accents: bool,
    on_duplicate: DuplicateSettingShape,
    keep_queries: u32,
}

#[derive(Clone, Serialize)]
struct GraphShape {
    m: usize,
    ef_construction: usize,
    ef_search: usize,
    precision: &'static str,
}

impl From<GraphSettings> for GraphShape {
    fn from(settings: GraphSettings) -> Self {
        Self {
            m: settings.m,
            ef_construction: settings.ef_construction,
            ef_search: settings.ef_search,
            precision: settings.precision.name(),
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
    let collection = engine.reader(&collection)?;
    let with_vectors = query.include.is_some();
    let head = head(&*collection, with_vectors);
    let export = Export {
        collection,
        with_vectors,
        progress: Progress::Begun(Box::new(head)),
        documents: 0,
    };
    Ok(streamed(&app, export))
}

fn head(collection: &Reader, vectors: bool) -> Head {
    let encoder = &collection.encoder().identity;
    let settings = collection.settings();
    Head {
        version: VERSION,
        collection: collection.name().to_owned(),
        encoder_id: encoder.id.clone(),
        model: encoder.name.clone(),
        dimensions: encoder.dimensions,
        vectors,
        chunking: settings.chunking.into(),
        index: settings.graph.into(),
        lexical: settings.lexical,
        language: settings.words.language.map(Language::code),
        fold_accents: settings.words.folds_accents,
        on_duplicate: settings.on_duplicate.into(),
        keep_queries: settings.keep_queries,
    }
}

/// How far an export has come.
struct Export {
    collection: Arc<Reader>,
    with_vectors: bool,
    progress: Progress,
    documents: u64,
}

#[derive(Clone)]
enum Progress {
    Begun(Box<Head>),
    After(Option<String>),
    Ended,
}

impl LineSource for Export {
    fn next(&mut self, room: Room) -> Result<Option<WrittenPieces>, ApiError> {
        let after = match &self.progress {
            Progress::Begun(head) => {
                let export = Head::clone(head);
                let lines = written(room, &[Line::Head { export }])?;
                self.progress = Progress::After(None);
                return Ok(Some(lines));
            }
            Progress::After(after) => after.clone(),
            Progress::Ended => return Ok(None),
        };
        let documents = self.collection.list_whole(
            after.as_deref(),
            DOCUMENTS_PER_READ,
            MAX_READ_BYTES,
            self.with_vectors,
        )?;
        let Some((last, _)) = documents.last() else {
            let documents = self.documents;
            let end = End { documents };
            let lines = written(room, &[Line::End { end }])?;
            self.progress = Progress::Ended;
            return Ok(Some(lines));
        };
        let (last, count) = (last.id.clone(), documents.len() as u64);
        let describe = |(document, passages)| {
            Line::Document(DocumentDescription::with_passages(document, passages))
        };
        let lines: Vec<Line> = documents.into_iter().map(describe).collect();
        let lines = written(room, &lines)?;
        self.progress = Progress::After(Some(last));
        self.documents += count;
        Ok(Some(lines))
    }
}
