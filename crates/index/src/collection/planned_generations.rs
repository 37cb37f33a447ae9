//! A write of documents, as each generation of a collection stores them.

use std::borrow::Borrow;
use std::cell::Cell;
use std::sync::Arc;

use super::Writer;
use super::change::{Change, Times, UpsertStatus};
use super::family::Members;
use super::write::check_writes;
use crate::lexical::WordCounts;
use crate::store::WriteBatch;
use crate::{DocumentDraft, DocumentWrite, Error};

/// The generations that a write is planned for, each of which needs passages and vectors of its own.
///
/// While this is held, one that is made later counts as not filled ([`crate::Index::is_awaited_by_writes`]). So the
/// active one is always among these, and what they need is enough for the write.
#[derive(Debug)]
pub struct PlannedGenerations {
    lead: Arc<Writer>,
    others: Vec<Arc<Writer>>,
    _members: Arc<Members>,
}

/// What a write of documents did.
#[derive(Debug, Default)]
pub struct Upserted {
    /// For each document, in order.
    pub statuses: Vec<UpsertStatus>,
    /// The place of the generation that they are about, among those that were planned for.
    pub place: usize,
}

/// Documents as one generation stores them.
struct Planned<'a, D> {
    writer: &'a Writer,
    documents: &'a [DocumentWrite<D>],
    /// Of each passage of each document, until they are stored.
    words: Cell<Vec<Vec<WordCounts>>>,
}

impl PlannedGenerations {
    /// `None` when there is none.
    pub(super) fn new(members: Arc<Members>, lead: &Writer) -> Option<Self> {
        let mut writers = members.writers();
        writers.sort_by_key(|writer| !writer.is(lead));
        let mut writers = writers.into_iter();
        Some(Self {
            lead: writers.next()?,
            others: writers.collect(),
            _members: members,
        })
    }

    /// Returns the one that answers are about.
    pub fn lead(&self) -> &Arc<Writer> {
        &self.lead
    }

    /// Returns all, [`Self::lead`] first.
    pub fn writers(&self) -> impl Iterator<Item = &Arc<Writer>> {
        std::iter::once(&self.lead).chain(&self.others)
    }

    /// Stores documents as [`Writer::upsert`] does, with what each of [`Self::writers`] needs of the same documents, in
    /// the same order.
    ///
    /// # Errors
    /// As there, and [`Error::Stale`] when there is another generation by now, which was filled meanwhile.
    pub fn upsert<D: Borrow<DocumentDraft>>(
        &self,
        writes: &[Vec<DocumentWrite<D>>],
    ) -> Result<Upserted, Error> {
        let planned = self.writers().zip(writes);
        let planned = planned.map(|(writer, documents)| Planned::of(writer, documents));
        let planned = planned.collect::<Result<Vec<_>, Error>>()?;
        self.lead.upsert_planned(&planned)
    }
}

impl<'a, D: Borrow<DocumentDraft>> Planned<'a, D> {
    /// Counts words outside the lock, which one writer holds at a time.
    fn of(writer: &'a Writer, documents: &'a [DocumentWrite<D>]) -> Result<Self, Error> {
        check_writes(documents.iter(), writer.reader.dimensions)?;
        let words = documents.iter().map(|document| writer.words_of(document));
        Ok(Self {
            writer,
            words: Cell::new(words.collect()),
            documents,
        })
    }

    /// The documents, each with its words. To be called once.
    fn with_words(&self) -> impl Iterator<Item = (&'a DocumentWrite<D>, Vec<WordCounts>)> {
        self.documents.iter().zip(self.words.take())
    }
}

impl Writer {
    /// Returns all generations of the collection that are written to, this one first unless it has been deleted.
    ///
    /// # Errors
    /// [`Error::CollectionNotFound`] when the whole collection has been deleted.
    pub fn generations(&self) -> Result<PlannedGenerations, Error> {
        self.family.led_by(self)
    }

    /// Stores documents with distinct ids, all or none. On return they are durable and found by
    /// searches. A generation that is being filled takes them when it comes to them.
    ///
    /// # Errors
    /// Bad input, a full disk, or [`Error::Stale`] when a document without passages is no longer
    /// stored as it was planned, or when there are other generations. Nothing has been written then.
    pub fn upsert<D: Borrow<DocumentDraft>>(
        &self,
        documents: &[DocumentWrite<D>],
    ) -> Result<Vec<UpsertStatus>, Error> {
        let planned = [Planned::of(self, documents)?];
        Ok(self.upsert_planned(&planned)?.statuses)
    }

    fn upsert_planned<D: Borrow<DocumentDraft>>(
        &self,
        planned: &[Planned<'_, D>],
    ) -> Result<Upserted, Error> {
        let place_of = |writer: &Self| planned.iter().position(|plan| plan.writer.is(writer));
        let fill = |lead: &Self, change: &mut Change| {
            let place = place_of(lead).ok_or_else(|| stale(planned))?;
            let put = |(document, words)| lead.put(change, document, words, None);
            let statuses = planned[place].with_words().map(put);
            Ok(Upserted {
                statuses: statuses.collect::<Result<_, Error>>()?,
                place,
            })
        };
        self.write_all(
            WriteBatch::default(),
            fill,
            |member, change, upserted| match place_of(member) {
                Some(place) => {
                    let lead = planned[upserted.place].writer;
                    member.follow(lead, change, &planned[place], &upserted.statuses)
                }
                None if change.lacks_documents || upserted.statuses.is_empty() => {
                    member.leave_to_filling(change, planned[upserted.place].documents)
                }
                None => Err(stale(planned)),
            },
        )
    }

    /// Stores documents as the lead does.
    fn follow<D: Borrow<DocumentDraft>>(
        &self,
        lead: &Self,
        change: &mut Change,
        planned: &Planned<'_, D>,
        statuses: &[UpsertStatus],
    ) -> Result<(), Error> {
        for ((document, words), status) in planned.with_words().zip(statuses) {
            // One that has not been filled so far has it with the times that it has there.
            let there = lead.reader.document_record(&document.draft().id)?;
            let times = there.map(|there| match status {
                UpsertStatus::Unchanged => Times {
                    created_at_ms: there.created_at_ms,
                    updated_at_ms: there.updated_at_ms,
                },
                UpsertStatus::Created | UpsertStatus::Updated => {
                    change.times_since(there.created_at_ms)
                }
            });
            self.put(change, document, words, times)?;
        }
        Ok(())
    }

    /// Keeps of documents what needs no vectors, and removes those whose vectors are other ones now: who fills this
    /// generation brings them.
    fn leave_to_filling<D: Borrow<DocumentDraft>>(
        &self,
        change: &mut Change,
        documents: &[DocumentWrite<D>],
    ) -> Result<(), Error> {
        for document in documents {
            let draft = document.draft();
            let without_vectors = DocumentWrite {
                draft,
                passages: None,
            };
            match self.put(change, &without_vectors, Vec::new(), None) {
                Err(Error::Stale { id }) => self.remove_by_id(change, &[id])?,
                outcome => drop(outcome?),
            }
        }
        Ok(())
    }
}

/// What a write fails with that lacks what a generation needs.
fn stale<D: Borrow<DocumentDraft>>(planned: &[Planned<'_, D>]) -> Error {
    let mut documents = planned.iter().flat_map(|plan| plan.documents);
    let first = documents.next().map(|document| document.draft().id.clone());
    Error::Stale {
        id: first.unwrap_or_default(),
    }
}
