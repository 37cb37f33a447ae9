//! Snapshots: one moment, checked whole, restored whole or not at all.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use siamese_index::{
    Cancel, Chunking, CollectionSettings, DocumentDraft, DocumentWrite, DuplicateAction,
    EncoderIdentity, Error, GraphSettings, Index, IndexOptions, Language, NewPassage, OnDuplicate,
    PassageSize, Progress, SearchOptions, SnapshotInfo, SnapshotOptions, VectorPrecision,
    WordSettings, restore_snapshot, verify_snapshot,
};

/// Large enough for a vector to be cut into pieces.
const DIMENSIONS: usize = 1000;

fn encoder() -> EncoderIdentity {
    EncoderIdentity {
        id: "e".to_owned(),
        name: "a model".to_owned(),
        dimensions: DIMENSIONS,
    }
}

fn open(folder: &Path) -> Index {
    Index::open(folder, &encoder(), &IndexOptions::default()).unwrap()
}

fn create_snapshot(index: &Index) -> Result<SnapshotInfo, Error> {
    index.create_snapshot(&Cancel::default(), &Progress::default())
}

fn write(id: &str, text: &str, seed: usize) -> DocumentWrite {
    let vector = (0..DIMENSIONS).map(|n| ((n * 31 + seed * 17) % 101) as f32 - 50.0);
    let passages = Some(vec![NewPassage {
        start: 0,
        end: text.len(),
        vector: vector.collect(),
    }]);
    let draft = DocumentDraft {
        id: id.to_owned(),
        title: seed.is_multiple_of(2).then(|| format!("title {seed}")),
        text: text.to_owned(),
        metadata: serde_json::from_str(&format!(r#"{{"seed": {seed}, "tags": ["a", null]}}"#))
            .unwrap(),
    };
    DocumentWrite { draft, passages }
}

fn other_settings() -> CollectionSettings {
    CollectionSettings {
        chunking: Chunking::Fixed(PassageSize {
            max_tokens: 99,
            overlap_tokens: 9,
        }),
        graph: GraphSettings {
            m: 8,
            ef_construction: 50,
            ef_search: 20,
            precision: VectorPrecision::Compact,
        },
        lexical: false,
        words: WordSettings {
            language: Some(Language::Greek),
            folds_accents: false,
        },
        on_duplicate: Some(OnDuplicate {
            action: DuplicateAction::Reject,
            min_score: 0.9,
        }),
        keep_queries: 77,
    }
}

/// Two collections with documents that were replaced, deleted and patched.
fn fill(index: &Index) {
    index.put_collection("notes", &other_settings()).unwrap();
    for name in ["default", "notes"] {
        let collection = index.collection(name).unwrap();
        let writes: Vec<_> = (0..40)
            .map(|n| write(&format!("{name}-{n}"), &format!("text {n} ").repeat(n), n))
            .collect();
        collection.writer().upsert(&writes).unwrap();
        let again = write(&format!("{name}-3"), "another text", 77);
        collection.writer().upsert(&[again]).unwrap();
        collection.writer().delete(&[format!("{name}-5")]).unwrap();
        let patch = serde_json::from_str(r#"{"patched": true}"#).unwrap();
        let id = format!("{name}-7");
        collection
            .writer()
            .patch_metadata(&id, &patch, usize::MAX)
            .unwrap();
    }
}

/// Takes a snapshot and says where it lies.
fn snapshot(index: &Index) -> PathBuf {
    let snapshot = create_snapshot(index).unwrap();
    index.folder().join("snapshots").join(snapshot.name)
}

/// Everything that a collection answers.
fn answers(index: &Index) -> Vec<String> {
    let mut answers = Vec::new();
    for collection in index.collections() {
        let stats = collection.stats();
        answers.push(format!(
            "{} {:?} {} {} {}",
            collection.name(),
            collection.settings(),
            stats.documents,
            stats.passages,
            stats.created_at_ms
        ));
        for document in collection.reader().list(None, 1000).unwrap() {
            let passages = collection
                .reader()
                .passages(&document.id, true)
                .unwrap()
                .unwrap();
            let bits: Vec<u32> = passages[0]
                .vector
                .iter()
                .flatten()
                .map(|v| v.to_bits())
                .collect();
            let query = passages[0].vector.clone().unwrap();
            let results = collection
                .reader()
                .search(&query, &SearchOptions::default())
                .unwrap();
            let hits: Vec<_> = results
                .hits
                .iter()
                .map(|hit| (hit.id.clone(), hit.score.to_bits()))
                .collect();
            let spans: Vec<_> = passages.iter().map(|p| (p.start, p.end)).collect();
            answers.push(format!("{document:?} {spans:?} {bits:?} {hits:?}"));
        }
    }
    answers
}

fn options() -> IndexOptions {
    IndexOptions::default()
}

#[test]
fn a_restored_folder_answers_exactly_as_the_one_it_was_taken_from() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    fill(&index);
    let expected = answers(&index);
    let file = snapshot(&index);
    index.delete_collection("notes").unwrap();
    index
        .collection("default")
        .unwrap()
        .writer()
        .delete(&["default-1".to_owned()])
        .unwrap();
    drop(index);
    let restored = folder.path().join("elsewhere/data");
    let manifest = restore_snapshot(&file, &restored, &options()).unwrap();
    assert_eq!(manifest, verify_snapshot(&file).unwrap());
    assert_eq!((manifest.documents(), manifest.passages()), (78, 78));
    assert_eq!(manifest.encoder, encoder());
    let names: Vec<_> = manifest
        .collections
        .iter()
        .map(|c| (c.name.as_str(), c.documents))
        .collect();
    assert_eq!(names, [("default", 39), ("notes", 39)]);
    let index = open(&restored);
    assert_eq!(answers(&index), expected);
    // And it goes on from there.
    fill(&index);
    index.delete_collection("notes").unwrap();
}

#[test]
fn a_snapshot_is_one_moment_of_all_collections_while_writes_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    index
        .put_collection("second", &CollectionSettings::default())
        .unwrap();
    fill(&index);
    let is_done = AtomicBool::new(false);
    let files: Vec<PathBuf> = std::thread::scope(|scope| {
        // Every document of a round says the round; the second collection follows the first.
        let writer = scope.spawn(|| {
            for round in 1.. {
                for name in ["default", "second"] {
                    let text = format!("round {round}");
                    let writes: Vec<_> =
                        (0..30).map(|n| write(&format!("w{n}"), &text, n)).collect();
                    index
                        .collection(name)
                        .unwrap()
                        .writer()
                        .upsert(&writes)
                        .unwrap();
                }
                if is_done.load(Ordering::Relaxed) {
                    return round;
                }
            }
            0
        });
        while index
            .collection("second")
            .unwrap()
            .reader()
            .get("w0")
            .unwrap()
            .is_none()
        {
            std::thread::yield_now();
        }
        let files = (0..6).map(|_| snapshot(&index)).collect();
        is_done.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() > 2, "nothing was written meanwhile");
        files
    });
    drop(index);
    for (file, n) in files.iter().zip(0..) {
        let restored = folder.path().join(format!("restored-{n}"));
        restore_snapshot(file, &restored, &options()).unwrap();
        let index = open(&restored);
        let rounds = ["default", "second"].map(|name| {
            let collection = index.collection(name).unwrap();
            let texts: Vec<_> = (0..30)
                .map(|n| {
                    collection
                        .reader()
                        .get(&format!("w{n}"))
                        .unwrap()
                        .unwrap()
                        .text
                })
                .collect();
            assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
            texts[0]
                .trim_start_matches("round ")
                .parse::<u32>()
                .unwrap()
        });
        assert!(
            rounds[0] == rounds[1] || rounds[0] == rounds[1] + 1,
            "{rounds:?} were never there together"
        );
    }
}

