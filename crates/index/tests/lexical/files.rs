//! What becomes of the files: damage, growth, deletion, and searches while they are made.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use siamese_index::{
    Collection, CollectionSettings, DocumentDraft, DocumentWrite, Error, Metadata, NewPassage,
    SearchOptions, WordQuery, WordSettings,
};

use crate::written::{open, vector};

/// Documents of which each has a word of its own, and some have more.
fn many(range: std::ops::Range<usize>) -> Vec<DocumentWrite> {
    let document = |number: usize| {
        let text = format!("word{number} common {}", "often ".repeat(number % 5));
        DocumentWrite {
            draft: DocumentDraft {
                id: format!("d{number}"),
                title: None,
                text: text.clone(),
                metadata: Metadata::new(),
            },
            passages: Some(vec![NewPassage {
                start: 0,
                end: text.len(),
                vector: vector("x", number),
            }]),
        }
    };
    range.map(document).collect()
}

fn found(collection: &Collection, text: &str) -> Vec<(String, f32)> {
    let query = WordQuery::new(text, WordSettings::default()).unwrap();
    let options = SearchOptions {
        limit: 1000,
        ..SearchOptions::default()
    };
    let results = collection.reader().search(&query, &options).unwrap();
    assert_eq!(results.total.value as usize, results.hits.len());
    let hits = results.hits.into_iter();
    hits.map(|hit| (hit.id, hit.score)).collect()
}

fn segment_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for segment in fs_err::read_dir(folder.join("lexical/0")).unwrap() {
        let segment = segment.unwrap().path();
        if segment.is_dir() {
            let entries = fs_err::read_dir(segment).unwrap();
            files.extend(entries.map(|entry| entry.unwrap().path()));
        }
    }
    files.retain(|file| file.extension().is_none_or(|end| end != "lock"));
    files.sort();
    files
}

/// Damages the files of a closed index; every answer must stay what it was, to the last bit.
#[track_caller]
fn survives(damage: impl Fn(&Path, &[PathBuf])) {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), 100);
    let collection = index.collection("default").unwrap();
    collection.writer().upsert(&many(0..300)).unwrap();
    assert!(index.settle());
    collection.writer().upsert(&many(300..390)).unwrap();
    let gone: Vec<String> = (20..60).map(|number| format!("d{number}")).collect();
    collection.writer().delete(&gone).unwrap();
    let queries = ["often common", "word7", "word25", "word350 often"];
    let before = queries.map(|text| found(&collection, text));
    assert_eq!(before[0].len(), 350);
    assert!(before[2].is_empty());
    drop(collection);
    drop(index);
    let files = segment_files(folder.path());
    assert!(!files.is_empty());
    damage(folder.path(), &files);
    for _ in 0..2 {
        let index = open(folder.path(), 100);
        let collection = index.collection("default").unwrap();
        assert_eq!(queries.map(|text| found(&collection, text)), before);
        assert!(index.settle());
        assert_eq!(queries.map(|text| found(&collection, text)), before);
        assert!(collection.stats().lexical_segments > 0);
    }
}

#[test]
fn scores_do_not_depend_on_where_passages_are_kept() {
    survives(|_, _| {});
}

#[test]
fn nothing_but_time_is_lost_when_files_are_deleted() {
    survives(|folder, _| fs_err::remove_dir_all(folder.join("lexical")).unwrap());
    survives(|folder, _| fs_err::remove_file(folder.join("lexical/0/manifest")).unwrap());
    survives(|_, files| fs_err::remove_file(&files[0]).unwrap());
}

#[test]
fn nothing_but_time_is_lost_when_any_file_is_damaged() {
    let names: BTreeSet<usize> = (0..40).collect();
    for number in names {
        survives(|_, files| {
            let file = &files[number % files.len()];
            let mut bytes = fs_err::read(file).unwrap();
            let place = (number * 31) % bytes.len().max(1);
            match bytes.get_mut(place) {
                Some(byte) => *byte ^= 1 << (number % 8),
                None => bytes.push(0),
            }
            if number % 5 == 0 {
                bytes.truncate(place);
            }
            fs_err::write(file, bytes).unwrap();
        });
    }
}

