//! Models whose queries and documents go through modules of their own.

use serde_json::{Value, json};
use siamese_encoder::{Encoder, EncoderOptions, InputKind};

use crate::fixture::{Copy, References, assert_encodes, assert_equal, model, open};

#[test]
fn queries_and_documents_take_their_own_routes() {
    let encoder = open(&model("router"), &EncoderOptions::default());
    assert_encodes(&encoder, "router");
    let info = encoder.info();
    assert_eq!(info.model_type, "static + bert");
    assert!(
        info.path.starts_with("static f32 + packed "),
        "{}",
        info.path
    );
    assert_eq!(info.max_tokens, 24);
}

#[test]
fn texts_of_both_kinds_may_be_encoded_together() {
    let encoder = open(&model("router"), &EncoderOptions::default());
    let references = References::of("router");
    let kinds = [InputKind::Query, InputKind::Document];
    let tokenized: Vec<_> = references
        .texts
        .iter()
        .flat_map(|text| kinds.map(|kind| encoder.tokenize(text, kind).unwrap()))
        .collect();
    let vectors = encoder
        .encode_tokenized(&tokenized.iter().collect::<Vec<_>>())
        .unwrap();
    let expected = references
        .vectors("/query")
        .into_iter()
        .zip(references.vectors("/document"));
    for (pair, (query, document)) in vectors.chunks(2).zip(expected) {
        assert_equal("query", &pair[0], &query);
        assert_equal("document", &pair[1], &document);
    }
}

#[test]
fn routes_are_read_under_their_older_name() {
    let folder = Copy::of("router");
    let path = |name: &str| folder.path().join(name);
    fs_err::rename(path("router_config.json"), path("config.json")).unwrap();
    folder.change("modules.json", |modules| {
        modules[0]["type"] = "sentence_transformers.models.Asym".into()
    });
    assert_encodes(&folder.open().unwrap(), "router");
}

#[test]
fn routes_that_begin_with_the_same_module_share_it() {
    let folder = Copy::of("router");
    folder.change("router_config.json", |router| {
        router["structure"]["query"] = router["structure"]["document"].clone();
    });
    let encoder = folder.open().unwrap();
    let vector = |kind| {
        let prompt = encoder.tokenize("The mill sings.", kind).unwrap();
        encoder.encode_tokenized(&[&prompt]).unwrap()[0].len()
    };
    assert_eq!(vector(InputKind::Query), vector(InputKind::Document));
    assert_eq!(encoder.info().model_type, "bert");
}

#[test]
fn both_routes_decide_the_id_and_their_vectors_have_one_length() {
    let id = |encoder: Encoder| encoder.info().id.clone();
    let original = id(open(&model("router"), &EncoderOptions::default()));
    for route in ["query", "document"] {
        let folder = Copy::of("router");
        let router: Value = fixture_json(&folder, "router_config.json");
        let module = router["structure"][route][0].as_str().unwrap().to_owned();
        let weights = folder.path().join(module).join("model.safetensors");
        let mut bytes = fs_err::read(&weights).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs_err::write(&weights, bytes).unwrap();
        assert_ne!(id(folder.open().unwrap()), original);
    }
    let folder = Copy::of("router");
    folder.change("document_1_Pooling/config.json", |pooling| {
        pooling["pooling_mode"] = json!(["mean", "max"])
    });
    let error = folder.error().to_string();
    assert!(
        error.contains("queries have 36 dimensions and those of documents 72"),
        "{error}"
    );
}

fn fixture_json(folder: &Copy, file: &str) -> Value {
    serde_json::from_slice(&fs_err::read(folder.path().join(file)).unwrap()).unwrap()
}

#[test]
fn modules_of_a_route_that_are_not_supported_are_named() {
    let folder = Copy::of("router");
    folder.change("router_config.json", |router| {
        router["types"]["document_1_Pooling"] = "sentence_transformers.models.WordWeights".into();
    });
    assert!(
        folder
            .error()
            .to_string()
            .contains("sentence_transformers.models.WordWeights")
    );
    let folder = Copy::of("router");
    folder.change("router_config.json", |router| {
        let structure = router["structure"].as_object_mut().unwrap();
        let document = structure.remove("document").unwrap();
        structure.insert("DOC".to_owned(), document);
    });
    let error = folder.error().to_string();
    assert!(
        error.contains("no route for a document, only: DOC, query"),
        "{error}"
    );
}
