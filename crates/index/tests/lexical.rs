//! Searching by words: against brute force, under writes, freezes, merges, damage and reopening.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::json;
use siamese_index::{
    Collection, CollectionSettings, Comparison, Condition, DocumentDraft, DocumentWrite,
    EncoderIdentity, FacetRequest, FieldPath, Filter, Fusion, Index, IndexOptions, Metadata,
    NewPassage, Question, Scalar, SearchOptions, SearchResults, WordQuery,
};

const WORDS: [&str; 8] = ["red", "lamp", "Tür", "the", "a", "東", "ERR_42", "don't"];

/// One less than there are colours.
const MAX_FACET_VALUES: usize = 2;

/// A document: a title of words, passages of words, and a colour in the metadata.
#[derive(Debug, Clone)]
struct Written {
    title: Option<Vec<usize>>,
    passages: Vec<Vec<usize>>,
    colour: u8,
}

type Model = BTreeMap<String, Written>;

fn written() -> impl Strategy<Value = Written> {
    let words = || prop::collection::vec(0..WORDS.len(), 0..7);
    (
        prop::option::of(words()),
        prop::collection::vec(words(), 1..4),
        0..3_u8,
    )
        .prop_map(|(title, passages, colour)| Written {
            title,
            passages,
            colour,
        })
}

fn text(words: &[usize]) -> String {
    let words: Vec<&str> = words.iter().map(|word| WORDS[*word]).collect();
    words.join(" ")
}

fn vector(id: &str, passage: usize) -> Vec<f32> {
    let seed = id.bytes().map(f32::from).sum::<f32>() + 7.0 * passage as f32;
    vec![seed.sin(), (seed * 1.3).cos(), (seed * 0.7).sin(), 0.2]
}

fn write(id: &str, written: &Written) -> DocumentWrite {
    let (mut whole, mut passages) = (String::new(), Vec::new());
    for (number, words) in written.passages.iter().enumerate() {
        let start = whole.len();
        whole.push_str(&text(words));
        passages.push(NewPassage {
            start,
            end: whole.len(),
            vector: vector(id, number),
        });
        whole.push_str(". ");
    }
    let metadata: Metadata = serde_json::from_value(json!({"colour": written.colour})).unwrap();
    DocumentWrite {
        draft: DocumentDraft {
            id: id.to_owned(),
            title: written.title.as_deref().map(text),
            text: whole,
            metadata,
        },
        passages: Some(passages),
    }
}

fn open(folder: &Path, max_head_passages: usize) -> Index {
    let encoder = EncoderIdentity {
        id: "e".to_owned(),
        name: "n".to_owned(),
        dimensions: 4,
    };
    let options = IndexOptions {
        max_head_passages,
        ..IndexOptions::default()
    };
    Index::open(folder, &encoder, &options).unwrap()
}

fn upsert(collection: &Collection, model: &mut Model, documents: Vec<(String, Written)>) {
    let documents: Model = documents.into_iter().collect();
    let writes: Vec<_> = documents.iter().map(|(id, d)| write(id, d)).collect();
    collection.upsert(&writes).unwrap();
    model.extend(documents);
}

/// Every passage with its words, titles included.
fn passages(model: &Model) -> impl Iterator<Item = (&str, usize, Vec<usize>)> {
    model.iter().flat_map(|(id, document)| {
        let title = document.title.clone().unwrap_or_default();
        let passages = document.passages.iter().enumerate();
        passages.map(move |(number, words)| {
            (id.as_str(), number, [title.clone(), words.clone()].concat())
        })
    })
}

/// BM25 by the book: for each document with a word of the query, the scores of its passages.
fn word_scores(model: &Model, query: &[usize]) -> BTreeMap<String, Vec<f64>> {
    let all: Vec<_> = passages(model).collect();
    let (count, total) = (
        all.len() as f64,
        all.iter().map(|p| p.2.len()).sum::<usize>(),
    );
    let mut scores: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (id, _, words) in &all {
        let score: f64 = query
            .iter()
            .map(|word| {
                let having = all.iter().filter(|p| p.2.contains(word)).count() as f64;
                let often = words.iter().filter(|other| *other == word).count() as f64;
                let length = words.len() as f64 * count / (total as f64).max(1e-9);
                let rarity = (1.0 + (count - having + 0.5) / (having + 0.5)).ln();
                rarity * 2.2 * often / (often + 1.2 * (0.25 + 0.75 * length)).max(1e-9)
            })
            .sum();
        scores.entry((*id).to_owned()).or_default().push(score);
    }
    scores.retain(|_, passages| passages.iter().any(|score| *score > 0.0));
    scores
}

