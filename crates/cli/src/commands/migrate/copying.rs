//! Copying the documents of one collection into another.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow};
use indicatif::ProgressBar;
use siamese_index::{DocumentDraft, DocumentWrite, ImportedDocument, NewPassage, WritePlan};

use super::held::{Held, Whole};
use super::sample::Sample;

/// Documents of one write, and bytes of their texts and vectors.
const MAX_WRITE_DOCUMENTS: usize = 500;
const MAX_WRITE_BYTES: usize = 8 << 20;
/// A write to a cluster waits for the network most of the time.
const WRITERS: usize = 4;
/// Batches that are read ahead of the writers.
const MAX_BATCHES_AHEAD: usize = 1;

/// Stores the documents of a collection in another, but for those that are there already. Returns how many were written.
///
/// # Errors
/// When one of the two fails. What was written until then stays.
pub(super) fn copy(from: &Held, to: &Held, sample: &mut Sample, bar: &ProgressBar) -> Result<u64> {
    let (batches, waiting) = sync_channel(MAX_BATCHES_AHEAD);
    let writing = Writing {
        to,
        bar,
        written: AtomicU64::new(0),
        has_failed: AtomicBool::new(false),
    };
    let waiting = Arc::new(Mutex::new(waiting));
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let (writing, waiting) = (&writing, Arc::clone(&waiting));
                scope.spawn(move || writing.write_all(&waiting))
            })
            .collect();
        // The writers alone hold it, so that nobody sends when they have gone.
        drop(waiting);
        let read = read_all(from, sample, &batches);
        drop(batches);
        let written = writers.into_iter().map(|writer| {
            let outcome = writer.join();
            outcome.map_err(|_| anyhow!("a thread that writes documents has panicked"))?
        });
        written.collect::<Result<()>>()?;
        read
    })?;
    Ok(writing.written.into_inner())
}

/// Reads all documents, until nobody writes them any more.
fn read_all(from: &Held, sample: &mut Sample, batches: &SyncSender<Vec<Whole>>) -> Result<()> {
    let mut after: Option<String> = None;
    loop {
        let batch = from.list(after.as_deref(), MAX_WRITE_DOCUMENTS, MAX_WRITE_BYTES);
        let batch = batch.with_context(|| format!("cannot read {:?}", from.name()))?;
        let Some((last, _)) = batch.last() else {
            return Ok(());
        };
        after = Some(last.id.clone());
        batch
            .iter()
            .for_each(|(document, _)| sample.offer(&document.id));
        if batches.send(batch).is_err() {
            return Ok(());
        }
    }
}

/// What the writers share.
#[derive(Debug)]
struct Writing<'a> {
    to: &'a Held,
    bar: &'a ProgressBar,
    written: AtomicU64,
    has_failed: AtomicBool,
}

impl Writing<'_> {
    fn write_all(&self, waiting: &Mutex<Receiver<Vec<Whole>>>) -> Result<()> {
        while !self.has_failed.load(Ordering::Relaxed) {
            let next = waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .recv();
            let Ok(batch) = next else { break };
            let outcome = self.write(batch);
            if outcome.is_err() {
                self.has_failed.store(true, Ordering::Relaxed);
                return outcome;
            }
        }
        Ok(())
    }

    fn write(&self, batch: Vec<Whole>) -> Result<()> {
        let documents = batch.len() as u64;
        let missing = self.missing(batch.into_iter().map(imported).collect())?;
        if !missing.is_empty() {
            let stored = self.to.import(&missing);
            stored.with_context(|| format!("cannot write {:?}", self.to.name()))?;
        }
        self.written
            .fetch_add(missing.len() as u64, Ordering::Relaxed);
        self.bar.inc(documents);
        Ok(())
    }

    /// Those that are not there yet as they are here.
    fn missing(&self, batch: Vec<ImportedDocument>) -> Result<Vec<ImportedDocument>> {
        let drafts: Vec<DocumentDraft> = batch.iter().map(|it| it.write.draft.clone()).collect();
        let plans = self.to.plan(&drafts)?;
        let missing = batch.into_iter().zip(plans);
        let missing = missing.filter(|(_, plan)| !matches!(plan, WritePlan::Unchanged { .. }));
        Ok(missing.map(|(document, _)| document).collect())
    }
}

fn imported((document, passages): Whole) -> ImportedDocument {
    let passages = passages.into_iter().map(|passage| NewPassage {
        start: passage.start,
        end: passage.end,
        vector: passage.vector.unwrap_or_default(),
    });
    ImportedDocument {
        created_at_ms: document.created_at_ms,
        updated_at_ms: document.updated_at_ms,
        write: DocumentWrite {
            passages: Some(passages.collect()),
            draft: DocumentDraft {
                id: document.id,
                title: document.title,
                text: document.text,
                metadata: document.metadata,
            },
        },
    }
}
