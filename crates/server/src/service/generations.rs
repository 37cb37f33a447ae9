//! Filling a generation of a collection with what was there when it was made.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siamese_index::{
    DocumentDraft, Error as IndexError, GenerationState, Index, StoredDocument, Writer,
};
use tokio::runtime::Handle;

use super::chunking::window;
use super::encoded_passages::EncodedPassages;
use super::ingest::{Drafts, prepare_for};
use crate::app::{App, Engine};
use crate::backend::{self, Capability};
use crate::error::{ApiError, ErrorCode};
use crate::jobs::{JobKind, JobRun, NewJob, OnCancel};
use crate::queue::Admission;

/// Documents and bytes of the record that are encoded and stored together: few, since what else waits for the same
/// encoder waits for these, and since the lane has to have room for others.
const DOCUMENTS_PER_STEP: usize = 16;
const MAX_STEP_BYTES: usize = 64 << 10;
/// Rounds through all documents. Each has only what was changed while the one before read it.
const MAX_ROUNDS: usize = 100;
/// How long a generation that has been filled waits for writes that were planned before it was made, and how often it
/// looks.
const OLDER_WRITES_PATIENCE: Duration = Duration::from_secs(60);
const OLDER_WRITES_INTERVAL: Duration = Duration::from_millis(2);

/// A generation that is filled, and how far that is.
struct Filling<'a> {
    engine: &'a Engine,
    index: &'a Index,
    runtime: &'a Handle,
    name: &'a str,
    number: u32,
    run: &'a JobRun<'a>,
    /// Documents that have been encoded.
    filled: u64,
    encoded: EncodedPassages,
    /// How long it has waited for writes.
    waited: Duration,
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
            let engine = app.engine()?;
            let filling = Filling {
                engine,
                index: engine.index(Capability::Jobs)?,
                runtime: &runtime,
                name: &name,
                number,
                run,
                filled: 0,
                encoded: EncodedPassages::default(),
                waited: Duration::ZERO,
            };
            filling.finish()
        }),
    }
}

