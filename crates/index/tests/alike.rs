//! Comparing documents with each other finds what brute force over stored vectors finds.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]

mod support;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use serde_json::json;
use siamese_index::{
    AlikeMode, AlikeOptions, AlikeScope, Cancel, ClusterForm, ClusterOptions, Collection,
    Condition, DocumentDraft, DocumentWrite, Error, FieldPath, Filter, Index, IndexOptions,
    NewPassage, Progress, Scalar, VectorPrecision, Workers, cosine, normalized,
};
use support::{DIMENSIONS, Dice, open, open_with};

/// What is compared, as brute force sees it.
struct Known {
    id: String,
    tag: usize,
    /// Start of each passage and its vector of length 1.
    passages: Vec<(usize, Vec<f32>)>,
}

/// Few directions with a little noise, so that there are copies, near copies and strangers.
fn known(documents: usize) -> Vec<Known> {
    let mut dice = Dice(7);
    let directions: Vec<Vec<f32>> = (0..documents / 3 + 1)
        .map(|_| {
            (0..DIMENSIONS)
                .map(|_| dice.below(2001) as f32 - 1000.5)
                .collect()
        })
        .collect();
    let mut passage = |n: usize| {
        let direction = &directions[dice.below(directions.len())];
        let noise = [0, 0, 40, 400][dice.below(4)];
        let vector = direction
            .iter()
            .map(|value| value + dice.below(noise + 1) as f32);
        (n, normalized(&vector.collect::<Vec<_>>()))
    };
    let documents = 0..documents;
    let document = documents.map(|n| Known {
        id: format!("d{n}"),
        tag: n % 3,
        passages: (0..1 + n % 4 / 2).map(&mut passage).collect(),
    });
    document.collect()
}

fn stored(folder: &std::path::Path, known: &[Known]) -> Index {
    stored_with(folder, known, VectorPrecision::Full)
}

fn stored_with(folder: &std::path::Path, known: &[Known], precision: VectorPrecision) -> Index {
    let index = open_with(folder, precision).unwrap();
    let collection = index.collection("default").unwrap();
    for batch in known.chunks(7) {
        let writes = batch.iter().map(|document| DocumentWrite {
            passages: Some(document.passages.iter().map(stored_passage).collect()),
            draft: DocumentDraft {
                id: document.id.clone(),
                title: None,
                text: "some text".to_owned(),
                metadata: serde_json::from_value(json!({ "tag": document.tag })).unwrap(),
            },
        });
        collection
            .writer()
            .upsert(&writes.collect::<Vec<_>>())
            .unwrap();
    }
    drop(collection);
    index
}

fn stored_passage((start, vector): &(usize, Vec<f32>)) -> NewPassage {
    NewPassage {
        start: *start,
        end: start + 1,
        vector: vector.clone(),
    }
}

fn options(min_score: f32) -> AlikeOptions {
    AlikeOptions {
        min_score,
        scope: AlikeScope::Documents,
        mode: AlikeMode::Exact,
        filter: None,
        between: None,
        top_k_per_document: None,
        limit: usize::MAX,
        workers: Workers::new(NonZeroUsize::new(2).unwrap()),
    }
}

fn tag(tag: usize) -> Filter {
    let field = FieldPath::parse("tag").unwrap();
    Filter::Field(field, Condition::one_of([Scalar::of(&json!(tag)).unwrap()]))
}

/// Pairs as ids, spans where there are some, and scores.
type Shown = Vec<(String, Option<usize>, String, Option<usize>, f32)>;

fn found(collection: &Collection, options: &AlikeOptions) -> (Shown, u64) {
    let (cancel, progress) = (Cancel::default(), Progress::default());
    let alike = collection
        .reader()
        .alike(options, &cancel, &progress)
        .unwrap();
    assert_eq!(Some(progress.done()), progress.total().or(Some(0)));
    let mut sides = collection.reader().alike_sides();
    let shown = alike.pairs.iter().map(|pair| {
        let [a, b] = sides.read(pair).unwrap().unwrap();
        let start = |span: Option<std::ops::Range<usize>>| span.map(|span| span.start);
        (a.id, start(a.span), b.id, start(b.span), pair.score)
    });
    (shown.collect(), alike.total)
}

