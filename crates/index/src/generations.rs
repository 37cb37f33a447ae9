//! Generations: complete sets of a collection's documents, made with settings of their own.
//!
//! A generation is a collection without a name of its own: it has a number, keys and segments as any
//! collection. The active one is what its name means. Whatever is written goes to all of them in one batch
//! (`collection/family.rs`), so that one that has been filled never is behind, and activating it is one small
//! batch. None is behind after that either, until it is deleted.

use std::sync::Arc;

use crate::clock::now_ms;
use crate::collection::Collection;
use crate::collections::Collections;
use crate::named_collection::{Generation, HiddenGeneration, NamedCollection};
use crate::store::{CollectionRecord, GenerationState, Key, WriteBatch, next_collection_id};
use crate::{CollectionEncoder, CollectionSettings, Error, Index};

/// Generations that a collection may have. Each write is encoded for all of them, and their records stand in
/// one value, which has room for seven.
const MAX_GENERATIONS: usize = 4;
/// What a write takes on the disk for each byte, while sled's log grows.
const DISK_BYTES_PER_BYTE: u64 = 4;
/// What a passage takes beside its vector, and its graph.
const PASSAGE_BYTES: u64 = 512;

/// What a document takes beside its body.
const DOCUMENT_BYTES: u64 = 256;
/// Documents whose size is looked at before room is asked for, and bytes of them.
const SAMPLED_DOCUMENTS: usize = 200;
const MAX_SAMPLED_BYTES: usize = 1 << 20;

impl Collections {
    /// What has a name, or what the alias of this name stands for.
    pub(crate) fn named(&self, name: &str) -> Result<NamedCollection, Error> {
        let found = self.read().get(name).cloned();
        // A collection is there for as long as an alias stands for it.
        let found = found.or_else(|| self.read().get(&self.aliases.target(name)?).cloned());
        found.ok_or_else(|| Error::CollectionNotFound {
            name: name.to_owned(),
        })
    }

