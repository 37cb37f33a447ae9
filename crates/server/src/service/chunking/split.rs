//! Which cuts to make so that every passage has its number of tokens.

use std::ops::Range;

use super::borders::{Border, Cut};

/// How long passages are, in the text's own tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// Tokens of a passage, at least 1.
    pub(super) max_tokens: usize,
    /// Tokens that the next passage repeats at most; fewer than half of `max_tokens` count.
    pub(super) overlap_tokens: usize,
    /// The best border that is looked for: a better one counts the same.
    pub(super) best: Border,
    /// Whether no passage holds parts of two paragraphs.
    pub(super) is_by_paragraph: bool,
}

/// Paragraphs with fewer tokens, such as headings, stay with the next one.
const MIN_PARAGRAPH_TOKENS: usize = 16;

/// Passages as ranges of tokens, in order; their union is all tokens.
///
/// It stops after `max_passages` and one more, which says that there would be too many.
pub(super) fn split(cuts: &[Cut], budget: Budget, max_passages: usize) -> Vec<Range<usize>> {
    if !budget.is_by_paragraph {
        return split_block(cuts, budget, max_passages);
    }
    let mut passages = Vec::new();
    for block in paragraphs(cuts) {
        let left = max_passages.saturating_sub(passages.len());
        let own = split_block(&cuts[block.clone()], budget, left);
        passages.extend(
            own.into_iter()
                .map(|own| block.start + own.start..block.start + own.end),
        );
        if passages.len() > max_passages {
            break;
        }
    }
    passages
}

/// The paragraphs of a text.
fn paragraphs(cuts: &[Cut]) -> Vec<Range<usize>> {
    let (mut paragraphs, mut start) = (Vec::new(), 0);
    for (place, cut) in cuts.iter().enumerate() {
        if cut.border == Border::Paragraph && place - start >= MIN_PARAGRAPH_TOKENS {
            paragraphs.push(start..place);
            start = place;
        }
    }
    if start < cuts.len() {
        paragraphs.push(start..cuts.len());
    }
    paragraphs
}

/// Passages of what may be in one passage as far as it is short enough.
fn split_block(cuts: &[Cut], budget: Budget, max_passages: usize) -> Vec<Range<usize>> {
    let mut passages = Vec::new();
    let (mut start, mut covered) = (0, 0);
    while covered < cuts.len() && passages.len() <= max_passages {
        let mut end = end_of(cuts, start, covered, budget);
        let is_inside = cuts
            .get(end)
            .is_some_and(|cut| cut.border == Border::Inside);
        if is_inside && start < covered {
            // Without an overlap a whole letter may fit.
            start = covered;
            end = end_of(cuts, start, covered, budget);
        }
        passages.push(start..end);
        start = start_after(cuts, start..end, budget);
        covered = end;
    }
    passages
}

/// Two halves of a passage, at the best border around its middle; `None` for a single token.
pub(super) fn halves(cuts: &[Cut], passage: Range<usize>) -> Option<[Range<usize>; 2]> {
    if passage.len() < 2 {
        return None;
    }
    let quarter = passage.len() / 4;
    let around = passage.start + quarter.max(1)..passage.end - quarter;
    let middle = best_cut(cuts, around, Border::Paragraph)
        .filter(|middle| cuts[*middle].border > Border::Inside)
        .or_else(|| best_cut(cuts, passage.start + 1..passage.end, Border::Paragraph))?;
    Some([passage.start..middle, middle..passage.end])
}

/// Where a passage that starts at `start` ends: the last of the best borders in its second half,
/// else the best one at all, but after `covered`, where the passage before it ended.
fn end_of(cuts: &[Cut], start: usize, covered: usize, budget: Budget) -> usize {
    let limit = start + budget.max_tokens.max(1);
    if limit >= cuts.len() {
        return cuts.len();
    }
    let half = (start + budget.max_tokens / 2).max(covered);
    let in_second_half = best_cut(cuts, half + 1..limit + 1, budget.best);
    match in_second_half {
        Some(end) if cuts[end].border >= Border::Part => end,
        _ => best_cut(cuts, covered + 1..limit + 1, budget.best)
            .filter(|end| cuts[*end].border > Border::Inside)
            .unwrap_or(limit),
    }
}

