//! Collections, and clusters that are not there.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;
use siamese_index::{CollectionSettings, DEFAULT_COLLECTION, Error, PutOutcome, SearchOptions};
use siamese_qdrant::{CallKind, CallOutcome, Cluster};

use crate::support::{URLS, cluster, default_of, encoder, ids, open, settings, vector, write};

#[test]
fn collections_are_made_changed_and_deleted_for_all_who_use_the_cluster() {
    let Some(cluster) = cluster() else { return };
    let urls = std::env::var(URLS).unwrap();
    let prefix = format!("test-{}-shared", std::process::id());
    let (one, other) = (open(&urls, &prefix), open(&urls, &prefix));
    drop(cluster);
    let settings = CollectionSettings::default();
    let (made, outcome) = one.put("things", &settings, &encoder()).unwrap();
    assert_eq!(outcome, PutOutcome::Created);
    let (_, again) = other.put("things", &settings, &encoder()).unwrap();
    assert_eq!(again, PutOutcome::Unchanged);
    made.writer
        .upsert(&[write("a", json!({}), &[vector(1)])])
        .unwrap();
    let seen = other.get("things").unwrap();
    assert_eq!(ids(&seen, &vector(1), &SearchOptions::default()), ["a"]);
    let keeping = CollectionSettings {
        keep_queries: 5,
        ..settings
    };
    assert_eq!(
        other.put("things", &keeping, &encoder()).unwrap().1,
        PutOutcome::Changed
    );
    let words = CollectionSettings {
        lexical: false,
        ..settings
    };
    let refused = one.put("things", &words, &encoder());
    assert!(
        matches!(refused, Err(Error::SettingsConflict { .. })),
        "{refused:?}"
    );
    other.delete("things").unwrap();
    assert!(matches!(
        other.get("things"),
        Err(Error::CollectionNotFound { .. })
    ));
    let gone = made.reader.get("a");
    assert!(
        matches!(gone, Err(Error::CollectionNotFound { .. })),
        "{gone:?}"
    );
    std::thread::sleep(Duration::from_secs(2));
    assert!(
        one.get("things").is_err(),
        "others learn of it within a second"
    );
    one.delete(DEFAULT_COLLECTION).unwrap();
    assert_eq!(default_of(&one).reader.stats().unwrap().documents, 0);
}

#[test]
fn a_cluster_that_nobody_answers_for_is_told_of_in_time_and_the_calls_are_counted() {
    /// Calls, attempts, and calls that nobody answered.
    static SEEN: Mutex<(u32, u32, u32)> = Mutex::new((0, 0, 0));
    if std::env::var(URLS).is_err() {
        return;
    }
    let mut settings = settings("http://127.0.0.1:9", "nobody");
    settings.retry_for = Duration::from_millis(500);
    settings.on_call = |call| {
        let mut seen = SEEN.lock().unwrap();
        seen.0 += 1;
        seen.1 += call.attempts;
        seen.2 += u32::from(call.kind == CallKind::Read && call.outcome == CallOutcome::Failed);
    };
    let started = std::time::Instant::now();
    let failed = Cluster::open(settings, CollectionSettings::default(), encoder());
    assert!(
        matches!(failed, Err(Error::ClusterUnavailable { .. })),
        "{failed:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(5));
    let (calls, attempts, unanswered) = *SEEN.lock().unwrap();
    assert_eq!((calls, unanswered), (1, 1));
    assert!(attempts > 1, "{attempts}");
}
