//! The best rows that a walk over a graph has reached.

/// A row that was reached, and its score by codes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reached {
    pub(crate) score: f32,
    pub(crate) row: u32,
}

/// Scores that are counted one by one to find a place; in longer lists it is searched for by halves. What is counted
/// needs no guesses of the CPU, of which every second one would be wrong.
const COUNTED_SCORES: usize = 128;

/// The best rows so far, best first.
#[derive(Debug)]
pub(crate) struct Beam {
    /// Apart from their rows, so that a place is found in few registers.
    scores: Vec<f32>,
    rows: Vec<Place>,
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

#[derive(Debug, Clone, Copy)]
struct Place {
    row: u32,
    is_expanded: bool,
}

impl Beam {
    pub(crate) fn new(capacity: usize) -> Self {
        Self::for_wanted(capacity, 0)
    }

    /// A beam that knows for how long its `wanted` best rows have been the same.
    pub(crate) fn for_wanted(capacity: usize, wanted: usize) -> Self {
        Self {
            scores: Vec::with_capacity(capacity + 1),
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
            match self.scores.last() {
                Some(worst) if score > *worst => {
                    self.scores.pop();
                    self.rows.pop();
                }
                _ => return,
            }
        }
        let place = self.place_of(score);
        self.scores.insert(place, score);
        let is_expanded = false;
        self.rows.insert(place, Place { row, is_expanded });
        self.next = self.next.min(place);
        if place < self.wanted {
            self.settled_at = self.expanded;
        }
    }

    /// What a score must be above to be kept; none as long as any is.
    pub(crate) fn floor(&self) -> Option<f32> {
        let is_full = self.rows.len() >= self.capacity;
        is_full.then(|| self.scores.last().copied().unwrap_or(f32::MAX))
    }

    /// The best row that is not expanded yet, which is marked as such.
    pub(crate) fn expand(&mut self) -> Option<u32> {
        let place = self.rows.get_mut(self.next)?;
        place.is_expanded = true;
        let row = place.row;
        self.expanded += 1;
        self.skip_expanded();
        Some(row)
    }

    pub(crate) fn next_row(&self) -> Option<u32> {
        self.rows.get(self.next).map(|place| place.row)
    }

    /// Returns whether so many times as many rows were expanded as it took to find the wanted ones.
    pub(crate) fn is_settled(&self, times: usize) -> bool {
        self.expanded >= self.settled_at.saturating_mul(times)
    }

    /// Best first.
    pub(crate) fn into_rows(self) -> Vec<Reached> {
        let rows = self.scores.into_iter().zip(self.rows);
        rows.map(|(score, place)| Reached {
            score,
            row: place.row,
        })
        .collect()
    }

    /// Behind all scores that are as good.
    #[inline]
    fn place_of(&self, score: f32) -> usize {
        let is_better = |better: &f32| *better >= score;
        if self.scores.len() <= COUNTED_SCORES {
            let better = self
                .scores
                .iter()
                .map(|better| u32::from(is_better(better)));
            better.sum::<u32>() as usize
        } else {
            self.scores.partition_point(is_better)
        }
    }

    fn skip_expanded(&mut self) {
        while self
            .rows
            .get(self.next)
            .is_some_and(|place| place.is_expanded)
        {
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beam_keeps_the_best_in_their_order_and_of_equals_the_first() {
        for capacity in [1, 10, COUNTED_SCORES, 3 * COUNTED_SCORES] {
            let mut beam = Beam::new(capacity);
            // Every score comes several times, in an order of its own (a linear congruential generator).
            let scores = (0..1000_u32).scan(1_u32, |state, row| {
                *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                Some((*state % 200, row))
            });
            let mut expected: Vec<(u32, u32)> = scores.collect();
            for (score, row) in &expected {
                beam.offer(*score as f32, *row);
            }
            expected.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
            let found = beam.into_rows().into_iter();
            let found: Vec<_> = found.map(|row| (row.score as u32, row.row)).collect();
            assert_eq!(found, expected[..capacity]);
        }
    }

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
