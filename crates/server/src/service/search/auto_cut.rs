//! Ending a list of hits where their scores fall off.
//!
//! As in Weaviate's autocut, gaps are measured against evenly spaced scores: with `n` hits a gap
//! is on average `(first - last) / (n - 1)`. The list ends before the largest gap, if that is at
//! least [`MIN_GAP`] average gaps wide; otherwise there is no fall to speak of and all is kept.

/// Average gaps that the largest one must be wide.
const MIN_GAP: f32 = 2.0;

/// How many of these hits to keep, by their scores, best first.
pub(super) fn kept(scores: &[f32]) -> usize {
    let [first, .., last] = scores else {
        return scores.len();
    };
    let gaps = scores.windows(2).map(|pair| pair[0] - pair[1]);
    // The first of equal gaps.
    let largest = gaps
        .zip(1..)
        .reduce(|largest, next| if next.0 > largest.0 { next } else { largest });
    let average = (first - last) / (scores.len() - 1) as f32;
    match largest {
        Some((gap, kept)) if average > 0.0 && gap >= MIN_GAP * average => kept,
        _ => scores.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_ends_before_the_largest_gap() {
        assert_eq!(kept(&[0.9, 0.88, 0.85, 0.4, 0.38, 0.35]), 3);
        assert_eq!(kept(&[0.9, 0.2, 0.19, 0.18]), 1);
    }

    #[test]
    fn even_scores_are_kept() {
        assert_eq!(kept(&[0.9, 0.8, 0.7, 0.6]), 4);
        assert_eq!(kept(&[0.5, 0.5, 0.5]), 3);
    }

    #[test]
    fn short_lists_are_kept() {
        assert_eq!(kept(&[]), 0);
        assert_eq!(kept(&[0.9]), 1);
        assert_eq!(kept(&[0.9, 0.1]), 2);
    }

    #[test]
    fn scores_below_zero_are_scores_like_others() {
        assert_eq!(kept(&[0.1, 0.09, -0.5, -0.51, -0.52]), 2);
    }
}
