//! Segments from outside: freezing, merging, reopening and damage change no exact answer, and
//! walks over graphs find nearly everything.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use siamese_index::{
    Collection, CollectionSettings, DocumentDraft, DocumentWrite, EncoderIdentity, GraphSettings,
    Index, IndexOptions, Metadata, NewPassage, SearchOptions, SearchResults, VectorPrecision,
};

const DIMENSIONS: usize = 24;
const LIMIT: usize = 10;

/// Numbers that look random and are the same in every run (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % bound as u64) as usize
    }

    fn value(&mut self) -> f32 {
        self.below(2001) as f32 / 1000.0 - 1.0
    }

    fn vector(&mut self) -> Vec<f32> {
        let vector: Vec<f32> = (0..DIMENSIONS).map(|_| self.value()).collect();
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        vector.iter().map(|value| value / length).collect()
    }
}

fn with_precision(precision: VectorPrecision) -> CollectionSettings {
    CollectionSettings {
        graph: GraphSettings {
            precision,
            ..GraphSettings::default()
        },
        ..CollectionSettings::default()
    }
}

/// Vectors by document.
type Model = BTreeMap<String, Vec<Vec<f32>>>;

fn open(folder: &Path, max_head_passages: usize, precision: VectorPrecision) -> Index {
    let encoder = EncoderIdentity {
        id: "e".to_owned(),
        name: "n".to_owned(),
        dimensions: DIMENSIONS,
    };
    let options = IndexOptions {
        max_head_passages,
        build_threads: 2,
        default_settings: with_precision(precision),
        ..IndexOptions::default()
    };
    Index::open(folder, &encoder, &options).unwrap()
}

fn write(id: &str, vectors: &[Vec<f32>], version: usize) -> DocumentWrite {
    let passage = |vector: &Vec<f32>| NewPassage {
        start: 0,
        end: 1,
        vector: vector.clone(),
    };
    DocumentWrite {
        draft: DocumentDraft {
            id: id.to_owned(),
            title: None,
            text: format!("text {version}"),
            metadata: Metadata::new(),
        },
        passages: Some(vectors.iter().map(passage).collect()),
    }
}

/// Writes documents with random vectors, one to three each.
fn upsert(
    collection: &Collection,
    model: &mut Model,
    ids: impl Iterator<Item = usize>,
    random: &mut Random,
) {
    let mut writes = BTreeMap::new();
    for id in ids {
        let id = format!("d{id}");
        let vectors: Vec<_> = (0..1 + random.below(3)).map(|_| random.vector()).collect();
        writes.insert(id.clone(), write(&id, &vectors, random.below(1 << 30)));
        model.insert(id, vectors);
    }
    let writes: Vec<_> = writes.into_values().collect();
    collection.writer().upsert(&writes).unwrap();
}

fn delete(collection: &Collection, model: &mut Model, ids: impl Iterator<Item = usize>) {
    let ids: Vec<String> = ids.map(|id| format!("d{id}")).collect();
    collection.writer().delete(&ids).unwrap();
    ids.iter().for_each(|id| drop(model.remove(id)));
}

fn expected(model: &Model, query: &[f32]) -> Vec<(String, f32)> {
    let dot = |vector: &Vec<f32>| vector.iter().zip(query).map(|(a, b)| a * b).sum::<f32>();
    let best = |vectors: &Vec<Vec<f32>>| vectors.iter().map(dot).fold(f32::MIN, f32::max);
    let mut all: Vec<_> = model
        .iter()
        .map(|(id, vectors)| (id.clone(), best(vectors)))
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.truncate(LIMIT);
    all
}

fn search(collection: &Collection, query: &[f32], exact: bool) -> Vec<(String, f32)> {
    let options = SearchOptions {
        limit: LIMIT,
        exact,
        ..SearchOptions::default()
    };
    let results = collection.reader().search(query, &options).unwrap();
    let hits = results.hits.into_iter();
    hits.map(|hit| (hit.id, hit.score)).collect()
}