/// Where the next passage starts: the earliest border within the overlap that is as good as the
/// cut itself, so that whole sentences are repeated after a sentence, and words after a word.
fn start_after(cuts: &[Cut], passage: Range<usize>, budget: Budget) -> usize {
    let Range { start, end } = passage;
    let Some(cut) = cuts.get(end) else {
        return end;
    };
    let wanted = cut.border.min(budget.best).min(Border::Sentence);
    let overlap = budget.overlap_tokens.min((budget.max_tokens - 1) / 2);
    let earliest = end.saturating_sub(overlap).max(start + 1);
    (earliest..end)
        .find(|place| cuts[*place].border >= wanted.max(Border::Part))
        .unwrap_or(end)
}

/// The last of the best cuts among `places`.
fn best_cut(cuts: &[Cut], places: Range<usize>, best: Border) -> Option<usize> {
    places.max_by_key(|place| cuts[*place].border.min(best))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(borders: &[Border]) -> Vec<Cut> {
        borders
            .iter()
            .enumerate()
            .map(|(byte, border)| Cut {
                border: *border,
                byte,
            })
            .collect()
    }

    /// Words, with a sentence beginning at each of `starts`.
    fn sentences(tokens: usize, starts: &[usize]) -> Vec<Cut> {
        let border = |place: usize| {
            if starts.contains(&place) {
                Border::Sentence
            } else {
                Border::Word
            }
        };
        cuts(&(0..tokens).map(border).collect::<Vec<_>>())
    }

    fn budget(max_tokens: usize, overlap_tokens: usize) -> Budget {
        Budget {
            max_tokens,
            overlap_tokens,
            best: Border::Paragraph,
            is_by_paragraph: false,
        }
    }

    #[test]
    fn a_passage_ends_at_the_last_sentence_that_fits() {
        let cuts = sentences(25, &[0, 6, 9, 18]);
        assert_eq!(split(&cuts, budget(10, 0), 99), [0..9, 9..18, 18..25]);
    }

    #[test]
    fn a_sentence_in_the_first_half_does_not_shorten_a_passage() {
        let cuts = sentences(12, &[0, 2]);
        assert_eq!(split(&cuts, budget(10, 0), 99), [0..10, 10..12]);
    }

    #[test]
    fn whole_sentences_are_repeated_after_a_sentence_and_words_after_a_word() {
        let cuts = sentences(20, &[0, 5, 8, 14]);
        assert_eq!(split(&cuts, budget(10, 3), 99), [0..8, 5..14, 14..20]);
        let words = sentences(20, &[]);
        assert_eq!(split(&words, budget(10, 3), 99), [0..10, 7..17, 14..20]);
    }

    #[test]
    fn fixed_passages_pass_over_sentences() {
        let fixed = Budget {
            best: Border::Word,
            ..budget(10, 0)
        };
        let cuts = sentences(25, &[0, 9, 18]);
        assert_eq!(split(&cuts, fixed, 99), [0..10, 10..20, 20..25]);
    }

    #[test]
    fn one_endless_letter_is_cut_all_the_same() {
        let cuts = cuts(&[Border::Inside; 25]);
        assert_eq!(split(&cuts, budget(10, 5), 99), [0..10, 10..20, 20..25]);
    }

    #[test]
    fn the_smallest_budgets_still_move_on() {
        let cuts = sentences(5, &[]);
        for tokens in 0..3 {
            let passages = split(&cuts, budget(tokens.max(1), tokens), 99);
            assert_eq!(passages.last().map(|last| last.end), Some(5), "{tokens}");
        }
    }

    #[test]
    fn too_many_passages_are_noticed_and_no_more_are_made() {
        let cuts = sentences(1000, &[]);
        assert_eq!(split(&cuts, budget(10, 0), 7).len(), 8);
    }

    #[test]
    fn halves_meet_at_a_sentence_near_the_middle() {
        let cuts = sentences(12, &[0, 1, 7]);
        assert_eq!(halves(&cuts, 0..12), Some([0..7, 7..12]));
        assert_eq!(halves(&cuts, 3..4), None);
        assert_eq!(halves(&cuts, 3..5), Some([3..4, 4..5]));
    }
}
