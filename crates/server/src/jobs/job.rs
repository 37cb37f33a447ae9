//! What is known of a job.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use siamese_index::{Cancel, Progress};
use utoipa::ToSchema;

use crate::error::{ApiError, ErrorCode};

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobKind {
    /// Takes a snapshot.
    Snapshot,
    /// Rewrites the store, so that it takes no more room than its data needs.
    Compaction,
    /// Finds pairs that are alike.
    Duplicates,
    /// Groups documents that are alike.
    Clusters,
    /// Fills a generation of a collection.
    Generation,
    /// Trains a model.
    Training,
    /// Compares a generation with the active one.
    Comparison,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobState {
    /// Waits for another job of its kind to end.
    Queued,
    /// Is being done.
    Running,
    /// Has ended well.
    Done,
    /// Has ended with an error.
    Failed,
    /// Was ended by `DELETE /jobs/{id}`.
    Cancelled,
    /// The service ended before the job did. Nothing goes on; start it again.
    Interrupted,
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct JobFailure {
    /// As the `code` of a problem document.
    #[schema(value_type = ErrorCode)]
    pub(crate) code: String,
    /// What happened: names the field and the limit.
    pub(crate) detail: String,
}

/// What is kept of a job in its file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JobRecord {
    pub(crate) id: String,
    pub(crate) kind: JobKind,
    /// The collection that it is about, if it is about one.
    pub(crate) collection: Option<String>,
    /// The id of the key that has started it.
    #[serde(default)]
    pub(crate) owner: Option<String>,
    pub(crate) state: JobState,
    /// What its progress is counted in.
    pub(crate) unit: String,
    /// Milliseconds since 1970, like the other moments.
    pub(crate) created_at_ms: u64,
    pub(crate) started_at_ms: Option<u64>,
    pub(crate) finished_at_ms: Option<u64>,
    /// How much was done when it ended.
    pub(crate) done: u64,
    pub(crate) total: Option<u64>,
    /// What else is known of how far it is.
    #[serde(default)]
    pub(crate) details: Option<Value>,
    /// How much of it had been done before the job began.
    #[serde(default)]
    pub(crate) skipped: u64,
    /// Tokens that were encoded.
    #[serde(default)]
    pub(crate) tokens: u64,
    pub(crate) failure: Option<JobFailure>,
    /// What it has found, in short.
    pub(crate) summary: Option<Value>,
    /// Size of what it has found at length, bytes.
    pub(crate) result_bytes: u64,
}

/// A job of this process, or one of an earlier run.
#[derive(Debug)]
pub(crate) struct Job {
    record: Mutex<JobRecord>,
    pub(crate) cancel: Cancel,
    pub(crate) progress: Progress,
    /// Tokens that were encoded.
    pub(crate) tokens: AtomicU64,
    on_cancel: Mutex<Option<OnCancel>>,
}

/// What is done when somebody ends a job, besides ending it.
pub(crate) struct OnCancel(pub(crate) Box<dyn FnOnce() + Send>);

impl std::fmt::Debug for OnCancel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnCancel")
    }
}

impl JobKind {
    /// Every kind.
    pub(crate) const ALL: [Self; 7] = [
        Self::Snapshot,
        Self::Compaction,
        Self::Duplicates,
        Self::Clusters,
        Self::Generation,
        Self::Training,
        Self::Comparison,
    ];

    /// Returns whether it may wait for another of its kind. Where that can take hours, those that wait would keep
    /// other kinds of jobs from being started.
    pub(super) fn may_wait(self) -> bool {
        self != Self::Training
    }

    /// Returns what metrics call it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Compaction => "compaction",
            Self::Duplicates => "duplicates",
            Self::Clusters => "clusters",
            Self::Generation => "generation",
            Self::Training => "training",
            Self::Comparison => "comparison",
        }
    }
}

impl JobState {
    /// Every state in which nothing more happens.
    pub(crate) const FINAL: [Self; 4] =
        [Self::Done, Self::Failed, Self::Cancelled, Self::Interrupted];

    /// Returns what metrics call it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// Returns whether nothing more will happen.
    pub(crate) fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl From<&ApiError> for JobFailure {
    fn from(error: &ApiError) -> Self {
        let code = serde_json::to_value(error.code()).unwrap_or_default();
        Self {
            code: code.as_str().unwrap_or_default().to_owned(),
            detail: error.detail().to_owned(),
        }
    }
}

impl Job {
    pub(super) fn new(record: JobRecord, on_cancel: Option<OnCancel>) -> Self {
        Self {
            record: Mutex::new(record),
            cancel: Cancel::default(),
            progress: Progress::default(),
            tokens: AtomicU64::new(0),
            on_cancel: Mutex::new(on_cancel),
        }
    }

    /// Returns what is known of it now.
    pub(crate) fn record(&self) -> JobRecord {
        let mut record = self.lock().clone();
        if !record.state.is_final() {
            self.measure(&mut record);
        }
        record
    }

    pub(super) fn kind(&self) -> JobKind {
        self.lock().kind
    }

    /// Writes down how far it is.
    pub(super) fn measure(&self, record: &mut JobRecord) {
        record.done = self.progress.done();
        record.total = self.progress.total();
        record.skipped = self.progress.skipped();
        record.tokens = self.tokens.load(Ordering::Relaxed);
    }

    /// Takes what is to be done when somebody ends it, which is done once.
    pub(super) fn take_on_cancel(&self) -> Option<OnCancel> {
        let mut on_cancel = self
            .on_cancel
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        on_cancel.take()
    }

    pub(super) fn state(&self) -> JobState {
        self.lock().state
    }

    /// Changes what is known, and returns it as it is then.
    pub(super) fn change(&self, change: impl FnOnce(&mut JobRecord)) -> JobRecord {
        change(&mut self.lock());
        self.record()
    }

    fn lock(&self) -> MutexGuard<'_, JobRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
