//! A map of what is stored.

use serde_json::{Value, json};
use siamese_tests::{Client, ServerOptions};

fn fill(client: &Client) {
    let documents: Vec<Value> = (0..30)
        .map(|n| {
            let tags = if n % 3 == 0 { json!(["third", n]) } else { json!([]) };
            json!({"id": format!("d-{n:02}"), "title": format!("Number {n}"), "text": format!("Ticket {n} about {}", n * 7),
                "metadata": {"tags": tags, "number": n}})
        })
        .collect();
    client
        .post("/documents", json!({ "documents": documents }))
        .ok();
}

fn points(map: &Value) -> &Vec<Value> {
    map["points"].as_array().unwrap()
}

#[test]
fn a_map_has_a_point_with_title_and_value_for_each_document() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let client = server.client();
    let empty = client.post("/map", json!({})).ok();
    assert_eq!((points(&empty).len(), &empty["documents"]), (0, &json!(0)));
    fill(client);
    let map = client.post("/map", json!({"field": "tags"})).ok();
    assert_eq!((points(&map).len(), &map["documents"]), (30, &json!(30)));
    for (n, point) in points(&map).iter().enumerate() {
        assert_eq!(point["id"], format!("d-{n:02}"));
        assert_eq!(point["title"], format!("Number {n}"));
        assert!(point["x"].is_f64() && point["y"].is_f64(), "{point}");
        let value = (n % 3 == 0).then_some("third");
        assert_eq!(point.get("value").and_then(Value::as_str), value);
    }
    let shares: Vec<f64> = serde_json::from_value(map["shares"].clone()).unwrap();
    assert!(shares[0] >= shares[1] && shares[1] > 0.0 && shares[0] + shares[1] <= 1.0);
    let again = client.post("/map", json!({"field": "tags"})).ok();
    assert_eq!(again, map);
}

#[test]
fn a_map_is_of_what_passes_and_of_no_more_than_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("LIMITS__MAX_MAP_POINTS", "10")
        .start();
    let client = server.client();
    fill(client);
    let map = client.post("/map", json!({})).ok();
    assert_eq!((points(&map).len(), &map["documents"]), (10, &json!(30)));
    assert_eq!(points(&map)[1]["id"], "d-03");
    let filtered = json!({"filter": {"number": {"$lt": 4}}});
    let map = client.post("/collections/default/map", filtered).ok();
    assert_eq!((points(&map).len(), &map["documents"]), (4, &json!(4)));
    let problem = client
        .post("/map", json!({"limit": 11}))
        .problem(422, "invalid_request");
    assert_eq!(problem["pointer"], "/limit");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("limits.max_map_points = 10"), "{detail}");
    for (body, pointer) in [
        (json!({"limit": 0}), "/limit"),
        (json!({"field": "x".repeat(5000)}), "/field"),
        (json!({"filter": {"a": {"$like": 1}}}), "/filter/a/$like"),
    ] {
        let problem = client.post("/map", body).problem(422, "invalid_request");
        assert_eq!(problem["pointer"], pointer);
    }
    client
        .post("/collections/none/map", json!({}))
        .problem(404, "collection_not_found");
}