fn best(scores: &[f64]) -> f64 {
    scores.iter().copied().fold(f64::MIN, f64::max)
}

fn cosine(id: &str, document: &Written, query: &[f32]) -> f64 {
    let of = |passage| {
        let vector = vector(id, passage);
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        dot(&vector, query) / (dot(&vector, &vector) * dot(query, query)).sqrt()
    };
    best(&(0..document.passages.len()).map(of).collect::<Vec<_>>())
}

#[derive(Debug, Clone)]
struct Asked {
    words: Vec<usize>,
    limit: usize,
    min_score: Option<f32>,
    below: Option<u8>,
    alpha: Option<f32>,
}

fn asked() -> impl Strategy<Value = Asked> {
    (
        prop::collection::vec(0..WORDS.len(), 0..4),
        1..12_usize,
        prop::option::of(0.0..1.0_f32),
        prop::option::of(0..4_u8),
        prop::option::of(0.0..1.0_f32),
    )
        .prop_map(|(words, limit, min_score, below, alpha)| Asked {
            words,
            limit,
            min_score,
            below,
            alpha,
        })
}

impl Asked {
    fn options(&self) -> SearchOptions {
        let colour = || FieldPath::parse("colour").unwrap();
        let filter = self.below.map(|below| {
            let below = Scalar::of(&json!(below)).unwrap();
            Filter::Field(colour(), Condition::Compares(Comparison::Less, below))
        });
        SearchOptions {
            limit: self.limit,
            min_score: self.min_score,
            filter,
            facets: FacetRequest {
                paths: vec![colour()],
                max_values: MAX_FACET_VALUES,
            },
            exact: true,
            ..SearchOptions::default()
        }
    }

    fn passes(&self, document: &Written) -> bool {
        self.below.is_none_or(|below| document.colour < below)
    }
}

/// Total and facets are those of these documents.
fn check_counts(results: &SearchResults, model: &Model, expected: &BTreeSet<&str>) {
    assert!(results.total.exact);
    assert_eq!(results.total.value as usize, expected.len());
    let mut colours: BTreeMap<u8, u64> = BTreeMap::new();
    for id in expected {
        *colours.entry(model[*id].colour).or_default() += 1;
    }
    let mut colours: Vec<(u8, u64)> = colours.into_iter().collect();
    colours.sort_by_key(|(colour, count)| (std::cmp::Reverse(*count), *colour));
    let rest = colours.split_off(colours.len().min(MAX_FACET_VALUES));
    let colours = colours.into_iter();
    let colours = colours.map(|(colour, count)| (Scalar::of(&json!(colour)).unwrap(), count));
    let counted = results.facets[0].values.iter();
    let counted = counted.map(|facet| (facet.value.clone(), facet.count));
    assert_eq!(counted.collect::<Vec<_>>(), colours.collect::<Vec<_>>());
    // Each document has one colour.
    let other: u64 = rest.iter().map(|(_, count)| count).sum();
    assert_eq!(results.facets[0].other, other);
}

fn check_words(collection: &Collection, model: &Model, asked: &Asked) {
    let query = WordQuery::new(&text(&asked.words)).unwrap();
    let scores = word_scores(model, &asked.words);
    let min = asked.min_score.map(f64::from);
    if min.is_some_and(|min| scores.values().any(|s| (best(s) - min).abs() < 1e-4)) {
        return;
    }
    let mut expected: Vec<(&str, f64)> = scores
        .iter()
        .filter(|(id, _)| asked.passes(&model[*id]))
        .map(|(id, scores)| (id.as_str(), best(scores)))
        .filter(|(_, score)| min.is_none_or(|min| *score >= min))
        .collect();
    expected.sort_by(|a, b| b.1.total_cmp(&a.1));
    let results = collection.search(&query, &asked.options()).unwrap();
    check_counts(
        &results,
        model,
        &expected.iter().map(|(id, _)| *id).collect(),
    );
    assert_eq!(results.hits.len(), expected.len().min(asked.limit));
    let hits: Vec<_> = results.hits.iter().collect();
    let passages = collection.best_passages_by_words(&hits, &query, 2).unwrap();
    for ((hit, passages), (_, score)) in hits.iter().zip(&passages).zip(&expected) {
        assert!(
            (f64::from(hit.score) - score).abs() < 1e-4,
            "{} {score}",
            hit.score
        );
        let mut own = scores[&hit.document.id].clone();
        own.retain(|score| *score > 0.0);
        own.sort_by(|a, b| b.total_cmp(a));
        assert_eq!(passages.len(), own.len().min(2));
        for (passage, score) in passages.iter().zip(own) {
            assert!((f64::from(passage.score) - score).abs() < 1e-4);
        }
        assert_eq!(passages[0].passage.start, hit.passage.start);
        check_matches(&query, &hit.document.text, asked);
    }
}

