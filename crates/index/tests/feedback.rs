//! Feedback is there as long as its document is, whatever becomes of generations, and survives restarts and snapshots.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use siamese_index::{
    Cancel, CollectionSettings, DocumentDraft, DocumentWrite, EncoderIdentity, Error,
    FeedbackLimits, FeedbackOutcome, FeedbackStats, Index, IndexOptions, Judgement,
    MAX_JUDGED_QUERY_BYTES, Metadata, NewPassage, Progress, restore_snapshot,
};

const NAME: &str = "default";
const LONG_QUERY_BYTES: usize = 3000;
const LIMITS: FeedbackLimits = FeedbackLimits {
    max_judgements: 1000,
    max_bytes: 1 << 20,
};

fn open(folder: &Path) -> Index {
    let encoder = EncoderIdentity {
        id: "e".to_owned(),
        name: "n".to_owned(),
        dimensions: 2,
    };
    Index::open(folder, &encoder, &IndexOptions::default()).unwrap()
}

/// So that no two texts are the same.
static NEXT: AtomicU64 = AtomicU64::new(0);

fn store(index: &Index, id: &str) {
    let passage = NewPassage {
        start: 0,
        end: 1,
        vector: vec![1.0, 2.0],
    };
    let write = DocumentWrite {
        draft: DocumentDraft {
            id: id.to_owned(),
            title: None,
            text: format!("text {}", NEXT.fetch_add(1, Ordering::Relaxed)),
            metadata: Metadata::new(),
        },
        passages: Some(vec![passage]),
    };
    let collection = index.collection(NAME).unwrap();
    collection.writer().upsert(&[write]).unwrap();
}

fn judgement(query: &str, document: &str, is_useful: bool) -> Judgement {
    Judgement {
        query: query.to_owned(),
        document: document.to_owned(),
        is_useful,
    }
}

fn put(index: &Index, judgements: &[Judgement]) -> Result<FeedbackOutcome, Error> {
    index.put_feedback(NAME, judgements, &LIMITS)
}

type Feedback = BTreeMap<(String, String), bool>;

/// What is stored, in pages of a few.
fn listed(index: &Index, document: Option<&str>) -> Feedback {
    let reader = std::sync::Arc::clone(index.collection(NAME).unwrap().reader());
    let (mut all, mut after) = (Feedback::new(), None::<Vec<u8>>);
    loop {
        let page = reader.feedback(document, after.as_deref(), 3).unwrap();
        let page = page.unwrap();
        for stored in &page {
            let Judgement {
                query,
                document,
                is_useful,
            } = stored.judgement.clone();
            assert!(stored.at_ms > 0);
            assert_eq!(all.insert((document, query), is_useful), None);
        }
        match page.last() {
            Some(last) if page.len() == 3 => after = Some(last.place.clone()),
            _ => return all,
        }
    }
}

fn stats(index: &Index) -> FeedbackStats {
    let collection = index.collection(NAME).unwrap();
    collection.reader().feedback_stats().unwrap()
}

#[test]
fn feedback_goes_with_its_document_and_stays_when_that_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    for id in ["a", "aa", "b"] {
        store(&index, id);
    }
    assert_eq!(listed(&index, None), Feedback::new());
    let said = ["a", "aa", "b"].map(|id| judgement("q", id, true));
    let outcome = put(&index, &said).unwrap();
    assert_eq!((outcome.created, outcome.changed), (3, 0));
    let again = [judgement("q", "a", true), judgement("q", "a", false)];
    let outcome = put(&index, &again).unwrap();
    assert_eq!((outcome.created, outcome.changed), (0, 1));
    assert_eq!(
        put(&index, &again[1..]).unwrap(),
        FeedbackOutcome::default()
    );
    assert_eq!(listed(&index, Some("aa")).len(), 1);
    store(&index, "a");
    assert_eq!(stats(&index).judgements, 3);
    let writer = std::sync::Arc::clone(index.collection(NAME).unwrap().writer());
    let ids = ["a", "a", "none"].map(str::to_owned);
    writer.delete(&ids).unwrap();
    store(&index, "a");
    assert!(listed(&index, Some("a")).is_empty());
    assert_eq!(stats(&index).judgements, 2);
    let place = b"none".as_slice();
    let page = writer.reader().feedback(Some("b"), Some(place), 3).unwrap();
    assert_eq!(page, None, "no place of the feedback");
}