/// A snapshot of little, so that every byte of it can be tried.
fn small_snapshot(folder: &Path) -> PathBuf {
    let index = open(folder);
    let collection = index.collection("default").unwrap();
    collection
        .writer()
        .upsert(&[write("d", "a text", 1)])
        .unwrap();
    snapshot(&index)
}

#[track_caller]
fn refused(bytes: &[u8], folder: &Path, what: &str) -> Error {
    let file = folder.join("damaged.snapshot");
    fs_err::write(&file, bytes).unwrap();
    let target = folder.join("target");
    let error = restore_snapshot(&file, &target, &options());
    let Err(error) = error else {
        panic!("{what}: it was restored");
    };
    let sentence = error.to_string();
    assert!(
        sentence.contains(file.to_str().unwrap()),
        "{what}: {sentence}"
    );
    assert!(!target.exists(), "{what}: a folder was made");
    error
}

#[test]
fn a_snapshot_with_any_byte_changed_is_refused_and_nothing_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs_err::read(small_snapshot(folder.path())).unwrap();
    // Every byte of the head and of manifest and trailer, some of the vector's.
    let places = (0..400)
        .chain((400..whole.len() - 2000).step_by(37))
        .chain(whole.len() - 2000..whole.len());
    for place in places {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        let error = refused(
            &bytes,
            folder.path(),
            &format!("byte {place} of {}", whole.len()),
        );
        assert!(
            matches!(
                error,
                Error::SnapshotDamaged { .. } | Error::NewerSnapshot { .. }
            ),
            "byte {place}: {error}"
        );
    }
}

