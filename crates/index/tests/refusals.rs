//! What an index refuses, and that it says why.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]

use std::path::Path;

use siamese_index::{
    CollectionEncoder, CollectionSettings, DocumentDraft, DocumentWrite, DuplicateAction,
    EncoderIdentity, Error, Index, IndexOptions, Metadata, NewPassage, OnDuplicate, PutOutcome,
    SearchOptions,
};

fn encoder(id: &str) -> EncoderIdentity {
    EncoderIdentity {
        id: id.to_owned(),
        name: format!("model-{id}"),
        dimensions: 2,
    }
}

fn open(folder: &Path) -> Result<Index, Error> {
    Index::open(folder, &encoder("one"), &IndexOptions::default())
}

fn write(id: &str, vector: Vec<f32>) -> DocumentWrite {
    let text = format!("text of {id}");
    let passages = Some(vec![NewPassage {
        start: 0,
        end: text.len(),
        vector,
    }]);
    let draft = DocumentDraft {
        id: id.to_owned(),
        title: None,
        text,
        metadata: Metadata::new(),
    };
    DocumentWrite { draft, passages }
}

fn fill(index: &Index, documents: usize) {
    let collection = index.collection("default").unwrap();
    let writes: Vec<_> = (0..documents)
        .map(|n| write(&format!("d{n}"), vec![1.0, n as f32]))
        .collect();
    collection.writer().upsert(&writes).unwrap();
}

#[test]
fn another_encoder_is_refused_by_a_collection_with_documents_and_taken_by_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let open_with_two =
        || Index::open(folder.path(), &encoder("two"), &IndexOptions::default()).unwrap();
    let id_of = |index: &Index, name: &str| {
        index
            .collection(name)
            .unwrap()
            .encoder()
            .identity
            .id
            .clone()
    };
    assert_eq!(id_of(&open_with_two(), "default"), "two");
    let index = open(folder.path()).unwrap();
    assert_eq!(id_of(&index, "default"), "one");
    fill(&index, 1);
    let named = CollectionEncoder {
        name: "large".to_owned(),
        identity: EncoderIdentity {
            dimensions: 3,
            ..encoder("three")
        },
    };
    let settings = CollectionSettings::default();
    index.put_collection_of("empty", &settings, &named).unwrap();
    drop(index);
    for _ in 0..2 {
        let index = open_with_two();
        assert_eq!(id_of(&index, "default"), "one");
        assert_eq!(*index.collection("empty").unwrap().encoder(), named);
        let sentence = index
            .put_collection("default", &settings)
            .unwrap_err()
            .to_string();
        for word in ["default", "model-one", "model-two"] {
            assert!(sentence.contains(word), "{sentence}");
        }
    }
}

#[test]
fn an_encoder_takes_another_name_and_keeps_its_documents() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path()).unwrap();
    fill(&index, 1);
    let renamed = CollectionEncoder {
        name: "small".to_owned(),
        identity: encoder("one"),
    };
    let settings = index.collection("default").unwrap().settings();
    let put = || {
        index
            .put_collection_of("default", &settings, &renamed)
            .unwrap()
    };
    assert_eq!(put().1, PutOutcome::Changed);
    assert_eq!(put().1, PutOutcome::Unchanged);
    drop(index);
    let index = open(folder.path()).unwrap();
    let collection = index.collection("default").unwrap();
    assert_eq!(*collection.encoder(), renamed);
    assert_eq!(collection.stats().documents, 1);
}

#[test]
fn a_folder_in_use_is_refused_and_free_again_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path()).unwrap();
    assert!(matches!(
        open(folder.path()),
        Err(Error::DataDirInUse { .. })
    ));
    drop(index);
    open(folder.path()).unwrap();
}

#[test]
fn vectors_that_would_poison_the_index_are_refused_and_nothing_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path()).unwrap();
    let collection = index.collection("default").unwrap();
    for vector in [
        vec![f32::NAN, 1.0],
        vec![f32::INFINITY, 1.0],
        vec![0.0, 0.0],
        vec![1.0],
        vec![],
    ] {
        let good = write("good", vec![1.0, 0.0]);
        let error = collection
            .writer()
            .upsert(&[good, write("bad", vector.clone())])
            .unwrap_err();
        assert!(error.is_bad_input(), "{error}");
        let error = collection
            .reader()
            .search(&vector, &SearchOptions::default())
            .unwrap_err();
        assert!(error.is_bad_input(), "{error}");
    }
    assert_eq!(collection.reader().list(None, 10).unwrap(), []);
}