fn mean(document: &Known) -> Vec<f32> {
    if let [(_, vector)] = &document.passages[..] {
        return vector.clone();
    }
    let mut mean = vec![0.0; DIMENSIONS];
    for (_, vector) in &document.passages {
        mean.iter_mut()
            .zip(vector)
            .for_each(|(mean, value)| *mean += value);
    }
    let scale = 1.0 / document.passages.len() as f32;
    mean.iter_mut().for_each(|value| *value *= scale);
    normalized(&mean)
}

/// By brute force, best first.
fn expected(
    known: &[Known],
    scope: AlikeScope,
    min_score: f32,
    admits: impl Fn(&Known, &Known) -> bool,
) -> Shown {
    let mut pairs = Vec::new();
    for (place, a) in known.iter().enumerate() {
        for b in known[place + 1..].iter().filter(|b| admits(a, b)) {
            let mut offer = |at: Option<usize>, bt: Option<usize>, score: f32| {
                if score >= min_score {
                    pairs.push((a.id.clone(), at, b.id.clone(), bt, score));
                }
            };
            match scope {
                AlikeScope::Documents => offer(None, None, cosine(&mean(a), &mean(b))),
                AlikeScope::Passages => {
                    for (start, vector) in &a.passages {
                        for (other, other_vector) in &b.passages {
                            offer(Some(*start), Some(*other), cosine(vector, other_vector));
                        }
                    }
                }
            }
        }
    }
    pairs.sort_by(|one, other| other.4.total_cmp(&one.4));
    pairs
}

fn sorted(mut shown: Shown) -> Vec<String> {
    shown.sort_by(|one, other| other.4.total_cmp(&one.4));
    let mut lines: Vec<String> = shown.iter().map(|pair| format!("{pair:?}")).collect();
    lines.sort();
    lines
}

#[test]
fn pairs_of_documents_and_of_passages_are_those_of_brute_force() {
    let folder = tempfile::tempdir().unwrap();
    let known = known(300);
    let index = stored(folder.path(), &known);
    let collection = index.collection("default").unwrap();
    for scope in [AlikeScope::Documents, AlikeScope::Passages] {
        for min_score in [0.5, 0.99, 1.0] {
            let options = AlikeOptions {
                scope,
                ..options(min_score)
            };
            let (pairs, total) = found(&collection, &options);
            let expected = expected(&known, scope, min_score, |_, _| true);
            assert!(expected.len() > 10);
            assert_eq!(total, expected.len() as u64);
            assert!(pairs.is_sorted_by(|one, other| one.4 >= other.4));
            assert_eq!(sorted(pairs), sorted(expected));
        }
    }
}

#[test]
fn pairs_and_groups_of_a_compact_collection_are_those_of_the_vectors_in_the_record() {
    let (folder, known) = (tempfile::tempdir().unwrap(), known(300));
    let compact = stored_with(folder.path(), &known, VectorPrecision::Compact);
    assert!(compact.settle());
    let collection = compact.collection("default").unwrap();
    let stats = collection.stats();
    assert!(stats.segments > 0 && stats.head_passages < 16);
    let full_folder = tempfile::tempdir().unwrap();
    let full = stored(full_folder.path(), &known);
    let full = full.collection("default").unwrap();
    for scope in [AlikeScope::Documents, AlikeScope::Passages] {
        let exact = AlikeOptions {
            scope,
            ..options(0.9)
        };
        let approximate = AlikeOptions {
            mode: AlikeMode::Approximate,
            ..exact.clone()
        };
        let expected = sorted(expected(&known, scope, 0.9, |_, _| true));
        assert_eq!(sorted(found(&collection, &exact).0), expected);
        let near = sorted(found(&collection, &approximate).0);
        assert!(near.iter().all(|pair| expected.contains(pair)));
        assert!(near.len() * 10 > expected.len() * 9);
    }
    for form in [ClusterForm::Components, ClusterForm::Communities] {
        assert_eq!(clusters(&collection, form, 0.9), clusters(&full, form, 0.9));
    }
}

