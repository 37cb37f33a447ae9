//! The description of the API, made from the handlers.

use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::access::{self, COLLECTION_PREFIX, Need, Scope};
use crate::error::Problem;
use crate::router::described_routes;
use crate::routes::dialect::{
    CohereProblem, Dialect, OpenAiProblem, TextEmbeddingsInferenceProblem,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "siamese",
        description = "Semantic search over REST: texts are encoded at ingest by a siamese \
                       (bi-encoder) network, kept with their vectors in a durable index, and found \
                       by meaning. Routes of a collection act on `default`; each exists under \
                       `/collections/{collection}` as well. Errors are RFC 9457 problem documents.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(Problem, OpenAiProblem, TextEmbeddingsInferenceProblem, CohereProblem)),
    tags(
        (name = "documents", description = "Store, read and delete texts"),
        (name = "search", description = "Find by meaning"),
        (name = "similarity", description = "Compare texts"),
        (name = "collections", description = "Named sets of documents"),
        (name = "training", description = "Feedback, pairs that a model can learn from, and trainings"),
        (name = "encoder", description = "What makes the vectors"),
        (name = "reranker", description = "What scores pairs of texts"),
        (name = "compatible", description = "In the shapes of OpenAI, text-embeddings-inference and Cohere"),
        (name = "operations", description = "Probes and metrics")
    )
)]
struct Head;

/// Title, tags and shared schemas.
pub(crate) fn head() -> utoipa::openapi::OpenApi {
    Head::openapi()
}

/// The description as YAML, as committed in `openapi.yaml`.
///
/// # Errors
/// When it cannot be serialised.
pub fn yaml() -> Result<String, DescribeError> {
    to_yaml(&described(&COMMITTED)?)
}

/// What is true of services in general.
const COMMITTED: Served = Served {
    dimensions: None,
    asks_for_keys: true,
};

/// What a description says of one service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Served {
    /// The length of vectors, once the encoder is open.
    pub(crate) dimensions: Option<usize>,
    pub(crate) asks_for_keys: bool,
}

impl Served {
    /// Descriptions of one service differ by whether its encoder is open, and whether it asks for keys.
    const FORMS: usize = 4;

    fn form(&self) -> usize {
        2 * usize::from(self.asks_for_keys) + usize::from(self.dimensions.is_some())
    }
}

/// The description of a running service. It takes some milliseconds to make and does not change, so each form of
/// it is made once.
#[derive(Debug, Default)]
pub(crate) struct ServedDescription {
    yaml: [OnceLock<Bytes>; Served::FORMS],
    json: [OnceLock<Bytes>; Served::FORMS],
}

impl ServedDescription {
    /// As YAML.
    ///
    /// # Errors
    /// When it cannot be serialised.
    pub(crate) fn yaml(&self, served: &Served) -> Result<Bytes, DescribeError> {
        made_once(&self.yaml, served, to_yaml)
    }

    /// As JSON.
    ///
    /// # Errors
    /// When it cannot be serialised.
    pub(crate) fn json(&self, served: &Served) -> Result<Bytes, DescribeError> {
        let to_json = |value: &Value| serde_json::to_string(value).map_err(DescribeError::new);
        made_once(&self.json, served, to_json)
    }
}

fn made_once(
    forms: &[OnceLock<Bytes>; Served::FORMS],
    served: &Served,
    write: impl Fn(&Value) -> Result<String, DescribeError>,
) -> Result<Bytes, DescribeError> {
    let form = &forms[served.form()];
    if let Some(made) = form.get() {
        return Ok(made.clone());
    }
    let made = Bytes::from(write(&described(served)?)?);
    Ok(form.get_or_init(|| made).clone())
}

fn to_yaml(value: &Value) -> Result<String, DescribeError> {
    yaml_serde::to_string(value).map_err(DescribeError::new)
}

/// The description could not be serialised.
#[derive(Debug, thiserror::Error)]
#[error("the API description could not be made: {0}")]
pub struct DescribeError(String);

