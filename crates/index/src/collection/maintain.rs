//! Background work on a collection: freezing the head into a segment, merging segments, and
//! remembering both. `maintain_lexical` does so for the words.
//!
//! Everything is made from the published snapshot, which is durable, so a segment never holds what
//! a crash could take back. Writers and searches go on meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Collection, Published};
use crate::Cancel;
use crate::lexical::LexicalFailure;
use crate::maintainer::Bell;
use crate::store::Sequence;
use crate::vectors::{
    BuildOptions, FreezeFailure, Row, Segment, SegmentList, SegmentSize, Snapshot, freeze, to_merge,
};

/// A head this many times over its limit is not the usual one.
const OVERDUE_HEADS: usize = 4;

/// What background work needs to know.
#[derive(Debug)]
pub(crate) struct Maintenance {
    pub(crate) max_head_passages: usize,
    pub(crate) build_threads: usize,
    /// Tells the background thread that there is work.
    pub(crate) wake: Arc<Bell>,
    /// Ends a build that is going on.
    stop: Cancel,
    /// Held while work is done.
    working: Mutex<()>,
    /// Removed passages when the manifest was written; differs from any count at first.
    remembered_removals: AtomicU64,
    /// The last write when somebody last asked whether the collection is idle.
    last_sequence: Mutex<Option<Sequence>>,
}

/// What one step of work did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// There was nothing to do.
    Nothing,
    /// Something was done; there may be more.
    Worked,
}

