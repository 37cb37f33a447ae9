//! Several generations of a collection, and several processes that write to them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use siamese_index::{
    CollectionEncoder, CollectionSettings, DEFAULT_COLLECTION, DocumentWrite, EncoderIdentity,
    Error, Filter, GenerationState, Metadata, SearchOptions, UpsertStatus,
};
use siamese_qdrant::{Cluster, ClusterCollection, Family};

use crate::support::{URLS, default_of, ids, open, vector, write};

const NAME: &str = DEFAULT_COLLECTION;

fn clusters(name: &str) -> Option<[Arc<Cluster>; 2]> {
    let urls = std::env::var(URLS).ok()?;
    let prefix = format!("test-{}-{name}", std::process::id());
    Some([open(&urls, &prefix), open(&urls, &prefix)])
}

/// An encoder with vectors of half the length.
fn other_encoder() -> CollectionEncoder {
    CollectionEncoder::default_of(&EncoderIdentity {
        id: "other".to_owned(),
        name: "other".to_owned(),
        dimensions: 4,
    })
}

fn family(cluster: &Cluster) -> Arc<Family> {
    let writer = cluster.get(NAME).unwrap().writer;
    cluster.family_of(&writer).unwrap()
}

/// A document as each generation stores it.
fn writes(family: &Family, id: &str, text: usize) -> Vec<Vec<DocumentWrite>> {
    let of_generation = |dimensions: usize| {
        let vectors = vec![vector(text)[..dimensions].to_vec(); 1 + text % 3];
        vec![write(id, json!({"text": text}), &vectors)]
    };
    let writers = family.writers();
    writers
        .map(|writer| of_generation(writer.reader().dimensions()))
        .collect()
}

