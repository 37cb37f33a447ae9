//! How a generation comes to hold what the one that is written first holds.
//!
//! What it has of a document is always read *before* what the first one has, and is written under the condition that it has not
//! changed. So nobody who is late writes over what is newer: whoever changes the first one after it was read here changes this
//! one after that. What was written is looked at once more, since the first one may have changed while it was.
//!
//! A process that is killed between the two leaves a document of which this generation has what was there before. It is told
//! by its hash when all documents are compared ([`Writer::differing`]), or when it is written again.

use std::borrow::Borrow;

use qdrant_client::qdrant::PointId;
use siamese_index::{ContentHash, DocumentDraft, DocumentWrite, Error, check_writes};
use uuid::Uuid;

use crate::document_point::{self, Summary};
use crate::ids::{self, Version};
use crate::{Writer, payload};

/// Times a document is written again that others change at the same time.
const MAX_FOLLOWS: usize = 8;
/// Documents that are compared in one call.
const COMPARED_PER_PAGE: u32 = 256;

/// Where comparing goes on.
#[derive(Debug, Clone)]
pub struct ComparedUntil(PointId);

/// Some of the documents of two generations, compared.
#[derive(Debug)]
pub struct ComparedPage {
    /// The ids of those that differ.
    pub differing: Vec<String>,
    /// How many were compared.
    pub documents: u64,
    /// Where it goes on; nowhere after the last one.
    pub next: Option<ComparedUntil>,
}

impl Writer {
    /// Makes documents what they are in another generation, which is written first. Returns the ids of those that are others
    /// there by now, or that need passages and come without.
    ///
    /// # Errors
    /// Bad input, or a cluster that fails.
    pub fn follow<D: Borrow<DocumentDraft>>(
        &self,
        lead: &Self,
        documents: &[DocumentWrite<D>],
    ) -> Result<Vec<String>, Error> {
        check_writes(documents.iter(), self.reader.dimensions())?;
        let drafts = || documents.iter().map(|document| document.draft.borrow());
        let mut left = Vec::new();
        for _ in 0..MAX_FOLLOWS {
            let own = self.reader.summaries(drafts().map(|draft| &*draft.id))?;
            let leading = lead.reader.summaries(drafts().map(|draft| &*draft.id))?;
            let mut versions = Vec::new();
            left.clear();
            for (document, draft) in documents.iter().zip(drafts()) {
                let point = ids::of_name(&draft.id);
                let led = leading.get(&point);
                let Some(led) = led.filter(|led| led.hash == ContentHash::of(draft)) else {
                    left.push(draft.id.clone());
                    continue;
                };
                let passages = document.passages.as_deref();
                match self.next_version(draft, passages, own.get(&point)) {
                    Ok((_, version)) => versions.extend(
                        version.map(|version| version.at(led.created_at_ms, led.updated_at_ms)),
                    ),
                    Err(Error::Stale { id }) => left.push(id),
                    Err(error) => return Err(error),
                }
            }
            if versions.is_empty() {
                return Ok(left);
            }
            match self.write(&versions) {
                Ok(()) | Err(Error::Stale { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        left.extend(drafts().map(|draft| draft.id.clone()));
        Ok(left)
    }

    /// Deletes of documents those that another generation, which is written first, does not have. Returns how many.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn follow_deleted(&self, lead: &Self, points: &[Uuid]) -> Result<u64, Error> {
        let mut deleted = 0;
        for _ in 0..MAX_FOLLOWS {
            let own = self.reader.versions(points)?;
            let leading = lead.reader.versions(points)?;
            let gone = own
                .iter()
                .filter(|(point, _)| !leading.contains_key(*point));
            let gone: Vec<(Uuid, Version)> = gone
                .map(|(point, (_, version))| (*point, *version))
                .collect();
            if gone.is_empty() {
                break;
            }
            self.delete_points(&gone, true)?;
            deleted += gone.len() as u64;
        }
        Ok(deleted)
    }

    /// Compares documents of another generation, which is written first, with those here.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn differing(
        &self,
        lead: &Self,
        after: Option<ComparedUntil>,
    ) -> Result<ComparedPage, Error> {
        let offset = after.map(|ComparedUntil(point)| point);
        let (page, next) =
            lead.reader
                .scroll(None, offset, COMPARED_PER_PAGE, document_point::SUMMARY)?;
        let leading = page.iter().map(|point| Summary::read(&point.payload));
        let leading = leading.collect::<Result<Vec<_>, Error>>()?;
        let own = self.reader.summaries(leading.iter().map(|it| &*it.id))?;
        let differs = |led: &&Summary| own.get(&led.point).map(|own| own.hash) != Some(led.hash);
        let differing = leading.iter().filter(differs).map(|led| led.id.clone());
        Ok(ComparedPage {
            differing: differing.collect(),
            documents: leading.len() as u64,
            next: next.map(ComparedUntil),
        })
    }

    /// Deletes those of some documents here that another generation, which is written first, does not have.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn delete_what_is_gone(
        &self,
        lead: &Self,
        after: Option<ComparedUntil>,
    ) -> Result<Option<ComparedUntil>, Error> {
        let offset = after.map(|ComparedUntil(point)| point);
        let fields = &[document_point::ID];
        let (page, next) = self
            .reader
            .scroll(None, offset, COMPARED_PER_PAGE, fields)?;
        let points = page.iter().map(|point| {
            let id = payload::read_text(&point.payload, document_point::ID)?;
            Ok(ids::of_name(id))
        });
        let points = points.collect::<Result<Vec<Uuid>, Error>>()?;
        self.follow_deleted(lead, &points)?;
        Ok(next.map(ComparedUntil))
    }

    /// Whether a document is here.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn has(&self, id: &str) -> Result<bool, Error> {
        Ok(self.reader.summary(id)?.is_some())
    }
}