/// Exact answers must be equal; of the others, the share that walks find is returned.
fn check(collection: &Collection, model: &Model, random: &mut Random, queries: usize) -> f64 {
    assert_eq!(collection.stats().documents, model.len() as u64);
    let passages: usize = model.values().map(Vec::len).sum();
    assert_eq!(collection.stats().passages, passages as u64);
    let (mut found, mut wanted) = (0, 0);
    for _ in 0..queries {
        let query = random.vector();
        let expected = expected(model, &query);
        let exact = search(collection, &query, true);
        assert_eq!(exact.len(), expected.len());
        for ((_, score), (_, right)) in exact.iter().zip(&expected) {
            assert!((score - right).abs() < 1e-5, "{score} {right}");
        }
        let walked = search(collection, &query, false);
        assert_eq!(walked.len(), expected.len());
        let is_hit = |(id, _): &&(String, f32)| walked.iter().any(|(hit, _)| hit == id);
        found += expected.iter().filter(is_hit).count();
        wanted += expected.len();
    }
    if wanted == 0 {
        1.0
    } else {
        found as f64 / wanted as f64
    }
}

fn every_document_is_found_by_its_own_vectors(collection: &Collection, model: &Model) {
    for (id, vectors) in model {
        for vector in vectors {
            let hits = search(collection, vector, false);
            assert!(
                hits.first()
                    .is_some_and(|(hit, score)| hit == id && *score > 0.999),
                "{id}"
            );
        }
    }
}

fn segment_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for collection in fs_err::read_dir(folder.join("segments")).unwrap() {
        for file in fs_err::read_dir(collection.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "segment")
            {
                files.push(path);
            }
        }
    }
    files
}

#[test]
fn random_changes_freezes_merges_and_reopenings_equal_a_map_and_brute_force() {
    for seed in 0..6 {
        let folder = tempfile::tempdir().unwrap();
        let (mut random, mut model) = (Random(seed), Model::new());
        let precision = VectorPrecision::ALL[seed as usize % 2];
        let mut index = open(folder.path(), 60, precision);
        let mut collection = index.collection("default").unwrap();
        for _ in 0..40 {
            let some = |random: &mut Random, most: usize| -> Vec<usize> {
                (0..random.below(most)).map(|_| random.below(700)).collect()
            };
            match random.below(8) {
                0..4 => {
                    let ids = some(&mut random, 60);
                    upsert(&collection, &mut model, ids.into_iter(), &mut random);
                }
                4 => {
                    let ids = some(&mut random, 40);
                    delete(&collection, &mut model, ids.into_iter());
                }
                5 => assert!(index.settle()),
                6 => {
                    drop(collection);
                    drop(index);
                    index = open(folder.path(), 60, precision);
                    collection = index.collection("default").unwrap();
                }
                _ => {}
            }
            let recall = check(&collection, &model, &mut random, 3);
            assert!(recall > 0.9, "seed {seed}: {recall}");
        }
        assert!(index.settle());
        assert!(check(&collection, &model, &mut random, 100) > 0.98);
        every_document_is_found_by_its_own_vectors(&collection, &model);
    }
}

#[test]
fn a_walk_finds_nearly_everything_in_a_larger_collection() {
    VectorPrecision::ALL.into_iter().for_each(walks);
}

fn walks(precision: VectorPrecision) {
    let folder = tempfile::tempdir().unwrap();
    let (mut random, mut model) = (Random(7), Model::new());
    let index = open(folder.path(), 3000, precision);
    // Few candidates, so that walks are chosen over scans.
    let settings = CollectionSettings {
        graph: GraphSettings {
            ef_search: 48,
            precision,
            ..GraphSettings::default()
        },
        ..CollectionSettings::default()
    };
    let (collection, _) = index.put_collection("walked", &settings).unwrap();
    upsert(&collection, &mut model, 0..6000, &mut random);
    assert!(index.settle());
    delete(&collection, &mut model, (0..6000).filter(|id| id % 7 == 0));
    let stats = collection.stats();
    assert_eq!((stats.segments, stats.head_passages), (1, 0));
    let recall = check(&collection, &model, &mut random, 200);
    assert!(recall > 0.9, "{recall}");
    let some: Model = model.into_iter().step_by(5).collect();
    every_document_is_found_by_its_own_vectors(&collection, &some);
}

#[test]
fn a_collection_that_is_rewritten_again_and_again_does_not_grow() {
    let folder = tempfile::tempdir().unwrap();
    let (mut random, mut model) = (Random(8), Model::new());
    let index = open(folder.path(), 100, VectorPrecision::Full);
    let collection = index.collection("default").unwrap();
    for _ in 0..30 {
        upsert(&collection, &mut model, 0..200, &mut random);
        assert!(index.settle());
        let stats = collection.stats();
        let kept = stats.dead_passages + stats.passages;
        assert!(kept < 3 * 600, "{stats:?}");
        assert!(stats.segments <= 4, "{stats:?}");
    }
    let bytes: u64 = segment_files(folder.path())
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .sum();
    assert!(bytes < 1_500_000, "{bytes}");
    check(&collection, &model, &mut random, 20);
}

