//! How far two rankings of the same documents agree, whichever of them is right.

use std::collections::HashSet;

/// The share of the first `depth` of two lists that is in both, 0 to 1; of the longer one when they are shorter than
/// that. Two empty lists agree.
pub fn overlap_at(left: &[&str], right: &[&str], depth: usize) -> f64 {
    let (left, right) = (first(left, depth), first(right, depth));
    let longest = left.len().max(right.len());
    if longest == 0 {
        return 1.0;
    }
    let known: HashSet<&str> = left.iter().copied().collect();
    let both = right.iter().filter(|id| known.contains(*id)).count();
    both as f64 / longest as f64
}

/// Rank-biased overlap of two lists without repetitions, 0 to 1, extrapolated beyond their ends (Webber, Moffat and
/// Zobel, "A similarity measure for indefinite rankings", ACM TOIS 28(4), 2010, equation 32). It is the mean of the
/// overlap at every depth, in which depth `d` weighs `(1 - p) p^(d - 1)`: with `p` = 0.9 the first ten ranks have 86 % of
/// the weight. Two empty lists agree, and an empty one agrees with no other.
pub fn rank_biased_overlap(left: &[&str], right: &[&str], p: f64) -> f64 {
    let (short, long) = match left.len() <= right.len() {
        true => (left, right),
        false => (right, left),
    };
    if short.is_empty() {
        return if long.is_empty() { 1.0 } else { 0.0 };
    }
    let (mut of_short, mut of_long) = (HashSet::new(), HashSet::new());
    let (mut both, mut both_in_short, mut sum, mut weight) = (0.0, 0.0, 0.0, 1.0);
    let length = short.len() as f64;
    for (place, id) in long.iter().enumerate() {
        let depth = (place + 1) as f64;
        weight *= p;
        of_long.insert(*id);
        both += f64::from(u8::from(of_short.contains(id)));
        if let Some(other) = short.get(place) {
            of_short.insert(*other);
            both += f64::from(u8::from(of_long.contains(other)));
            both_in_short = both;
        } else {
            // The shorter list is taken to go on as it was.
            sum += both_in_short * (depth - length) / (length * depth) * weight;
        }
        sum += both / depth * weight;
    }
    let beyond = (both - both_in_short) / long.len() as f64 + both_in_short / length;
    (1.0 - p) / p * sum + beyond * weight
}

fn first<'a, 'b>(list: &'a [&'b str], depth: usize) -> &'a [&'b str] {
    &list[..depth.min(list.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-12, "{value} {expected}");
    }

    #[test]
    fn overlap_is_what_both_have_of_the_first_ones() {
        close(overlap_at(&["a", "b", "c"], &["b", "x", "a"], 3), 2.0 / 3.0);
        close(overlap_at(&["a", "b", "c"], &["b", "x", "a"], 1), 0.0);
        close(overlap_at(&["a", "b"], &["b", "a", "c", "d"], 10), 0.5);
        close(overlap_at(&[], &[], 10), 1.0);
        close(overlap_at(&["a"], &[], 10), 0.0);
    }

    #[test]
    fn rank_biased_overlap_equals_sums_by_hand() {
        let lists = ["a", "b", "c", "d"];
        close(rank_biased_overlap(&lists, &lists, 0.9), 1.0);
        close(rank_biased_overlap(&lists, &["w", "x", "y", "z"], 0.9), 0.0);
        // Overlaps 0 and 2 of depths 1 and 2: 0.1 / 0.9 * 0.81 + 0.81.
        close(rank_biased_overlap(&["a", "b"], &["b", "a"], 0.9), 0.9);
        // 1, 1, 2 at depths 1 to 3.
        let expected = 0.2 / 0.8 * (0.8 + 0.64 / 2.0 + 0.512 * 2.0 / 3.0) + 2.0 / 3.0 * 0.512;
        let value = rank_biased_overlap(&["a", "b", "c"], &["a", "c", "x"], 0.8);
        close(value, expected);
    }

    #[test]
    fn lists_of_different_lengths_are_extrapolated() {
        close(rank_biased_overlap(&["a"], &["a", "b"], 0.9), 1.0);
        // X is 0, 1, 1 at depths 1 to 3, and 1 where the shorter one ends.
        let expected =
            0.1 / 0.9 * (0.81 / 2.0 + 0.729 / 3.0 + 0.729 * 1.0 / (2.0 * 3.0)) + 0.5 * 0.729;
        close(
            rank_biased_overlap(&["a", "b"], &["x", "a", "y"], 0.9),
            expected,
        );
        close(
            rank_biased_overlap(&["x", "a", "y"], &["a", "b"], 0.9),
            expected,
        );
        close(rank_biased_overlap(&[], &[], 0.9), 1.0);
        close(rank_biased_overlap(&[], &["a"], 0.9), 0.0);
    }

    #[test]
    fn what_differs_at_the_top_weighs_more_than_what_differs_below() {
        let list = ["a", "b", "c", "d", "e"];
        let top = rank_biased_overlap(&list, &["x", "b", "c", "d", "e"], 0.9);
        let below = rank_biased_overlap(&list, &["a", "b", "c", "d", "x"], 0.9);
        assert!(top < below && below < 1.0, "{top} {below}");
    }
}