impl DescribeError {
    fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

fn described(served: &Served) -> Result<Value, DescribeError> {
    let mut value = serde_json::to_value(described_routes()).map_err(DescribeError::new)?;
    describe_collection_routes(&mut value);
    if served.asks_for_keys {
        describe_keys(&mut value);
    }
    describe_rests_of_paths(&mut value);
    describe_dialects(&mut value);
    require_one_form(&mut value);
    describe_vectors(&mut value, served.dimensions);
    describe_filters(&mut value);
    // Without a body a collection gets the default settings, a generation those of the active one, and a
    // comparison the queries that were kept.
    for (path, method) in [
        ("/collections/{collection}", "put"),
        ("/collections/{collection}/generations", "post"),
        (
            "/collections/{collection}/generations/{generation}/compare",
            "post",
        ),
    ] {
        value["paths"][path][method]["requestBody"]["required"] = json!(false);
    }
    Ok(value)
}

/// The second copy of each collection route needs its path parameter and its own operation ids.
fn describe_collection_routes(value: &mut Value) {
    let Some(paths) = value["paths"].as_object_mut() else {
        return;
    };
    for (path, item) in paths {
        let of_collection = path.strip_prefix(COLLECTION_PREFIX);
        if !of_collection.is_some_and(|rest| rest.starts_with('/')) {
            continue;
        }
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            let Some(operation) = operation.as_object_mut() else {
                continue;
            };
            // Routes that have no other place say so themselves.
            if names_collection(operation) {
                continue;
            }
            if let Some(Value::String(id)) = operation.get_mut("operationId") {
                id.push_str("_in_collection");
            }
            let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
            if let Some(parameters) = parameters.as_array_mut() {
                parameters.insert(0, collection_parameter());
            }
        }
    }
}

/// Which key each operation needs, and what is answered to another one. Where no keys are asked for, nothing of this
/// is true.
fn describe_keys(value: &mut Value) {
    value["components"]["securitySchemes"] = json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "A key of `siamese key create`" },
        "x-api-key": { "type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same key" },
    });
    let retry_after = json!({ "Retry-After": {
        "description": "Seconds after which to try again", "schema": { "type": "string" }
    }});
    let problem = |description: &str| {
        json!({ "description": description, "content": { "application/problem+json": {
            "schema": { "$ref": "#/components/schemas/Problem" }
        }}})
    };
    let mut used_up =
        problem("`budget_exceeded`: the requests or the tokens of the key are used up");
    used_up["headers"] = retry_after;
    let refusals = json!({
        "KeyRefused": problem("`key_missing`, `key_invalid` or `key_expired`"),
        "NotPermitted": problem("`scope_missing` or `collection_not_permitted`: the key is not for this"),
        "BudgetExceeded": used_up,
    });
    value["components"]["responses"] = refusals;
    let Some(paths) = value["paths"].as_object_mut() else {
        return;
    };
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let need = access::need_of(&method.to_uppercase(), path);
            if let Some(Need::Scope(scope, _)) = need {
                describe_key(operation, scope);
            }
        }
    }
}

fn describe_key(operation: &mut Value, scope: Scope) {
    operation["security"] = json!([{ "bearer": [] }, { "x-api-key": [] }]);
    operation["x-scope"] = json!(scope);
    for (status, response) in [
        ("401", "KeyRefused"),
        ("403", "NotPermitted"),
        ("429", "BudgetExceeded"),
    ] {
        let response = json!({ "$ref": format!("#/components/responses/{response}") });
        if let Some(responses) = operation["responses"].as_object_mut() {
            responses.entry(status).or_insert(response);
        }
    }
}

fn names_collection(operation: &Map<String, Value>) -> bool {
    let parameters = operation.get("parameters").and_then(Value::as_array);
    parameters
        .into_iter()
        .flatten()
        .any(|parameter| parameter["in"] == "path" && parameter["name"] == "collection")
}

fn collection_parameter() -> Value {
    json!({
        "name": "collection",
        "in": "path",
        "required": true,
        "schema": { "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" }
    })
}

/// A parameter that takes the rest of a path has a star for the router, which is no part of its name.
fn describe_rests_of_paths(value: &mut Value) {
    if let Some(paths) = value["paths"].as_object_mut() {
        let described = std::mem::take(paths).into_iter();
        *paths = described
            .map(|(path, item)| (path.replace("{*", "{"), item))
            .collect();
    }
    // The router takes the last step for a part of the model's name.
    let post = value["paths"]["/models/{id}"]
        .as_object_mut()
        .and_then(|item| item.remove("post"));
    if let Some(post) = post {
        value["paths"]["/models/{id}/train"] = json!({ "post": post });
    }
}