/// Stores a document as the service does, which plans again when it was late.
fn store(cluster: &Cluster, id: &str, text: usize) -> Vec<UpsertStatus> {
    for _ in 0..50 {
        let family = family(cluster);
        match cluster.upsert(&family, &writes(&family, id, text)) {
            Ok(upserted) => return upserted.statuses,
            Err(Error::Stale { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("others were always first");
}

/// What the service does with a generation that may lack documents. Returns how many it lacked.
fn fill(cluster: &Cluster, number: u32) -> usize {
    let (family, filled) = (family(cluster), cluster.generation(NAME, number).unwrap());
    let (lead, target) = (family.lead(), filled.collection.writer);
    let dimensions = target.reader().dimensions();
    let (mut lacking, mut after) = (0, None);
    loop {
        let page = target.differing(lead, after).unwrap();
        for id in page.differing {
            let document = lead.reader().get(&id).unwrap().unwrap();
            let text = document.metadata["text"].as_u64().unwrap() as usize;
            let vectors = vec![vector(text)[..dimensions].to_vec(); document.passages];
            let write = write(&id, json!({"text": text}), &vectors);
            assert_eq!(target.follow(lead, &[write]).unwrap(), Vec::<String>::new());
            lacking += 1;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    while let Some(next) = target.delete_what_is_gone(lead, after).unwrap() {
        after = Some(next);
    }
    lacking
}

/// Asserts that both generations have the same documents of the same versions, and as many passages.
fn assert_alike(cluster: &Cluster) {
    let generations = cluster.generations(NAME).unwrap();
    let documents = generations.iter().map(|generation| {
        let ClusterCollection { reader, writer } = &generation.collection;
        // Of a document that one deletes while another replaces it, passages may be left.
        writer.sweep(Duration::ZERO).unwrap();
        let mut documents = Vec::new();
        let all = reader.visit_documents(None, true, &mut |document| {
            documents.push(document);
            true
        });
        all.unwrap();
        let passages: usize = documents.iter().map(|it| it.passages).sum();
        assert_eq!(reader.stats().unwrap().passages, passages as u64);
        documents
    });
    let documents: Vec<_> = documents.collect();
    assert_eq!(documents[0], documents[1]);
}

#[test]
fn a_generation_is_filled_and_activated_while_two_processes_write_and_the_first_one_is_deleted() {
    let Some([one, other]) = clusters("generations") else {
        return;
    };
    let settings = CollectionSettings::default();
    (0..20).for_each(|number| drop(store(&one, &format!("d{number}"), number)));
    let begun = one.begin_generation(NAME, &settings, &other_encoder());
    let begun = begun.unwrap();
    assert_eq!((begun.number, begun.state), (2, GenerationState::Filling));
    let again = other.begin_generation(NAME, &settings, &other_encoder());
    assert_eq!(again.unwrap().number, 2, "it is not made again");
    let early = one.activate_generation(NAME, 2);
    assert!(
        matches!(early, Err(Error::GenerationState { .. })),
        "{early:?}"
    );
    store(&other, "d3", 40);
    let family = family(&one);
    other.delete_documents(&family, &["d4".to_owned()]).unwrap();
    assert_eq!(fill(&one, 2), 18, "all but what was written since");
    assert_eq!(fill(&other, 2), 0);
    one.finish_generation(NAME, 2).unwrap();
    assert_alike(&one);

    other.activate_generation(NAME, 2).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    for cluster in [&one, &other] {
        let active = default_of(cluster);
        assert_eq!(active.reader.dimensions(), 4);
        let query = &vector(40)[..4];
        let found = ids(&active, query, &SearchOptions::default());
        assert_eq!(found[0], "d3");
    }
    assert_eq!(store(&one, "d3", 41), [UpsertStatus::Updated]);
    let patch: Metadata = serde_json::from_value(json!({"text": 7, "more": true})).unwrap();
    let patched = other.patch_metadata(&family, "d7", &patch, 1000).unwrap();
    assert_eq!(patched.unwrap().metadata["more"], true);
    let few: Filter = Filter::All(Vec::new());
    assert_alike(&one);
    let active = one.delete_generation(NAME, 2);
    assert!(
        matches!(active, Err(Error::GenerationState { .. })),
        "{active:?}"
    );
    // The one that is written first so far.
    one.delete_generation(NAME, 1).unwrap();
    assert_eq!(store(&other, "d8", 50), [UpsertStatus::Updated]);
    let late = other.delete_documents(&family, &["d9".to_owned()]);
    assert_eq!(late.unwrap(), [true], "planned before it was deleted");
    let left = default_of(&one).reader.stats().unwrap().documents;
    assert_eq!(left, 18);
    let family = other.family_of(&default_of(&other).writer).unwrap();
    assert_eq!(other.delete_matching(&family, &few).unwrap(), 18);
    assert_eq!(one.generations(NAME).unwrap().len(), 1);
}

#[test]
fn generations_stay_alike_whoever_writes_the_same_documents_at_the_same_time() {
    let Some([one, other]) = clusters("alike") else {
        return;
    };
    let settings = CollectionSettings::default();
    let texts = |writer: usize| (0..30).map(move |round| (round * 7 + writer * 3) % 11);
    let write = |number: usize, cluster: &Cluster| {
        for text in texts(number) {
            let id = format!("d{}", text % 4);
            match text % 5 {
                0 => drop(cluster.delete_documents(&family(cluster), &[id]).unwrap()),
                _ => drop(store(cluster, &id, text)),
            }
        }
    };
    let write_at_once = || {
        std::thread::scope(|scope| {
            for (number, cluster) in [&one, &other, &one].into_iter().enumerate() {
                scope.spawn(move || write(number, cluster));
            }
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(300));
                let begun = one.begin_generation(NAME, &settings, &other_encoder());
                assert_eq!(begun.unwrap().number, 2);
            });
        });
    };
    write_at_once();
    fill(&one, 2);
    assert_alike(&one);
    write_at_once();
    assert_alike(&one);
}

#[test]
fn what_a_killed_process_has_left_is_found_and_mended_and_no_write_goes_on_top_of_it() {
    let Some([one, other]) = clusters("killed") else {
        return;
    };
    let settings = CollectionSettings::default();
    for number in 0..3 {
        store(&one, &format!("d{number}"), number);
    }
    one.begin_generation(NAME, &settings, &other_encoder())
        .unwrap();
    fill(&one, 2);
    one.finish_generation(NAME, 2).unwrap();
    // Killed between the two generations: one document replaced, one deleted.
    let lead = Arc::clone(family(&one).lead());
    lead.upsert(&writes(&family(&one), "d0", 31)[0]).unwrap();
    lead.delete(&["d1".to_owned()]).unwrap();
    let patch: Metadata = serde_json::from_value(json!({"more": 1})).unwrap();
    let refused = one.patch_metadata(&family(&one), "d0", &patch, 1000);
    assert!(matches!(refused, Err(Error::Stale { .. })), "{refused:?}");
    let ClusterCollection { reader, .. } = one.generation(NAME, 2).unwrap().collection;
    assert!(reader.get("d1").unwrap().is_some());
    // Written once more, it is the same everywhere again.
    store(&other, "d0", 32);
    assert_eq!(reader.get("d0").unwrap().unwrap().metadata["text"], 32);
    lead.upsert(&writes(&family(&one), "d2", 33)[0]).unwrap();
    assert_eq!(fill(&other, 2), 1);
    assert_alike(&one);

    // One process looks after a generation at a time.
    assert_eq!(one.due_generations().len(), 1);
    assert!(one.take_care(NAME, 2, Duration::from_secs(2)).unwrap());
    assert!(!other.take_care(NAME, 2, Duration::from_secs(2)).unwrap());
    assert!(!other.keep_care(NAME, 2, Duration::from_secs(2)).unwrap());
    assert!(one.keep_care(NAME, 2, Duration::from_secs(2)).unwrap());
    assert_eq!(other.due_generations(), []);
    std::thread::sleep(Duration::from_secs(3));
    assert!(other.take_care(NAME, 2, Duration::from_secs(2)).unwrap());
}
