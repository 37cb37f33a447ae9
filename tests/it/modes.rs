//! Searching by words and by both.

use serde_json::{Value, json};
use siamese_tests::{Client, Server, ServerOptions};
use ureq::http::Method;

fn fill(client: &Client) {
    let documents = json!({"documents": [
        {"id": "e42", "title": "Drucker", "text": "The device reports ERR_42 after each start.", "metadata": {"kind": "device", "open": true}},
        {"id": "e43", "text": "The device reports ERR_43, which is worse than all.", "metadata": {"kind": "device", "open": false}},
        {"id": "login", "text": "I cannot sign in: my password is refused.", "metadata": {"kind": "account", "open": true}},
        {"id": "lamp", "text": "Größere Lampen flackern, wenn die Lampe gedimmt wird.", "metadata": {"kind": "light", "open": true}},
        {"id": "twice", "text": "Unrelated words come first. ERR_42 is named at the end of this.", "metadata": {"kind": "note"}},
    ]});
    client.post("/documents", documents).ok();
}

fn ids(answer: &Value) -> Vec<&str> {
    let hits = answer["hits"].as_array().unwrap();
    hits.iter().map(|hit| hit["id"].as_str().unwrap()).collect()
}

#[test]
fn words_are_found_in_text_and_title_whatever_their_case() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    fill(server.client());
    let search = |query: &str| {
        let body = json!({"query": query, "mode": "lexical"});
        server.client().post("/search", body).ok()
    };
    let answer = search("err_42");
    // The last has a part of the word only.
    assert_eq!(ids(&answer), ["e42", "twice", "e43"]);
    assert_eq!(
        answer["total"],
        json!({"value": 3, "relation": "exact", "counted": "having_words"})
    );
    assert_eq!(answer["timings"]["encode_ms"], 0.0);
    assert_eq!(ids(&search("DRUCKER")), ["e42"]);
    assert_eq!(ids(&search("größere")), ["lamp"]);
    assert!(ids(&search("printer")).is_empty());
    assert!(ids(&search("???")).is_empty());
    server.client().delete("/documents/e42").ok();
    assert_eq!(ids(&search("err_42")), ["twice", "e43"]);
}

#[test]
fn words_are_found_however_they_are_spelt_and_by_their_parts() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let texts = [
        (
            "hidden",
            "my pass\u{ad}word and a co\u{200b}operative \u{202e}user\u{202c}",
        ),
        ("nfd", "re\u{301}sume\u{301} in the Cafe\u{301}"),
        ("street", "in der Straße"),
        ("wide", "Ｔｏｋｙｏ and a ﬁlm"),
        ("plane", "l’avion part"),
        ("arabic", "كِتَابٌ جديد"),
        ("file", "see report.pdf"),
        ("mail", "write to jane@example.org by e\u{2011}mail"),
        ("code", "call get_user_name in C++ v1.2.3"),
    ];
    let documents = texts.map(|(id, text)| json!({"id": id, "text": text}));
    let client = server.client();
    client
        .post("/documents", json!({"documents": documents}))
        .ok();
    let found = |query: &str| {
        let body = json!({"query": query, "mode": "lexical", "include": ["highlights"]});
        client.post("/search", body).ok()
    };
    for (query, id, marked) in [
        ("password", "hidden", "pass\u{ad}word"),
        ("cooperative", "hidden", "co\u{200b}operative"),
        ("USER", "hidden", "user"),
        ("résumé", "nfd", "re\u{301}sume\u{301}"),
        ("cafe", "nfd", "Cafe\u{301}"),
        ("STRASSE", "street", "Straße"),
        ("tokyo", "wide", "Ｔｏｋｙｏ"),
        ("film", "wide", "ﬁlm"),
        ("avion", "plane", "avion"),
        ("l'avion", "plane", "l’avion"),
        ("كتاب", "arabic", "كِتَابٌ"),
        ("pdf", "file", "pdf"),
        ("report.pdf", "file", "report.pdf"),
        ("example", "mail", "example"),
        ("email", "mail", "e\u{2011}mail"),
        ("getUserName", "code", "get_user_name"),
        ("c++", "code", "C++"),
        ("1.2.3", "code", "v1.2.3"),
    ] {
        let answer = found(query);
        let hit = &answer["hits"][0];
        assert_eq!(hit["id"], id, "{query}");
        let text = texts.iter().find(|(other, _)| *other == id).unwrap().1;
        let place = |end: &str| hit["highlights"][0][end].as_u64().unwrap() as usize;
        assert_eq!(&text[place("start")..place("end")], marked, "{query}");
    }
}