#[test]
fn vectors_are_read_for_a_comparison_only_where_there_is_room_for_them() {
    let (folder, known) = (tempfile::tempdir().unwrap(), known(300));
    let index = stored_with(folder.path(), &known, VectorPrecision::Compact);
    assert!(index.settle());
    let used = index.memory().used_bytes;
    drop(index);
    let open = |max_memory_bytes| {
        let options = IndexOptions {
            max_memory_bytes: Some(max_memory_bytes),
            max_head_passages: 16,
            ..IndexOptions::default()
        };
        Index::open(folder.path(), &support::encoder(DIMENSIONS), &options).unwrap()
    };
    let passages: usize = known.iter().map(|known| known.passages.len()).sum();
    let vectors = (passages * DIMENSIONS * 4) as u64;
    for (max, has_room) in [(used + vectors / 2, false), (2 * used + vectors, true)] {
        let index = open(max);
        let collection = index.collection("default").unwrap();
        for _ in 0..2 {
            let alike =
                collection
                    .reader()
                    .alike(&options(0.9), &Cancel::default(), &Progress::default());
            match alike {
                Ok(_) => assert!(has_room),
                Err(error) => {
                    assert!(
                        !has_room && matches!(error, Error::MemoryFull { .. }),
                        "{error}"
                    );
                }
            }
        }
        assert!(!index.memory().is_full);
        assert!(index.memory().used_bytes < max);
    }
}

#[test]
fn a_filter_and_two_parts_limit_what_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    let known = known(200);
    let index = stored(folder.path(), &known);
    let collection = index.collection("default").unwrap();
    for scope in [AlikeScope::Documents, AlikeScope::Passages] {
        let filtered = AlikeOptions {
            scope,
            filter: Some(tag(1)),
            ..options(0.6)
        };
        let (pairs, _) = found(&collection, &filtered);
        let both = expected(&known, scope, 0.6, |a, b| a.tag == 1 && b.tag == 1);
        assert_eq!(sorted(pairs), sorted(both));
        let between = AlikeOptions {
            scope,
            between: Some((tag(0), tag(2))),
            ..options(0.6)
        };
        let (pairs, _) = found(&collection, &between);
        let across = expected(&known, scope, 0.6, |a, b| {
            (a.tag, b.tag) == (0, 2) || (a.tag, b.tag) == (2, 0)
        });
        assert_eq!(sorted(pairs), sorted(across));
        // Parts that overlap: every pair once, and no document with itself.
        let overlapping = AlikeOptions {
            scope,
            between: Some((tag(0), Filter::Not(Box::new(tag(2))))),
            ..options(0.6)
        };
        let (pairs, _) = found(&collection, &overlapping);
        let once = expected(&known, scope, 0.6, |a, b| {
            (a.tag == 0 || b.tag == 0) && a.tag != 2 && b.tag != 2
        });
        assert_eq!(sorted(pairs), sorted(once));
    }
}

#[test]
fn a_limit_keeps_the_best_and_counts_all() {
    let folder = tempfile::tempdir().unwrap();
    let known = known(300);
    let index = stored(folder.path(), &known);
    let collection = index.collection("default").unwrap();
    let (all, total) = found(&collection, &options(0.2));
    for limit in [0, 1, 10, all.len() - 1] {
        let limited = AlikeOptions {
            limit,
            ..options(0.2)
        };
        assert_eq!(found(&collection, &limited), (all[..limit].to_vec(), total));
    }
}

#[test]
fn only_the_best_pairs_of_each_document_are_left_when_few_are_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let known = known(120);
    let index = stored(folder.path(), &known);
    let collection = index.collection("default").unwrap();
    let (all, _) = found(&collection, &options(0.3));
    let few = AlikeOptions {
        top_k_per_document: NonZeroUsize::new(2),
        ..options(0.3)
    };
    let (left, total) = found(&collection, &few);
    // All pairs are in order, so the first two of a document are its best.
    let mut seen = std::collections::BTreeMap::<&str, usize>::new();
    let expected: Shown = all
        .iter()
        .filter(|(a, _, b, _, _)| {
            let mut is_wanted = false;
            for id in [a, b] {
                let count = seen.entry(id).or_default();
                *count += 1;
                is_wanted |= *count <= 2;
            }
            is_wanted
        })
        .cloned()
        .collect();
    assert!(expected.len() < all.len() / 2);
    assert_eq!(left, expected);
    assert_eq!(total, expected.len() as u64);
}

