//! Filling generations on a cluster. Every service looks which generations may lack documents, and one at a time does
//! something about it; when it is killed, another one goes on. Generations that hold every document are compared now and then,
//! since a service that is killed while it writes may leave a document of which one generation has the new version only.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use siamese_index::DocumentDraft;
use siamese_qdrant::{Cluster, DueGeneration, Writer};
use tokio::runtime::Handle;

use super::ingest::{Drafts, prepare_for};
use crate::app::{App, Engine};
use crate::backend::Backend;
use crate::error::{ApiError, ErrorCode};
use crate::queue::Admission;

/// Between two looks whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a service that says nothing is believed to be at work, and how often it says so. Where two are, since one was
/// slow, documents are encoded twice and nothing else happens.
const CARE: Duration = Duration::from_secs(30);
const CARE_EVERY: Duration = Duration::from_secs(10);
/// Between two comparisons of a generation that holds every document.
const COMPARE_EVERY: Duration = Duration::from_hours(1);
/// Rounds through all documents. Each has only what was changed while the one before read it.
const MAX_ROUNDS: usize = 100;
/// Documents and bytes of them that are encoded and stored together, so that what else waits for the same encoder waits for few.
const DOCUMENTS_PER_STEP: usize = 16;
const MAX_STEP_BYTES: usize = 64 << 10;

/// A generation that this process looks after.
struct Filling<'a> {
    app: &'a App,
    engine: &'a Engine,
    cluster: &'a Cluster,
    runtime: &'a Handle,
    due: &'a DueGeneration,
    /// When that was last said.
    said_at: Instant,
    /// Documents that were written.
    filled: usize,
}

/// How much a round has done.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    /// Every document is there.
    Complete,
    /// Some were changed while they were copied.
    Again,
    /// The service ends, or another one is at it.
    Over,
}

/// Looks after generations on a cluster until the service is asked to stop, on a thread of its own. Must be called within the
/// runtime.
///
/// # Errors
/// When the operating system gives no thread.
pub(crate) fn look_after_generations(app: &App) -> std::io::Result<()> {
    let (app, runtime) = (app.clone(), Handle::current());
    let look = move || {
        while !app.ending().is_cancelled() {
            if let Ok(engine) = app.engine()
                && let Backend::Cluster(cluster) = &engine.backend
            {
                for due in cluster.due_generations() {
                    look_after(&app, engine, cluster, &runtime, &due);
                }
            }
            thread::sleep(LOOK_EVERY);
        }
    };
    let thread = thread::Builder::new().name("generations".to_owned());
    thread.spawn(look).map(drop)
}

fn look_after(
    app: &App,
    engine: &Engine,
    cluster: &Cluster,
    runtime: &Handle,
    due: &DueGeneration,
) {
    let (collection, number) = (&*due.name, due.number);
    match cluster.take_care(collection, number, CARE) {
        Ok(true) => {}
        // Another one was first, or the cluster does not answer, which is told elsewhere.
        Ok(false) | Err(_) => return,
    }
    let mut filling = Filling {
        app,
        engine,
        cluster,
        runtime,
        due,
        said_at: Instant::now(),
        filled: 0,
    };
    let outcome = filling.fill();
    let documents = filling.filled;
    match outcome {
        Ok(()) if documents > 0 => {
            tracing::info!(collection, number, documents, "filled a generation");
        }
        Ok(()) => {}
        // It was deleted meanwhile, perhaps with the whole collection.
        Err(error)
            if matches!(
                error.code(),
                ErrorCode::GenerationNotFound | ErrorCode::CollectionNotFound
            ) => {}
        Err(error) => tracing::warn!(
            collection,
            number,
            documents,
            error = error.detail(),
            "a generation was not filled, and is tried again"
        ),
    }
}

impl Filling<'_> {
    fn fill(&mut self) -> Result<(), ApiError> {
        let (name, number) = (&*self.due.name, self.due.number);
        for _ in 0..MAX_ROUNDS {
            match self.round()? {
                Round::Again => {}
                Round::Over => return Ok(()),
                Round::Complete => {
                    if self.due.lacks_documents {
                        self.cluster.finish_generation(name, number)?;
                    }
                    self.cluster.keep_care(name, number, COMPARE_EVERY)?;
                    return Ok(());
                }
            }
        }
        Err(ApiError::internal(
            "documents change faster than they are copied",
        ))
    }

    /// Goes through all documents once, then through those that may have been deleted.
    fn round(&mut self) -> Result<Round, ApiError> {
        let (mut after, mut round) = (None, Round::Complete);
        loop {
            if !self.goes_on()? {
                return Ok(Round::Over);
            }
            let (lead, target) = self.generations()?;
            let page = target.differing(&lead, after)?;
            if !self.copy_all(&lead, &target, &page.differing)? {
                round = Round::Again;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        loop {
            if !self.goes_on()? {
                return Ok(Round::Over);
            }
            let (lead, target) = self.generations()?;
            after = target.delete_what_is_gone(&lead, after)?;
            if after.is_none() {
                return Ok(round);
            }
        }
    }

    /// What writes the generation that is written first, and the one that is filled.
    fn generations(&self) -> Result<(Arc<Writer>, Arc<Writer>), ApiError> {
        let generation = self.cluster.generation(&self.due.name, self.due.number)?;
        let target = generation.collection.writer;
        let lead = Arc::clone(self.cluster.family_of(&target)?.lead());
        Ok((lead, target))
    }

    /// Whether this process is to go on; says now and then that it does.
    fn goes_on(&mut self) -> Result<bool, ApiError> {
        if self.app.ending().is_cancelled() {
            return Ok(false);
        }
        if self.said_at.elapsed() < CARE_EVERY {
            return Ok(true);
        }
        self.said_at = Instant::now();
        let (name, number) = (&*self.due.name, self.due.number);
        Ok(self.cluster.keep_care(name, number, CARE)?)
    }

    /// Copies documents in steps. Returns whether all of them are what they were.
    fn copy_all(
        &mut self,
        lead: &Arc<Writer>,
        target: &Arc<Writer>,
        ids: &[String],
    ) -> Result<bool, ApiError> {
        let (mut drafts, mut bytes, mut is_complete) = (Vec::new(), 0, true);
        for id in ids {
            if let Some(document) = lead.reader().get(id)? {
                bytes += document.text.len();
                drafts.push(Arc::new(DocumentDraft {
                    id: document.id,
                    title: document.title,
                    text: document.text,
                    metadata: document.metadata,
                }));
            }
            if drafts.len() >= DOCUMENTS_PER_STEP || bytes >= MAX_STEP_BYTES {
                if !self.goes_on()? {
                    return Ok(false);
                }
                is_complete &= self.copy(lead, target, &std::mem::take(&mut drafts).into())?;
                bytes = 0;
            }
        }
        if !drafts.is_empty() {
            is_complete &= self.copy(lead, target, &drafts.into())?;
        }
        Ok(is_complete)
    }

    fn copy(
        &mut self,
        lead: &Arc<Writer>,
        target: &Arc<Writer>,
        drafts: &Drafts,
    ) -> Result<bool, ApiError> {
        let backend = &self.engine.backend;
        let writer = backend.generation(&self.due.name, self.due.number)?;
        let writer = writer.collection.writer;
        let prepared = prepare_for(self.engine, &writer, drafts, Admission::Wait);
        let prepared = self.runtime.block_on(prepared)?;
        let left = target.follow(lead, &prepared.writes)?;
        self.filled += drafts.len() - left.len().min(drafts.len());
        Ok(left.is_empty())
    }
}
