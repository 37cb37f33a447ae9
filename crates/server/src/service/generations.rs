//! Filling a generation of a collection with what was there when it was made.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use siamese_index::{DocumentDraft, GenerationState, Index, StoredDocument, Writer};
use tokio::runtime::Handle;

use super::ingest::{Drafts, prepare_for};
use crate::app::{App, Engine};
use crate::error::ApiError;
use crate::jobs::{JobKind, JobRun, NewJob};
use crate::queue::Admission;

/// Documents and bytes of the record that are encoded and stored together: few, since what else waits for the same
/// encoder waits for these, and since the lane has to have room for others.
const DOCUMENTS_PER_STEP: usize = 16;
const MAX_STEP_BYTES: usize = 64 << 10;
/// Rounds through all documents. Each has only what was changed while the one before read it.
const MAX_ROUNDS: usize = 100;

/// A generation that is filled, and how far that is.
struct Filling<'a> {
    engine: &'a Engine,
    runtime: &'a Handle,
    name: &'a str,
    number: u32,
    run: &'a JobRun<'a>,
    /// Documents that have been encoded.
    filled: u64,
}

/// The job that fills a generation. Must be made within the runtime.
pub(crate) fn fill_job(app: &App, name: String, number: u32) -> NewJob {
    let (app, runtime) = (app.clone(), Handle::current());
    NewJob {
        kind: JobKind::Generation,
        collection: Some(name.clone()),
        unit: "documents",
        work: Box::new(move |run| {
            let filling = Filling {
                engine: app.engine()?,
                runtime: &runtime,
                name: &name,
                number,
                run,
                filled: 0,
            };
            filling.finish()
        }),
    }
}

/// Goes on with all generations that the end of the service has interrupted.
pub(crate) fn resume_all(app: &App) {
    let Ok(engine) = app.engine() else {
        return;
    };
    for collection in engine.index.collections() {
        let name = collection.name();
        let generations = engine.index.generations(name).unwrap_or_default();
        for generation in generations {
            if generation.state == GenerationState::Filling {
                let (number, job) = (
                    generation.number,
                    fill_job(app, name.to_owned(), generation.number),
                );
                match engine.jobs.start(job) {
                    Ok(_) => {
                        tracing::info!(collection = name, number, "filling a generation goes on")
                    }
                    Err(error) => tracing::warn!(
                        collection = name,
                        number,
                        error = error.detail(),
                        "a generation is not filled until that is asked for"
                    ),
                }
            }
        }
    }
}

impl Filling<'_> {
    /// Fills until no document is missing.
    fn finish(mut self) -> Result<Value, ApiError> {
        let started_at = Instant::now();
        for _ in 0..MAX_ROUNDS {
            if let Err(error) = self.round() {
                // Of a generation that was deleted meanwhile, that is what is to be said.
                self.index().generation(self.name, self.number)?;
                return Err(error);
            }
            if self.index().finish_generation(self.name, self.number)? {
                return Ok(json!({
                    "generation": self.number,
                    "encoded_documents": self.filled,
                    "took_ms": started_at.elapsed().as_millis() as u64,
                }));
            }
        }
        Err(ApiError::internal(
            "documents change faster than they are copied",
        ))
    }

    fn index(&self) -> &Index {
        &self.engine.index
    }

    /// Goes through all documents once, in the order of their ids.
    fn round(&mut self) -> Result<(), ApiError> {
        let (mut after, mut seen) = (None, 0);
        loop {
            self.run.cancel.check()?;
            // Another generation may be active by now, and holds the same documents.
            let source = self.index().collection(self.name)?;
            let target = self.index().generation(self.name, self.number)?.collection;
            self.run.progress.set_total(source.stats().documents.max(1));
            let documents = source.reader().list_whole(
                after.as_deref(),
                DOCUMENTS_PER_STEP,
                MAX_STEP_BYTES,
                false,
            )?;
            let Some((last, _)) = documents.last() else {
                return Ok(());
            };
            after = Some(last.id.clone());
            seen += documents.len() as u64;
            let documents = documents.into_iter().map(|(document, _)| document);
            self.copy(source.writer(), target.writer(), documents.collect())?;
            self.run.progress.set_done(seen);
        }
    }

    fn copy(
        &mut self,
        source: &Writer,
        target: &Arc<Writer>,
        documents: Vec<StoredDocument>,
    ) -> Result<(), ApiError> {
        let mut drafts = Vec::new();
        for document in documents {
            if !target.has(&document.id)? {
                drafts.push(Arc::new(draft(document)));
            }
        }
        if drafts.is_empty() {
            return Ok(());
        }
        let drafts: Drafts = drafts.into();
        let target_of_writes = Arc::clone(target);
        let prepared = prepare_for(self.engine, target_of_writes, &drafts, Admission::Wait);
        let prepared = self.runtime.block_on(prepared)?;
        let changed = target.fill(source, &prepared.writes)?;
        // What has changed comes with the next round.
        self.filled += (drafts.len() - changed.len()) as u64;
        Ok(())
    }
}

fn draft(document: StoredDocument) -> DocumentDraft {
    DocumentDraft {
        id: document.id,
        title: document.title,
        text: document.text,
        metadata: document.metadata,
    }
}