#[test]
fn ids_and_spans_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path()).unwrap();
    let collection = index.collection("default").unwrap();
    let refused = |write: DocumentWrite| {
        collection
            .writer()
            .upsert(&[write])
            .unwrap_err()
            .is_bad_input()
    };
    assert!(refused(write("", vec![1.0, 0.0])));
    assert!(refused(write(&"i".repeat(513), vec![1.0, 0.0])));
    let mut split = write("ü", vec![1.0, 0.0]);
    split.passages.as_mut().unwrap()[0].end = split.draft.text.len() - 1;
    assert!(refused(split));
    let mut none = write("x", vec![1.0, 0.0]);
    none.passages = Some(Vec::new());
    assert!(refused(none));
    let twice = [write("x", vec![1.0, 0.0]), write("x", vec![1.0, 0.0])];
    assert!(matches!(
        collection.writer().upsert(&twice),
        Err(Error::DuplicateId { .. })
    ));
    collection
        .writer()
        .upsert(&[write(&"i".repeat(512), vec![1.0, 0.0])])
        .unwrap();
}

#[test]
fn a_disk_without_room_refuses_writes_and_serves_reads() {
    let folder = tempfile::tempdir().unwrap();
    fill(&open(folder.path()).unwrap(), 3);
    let options = IndexOptions {
        min_free_disk_bytes: 1 << 60,
        ..IndexOptions::default()
    };
    let index = Index::open(folder.path(), &encoder("one"), &options).unwrap();
    let collection = index.collection("default").unwrap();
    let error = collection
        .writer()
        .upsert(&[write("new", vec![1.0, 0.0])])
        .unwrap_err();
    assert!(matches!(error, Error::StorageFull { .. }), "{error}");
    assert!(collection.reader().get("d0").unwrap().is_some());
    assert_eq!(
        collection
            .reader()
            .search(&[1.0, 0.0], &SearchOptions::default())
            .unwrap()
            .hits
            .len(),
        3
    );
    assert!(collection.reader().get("new").unwrap().is_none());
}

#[test]
fn a_store_that_has_vanished_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    fill(&open(folder.path()).unwrap(), 3);
    fs_err::remove_dir_all(folder.path().join("store")).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[test]
fn a_damaged_store_is_an_error_or_whole_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    fill(&open(folder.path()).unwrap(), 200);
    let db = folder.path().join("store/db");
    let whole = fs_err::read(&db).unwrap();
    for place in (0..whole.len()).step_by(whole.len() / 40 + 1) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x55;
        fs_err::write(&db, &damaged).unwrap();
        // Opening may repair, refuse or find nothing wrong; it must not panic.
        if let Ok(index) = open(folder.path()) {
            drop(
                index
                    .collection("default")
                    .unwrap()
                    .reader()
                    .list(None, 1000),
            );
        }
        restore(folder.path(), &whole);
    }
    let index = open(folder.path()).unwrap();
    assert_eq!(
        index
            .collection("default")
            .unwrap()
            .reader()
            .list(None, 1000)
            .unwrap()
            .len(),
        200
    );
}

/// Puts the undamaged file back, and takes away what opening the damaged one left behind.
fn restore(folder: &Path, db: &[u8]) {
    let store = folder.join("store");
    for entry in fs_err::read_dir(&store).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("snap.") {
            fs_err::remove_file(path).unwrap();
        }
    }
    fs_err::write(store.join("db"), db).unwrap();
}

#[test]
fn a_collection_with_documents_keeps_its_settings_and_a_deleted_one_is_gone_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path()).unwrap();
    let settings = CollectionSettings::default();
    let (notes, _) = index.put_collection("notes", &settings).unwrap();
    notes
        .writer()
        .upsert(&[write("n", vec![1.0, 0.0])])
        .unwrap();
    index.delete_collection("notes").unwrap();
    assert!(matches!(
        index.collection("notes"),
        Err(Error::CollectionNotFound { .. })
    ));
    let late = notes.writer().upsert(&[write("late", vec![1.0, 0.0])]);
    assert!(matches!(late, Err(Error::CollectionNotFound { .. })));
    drop(notes);
    let (notes, _) = index.put_collection("notes", &settings).unwrap();
    assert_eq!(notes.stats().documents, 0);
    drop((index, notes));
    let index = open(folder.path()).unwrap();
    assert_eq!(
        index
            .collection("notes")
            .unwrap()
            .reader()
            .list(None, 10)
            .unwrap(),
        []
    );
}