#[test]
fn an_approximate_comparison_finds_most_pairs_and_invents_none() {
    let folder = tempfile::tempdir().unwrap();
    let known = known(400);
    let index = stored(folder.path(), &known);
    let collection = index.collection("default").unwrap();
    for scope in [AlikeScope::Documents, AlikeScope::Passages] {
        let (exact, _) = found(
            &collection,
            &AlikeOptions {
                scope,
                ..options(0.9)
            },
        );
        let approximate = AlikeOptions {
            scope,
            mode: AlikeMode::Approximate,
            ..options(0.9)
        };
        let (near, _) = found(&collection, &approximate);
        let exact: BTreeSet<String> = sorted(exact).into_iter().collect();
        let near: BTreeSet<String> = sorted(near).into_iter().collect();
        assert!(near.is_subset(&exact));
        assert!(
            near.len() * 10 >= exact.len() * 8,
            "{} of {}",
            near.len(),
            exact.len()
        );
    }
}

#[test]
fn approximately_all_copies_of_a_text_are_found_when_there_are_more_than_are_looked_for_at_first() {
    let folder = tempfile::tempdir().unwrap();
    let known: Vec<Known> = (0..150)
        .map(|n| {
            let mut vector = [0.0; DIMENSIONS];
            // Copies, and three that have nothing in common with them.
            vector[if n % 50 == 0 { 1 + n / 50 } else { 0 }] = 1.0;
            Known {
                id: format!("d{n}"),
                tag: 0,
                passages: vec![(0, vector.to_vec())],
            }
        })
        .collect();
    let index = stored(folder.path(), &known);
    let collection = index.collection("default").unwrap();
    let mut approximate = AlikeOptions {
        mode: AlikeMode::Approximate,
        ..options(0.9)
    };
    assert_eq!(found(&collection, &approximate).1, 147 * 146 / 2);
    approximate.top_k_per_document = NonZeroUsize::new(5);
    assert!(found(&collection, &approximate).1 <= 147 * 5);
}

#[test]
fn a_document_that_is_replaced_or_deleted_is_in_no_pair_that_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let known = known(60);
    let index = stored(folder.path(), &known);
    let collection = index.collection("default").unwrap();
    let (cancel, progress) = (Cancel::default(), Progress::default());
    let alike = collection
        .reader()
        .alike(&options(0.5), &cancel, &progress)
        .unwrap();
    let mut sides = collection.reader().alike_sides();
    let [a, _] = sides.read(&alike.pairs[0]).unwrap().unwrap();
    collection
        .writer()
        .delete(std::slice::from_ref(&a.id))
        .unwrap();
    let mut sides = collection.reader().alike_sides();
    assert_eq!(sides.read(&alike.pairs[0]).unwrap(), None);
    let (pairs, _) = found(&collection, &options(-1.0));
    assert!(pairs.iter().all(|pair| pair.0 != a.id && pair.2 != a.id));
}

#[test]
fn none_and_one_document_make_no_pairs_and_a_cancelled_comparison_ends() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path()).unwrap();
    let collection = index.collection("default").unwrap();
    assert_eq!(found(&collection, &options(-1.0)), (Vec::new(), 0));
    drop((collection, index));
    let known = known(1);
    let index = stored(folder.path(), &known);
    let collection = index.collection("default").unwrap();
    assert_eq!(found(&collection, &options(-1.0)), (Vec::new(), 0));
    let cancel = Cancel::default();
    cancel.cancel();
    for document in ["x", "y"] {
        let write = support::document(document.len(), 1);
        collection.writer().upsert(&[write]).unwrap();
    }
    let ended = collection
        .reader()
        .alike(&options(-1.0), &cancel, &Progress::default());
    assert!(matches!(ended, Err(Error::Cancelled)));
}