/// Problems have members for clients of other services on the routes that are for them.
fn describe_dialects(value: &mut Value) {
    let Some(paths) = value["paths"].as_object_mut() else {
        return;
    };
    for (path, item) in paths {
        let Some(dialect) = Dialect::of(path) else {
            continue;
        };
        let schema = json!({ "allOf": [
            { "$ref": "#/components/schemas/Problem" },
            { "$ref": format!("#/components/schemas/{}", dialect.schema()) },
        ]});
        let operations = item.as_object_mut().into_iter().flat_map(Map::values_mut);
        for response in operations
            .filter_map(|operation| operation["responses"].as_object_mut())
            .flat_map(Map::values_mut)
        {
            if let Some(problem) = response.pointer_mut("/content/application~1problem+json/schema")
            {
                *problem = schema.clone();
            }
        }
    }
}

/// Says which fields go together, where a request has several forms.
fn require_one_form(value: &mut Value) {
    let schemas = &mut value["components"]["schemas"];
    schemas["SearchRequest"]["oneOf"] = forms(&[
        (&["query"], &[]),
        (&["vector"], &[]),
        (&["id"], &[]),
        (&["positive"], &["negative"]),
    ]);
    schemas["ComparisonRequest"]["not"] = json!({ "required": ["queries", "judgements"] });
    schemas["Judgement"]["properties"]["relevant"]["additionalProperties"] =
        json!({ "type": "integer", "minimum": 0, "maximum": 1000 });
    schemas["SimilarityRequest"]["properties"]["pairs"]["items"]["minItems"] = json!(2);
    schemas["SimilarityRequest"]["properties"]["pairs"]["items"]["maxItems"] = json!(2);
    schemas["DeleteRequest"]["properties"]["filter"]["minProperties"] = json!(1);
    schemas["DeleteRequest"]["oneOf"] =
        forms(&[(&["ids"], &[]), (&["filter"], &[]), (&["clusters"], &[])]);
    schemas["FeedbackRequest"]["oneOf"] = forms(&[
        (&["query", "document", "useful"], &[]),
        (&["feedback"], &[]),
    ]);
    schemas["DuplicatesRequest"]["dependentRequired"] =
        json!({ "within": ["against"], "against": ["within"] });
    schemas["DocumentsRequest"]["oneOf"] = json!([
        { "properties": { "on_duplicate": { "const": "allow" }, "min_score": false } },
        {
            "properties": { "on_duplicate": { "enum": ["flag", "reject"] } },
            "required": ["on_duplicate", "min_score"],
        },
    ]);
    schemas["DuplicateSettingShape"]["oneOf"] = json!([
        { "properties": { "mode": { "const": "allow" }, "min_score": false } },
        { "properties": { "mode": { "enum": ["flag", "reject"] } }, "required": ["min_score"] },
    ]);
    schemas["SimilarityRequest"]["oneOf"] = forms(&[
        (&["pairs"], &[]),
        (&["source", "targets"], &[]),
        (&["left"], &["right"]),
        (&["inputs"], &["parameters"]),
    ]);
    schemas["Parameters"]["properties"]["truncate"]["enum"] = json!([true, null]);
    describe_texts(schemas);
    schemas["MainTaskRequest"]["oneOf"] = forms(&[(&["inputs"], &[]), (&["query", "texts"], &[])]);
}

/// Texts to encode, as they are or as token ids, and token ids alone.
fn describe_texts(schemas: &mut Value) {
    let ids = json!({ "type": "array", "minItems": 1, "items": {
        "$ref": "#/components/schemas/TokenId"
    }});
    let texts = json!({ "type": "array", "minItems": 1, "maxItems": 2048, "items": {
        "anyOf": [{ "$ref": "#/components/schemas/PlainText" }, ids]
    }});
    schemas["EmbedInput"]["oneOf"] =
        json!([{ "$ref": "#/components/schemas/PlainText" }, ids, texts]);
    let lists = json!({ "type": "array", "minItems": 1, "maxItems": 2048, "items": ids });
    schemas["TokenIdLists"]["oneOf"] = json!([ids, lists]);
    schemas["TokenId"]["type"] = json!("integer");
}

/// Each form with the fields it needs and those it may have; those of other forms are forbidden.
fn forms(forms: &[(&[&'static str], &[&'static str])]) -> Value {
    let fields = |form: &(&[&'static str], &[&'static str])| [form.0, form.1].concat();
    let describe = |form: &(&[&'static str], &[&'static str])| {
        let own = fields(form);
        let foreign = forms
            .iter()
            .flat_map(fields)
            .filter(|field| !own.contains(field));
        let forbidden: Map<String, Value> = foreign
            .map(|field| (field.to_owned(), Value::Bool(false)))
            .collect();
        json!({ "required": form.0, "properties": forbidden })
    };
    forms.iter().map(describe).collect()
}

