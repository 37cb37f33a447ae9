//! No more of sled's log buffers in flight than its threads can take, so that none waits for ever.
//!
//! # The hang
//!
//! sled fills a buffer for each segment of its log and hands it to a pool of threads. Such a *task*
//! writes it, fsyncs it, and then locks the segment accountant to say so. When segments at the end of
//! the log become free, the accountant hands the pool another task, which makes the file shorter. Whoever
//! needs a new segment at the end of the log holds the accountant's lock while waiting for that task
//! (`SegmentAccountant::bump_tip`). When at that moment every thread of the pool is busy with a buffer
//! that was handed over before, all of them wait for the lock, the shortening waits for one of them, and
//! the lock waits for the shortening: for ever. The pool begins with seven threads and in effect keeps
//! to them, because a thread at work counts as minus one among those that wait (`threadpool.rs`), so
//! that the number of idle threads goes below zero and looks large.
//!
//! So the hang takes seven tasks that are not finished. Here is what keeps them fewer, and where that is not
//! arithmetic alone.
//!
//! # The bounds
//!
//! * Whatever adds to the log takes the one [`Turn`] of the process, since the pool is the process's.
//! * The segments that are filled are counted: sled allocates a buffer of [`SEGMENT_BYTES`] for each,
//!   in a shape that nothing else has, and [`Allocator`] sees it.
//! * A task is seen to its last instruction: before it fsyncs, in our `sync_file_range`, it defers a function in crossbeam's
//!   epoch, which cannot run before the task has let go of its own guard, at its end.
//! * Where there is no batch, one key at a time is changed, and before each no more than [`MAX_BEFORE_KEY`]
//!   tasks are unfinished; otherwise they are waited for. A key fills two segments at most (a page has 17
//!   entries of 4 kB at most, and takes another with it, and its parent). That makes six.
//! * A batch hands over two small buffers (`PageCache::pin_log` ends the current one before and after
//!   its mark), and one for each segment that it fills. It begins with [`MAX_BEFORE_BATCH`] unfinished tasks at
//!   most. That makes six with two segments, and it is small enough ([`super::write_batch`]) to fill one or none, unless
//!   many of its keys lie in pages that are to be written whole just now.
//! * What such a batch fills is held back: whoever needs a new buffer waits until all segments
//!   before it are on the disk. So at most one more task waits for the disk. The others that are not
//!   finished have nothing left to do but some microseconds of arithmetic; for the hang four of them
//!   at the least would have to be kept from a processor while this thread fills another segment and waits for its fsync.
//!   A disk that takes longer than [`MAX_WAIT`] for an fsync ends this wait, and this one only: the others end in
//!   a flush. What hangs then is noticed by the watch over writes, which ends the process.
//! * A flush hands over two at most, and excludes batches by itself (`concurrency_control`) as well as by the turn.
//!
//! Readers may hand over a buffer when they read a page that is not on the disk yet and not in the
//! page cache any more, and when they help to finish the split of a page: each one at most, for a moment.
//!
//! Elsewhere than on Linux sled does not call `sync_file_range`: what is finished is not seen, and every
//! wait is a flush.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Whether sled fsyncs by our function.
const SEES_TASKS: bool = cfg!(target_os = "linux");
/// Bytes of a segment of the log, and of the buffer for it: sled's default.
const SEGMENT_BYTES: u64 = 512 << 10;
/// The alignment of such a buffer (`AlignedBuf`).
const BUFFER_ALIGN: usize = 8192;
/// Small buffers that a batch hands over.
const BATCH_BUFFERS: u64 = 2;
/// Tasks that may be unfinished when a batch is applied.
const MAX_BEFORE_BATCH: u64 = 2;
/// Tasks that may be unfinished when a single key is changed.
const MAX_BEFORE_KEY: u64 = 4;
/// For how long a buffer or a task is waited for. What takes longer has failed, or hangs, which
/// others look after.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// Between two looks at what is being waited for.
const LOOK_PAUSE: Duration = Duration::from_micros(50);

/// Segments that have been filled by whoever had the turn.
static FILLED: AtomicU64 = AtomicU64::new(0);
/// Segments that are on the disk to their ends.
static SYNCED: AtomicU64 = AtomicU64::new(0);
/// Tasks that have come to their fsync.
static STARTED: AtomicU64 = AtomicU64::new(0);
/// Tasks that are finished.
static FINISHED: AtomicU64 = AtomicU64::new(0);
static TURN: Mutex<()> = Mutex::new(());

thread_local! {
    static HAS_TURN: Cell<bool> = const { Cell::new(false) };
}

/// The right to add to a log. One thread has it at a time.
#[derive(Debug)]
pub(super) struct Turn {
    _turn: MutexGuard<'static, ()>,
    /// Segments that have been filled in it.
    filled: Cell<u64>,
}

