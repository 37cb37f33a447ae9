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
    /// All rows before this index are expanded.
    next: usize,
    /// Rows that were expanded.
    expanded: usize,
    /// How many rows are wanted in the end: the first of them.
    wanted: usize,
    /// How many rows had been expanded when one of these last changed.
    settled_at: usize,
}

impl Beam {
    pub(crate) fn new(capacity: usize) -> Self {
        Self::for_wanted(capacity, 0)
    }

    /// A beam that knows for how long its `wanted` best rows have been the same.
    pub(crate) fn for_wanted(capacity: usize, wanted: usize) -> Self {
        Self {
            rows: Vec::with_capacity(capacity + 1),
            capacity,
            next: 0,
            expanded: 0,
            wanted,
            settled_at: 0,
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
        if place < self.wanted {
            self.settled_at = self.expanded;
        }
    }

    /// The best row that is not expanded yet, which is marked as such.
    pub(crate) fn expand(&mut self) -> Option<u32> {
        let reached = self.rows.get_mut(self.next)?;
        reached.is_expanded = true;
        let row = reached.row;
        self.expanded += 1;
        self.skip_expanded();
        Some(row)
    }

    pub(crate) fn next_row(&self) -> Option<u32> {
        self.rows.get(self.next).map(|reached| reached.row)
    }

    /// Returns whether so many times as many rows were expanded as it took to find the wanted ones.
    pub(crate) fn is_settled(&self, times: usize) -> bool {
        self.expanded >= self.settled_at.saturating_mul(times)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beam_is_settled_when_its_best_have_stayed_for_long_enough() {
        let mut beam = Beam::for_wanted(9, 1);
        for row in 0..3 {
            beam.offer(row as f32, row);
            beam.expand();
        }
        // The best was found when two had been expanded.
        assert!(beam.is_settled(1) && !beam.is_settled(2));
        beam.offer(-1.0, 3);
        beam.expand();
        assert!(beam.is_settled(2) && !beam.is_settled(3));
    }
}
