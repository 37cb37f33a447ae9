//! All jobs: those that wait, those that run, and those that have ended.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde_json::Value;
use siamese_index::{Index, step_back};
use uuid::Uuid;

use super::job::{Job, JobFailure, JobKind, JobRecord, JobState, OnCancel};
use super::run::JobRun;
use crate::config::JobsSettings;
use crate::error::{ApiError, ErrorCode};
use crate::{metrics, thread_slice};

/// What `Retry-After` says when as many jobs wait as may, seconds.
const RETRY_AFTER_S: u64 = 60;

/// What a job does on its thread. What it returns is its result in short.
type Work = Box<dyn FnOnce(&JobRun<'_>) -> Result<Value, ApiError> + Send>;

/// A job to start.
pub(crate) struct NewJob {
    pub(crate) kind: JobKind,
    /// The collection that it is about, if it is about one.
    pub(crate) collection: Option<String>,
    /// What its progress is counted in.
    pub(crate) unit: &'static str,
    /// What is done when somebody ends it, besides ending it.
    pub(crate) on_cancel: Option<OnCancel>,
    pub(crate) work: Work,
}

/// All jobs; clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Jobs(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    index: Arc<Index>,
    settings: JobsSettings,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By their ids, which sort by the moments of their making.
    jobs: BTreeMap<String, Arc<Job>>,
    waiting: VecDeque<(Arc<Job>, Work)>,
    running: Vec<JobKind>,
    threads: Vec<JoinHandle<()>>,
    is_stopping: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("jobs", &self.jobs)
            .field("waiting", &self.waiting.len())
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

impl Jobs {
    /// Reads what is known of earlier jobs. Those that the end of the service has interrupted say so.
    ///
    /// # Errors
    /// When their files cannot be read.
    pub(crate) fn open(
        index: Arc<Index>,
        settings: JobsSettings,
    ) -> Result<Self, siamese_index::Error> {
        let mut state = State::default();
        for (id, saved) in index.jobs().saved()? {
            match serde_json::from_slice::<JobRecord>(&saved) {
                Ok(record) if record.id == id => {
                    let job = Arc::new(Job::new(record, None));
                    if !job.state().is_final() {
                        interrupt(&index, &job);
                    }
                    state.jobs.insert(id, job);
                }
                Ok(_) => tracing::warn!(id, "the file of a job is named after another"),
                Err(error) => tracing::warn!(id, %error, "the file of a job cannot be read"),
            }
        }
        Ok(Self(Arc::new(Shared {
            index,
            settings,
            state: Mutex::new(state),
        })))
    }

    /// Writes a job down and starts it, or lets it wait for another one of its kind. This writes to the
    /// disk. The owner is the id of the key that asks for it.
    ///
    /// # Errors
    /// 503 when as many wait as may or the service is stopping, 409 for one that does not wait for another of its
    /// kind, and what the disk fails with.
    pub(crate) fn start(&self, new: NewJob, owner: Option<String>) -> Result<JobRecord, ApiError> {
        let mut state = self.0.lock();
        if state.is_stopping {
            return Err(ApiError::not_ready("the service is stopping"));
        }
        let unfinished = state.jobs.values().filter(|job| !job.state().is_final());
        let max_unfinished = self.0.settings.max_unfinished.get();
        if unfinished.count() >= max_unfinished {
            let detail = format!("jobs.max_unfinished = {max_unfinished} jobs wait or run already");
            return Err(ApiError::overloaded(detail, RETRY_AFTER_S));
        }
        if !new.kind.may_wait() {
            state.check_alone(new.kind)?;
        }
        self.0.make_room(&mut state)?;
        let record = new.record(owner);
        let id = record.id.clone();
        self.0.save(&record)?;
        let job = Arc::new(Job::new(record, new.on_cancel));
        state.jobs.insert(id, Arc::clone(&job));
        state.waiting.push_back((Arc::clone(&job), new.work));
        self.0.run_waiting(&mut state, &self.0);
        Ok(job.record())
    }

    /// Returns all jobs, the newest first.
    pub(crate) fn list(&self) -> Vec<JobRecord> {
        let state = self.0.lock();
        state.jobs.values().rev().map(|job| job.record()).collect()
    }

    /// Returns a job by its id.
    ///
    /// # Errors
    /// 404 when there is none.
    pub(crate) fn get(&self, id: &str) -> Result<JobRecord, ApiError> {
        Ok(self.job(id)?.record())
    }

    /// Ends a job that waits or runs, and removes one that has ended. Returns what is known of one that
    /// is being ended.
    ///
    /// # Errors
    /// 404 when there is none, and what the disk fails with.
    pub(crate) fn delete(&self, id: &str) -> Result<Option<JobRecord>, ApiError> {
        let mut state = self.0.lock();
        let job = Arc::clone(state.jobs.get(id).ok_or_else(|| job_not_found(id))?);
        if job.state().is_final() {
            self.0.index.jobs().remove(id)?;
            state.jobs.remove(id);
            return Ok(None);
        }
        job.cancel.cancel();
        let before = state.waiting.len();
        state
            .waiting
            .retain(|(waiting, _)| !Arc::ptr_eq(waiting, &job));
        if state.waiting.len() < before {
            self.0.end(&job, JobState::Cancelled, |_| {});
        }
        drop(state);
        if let Some(OnCancel(tell)) = job.take_on_cancel() {
            tell();
        }
        Ok(Some(job.record()))
    }

    /// Ends everything that runs; nothing is started any more.
    pub(crate) fn stop(&self) {
        let mut state = self.0.lock();
        state.is_stopping = true;
        // The next start finds in their files that these had not ended, and says that they were interrupted.
        state.waiting.clear();
        for job in state.jobs.values() {
            if !job.state().is_final() {
                job.cancel.cancel();
            }
        }
    }

    /// Waits until the threads of jobs have ended.
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut self.0.lock().threads);
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("the thread of a job had panicked");
            }
        }
    }

    fn job(&self, id: &str) -> Result<Arc<Job>, ApiError> {
        let state = self.0.lock();
        state.jobs.get(id).cloned().ok_or_else(|| job_not_found(id))
    }
}