#[test]
fn a_collection_of_a_language_finds_other_forms_of_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let put = |name: &str, body: Value| {
        let (path, body) = (format!("/collections/{name}"), body.to_string());
        client.send(
            Method::PUT,
            &path,
            Some("application/json"),
            body.as_bytes(),
        )
    };
    let made = put("english", json!({"language": "en", "fold_accents": false}));
    assert_eq!(made.status, 201);
    let described = client.get("/collections/english").ok();
    assert_eq!(
        (&described["language"], &described["fold_accents"]),
        (&json!("en"), &json!(false))
    );
    let default = client.get("/collections/default").ok();
    assert_eq!(
        (&default["language"], &default["fold_accents"]),
        (&json!(null), &json!(true))
    );
    let documents = json!({"documents": [
        {"id": "lamp", "text": "The lamps were flickering."},
        {"id": "cafe", "text": "A café of the town."},
    ]});
    client
        .post("/collections/english/documents", documents)
        .ok();
    let found = |query: &str, mode: &str| {
        let body = json!({"query": query, "mode": mode});
        client.post("/collections/english/search", body).ok()
    };
    assert_eq!(ids(&found("a flicker of the lamp", "lexical")), ["lamp"]);
    assert_eq!(found("lamp", "hybrid")["hits"][0]["id"], "lamp");
    assert!(ids(&found("cafe", "lexical")).is_empty());
    assert_eq!(ids(&found("of the", "lexical")).len(), 2);
    put("english", json!({"language": "de", "fold_accents": false})).problem(409, "conflict");
    let problem = put("other", json!({"language": "klingon"}));
    let problem = problem.problem(422, "invalid_request");
    assert_eq!(problem["pointer"], "/language");
    assert!(problem["detail"].as_str().unwrap().contains("en, es"));
    let export = client.get("/collections/english/export").text;
    let head: Value = serde_json::from_str(export.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&head["export"]["language"], &head["export"]["fold_accents"]),
        (&json!("en"), &json!(false))
    );
}

#[test]
fn filters_facets_thresholds_and_totals_agree_by_words() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    fill(server.client());
    let search = |body| server.client().post("/search", body).ok();
    let body = json!({"query": "the device", "mode": "lexical", "top_k": 1, "facets": ["kind"]});
    let answer = search(body);
    assert_eq!(answer["total"]["value"], 3);
    assert_eq!(
        answer["facets"]["kind"],
        json!([{"value": "device", "count": 2}, {"value": "note", "count": 1}])
    );
    let body = json!({"query": "the device", "mode": "lexical", "filter": {"open": true},
        "facets": ["kind"]});
    let answer = search(body);
    assert_eq!(ids(&answer), ["e42"]);
    assert_eq!(answer["total"]["value"], 1);
    let score = answer["hits"][0]["score"].as_f64().unwrap();
    let body = json!({"query": "the device", "mode": "lexical", "min_score": score - 0.001,
        "facets": ["kind"]});
    let answer = search(body);
    assert_eq!(answer["total"]["counted"], "reaching_score");
    let count: u64 = answer["facets"]["kind"]
        .as_array()
        .unwrap()
        .iter()
        .map(|facet| facet["count"].as_u64().unwrap())
        .sum();
    assert_eq!(answer["total"]["value"], count);
    assert_eq!(ids(&answer).len() as u64, count);
}

