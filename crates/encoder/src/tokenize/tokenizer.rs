//! The tokenizer of a model folder.

use std::ops::Range;
use std::panic::catch_unwind;
use std::path::Path;

use tokenizers::{
    Encoding, PostProcessor, PostProcessorWrapper, Token, Tokenizer, TruncationDirection,
};

use super::lower_case::undo_lower_case;
use super::pieces::{first_piece, pieces};
use super::text::{TextToken, TokenizedText, Truncation};
use super::window::{Frame, Kept};
use crate::files::read;
use crate::{Error, InputKind};

/// The first text of pairs: its tokens, at most a window of them.
#[derive(Debug)]
pub(crate) struct FirstOfPairs {
    encoding: Encoding,
    tokens: usize,
    /// Which end of both texts is left out.
    truncation: Truncation,
}

/// What a model does with its tokenizer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TokenizerOptions {
    /// Lower-case the text before.
    pub(crate) do_lower_case: bool,
    /// Put no special tokens around texts.
    pub(crate) without_special_tokens: bool,
    /// Leave out tokens that stand for something unknown.
    pub(crate) skips_unknown: bool,
}

/// The tokenizer of a model folder.
#[derive(Debug)]
pub(crate) struct TextTokenizer {
    tokenizer: Tokenizer,
    do_lower_case: bool,
    skips_unknown: bool,
    /// What its file says of truncation.
    own_window: Option<usize>,
    max_tokens: usize,
    /// Whether tokens of a pair's second text are marked as such.
    marks_segments: bool,
    /// The token for what the vocabulary lacks, if there is one; byte-level vocabularies lack nothing.
    unknown: Option<u32>,
}

/// Reads a tokenizer, and tokenises nothing with it, alone and in a pair.
fn tried(file: &[u8]) -> tokenizers::Result<Tokenizer> {
    let tokenizer = Tokenizer::from_bytes(file)?;
    tokenizer.encode_fast("", true)?;
    // Not every tokenizer takes pairs.
    drop(tokenizer.encode_fast(("", ""), true));
    Ok(tokenizer)
}