fn check_matches(query: &WordQuery, text: &str, asked: &Asked) {
    for range in query.matches(text) {
        let word = text.get(range).unwrap();
        let wanted = asked.words.iter().map(|word| WORDS[*word]);
        assert!(wanted.into_iter().any(|wanted| wanted == word), "{word}");
    }
}

/// Fewer documents than the lists of both sides hold, so everything is ranked by both.
fn check_both(collection: &Collection, model: &Model, asked: &Asked) {
    let direction = [0.3, -0.2, 0.9, 0.1];
    let query = WordQuery::new(&text(&asked.words)).unwrap();
    let min = asked.min_score.map(f64::from);
    let cosines: BTreeMap<&str, f64> = model
        .iter()
        .filter(|(_, document)| asked.passes(document))
        .map(|(id, document)| (id.as_str(), cosine(id, document, &direction)))
        .collect();
    if min.is_some_and(|min| cosines.values().any(|cosine| (cosine - min).abs() < 1e-4)) {
        return;
    }
    let question = Question::Both {
        vector: &direction,
        words: &query,
        fusion: match asked.alpha {
            Some(alpha) => Fusion::Weighted { alpha },
            None => Fusion::ReciprocalRank,
        },
    };
    let results = collection.search(question, &asked.options()).unwrap();
    let reaches = |cosine: &f64| min.is_none_or(|min| *cosine >= min);
    let expected: BTreeSet<&str> = cosines
        .iter()
        .filter(|(_, cosine)| reaches(cosine))
        .map(|(id, _)| *id)
        .collect();
    check_counts(&results, model, &expected);
    assert_eq!(results.hits.len(), expected.len().min(asked.limit));
    let words = word_scores(model, &asked.words);
    let word_score = |id: &str| words.get(id).map_or(0.0, |scores| best(scores));
    let passing: BTreeMap<&str, f64> = cosines
        .keys()
        .map(|id| (*id, word_score(id)))
        .filter(|(_, score)| *score > 0.0)
        .collect();
    // The least and the greatest that the score may be.
    let fused = |id: &str| match asked.alpha {
        None => {
            let (semantic, lexical) = (reciprocal(&cosines, id), reciprocal(&passing, id));
            (semantic.0 + lexical.0, semantic.1 + lexical.1)
        }
        Some(alpha) => {
            let of = |score: &dyn Fn(&str) -> f64| scaled(&expected, score, id);
            let alpha = f64::from(alpha);
            let score = alpha * of(&|id| cosines[id]) + (1.0 - alpha) * of(&word_score);
            (score, score)
        }
    };
    // Weighted scores amplify what scaling divides by a small span.
    let tolerance = if asked.alpha.is_some() { 5e-3 } else { 1e-5 };
    let mut last = f64::MAX;
    for hit in &results.hits {
        let (id, score) = (hit.document.id.as_str(), f64::from(hit.score));
        let scores = hit.scores.unwrap();
        assert!((f64::from(scores.semantic) - cosines[id]).abs() < 1e-4);
        assert!((f64::from(scores.lexical) - word_score(id)).abs() < 1e-4);
        let (least, greatest) = fused(id);
        assert!(
            score > least - tolerance && score < greatest + tolerance,
            "{score} {least} {greatest}"
        );
        assert!(score <= last);
        last = score;
    }
    let hits: Vec<&str> = results
        .hits
        .iter()
        .map(|hit| hit.document.id.as_str())
        .collect();
    for id in expected.iter().filter(|id| !hits.contains(id)) {
        assert!(fused(id).0 < last + tolerance);
    }
}

fn scaled(all: &BTreeSet<&str>, score: &dyn Fn(&str) -> f64, id: &str) -> f64 {
    let scores: Vec<f64> = all.iter().map(|id| score(id)).collect();
    let (min, max) = (
        scores.iter().copied().fold(f64::MAX, f64::min),
        best(&scores),
    );
    if max - min > 1e-9 {
        (score(id) - min) / (max - min)
    } else {
        f64::from(u8::from(max > 0.0))
    }
}

