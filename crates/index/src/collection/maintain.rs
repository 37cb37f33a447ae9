//! Background work on a collection: freezing heads into segments, merging segments, and remembering
//! both.
//!
//! Everything is made from the published state, which is durable, so a segment never holds what
//! a crash could take back. Writers and searches go on meanwhile.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::maintenance::{MaintenanceFailure, Step};
use super::state::{Published, State, adopt};
use super::writer::Writer;
use crate::lexical::LexicalFailure;
use crate::segments::{BuildSite, SegmentFolder, SegmentedIndex};
use crate::vectors::{FreezeFailure, VectorSpace};

impl Writer {
    /// Does one piece of background work on words and one on vectors, if there are any. Idle
    /// collections get fewer segments.
    ///
    /// # Errors
    /// A disk that fails, or a graph that cannot be built. Neither side keeps the other from its
    /// work.
    pub(crate) fn maintain(&self, is_idle: bool) -> Result<Step, MaintenanceFailure> {
        let _working = self.maintenance.lock();
        if self.maintenance.stop.is_cancelled() {
            return Ok(Step::Nothing);
        }
        let words = self.maintain_words(is_idle);
        let vectors = self.maintain_vectors(is_idle)?;
        match words? {
            Step::Worked => Ok(Step::Worked),
            Step::Nothing => Ok(vectors),
        }
    }

    fn maintain_vectors(&self, is_idle: bool) -> Result<Step, FreezeFailure> {
        let published = self.reader.published.load_full();
        let vectors = &*published.state.vectors;
        let folder = &self.folders.vectors;
        let Some(newer) = self.newer(vectors, folder, is_idle)? else {
            if is_idle {
                self.remember_removals(vectors)?;
            }
            return Ok(Step::Nothing);
        };
        self.install(&newer, folder, |state| &mut state.vectors)?;
        // What has died since is not in the manifest, and this count says so.
        let removals = &self.maintenance.remembered_removals;
        removals.store(newer.removed_passages(), Ordering::Relaxed);
        Ok(Step::Worked)
    }

    fn maintain_words(&self, is_idle: bool) -> Result<Step, LexicalFailure> {
        let published = self.reader.published.load_full();
        let folder = &self.folders.words;
        let Some(newer) = self.newer(&*published.state.words, folder, is_idle)? else {
            return Ok(Step::Nothing);
        };
        self.install(&newer, folder, |state| &mut state.words)?;
        Ok(Step::Worked)
    }

    /// Returns whether nothing has been written since this was last asked.
    pub(crate) fn is_idle(&self) -> bool {
        let sequence = Some(self.reader.published.load().sequence);
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
        let _working = self.maintenance.lock();
        self.remember_removals(&self.reader.published.load().state.vectors)
    }

    /// Removes all files of its segments, of vectors and of words.
    pub(crate) fn remove_segments(&self) -> std::io::Result<()> {
        let _working = self.maintenance.lock();
        self.folders.remove()
    }

    /// Freezes the head of an index or merges some of its segments, if either is due. Returns the index
    /// with the new segments.
    fn newer<I: SegmentedIndex>(
        &self,
        index: &I,
        folder: &SegmentFolder<I::Segment>,
        is_idle: bool,
    ) -> Result<Option<I>, I::Failure> {
        let list = index.segments();
        let freezes = index.head_passages() >= self.maintenance.max_head_passages;
        let merged = match freezes {
            true => Vec::new(),
            false => I::merge_policy(is_idle).next(&list.sizes(index.dead())),
        };
        if !freezes && merged.is_empty() {
            return Ok(None);
        }
        // A folder that was moved away must not be made anew in its old place.
        self.reader.store.check_in_place()?;
        folder.make()?;
        let site = BuildSite {
            folder,
            settings: &self.reader.settings(),
            threads: self.maintenance.build_threads,
            stop: &self.maintenance.stop,
            check_room: &|bytes| self.reader.store.check_room(bytes),
        };
        let list = match freezes {
            true => list.next(&[], index.freeze_head(&site)?, index.head_end()),
            false => list.next(&merged, index.merge(&list.at(&merged), &site)?, 0),
        };
        Ok(Some(index.adopting(&Arc::new(list))))
    }

    /// Remembers new segments, shows them to searches and writers, and removes old files.
    fn install<I: SegmentedIndex>(
        &self,
        index: &I,
        folder: &SegmentFolder<I::Segment>,
        element: fn(&mut State) -> &mut Arc<I>,
    ) -> std::io::Result<()> {
        folder.remember(&index.manifest())?;
        let list = index.segments();
        let mut writer = self.lock_writer();
        adopt(element(&mut writer.staged), list);
        self.memory.set(writer.staged.bytes());
        self.reader.published.rcu(|published| {
            let mut newer = Published::clone(published);
            adopt(element(&mut newer.state), list);
            newer
        });
        drop(writer);
        folder.sweep(list)
    }

    fn remember_removals(&self, vectors: &VectorSpace) -> Result<(), FreezeFailure> {
        let removals = &self.maintenance.remembered_removals;
        let is_known = removals.load(Ordering::Relaxed) == vectors.removed_passages();
        if is_known || vectors.segments().segments.is_empty() {
            return Ok(());
        }
        self.folders.vectors.remember(&vectors.manifest())?;
        removals.store(vectors.removed_passages(), Ordering::Relaxed);
        Ok(())
    }
}