impl TextTokenizer {
    /// Reads `tokenizer.json`; its own truncation and padding are replaced by ours.
    pub(crate) fn open(folder: &Path, options: TokenizerOptions) -> Result<Self, Error> {
        let path = folder.join("tokenizer.json");
        let bytes = read(&path).map_err(|error| match (error, source_of_tokenizer(folder)) {
            (Error::MissingFile { path }, Some(found)) => Error::MissingTokenizer { path, found },
            (error, _) => error,
        })?;
        // The library panics where a part is no string, or where its template names a special token that is not there.
        let mut tokenizer = catch_unwind(|| tried(&bytes))
            .map_err(|_| Error::damaged(&path, "one of its parts cannot be read or used"))?
            .map_err(|error| Error::damaged(&path, error))?;
        let unknown = unknown_token(&tokenizer, &bytes);
        let own_window = tokenizer.get_truncation().map(|it| it.max_length);
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| Error::damaged(&path, error))?;
        if options.without_special_tokens {
            tokenizer.with_post_processor(None::<PostProcessorWrapper>);
        }
        Ok(Self {
            tokenizer,
            do_lower_case: options.do_lower_case,
            skips_unknown: options.skips_unknown,
            own_window,
            max_tokens: usize::MAX,
            marks_segments: true,
            unknown,
        })
    }

    /// The most tokens of a text that the tokenizer's own file leaves, if it says so.
    pub(crate) fn own_window(&self) -> Option<usize> {
        self.own_window
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
    pub(crate) fn tokenize(
        &self,
        prompt: &str,
        text: &str,
        truncation: Truncation,
    ) -> Result<TokenizedText, Error> {
        let whole = format!("{prompt}{text}");
        let lower = self.do_lower_case.then(|| whole.to_lowercase());
        let (first, rest) = first_piece(lower.as_deref().unwrap_or(&whole));
        let encoding = self
            .tokenizer
            .encode_fast(first, true)
            .map_err(Error::Tokenize)?;
        let frame = Frame::of(&encoding);
        let inner = frame.opening..encoding.len() - frame.closing;
        let mut kept = Kept::new(self.max_tokens.saturating_sub(frame.tokens()), truncation);
        kept.push(
            &encoding.get_ids()[inner.clone()],
            &encoding.get_type_ids()[inner],
        );
        for piece in pieces(rest) {
            let piece = self.encode_piece(piece)?;
            kept.push(piece.get_ids(), piece.get_type_ids());
        }
        self.counted(kept.framed(frame, &encoding), frame, prompt)
    }

    /// As [`Self::tokenize`], of a text whose tokens are known already, with the special tokens
    /// around it or without them.
    pub(crate) fn tokenize_ids(
        &self,
        prompt: &str,
        ids: &[u32],
        truncation: Truncation,
    ) -> Result<TokenizedText, Error> {
        let encoding = self.framed_token()?;
        let frame = Frame::of(&encoding);
        let special = encoding.get_ids();
        let (opening, closing) = (
            &special[..frame.opening],
            &special[special.len() - frame.closing..],
        );
        let bare = ids
            .strip_prefix(opening)
            .and_then(|ids| ids.strip_suffix(closing));
        let bare = bare.unwrap_or(ids);
        let mut kept = Kept::new(self.max_tokens.saturating_sub(frame.tokens()), truncation);
        if !prompt.is_empty() {
            let (prompt, _) = self.without_special_tokens(prompt, Truncation::End)?;
            kept.push(prompt.get_ids(), prompt.get_type_ids());
        }
        kept.push(bare, &vec![0; bare.len()]);
        self.counted(kept.framed(frame, &encoding), frame, prompt)
    }

    /// Some token with the special tokens around it.
    fn framed_token(&self) -> Result<Encoding, Error> {
        let token = Token::new(0, String::new(), (0, 0));
        self.tokenizer
            .post_process(Encoding::from_tokens(vec![token], 0), None, true)
            .map_err(Error::Tokenize)
    }

    /// The ids of the special tokens before and after a text.
    pub(crate) fn framing_ids(&self) -> Result<(Vec<u32>, Vec<u32>), Error> {
        let encoding = self.framed_token()?;
        let (frame, ids) = (Frame::of(&encoding), encoding.get_ids());
        let (opening, closing) = (frame.opening, ids.len() - frame.closing);
        Ok((ids[..opening].to_vec(), ids[closing..].to_vec()))
    }

    /// Whether there is a token with this id.
    pub(crate) fn has_token(&self, id: u32) -> bool {
        self.tokenizer.id_to_token(id).is_some()
    }

    /// The number of tokens that there are.
    pub(crate) fn vocabulary_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// All tokens of a text, with where they stand in it.
    pub(crate) fn text_tokens(
        &self,
        text: &str,
        with_special_tokens: bool,
    ) -> Result<Vec<TextToken>, Error> {
        let lower = self.do_lower_case.then(|| text.to_lowercase());
        let mut tokens: Vec<TextToken> = Vec::new();
        let mut offset = 0;
        for piece in pieces(lower.as_deref().unwrap_or(text)) {
            let encoding = self.tokenizer.encode_char_offsets(piece, false);
            let encoding = encoding.map_err(Error::Tokenize)?;
            let places = encoding.get_ids().iter().zip(encoding.get_offsets());
            tokens.extend(places.map(|(id, (start, end))| TextToken {
                id: *id,
                span: Some(offset + start..offset + end),
            }));
            offset += piece.chars().count();
        }
        if lower.is_some() {
            let spans = tokens.iter_mut().filter_map(|token| token.span.as_mut());
            undo_lower_case(text, spans, |_| 1);
        }
        if !with_special_tokens {
            return Ok(tokens);
        }
        let encoding = self.framed_token()?;
        let frame = Frame::of(&encoding);
        let special = |ids: &[u32]| {
            let special = ids.iter().map(|id| TextToken {
                id: *id,
                span: None,
            });
            special.collect::<Vec<_>>()
        };
        let ids = encoding.get_ids();
        tokens.splice(0..0, special(&ids[..frame.opening]));
        tokens.extend(special(&ids[ids.len() - frame.closing..]));
        Ok(tokens)
    }

    /// The token with this id, as the vocabulary writes it.
    pub(crate) fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// The text that tokens stand for.
    pub(crate) fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, Error> {
        self.tokenizer
            .decode(ids, skip_special_tokens)
            .map_err(Error::Tokenize)
    }

    /// Counts the tokens of the text's own.
    fn counted(
        &self,
        text: TokenizedText,
        frame: Frame,
        prompt: &str,
    ) -> Result<TokenizedText, Error> {
        let own_tokens = text.ids.len().saturating_sub(frame.tokens());
        let unknown_tokens = self.unknown_among(&text.ids);
        // Prompts are known, and are only counted where it matters.
        let prompt_tokens = match prompt.is_empty() || unknown_tokens == 0 {
            true => 0,
            false => self.encode_piece(prompt)?.len(),
        };
        let mut text = TokenizedText {
            own_tokens: own_tokens.saturating_sub(prompt_tokens),
            unknown_tokens,
            ..text
        };
        if self.skips_unknown {
            text.ids.retain(|id| self.unknown != Some(*id));
            text.type_ids.truncate(text.ids.len());
            text.tokens_seen -= unknown_tokens;
        }
        Ok(text)
    }

    fn unknown_among(&self, ids: &[u32]) -> usize {
        let is_unknown = |id: &&u32| self.unknown == Some(**id);
        ids.iter().filter(is_unknown).count()
    }

    /// Tokens of a piece of a text, without special ones.
    fn encode_piece(&self, piece: &str) -> Result<Encoding, Error> {
        let encoding = self.tokenizer.encode_fast(piece, false);
        encoding.map_err(Error::Tokenize)
    }

    /// Special tokens around and between two texts.
    pub(crate) fn special_tokens_of_a_pair(&self) -> usize {
        let processor = self.tokenizer.get_post_processor();
        processor.map_or(0, |processor| processor.added_tokens(true))
    }

    /// Tokenises the first text of pairs.
    pub(crate) fn first_of_pairs(
        &self,
        text: &str,
        truncation: Truncation,
    ) -> Result<FirstOfPairs, Error> {
        let (mut encoding, tokens) = self.without_special_tokens(text, truncation)?;
        // Of a longer text no more than a window is ever kept.
        keep(&mut encoding, self.max_tokens, truncation);
        Ok(FirstOfPairs {
            encoding,
            tokens,
            truncation,
        })
    }

    /// Tokenises a pair, cut at the window as [`longest_first`] says.
    pub(crate) fn tokenize_pair(
        &self,
        first: &FirstOfPairs,
        second: &str,
    ) -> Result<TokenizedText, Error> {
        let truncation = first.truncation;
        let (mut second, second_tokens) = self.without_special_tokens(second, truncation)?;
        // As the tokenizer does for pairs; not every post-processor sets them itself.
        second.set_type_ids(vec![1; second.len()]);
        let special = self.special_tokens_of_a_pair();
        let tokens_seen = first.tokens + second_tokens + special;
        let room = self.max_tokens.saturating_sub(special);
        let (kept_of_first, kept_of_second) = longest_first(first.tokens, second_tokens, room);
        let mut first = first.encoding.clone();
        keep(&mut first, kept_of_first, truncation);
        keep(&mut second, kept_of_second, truncation);
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
            kind: InputKind::Query,
            prompt_tokens: 0,
            wants_token_states: false,
            own_tokens: encoding.len().saturating_sub(special),
            unknown_tokens: self.unknown_among(encoding.get_ids()),
        })
    }

    /// A text's tokens, at least the window of them that `truncation` leaves, and their number.
    fn without_special_tokens(
        &self,
        text: &str,
        truncation: Truncation,
    ) -> Result<(Encoding, usize), Error> {
        let lower = self.do_lower_case.then(|| text.to_lowercase());
        let (first, rest) = first_piece(lower.as_deref().unwrap_or(text));
        let mut encoding = self.encode_piece(first)?;
        let mut tokens = encoding.len();
        for piece in pieces(rest) {
            let piece = self.encode_piece(piece)?;
            tokens += piece.len();
            if truncation == Truncation::Start {
                encoding.merge_with(piece, false);
                keep(&mut encoding, self.max_tokens, truncation);
            } else if encoding.len() < self.max_tokens {
                encoding.merge_with(piece, false);
            }
        }
        Ok((encoding, tokens))
    }

    /// Byte spans of the text's own tokens, in order; prompt and special tokens are left out.
    ///
    /// Spans lie on characters. They overlap where several tokens make up one character, and
    /// leave out what the tokenizer drops.
    pub(crate) fn spans(&self, text: &str) -> Result<Vec<Range<usize>>, Error> {
        let lower = self.do_lower_case.then(|| text.to_lowercase());
        let mut spans = Vec::new();
        let mut offset = 0;
        for piece in pieces(lower.as_deref().unwrap_or(text)) {
            let encoding = self.tokenizer.encode(piece, false);
            let encoding = encoding.map_err(Error::Tokenize)?;
            let tokens = encoding.get_ids().iter().zip(encoding.get_offsets());
            let kept = tokens.filter(|(id, _)| !self.skips_unknown || self.unknown != Some(**id));
            spans.extend(kept.map(|(_, (start, end))| offset + start..offset + end));
            offset += piece.len();
        }
        if lower.is_some() {
            undo_lower_case(text, spans.iter_mut(), char::len_utf8);
        }
        for span in &mut spans {
            *span = text.floor_char_boundary(span.start)..text.ceil_char_boundary(span.end);
        }
        Ok(spans)
    }
}

