//! Other names of collections, for all who use the cluster.

use std::time::Duration;

use siamese_index::{AliasError, CollectionSettings, DEFAULT_COLLECTION, Error};

use crate::support::{URLS, encoder, open};

#[test]
fn aliases_are_made_switched_and_deleted_for_all_who_use_the_cluster() {
    let Ok(urls) = std::env::var(URLS) else {
        return;
    };
    let prefix = format!("test-{}-aliases", std::process::id());
    let (one, other) = (open(&urls, &prefix), open(&urls, &prefix));
    let settings = CollectionSettings::default();
    for name in ["old", "new"] {
        one.put(name, &settings, &encoder()).unwrap();
    }
    assert!(one.put_alias("live", "old").unwrap());
    assert!(!other.put_alias("live", "new").unwrap(), "it was there");
    assert_eq!(other.get("live").unwrap().reader.name(), "new");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(one.get("live").unwrap().reader.name(), "new");
    assert_eq!(one.aliases(), other.aliases());
    // As it was restarted.
    let again = open(&urls, &prefix);
    assert_eq!(again.alias("live").unwrap().collection, "new");
    assert_eq!(again.all().len(), 3, "an alias is no collection");
    // Each process looks at what there is now, not at what it has known.
    one.put_alias("second", "old").unwrap();
    let refused = other.delete("old");
    assert!(
        matches!(refused, Err(Error::Alias(AliasError::StandsFor { .. }))),
        "{refused:?}"
    );
    one.delete_alias("second").unwrap();
    other.delete("old").unwrap();
    let gone = one.put_alias("third", "old");
    assert!(
        matches!(gone, Err(Error::CollectionNotFound { .. })),
        "{gone:?}"
    );
    other.delete_alias("live").unwrap();
    let gone = one.delete_alias("live");
    assert!(
        matches!(gone, Err(Error::Alias(AliasError::NotFound { .. }))),
        "{gone:?}"
    );
}

#[test]
fn a_name_is_a_collections_or_an_aliases_though_two_make_it_at_once() {
    let Ok(urls) = std::env::var(URLS) else {
        return;
    };
    let prefix = format!("test-{}-names", std::process::id());
    let (one, other) = (open(&urls, &prefix), open(&urls, &prefix));
    let settings = CollectionSettings::default();
    for round in 0..4 {
        let name = format!("name-{round}");
        let (made, pointed) = std::thread::scope(|scope| {
            let making = scope.spawn(|| one.put(&name, &settings, &encoder()));
            // A collection takes longer to be made than an alias.
            std::thread::sleep(Duration::from_millis(150 * round));
            let pointed = other.put_alias(&name, DEFAULT_COLLECTION);
            (making.join().unwrap(), pointed)
        });
        assert_ne!(made.is_ok(), pointed.is_ok(), "{made:?} {pointed:?}");
        for cluster in [&one, &other, &open(&urls, &prefix)] {
            cluster.put_alias("refreshing", DEFAULT_COLLECTION).unwrap();
            assert_eq!(cluster.alias(&name).is_ok(), pointed.is_ok());
            let collection = cluster.get(&name).unwrap().reader.name().to_owned();
            assert_eq!(collection == name, made.is_ok());
        }
        if pointed.is_ok() {
            one.delete_alias(&name).unwrap();
        }
    }
}