#[test]
fn a_snapshot_that_is_cut_short_or_too_long_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs_err::read(small_snapshot(folder.path())).unwrap();
    for length in (0..whole.len()).step_by(61).chain([whole.len() - 1]) {
        refused(&whole[..length], folder.path(), &format!("{length} bytes"));
    }
    let longer = [&whole[..], b"x"].concat();
    refused(&longer, folder.path(), "a byte more");
    let error = refused(
        b"no snapshot at all, but long enough to be one",
        folder.path(),
        "text",
    );
    assert!(error.to_string().contains("is no snapshot"), "{error}");
}

#[test]
fn damage_is_named_by_the_section_it_is_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = fs_err::read(small_snapshot(folder.path())).unwrap();
    let text = b"a text";
    let place = bytes
        .windows(text.len())
        .position(|window| window == text)
        .unwrap();
    bytes[place] = b'A';
    let error = refused(&bytes, folder.path(), "a text");
    assert!(error.to_string().contains("section bodies"), "{error}");
}

#[test]
fn a_snapshot_of_a_newer_version_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = fs_err::read(small_snapshot(folder.path())).unwrap();
    bytes[16] = 9;
    let error = refused(&bytes, folder.path(), "version 9");
    assert!(
        matches!(
            error,
            Error::NewerSnapshot {
                stored: 9,
                supported: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_snapshot_is_restored_into_an_empty_folder_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = small_snapshot(folder.path());
    let restore = |target: &Path| restore_snapshot(&file, target, &options());
    assert!(matches!(
        restore(folder.path()),
        Err(Error::FolderNotEmpty { .. })
    ));
    let target = tempfile::tempdir().unwrap();
    fs_err::write(target.path().join("a file"), "x").unwrap();
    assert!(matches!(
        restore(target.path()),
        Err(Error::FolderNotEmpty { .. })
    ));
    fs_err::remove_file(target.path().join("a file")).unwrap();
    restore(target.path()).unwrap();
    assert!(matches!(
        restore(target.path()),
        Err(Error::FolderNotEmpty { .. })
    ));
    assert_eq!(
        open(target.path())
            .collection("default")
            .unwrap()
            .stats()
            .documents,
        1
    );
}

#[test]
fn an_interrupted_restore_is_not_taken_for_an_empty_index_and_can_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let file = small_snapshot(folder.path());
    let target = tempfile::tempdir().unwrap();
    // What a killed restore leaves: a store that has not got its name yet.
    fs_err::create_dir(target.path().join("store.restoring")).unwrap();
    fs_err::write(target.path().join("store.restoring/db"), "half").unwrap();
    let error = Index::open(target.path(), &encoder(), &options()).unwrap_err();
    assert!(error.to_string().contains("snapshot restore"), "{error}");
    restore_snapshot(&file, target.path(), &options()).unwrap();
    assert_eq!(
        open(target.path())
            .collection("default")
            .unwrap()
            .stats()
            .documents,
        1
    );
}

#[test]
fn a_folder_in_use_is_not_restored_into() {
    let folder = tempfile::tempdir().unwrap();
    let file = small_snapshot(folder.path());
    let target = tempfile::tempdir().unwrap();
    let _lock = open(target.path());
    let error = restore_snapshot(&file, target.path(), &options()).unwrap_err();
    assert!(matches!(error, Error::FolderNotEmpty { .. }), "{error}");
}

#[test]
fn snapshots_are_listed_by_moment_deleted_by_name_and_limited_in_number() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("kept");
    let options = IndexOptions {
        snapshots: SnapshotOptions {
            folder: Some(elsewhere.clone()),
            max_snapshots: 2,
            ..SnapshotOptions::default()
        },
        ..options()
    };
    let index = Index::open(&folder.path().join("data"), &encoder(), &options).unwrap();
    assert!(index.snapshots().unwrap().is_empty());
    let first = create_snapshot(&index).unwrap();
    fill(&index);
    let second = create_snapshot(&index).unwrap();
    let third = create_snapshot(&index).unwrap_err();
    assert!(matches!(
        third,
        Error::TooManySnapshots { max_snapshots: 2 }
    ));
    let list = index.snapshots().unwrap();
    let names: Vec<_> = list.iter().map(|snapshot| &snapshot.name).collect();
    assert_eq!(names, [&first.name, &second.name]);
    let documents: Vec<_> = list
        .iter()
        .map(|s| s.manifest.as_ref().unwrap().documents())
        .collect();
    assert_eq!(documents, [0, 78]);
    assert_eq!(
        list[1].bytes,
        fs_err::metadata(elsewhere.join(&second.name))
            .unwrap()
            .len()
    );
    index.delete_snapshot(&first.name).unwrap();
    for name in [first.name.as_str(), "../data/siamese.lock", "..", ""] {
        let refusals = [
            index.delete_snapshot(name).unwrap_err(),
            index.snapshot_file(name).unwrap_err(),
        ];
        for error in refusals {
            assert!(
                matches!(error, Error::SnapshotNotFound { .. }),
                "{name}: {error}"
            );
        }
    }
    create_snapshot(&index).unwrap();
}

