//! Who writes and who reads the same document at the same time.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde_json::json;
use siamese_index::{Error, SearchOptions, cosine};
use siamese_qdrant::ClusterCollection;

use crate::support::{cluster, default_of, vector, write, write_with_title};

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
