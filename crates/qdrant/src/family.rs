//! All generations of a collection, and writes that go to each of them.
//!
//! A generation is written first, and the others follow, document by document ([`crate::following`]). Then each write looks
//! whether there is another generation by now. Whoever makes one reads every document after it has registered it, so it finds
//! what was written before that look.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use siamese_index::{
    CollectionEncoder, CollectionSettings, DocumentDraft, DocumentWrite, Error, Filter,
    GenerationState, Metadata, StoredDocument, Upserted,
};
use uuid::Uuid;

use crate::ids::{self, Version};
use crate::registered::{Entry, Registered};
use crate::{Cluster, ClusterCollection, ClusterGeneration, Writer};

/// Times a write begins again because another generation is written first by now.
const MAX_TRIES: usize = 5;
/// The first wait for another write of the same document; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(25);

/// Documents deleted together of a generation that follows.
const DELETED_PER_STEP: usize = 1024;

/// The generations of a collection, as they were registered at one moment.
#[derive(Debug)]
pub struct Family {
    pub(crate) registered: Registered,
    pub(crate) active: ClusterCollection,
    /// The one that is written first.
    lead: ClusterGeneration,
    followers: Vec<ClusterGeneration>,
}

impl Family {
    pub(crate) fn new(
        registered: Registered,
        open: impl Fn(Version, &Entry) -> ClusterCollection,
    ) -> Self {
        let generation = |entry: &Entry| ClusterGeneration {
            number: entry.number,
            state: entry.state,
            collection: open(registered.family, entry),
        };
        let mut lead = generation(&registered.active);
        let active = lead.collection.clone();
        let mut followers: Vec<_> = registered.others.iter().map(generation).collect();
        let first = followers.iter_mut().find(|it| it.number == registered.lead);
        if let Some(first) = first {
            std::mem::swap(&mut lead, first);
        }
        Self {
            registered,
            active,
            lead,
            followers,
        }
    }

    /// What writes each generation, the one that is written first before the others.
    pub fn writers(&self) -> impl Iterator<Item = &Arc<Writer>> {
        self.all().map(|generation| &generation.collection.writer)
    }

    /// The generation that is written first, which holds every document.
    pub fn lead(&self) -> &Arc<Writer> {
        &self.lead.collection.writer
    }

    /// What is at a place already, for whoever opens it again.
    pub(crate) fn at(&self, place: Version) -> Option<ClusterCollection> {
        let mut all = self.all().map(|generation| &generation.collection);
        all.find(|there| there.reader.place == place).cloned()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &ClusterGeneration> {
        std::iter::once(&self.lead).chain(&self.followers)
    }

    pub(crate) fn generations(&self) -> Vec<ClusterGeneration> {
        let mut all: Vec<_> = self.all().cloned().collect();
        all.sort_by_key(|generation| generation.number);
        all
    }

    /// One that an encoder has made with these settings, one that lacks documents last.
    pub(crate) fn made_with(
        &self,
        settings: &CollectionSettings,
        encoder: &CollectionEncoder,
    ) -> Option<ClusterGeneration> {
        let alike = self.generations().into_iter().filter(|generation| {
            let reader = &generation.collection.reader;
            let is_same_encoder = reader.encoder().identity.id == encoder.identity.id;
            is_same_encoder && reader.settings().may_become(settings)
        });
        alike.min_by_key(|generation| match generation.state {
            GenerationState::Active => 0,
            GenerationState::Ready | GenerationState::Retired => 1,
            GenerationState::Filling | GenerationState::Paused => 2,
        })
    }

    /// Whether a write to these has gone to all there are.
    fn has_all_of(&self, now: &Registered) -> bool {
        let mut now_there = now.all();
        let is_there = |entry: &Entry| self.registered.all().any(|own| own.place == entry.place);
        self.registered.lead == now.lead && now_there.all(is_there)
    }

    fn is_there(&self, writer: &Writer) -> bool {
        self.writers()
            .any(|own| Arc::ptr_eq(own.reader(), writer.reader()))
    }
}

impl Cluster {
    /// The generations of the collection that a writer is of.
    ///
    /// # Errors
    /// [`Error::CollectionNotFound`] when it has been deleted, also where another one has its name.
    pub fn family_of(&self, writer: &Writer) -> Result<Arc<Family>, Error> {
        let name = writer.reader().name();
        let family = self.family(name)?;
        match family.registered.family == writer.reader().family {
            true => Ok(family),
            false => Err(Error::CollectionNotFound {
                name: name.to_owned(),
            }),
        }
    }

    /// Stores documents with distinct ids in all generations, with what each of [`Family::writers`] needs of the same
    /// documents, in the same order. On return they are durable and found by searches.
    ///
    /// # Errors
    /// As [`Writer::upsert`], and [`Error::Stale`] when there is another generation by now. Some of the documents may have
    /// been stored then.
    pub fn upsert<D: Borrow<DocumentDraft>>(
        &self,
        family: &Arc<Family>,
        writes: &[Vec<DocumentWrite<D>>],
    ) -> Result<Upserted, Error> {
        let Some(own) = writes.first().filter(|own| !own.is_empty()) else {
            return Ok(Upserted::default());
        };
        let stale = || Error::Stale {
            id: own[0].draft.borrow().id.clone(),
        };
        // Found out before anything is written where it is known already.
        if !family.has_all_of(&self.family_of(family.lead())?.registered) {
            return Err(stale());
        }
        let lead = family.lead();
        let upserted = lead.upsert(own);
        let now = self.current(family)?;
        if !family.has_all_of(&now.registered) {
            return Err(stale());
        }
        let upserted = upserted?;
        for (follower, documents) in family.writers().zip(writes).skip(1) {
            if !now.is_there(follower) {
                continue;
            }
            let left = follower.follow(lead, documents);
            let left = left.or_else(|error| self.unless_deleted(family, follower, error))?;
            if let Some(id) = left.into_iter().next() {
                return Err(Error::Stale { id });
            }
        }
        Ok(upserted)
    }

