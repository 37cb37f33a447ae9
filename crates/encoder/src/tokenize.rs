//! Text to token ids, with an account of what did not fit.

use std::ops::Range;
use std::path::Path;

use tokenizers::{Encoding, PostProcessor, Tokenizer, TruncationDirection};

use crate::Error;
use crate::model_folder::read;

/// A text as token ids, cut at the encoder's window.
#[derive(Debug, Clone)]
pub struct TokenizedText {
    pub(crate) ids: Vec<u32>,
    pub(crate) type_ids: Vec<u32>,
    /// Tokens at the start that belong to a prompt which pooling leaves out.
    pub(crate) prompt_tokens: usize,
    tokens_seen: usize,
}

impl TokenizedText {
    /// Tokens of the whole text, prompt and special tokens included.
    pub fn tokens_seen(&self) -> usize {
        self.tokens_seen
    }

    /// Tokens that are encoded, special tokens included; what the text costs in a batch.
    pub fn tokens_kept(&self) -> usize {
        self.ids.len()
    }

    /// Whether the text passed the encoder's window.
    pub fn is_truncated(&self) -> bool {
        self.tokens_seen > self.ids.len()
    }
}

/// The first text of pairs: its tokens, at most a window of them.
#[derive(Debug)]
pub(crate) struct FirstOfPairs {
    encoding: Encoding,
    tokens: usize,
}

/// The tokenizer of a model folder.
#[derive(Debug)]
pub(crate) struct TextTokenizer {
    tokenizer: Tokenizer,
    do_lower_case: bool,
    max_tokens: usize,
    /// Whether tokens of a pair's second text are marked as such.
    marks_segments: bool,
}

impl TextTokenizer {
    /// Reads `tokenizer.json`; its own truncation and padding are replaced by ours.
    pub(crate) fn open(folder: &Path, do_lower_case: bool) -> Result<Self, Error> {
        let path = folder.join("tokenizer.json");
        let bytes = read(&path)?;
        let mut tokenizer =
            Tokenizer::from_bytes(bytes).map_err(|error| Error::damaged(&path, error))?;
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| Error::damaged(&path, error))?;
        Ok(Self {
            tokenizer,
            do_lower_case,
            max_tokens: usize::MAX,
            marks_segments: true,
        })
    }

    /// Special tokens around a single text.
    pub(crate) fn special_tokens(&self) -> Result<usize, Error> {
        Ok(self
            .tokenizer
            .encode_fast("", true)
            .map_err(Error::Tokenize)?
            .len())
    }

    /// Cuts texts at `max_tokens`, which leave room for the special tokens.
    pub(crate) fn set_window(&mut self, max_tokens: usize) {
        self.max_tokens = max_tokens;
    }

    /// Whether to tell the texts of a pair apart, where the tokenizer does.
    pub(crate) fn set_segments(&mut self, marked: bool) {
        self.marks_segments = marked;
    }

    /// Tokenises `prompt` and `text` as one text.
    ///
    /// Surrounding white space stays: sentence-transformers strips it before 5.4 and not since,
    /// and tokenizers of BERT ignore it.
    pub(crate) fn tokenize(&self, prompt: &str, text: &str) -> Result<TokenizedText, Error> {
        let whole = format!("{prompt}{text}");
        let lower = self.do_lower_case.then(|| whole.to_lowercase());
        let encoding = self
            .tokenizer
            .encode_fast(lower.as_deref().unwrap_or(&whole), true)
            .map_err(Error::Tokenize)?;
        let special = encoding.get_special_tokens_mask();
        let closing = special.iter().rev().take_while(|mask| **mask == 1).count();
        Ok(TokenizedText {
            tokens_seen: encoding.len(),
            ids: self.cut(encoding.get_ids(), closing),
            type_ids: self.cut(encoding.get_type_ids(), closing),
            prompt_tokens: 0,
        })
    }

    /// Special tokens around and between two texts.
    pub(crate) fn special_tokens_of_a_pair(&self) -> usize {
        let processor = self.tokenizer.get_post_processor();
        processor.map_or(0, |processor| processor.added_tokens(true))
    }

    /// Tokenises the first text of pairs.
    pub(crate) fn first_of_pairs(&self, text: &str) -> Result<FirstOfPairs, Error> {
        let mut encoding = self.without_special_tokens(text)?;
        let tokens = encoding.len();
        // Of a longer text no more than a window is ever kept.
        keep(&mut encoding, self.max_tokens);
        Ok(FirstOfPairs { encoding, tokens })
    }

    /// Tokenises a pair, cut at the window as [`longest_first`] says.
    pub(crate) fn tokenize_pair(
        &self,
        first: &FirstOfPairs,
        second: &str,
    ) -> Result<TokenizedText, Error> {
        let mut second = self.without_special_tokens(second)?;
        // As the tokenizer does for pairs; not every post-processor sets them itself.
        second.set_type_ids(vec![1; second.len()]);
        let special = self.special_tokens_of_a_pair();
        let tokens_seen = first.tokens + second.len() + special;
        let room = self.max_tokens.saturating_sub(special);
        let (kept_of_first, kept_of_second) = longest_first(first.tokens, second.len(), room);
        let mut first = first.encoding.clone();
        keep(&mut first, kept_of_first);
        keep(&mut second, kept_of_second);
        let encoding = self
            .tokenizer
            .post_process(first, Some(second), true)
            .map_err(Error::Tokenize)?;
        Ok(TokenizedText {
            tokens_seen,
            ids: encoding.get_ids().to_vec(),
            type_ids: if self.marks_segments {
                encoding.get_type_ids().to_vec()
            } else {
                vec![0; encoding.len()]
            },
            prompt_tokens: 0,
        })
    }

    fn without_special_tokens(&self, text: &str) -> Result<Encoding, Error> {
        let lower = self.do_lower_case.then(|| text.to_lowercase());
        self.tokenizer
            .encode_fast(lower.as_deref().unwrap_or(text), false)
            .map_err(Error::Tokenize)
    }

    /// Byte spans of the text's own tokens, in order; prompt and special tokens are left out.
    ///
    /// Spans lie on characters. They overlap where several tokens make up one character, and
    /// leave out what the tokenizer drops.
    pub(crate) fn spans(&self, text: &str) -> Result<Vec<Range<usize>>, Error> {
        let lower = self.do_lower_case.then(|| text.to_lowercase());
        let encoding = self
            .tokenizer
            .encode(lower.as_deref().unwrap_or(text), false)
            .map_err(Error::Tokenize)?;
        let mut spans: Vec<_> = encoding
            .get_offsets()
            .iter()
            .map(|(start, end)| *start..*end)
            .collect();
        if lower.is_some() {
            undo_lower_case(text, &mut spans);
        }
        for span in &mut spans {
            *span = text.floor_char_boundary(span.start)..text.ceil_char_boundary(span.end);
        }
        Ok(spans)
    }

    /// The first values that fit into the window, and the `closing` ones of special tokens.
    fn cut(&self, values: &[u32], closing: usize) -> Vec<u32> {
        if values.len() <= self.max_tokens {
            return values.to_vec();
        }
        let closing = closing.min(self.max_tokens);
        let mut kept = values[..self.max_tokens - closing].to_vec();
        kept.extend_from_slice(&values[values.len() - closing..]);
        kept
    }
}