impl State {
    /// Refuses a job beside another of its kind.
    fn check_alone(&self, kind: JobKind) -> Result<(), ApiError> {
        let is_alike =
            |(_, job): &(&String, &Arc<Job>)| job.kind() == kind && !job.state().is_final();
        match self.jobs.iter().find(is_alike) {
            None => Ok(()),
            Some((id, _)) => {
                let kind = kind.label();
                let detail = format!(
                    "one {kind} job runs at a time, and {id} has not ended; DELETE /jobs/{id} ends it"
                );
                Err(ApiError::new(ErrorCode::Conflict, detail))
            }
        }
    }
}

impl NewJob {
    fn record(&self, owner: Option<String>) -> JobRecord {
        JobRecord {
            id: Uuid::now_v7().to_string(),
            kind: self.kind,
            collection: self.collection.clone(),
            owner,
            state: JobState::Queued,
            unit: self.unit.to_owned(),
            created_at_ms: now_ms(),
            started_at_ms: None,
            finished_at_ms: None,
            done: 0,
            total: None,
            details: None,
            skipped: 0,
            tokens: 0,
            failure: None,
            summary: None,
            result_bytes: 0,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, record: &JobRecord) -> Result<(), ApiError> {
        let bytes = serde_json::to_vec(record).map_err(ApiError::internal)?;
        Ok(self.index.jobs().save(&record.id, &bytes)?)
    }

    /// Forgets the oldest jobs that have ended, so that one more is not too many.
    fn make_room(&self, state: &mut State) -> Result<(), ApiError> {
        let ended = |job: &&Arc<Job>| job.state().is_final();
        while state.jobs.values().filter(ended).count() >= self.settings.max_finished.get() {
            let oldest = state.jobs.iter().find(|(_, job)| ended(job));
            let Some(id) = oldest.map(|(id, _)| id.clone()) else {
                break;
            };
            self.index.jobs().remove(&id)?;
            state.jobs.remove(&id);
        }
        Ok(())
    }

    /// Forgets the results of the oldest jobs until all of them together are no larger than they may be.
    fn make_room_for_result(&self, newest: &str) {
        let mut state = self.lock();
        loop {
            let records: Vec<JobRecord> = state.jobs.values().map(|job| job.record()).collect();
            let bytes: u64 = records.iter().map(|record| record.result_bytes).sum();
            let oldest = records
                .iter()
                .find(|record| record.result_bytes > 0 && record.id != newest);
            let (Some(oldest), true) = (oldest, bytes > self.settings.max_results_bytes.get())
            else {
                return;
            };
            if let Err(error) = self.index.jobs().remove(&oldest.id) {
                tracing::warn!(%error, "the result of an old job was not removed");
                return;
            }
            state.jobs.remove(&oldest.id);
        }
    }

    /// Starts a thread for each kind that has jobs waiting and none running.
    fn run_waiting(&self, state: &mut State, shared: &Arc<Self>) {
        let waiting: Vec<JobKind> = state
            .waiting
            .iter()
            .map(|(job, _)| job.record().kind)
            .collect();
        for kind in waiting {
            if state.running.contains(&kind) {
                continue;
            }
            let own = Arc::clone(shared);
            let thread = std::thread::Builder::new().name("job".to_owned());
            match thread.spawn(move || own.run_all(kind)) {
                Ok(thread) => {
                    state.threads.retain(|thread| !thread.is_finished());
                    state.threads.push(thread);
                    state.running.push(kind);
                }
                Err(error) => {
                    tracing::error!(%error, "no thread for a job; it waits for the next one")
                }
            }
        }
    }

    /// Does jobs of one kind until none waits.
    fn run_all(&self, kind: JobKind) {
        // Threads begin with the slice of the one that starts them, which may be a short one.
        thread_slice::prefer_throughput();
        step_back();
        while let Some((job, work)) = self.next(kind) {
            self.run(&job, work);
        }
    }

    fn next(&self, kind: JobKind) -> Option<(Arc<Job>, Work)> {
        let mut state = self.lock();
        let place = state
            .waiting
            .iter()
            .position(|(job, _)| job.record().kind == kind);
        let next = place.and_then(|place| state.waiting.remove(place));
        if next.is_none() {
            state.running.retain(|running| *running != kind);
        }
        next
    }

    fn run(&self, job: &Job, work: Work) {
        let record = job.change(|record| {
            record.state = JobState::Running;
            record.started_at_ms = Some(now_ms());
        });
        let run = JobRun {
            id: &record.id,
            job,
            index: &self.index,
            max_result_bytes: self.settings.max_results_bytes.get(),
            cancel: &job.cancel,
            progress: &job.progress,
            tokens: &job.tokens,
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&run)))
            .unwrap_or_else(|_| Err(ApiError::internal("a job panicked")));
        match outcome {
            Ok(summary) => {
                let found = self.index.jobs().result(&record.id);
                let result_bytes = found.ok().flatten().map_or(0, |(_, bytes)| bytes);
                self.end(job, JobState::Done, |record| {
                    record.summary = Some(summary);
                    record.result_bytes = result_bytes;
                });
                self.make_room_for_result(&record.id);
            }
            Err(_) if self.lock().is_stopping => self.end(job, JobState::Interrupted, |_| {}),
            Err(_) if job.cancel.is_cancelled() => self.end(job, JobState::Cancelled, |_| {}),
            Err(error) => self.end(job, JobState::Failed, |record| {
                record.failure = Some(JobFailure::from(&error));
            }),
        }
    }

    /// Says how a job has ended: in its file, then to those who ask.
    fn end(&self, job: &Job, state: JobState, change: impl FnOnce(&mut JobRecord)) {
        let mut record = job.record();
        job.measure(&mut record);
        record.state = state;
        record.finished_at_ms = Some(now_ms());
        change(&mut record);
        // A restart will say that it was interrupted.
        if let Err(error) = self.save(&record) {
            let detail = error.detail();
            tracing::warn!(id = record.id, detail, "the end of a job was not kept");
        }
        metrics::job_ended(&record);
        job.change(|known| *known = record);
    }
}

fn interrupt(index: &Index, job: &Job) {
    let record = job.change(|record| {
        record.state = JobState::Interrupted;
        record.finished_at_ms = Some(now_ms());
    });
    let saved = serde_json::to_vec(&record)
        .map_err(|error| error.to_string())
        .and_then(|bytes| {
            let saved = index.jobs().save(&record.id, &bytes);
            saved.map_err(|error| error.to_string())
        });
    // Only the moment of its end is lost.
    if let Err(error) = saved {
        tracing::warn!(id = record.id, error, "the end of a job was not kept");
    }
}

/// What is answered for a job that is not there, or that the caller may not know of.
pub(crate) fn job_not_found(id: &str) -> ApiError {
    ApiError::new(ErrorCode::JobNotFound, format!("no job has the id {id:?}"))
}

fn now_ms() -> u64 {
    jiff::Timestamp::now().as_millisecond().max(0) as u64
}
