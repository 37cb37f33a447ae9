//! Page after page of one search, with writes between them.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;
use siamese_index::{
    Collection, Condition, DocumentDraft, DocumentWrite, EncoderIdentity, FieldPath, Filter,
    Fusion, HitSet, Index, IndexOptions, Moment, NewPassage, Query, Scalar, SearchOptions,
    SearchResults, WordQuery, WordSettings,
};

const DOCUMENTS: usize = 150;
const WORDS: [&str; 5] = ["red", "lamp", "door", "the", "a"];

/// All that a document is follows from its number and version.
fn document(number: usize, version: usize) -> DocumentWrite {
    let seed = (number * 31 + version * 17) as f32;
    let words = (0..1 + (number + version) % 4).map(|n| WORDS[(number * 7 + version + n * n) % 5]);
    let text = format!("v{version} lamp {}", words.collect::<Vec<_>>().join(" "));
    let passage = NewPassage {
        start: 0,
        end: text.len(),
        vector: vec![seed.sin(), (seed * 1.3).cos(), (seed * 0.7).sin(), 0.2],
    };
    let metadata = json!({"odd": number % 2 == 1});
    DocumentWrite {
        draft: DocumentDraft {
            id: format!("d{number}"),
            title: None,
            text,
            metadata: serde_json::from_value(metadata).unwrap(),
        },
        passages: Some(vec![passage]),
    }
}

#[derive(Debug, Clone)]
enum Write {
    /// New documents, some of which are nearer to the query than all that were there.
    Add(usize),
    Replace(usize),
    Patch(usize),
    Delete(usize),
    Settle,
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        (1..20_usize).prop_map(Write::Add),
        (0..DOCUMENTS).prop_map(Write::Replace),
        (0..DOCUMENTS).prop_map(Write::Patch),
        (0..DOCUMENTS).prop_map(Write::Delete),
        Just(Write::Settle),
    ]
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Semantic,
    Exact,
    Threshold,
    Lexical,
    Hybrid,
    Weighted,
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![
        Just(Way::Semantic),
        Just(Way::Exact),
        Just(Way::Threshold),
        Just(Way::Lexical),
        Just(Way::Hybrid),
        Just(Way::Weighted),
    ]
}

struct Reader<'a> {
    collection: &'a Collection,
    way: Way,
    filter: Option<Filter>,
    moment: Option<Moment>,
    shown: HitSet,
}

impl Reader<'_> {
    fn page(&mut self, limit: usize) -> SearchResults {
        let vector = [0.4, -0.3, 0.8, 0.1];
        let words = WordQuery::new("red lamp the", WordSettings::default()).unwrap();
        let both = |fusion| Query::hybrid(&vector, &words, fusion);
        let query = match self.way {
            Way::Semantic | Way::Exact | Way::Threshold => Query::from(&vector),
            Way::Lexical => Query::from(&words),
            Way::Hybrid => both(Fusion::ReciprocalRank),
            Way::Weighted => both(Fusion::Weighted { alpha: 0.4 }),
        };
        let options = SearchOptions {
            limit,
            exact: matches!(self.way, Way::Exact),
            min_score: matches!(self.way, Way::Threshold).then_some(0.1),
            filter: self.filter.clone(),
            moment: self.moment,
            skip: self.shown.clone(),
            ef: Some(4),
            ..SearchOptions::default()
        };
        let results = self.collection.reader().search(query, &options).unwrap();
        self.moment = Some(results.moment);
        results.hits.iter().for_each(|hit| self.shown.insert(hit));
        results
    }
}

fn open(folder: &std::path::Path) -> Index {
    let encoder = EncoderIdentity {
        id: "e".to_owned(),
        name: "n".to_owned(),
        dimensions: 4,
    };
    let options = IndexOptions {
        max_head_passages: 40,
        ..IndexOptions::default()
    };
    Index::open(folder, &encoder, &options).unwrap()
}

/// What pages to the end return when nothing is written.
fn everything(collection: &Collection, way: Way, filter: Option<Filter>) -> BTreeSet<String> {
    let mut reader = Reader {
        collection,
        way,
        filter,
        moment: None,
        shown: HitSet::default(),
    };
    let results = reader.page(10 * DOCUMENTS);
    results.hits.into_iter().map(|hit| hit.id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_hit_comes_twice_and_none_that_is_left_alone_is_passed_over(
        way in way(),
        is_filtered in any::<bool>(),
        writes in prop::collection::vec(prop::collection::vec(write(), 0..4), 3..12),
        limit in 1..30_usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path());
        let collection = index.collection("default").unwrap();
        let documents: Vec<_> = (0..DOCUMENTS).map(|number| document(number, 0)).collect();
        collection.writer().upsert(&documents).unwrap();
        prop_assert!(index.settle());
        let odd = FieldPath::parse("odd").unwrap();
        let filter = is_filtered.then(|| {
            Filter::Field(odd, Condition::one_of([Scalar::of(&json!(true)).unwrap()]))
        });
        let expected = everything(&collection, way, filter.clone());
        let mut reader = Reader { collection: &collection, way, filter, moment: None, shown: HitSet::default() };
        let (mut touched, mut returned) = (BTreeSet::new(), BTreeSet::new());
        let (mut next, mut last_total) = (DOCUMENTS, u64::MAX);
        let mut writes = writes.into_iter();
        loop {
            let results = reader.page(limit);
            for hit in &results.hits {
                prop_assert!(returned.insert(hit.id.clone()), "{} twice", hit.id);
                prop_assert!(expected.contains(&hit.id), "{} is new", hit.id);
            }
            // Only what was there is counted, so the count never grows.
            if results.total.exact {
                prop_assert!(results.total.value <= last_total);
                last_total = results.total.value;
            }
            if results.rest == 0 && (results.total.exact || results.hits.len() < limit) {
                break;
            }
            prop_assert!(!results.hits.is_empty(), "{} more are promised", results.rest);
            for write in writes.next().unwrap_or_default() {
                match write {
                    Write::Add(count) => {
                        let new: Vec<_> = (next..next + count).map(|n| document(n, 0)).collect();
                        collection.writer().upsert(&new).unwrap();
                        next += count;
                    }
                    Write::Replace(number) => {
                        collection.writer().upsert(&[document(number, next)]).unwrap();
                        touched.insert(format!("d{number}"));
                    }
                    Write::Patch(number) => {
                        let patch = serde_json::from_value(json!({"odd": false})).unwrap();
                        collection.writer().patch_metadata(&format!("d{number}"), &patch, usize::MAX).unwrap();
                        touched.insert(format!("d{number}"));
                    }
                    Write::Delete(number) => {
                        collection.writer().delete(&[format!("d{number}")]).unwrap();
                        touched.insert(format!("d{number}"));
                    }
                    Write::Settle => prop_assert!(index.settle()),
                }
            }
        }
        let missing: Vec<_> = expected.difference(&returned).filter(|id| !touched.contains(*id)).collect();
        prop_assert!(missing.is_empty(), "{missing:?}");
    }
}