fn keep(encoding: &mut Encoding, tokens: usize) {
    encoding.truncate(tokens, 0, TruncationDirection::Right);
    encoding.take_overflowing();
}

/// Tokens that are kept of two texts where both together may have `room`: the longer one is cut
/// until it is as long as the other, then both. An odd token is the longer one's; of two equally
/// long ones, the second's. This is "longest first" of the tokenizers library.
fn longest_first(first: usize, second: usize, room: usize) -> (usize, usize) {
    if first + second <= room {
        return (first, second);
    }
    let (shorter, is_swapped) = (first.min(second), first > second);
    let (shorter, longer) = if 2 * shorter <= room {
        (shorter, room - shorter)
    } else {
        (room / 2, room / 2 + room % 2)
    };
    if is_swapped {
        (longer, shorter)
    } else {
        (shorter, longer)
    }
}

/// Maps spans of the lower-cased text back to the text: some letters change their length.
///
/// The length does not depend on the letters around: only a final sigma does, and both have two
/// bytes.
fn undo_lower_case(text: &str, spans: &mut [Range<usize>]) {
    let mut places = Vec::with_capacity(text.len() + 1);
    for (place, letter) in text.char_indices() {
        let bytes = letter.to_lowercase().map(char::len_utf8).sum();
        places.extend(std::iter::repeat_n(place, bytes));
    }
    let original = |lowered: usize| places.get(lowered).copied().unwrap_or(text.len());
    for span in spans {
        *span = original(span.start)..original(span.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_text_of_a_pair_is_cut_first() {
        assert_eq!(longest_first(3, 4, 7), (3, 4));
        assert_eq!(longest_first(3, 40, 10), (3, 7));
        assert_eq!(longest_first(40, 3, 10), (7, 3));
        assert_eq!(longest_first(0, 40, 10), (0, 10));
        assert_eq!(longest_first(8, 9, 11), (5, 6));
        assert_eq!(longest_first(9, 8, 11), (6, 5));
        assert_eq!(longest_first(9, 9, 11), (5, 6));
    }

    #[test]
    fn spans_of_a_lower_cased_text_are_those_of_the_text() {
        // The capital I with a dot has two bytes, its lower case three.
        let text = "aİb C";
        let lower = text.to_lowercase();
        let b = lower.find('b').unwrap();
        let mut spans = vec![0..1, b..b + 1, b + 2..b + 3];
        undo_lower_case(text, &mut spans);
        let words: Vec<_> = spans.into_iter().map(|span| &text[span]).collect();
        assert_eq!(words, ["a", "b", "C"]);
    }
}
