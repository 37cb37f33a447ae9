//! Removing what deleted collections have left, now or later.
//!
//! A collection is gone once the record says so. Its entries and files take up room until they are
//! removed, and a disk that refuses that now may not refuse it in a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Error;
use crate::collection::{Collection, SegmentFolders, sweep};
use crate::store::{CollectionId, KeyRange, Store};

/// What has yet to be removed.
#[derive(Debug)]
pub(crate) struct Drops {
    store: Arc<Store>,
    folders: SegmentFolders,
    pending: Mutex<Vec<CollectionId>>,
    /// Those that somebody still reads, who is to find what was there when he began.
    held: Mutex<Vec<Arc<Collection>>>,
}

impl Drops {
    /// For collections with their segments in these folders. Collections whose deletion was interrupted are pending.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub(crate) fn new(store: Arc<Store>, folders: SegmentFolders) -> Result<Self, Error> {
        let mut pending = Vec::new();
        for entry in store.scan(&KeyRange::dropped()) {
            let id = entry?.0.dropped_collection();
            pending.push(id.ok_or_else(|| store.corrupt("a dropped collection's key"))?);
        }
        Ok(Self {
            store,
            folders,
            pending: Mutex::new(pending),
            held: Mutex::default(),
        })
    }

    /// Removes everything of a collection that has been retired, once nobody reads it any more.
    pub(crate) fn release(&self, collection: Arc<Collection>) {
        match is_unused(&collection) {
            true => self.clear(&collection),
            false => lock(&self.held).push(collection),
        }
    }

    /// Removes everything of a collection that has been retired. What cannot be removed now is
    /// removed later.
    fn clear(&self, collection: &Collection) {
        let outcome = collection.writer().remove_segments().map_err(Error::from);
        let outcome = outcome.and_then(|()| sweep(&self.store, collection.id(), &|| true));
        if let Err(error) = outcome {
            tracing::warn!(collection = collection.name(), %error, "a deleted collection still takes up room; removing it is tried again");
            lock(&self.pending).push(collection.id());
        }
    }

    /// Removes everything under a number that is no collection's. What cannot be removed now is removed later.
    pub(crate) fn clear_number(&self, number: CollectionId) {
        if let Err(error) = self.clear_by_id(number, &|| true) {
            tracing::warn!(number = number.0, %error, "deleted feedback still takes up room; removing it is tried again");
            lock(&self.pending).push(number);
        }
    }

    /// Removes what nobody reads any more.
    fn clear_unused(&self) {
        let unused: Vec<_> = lock(&self.held)
            .extract_if(.., |collection| is_unused(collection))
            .collect();
        unused.iter().for_each(|collection| self.clear(collection));
    }

    /// Tries again what could not be removed before, as long as `goes_on` says so. Returns whether nothing is
    /// left.
    pub(crate) fn retry(&self, goes_on: impl Fn() -> bool) -> bool {
        self.clear_unused();
        let pending = lock(&self.pending).clone();
        for id in pending {
            match self.clear_by_id(id, &goes_on) {
                Ok(false) => return false,
                Ok(true) => {
                    lock(&self.pending).retain(|other| *other != id);
                    tracing::info!(number = id.0, "a deleted collection takes up no more room");
                }
                Err(error) => {
                    tracing::debug!(number = id.0, %error, "a deleted collection still takes up room");
                    return false;
                }
            }
        }
        true
    }

    fn clear_by_id(&self, id: CollectionId, goes_on: &impl Fn() -> bool) -> Result<bool, Error> {
        self.folders.of(id).remove()?;
        sweep(&self.store, id, goes_on)
    }
}

/// Whether nobody has a handle of a collection but whoever asks. A writer has one of the reader.
fn is_unused(collection: &Arc<Collection>) -> bool {
    let (reader, writer) = (collection.reader(), collection.writer());
    (
        Arc::strong_count(collection),
        Arc::strong_count(reader),
        Arc::strong_count(writer),
    ) == (1, 2, 1)
}

fn lock<T>(list: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use crate::{CollectionSettings, EncoderIdentity, Error, Index, IndexOptions};

    #[test]
    fn what_a_deleted_collection_leaves_is_removed_once_that_is_possible() {
        let parent = tempfile::tempdir().unwrap();
        let (folder, elsewhere) = (parent.path().join("data"), parent.path().join("moved"));
        let encoder = EncoderIdentity::of_test(2);
        let index = Index::open(&folder, &encoder, &IndexOptions::default()).unwrap();
        let settings = CollectionSettings::default();
        let (mine, _) = index.put_collection("mine", &settings).unwrap();
        let store = index.store();
        let range = || super::KeyRange::dropped();
        let mut batch = crate::store::WriteBatch::default();
        batch.put(&crate::store::Key::dropped(mine.id()), Vec::new());
        store.apply(batch).unwrap();
        let drops = super::Drops::new(
            std::sync::Arc::clone(&store),
            super::SegmentFolders::below(&folder.join("a")),
        )
        .unwrap();
        fs_err::rename(&folder, &elsewhere).unwrap();
        drops.clear(&mine);
        assert!(!drops.retry(|| true), "nothing can be written");
        assert_eq!(store.scan(&range()).count(), 1);
        fs_err::rename(&elsewhere, &folder).unwrap();
        assert!(!drops.retry(|| false), "the index is being closed");
        assert!(drops.retry(|| true));
        assert_eq!(store.scan(&range()).count(), 0);
        let outcome: Result<_, Error> = mine.reader().get("x");
        assert!(outcome.unwrap().is_none());
    }

    #[test]
    fn who_reads_a_collection_that_is_deleted_finds_what_was_there_when_he_began() {
        let folder = tempfile::tempdir().unwrap();
        let encoder = EncoderIdentity::of_test(2);
        let index = Index::open(folder.path(), &encoder, &IndexOptions::default()).unwrap();
        let settings = CollectionSettings::default();
        let (mine, _) = index.put_collection("mine", &settings).unwrap();
        let write = crate::DocumentWrite {
            draft: crate::DocumentDraft {
                id: "x".to_owned(),
                title: None,
                text: "x".to_owned(),
                metadata: crate::Metadata::new(),
            },
            passages: Some(vec![crate::NewPassage {
                start: 0,
                end: 1,
                vector: vec![1.0, 0.0],
            }]),
        };
        mine.writer().upsert(&[write]).unwrap();
        let reader = std::sync::Arc::clone(mine.reader());
        drop(mine);
        index.delete_collection("mine").unwrap();
        assert!(reader.get("x").unwrap().is_some());
        let found = reader
            .search(&[1.0, 0.0], &crate::SearchOptions::default())
            .unwrap();
        assert_eq!(found.hits.len(), 1);
        let drops = index.collections.drops();
        assert!(drops.retry(|| true));
        assert_eq!(index.store().scan(&super::KeyRange::dropped()).count(), 1);
        drop(reader);
        assert!(drops.retry(|| true));
        assert_eq!(index.store().scan(&super::KeyRange::dropped()).count(), 0);
    }
}