#[test]
fn what_cannot_be_stored_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    store(&index, "a");
    let refused = |judgements: &[Judgement], limits: FeedbackLimits| {
        index.put_feedback(NAME, judgements, &limits).unwrap_err()
    };
    let fine = judgement("q", "a", true);
    let error = refused(&[fine.clone(), judgement("q", "b", true)], LIMITS);
    assert!(matches!(error, Error::DocumentNotFound { id } if id == "b"));
    let long = "q".repeat(MAX_JUDGED_QUERY_BYTES + 1);
    for query in ["", &long] {
        let error = refused(&[judgement(query, "a", true)], LIMITS);
        assert!(matches!(error, Error::JudgedQueryLength { .. }), "{error}");
    }
    for limits in [
        FeedbackLimits {
            max_judgements: 1,
            ..LIMITS
        },
        FeedbackLimits {
            max_bytes: 60,
            ..LIMITS
        },
    ] {
        let two = [fine.clone(), judgement("p", "a", true)];
        let error = refused(&two, limits);
        assert!(matches!(error, Error::FeedbackFull { .. }), "{error}");
    }
    assert_eq!(stats(&index), FeedbackStats::default());
    put(&index, &[fine, judgement(&long[1..], "a", true)]).unwrap();
    // Over a limit that has become smaller, what is there can still change.
    let none = FeedbackLimits {
        max_judgements: 1,
        max_bytes: 1,
    };
    let outcome = index.put_feedback(NAME, &[judgement("q", "a", false)], &none);
    assert_eq!(outcome.unwrap().changed, 1);
}

#[test]
fn feedback_belongs_to_all_generations_and_to_no_collection_that_has_the_name_later() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let index = open(&data);
    store(&index, "a");
    let query = "q".repeat(LONG_QUERY_BYTES);
    put(&index, &[judgement(&query, "a", true)]).unwrap();
    let active = index.collection(NAME).unwrap();
    let mut settings = active.settings();
    settings.lexical = !settings.lexical;
    let begun = index.begin_generation(NAME, &settings, &active.encoder());
    let number = begun.unwrap().number;
    let other = index.generation(NAME, number).unwrap().collection;
    let document = active.reader().get("a").unwrap().unwrap();
    let write = DocumentWrite {
        draft: DocumentDraft {
            id: document.id,
            title: document.title,
            text: document.text,
            metadata: document.metadata,
        },
        passages: Some(vec![NewPassage {
            start: 0,
            end: 1,
            vector: vec![1.0, 2.0],
        }]),
    };
    other.writer().fill(active.writer(), &[write]).unwrap();
    assert!(index.finish_generation(NAME, number).unwrap());
    index.activate_generation(NAME, number).unwrap();
    index.delete_generation(NAME, 1).unwrap();
    drop((active, other));
    let snapshot = index.create_snapshot(&Cancel::default(), &Progress::default());
    let snapshot = data.join("snapshots").join(snapshot.unwrap().name);
    drop(index);
    let index = open(&data);
    assert_eq!(listed(&index, None).len(), 1);
    let live_bytes = index.live_bytes();
    index.delete_collection(NAME).unwrap();
    store(&index, "a");
    assert_eq!(stats(&index), FeedbackStats::default());
    // The rest of the collection is smaller than this one query.
    assert!(index.live_bytes() + LONG_QUERY_BYTES as u64 <= live_bytes);
    put(&index, &[judgement("p", "a", true)]).unwrap();

    let restored = folder.path().join("restored");
    restore_snapshot(&snapshot, &restored, &IndexOptions::default()).unwrap();
    let index = open(&restored);
    let expected = Feedback::from([(("a".to_owned(), query), true)]);
    assert_eq!(listed(&index, None), expected);
}

#[test]
fn more_than_a_batch_is_deleted_by_document_by_query_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    for id in ["a", "b"] {
        store(&index, id);
        let many: Vec<_> = (0..400)
            .map(|n| judgement(&format!("q{n}"), id, n % 2 == 0))
            .collect();
        put(&index, &many).unwrap();
    }
    let writer = std::sync::Arc::clone(index.collection(NAME).unwrap().writer());
    assert_eq!(writer.delete_feedback(None, Some("q7")).unwrap(), 2);
    assert_eq!(writer.delete_feedback(Some("a"), Some("q8")).unwrap(), 1);
    assert_eq!(writer.delete_feedback(Some("a"), None).unwrap(), 398);
    assert_eq!(stats(&index).judgements, 399);
    writer.delete(&["b".to_owned()]).unwrap();
    assert_eq!(stats(&index), FeedbackStats::default());
    store(&index, "b");
    put(&index, &[judgement("q", "b", true)]).unwrap();
    assert_eq!(writer.delete_feedback(None, None).unwrap(), 1);
    assert_eq!(stats(&index), FeedbackStats::default());
}

