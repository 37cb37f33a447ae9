//! The best rows that a walk over a graph has reached.

/// A row that was reached, and its score by codes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reached {
    pub(crate) score: f32,
    pub(crate) row: u32,
    is_expanded: bool,
}

impl Reached {
    pub(crate) fn new(score: f32, row: u32) -> Self {
        Self {
            score,
            row,
            is_expanded: false,
        }
    }
}

/// The best rows so far, best first.
#[derive(Debug)]
pub(crate) struct Beam {
    rows: Vec<Reached>,
    capacity: usize,
    /// All rows before this place are expanded.
    next: usize,
}

impl Beam {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            rows: Vec::with_capacity(capacity + 1),
            capacity,
            next: 0,
        }
    }

    #[inline]
    pub(crate) fn offer(&mut self, score: f32, row: u32) {
        if self.rows.len() >= self.capacity {
            match self.rows.last() {
                Some(worst) if score > worst.score => self.rows.pop(),
                _ => return,
            };
        }
        let place = self.rows.partition_point(|better| better.score >= score);
        self.rows.insert(place, Reached::new(score, row));
        self.next = self.next.min(place);
    }

    /// The best row that is not expanded yet, which is marked as such.
    pub(crate) fn expand(&mut self) -> Option<u32> {
        let reached = self.rows.get_mut(self.next)?;
        reached.is_expanded = true;
        let row = reached.row;
        self.skip_expanded();
        Some(row)
    }

    pub(crate) fn next_row(&self) -> Option<u32> {
        self.rows.get(self.next).map(|reached| reached.row)
    }

    /// Best first.
    pub(crate) fn into_rows(self) -> Vec<Reached> {
        self.rows
    }

    fn skip_expanded(&mut self) {
        while self
            .rows
            .get(self.next)
            .is_some_and(|reached| reached.is_expanded)
        {
            self.next += 1;
        }
    }
}