/// The same documents in two collections, of which some are replaced and deleted until segments have been merged.
#[test]
fn a_compact_collection_answers_to_the_last_digit_as_a_full_one() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), 100, VectorPrecision::Full);
    let collections = VectorPrecision::ALL.map(|precision| {
        let settings = with_precision(precision);
        let (collection, _) = index.put_collection(precision.name(), &settings).unwrap();
        let (mut random, mut model) = (Random(12), Model::new());
        for ids in [0..300, 250..500, 100..200, 600..601] {
            upsert(&collection, &mut model, ids, &mut random);
            assert!(index.settle());
        }
        delete(&collection, &mut model, (0..500).step_by(9));
        upsert(&collection, &mut model, 700..730, &mut random);
        assert!(collection.stats().segments > 0);
        collection
    });
    let [full, compact] = &collections;
    assert!(3 * compact.stats().segment_bytes < 4 * full.stats().segment_bytes);
    let mut random = Random(13);
    for round in 0..200 {
        let query = random.vector();
        let options = SearchOptions {
            limit: [0, 1, 10, 1000][round % 4],
            min_score: [None, Some(0.1), Some(0.4)][round % 3],
            exact: round % 2 == 0,
            exclude: vec!["d101".to_owned()],
            ..SearchOptions::default()
        };
        // A threshold that is the score of a document to the last digit.
        let at = full.reader().search(&query, &options).unwrap();
        let at = at.hits.last().map(|hit| hit.score);
        for min_score in [options.min_score, at] {
            let options = SearchOptions {
                min_score,
                ..options.clone()
            };
            let [full, compact] = [full, compact]
                .map(|collection| collection.reader().search(&query, &options).unwrap());
            let shown = |results: &SearchResults| -> Vec<(String, f32)> {
                let hits = results.hits.iter();
                hits.map(|hit| (hit.id.clone(), hit.score)).collect()
            };
            assert_eq!(shown(&full), shown(&compact), "{round}");
            if options.exact {
                assert_eq!(full.total, compact.total, "{round}");
            }
        }
    }
}

/// Damages the segment files of a closed index; every answer must stay what it was.
#[track_caller]
fn survives(damage: impl Fn(&Path, &[PathBuf])) {
    for precision in VectorPrecision::ALL {
        survives_with(precision, &damage);
    }
}

fn survives_with(precision: VectorPrecision, damage: &impl Fn(&Path, &[PathBuf])) {
    let folder = tempfile::tempdir().unwrap();
    let (mut random, mut model) = (Random(9), Model::new());
    let index = open(folder.path(), 100, precision);
    let collection = index.collection("default").unwrap();
    upsert(&collection, &mut model, 0..300, &mut random);
    assert!(index.settle());
    upsert(&collection, &mut model, 300..600, &mut random);
    delete(&collection, &mut model, 20..60);
    drop(collection);
    drop(index);
    let files = segment_files(folder.path());
    assert!(!files.is_empty());
    damage(folder.path(), &files);
    let index = open(folder.path(), 100, precision);
    let collection = index.collection("default").unwrap();
    check(&collection, &model, &mut random, 20);
    upsert(&collection, &mut model, 50..70, &mut random);
    delete(&collection, &mut model, 100..120);
    assert!(index.settle());
    assert!(collection.stats().segments > 0);
    check(&collection, &model, &mut random, 20);
    drop(collection);
    drop(index);
    let index = open(folder.path(), 100, precision);
    let collection = index.collection("default").unwrap();
    check(&collection, &model, &mut random, 20);
    every_document_is_found_by_its_own_vectors(&collection, &model);
}

#[test]
fn nothing_but_time_is_lost_when_segments_are_deleted() {
    survives(|_, files| fs_err::remove_file(&files[0]).unwrap());
    survives(|_, files| {
        files
            .iter()
            .for_each(|file| fs_err::remove_file(file).unwrap())
    });
    survives(|folder, _| fs_err::remove_dir_all(folder.join("segments")).unwrap());
}

#[test]
fn nothing_but_time_is_lost_when_segments_are_cut_short() {
    survives(|_, files| {
        let bytes = fs_err::read(&files[0]).unwrap();
        fs_err::write(&files[0], &bytes[..bytes.len() - 64]).unwrap();
    });
    survives(|_, files| fs_err::write(&files[0], b"").unwrap());
}