    /// Deletes documents of all generations. For each id, whether it was there.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn delete_documents(
        &self,
        family: &Arc<Family>,
        ids: &[String],
    ) -> Result<Vec<bool>, Error> {
        let (were_there, now) = self.lead_first(family, |lead| lead.delete(ids))?;
        let points: Vec<Uuid> = ids.iter().map(|id| ids::of_name(id)).collect();
        self.delete_from_followers(&now, &points)?;
        Ok(were_there)
    }

    /// Deletes of all generations the documents that pass a filter, and returns how many those were.
    ///
    /// # Errors
    /// As [`Writer::delete_matching`].
    pub fn delete_matching(&self, family: &Arc<Family>, filter: &Filter) -> Result<u64, Error> {
        let mut deleted = Vec::new();
        let (count, now) = self.lead_first(family, |lead| {
            lead.delete_matching(filter, |points| deleted.extend_from_slice(points))
        })?;
        self.delete_from_followers(&now, &deleted)?;
        Ok(count)
    }

    /// Merges metadata into a document's, in all generations, as [`Writer::patch_metadata`] does.
    ///
    /// # Errors
    /// As there, and [`Error::Stale`] when a generation has another text of the document.
    pub fn patch_metadata(
        &self,
        family: &Arc<Family>,
        id: &str,
        patch: &Metadata,
        max_bytes: usize,
    ) -> Result<Option<StoredDocument>, Error> {
        let (patched, now) =
            self.lead_first(family, |lead| lead.patch_metadata(id, patch, max_bytes))?;
        let Some(document) = patched else {
            return Ok(None);
        };
        let write = DocumentWrite {
            draft: DocumentDraft {
                id: document.id.clone(),
                title: document.title.clone(),
                text: document.text.clone(),
                metadata: document.metadata.clone(),
            },
            passages: None,
        };
        for follower in &now.followers {
            let patched = follow_patch(now.lead(), follower, &write);
            let writer = &follower.collection.writer;
            patched.or_else(|error| self.unless_deleted(&now, writer, error))?;
        }
        Ok(Some(document))
    }

    /// Writes the generation that is written first, and returns all as they are registered after that.
    fn lead_first<T>(
        &self,
        family: &Arc<Family>,
        mut write: impl FnMut(&Writer) -> Result<T, Error>,
    ) -> Result<(T, Arc<Family>), Error> {
        let mut family = Arc::clone(family);
        for _ in 0..MAX_TRIES {
            let written = write(family.lead());
            let now = self.current(&family)?;
            if now.registered.lead == family.registered.lead {
                return Ok((written?, now));
            }
            family = now;
        }
        Err(Error::ClusterUnavailable {
            detail: "generations of the collection are deleted without a pause".to_owned(),
        })
    }

    fn delete_from_followers(&self, family: &Arc<Family>, points: &[Uuid]) -> Result<(), Error> {
        for follower in &family.followers {
            let writer = &follower.collection.writer;
            for points in points.chunks(DELETED_PER_STEP) {
                let deleted = writer.follow_deleted(family.lead(), points).map(drop);
                deleted.or_else(|error| self.unless_deleted(family, writer, error))?;
            }
        }
        Ok(())
    }

    /// The generations as they are registered now.
    fn current(&self, family: &Arc<Family>) -> Result<Arc<Family>, Error> {
        let name = &family.registered.name;
        let now = self.registry.get(&self.connection, name)?;
        match now {
            Some(now) if family.has_all_of(&now) && now.others.len() == family.followers.len() => {
                Ok(Arc::clone(family))
            }
            _ => {
                self.refresh()?;
                self.family_of(family.lead())
            }
        }
    }

    /// An error of a generation that is not there any more is none.
    fn unless_deleted<T: Default>(
        &self,
        family: &Arc<Family>,
        writer: &Writer,
        error: Error,
    ) -> Result<T, Error> {
        match self.current(family)?.is_there(writer) {
            true => Err(error),
            false => Ok(T::default()),
        }
    }
}

/// Has a generation take the metadata of a document. One that is being filled has it when it comes to the document.
fn follow_patch(
    lead: &Writer,
    follower: &ClusterGeneration,
    write: &DocumentWrite,
) -> Result<(), Error> {
    let writer = &follower.collection.writer;
    let id = &write.draft.id;
    let mut wait = FIRST_WAIT;
    for _ in 0..MAX_TRIES {
        let left = writer.follow(lead, std::slice::from_ref(write))?;
        if left.is_empty() || (follower.state.lacks_documents() && !writer.has(id)?) {
            return Ok(());
        }
        // Somebody is about to write another text of it here.
        std::thread::sleep(wait);
        wait *= 2;
    }
    Err(Error::Stale { id: id.clone() })
}