fn clusters(collection: &Collection, form: ClusterForm, min_score: f32) -> Vec<Vec<(String, f32)>> {
    let options = ClusterOptions {
        min_score,
        form,
        min_size: 2,
        filter: None,
        workers: Workers::new(NonZeroUsize::new(2).unwrap()),
    };
    let (cancel, progress) = (Cancel::default(), Progress::default());
    let clusters = collection
        .reader()
        .clusters(&options, &cancel, &progress)
        .unwrap();
    let member = |member: &siamese_index::ClusterMember| {
        (
            collection.reader().read_member(member).unwrap().unwrap(),
            member.score,
        )
    };
    let shown = clusters.clusters.iter();
    shown
        .map(|cluster| cluster.members.iter().map(member).collect())
        .collect()
}

#[test]
fn components_are_what_pairs_join_and_their_medoids_are_nearest_to_all() {
    let folder = tempfile::tempdir().unwrap();
    let known = known(200);
    let index = stored(folder.path(), &known);
    let collection = index.collection("default").unwrap();
    let shown = clusters(&collection, ClusterForm::Components, 0.9);
    assert!(shown.is_sorted_by(|one, other| one.len() >= other.len()));
    let (pairs, _) = found(&collection, &options(0.9));
    // By spreading marks along pairs until nothing changes.
    let mut mark: std::collections::BTreeMap<&str, usize> = known
        .iter()
        .enumerate()
        .map(|(n, known)| (known.id.as_str(), n))
        .collect();
    for _ in 0..known.len() {
        for (a, _, b, _, _) in &pairs {
            let least = mark[a.as_str()].min(mark[b.as_str()]);
            mark.insert(a, least);
            mark.insert(b, least);
        }
    }
    let mut expected = std::collections::BTreeMap::<usize, BTreeSet<&str>>::new();
    for (id, mark) in mark {
        expected.entry(mark).or_default().insert(id);
    }
    let mut expected: Vec<BTreeSet<&str>> =
        expected.into_values().filter(|ids| ids.len() > 1).collect();
    let mut ids: Vec<BTreeSet<&str>> = shown
        .iter()
        .map(|members| members.iter().map(|(id, _)| id.as_str()).collect())
        .collect();
    expected.sort();
    ids.sort();
    assert!(expected.len() > 10);
    assert_eq!(ids, expected);
    let vector = |id: &str| mean(known.iter().find(|known| known.id == id).unwrap());
    for members in &shown {
        let sum = |id: &str| -> f64 {
            let own = vector(id);
            members
                .iter()
                .map(|(other, _)| f64::from(cosine(&own, &vector(other))))
                .sum()
        };
        let best = members
            .iter()
            .map(|(id, _)| sum(id))
            .fold(f64::MIN, f64::max);
        assert!(sum(&members[0].0) > best - 1e-4);
        assert_eq!(members[0].1, 1.0);
        assert!(members.is_sorted_by(|one, other| one.1 >= other.1));
        for (id, score) in members {
            assert_eq!(*score, cosine(&vector(&members[0].0), &vector(id)));
        }
    }
}

#[test]
fn of_a_community_all_are_alike_to_one_and_no_document_is_in_two() {
    let folder = tempfile::tempdir().unwrap();
    let known = known(200);
    let index = stored(folder.path(), &known);
    let collection = index.collection("default").unwrap();
    let shown = clusters(&collection, ClusterForm::Communities, 0.9);
    let vector = |id: &str| mean(known.iter().find(|known| known.id == id).unwrap());
    let mut seen = BTreeSet::new();
    for members in &shown {
        // The centre may have been taken out by a larger community, so it is any document.
        let is_centre = |centre: &Known| {
            let centre = mean(centre);
            members
                .iter()
                .all(|(id, _)| cosine(&centre, &vector(id)) >= 0.9)
        };
        assert!(known.iter().any(is_centre));
        assert!(members.iter().all(|(id, _)| seen.insert(id.clone())));
    }
    assert!(seen.len() > 50);
}
