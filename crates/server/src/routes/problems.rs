//! Which problems an operation may answer with, for the API description.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder};

type Responses = BTreeMap<String, RefOr<Response>>;

fn problem(status: u16, description: &str) -> (String, RefOr<Response>) {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    let mut response = ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content);
    if status == 503 {
        let retry_after = HeaderBuilder::new()
            .description(Some("Seconds after which to try again"))
            .build();
        response = response.header("Retry-After", retry_after);
    }
    (status.to_string(), RefOr::T(response.build()))
}

macro_rules! problems {
    ($(#[$doc:meta])* $name:ident: $(($status:literal, $description:literal)),+ $(,)?) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> Responses {
                [$(problem($status, $description)),+].into_iter().collect()
            }
        }
    };
}

problems! {
    /// Any operation that needs the model and the index.
    EngineProblems:
    (500, "`internal`: a fault of the server; its log has the cause. Writes also `storage_failed`: a write or fsync failed, and nothing is written until a restart"),
    (503, "`overloaded`, `not_ready` or, on a cluster, `cluster_unavailable`: try again after `Retry-After` seconds; or `model_unavailable`: `detail` names the model and says why. Writes also `storage_moved`: the data folder is not in its place"),
    (504, "`timeout`: the answer took longer than `server.request_timeout_ms`"),
}

problems! {
    /// Any operation on a collection, which may not be there.
    CollectionProblems:
    (404, "`collection_not_found`"),
}

problems! {
    /// Any operation on one alias, which may not be there.
    AliasProblems:
    (404, "`alias_not_found`"),
}

problems! {
    /// Any operation on one generation, which may not be there.
    GenerationProblems:
    (404, "`generation_not_found` or `collection_not_found`"),
}

problems! {
    /// Any operation on one document, which may not be there.
    DocumentProblems:
    (404, "`document_not_found` or `collection_not_found`"),
}

problems! {
    /// Any search, which may name documents and ask for the reranker.
    SearchProblems:
    (404, "`document_not_found`, `collection_not_found` or `reranker_not_found`"),
    (422, "`invalid_request` or `lexical_disabled`: `pointer` names the field, `detail` the limit; or `response_too_large`: the answer would be over `limits.max_response_bytes`"),
}

problems! {
    /// Any search, which may go on from a page before.
    CursorProblems:
    (410, "`cursor_expired`: search again from the first page"),
}

problems! {
    /// Any operation on one model, which may not be there.
    ModelProblems:
    (404, "`model_not_found`"),
}

problems! {
    /// Training a model, which needs a model, a collection, and a folder for what it makes.
    TrainingProblems:
    (403, "`training_disabled`: `training.directory` names no folder for trained models"),
    (404, "`model_not_found` or `collection_not_found`"),
}

problems! {
    /// Any operation of the reranker, which may not be there.
    RerankerProblems:
    (404, "`reranker_not_found`: the service was started without one; or `model_not_found`: none has this name"),
}

problems! {
    /// Any operation on one snapshot, which may not be there.
    SnapshotProblems:
    (404, "`snapshot_not_found`"),
}

problems! {
    /// Any operation on one job, which may not be there.
    JobProblems:
    (404, "`job_not_found`"),
}

problems! {
    /// Any operation with a JSON body.
    BodyProblems:
    (400, "`malformed_json`: not JSON, or not UTF-8"),
    (408, "`body_too_slow`: it came more slowly than `server.min_body_bytes_per_second`"),
    (413, "`payload_too_large`: over `limits.max_body_bytes`"),
    (415, "`unsupported_media_type`"),
    (422, "`invalid_request`: `pointer` names the field, `detail` the limit"),
}

problems! {
    /// Any operation whose answer may be large.
    AnswerProblems:
    (422, "`invalid_request`: `detail` names the limit, `pointer` the field of the body; or `response_too_large`: the answer would be over `limits.max_response_bytes`"),
}

problems! {
    /// Any operation with query or path parameters.
    ParameterProblems:
    (422, "`invalid_request`: a parameter is unknown, of the wrong type or out of range"),
}

problems! {
    /// Any operation that needs a data folder, and has nothing else to refuse.
    BackendProblems:
    (422, "`not_supported_here`: the backend cannot do this (`GET /capabilities`)"),
}

problems! {
    /// Any operation that writes.
    WriteProblems:
    (507, "`storage_full`: less than `storage.min_free_disk_bytes` would be left; or `memory_full`: the data would take more than `storage.max_memory_bytes`. Reads go on, and documents and collections can be deleted"),
}

problems! {
    /// Any operation that compares all documents.
    ComparisonProblems:
    (507, "`memory_full`: a collection whose index is compact has its vectors in memory while they are compared, and there is no room for them within `storage.max_memory_bytes`"),
}

problems! {
    /// Any operation that conflicts with what is stored or with other writers.
    ConflictProblems:
    (409, "`conflict`"),
}