/// A vector to search by: as long as the encoder's, within single precision, and not zero.
fn describe_vectors(value: &mut Value, dimensions: Option<usize>) {
    let vector = &mut value["components"]["schemas"]["SearchRequest"]["properties"]["vector"];
    vector["items"] = json!({ "type": "number", "minimum": -3.4e38, "maximum": 3.4e38 });
    vector["contains"] = json!({ "not": { "const": 0 } });
    if let Some(dimensions) = dimensions {
        vector["minItems"] = json!(dimensions);
        vector["maxItems"] = json!(dimensions);
        for request in ["EmbeddingsRequest", "EmbedRequest", "MainTaskRequest"] {
            let kept = &mut value["components"]["schemas"][request]["properties"]["dimensions"];
            kept["maximum"] = json!(dimensions);
        }
    }
}

/// Filters are objects with keys of their own choice, which no derived schema can describe.
fn describe_filters(value: &mut Value) {
    let schemas = &mut value["components"]["schemas"];
    let filter = json!({ "$ref": "#/components/schemas/FilterShape" });
    let conditions = json!({ "$ref": "#/components/schemas/FilterConditions" });
    let scalar = json!({ "type": ["string", "number", "boolean", "null"] });
    let ordered = json!({ "type": ["string", "number"] });
    let not_empty = json!({ "allOf": [filter], "minProperties": 1 });
    let filters = json!({ "type": "array", "minItems": 1, "items": not_empty });
    let values = json!({ "type": "array", "minItems": 1, "items": scalar });
    schemas["FilterShape"]["properties"] =
        json!({ "$and": filters, "$or": filters, "$not": not_empty });
    schemas["FilterShape"]["propertyNames"] =
        json!({ "pattern": r"^(\$(and|or|not)|([^$\\]|\\[$.\\])([^\\]|\\[$.\\])*)?$" });
    schemas["FilterShape"]["additionalProperties"] = json!({ "anyOf": [scalar, conditions] });
    schemas["FilterConditions"] = json!({
        "type": "object",
        "description": "Conditions on one field, all of which must be met.",
        "minProperties": 1,
        "additionalProperties": false,
        "properties": {
            "$eq": scalar, "$ne": scalar, "$in": values, "$nin": values,
            "$gt": ordered, "$gte": ordered, "$lt": ordered, "$lte": ordered,
            "$exists": { "type": "boolean" }, "$contains": scalar,
            "$prefix": { "type": "string" }, "$not": conditions
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    fn operations(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
        let items = value["paths"].as_object().unwrap().values();
        items.flat_map(|item| item.as_object().unwrap().iter())
    }

    #[test]
    fn the_committed_description_is_what_the_handlers_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi.yaml");
        let committed = fs_err::read_to_string(path).unwrap();
        assert!(
            committed == yaml().unwrap(),
            "openapi.yaml is out of date; run: cargo run -- openapi > openapi.yaml"
        );
    }

    #[test]
    fn every_collection_route_exists_in_both_places_with_its_own_operation_id() {
        let value = described(&COMMITTED).unwrap();
        assert!(value["paths"]["/search"]["post"].is_object());
        assert!(value["paths"]["/collections/{collection}/search"]["post"].is_object());
        let ids: Vec<_> = operations(&value)
            .map(|(_, op)| op["operationId"].as_str())
            .collect();
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(ids.len(), distinct.len(), "{ids:?}");
    }

    #[test]
    fn every_error_code_is_described() {
        let codes = &described(&COMMITTED).unwrap()["components"]["schemas"]["ErrorCode"];
        let text = codes.to_string();
        for code in ErrorCode::ALL {
            let name = serde_json::to_string(&code).unwrap();
            assert!(text.contains(&name), "{name} is not in {text}");
        }
    }

    #[test]
    fn requests_refuse_unknown_fields_in_the_description_too() {
        let schemas = &described(&COMMITTED).unwrap()["components"]["schemas"];
        for name in [
            "SearchRequest",
            "SearchBatchRequest",
            "DocumentsRequest",
            "SimilarityRequest",
            "DeleteRequest",
            "FeedbackRequest",
            "PairsRequest",
            "RerankWish",
        ] {
            assert_eq!(schemas[name]["additionalProperties"], false, "{name}");
        }
        // Clients of other services send fields of which some have no meaning here.
        for name in ["RerankRequest", "EmbeddingsRequest", "EmbedRequest"] {
            assert!(schemas[name]["additionalProperties"].is_null(), "{name}");
        }
    }
}