/// `1 / (60 + rank)`, the least and the greatest: documents with equal scores share their ranks.
fn reciprocal(scores: &BTreeMap<&str, f64>, id: &str) -> (f64, f64) {
    let Some(own) = scores.get(id) else {
        return (0.0, 0.0);
    };
    let before = scores.values().filter(|score| **score > own + 1e-5).count() as f64;
    let up_to = scores.values().filter(|score| **score > own - 1e-5).count() as f64;
    (1.0 / (60.0 + up_to), 1.0 / (61.0 + before))
}

#[derive(Debug, Clone)]
enum Operation {
    Upsert(Vec<(u8, Written)>),
    Delete(Vec<u8>),
    Recolour(u8, u8),
    Settle,
    Reopen,
    LoseFiles,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => prop::collection::vec((0..25_u8, written()), 1..5).prop_map(Operation::Upsert),
        2 => prop::collection::vec(0..25_u8, 0..5).prop_map(Operation::Delete),
        1 => (0..25_u8, 0..3_u8).prop_map(|(id, colour)| Operation::Recolour(id, colour)),
        2 => Just(Operation::Settle),
        1 => Just(Operation::Reopen),
        1 => Just(Operation::LoseFiles),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn words_totals_and_facets_equal_brute_force(
        steps in prop::collection::vec((operation(), asked()), 1..25)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (mut index, mut model) = (Some(open(folder.path(), 6)), Model::new());
        let mut collection = index.as_ref().unwrap().collection("default").unwrap();
        for (operation, asked) in steps {
            let id = |id: &u8| format!("d{id}");
            match operation {
                Operation::Upsert(documents) => {
                    let documents = documents.into_iter();
                    let documents = documents.map(|(n, written)| (id(&n), written)).collect();
                    upsert(&collection, &mut model, documents);
                }
                Operation::Delete(ids) => {
                    let ids: Vec<String> = ids.iter().map(id).collect();
                    collection.delete(&ids).unwrap();
                    model.retain(|id, _| !ids.contains(id));
                }
                Operation::Recolour(n, colour) => {
                    let patch: Metadata = serde_json::from_value(json!({"colour": colour})).unwrap();
                    collection.patch_metadata(&id(&n), &patch).unwrap();
                    if let Some(document) = model.get_mut(&id(&n)) {
                        document.colour = colour;
                    }
                }
                Operation::Settle => prop_assert!(index.as_ref().unwrap().settle()),
                Operation::Reopen | Operation::LoseFiles => {
                    drop(collection);
                    drop(index.take());
                    if matches!(operation, Operation::LoseFiles) {
                        let _ = fs_err::remove_dir_all(folder.path().join("lexical"));
                    }
                    index = Some(open(folder.path(), 6));
                    collection = index.as_ref().unwrap().collection("default").unwrap();
                }
            }
            check_words(&collection, &model, &asked);
            check_both(&collection, &model, &asked);
        }
    }
}

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
    let query = WordQuery::new(text).unwrap();
    let options = SearchOptions {
        limit: 1000,
        ..SearchOptions::default()
    };
    let results = collection.search(&query, &options).unwrap();
    assert_eq!(results.total.value as usize, results.hits.len());
    let hits = results.hits.into_iter();
    hits.map(|hit| (hit.document.id, hit.score)).collect()
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
    collection.upsert(&many(0..300)).unwrap();
    assert!(index.settle());
    collection.upsert(&many(300..390)).unwrap();
    let gone: Vec<String> = (20..60).map(|number| format!("d{number}")).collect();
    collection.delete(&gone).unwrap();
    let questions = ["often common", "word7", "word25", "word350 often"];
    let before = questions.map(|text| found(&collection, text));
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
        assert_eq!(questions.map(|text| found(&collection, text)), before);
        assert!(index.settle());
        assert_eq!(questions.map(|text| found(&collection, text)), before);
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
        collection.upsert(&many(range)).unwrap();
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
        collection.upsert(&writes).unwrap();
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
    collection.upsert(&many(0..100)).unwrap();
    assert!(index.settle());
    assert!(folder.path().join("lexical/1").is_dir());
    index.delete_collection("gone").unwrap();
    assert!(!folder.path().join("lexical/1").exists());
}

#[test]
fn what_was_written_is_found_while_segments_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), 20);
    let collection = index.collection("default").unwrap();
    for number in 0..300 {
        collection.upsert(&many(number..number + 1)).unwrap();
        let hits = found(&collection, &format!("word{number}"));
        assert_eq!(hits.len(), 1, "{number}");
        if number % 3 == 0 {
            collection.delete(&[format!("d{number}")]).unwrap();
            assert!(found(&collection, &format!("word{number}")).is_empty());
        }
    }
    assert_eq!(found(&collection, "common").len(), 200);
}