#[test]
fn a_damaged_snapshot_is_listed_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = small_snapshot(folder.path());
    let bytes = fs_err::read(&file).unwrap();
    fs_err::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let list = open(folder.path()).snapshots().unwrap();
    assert!(matches!(
        list[0].manifest,
        Err(Error::SnapshotDamaged { .. })
    ));
}

#[test]
fn what_an_interrupted_snapshot_has_left_is_swept_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    small_snapshot(folder.path());
    let left = folder.path().join("snapshots/.x.snapshot.tmp");
    fs_err::write(&left, "half").unwrap();
    let index = open(folder.path());
    assert!(!left.exists());
    assert_eq!(index.snapshots().unwrap().len(), 1);
}

#[test]
fn a_snapshot_that_finds_no_room_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fill(&open(folder.path()));
    let options = IndexOptions {
        min_free_disk_bytes: 1 << 60,
        ..options()
    };
    let index = Index::open(folder.path(), &encoder(), &options).unwrap();
    let error = create_snapshot(&index).unwrap_err();
    assert!(matches!(error, Error::StorageFull { .. }), "{error}");
    let left = fs_err::read_dir(folder.path().join("snapshots")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn a_snapshot_that_is_cancelled_is_given_up_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    fill(&index);
    let cancel = Cancel::default();
    cancel.cancel();
    let error = index.create_snapshot(&cancel, &Progress::default());
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    let left = fs_err::read_dir(folder.path().join("snapshots")).unwrap();
    assert_eq!(left.count(), 0);
}
