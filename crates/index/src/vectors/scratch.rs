//! Memory that a walk needs and the next one uses again.

use std::sync::Mutex;

/// Scratches that are kept; more walks at a time make their own.
const MAX_KEPT_SCRATCHES: usize = 64;

/// Nobody waits for it: who holds it may be a thread that runs only when no other wants its core.
static KEPT: Mutex<Vec<Scratch>> = Mutex::new(Vec::new());

/// Memory of one walk.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// One bit a row.
    seen: Vec<u64>,
    /// Rows to score next.
    pub(crate) fresh: Vec<u32>,
    /// Dot products of their codes with those of the query.
    pub(crate) dots: Vec<i32>,
}

impl Scratch {
    /// One that nobody uses, or a new one.
    pub(crate) fn take() -> Self {
        let kept = KEPT.try_lock();
        kept.map_or(None, |mut kept| kept.pop()).unwrap_or_default()
    }

    /// Gives it to the next walk.
    pub(crate) fn give_back(self) {
        if let Ok(mut kept) = KEPT.try_lock()
            && kept.len() < MAX_KEPT_SCRATCHES
        {
            kept.push(self);
        }
    }

    pub(crate) fn reset(&mut self, rows: usize) {
        self.seen.clear();
        self.seen.resize(rows.div_ceil(64), 0);
    }

    /// Marks a row; whether it was not marked before.
    #[inline]
    pub(crate) fn see(&mut self, row: u32) -> bool {
        let (word, bit) = (row as usize / 64, 1_u64 << (row % 64));
        let is_new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        is_new
    }
}
