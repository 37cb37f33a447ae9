//! Which segments to merge, and when.

/// How large a segment is, passages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentSize {
    pub(crate) living: u64,
    pub(crate) dead: u64,
}

/// A segment is rewritten when more than this share of it is dead.
const MAX_DEAD_SHARE: f64 = 0.25;

/// When segments are merged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MergePolicy {
    pub(crate) with: MergedWith,
    /// A segment is merged when the others together have this many times its size.
    pub(crate) ratio: f64,
}

/// Which others a segment is merged with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MergedWith {
    /// All smaller ones, wherever they stand.
    Smaller,
    /// All newer ones. Only neighbours are merged, so passages stay in their order.
    Newer,
}

impl MergePolicy {
    /// The indexes of the segments to merge next, in ascending order; none when all is well.
    pub(crate) fn next(self, sizes: &[SegmentSize]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..sizes.len()).collect();
        if self.with == MergedWith::Smaller {
            order.sort_by_key(|place| std::cmp::Reverse(sizes[*place].living));
        }
        for (start, place) in order.iter().enumerate() {
            let others = &order[start + 1..];
            let living: u64 = others.iter().map(|place| sizes[*place].living).sum();
            let is_due = living as f64 >= self.ratio * sizes[*place].living as f64;
            if is_due && !others.is_empty() {
                let mut merged = order.split_off(start);
                merged.sort_unstable();
                return merged;
            }
        }
        sizes
            .iter()
            .position(|size| size.is_rotten())
            .into_iter()
            .collect()
    }
}

impl SegmentSize {
    fn is_rotten(self) -> bool {
        self.dead as f64 > MAX_DEAD_SHARE * (self.living + self.dead) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLER: MergePolicy = MergePolicy {
        with: MergedWith::Smaller,
        ratio: 3.0,
    };
    const SMALLER_WHEN_IDLE: MergePolicy = MergePolicy {
        ratio: 0.5,
        ..SMALLER
    };
    const NEWER: MergePolicy = MergePolicy {
        with: MergedWith::Newer,
        ratio: 1.0,
    };

    fn size(living: u64, dead: u64) -> SegmentSize {
        SegmentSize { living, dead }
    }

    fn living(sizes: &[u64]) -> Vec<SegmentSize> {
        sizes.iter().map(|living| size(*living, 0)).collect()
    }

    const NONE: [usize; 0] = [];

    #[test]
    fn four_of_a_size_become_one_and_a_large_one_is_left_alone() {
        assert_eq!(SMALLER.next(&living(&[64, 4, 4, 4])), NONE);
        assert_eq!(SMALLER.next(&living(&[64, 4, 4, 4, 4])), [1, 2, 3, 4]);
        assert_eq!(SMALLER.next(&living(&[4, 64, 4, 4, 4])), [0, 2, 3, 4]);
        assert_eq!(SMALLER.next(&living(&[4, 16, 4, 16, 4, 4, 16])).len(), 7);
    }

    #[test]
    fn an_idle_collection_gets_few_segments() {
        assert_eq!(SMALLER_WHEN_IDLE.next(&living(&[8, 4])), [0, 1]);
        assert_eq!(SMALLER_WHEN_IDLE.next(&living(&[9, 4])), NONE);
        assert_eq!(SMALLER_WHEN_IDLE.next(&living(&[9])), NONE);
        assert_eq!(SMALLER_WHEN_IDLE.next(&[]), NONE);
    }

    #[test]
    fn newer_segments_are_merged_when_they_weigh_as_much_as_the_older_one() {
        assert_eq!(NEWER.next(&living(&[64, 4])), NONE);
        assert_eq!(NEWER.next(&living(&[4, 64])), [0, 1]);
        assert_eq!(NEWER.next(&living(&[64, 4, 4])), [1, 2]);
        assert_eq!(NEWER.next(&living(&[64, 32, 16, 8, 8])), [0, 1, 2, 3, 4]);
        assert_eq!(NEWER.next(&[]), NONE);
    }

    #[test]
    fn a_segment_with_many_dead_is_rewritten() {
        for policy in [SMALLER, NEWER] {
            assert_eq!(policy.next(&[size(75, 25), size(7, 3)]), [1]);
            assert_eq!(policy.next(&[size(75, 25)]), NONE);
            assert_eq!(policy.next(&[size(0, 1)]), [0]);
        }
    }

    #[test]
    fn merging_ends_with_few_segments_and_each_passage_is_copied_few_times() {
        for policy in [SMALLER, SMALLER_WHEN_IDLE, NEWER] {
            let (mut sizes, mut copied) = (Vec::new(), 0);
            for _ in 0..1000 {
                sizes.push(1);
                loop {
                    let merged = policy.next(&living(&sizes));
                    let Some(first) = merged.first().copied() else {
                        break;
                    };
                    let sum: u64 = merged.iter().map(|place| sizes[*place]).sum();
                    copied += sum;
                    let is_kept = |place: &usize| !merged.contains(place);
                    let kept = (0..sizes.len()).filter(is_kept);
                    sizes = kept.map(|place| sizes[place]).collect();
                    sizes.insert(first, sum);
                }
                assert!(sizes.len() <= 16, "{policy:?}: {sizes:?}");
            }
            assert!(copied < 12_000, "{policy:?}: {copied}");
        }
    }
}