#[test]
fn a_collection_with_documents_takes_what_becomes_of_duplicates_and_no_other_settings() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path()).unwrap();
    fill(&index, 2);
    let with = |min_score, lexical| CollectionSettings {
        on_duplicate: Some(OnDuplicate {
            action: DuplicateAction::Flag,
            min_score,
        }),
        lexical,
        ..CollectionSettings::default()
    };
    let put = |settings| index.put_collection("default", &settings);
    let held = index.collection("default").unwrap();
    assert_eq!(put(with(0.9, true)).unwrap().1, PutOutcome::Changed);
    assert_eq!(put(with(0.9, true)).unwrap().1, PutOutcome::Unchanged);
    assert_eq!(put(with(0.5, true)).unwrap().1, PutOutcome::Changed);
    let conflict = put(with(0.9, false));
    assert!(matches!(conflict, Err(Error::SettingsConflict { .. })));
    let refused = put(with(2.0, true));
    assert!(matches!(refused, Err(Error::ScoreSetting { .. })));
    assert_eq!(held.settings(), with(0.5, true));
    assert_eq!(held.stats().documents, 2);
    drop((held, index));
    let index = open(folder.path()).unwrap();
    let collection = index.collection("default").unwrap();
    assert_eq!(collection.settings(), with(0.5, true));
    assert_eq!(collection.stats().documents, 2);
}

#[test]
#[cfg(unix)]
fn a_collection_that_could_not_be_deleted_or_made_anew_is_there_and_writable() {
    let parent = tempfile::tempdir().unwrap();
    let (folder, elsewhere) = (parent.path().join("data"), parent.path().join("moved"));
    let index = open(&folder).unwrap();
    let settings = CollectionSettings::default();
    for name in ["mine", "empty"] {
        index.put_collection(name, &settings).unwrap();
    }
    fill(&index, 2);
    let mine = index.collection("mine").unwrap();
    mine.writer().upsert(&[write("d", vec![1.0, 0.0])]).unwrap();
    // Nothing can be written while the folder is elsewhere.
    fs_err::rename(&folder, &elsewhere).unwrap();
    for name in ["mine", "default"] {
        let outcome = index.delete_collection(name);
        assert!(matches!(outcome, Err(Error::DataFolderMoved { .. })));
    }
    let other = CollectionSettings {
        lexical: false,
        ..settings
    };
    for name in ["empty", "new"] {
        let outcome = index.put_collection(name, &other);
        assert!(matches!(outcome, Err(Error::DataFolderMoved { .. })));
    }
    fs_err::rename(&elsewhere, &folder).unwrap();
    assert!(index.collection("new").is_err());
    for (name, documents) in [("mine", 1), ("default", 2), ("empty", 0)] {
        let collection = index.collection(name).unwrap();
        assert_eq!(collection.settings(), settings);
        assert_eq!(collection.stats().documents, documents);
        collection
            .writer()
            .upsert(&[write("later", vec![0.0, 1.0])])
            .unwrap();
        assert_eq!(collection.stats().documents, documents + 1);
    }
    drop((mine, index));
    let index = open(&folder).unwrap();
    let names = index.collections();
    let names: Vec<_> = names.iter().map(|collection| collection.name()).collect();
    assert_eq!(names, ["default", "empty", "mine"]);
    assert!(
        index
            .collection("mine")
            .unwrap()
            .reader()
            .get("later")
            .unwrap()
            .is_some()
    );
    index.delete_collection("mine").unwrap();
    assert!(index.collection("mine").is_err());
}

#[test]
fn documents_and_collections_can_be_deleted_on_a_disk_that_is_too_full_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path()).unwrap();
    index
        .put_collection("mine", &CollectionSettings::default())
        .unwrap();
    fill(&index, 20);
    drop(index);
    let free = rustix::fs::statvfs(folder.path()).unwrap();
    let options = IndexOptions {
        // More than is free, less than deletes ask for.
        min_free_disk_bytes: free.f_bavail * free.f_frsize * 2,
        ..IndexOptions::default()
    };
    let index = Index::open(folder.path(), &encoder("one"), &options).unwrap();
    let collection = index.collection("default").unwrap();
    let outcome = collection.writer().upsert(&[write("new", vec![1.0, 0.0])]);
    assert!(matches!(outcome, Err(Error::StorageFull { .. })));
    assert_eq!(
        collection.writer().delete(&["d3".to_owned()]).unwrap(),
        [true]
    );
    let documents = |name: &str| index.collection(name).map(|found| found.stats().documents);
    assert_eq!(documents("default").unwrap(), 19);
    index.delete_collection("mine").unwrap();
    index.delete_collection("default").unwrap();
    assert!(documents("mine").is_err());
    assert_eq!(documents("default").unwrap(), 0);
}
