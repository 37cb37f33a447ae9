//! Generations hold the same documents, whatever is written while they are filled, and survive a restart.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use siamese_index::{
    Collection, CollectionEncoder, CollectionSettings, Condition, DocumentDraft, DocumentWrite,
    EncoderIdentity, Error, FieldPath, Filter, GenerationState, GraphSettings, Index, IndexOptions,
    Metadata, NewPassage, PlannedGenerations, SearchOptions, Writer,
};

const NAME: &str = "default";

fn encoder(id: &str, dimensions: usize) -> EncoderIdentity {
    EncoderIdentity {
        id: id.to_owned(),
        name: format!("model-{id}"),
        dimensions,
    }
}

fn open(folder: &Path) -> Index {
    Index::open(folder, &encoder("one", 2), &IndexOptions::default()).unwrap()
}

/// The second generation's encoder.
fn second() -> CollectionEncoder {
    CollectionEncoder {
        name: "large".to_owned(),
        identity: encoder("two", 3),
    }
}

/// A document as a generation stores it: one passage for two dimensions, two passages for three.
fn write(writer: &Writer, id: &str, text: &str) -> DocumentWrite {
    let dimensions = writer.reader().dimensions();
    let seed = text.bytes().map(f32::from).sum::<f32>();
    let vector = |add: f32| {
        (0..dimensions)
            .map(|n| (seed + add) % (n as f32 + 7.0) + 1.0)
            .collect()
    };
    let passage = |start, end, add| NewPassage {
        start,
        end,
        vector: vector(add),
    };
    let passages = match dimensions {
        2 => vec![passage(0, text.len(), 0.0)],
        _ => vec![passage(0, 1, 0.0), passage(1, text.len(), 3.0)],
    };
    DocumentWrite {
        draft: DocumentDraft {
            id: id.to_owned(),
            title: None,
            text: text.to_owned(),
            metadata: Metadata::new(),
        },
        passages: Some(passages),
    }
}

fn store(collection: &Collection, ids: std::ops::Range<usize>, text: &str) {
    let generations = collection.writer().generations().unwrap();
    let writes = planned(&generations, ids, text);
    generations.upsert(&writes).unwrap();
}

/// Documents as each generation stores them.
fn planned(
    generations: &PlannedGenerations,
    ids: std::ops::Range<usize>,
    text: &str,
) -> Vec<Vec<DocumentWrite>> {
    let writes = |writer: &Arc<Writer>| {
        ids.clone()
            .map(|n| write(writer, &format!("d{n}"), &format!("{text} {n}")))
            .collect()
    };
    generations.writers().map(writes).collect()
}

/// All documents: id, text, metadata, created and updated.
fn contents(collection: &Collection) -> Vec<(String, String, String, u64, u64)> {
    let whole = collection
        .reader()
        .list_whole(None, 10_000, usize::MAX, true)
        .unwrap();
    let of = |(document, passages): (
        siamese_index::StoredDocument,
        Vec<siamese_index::StoredPassage>,
    )| {
        let passages_wanted = collection.reader().dimensions() - 1;
        assert_eq!(passages.len(), passages_wanted, "{}", document.id);
        let metadata = serde_json::to_string(&document.metadata).unwrap();
        (
            document.id,
            document.text,
            metadata,
            document.created_at_ms,
            document.updated_at_ms,
        )
    };
    whole.into_iter().map(of).collect()
}

/// Fills like the job of the service does, and calls `meanwhile` between two steps.
fn fill(index: &Index, number: u32, mut meanwhile: impl FnMut()) {
    for _ in 0..20 {
        fill_round(index, number, &mut meanwhile);
        if index.finish_generation(NAME, number).unwrap() {
            return;
        }
    }
    panic!("it was never complete");
}

/// Goes through all documents once, and leaves it at that.
fn fill_once(index: &Index, number: u32) {
    fill_round(index, number, &mut || {});
}