    /// Makes what is known of a collection's generations what it is from now on. `batch` is written with it.
    fn exchange(
        &self,
        name: &str,
        mut batch: WriteBatch,
        named: NamedCollection,
        commit: impl FnOnce(WriteBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        batch.put(&Key::generations(name), named.record().to_bytes());
        commit(batch)?;
        self.write().insert(name.to_owned(), named);
        Ok(())
    }

    fn begin_generation(
        &self,
        name: &str,
        settings: &CollectionSettings,
        encoder: &CollectionEncoder,
    ) -> Result<Generation, Error> {
        settings.check()?;
        self.loader.store.check_writable()?;
        let _changing = self.lock_changes();
        let name = &*self.resolve(name);
        let mut named = self.named(name)?;
        if let Some(there) = named.made_with(settings, encoder) {
            return Ok(there);
        }
        if named.others.len() + 1 >= MAX_GENERATIONS {
            return Err(Error::TooManyGenerations {
                name: name.to_owned(),
                max_generations: MAX_GENERATIONS,
            });
        }
        self.check_room_beside(&named.active, encoder)?;
        let id = next_collection_id(&self.loader.store)?;
        let record = CollectionRecord {
            id,
            created_at_ms: now_ms(),
            settings: *settings,
            encoder: Some(encoder.clone()),
        };
        let family = Arc::clone(&named.family);
        let collection = self.loader.load(name.to_owned(), &record, &family)?;
        let number = named.next;
        named.next += 1;
        named.others.push(HiddenGeneration {
            number,
            state: GenerationState::Filling,
            collection: Arc::clone(&collection),
        });
        let mut batch = WriteBatch::default();
        batch.put(&Key::next_collection(), (id.0 + 1).to_le_bytes().to_vec());
        let state = GenerationState::Filling;
        self.exchange(name, batch, named, |batch| {
            family.join(collection.writer(), state, || self.commit(batch))
        })?;
        Ok(Generation {
            number,
            state,
            collection,
        })
    }

    /// Asks for room on the disk for all documents once more.
    fn check_room_beside(
        &self,
        active: &Collection,
        encoder: &CollectionEncoder,
    ) -> Result<(), Error> {
        let stats = active.stats();
        let passages = passage_bytes(stats.passages, encoder.identity.dimensions);
        let bytes = passages.saturating_add(stats.documents * document_bytes(active)?);
        self.loader
            .store
            .check_room(bytes.saturating_mul(DISK_BYTES_PER_BYTE))
    }

    /// Marks a generation as ready when it holds every document. Returns whether it does.
    fn finish_generation(&self, name: &str, number: u32) -> Result<bool, Error> {
        let _changing = self.lock_changes();
        let name = &*self.resolve(name);
        let mut named = self.named(name)?;
        if named.number == number {
            return Ok(true);
        }
        let place = place(name, &named, number)?;
        if !named.others[place].state.lacks_documents() {
            return Ok(true);
        }
        named.others[place].state = GenerationState::Ready;
        let (family, source) = (Arc::clone(&named.family), Arc::clone(&named.active));
        let filled = Arc::clone(&named.others[place].collection);
        family.when_complete(filled.writer(), source.writer(), || {
            self.exchange(name, WriteBatch::default(), named, |batch| {
                self.commit(batch)
            })
        })
    }

    /// Lets a generation that is being filled pause, or go on. One that holds every document stays as it is.
    fn set_filling(&self, name: &str, number: u32, to: GenerationState) -> Result<(), Error> {
        let _changing = self.lock_changes();
        let name = &*self.resolve(name);
        let mut named = self.named(name)?;
        if named.number == number {
            return Ok(());
        }
        let place = place(name, &named, number)?;
        let before = named.others[place].state;
        if before == to || !before.lacks_documents() {
            return Ok(());
        }
        named.others[place].state = to;
        self.exchange(name, WriteBatch::default(), named, |batch| {
            self.commit(batch)
        })
    }

    fn activate_generation(&self, name: &str, number: u32) -> Result<(), Error> {
        let _changing = self.lock_changes();
        let name = &*self.resolve(name);
        let mut named = self.named(name)?;
        if named.number == number {
            return Ok(());
        }
        let place = place(name, &named, number)?;
        if named.others[place].state.lacks_documents() {
            return Err(Error::GenerationState {
                name: name.to_owned(),
                number,
                reason: "has not been filled yet, and lacks documents",
            });
        }
        let next = named.others.remove(place).collection;
        // These may have changed since the generation was made.
        let settings = next.settings().with_changeable(&named.active.settings());
        let encoder = next.encoder();
        let mut batch = WriteBatch::default();
        let record = next.record_with(settings, &encoder);
        batch.put(&Key::collection(name), record.to_bytes());
        let retired = std::mem::replace(&mut named.active, Arc::clone(&next));
        named.others.push(HiddenGeneration {
            number: named.number,
            state: GenerationState::Retired,
            collection: retired,
        });
        named.number = number;
        let family = Arc::clone(&named.family);
        self.exchange(name, batch, named, |batch| {
            family.activate(next.writer(), || self.commit(batch))?;
            next.take(settings, &encoder);
            Ok(())
        })
    }

    fn delete_generation(&self, name: &str, number: u32) -> Result<(), Error> {
        self.loader.store.check_writable()?;
        let _changing = self.lock_changes();
        let name = &*self.resolve(name);
        let mut named = self.named(name)?;
        if named.number == number {
            return Err(Error::GenerationState {
                name: name.to_owned(),
                number,
                reason: "is the active one; activate another first",
            });
        }
        let place = place(name, &named, number)?;
        let gone = named.others.remove(place).collection;
        let family = Arc::clone(&named.family);
        let mut batch = WriteBatch::freeing_room();
        batch.put(&Key::dropped(gone.id()), Vec::new());
        self.exchange(name, batch, named, |batch| {
            family.retire(&[gone.id()], || self.commit(batch))
        })?;
        self.drops().release(gone);
        Ok(())
    }
}

/// Bytes of vectors and of what is indexed of them.
fn passage_bytes(passages: u64, dimensions: usize) -> u64 {
    let vector_bytes = dimensions as u64 * size_of::<f32>() as u64;
    passages.saturating_mul(vector_bytes + PASSAGE_BYTES)
}

/// Bytes of a document as it is stored, as a mean over the first ones: each generation has all texts.
fn document_bytes(collection: &Collection) -> Result<u64, Error> {
    let reader = collection.reader();
    let sample = reader.list_whole(None, SAMPLED_DOCUMENTS, MAX_SAMPLED_BYTES, false)?;
    let bytes = sample.iter().map(|(document, _)| {
        let metadata = serde_json::to_string(&document.metadata).unwrap_or_default();
        let title = document.title.as_ref().map_or(0, String::len);
        document.text.len() + title + metadata.len()
    });
    let bytes: usize = bytes.sum();
    Ok((bytes / sample.len().max(1)) as u64 + DOCUMENT_BYTES)
}

fn place(name: &str, named: &NamedCollection, number: u32) -> Result<usize, Error> {
    let found = named.others.iter().position(|other| other.number == number);
    found.ok_or_else(|| Error::GenerationNotFound {
        name: name.to_owned(),
        number,
    })
}

impl Index {
    /// The generations of a collection, by their numbers.
    ///
    /// # Errors
    /// When there is no such collection.
    pub fn generations(&self, name: &str) -> Result<Vec<Generation>, Error> {
        Ok(self.collections.named(name)?.generations())
    }

