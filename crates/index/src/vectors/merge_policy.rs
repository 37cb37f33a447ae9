//! Which segments to merge, and when.

/// How large a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentSize {
    pub(crate) living: u64,
    pub(crate) dead: u64,
}

/// While writes come in, a segment is merged with all smaller ones when together they have this
/// many times its size; each vector is then built into a graph about log4(n) times.
const BUSY_RATIO: f64 = 3.0;
/// The same when no writes come in: fewer segments make searches cheaper.
const IDLE_RATIO: f64 = 0.5;
/// A segment is rewritten when more than this share of it is dead.
const MAX_DEAD_SHARE: f64 = 0.25;

/// The places of the segments to merge next; none when all is well.
pub(crate) fn to_merge(sizes: &[SegmentSize], is_idle: bool) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(sizes[*place].living));
    let ratio = if is_idle { IDLE_RATIO } else { BUSY_RATIO };
    for (start, place) in order.iter().enumerate() {
        let smaller: u64 = order[start + 1..]
            .iter()
            .map(|place| sizes[*place].living)
            .sum();
        let is_due = smaller as f64 >= ratio * sizes[*place].living as f64;
        if is_due && start + 1 < order.len() {
            return order[start..].to_vec();
        }
    }
    let is_rotten =
        |size: &SegmentSize| size.dead as f64 > MAX_DEAD_SHARE * (size.living + size.dead) as f64;
    sizes.iter().position(is_rotten).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn living(sizes: &[u64]) -> Vec<SegmentSize> {
        let size = |living: &u64| SegmentSize {
            living: *living,
            dead: 0,
        };
        sizes.iter().map(size).collect()
    }

    #[test]
    fn four_of_a_size_become_one_and_a_large_one_is_left_alone() {
        assert!(to_merge(&living(&[64, 4, 4, 4]), false).is_empty());
        assert_eq!(to_merge(&living(&[64, 4, 4, 4, 4]), false), [1, 2, 3, 4]);
        assert_eq!(to_merge(&living(&[4, 16, 4, 16, 4, 4, 16]), false).len(), 7);
    }

    #[test]
    fn an_idle_collection_gets_few_segments() {
        assert_eq!(to_merge(&living(&[8, 4]), true), [0, 1]);
        assert!(to_merge(&living(&[9, 4]), true).is_empty());
        assert!(to_merge(&living(&[9]), true).is_empty());
        assert!(to_merge(&[], true).is_empty());
    }

    #[test]
    fn a_segment_with_many_dead_is_rewritten() {
        let sizes = [
            SegmentSize {
                living: 75,
                dead: 25,
            },
            SegmentSize { living: 7, dead: 3 },
        ];
        assert_eq!(to_merge(&sizes, false), [1]);
        assert_eq!(to_merge(&sizes[..1], false), [0_usize; 0]);
        assert_eq!(to_merge(&[SegmentSize { living: 0, dead: 1 }], false), [0]);
    }

    #[test]
    fn merging_ends() {
        for is_idle in [false, true] {
            let mut sizes = living(&[1; 100]);
            for _ in 0..100 {
                let merged = to_merge(&sizes, is_idle);
                if merged.is_empty() {
                    break;
                }
                let sum = merged.iter().map(|place| sizes[*place].living).sum();
                let mut rest = sizes.iter().enumerate();
                let mut next: Vec<_> = rest
                    .by_ref()
                    .filter(|(n, _)| !merged.contains(n))
                    .map(|(_, size)| *size)
                    .collect();
                next.push(SegmentSize {
                    living: sum,
                    dead: 0,
                });
                sizes = next;
            }
            assert!(to_merge(&sizes, is_idle).is_empty());
            assert!(sizes.len() < 6, "{sizes:?}");
        }
    }
}
