//! Which segments to merge, and when.

/// How large a segment is, passages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentSize {
    pub(crate) living: u64,
    pub(crate) dead: u64,
}

/// A segment is merged with all newer ones when together they have this many times its size. Each
/// passage is then copied about log(n) times.
const RATIO: f64 = 1.0;
/// A segment is rewritten when more than this share of it is dead.
const MAX_DEAD_SHARE: f64 = 0.25;

/// The segments to merge next, oldest first; none when all is well. Neighbours only, so that
/// passages stay in their order.
pub(crate) fn to_merge(sizes: &[SegmentSize]) -> std::ops::Range<usize> {
    for (start, size) in sizes.iter().enumerate() {
        let newer: u64 = sizes[start + 1..].iter().map(|size| size.living).sum();
        let is_last = start + 1 == sizes.len();
        if !is_last && newer as f64 >= RATIO * size.living as f64 {
            return start..sizes.len();
        }
    }
    let is_rotten =
        |size: &SegmentSize| size.dead as f64 > MAX_DEAD_SHARE * (size.living + size.dead) as f64;
    match sizes.iter().position(is_rotten) {
        Some(place) => place..place + 1,
        None => 0..0,
    }
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
    fn newer_segments_are_merged_when_they_weigh_as_much_as_the_older_one() {
        assert!(to_merge(&living(&[64, 4])).is_empty());
        assert_eq!(to_merge(&living(&[64, 4, 4])), 1..3);
        assert_eq!(to_merge(&living(&[64, 32, 16, 8, 8])), 0..5);
        assert!(to_merge(&[]).is_empty());
    }

    #[test]
    fn a_segment_with_many_dead_is_rewritten() {
        let size = |living, dead| SegmentSize { living, dead };
        assert_eq!(to_merge(&[size(75, 25), size(7, 3)]), 1..2);
        assert!(to_merge(&[size(75, 25)]).is_empty());
        assert_eq!(to_merge(&[size(0, 1)]), 0..1);
    }

    #[test]
    fn there_are_few_segments_and_each_passage_is_copied_few_times() {
        let (mut sizes, mut copied) = (Vec::new(), 0);
        for _ in 0..1000 {
            sizes.push(1);
            loop {
                let merged = to_merge(&living(&sizes));
                if merged.is_empty() {
                    break;
                }
                let sum: u64 = sizes[merged.clone()].iter().sum();
                copied += sum;
                sizes.splice(merged, [sum]);
            }
            assert!(sizes.len() <= 11, "{sizes:?}");
        }
        assert!(copied < 12_000, "{copied}");
    }
}