    /// One generation of a collection.
    ///
    /// # Errors
    /// When there is no such collection or generation.
    pub fn generation(&self, name: &str, number: u32) -> Result<Generation, Error> {
        let generations = self.generations(name)?.into_iter();
        let mut found = generations.filter(|generation| generation.number == number);
        found.next().ok_or_else(|| Error::GenerationNotFound {
            name: name.to_owned(),
            number,
        })
    }

    /// Makes an empty generation of a collection, to which all writes go from now on, and returns it.
    /// [`crate::Writer::fill`] gives it what is there already. Where this encoder has made one with these settings
    /// already, none is made, and that one is returned: the active one, or one that has been filled, or one that is
    /// still to be. What a collection may change at any time makes no difference.
    ///
    /// # Errors
    /// [`Error::TooManyGenerations`], settings out of their range, [`Error::StorageFull`] when there is no room
    /// for it.
    pub fn begin_generation(
        &self,
        name: &str,
        settings: &CollectionSettings,
        encoder: &CollectionEncoder,
    ) -> Result<Generation, Error> {
        self.collections.begin_generation(name, settings, encoder)
    }

    /// Returns whether writes that were planned before a generation was made have not ended
    /// ([`crate::PlannedGenerations`]). They may still take documents away from it, which it has to be given again. Once
    /// it is filled they would be refused as stale.
    ///
    /// # Errors
    /// When there is no such generation.
    pub fn is_awaited_by_writes(&self, name: &str, number: u32) -> Result<bool, Error> {
        let named = self.collections.named(name)?;
        let generation = self.generation(name, number)?;
        Ok(named
            .family
            .is_awaited_by_writes(generation.collection.writer()))
    }

    /// Says that a generation has been filled. Returns whether it holds every document, which is looked at while
    /// none is written.
    ///
    /// # Errors
    /// When there is no such generation, or the store fails.
    pub fn finish_generation(&self, name: &str, number: u32) -> Result<bool, Error> {
        self.collections.finish_generation(name, number)
    }

    /// Says that a generation is not filled any more until [`Self::resume_generation`]. One that holds every document
    /// stays as it is.
    ///
    /// # Errors
    /// When there is no such generation, or the store fails.
    pub fn pause_generation(&self, name: &str, number: u32) -> Result<(), Error> {
        let to = GenerationState::Paused;
        self.collections.set_filling(name, number, to)
    }

    /// Says that a generation that was paused is filled again. One that holds every document stays as it is.
    ///
    /// # Errors
    /// When there is no such generation, or the store fails.
    pub fn resume_generation(&self, name: &str, number: u32) -> Result<(), Error> {
        let to = GenerationState::Filling;
        self.collections.set_filling(name, number, to)
    }

    /// Lets reads see a generation. The one before is kept and written to. Reads that have begun go on
    /// with what they began with.
    ///
    /// # Errors
    /// When there is no such generation, or [`Error::GenerationState`] while it lacks documents.
    pub fn activate_generation(&self, name: &str, number: u32) -> Result<(), Error> {
        self.collections.activate_generation(name, number)
    }

    /// Deletes a generation that is not active, with everything in it.
    ///
    /// # Errors
    /// When there is none, or [`Error::GenerationState`] for the active one.
    pub fn delete_generation(&self, name: &str, number: u32) -> Result<(), Error> {
        self.collections.delete_generation(name, number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        DocumentDraft, DocumentWrite, EncoderIdentity, IndexOptions, Metadata, NewPassage,
    };

    #[test]
    fn room_is_asked_for_texts_and_for_vectors_of_the_new_length() {
        assert_eq!(passage_bytes(10, 768), 10 * (3072 + PASSAGE_BYTES));
        let folder = tempfile::tempdir().unwrap();
        let encoder = EncoderIdentity::of_test(2);
        let index = Index::open(folder.path(), &encoder, &IndexOptions::default()).unwrap();
        let collection = index.collection("default").unwrap();
        assert_eq!(document_bytes(&collection).unwrap(), DOCUMENT_BYTES);
        let write = |id: &str, bytes| DocumentWrite {
            draft: DocumentDraft {
                id: id.to_owned(),
                title: None,
                text: "x".repeat(bytes),
                metadata: Metadata::new(),
            },
            passages: Some(vec![NewPassage {
                start: 0,
                end: bytes,
                vector: vec![1.0, 0.0],
            }]),
        };
        let writes = [write("a", 1000), write("b", 3000)];
        collection.writer().upsert(&writes).unwrap();
        // Empty metadata is {}.
        let expected = 2000 + 2 + DOCUMENT_BYTES;
        assert_eq!(document_bytes(&collection).unwrap(), expected);
    }
}