#[test]
fn both_sides_have_a_part_in_the_order_and_none_in_the_total() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    fill(server.client());
    let search = |mode: Value| {
        let mut body = json!({"query": "ERR_42", "facets": ["kind"]});
        body.as_object_mut()
            .unwrap()
            .extend(mode.as_object().unwrap().clone());
        server.client().post("/search", body).ok()
    };
    let semantic = search(json!({}));
    let hybrid = search(json!({"mode": "hybrid"}));
    assert_eq!(hybrid["total"], semantic["total"]);
    assert_eq!(hybrid["facets"], semantic["facets"]);
    assert_eq!(ids(&hybrid).len(), 5);
    let mut first = ids(&hybrid)[..2].to_vec();
    first.sort_unstable();
    assert_eq!(first, ["e42", "twice"]);
    let scores = &hybrid["hits"][0]["scores"];
    assert!(scores["semantic"].as_f64().unwrap() <= 1.0);
    assert!(scores["lexical"].as_f64().unwrap() > 0.0);
    assert!(semantic["hits"][0].get("scores").is_none());
    let weighted = search(json!({"mode": "hybrid", "alpha": 1}));
    assert_eq!(ids(&weighted), ids(&semantic));
    let weighted = search(json!({"mode": "hybrid", "alpha": 0}));
    assert_eq!(ids(&weighted)[..2], ["e42", "twice"]);
    let some = search(json!({"mode": "hybrid", "min_score": 0.2}));
    let same = search(json!({"min_score": 0.2}));
    assert_eq!(some["total"], same["total"]);
    assert_eq!(some["facets"], same["facets"]);
    let (mut some, mut same) = (ids(&some), ids(&same));
    some.sort_unstable();
    same.sort_unstable();
    assert_eq!(some, same);
}

#[test]
fn highlights_are_the_words_of_the_query_in_the_passage() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    fill(server.client());
    for mode in ["lexical", "hybrid", "semantic"] {
        let body = json!({"query": "größere LAMPE", "mode": mode, "top_k": 1,
            "include": ["highlights", "text"]});
        let answer = server.client().post("/search", body).ok();
        let hit = &answer["hits"][0];
        assert_eq!(hit["id"], "lamp", "{mode}");
        let text = hit["text"].as_str().unwrap();
        let marked: Vec<&str> = hit["highlights"]
            .as_array()
            .unwrap()
            .iter()
            .map(|mark| {
                let place = |name: &str| mark[name].as_u64().unwrap() as usize;
                &text[place("start")..place("end")]
            })
            .collect();
        assert_eq!(marked, ["Größere", "Lampe"], "{mode}");
    }
}

#[test]
fn the_passage_with_the_words_is_returned() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let chunking = json!({"chunking": {"mode": "sentence", "max_tokens": 20, "overlap_tokens": 0}});
    let (put, json_type) = (Method::PUT, Some("application/json"));
    let body = chunking.to_string();
    let made = client.send(put, "/collections/short", json_type, body.as_bytes());
    assert_eq!(made.status, 201);
    let text = "The first sentence is about gardens and trees. \
        The second one names the part XJ-9000 only. \
        The third one is about rivers and lakes again.";
    let documents = json!({"documents": [{"id": "a", "text": text}]});
    client.post("/collections/short/documents", documents).ok();
    for mode in ["lexical", "hybrid"] {
        let body = json!({"query": "XJ", "mode": mode, "include": ["passages", "highlights"]});
        let answer = client.post("/collections/short/search", body).ok();
        let hit = &answer["hits"][0];
        let passage = hit["passage"]["text"].as_str().unwrap();
        assert!(passage.contains("XJ-9000"), "{mode}: {passage}");
        assert_eq!(hit["passages"][0]["text"], passage, "{mode}");
        let passages = hit["passages"].as_array().unwrap().len();
        assert_eq!(passages == 1, mode == "lexical", "{mode}");
    }
}

#[test]
fn groups_and_batches_go_with_every_mode() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    fill(server.client());
    let search =
        |mode: &str| json!({"query": "the device ERR_42", "mode": mode, "group_by": "kind"});
    let searches = json!({"searches": [search("semantic"), search("lexical"), search("hybrid")]});
    let answer = server.client().post("/search/batch", searches).ok();
    let results = answer["results"].as_array().unwrap();
    assert_eq!(ids(&results[0]).len(), 4);
    assert_eq!(ids(&results[1]), ["e42", "twice"]);
    assert_eq!(ids(&results[2])[0], "e42");
}

