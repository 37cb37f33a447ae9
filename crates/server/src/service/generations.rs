//! Filling a generation of a collection with what was there when it was made.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde_json::{Value, json};
use siamese_index::{
    DocumentDraft, Error as IndexError, GenerationState, Index, StoredDocument, Writer,
};
use tokio::runtime::Handle;

use super::chunking::window;
use super::encoded_passages::EncodedPassages;
use super::ingest::{Drafts, prepare_for};
use crate::app::{App, Engine};
use crate::error::{ApiError, ErrorCode};
use crate::jobs::{JobKind, JobRun, NewJob, OnCancel};
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
    encoded: EncodedPassages,
}

/// The job that fills a generation. Must be made within the runtime.
pub(crate) fn fill_job(app: &App, name: String, number: u32) -> NewJob {
    let (app, runtime) = (app.clone(), Handle::current());
    NewJob {
        kind: JobKind::Generation,
        collection: Some(name.clone()),
        unit: "documents",
        on_cancel: Some(pause(app.clone(), name.clone(), number)),
        work: Box::new(move |run| {
            let filling = Filling {
                engine: app.engine()?,
                runtime: &runtime,
                name: &name,
                number,
                run,
                filled: 0,
                encoded: EncodedPassages::default(),
            };
            filling.finish()
        }),
    }
}

/// Who ends the job wants nothing more to be filled, after a restart neither.
fn pause(app: App, name: String, number: u32) -> OnCancel {
    OnCancel(Box::new(move || {
        let paused = app
            .engine()
            .and_then(|engine| Ok(engine.index.pause_generation(&name, number)?));
        match paused {
            Ok(()) => tracing::info!(collection = name, number, "filling a generation pauses"),
            Err(error) => tracing::warn!(
                collection = name,
                number,
                error = error.detail(),
                "that a generation pauses was not kept"
            ),
        }
    }))
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
                return Err(self.or_deleted(error));
            }
            if self.index().finish_generation(self.name, self.number)? {
                return self.summary(started_at);
            }
        }
        Err(ApiError::internal(
            "documents change faster than they are copied",
        ))
    }

    /// The writer of a generation knows a moment before the index that it has been deleted.
    fn or_deleted(&self, error: ApiError) -> ApiError {
        let is_collection_there = self.index().collection(self.name).is_ok();
        if error.code() != ErrorCode::CollectionNotFound || !is_collection_there {
            return error;
        }
        ApiError::from(IndexError::GenerationNotFound {
            name: self.name.to_owned(),
            number: self.number,
        })
    }

    /// What the job has done. A part of it may have been done by another one before.
    fn summary(&self, started_at: Instant) -> Result<Value, ApiError> {
        let EncodedPassages {
            passages,
            tokens,
            cut,
        } = self.encoded;
        let mut summary = json!({
            "generation": self.number,
            "encoded_documents": self.filled,
            "encoded_passages": passages,
            "cut_passages": cut,
            "tokens": tokens,
            "took_ms": started_at.elapsed().as_millis() as u64,
        });
        if cut > 0 {
            summary["warning"] = self.warning()?.into();
        }
        Ok(summary)
    }

    /// Nothing is cut in silence.
    fn warning(&self) -> Result<String, ApiError> {
        let EncodedPassages { passages, cut, .. } = self.encoded;
        let filled = self.index().generation(self.name, self.number)?.collection;
        let encoder = self.engine.models.encoder_of(filled.reader());
        let encoder = self.runtime.block_on(encoder)?;
        let (window, model) = (window(&encoder), &encoder.info().model);
        let warning = format!(
            "{cut} of {passages} passages are longer than the window of {model}, {window} tokens, and their ends were not encoded; a generation with {{\"chunking\": {{\"mode\": \"sentence\"}}}} splits them"
        );
        tracing::warn!(collection = self.name, number = self.number, warning);
        Ok(warning)
    }

    fn index(&self) -> &Index {
        &self.engine.index
    }

    /// Goes through all documents once, in the order of their ids.
    fn round(&mut self) -> Result<(), ApiError> {
        let (mut after, mut seen, before) = (None, 0, self.filled);
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
            self.run
                .progress
                .set_skipped(seen.saturating_sub(self.filled - before));
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
        let encoded = prepared.encoded();
        self.run.tokens.fetch_add(encoded.tokens, Ordering::Relaxed);
        self.encoded = [self.encoded, encoded].into_iter().sum();
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