/// Who ends the job wants nothing more to be filled, after a restart neither.
fn pause(app: App, name: String, number: u32) -> OnCancel {
    OnCancel(Box::new(move || {
        let paused = app.engine().and_then(|engine| {
            let index = engine.index(Capability::Jobs)?;
            Ok(index.pause_generation(&name, number)?)
        });
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

/// Goes on with all generations that the end of the service has interrupted; on a cluster, where another service may go on with
/// them, looks after them from now on.
pub(crate) fn resume_all(app: &App) {
    let Ok(engine) = app.engine() else {
        return;
    };
    #[cfg(feature = "qdrant")]
    if let backend::Backend::Cluster(_) = &engine.backend
        && let Err(error) = super::cluster_filling::look_after_generations(app)
    {
        tracing::warn!(%error, "this service fills no generations");
    }
    let (Some(index), Some(jobs)) = (engine.backend.index(), &engine.jobs) else {
        return;
    };
    for collection in index.collections() {
        let name = collection.name();
        let generations = index.generations(name).unwrap_or_default();
        for generation in generations {
            if generation.state == GenerationState::Filling {
                let (number, job) = (
                    generation.number,
                    fill_job(app, name.to_owned(), generation.number),
                );
                match jobs.start(job, None) {
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
                self.index.generation(self.name, self.number)?;
                return Err(self.or_deleted(error));
            }
            self.wait_for_older_writes()?;
            if self.index.finish_generation(self.name, self.number)? {
                return self.summary(started_at);
            }
        }
        Err(ApiError::internal(
            "documents change faster than they are copied",
        ))
    }

    /// A write that was planned before the generation was made has no vectors for it, and would have to be planned again
    /// once that is filled. A client that reads no answers keeps one for as long as it likes.
    fn wait_for_older_writes(&mut self) -> Result<(), ApiError> {
        while self.index.is_awaited_by_writes(self.name, self.number)?
            && self.waited < OLDER_WRITES_PATIENCE
        {
            self.run.cancel.check()?;
            std::thread::sleep(OLDER_WRITES_INTERVAL);
            self.waited += OLDER_WRITES_INTERVAL;
        }
        Ok(())
    }

    /// The writer of a generation knows a moment before the index that it has been deleted.
    fn or_deleted(&self, error: ApiError) -> ApiError {
        let is_collection_there = self.index.collection(self.name).is_ok();
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
        let filled = self.index.generation(self.name, self.number)?.collection;
        let encoder = self.engine.models.encoder_of(&**filled.reader());
        let encoder = self.runtime.block_on(encoder)?;
        let (window, model) = (window(&encoder), &encoder.info().model);
        let warning = format!(
            "{cut} of {passages} passages are longer than the window of {model}, {window} tokens, and their ends were not encoded; a generation with {{\"chunking\": {{\"mode\": \"sentence\"}}}} splits them"
        );
        tracing::warn!(collection = self.name, number = self.number, warning);
        Ok(warning)
    }

    /// Goes through all documents once, in the order of their ids.
    fn round(&mut self) -> Result<(), ApiError> {
        let (mut after, mut seen, before) = (None, 0, self.filled);
        loop {
            self.run.cancel.check()?;
            // Another generation may be active by now, and holds the same documents.
            let source = self.index.collection(self.name)?;
            let target = self.index.generation(self.name, self.number)?.collection;
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
        let of_target: Arc<backend::Writer> = Arc::<Writer>::clone(target);
        let prepared = prepare_for(self.engine, &of_target, &drafts, Admission::Wait);
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::access::{Access, CollectionName};
    use crate::config::{Overrides, Settings};
    use crate::connections::ConnectionLimits;
    use crate::models::ModelFolders;
    use crate::serve::load;
    use crate::service::ingest::{commit, ingest, prepare};

    const NAME: &str = "default";

    fn drafts(ids: &[&str], text: &str) -> Drafts {
        let draft = |id: &&str| {
            Arc::new(DocumentDraft {
                id: (*id).to_owned(),
                title: None,
                text: text.to_owned(),
                metadata: siamese_index::Metadata::new(),
            })
        };
        ids.iter().map(draft).collect()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_generation_is_ready_once_writes_have_ended_that_were_planned_before_it_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::load(&Overrides {
            data_dir: Some(folder.path().to_owned()),
            ..Overrides::default()
        });
        let settings = settings.unwrap();
        let model = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let model = model.join("../encoder/tests/fixtures/models/bert-old-dialect");
        let folders = ModelFolders::new(model, |name| Err(name.to_owned()));
        let (engine, threads) = load(&settings, &folders, &backend::Loading::default()).unwrap();
        let limits = ConnectionLimits::new(&settings.server, None);
        let access = Access::open(&settings).unwrap();
        let app = App::new(settings, limits, access, None);
        app.set_engine(engine);
        let engine = app.engine().unwrap();
        let writer = engine.writer(&CollectionName::of_job(NAME)).unwrap();
        let before = drafts(&["a", "b", "c"], "A cat sleeps.");
        ingest(engine, &writer, before, None, Admission::Wait)
            .await
            .unwrap();

        let changed = drafts(&["b", "d"], "A dog barks.");
        let prepared = prepare(engine, &writer, changed, Admission::Wait)
            .await
            .unwrap();
        let mut settings = writer.reader().settings();
        settings.lexical = !settings.lexical;
        let encoder = writer.reader().encoder();
        let index = engine.index(Capability::Jobs).unwrap();
        let begun = index.begin_generation(NAME, &settings, &encoder);
        let filled = begun.unwrap();
        let job = fill_job(&app, NAME.to_owned(), filled.number);
        let jobs = engine.jobs().unwrap();
        jobs.start(job, None).unwrap();
        let state = || index.generation(NAME, 2).unwrap().state;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(state(), GenerationState::Filling);
        let stored = commit(engine, &writer, prepared, None, Admission::Wait).await;
        assert_eq!(stored.unwrap().len(), 2);
        for _ in 0..6000 {
            if state() == GenerationState::Ready {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(state(), GenerationState::Ready);
        for (id, text) in [
            ("a", "A cat sleeps."),
            ("b", "A dog barks."),
            ("d", "A dog barks."),
        ] {
            let found = filled.collection.reader().get(id).unwrap().unwrap();
            assert_eq!(found.text, text);
        }
        app.stop();
        jobs.join();
        engine.queue.abandon();
        drop(threads);
    }
}
