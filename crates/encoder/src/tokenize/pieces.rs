//! Long texts in pieces.

/// A tokenizer keeps some hundred bytes for each token while it works: a document of a megabyte of punctuation
/// took 500 MB of memory. Longer texts than this go through it in pieces; what an encoder's window keeps of them
/// is nearly always in the first one.
const MAX_PIECE_BYTES: usize = 32 << 10;

/// A text in pieces of at most [`MAX_PIECE_BYTES`]; none of an empty one.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = first_piece(rest);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The first piece of a text, and the rest. A piece ends before white space if it can, since the white
/// space before a word belongs to it, else beside punctuation, else between two characters.
pub(super) fn first_piece(text: &str) -> (&str, &str) {
    if text.len() <= MAX_PIECE_BYTES {
        return (text, "");
    }
    let end = text.floor_char_boundary(MAX_PIECE_BYTES);
    let second_half = end / 2..end;
    let last = |is_border: fn(u8) -> bool| {
        let bytes = &text.as_bytes()[second_half.clone()];
        let place = bytes.iter().rposition(|byte| is_border(*byte));
        place.map(|place| second_half.start + place)
    };
    let end = last(|byte| byte.is_ascii_whitespace())
        .or_else(|| last(|byte| byte.is_ascii_punctuation()))
        .unwrap_or(end);
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_go_in_pieces_that_end_before_white_space_if_they_can() {
        for (unit, start) in [("a b ", " "), ("ab,", ","), ("aé", ""), ("\u{301}", "")] {
            let text = unit.repeat((3 * MAX_PIECE_BYTES) / unit.len());
            let all: Vec<_> = pieces(&text).collect();
            assert_eq!(all.concat(), text);
            assert!((3..=6).contains(&all.len()), "{unit}: {}", all.len());
            assert!(
                all[1..].iter().all(|piece| piece.starts_with(start)),
                "{unit}"
            );
        }
        assert_eq!(pieces("").count(), 0);
        assert_eq!(pieces(&"a".repeat(MAX_PIECE_BYTES)).count(), 1);
    }
}