impl Turn {
    /// Waits for it.
    pub(super) fn take() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        HAS_TURN.set(true);
        Self {
            _turn: turn,
            filled: Cell::new(0),
        }
    }

    /// Runs something that adds to a log, and counts the segments that it fills.
    fn count<T>(&self, add: impl FnOnce() -> T) -> (T, u64) {
        let before = FILLED.load(Ordering::Relaxed);
        let outcome = add();
        let filled = FILLED.load(Ordering::Relaxed) - before;
        self.filled.set(self.filled.get() + filled);
        (outcome, filled)
    }

    /// Bytes of the segments that have been filled in this turn.
    pub(super) fn filled_bytes(&self) -> u64 {
        self.filled.get() * SEGMENT_BYTES
    }

    /// Waits until all segments that have been filled are on the disk, and those who wrote them are
    /// finished. Returns whether they are.
    fn finish_segments(&self) -> bool {
        let filled = FILLED.load(Ordering::Acquire);
        SEES_TASKS && wait_for(|| SYNCED.load(Ordering::Acquire) >= filled) && finish_started()
    }

    /// After a flush: waits until those who wrote are finished.
    fn finish_flushed(&self) {
        if !finish_started() {
            tracing::debug!("sled's threads take long to end what they have written");
        }
        // Readers may have filled segments, too.
        FILLED.store(SYNCED.load(Ordering::Acquire), Ordering::Release);
    }
}

/// Waits for the tasks that have come to their fsync.
fn finish_started() -> bool {
    let started = STARTED.load(Ordering::Acquire);
    wait_for(|| {
        // Runs what has been deferred, if nobody can need it any more.
        crossbeam_epoch::pin().flush();
        FINISHED.load(Ordering::Acquire) >= started
    })
}

impl Drop for Turn {
    fn drop(&mut self) {
        HAS_TURN.set(false);
    }
}

/// Tasks of one log that may not be finished. Changed by whoever has the turn.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    small: AtomicU64,
    segments: AtomicU64,
    /// The most that there have been.
    #[cfg(test)]
    most: AtomicU64,
}

/// What adds to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Addition {
    /// A batch of one step.
    Batch,
    /// A change of one key.
    Key,
}

impl Unfinished {
    /// Adds to the log as soon as few tasks are unfinished. `flush` flushes the log.
    pub(super) fn add<T, E>(
        &self,
        turn: &Turn,
        addition: Addition,
        flush: impl FnOnce() -> Result<(), E>,
        add: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let (small_buffers, max_before) = match addition {
            Addition::Batch => (BATCH_BUFFERS, MAX_BEFORE_BATCH),
            Addition::Key => (0, MAX_BEFORE_KEY),
        };
        if self.tasks() > max_before && turn.finish_segments() {
            self.segments.store(0, Ordering::Relaxed);
        }
        if self.tasks() > max_before {
            self.flush(turn, flush)?;
        }
        let (outcome, filled) = turn.count(add);
        self.small.fetch_add(small_buffers, Ordering::Relaxed);
        self.segments.fetch_add(filled, Ordering::Relaxed);
        #[cfg(test)]
        self.most.fetch_max(self.tasks(), Ordering::Relaxed);
        outcome
    }

    #[cfg(test)]
    pub(super) fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }

    /// Flushes, and waits for the threads that did it.
    pub(super) fn flush<E>(
        &self,
        turn: &Turn,
        flush: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        flush()?;
        turn.finish_flushed();
        self.small.store(0, Ordering::Relaxed);
        self.segments.store(0, Ordering::Relaxed);
        Ok(())
    }

    fn tasks(&self) -> u64 {
        self.small.load(Ordering::Relaxed) + self.segments.load(Ordering::Relaxed)
    }
}

/// Says that a task is about to fsync what it has written.
pub(super) fn task_started() {
    STARTED.fetch_add(1, Ordering::AcqRel);
    crossbeam_epoch::pin().defer(|| FINISHED.fetch_add(1, Ordering::AcqRel));
}

/// Says that a part of a log is on the disk.
pub(super) fn part_synced(offset: i64, bytes: i64) {
    let end = u64::try_from(offset.saturating_add(bytes)).unwrap_or_default();
    // Only the last buffer of a segment reaches its end.
    if end.is_multiple_of(SEGMENT_BYTES) {
        SYNCED.fetch_add(1, Ordering::AcqRel);
    }
}

/// Waits until all segments that were filled before this one are on the disk. It must not
/// allocate.
fn segment_filled() {
    let before = FILLED.fetch_add(1, Ordering::AcqRel);
    if SEES_TASKS {
        wait_for(|| SYNCED.load(Ordering::Acquire) >= before);
    }
}

/// Returns whether it came true within [`MAX_WAIT`].
fn wait_for(is_true: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !is_true() {
        if begun.elapsed() > MAX_WAIT {
            return false;
        }
        std::thread::sleep(LOOK_PAUSE);
    }
    true
}

/// The system's allocator, which also sees the buffers that sled allocates.
struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

// SAFETY: everything is the system allocator's, as it is; what is done beside it neither allocates nor
// unwinds.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() == BUFFER_ALIGN && layout.size() as u64 == SEGMENT_BYTES && HAS_TURN.get()
        {
            segment_filled();
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}