#[derive(Debug, Clone)]
enum Step {
    Store(usize),
    Delete(Vec<usize>),
    Say(Vec<(usize, usize, bool)>),
    Forget(Option<usize>, Option<usize>),
    Empty,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let said = prop::collection::vec((0..4_usize, 0..3_usize, any::<bool>()), 1..6);
    prop_oneof![
        4 => (0..4_usize).prop_map(Step::Store),
        2 => prop::collection::vec(0..4_usize, 1..3).prop_map(Step::Delete),
        6 => said.prop_map(Step::Say),
        2 => (prop::option::of(0..4_usize), prop::option::of(0..3_usize))
            .prop_map(|(document, query)| Step::Forget(document, query)),
        1 => Just(Step::Empty),
        1 => Just(Step::Restart),
    ]
}

const IDS: [&str; 4] = ["a", "aa", "b\0", "é"];
const QUERIES: [&str; 3] = ["q", "a", "a b"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn what_is_stored_is_what_was_said_last_of_documents_that_are_there(steps in prop::collection::vec(step(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let mut index = Some(open(folder.path()));
        let (mut documents, mut expected) = (std::collections::BTreeSet::new(), Feedback::new());
        for step in steps {
            let open_index = index.as_ref().unwrap();
            let writer = std::sync::Arc::clone(open_index.collection(NAME).unwrap().writer());
            match step {
                Step::Store(id) => {
                    store(open_index, IDS[id]);
                    documents.insert(IDS[id]);
                }
                Step::Delete(ids) => {
                    let ids: Vec<String> = ids.iter().map(|id| IDS[*id].to_owned()).collect();
                    writer.delete(&ids).unwrap();
                    documents.retain(|id| !ids.iter().any(|gone| gone == id));
                    expected.retain(|(document, _), _| !ids.contains(document));
                }
                Step::Say(said) => {
                    let said: Vec<_> = said.iter().map(|(id, query, is_useful)| judgement(QUERIES[*query], IDS[*id], *is_useful)).collect();
                    let is_known = said.iter().all(|it| documents.contains(it.document.as_str()));
                    prop_assert_eq!(put(open_index, &said).is_ok(), is_known);
                    for Judgement { query, document, is_useful } in said.into_iter().filter(|_| is_known) {
                        expected.insert((document, query), is_useful);
                    }
                }
                Step::Forget(document, query) => {
                    let (document, query) = (document.map(|id| IDS[id]), query.map(|query| QUERIES[query]));
                    let before = expected.len();
                    expected.retain(|(id, text), _| document.is_some_and(|it| it != id) || query.is_some_and(|it| it != text));
                    let deleted = writer.delete_feedback(document, query).unwrap();
                    prop_assert_eq!(deleted as usize, before - expected.len());
                }
                Step::Empty => {
                    open_index.delete_collection(NAME).unwrap();
                    documents.clear();
                    expected.clear();
                }
                Step::Restart => {
                    drop((writer, index.take()));
                    index = Some(open(folder.path()));
                }
            }
            let open_index = index.as_ref().unwrap();
            prop_assert_eq!(&listed(open_index, None), &expected);
            prop_assert_eq!(stats(open_index).judgements as usize, expected.len());
            prop_assert_eq!(stats(open_index).bytes == 0, expected.is_empty());
        }
    }
}

#[test]
fn collections_have_feedback_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    index
        .put_collection("other", &CollectionSettings::default())
        .unwrap();
    store(&index, "a");
    put(&index, &[judgement("q", "a", true)]).unwrap();
    let error = index.put_feedback("other", &[judgement("q", "a", true)], &LIMITS);
    assert!(matches!(error, Err(Error::DocumentNotFound { .. })));
    let error = index.put_feedback("none", &[], &LIMITS);
    assert!(matches!(error, Err(Error::CollectionNotFound { .. })));
    let other = index.collection("other").unwrap();
    assert_eq!(
        other.reader().feedback_stats().unwrap(),
        FeedbackStats::default()
    );
}