#[test]
fn files_of_another_store_are_not_believed() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (path, range) in [(folder.path(), 0..300), (other.path(), 1000..1300)] {
        let index = open(path, 100);
        let collection = index.collection("default").unwrap();
        collection.writer().upsert(&many(range)).unwrap();
        assert!(index.settle());
    }
    let to = other.path().join("lexical/0");
    fs_err::remove_dir_all(&to).unwrap();
    fs_err::rename(folder.path().join("lexical/0"), &to).unwrap();
    let index = open(other.path(), 100);
    let collection = index.collection("default").unwrap();
    assert!(found(&collection, "word7").is_empty());
    assert_eq!(found(&collection, "word1007").len(), 1);
}

#[test]
fn a_collection_that_is_rewritten_again_and_again_does_not_grow() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), 50);
    let collection = index.collection("default").unwrap();
    for round in 0..30 {
        let mut writes = many(0..200);
        for write in &mut writes {
            write.draft.title = Some(format!("round{round}"));
        }
        collection.writer().upsert(&writes).unwrap();
        assert!(index.settle());
        assert_eq!(found(&collection, &format!("round{round}")).len(), 200);
        assert!(found(&collection, &format!("round{}", round + 1)).is_empty());
        let stats = collection.stats();
        assert!(stats.lexical_segments <= 5, "{stats:?}");
        assert!(stats.lexical_bytes < 200_000, "{stats:?}");
    }
    assert!(found(&collection, "round3").is_empty());
    // What no manifest names is swept away.
    let folders = fs_err::read_dir(folder.path().join("lexical/0"))
        .unwrap()
        .count();
    assert!(folders as u64 <= collection.stats().lexical_segments + 1);
}

#[test]
fn a_deleted_collection_leaves_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), 50);
    let settings = CollectionSettings::default();
    let (collection, _) = index.put_collection("gone", &settings).unwrap();
    collection.writer().upsert(&many(0..100)).unwrap();
    assert!(index.settle());
    assert!(folder.path().join("lexical/1").is_dir());
    // Whoever has a handle may still read what was there.
    drop(collection);
    index.delete_collection("gone").unwrap();
    assert!(!folder.path().join("lexical/1").exists());
}

#[test]
fn what_was_written_is_found_while_segments_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), 20);
    let collection = index.collection("default").unwrap();
    for number in 0..300 {
        collection
            .writer()
            .upsert(&many(number..number + 1))
            .unwrap();
        let hits = found(&collection, &format!("word{number}"));
        assert_eq!(hits.len(), 1, "{number}");
        if number % 3 == 0 {
            collection.writer().delete(&[format!("d{number}")]).unwrap();
            assert!(found(&collection, &format!("word{number}")).is_empty());
        }
    }
    assert_eq!(found(&collection, "common").len(), 200);
}

#[test]
fn a_collection_without_words_has_no_files_of_them_and_refuses_to_search_by_them() {
    let folder = tempfile::tempdir().unwrap();
    let settings = CollectionSettings {
        lexical: false,
        ..CollectionSettings::default()
    };
    let mut index = open(folder.path(), 50);
    index.put_collection("bare", &settings).unwrap();
    for _ in 0..2 {
        let collection = index.collection("bare").unwrap();
        assert!(!collection.settings().lexical);
        collection.writer().upsert(&many(0..200)).unwrap();
        assert!(index.settle());
        let stats = collection.stats();
        assert_eq!(
            (stats.lexical_head_passages, stats.lexical_segments),
            (0, 0)
        );
        let words = WordQuery::new("common", WordSettings::default()).unwrap();
        let refused = collection
            .reader()
            .search(&words, &SearchOptions::default());
        assert!(matches!(refused, Err(Error::WordsNotIndexed { .. })));
        let by_vector = collection
            .reader()
            .search(&vector("x", 7), &SearchOptions::default());
        assert_eq!(by_vector.unwrap().total.value, 200);
        assert!(!folder.path().join("lexical/1").exists());
        drop(collection);
        drop(index);
        index = open(folder.path(), 50);
    }
}
