//! All forms of a comparison.

use serde_json::json;
use siamese_tests::Server;

const CAT: &str = "A cat sleeps on the sofa.";
const KITTEN: &str = "A kitten is napping on the couch.";
const TAX: &str = "The tax return is due in May.";

#[test]
fn every_form_gives_the_same_scores() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let compare = |body| server.client().post("/similarity", body).ok();

    let pairs = compare(json!({"pairs": [[CAT, KITTEN], [CAT, {"text": TAX}]]}));
    let (near, far) = (
        pairs["scores"][0].as_f64().unwrap(),
        pairs["scores"][1].as_f64().unwrap(),
    );
    assert!(near > 0.6 && far < 0.2, "{near} {far}");

    let close = |value: &serde_json::Value, expected: f64| {
        assert!(
            (value.as_f64().unwrap() - expected).abs() < 1e-4,
            "{value} {expected}"
        );
    };
    let one_to_many = compare(json!({"source": CAT, "targets": [KITTEN, TAX]}));
    close(&one_to_many["scores"][0], near);
    close(&one_to_many["scores"][1], far);
    let matrix = compare(json!({"left": [CAT], "right": [KITTEN, TAX]}));
    close(&matrix["matrix"][0][0], near);
    close(&matrix["matrix"][0][1], far);
    let square = compare(json!({"left": [CAT, KITTEN, TAX]}));
    close(&square["matrix"][1][0], near);
    close(&square["matrix"][2][2], 1.0);
    let bare = compare(json!({"inputs": {"source_sentence": CAT, "sentences": [KITTEN, TAX]}}));
    close(&bare[0], near);
    close(&bare[1], far);
}

#[test]
fn a_stored_document_compares_by_its_stored_vector() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    client
        .post(
            "/documents",
            json!({"documents": [{"id": "cat", "text": CAT}]}),
        )
        .ok();
    let answer = client
        .post("/similarity", json!({"pairs": [[{"id": "cat"}, CAT]]}))
        .ok();
    assert!((answer["scores"][0].as_f64().unwrap() - 1.0).abs() < 1e-4);
    client
        .post("/similarity", json!({"pairs": [[{"id": "dog"}, CAT]]}))
        .problem(404, "document_not_found");
}

#[test]
fn distances_are_negative_so_that_higher_is_more_alike() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    for metric in ["euclidean", "manhattan"] {
        let body = json!({"source": CAT, "targets": [CAT, KITTEN, TAX], "metric": metric});
        let answer = server.client().post("/similarity", body).ok();
        let score = |place: usize| answer["scores"][place].as_f64().unwrap();
        assert!(score(0).abs() < 1e-3, "{answer}");
        assert!(
            score(0) > score(1) && score(1) > score(2),
            "{metric} {answer}"
        );
    }
}
