//! Aliases are as durable as what they stand for.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]

use std::path::Path;

use siamese_index::{AliasError, EncoderIdentity, Error, Index, IndexOptions};

fn open(folder: &Path) -> Index {
    let encoder = EncoderIdentity {
        id: "one".to_owned(),
        name: "m".to_owned(),
        dimensions: 2,
    };
    let options = IndexOptions {
        max_aliases: 2,
        ..IndexOptions::default()
    };
    Index::open(folder, &encoder, &options).unwrap()
}

#[test]
fn an_alias_stands_for_a_collection_over_restarts_and_is_switched() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    index.put_collection("one", &Default::default()).unwrap();
    index.put_collection("two", &Default::default()).unwrap();
    assert!(index.put_alias("live", "one").unwrap());
    assert!(!index.put_alias("live", "one").unwrap());
    for name in ["one", "two"] {
        index.put_alias("live", name).unwrap();
        assert_eq!(index.collection("live").unwrap().name(), name);
        assert_eq!(index.generations("live").unwrap().len(), 1);
    }
    drop(index);
    let index = open(folder.path());
    assert_eq!(index.alias("live").unwrap().collection, "two");
    assert_eq!(index.collections().len(), 3);
    index.delete_alias("live").unwrap();
    drop(index);
    let index = open(folder.path());
    assert!(matches!(
        index.collection("live"),
        Err(Error::CollectionNotFound { .. })
    ));
    assert!(matches!(
        index.alias("live"),
        Err(Error::Alias(AliasError::NotFound { .. }))
    ));
}

#[test]
fn a_generation_is_made_and_activated_by_an_alias() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    index.put_alias("live", "default").unwrap();
    let collection = index.collection("live").unwrap();
    let (mut settings, encoder) = (collection.settings(), collection.encoder());
    settings.lexical = !settings.lexical;
    // A handle keeps the folder in use.
    drop(collection);
    let begun = index.begin_generation("live", &settings, &encoder);
    let number = begun.unwrap().number;
    index.pause_generation("live", number).unwrap();
    assert!(index.activate_generation("live", number).is_err());
    assert!(index.finish_generation("live", number).unwrap());
    index.activate_generation("live", number).unwrap();
    index.delete_generation("live", 1).unwrap();
    drop(index);
    let index = open(folder.path());
    let generations = index.generations("default").unwrap();
    assert_eq!((generations.len(), generations[0].number), (1, number));
    assert_eq!(index.collections().len(), 1);
}

#[test]
fn a_name_means_one_thing() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    index.put_collection("one", &Default::default()).unwrap();
    index.put_alias("alias", "one").unwrap();
    let refused = |outcome: Result<(), Error>, expected: fn(&Error) -> bool| {
        let error = outcome.unwrap_err();
        assert!(expected(&error), "{error}");
    };
    let put = |name, of| index.put_alias(name, of).map(drop);
    refused(put("one", "default"), |it| {
        matches!(it, Error::Alias(AliasError::IsCollection { .. }))
    });
    refused(put("b", "alias"), |it| {
        matches!(it, Error::Alias(AliasError::IsAlias { .. }))
    });
    refused(put("b", "none"), |it| {
        matches!(it, Error::CollectionNotFound { .. })
    });
    refused(put("b/c", "one"), |it| {
        matches!(it, Error::CollectionName { .. })
    });
    let made = index.put_collection("alias", &Default::default()).map(drop);
    refused(made, |it| {
        matches!(it, Error::Alias(AliasError::IsAlias { .. }))
    });
    refused(index.delete_collection("alias"), |it| {
        matches!(it, Error::Alias(AliasError::IsAlias { .. }))
    });
    refused(index.delete_collection("one"), |it| {
        matches!(it, Error::Alias(AliasError::StandsFor { .. }))
    });
    put("b", "one").unwrap();
    refused(put("c", "one"), |it| {
        matches!(it, Error::Alias(AliasError::TooMany { .. }))
    });
    // Switching needs no place.
    put("b", "default").unwrap();
    index.delete_alias("alias").unwrap();
    index.delete_collection("one").unwrap();
}