fn fill_round(index: &Index, number: u32, meanwhile: &mut impl FnMut()) {
    let mut after = None;
    loop {
        let source = index.collection(NAME).unwrap();
        let target = index.generation(NAME, number).unwrap().collection;
        let read = source
            .reader()
            .list_whole(after.as_deref(), 7, usize::MAX, false)
            .unwrap();
        let Some((last, _)) = read.last() else { break };
        after = Some(last.id.clone());
        meanwhile();
        let writes: Vec<_> = read
            .iter()
            .map(|(document, _)| {
                let mut write = write(target.writer(), &document.id, &document.text);
                write.draft.metadata = document.metadata.clone();
                write
            })
            .collect();
        target.writer().fill(source.writer(), &writes).unwrap();
    }
}

fn assert_equal(index: &Index) {
    let generations = index.generations(NAME).unwrap();
    let first = contents(&generations[0].collection);
    for generation in &generations[1..] {
        assert_eq!(
            contents(&generation.collection),
            first,
            "{}",
            generation.number
        );
    }
}

fn states(index: &Index) -> Vec<(u32, GenerationState)> {
    let generations = index.generations(NAME).unwrap().into_iter();
    generations
        .map(|generation| (generation.number, generation.state))
        .collect()
}

fn begin(index: &Index) -> u32 {
    begin_with(index, &without_words())
}

fn begin_with(index: &Index, settings: &CollectionSettings) -> u32 {
    let begun = index.begin_generation(NAME, settings, &second()).unwrap();
    assert_eq!(begun.state, GenerationState::Filling);
    begun.number
}

fn without_words() -> CollectionSettings {
    CollectionSettings {
        lexical: false,
        ..CollectionSettings::default()
    }
}

#[test]
fn a_generation_is_filled_under_writes_activated_rolled_back_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let first = index.collection(NAME).unwrap();
    store(&first, 0..100, "before");
    assert_eq!(begin(&index), 2);
    let early = index.activate_generation(NAME, 2);
    assert!(matches!(
        early,
        Err(Error::GenerationState { number: 2, .. })
    ));
    let mut step = 0;
    fill(&index, 2, || {
        step += 1;
        // Behind the filling, before it, and where it is.
        let at = step * 13 % 100;
        store(&first, at..at + 2, &format!("at {step}"));
        store(&first, 100 + step..101 + step, "new");
        // Unchanged where it is, and new where it is not.
        store(&first, step..step + 1, "before");
        let deleted = [(step * 29) % 100, (step * 7) % 100].map(|n| format!("d{n}"));
        first.writer().delete(&deleted).unwrap();
        let patch: Metadata = serde_json::from_value(json!({"step": step})).unwrap();
        let patched = format!("d{}", (step * 11) % 100);
        first
            .writer()
            .patch_metadata(&patched, &patch, 1000)
            .unwrap();
    });
    assert_equal(&index);
    assert_eq!(
        states(&index),
        [(1, GenerationState::Active), (2, GenerationState::Ready)]
    );
    index.activate_generation(NAME, 2).unwrap();
    let active = index.collection(NAME).unwrap();
    assert_eq!(active.encoder().identity.id, "two");
    assert!(!active.settings().lexical);
    let found = active
        .reader()
        .search(&[1.0, 1.0, 1.0][..], &SearchOptions::default());
    assert!(!found.unwrap().hits.is_empty());
    // Writes of a handle from before go to both as well.
    store(&first, 0..30, "after");
    store(&active, 20..50, "later");
    first.writer().delete(&["d7".to_owned()]).unwrap();
    assert_equal(&index);
    drop((first, active, index));

    let index = open(folder.path());
    assert_eq!(
        states(&index),
        [(1, GenerationState::Retired), (2, GenerationState::Active)]
    );
    assert_equal(&index);
    index.activate_generation(NAME, 1).unwrap();
    store(&index.collection(NAME).unwrap(), 0..10, "rolled back");
    assert_equal(&index);
    assert!(matches!(
        index.delete_generation(NAME, 1),
        Err(Error::GenerationState { .. })
    ));
    index.delete_generation(NAME, 2).unwrap();
    assert!(matches!(
        index.generation(NAME, 2),
        Err(Error::GenerationNotFound { .. })
    ));
    store(&index.collection(NAME).unwrap(), 0..10, "alone");
    // Numbers are not used twice.
    assert_eq!(begin(&index), 3);
}

