//! Who writes and who reads the same document at the same time.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use qdrant_client::Qdrant;
use qdrant_client::qdrant::{DeletePointsBuilder, Filter};
use serde_json::json;
use siamese_index::{Error, SearchOptions, cosine};
use siamese_qdrant::ClusterCollection;

use crate::support::{URLS, cluster, default_of, open, vector, write, write_with_title};

#[test]
fn of_two_writers_of_one_document_one_is_told_that_it_was_late() {
    let Some(cluster) = cluster() else { return };
    let ClusterCollection { reader, writer } = default_of(&cluster);
    let rounds = 10;
    let mut stale = 0;
    for round in 0..rounds {
        let writes: Vec<_> = (0..4)
            .map(|number| {
                write_with_title(
                    &format!("{round} {number}"),
                    "same",
                    json!({"round": round, "number": number}),
                    &[vector(number), vector(number + 1)],
                )
            })
            .collect();
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = writes
                .iter()
                .map(|write| scope.spawn(|| writer.upsert(std::slice::from_ref(write))))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        stale += outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Err(Error::Stale { .. })))
            .count();
        assert!(outcomes.iter().any(Result::is_ok));
        let (document, passages) = reader.get_whole("same", true).unwrap().unwrap();
        assert_eq!(document.metadata["round"], json!(round));
        assert_eq!(passages.len(), 2);
        let number = document.metadata["number"].as_u64().unwrap() as usize;
        let first = passages[0].vector.as_ref().unwrap();
        assert!(
            cosine(first, &vector(number)) > 0.9999,
            "vectors of the version that counts"
        );
    }
    assert!(stale > 0, "they did not meet once");
    assert_eq!(reader.stats().unwrap().passages, 2);
}

#[test]
fn nobody_sees_half_of_a_document_while_it_is_replaced() {
    let Some(cluster) = cluster() else { return };
    let ClusterCollection { reader, writer } = default_of(&cluster);
    let of_round = |round: usize| {
        let passages = 1 + round % 5;
        write(
            "d",
            json!({"passages": passages}),
            &vec![vector(round); passages],
        )
    };
    writer.upsert(&[of_round(0)]).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let (document, passages) = reader.get_whole("d", true).unwrap().unwrap();
                        assert_eq!(document.metadata["passages"], json!(passages.len()));
                        let vectors: BTreeMap<String, ()> = passages
                            .iter()
                            .map(|passage| (format!("{:?}", passage.vector), ()))
                            .collect();
                        assert_eq!(vectors.len(), 1, "all of one version");
                        let options = SearchOptions {
                            limit: 5,
                            ..SearchOptions::default()
                        };
                        let hits = reader.search(&(&vector(0)).into(), &options).unwrap().hits;
                        assert_eq!(hits.len(), 1, "the document is always found, once");
                        seen += 1;
                    }
                    seen
                })
            })
            .collect();
        for round in 1..100 {
            writer.upsert(&[of_round(round)]).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        for thread in readers {
            assert!(thread.join().unwrap() > 10);
        }
    });
}

/// Deletes the points of all documents as nobody but a kill between two steps would leave it: their passages stay.
fn delete_document_points(prefix: &str) {
    let urls = std::env::var(URLS).unwrap();
    let client = Qdrant::from_url(urls.split(',').next().unwrap())
        .skip_compatibility_check()
        .build()
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let collections = client.list_collections().await.unwrap().collections;
        let mut names = collections.into_iter().map(|collection| collection.name);
        let is_own = |name: &String| name.starts_with(prefix) && name.ends_with("-documents");
        let name = names.find(is_own).unwrap();
        let all = DeletePointsBuilder::new(name)
            .points(Filter::default())
            .wait(true);
        client.delete_points(all).await.unwrap();
    });
}

#[test]
fn passages_that_no_document_has_are_swept_when_they_are_old_enough() {
    let Ok(urls) = std::env::var(URLS) else {
        return;
    };
    let prefix = format!("test-{}-swept", std::process::id());
    let cluster = open(&urls, &prefix);
    let ClusterCollection { reader, writer } = default_of(&cluster);
    let documents: Vec<_> = (0..20)
        .map(|number| {
            write(
                &format!("d{number}"),
                json!({}),
                &[vector(number), vector(number + 1)],
            )
        })
        .collect();
    writer.upsert(&documents).unwrap();
    assert_eq!(
        writer.sweep(Duration::ZERO).unwrap(),
        0,
        "all of them count"
    );
    delete_document_points(&prefix);
    assert_eq!(reader.stats().unwrap().passages, 40);
    let query = vector(1);
    let found = reader.search(&(&query).into(), &SearchOptions::default());
    assert!(found.unwrap().hits.is_empty(), "they are found by nobody");
    writer
        .upsert(&[write("d1", json!({}), &[vector(40)])])
        .unwrap();
    let found = reader.search(&(&query).into(), &SearchOptions::default());
    let hits = found.unwrap().hits;
    assert_eq!(hits.len(), 1);
    let as_it_is_now = cosine(&query, &vector(40));
    assert!(
        (hits[0].score - as_it_is_now).abs() < 1e-6,
        "and not by what it was: {hits:?}"
    );
    assert_eq!(writer.sweep(Duration::from_secs(60)).unwrap(), 0);
    assert_eq!(writer.sweep(Duration::ZERO).unwrap(), 20);
    assert_eq!(reader.stats().unwrap().passages, 1);
}