/// Why background work was not done. It is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MaintenanceFailure {
    #[error(transparent)]
    Vectors(#[from] FreezeFailure),
    #[error("the lexical index: {0}")]
    Words(#[from] LexicalFailure),
}

/// What to do next.
enum Task {
    FreezeHead,
    Merge(Vec<Arc<Segment>>),
}

impl Maintenance {
    pub(crate) fn new(max_head_passages: usize, build_threads: usize, wake: Arc<Bell>) -> Self {
        Self {
            max_head_passages,
            build_threads,
            wake,
            stop: Cancel::default(),
            working: Mutex::new(()),
            remembered_removals: AtomicU64::new(u64::MAX),
            last_sequence: Mutex::new(None),
        }
    }

    pub(super) fn is_overdue(&self, head_passages: usize) -> bool {
        head_passages > self.max_head_passages.saturating_mul(OVERDUE_HEADS)
    }
}

impl Collection {
    /// Does one piece of background work on words and one on vectors, if there are any. Idle
    /// collections get fewer segments.
    ///
    /// # Errors
    /// A disk that fails, or a graph that cannot be built. Neither side keeps the other from its
    /// work.
    pub(crate) fn maintain(&self, is_idle: bool) -> Result<Step, MaintenanceFailure> {
        let maintenance = &self.maintenance;
        let _working = maintenance
            .working
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if maintenance.stop.is_cancelled() {
            return Ok(Step::Nothing);
        }
        let words = self.maintain_words();
        let vectors = self.maintain_vectors(is_idle)?;
        match words? {
            Step::Worked => Ok(Step::Worked),
            Step::Nothing => Ok(vectors),
        }
    }

    fn maintain_vectors(&self, is_idle: bool) -> Result<Step, FreezeFailure> {
        let published = self.published.load_full();
        match self.task(&published.snapshot, is_idle) {
            Some(Task::FreezeHead) => self.freeze_head(&published.snapshot)?,
            Some(Task::Merge(segments)) => self.merge(&published.snapshot, &segments)?,
            None => {
                if is_idle {
                    self.remember_removals(&published.snapshot)?;
                }
                return Ok(Step::Nothing);
            }
        }
        Ok(Step::Worked)
    }

    /// Whether nothing has been written since this was last asked.
    pub(crate) fn is_idle(&self) -> bool {
        let sequence = Some(self.published.load().sequence);
        let last = &self.maintenance.last_sequence;
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *last, sequence) == sequence
    }

    /// Lets a build that is going on end early; no other begins.
    pub(crate) fn stop_maintenance(&self) {
        self.maintenance.stop.cancel();
    }

    /// Writes down what has died, so that the next start need not list all passages.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn remember(&self) -> Result<(), FreezeFailure> {
        let maintenance = &self.maintenance;
        let _working = maintenance
            .working
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.remember_removals(&self.published.load().snapshot)
    }

    /// Removes all files of its segments, of vectors and of words.
    pub(crate) fn remove_segments(&self) -> std::io::Result<()> {
        let maintenance = &self.maintenance;
        let _working = maintenance
            .working
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.folders.remove()
    }

    fn task(&self, snapshot: &Snapshot, is_idle: bool) -> Option<Task> {
        if snapshot.head_passages() >= self.maintenance.max_head_passages {
            return Some(Task::FreezeHead);
        }
        let segments = &snapshot.segments().segments;
        let sizes: Vec<SegmentSize> = segments
            .iter()
            .map(|segment| {
                let dead = snapshot.dead_in(segment);
                let living = segment.passages().len() - dead;
                SegmentSize { living, dead }
            })
            .collect();
        let merged = to_merge(&sizes, is_idle);
        let merged: Vec<_> = merged
            .into_iter()
            .map(|place| Arc::clone(&segments[place]))
            .collect();
        (!merged.is_empty()).then_some(Task::Merge(merged))
    }

    fn freeze_head(&self, snapshot: &Snapshot) -> Result<(), FreezeFailure> {
        // A folder that was moved away must not be made anew in its old place.
        self.store.check_in_place()?;
        self.folders.segments.make()?;
        let segment = self.frozen(&snapshot.living_head())?;
        let list = snapshot.segments().next(&[], segment, snapshot.head_end());
        self.install(snapshot, list)
    }

    fn merge(&self, snapshot: &Snapshot, merged: &[Arc<Segment>]) -> Result<(), FreezeFailure> {
        let segment = self.frozen(&snapshot.living_in(merged))?;
        self.install(snapshot, snapshot.segments().next(merged, segment, 0))
    }

    /// Rows as an open segment; none when there are no rows.
    fn frozen(&self, rows: &[Row<'_>]) -> Result<Option<Arc<Segment>>, FreezeFailure> {
        if rows.is_empty() {
            return Ok(None);
        }
        let settings = self.settings().graph;
        let bytes = Segment::expected_bytes(rows.len(), self.dimensions, settings.m);
        self.store.check_room(bytes)?;
        let options = BuildOptions {
            settings,
            threads: self.maintenance.build_threads,
            stop: &self.maintenance.stop,
        };
        let path = self.folders.segments.new_segment_path()?;
        let segment = freeze(&path, self.id().0, self.dimensions, rows, &options)?;
        Ok(Some(Arc::new(segment)))
    }

    /// Remembers the new segments, shows them to searches and writers, and removes old files.
    /// `snapshot` is what they were made from: what has died since is not in the manifest, and
    /// the count of removals says so.
    fn install(&self, snapshot: &Snapshot, list: SegmentList) -> Result<(), FreezeFailure> {
        let list = Arc::new(list);
        let remembered = snapshot.adopting(&list);
        self.folders.segments.remember(&remembered)?;
        let removals = &self.maintenance.remembered_removals;
        removals.store(remembered.removed_passages(), Ordering::Relaxed);
        let mut state = self.lock_writer();
        state.staged = Arc::new(state.staged.adopting(&list));
        self.recount_memory(&state);
        self.published.rcu(|published| {
            Arc::new(Published {
                snapshot: Arc::new(published.snapshot.adopting(&list)),
                metadata: Arc::clone(&published.metadata),
                lexical: Arc::clone(&published.lexical),
                sequence: published.sequence,
            })
        });
        drop(state);
        Ok(self.folders.segments.sweep(&list)?)
    }

    fn remember_removals(&self, snapshot: &Snapshot) -> Result<(), FreezeFailure> {
        let removals = &self.maintenance.remembered_removals;
        let is_known = removals.load(Ordering::Relaxed) == snapshot.removed_passages();
        if is_known || snapshot.segments().segments.is_empty() {
            return Ok(());
        }
        self.folders.segments.remember(snapshot)?;
        removals.store(snapshot.removed_passages(), Ordering::Relaxed);
        Ok(())
    }
}
