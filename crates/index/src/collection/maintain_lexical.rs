//! Background work on the words of a collection: the same as on its vectors.

use std::ops::Range;
use std::sync::Arc;

use super::{Collection, Published, Step};
use crate::lexical::{LexicalFailure, LexicalSegment, LexicalSegmentList, LexicalSnapshot};

impl Collection {
    /// Does one piece of work on the words, if there is one.
    pub(super) fn maintain_words(&self) -> Result<Step, LexicalFailure> {
        let published = self.published.load_full();
        let lexical = &published.lexical;
        if lexical.head_passages() >= self.maintenance.max_head_passages {
            self.freeze_words(lexical)?;
            return Ok(Step::Worked);
        }
        let merged = crate::lexical::to_merge(&lexical.segment_sizes());
        if merged.is_empty() {
            return Ok(Step::Nothing);
        }
        self.merge_words(lexical, merged)?;
        Ok(Step::Worked)
    }

    fn freeze_words(&self, lexical: &LexicalSnapshot) -> Result<(), LexicalFailure> {
        // A folder that was moved away must not be made anew in its old place.
        self.store.check_in_place()?;
        let list = lexical.segments();
        let rows = lexical.living_head();
        let segment = if rows.is_empty() {
            None
        } else {
            let bytes = rows.iter().map(|row| row.expected_bytes()).sum();
            self.store.check_room(bytes)?;
            self.folders.lexical.make()?;
            let path = self.folders.lexical.new_segment_path()?;
            Some(Arc::new(LexicalSegment::freeze(&path, &rows)?))
        };
        let end = list.segments.len();
        self.install_words(list.next(end..end, segment, lexical.head_end()))
    }

    fn merge_words(
        &self,
        lexical: &LexicalSnapshot,
        merged: Range<usize>,
    ) -> Result<(), LexicalFailure> {
        let list = lexical.segments();
        let segments = &list.segments[merged.clone()];
        self.store
            .check_room(segments.iter().map(|segment| segment.bytes()).sum())?;
        let path = self.folders.lexical.new_segment_path()?;
        let segment = LexicalSegment::merge(&path, segments, lexical.dead())?;
        self.install_words(list.next(merged, segment.map(Arc::new), 0))
    }

    /// Remembers the new segments, shows them to searches and writers, and removes old files.
    fn install_words(&self, list: LexicalSegmentList) -> Result<(), LexicalFailure> {
        let list = Arc::new(list);
        self.folders.lexical.make()?;
        self.folders.lexical.remember(&list)?;
        let mut state = self.lock_writer();
        state.staged_lexical = Arc::new(state.staged_lexical.adopting(&list));
        self.recount_memory(&state);
        self.published.rcu(|published| {
            Arc::new(Published {
                snapshot: Arc::clone(&published.snapshot),
                metadata: Arc::clone(&published.metadata),
                lexical: Arc::new(published.lexical.adopting(&list)),
                sequence: published.sequence,
            })
        });
        drop(state);
        Ok(self.folders.lexical.sweep(&list)?)
    }
}
