//! The best of many rows by their codes, when nobody needs them in order before the end.

use super::beam::Reached;

/// Keeps some best rows.
#[derive(Debug)]
pub(crate) struct Shortlist {
    /// Up to twice as many as are kept, so that each is looked at twice on average.
    rows: Vec<Reached>,
    capacity: usize,
    floor: Option<f32>,
}

impl Shortlist {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            rows: Vec::new(),
            capacity,
            floor: None,
        }
    }

    /// What a score must be above to be kept, as far as is known.
    pub(crate) fn floor(&self) -> Option<f32> {
        self.floor
    }

    pub(crate) fn offer(&mut self, row: Reached) {
        if self.floor.is_none_or(|floor| row.score > floor) {
            self.rows.push(row);
            if self.rows.len() > 2 * self.capacity {
                self.cut();
            }
        }
    }

    /// Best first.
    pub(crate) fn into_sorted(mut self) -> Vec<Reached> {
        self.rows.sort_unstable_by(best_first);
        self.rows.truncate(self.capacity);
        self.rows
    }

    fn cut(&mut self) {
        let Some(last) = self.capacity.checked_sub(1) else {
            return self.rows.clear();
        };
        let (_, last, _) = self.rows.select_nth_unstable_by(last, best_first);
        self.floor = Some(last.score);
        self.rows.truncate(self.capacity);
    }
}

/// Higher scores, then lower rows.
fn best_first(left: &Reached, right: &Reached) -> std::cmp::Ordering {
    let by_score = right.score.total_cmp(&left.score);
    by_score.then(left.row.cmp(&right.row))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_best_of_all_are_kept(
            scores in prop::collection::vec(0..50_u8, 0..500),
            capacity in 0..20_usize
        ) {
            let mut list = Shortlist::new(capacity);
            for (row, score) in (0..).zip(&scores) {
                list.offer(Reached { score: f32::from(*score), row });
            }
            let found: Vec<f32> = list.into_sorted().iter().map(|row| row.score).collect();
            let mut expected: Vec<f32> = scores.iter().map(|score| f32::from(*score)).collect();
            expected.sort_unstable_by(|left, right| right.total_cmp(left));
            expected.truncate(capacity);
            prop_assert_eq!(found, expected);
        }
    }
}