#[test]
fn a_write_for_one_generation_alone_is_taken_while_others_are_filled_and_not_after() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let collection = index.collection(NAME).unwrap();
    store(&collection, 0..10, "before");
    begin(&index);
    let alone = |id: &str, text: &str| {
        let write = write(collection.writer(), id, text);
        collection.writer().upsert(&[write])
    };
    fill_once(&index, 2);
    // New, changed, as it is, and with other metadata.
    for (id, text) in [("new", "new"), ("d1", "changed"), ("d2", "before 2")] {
        alone(id, text).unwrap();
    }
    let mut patched = write(collection.writer(), "d3", "before 3");
    patched.draft.metadata = serde_json::from_value(json!({"a": 1})).unwrap();
    collection.writer().upsert(&[patched]).unwrap();
    let filling = index.generation(NAME, 2).unwrap().collection;
    let there = |id: &str| filling.reader().get(id).unwrap();
    assert!(there("new").is_none() && there("d1").is_none());
    assert_eq!(there("d2").unwrap().text, "before 2");
    assert_eq!(there("d3").unwrap().metadata["a"], 1);
    assert!(!index.finish_generation(NAME, 2).unwrap());
    fill(&index, 2, || {});
    assert_equal(&index);

    let refused = alone("d1", "late");
    assert!(matches!(refused, Err(Error::Stale { id }) if id == "d1"));
    assert_eq!(
        collection.reader().get("d1").unwrap().unwrap().text,
        "changed"
    );
    store(&collection, 1..2, "a text");
    assert_equal(&index);
}

#[test]
fn a_write_is_taken_however_often_generations_are_exchanged_while_it_is_planned() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let collection = index.collection(NAME).unwrap();
    store(&collection, 0..20, "before");
    begin(&index);
    fill(&index, 2, || {});
    // For 1, which is active, and 2.
    let generations = collection.writer().generations().unwrap();
    let writes = planned(&generations, 5..25, "planned");
    index.activate_generation(NAME, 2).unwrap();
    index.delete_generation(NAME, 1).unwrap();
    let graph = GraphSettings {
        m: 8,
        ..GraphSettings::default()
    };
    let settings = CollectionSettings {
        graph,
        ..without_words()
    };
    let third = begin_with(&index, &settings);
    fill_once(&index, third);
    assert!(index.is_awaited_by_writes(NAME, third).unwrap());
    let upserted = generations.upsert(&writes).unwrap();
    assert_eq!((upserted.statuses.len(), upserted.place), (20, 1));
    drop(generations);
    assert!(!index.is_awaited_by_writes(NAME, third).unwrap());
    assert!(!index.finish_generation(NAME, third).unwrap());
    fill(&index, third, || {});
    index.activate_generation(NAME, third).unwrap();
    index.delete_generation(NAME, 2).unwrap();
    let left = contents(&index.collection(NAME).unwrap());
    assert_eq!(left.len(), 25);
    let planned = left.iter().filter(|it| it.1.starts_with("planned"));
    assert_eq!(planned.count(), 20);
    // Whoever still holds the first one deletes, changes and plans by the one that is left.
    let deleted = collection.writer().delete(&["d5".to_owned()]).unwrap();
    assert_eq!(deleted, [true]);
    let patch: Metadata = serde_json::from_value(json!({"a": 1})).unwrap();
    let patched = collection.writer().patch_metadata("d6", &patch, 1000);
    assert_eq!(patched.unwrap().unwrap().metadata["a"], 1);
    let filter = Filter::Field(FieldPath::parse("a").unwrap(), Condition::Exists);
    assert_eq!(collection.writer().delete_matching(&filter).unwrap(), 1);
    store(&collection, 0..3, "after");
    let left = index.collection(NAME).unwrap();
    assert_eq!(left.stats().documents, 23);
}