#[test]
fn nothing_but_time_is_lost_when_bits_are_flipped() {
    for place in [0, 9, 150, 5000, 30_000] {
        survives(|_, files| {
            let mut bytes = fs_err::read(&files[0]).unwrap();
            let place = place % bytes.len();
            bytes[place] ^= 16;
            fs_err::write(&files[0], bytes).unwrap();
        });
    }
}

#[test]
fn nothing_but_time_is_lost_when_a_manifest_is_damaged() {
    survives(|folder, _| {
        let manifest = folder.join("segments/0/manifest");
        let mut bytes = fs_err::read(&manifest).unwrap();
        bytes[6] ^= 1;
        fs_err::write(manifest, bytes).unwrap();
    });
    survives(|folder, _| fs_err::remove_file(folder.join("segments/0/manifest")).unwrap());
}

#[test]
fn segments_of_another_store_are_not_believed() {
    let [full, compact] = VectorPrecision::ALL;
    for precisions in [[full, full], [compact, compact], [full, compact]] {
        are_not_believed(precisions);
    }
}

fn are_not_believed([first, second]: [VectorPrecision; 2]) {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut random, mut model) = (Random(10), Model::new());
    for (path, precision) in [(folder.path(), first), (other.path(), second)] {
        model.clear();
        // The same vectors where precisions differ: then nothing but these is told apart.
        if first != second {
            random = Random(10);
        }
        let index = open(path, 100, precision);
        let collection = index.collection("default").unwrap();
        upsert(&collection, &mut model, 0..300, &mut random);
        assert!(index.settle());
    }
    let (from, to) = (
        folder.path().join("segments/0"),
        other.path().join("segments/0"),
    );
    fs_err::remove_dir_all(&to).unwrap();
    fs_err::rename(from, &to).unwrap();
    let index = open(other.path(), 100, second);
    assert_eq!(
        index.collection("default").unwrap().stats().head_passages,
        index.collection("default").unwrap().stats().passages
    );
    check(
        &index.collection("default").unwrap(),
        &model,
        &mut random,
        20,
    );
}

#[test]
fn a_deleted_collection_leaves_no_segments() {
    let folder = tempfile::tempdir().unwrap();
    let (mut random, mut model) = (Random(11), Model::new());
    let index = open(folder.path(), 100, VectorPrecision::Full);
    let settings = CollectionSettings::default();
    let (collection, _) = index.put_collection("gone", &settings).unwrap();
    upsert(&collection, &mut model, 0..300, &mut random);
    assert!(index.settle());
    assert!(!segment_files(folder.path()).is_empty());
    // Whoever has a handle may still read what was there.
    drop(collection);
    index.delete_collection("gone").unwrap();
    assert!(index.settle());
    assert!(segment_files(folder.path()).is_empty());
}

#[test]
fn a_folder_of_the_first_format_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1");
    fs_err::create_dir(folder.path().join("store")).unwrap();
    for file in ["siamese.data", "store/db", "store/conf"] {
        fs_err::copy(fixture.join(file), folder.path().join(file)).unwrap();
    }
    let encoder = EncoderIdentity {
        id: "e".to_owned(),
        name: "n".to_owned(),
        dimensions: 4,
    };
    for _ in 0..2 {
        let index = Index::open(folder.path(), &encoder, &IndexOptions::default()).unwrap();
        let collection = index.collection("default").unwrap();
        assert_eq!(
            (collection.stats().documents, collection.stats().passages),
            (9, 18)
        );
        assert_eq!(collection.settings(), CollectionSettings::default());
        assert_eq!(index.collection("other").unwrap().stats().documents, 0);
        let hits = collection
            .reader()
            .search(&[50.0, 1.0, 0.0, 0.0], &SearchOptions::default())
            .unwrap();
        assert_eq!(hits.hits[0].id, "d9");
        collection.writer().delete(&["d8".to_owned()]).unwrap();
        collection
            .writer()
            .upsert(&[DocumentWrite {
                draft: DocumentDraft {
                    id: "d8".to_owned(),
                    title: None,
                    text: "text".to_owned(),
                    metadata: Metadata::new(),
                },
                passages: Some(vec![
                    NewPassage {
                        start: 0,
                        end: 4,
                        vector: vec![1.0; 4]
                    };
                    2
                ]),
            }])
            .unwrap();
    }
}