/// A file of a folder that `tokenizer.json` can be made of.
fn source_of_tokenizer(folder: &Path) -> Option<&'static str> {
    const SOURCES: [&str; 5] = [
        "vocab.txt",
        "spiece.model",
        "sentencepiece.bpe.model",
        "tokenizer.model",
        "vocab.json",
    ];
    SOURCES.into_iter().find(|name| folder.join(name).is_file())
}

/// The token that a tokenizer's file names for what its vocabulary lacks: by its text, or in unigram
/// models by its number.
fn unknown_token(tokenizer: &Tokenizer, bytes: &[u8]) -> Option<u32> {
    #[derive(serde::Deserialize)]
    struct File {
        model: Model,
    }
    #[derive(serde::Deserialize)]
    struct Model {
        unk_token: Option<String>,
        unk_id: Option<u32>,
    }
    let File { model } = serde_json::from_slice(bytes).ok()?;
    let by_text = model
        .unk_token
        .and_then(|token| tokenizer.token_to_id(&token));
    by_text.or(model.unk_id)
}

fn keep(encoding: &mut Encoding, tokens: usize, truncation: Truncation) {
    let direction = match truncation {
        Truncation::End => TruncationDirection::Right,
        Truncation::Start => TruncationDirection::Left,
    };
    encoding.truncate(tokens, 0, direction);
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
}