#[test]
fn what_was_deleted_does_not_come_back_from_a_generation_that_is_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let first = index.collection(NAME).unwrap();
    store(&first, 0..5, "text");
    begin(&index);
    fill(&index, 2, || {});
    let number = begin_with(&index, &CollectionSettings::default());
    // Read from the first one, which is deleted before it is stored.
    index.activate_generation(NAME, 2).unwrap();
    index.delete_generation(NAME, 1).unwrap();
    first.writer().delete(&["d1".to_owned()]).unwrap();
    let target = index.generation(NAME, number).unwrap().collection;
    let writes: Vec<_> = (0..5)
        .map(|n| write(target.writer(), &format!("d{n}"), &format!("text {n}")))
        .collect();
    target.writer().fill(first.writer(), &writes).unwrap();
    assert!(target.reader().get("d1").unwrap().is_none());
    assert!(index.finish_generation(NAME, number).unwrap());
    assert_equal(&index);
}

#[test]
fn a_generation_with_the_same_settings_is_found_and_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let first = index.collection(NAME).unwrap();
    store(&first, 0..5, "text");
    let (settings, encoder) = (first.settings(), first.encoder());
    let found = |settings: &CollectionSettings, encoder: &CollectionEncoder| {
        let found = index.begin_generation(NAME, settings, encoder).unwrap();
        (found.number, found.state)
    };
    assert_eq!(found(&settings, &encoder), (1, GenerationState::Active));
    begin(&index);
    let without = without_words();
    assert_eq!(found(&without, &second()), (2, GenerationState::Filling));
    index.pause_generation(NAME, 2).unwrap();
    assert_eq!(found(&without, &second()), (2, GenerationState::Paused));
    fill(&index, 2, || {});
    index.activate_generation(NAME, 2).unwrap();
    // Another name is no other encoder, and what may change at any time makes no difference.
    let renamed = CollectionEncoder {
        name: "renamed".to_owned(),
        ..(*encoder).clone()
    };
    let keeps_queries = CollectionSettings {
        keep_queries: 7,
        ..settings
    };
    assert_eq!(
        found(&keeps_queries, &renamed),
        (1, GenerationState::Retired)
    );
    assert_eq!(index.generations(NAME).unwrap().len(), 2);
    // The same encoder with other settings, and the same settings of another encoder.
    assert_eq!(found(&settings, &second()), (3, GenerationState::Filling));
    assert_eq!(found(&without, &encoder), (4, GenerationState::Filling));
    let graph = GraphSettings {
        m: 8,
        ..GraphSettings::default()
    };
    let another = CollectionSettings { graph, ..settings };
    let refused = index.begin_generation(NAME, &another, &second());
    assert!(matches!(refused, Err(Error::TooManyGenerations { .. })));
    assert_eq!(found(&settings, &encoder), (1, GenerationState::Retired));
}

#[test]
fn a_generation_that_is_being_filled_is_there_after_a_restart_and_in_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let index = open(&data);
    store(&index.collection(NAME).unwrap(), 0..20, "text");
    begin(&index);
    let (cancel, progress) = Default::default();
    let snapshot = index.create_snapshot(&cancel, &progress).unwrap();
    let file = data.join("snapshots").join(snapshot.name);
    let restored = folder.path().join("restored");
    siamese_index::restore_snapshot(&file, &restored, &IndexOptions::default()).unwrap();
    drop(index);
    for folder in [&data, &restored] {
        let index = open(folder);
        assert_eq!(
            states(&index),
            [(1, GenerationState::Active), (2, GenerationState::Filling)]
        );
        store(&index.collection(NAME).unwrap(), 10..30, "newer");
        fill(&index, 2, || {});
        assert_equal(&index);
        assert!(index.settle());
        index.compact(&cancel, &progress).unwrap();
        assert_equal(&index);
    }
}

#[test]
fn a_collection_is_deleted_with_all_its_generations() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let collection = index.collection(NAME).unwrap();
    store(&collection, 0..5, "text");
    begin(&index);
    let hidden = index.generation(NAME, 2).unwrap().collection;
    index.delete_collection(NAME).unwrap();
    assert_eq!(states(&index), [(1, GenerationState::Active)]);
    let late = hidden.writer().delete(&["d1".to_owned()]);
    assert!(matches!(late, Err(Error::CollectionNotFound { .. })));
    assert_eq!(index.collection(NAME).unwrap().stats().documents, 0);
    drop((collection, hidden, index));
    assert_eq!(states(&open(folder.path())), [(1, GenerationState::Active)]);
}