#[test]
fn what_makes_no_sense_in_a_mode_is_refused_and_pointed_at() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::new(folder.path()).start();
    fill(server.client());
    let many: String = (0..1025).map(|word| format!("w{word} ")).collect();
    for (body, pointer) in [
        (json!({"id": "lamp", "mode": "lexical"}), "/mode"),
        (json!({"positive": ["x"], "mode": "hybrid"}), "/mode"),
        (json!({"query": "x", "alpha": 0.5}), "/alpha"),
        (
            json!({"query": "x", "mode": "lexical", "alpha": 0.5}),
            "/alpha",
        ),
        (
            json!({"query": "x", "mode": "hybrid", "alpha": 1.5}),
            "/alpha",
        ),
        (
            json!({"query": "x", "mode": "hybrid", "min_score": 1.5}),
            "/min_score",
        ),
        (
            json!({"query": "x", "mode": "lexical", "min_score": -0.5}),
            "/min_score",
        ),
        (
            json!({"query": "x", "mode": "lexical", "diversity": 0.5}),
            "/diversity",
        ),
        (
            json!({"query": "x", "mode": "hybrid", "auto_cut": true}),
            "/auto_cut",
        ),
        (json!({"query": "x", "mode": "lexical", "ef": 10}), "/ef"),
        (json!({"id": "lamp", "include": ["highlights"]}), "/include"),
        (json!({"query": many, "mode": "lexical"}), "/query"),
    ] {
        let problem = server.client().post("/search", body.clone());
        let problem = problem.problem(422, "invalid_request");
        assert_eq!(problem["pointer"], pointer, "{body}");
    }
    let unknown = json!({"query": "x", "mode": "magic"});
    let problem = server
        .client()
        .post("/search", unknown)
        .problem(422, "invalid_request");
    assert!(
        problem["detail"].as_str().unwrap().contains("magic"),
        "{problem}"
    );
}

#[test]
fn while_words_are_made_anew_answers_are_exact_and_the_probe_says_so() {
    let folder = tempfile::tempdir().unwrap();
    // With a limit of one passage, five are far more than usual.
    let options = || ServerOptions::new(folder.path()).setting("INDEX__MAX_HEAD_PASSAGES", 1);
    let answers = |client: &Client| {
        ["lexical", "hybrid"].map(|mode| {
            let body = json!({"query": "the device ERR_42", "mode": mode, "facets": ["kind"]});
            let mut answer = client.post("/search", body).ok();
            let kept = ["hits", "total", "facets"];
            answer
                .as_object_mut()
                .unwrap()
                .retain(|key, _| kept.contains(&&**key));
            answer
        })
    };
    let states = |client: &Client| {
        let collection = client.get("/collections/default").ok();
        let probe = client.get("/readyz").ok();
        [
            probe["words"].clone(),
            collection["index"]["lexical_state"].clone(),
        ]
    };
    let server = options().start();
    fill(server.client());
    let before = answers(server.client());
    assert!(!before[0]["hits"].as_array().unwrap().is_empty());
    drop(server);
    // A file where the folder was keeps the words from being written.
    let lexical = folder.path().join("lexical/0");
    let _ = fs_err::remove_dir_all(&lexical);
    fs_err::create_dir_all(folder.path().join("lexical")).unwrap();
    fs_err::write(&lexical, "").unwrap();
    let server = options().start();
    assert_eq!(states(server.client()), ["rebuilding", "rebuilding"]);
    assert_eq!(answers(server.client()), before);
    fs_err::remove_file(&lexical).unwrap();
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while states(server.client()) != ["ready", "ready"] {
        assert!(std::time::Instant::now() < patience, "words are never made");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(answers(server.client()), before);
}

#[test]
fn a_collection_may_do_without_words() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let put = |body: Value| {
        let body = body.to_string();
        let path = "/collections/bare";
        client.send(Method::PUT, path, Some("application/json"), body.as_bytes())
    };
    let made = put(json!({"lexical": false}));
    assert_eq!((made.status, &made.json()["lexical"]), (201, &json!(false)));
    let documents = json!({"documents": [{"id": "a", "text": "The lamp flickers."}]});
    client.post("/collections/bare/documents", documents).ok();
    put(json!({})).problem(409, "conflict");
    let search = |body: Value| client.post("/collections/bare/search", body);
    for mode in ["lexical", "hybrid"] {
        let problem = search(json!({"query": "lamp", "mode": mode}));
        assert_eq!(problem.problem(422, "lexical_disabled")["pointer"], "/mode");
    }
    let marked = search(json!({"query": "lamp", "include": ["highlights"]})).ok();
    assert_eq!(
        marked["hits"][0]["highlights"],
        json!([{"start": 4, "end": 8}])
    );
    assert_eq!(client.get("/collections/default").ok()["lexical"], true);
    let export = client.get("/collections/bare/export").text;
    let head: Value = serde_json::from_str(export.lines().next().unwrap()).unwrap();
    assert_eq!(head["export"]["lexical"], false);
}
