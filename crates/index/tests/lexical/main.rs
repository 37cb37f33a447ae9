//! Searching by words: against brute force, under writes, freezes, merges, damage and reopening.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]

mod asked;
mod brute_force;
mod files;
mod written;

use proptest::prelude::*;
use serde_json::json;
use siamese_index::Metadata;

use crate::asked::{asked, check_both, check_words};
use crate::written::{Model, Written, open, upsert, written};

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
                    collection.writer().delete(&ids).unwrap();
                    model.retain(|id, _| !ids.contains(id));
                }
                Operation::Recolour(n, colour) => {
                    let patch: Metadata = serde_json::from_value(json!({"colour": colour})).unwrap();
                    collection.writer().patch_metadata(&id(&n), &patch, usize::MAX).unwrap();
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
