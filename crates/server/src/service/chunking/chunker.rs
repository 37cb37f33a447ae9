//! One document at a time: title, text, passages, token ids.

use std::ops::Range;

use siamese_encoder::{Encoder, Error, InputKind, TokenizedText};
use siamese_index::{Chunking, PassageSize};
use unicode_segmentation::UnicodeSegmentation;

use super::borders::{Border, Cut, cuts};
use super::split::{Budget, halves, split};
use crate::blocking::Cancel;
use crate::error::ApiError;

/// Makes passages of documents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunker<'a> {
    /// Ends it between two passages.
    pub(crate) cancel: &'a Cancel,
    pub(crate) encoder: &'a Encoder,
    pub(crate) chunking: Chunking,
    /// `limits.max_passages_per_document`.
    pub(crate) max_passages: usize,
}

/// A document's passages, ready for the encoder.
#[derive(Debug)]
pub(crate) struct ChunkedText {
    /// Byte spans in the text, in order; at least one.
    pub(crate) spans: Vec<Range<usize>>,
    /// For each span its tokens, with prompt, title and special tokens.
    pub(crate) tokenized: Vec<TokenizedText>,
    /// Tokens of the title, and how many of them stand before each passage; when fewer.
    pub(crate) cut_title: Option<(usize, usize)>,
}

/// Why a document has no passages.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChunkError {
    /// The text is too long for its passages' size.
    #[error(
        "the text makes over limits.max_passages_per_document = {max_passages} passages of {max_tokens} tokens"
    )]
    TooManyPassages {
        max_passages: usize,
        max_tokens: usize,
    },
    /// It was ended between two passages.
    #[error("ended between two passages")]
    Ended(ApiError),
    /// The tokenizer failed.
    #[error(transparent)]
    Encoder(#[from] Error),
}

/// What stands before each passage.
struct Heading {
    text: String,
    /// Tokens of it, of the prompt, and special ones.
    tokens: usize,
    cut: Option<(usize, usize)>,
}

impl Chunker<'_> {
    /// The passages of a document.
    ///
    /// # Errors
    /// Too many passages, or a tokenizer that fails.
    pub(crate) fn chunk(&self, title: Option<&str>, text: &str) -> Result<ChunkedText, ChunkError> {
        let whole = self.tokenize(&with_title(title, text))?;
        let (size, best) = match self.chunking {
            Chunking::Off => return Ok(one_passage(text, whole)),
            Chunking::Sentence(size) | Chunking::Paragraph(size) => (size, Border::Paragraph),
            Chunking::Fixed(size) => (size, Border::Word),
        };
        let is_by_paragraph = matches!(self.chunking, Chunking::Paragraph(_));
        // A blank line is two line breaks.
        let has_paragraphs = is_by_paragraph && text.matches('\n').count() > 1;
        if !has_paragraphs && whole.tokens_seen() <= size.max_tokens as usize {
            return Ok(one_passage(text, whole));
        }
        self.several(title, text, size, best)
    }

    fn several(
        &self,
        title: Option<&str>,
        text: &str,
        size: PassageSize,
        best: Border,
    ) -> Result<ChunkedText, ChunkError> {
        let max_tokens = size.max_tokens as usize;
        let heading = self.heading(title, max_tokens)?;
        let cuts = cuts(text, &self.token_spans(text)?);
        let budget = Budget {
            max_tokens: max_tokens.saturating_sub(heading.tokens).max(1),
            overlap_tokens: size.overlap_tokens as usize,
            best,
            is_by_paragraph: matches!(self.chunking, Chunking::Paragraph(_)),
        };
        let mut waiting = split(&cuts, budget, self.max_passages);
        self.check_count(waiting.len(), size)?;
        waiting.reverse();
        let mut passages = ChunkedText::new(heading.cut);
        let mut covered = 0;
        while let Some(range) = waiting.pop() {
            // A half may lie within what the passage before holds already.
            if range.end <= covered {
                continue;
            }
            let span = byte_span(text, &cuts, &range);
            let tokenized = self.tokenize(&format!("{}{}", heading.text, &text[span.clone()]))?;
            // A word cut in two may have more tokens than its parts had in the whole text.
            match halves(&cuts, range.clone()).filter(|_| tokenized.tokens_seen() > max_tokens) {
                Some([first, second]) => waiting.extend([second, first]),
                None => {
                    covered = range.end;
                    passages.push(span, tokenized);
                }
            }
            self.check_count(passages.spans.len(), size)?;
        }
        if passages.spans.is_empty() {
            let whole = self.tokenize(&format!("{}{text}", heading.text))?;
            passages.spans.push(0..text.len());
            passages.tokenized.push(whole);
        }
        Ok(passages)
    }

    fn check_count(&self, passages: usize, size: PassageSize) -> Result<(), ChunkError> {
        if passages <= self.max_passages {
            return Ok(());
        }
        Err(ChunkError::TooManyPassages {
            max_passages: self.max_passages,
            max_tokens: size.max_tokens as usize,
        })
    }

    /// The title and a space. A title may take half of a passage, and is cut there.
    fn heading(&self, title: Option<&str>, max_tokens: usize) -> Result<Heading, ChunkError> {
        let Some(title) = title else {
            return self.heading_of(String::new(), None);
        };
        let spans = self.token_spans(title)?;
        let max_title = max_tokens / 2;
        if spans.len() <= max_title {
            return self.heading_of(format!("{title} "), None);
        }
        let kept = &title[..spans.get(max_title).map_or(title.len(), |next| next.start)];
        self.heading_of(
            format!("{} ", kept.trim_end()),
            Some((spans.len(), max_title)),
        )
    }

    fn heading_of(&self, text: String, cut: Option<(usize, usize)>) -> Result<Heading, ChunkError> {
        let tokens = self.tokenize(&text)?.tokens_seen();
        Ok(Heading { text, tokens, cut })
    }

    fn tokenize(&self, text: &str) -> Result<TokenizedText, ChunkError> {
        self.step_over(text)?;
        Ok(self.encoder.tokenize(text, InputKind::Document)?)
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, ChunkError> {
        self.step_over(text)?;
        Ok(self.encoder.token_spans(text)?)
    }

    fn step_over(&self, text: &str) -> Result<(), ChunkError> {
        let step = self.cancel.step_over_text(text.len());
        step.map_err(ChunkError::Ended)
    }
}

impl ChunkedText {
    fn new(cut_title: Option<(usize, usize)>) -> Self {
        Self {
            spans: Vec::new(),
            tokenized: Vec::new(),
            cut_title,
        }
    }

    /// Adds a passage, unless it is white space.
    fn push(&mut self, span: Range<usize>, tokenized: TokenizedText) {
        if !span.is_empty() {
            self.spans.push(span);
            self.tokenized.push(tokenized);
        }
    }
}

fn one_passage(text: &str, tokenized: TokenizedText) -> ChunkedText {
    ChunkedText {
        spans: std::iter::once(0..text.len()).collect(),
        tokenized: vec![tokenized],
        cut_title: None,
    }
}

/// The title stands before the passage, so that it colours the passage's vector.
pub(crate) fn with_title(title: Option<&str>, passage: &str) -> String {
    match title {
        Some(title) => format!("{title} {passage}"),
        None => passage.to_owned(),
    }
}

/// The bytes of a range of tokens, with what the tokenizer dropped after each, and without white
/// space at the ends. White space under an accent is a letter, and stays.
fn byte_span(text: &str, cuts: &[Cut], tokens: &Range<usize>) -> Range<usize> {
    let byte = |place: usize| match place {
        0 => 0,
        place => cuts.get(place).map_or(text.len(), |cut| cut.byte),
    };
    let span = byte(tokens.start)..byte(tokens.end);
    let is_space = |letter: &&str| letter.trim().is_empty();
    let part = &text[span.clone()];
    let before: usize = part
        .graphemes(true)
        .take_while(is_space)
        .map(str::len)
        .sum();
    let part = &part[before..];
    let letters = part.graphemes(true).rev();
    let after: usize = letters.take_while(is_space).map(str::len).sum();
    span.start + before..span.end - after
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;
    use std::sync::LazyLock;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use siamese_encoder::EncoderOptions;

    use super::*;

    /// Word pieces, byte pairs and unigrams, with windows of 24 and more tokens.
    static ENCODERS: LazyLock<Vec<Encoder>> = LazyLock::new(|| {
        let models =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../encoder/tests/fixtures/models");
        ["bert-old-dialect", "roberta", "xlm-roberta"]
            .iter()
            .map(|name| Encoder::open(&models.join(name), &EncoderOptions::default()).unwrap())
            .collect()
    });

    /// The fewest tokens that the titles below leave of the smallest passages; a token has at least
    /// one byte.
    const MIN_BUDGET: usize = 5;

    fn size(max_tokens: u32, overlap_tokens: u32) -> PassageSize {
        PassageSize {
            max_tokens,
            overlap_tokens,
        }
    }

    fn chunker(encoder: &Encoder, chunking: Chunking) -> Chunker<'_> {
        Chunker {
            cancel: &NEVER,
            encoder,
            chunking,
            max_passages: 100_000,
        }
    }

    static NEVER: LazyLock<Cancel> = LazyLock::new(Cancel::default);

    const FRAGMENTS: &[&str] = &[
        " ",
        "  ",
        "\n",
        "\r\n",
        "\n\n",
        "\n \n\n",
        ". ",
        "! ",
        "? ",
        "。",
        "，",
        ", ",
        "word",
        "Word",
        "Dr. No",
        "e\u{301}",
        "ö",
        "नि",
        "한국",
        "我们",
        "👍🏽",
        "\u{200d}",
        "\u{0}",
        "\u{feff}",
        "مرحبا",
        "İ",
        "ﬁ",
        "3.14",
        "a-b_c",
        "https://x.org/a?b=c",
        "\u{3000}",
        "\t",
    ];

    #[track_caller]
    fn only_span(passages: &ChunkedText) -> Range<usize> {
        assert_eq!(passages.spans.len(), 1);
        passages.spans[0].clone()
    }

    fn fragment() -> impl Strategy<Value = String> {
        prop_oneof![
            8 => prop::sample::select(FRAGMENTS).prop_map(str::to_owned),
            2 => "[a-z]{1,40}",
            1 => any::<char>().prop_map(String::from),
        ]
    }

    fn text() -> impl Strategy<Value = String> {
        prop::collection::vec(fragment(), 1..150).prop_map(|fragments| fragments.concat())
    }

    fn check(text: &str, passages: &ChunkedText, max_tokens: u32) -> Result<(), TestCaseError> {
        let borders: BTreeSet<usize> = text
            .grapheme_indices(true)
            .flat_map(|(place, letter)| borders_within(letter).map(move |byte| place + byte))
            .chain([text.len()])
            .collect();
        let mut covered = 0;
        prop_assert_eq!(passages.spans.len(), passages.tokenized.len());
        for (span, tokenized) in passages.spans.iter().zip(&passages.tokenized) {
            prop_assert!(text.get(span.clone()).is_some(), "{:?}", span);
            prop_assert!(borders.contains(&span.start), "{:?}", span);
            prop_assert!(borders.contains(&span.end), "{:?}", span);
            prop_assert!(tokenized.tokens_seen() <= max_tokens as usize);
            if span.start > covered {
                prop_assert_eq!(text[covered..span.start].trim(), "");
            }
            prop_assert!(span.end >= covered);
            covered = span.end;
        }
        prop_assert_eq!(text[covered..].trim(), "");
        Ok(())
    }

    /// Where a letter may be cut: at its start, and when it may have more tokens than a passage
    /// beside a long title leaves room for, between its code points.
    fn borders_within(letter: &str) -> impl Iterator<Item = usize> {
        let places = letter.char_indices().map(|(byte, _)| byte);
        places.take(if letter.len() > MIN_BUDGET {
            usize::MAX
        } else {
            1
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn passages_cover_the_text_fit_the_window_and_split_no_letter(
            text in text(),
            title in prop::option::of("[a-zA-Z ]{0,60}"),
            encoder in 0..3_usize,
            mode in 0..3_usize,
            (max_tokens, overlap_tokens) in (16..=24_u32).prop_flat_map(|max| (Just(max), 0..=max / 2)),
        ) {
            let size = size(max_tokens, overlap_tokens);
            let modes = [Chunking::Sentence, Chunking::Fixed, Chunking::Paragraph];
            let chunking = modes[mode](size);
            let passages = chunker(&ENCODERS[encoder], chunking)
                .chunk(title.as_deref(), &text)
                .unwrap();
            check(&text, &passages, max_tokens)?;
        }
    }

    #[test]
    fn a_short_text_is_one_passage_as_it_is() {
        let chunking = Chunking::Sentence(size(24, 4));
        let passages = chunker(&ENCODERS[0], chunking)
            .chunk(Some("T"), " a \n")
            .unwrap();
        assert_eq!(only_span(&passages), 0..4);
    }

    #[test]
    fn by_paragraph_no_passage_holds_two_but_a_heading_stays_with_what_follows() {
        let paragraph = "a b c d. ".repeat(5);
        let text = format!("{paragraph}\n\nHeading\n\n{paragraph}\n \n{paragraph}");
        let chunking = Chunking::Paragraph(size(64, 8));
        let passages = chunker(&ENCODERS[0], chunking).chunk(None, &text).unwrap();
        let texts: Vec<&str> = passages
            .spans
            .iter()
            .map(|span| &text[span.clone()])
            .collect();
        let paragraph = paragraph.trim_end();
        assert_eq!(
            texts,
            [paragraph, &format!("Heading\n\n{paragraph}"), paragraph]
        );
    }

    #[test]
    fn off_is_one_passage_cut_at_the_window() {
        let text = "word ".repeat(100);
        let passages = chunker(&ENCODERS[0], Chunking::Off)
            .chunk(None, &text)
            .unwrap();
        assert_eq!(only_span(&passages), 0..text.len());
        assert!(passages.tokenized[0].is_truncated());
    }

    #[test]
    fn a_long_title_is_cut_and_said_to_be() {
        let text = "a ".repeat(100);
        let chunking = Chunking::Sentence(size(24, 0));
        let title = "b ".repeat(50);
        let passages = chunker(&ENCODERS[0], chunking)
            .chunk(Some(&title), &text)
            .unwrap();
        assert_eq!(passages.cut_title, Some((50, 12)));
        // 2 special tokens and 12 of the title leave 10.
        assert_eq!(passages.spans.len(), 10);
    }

    #[test]
    fn too_many_passages_are_an_error_that_names_the_limit() {
        let chunker = Chunker {
            max_passages: 3,
            ..chunker(&ENCODERS[0], Chunking::Fixed(size(16, 0)))
        };
        let error = chunker.chunk(None, &"a ".repeat(1000)).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("limits.max_passages_per_document = 3"),
            "{error}"
        );
    }

    #[test]
    fn texts_of_a_megabyte_are_split_in_bounded_time() {
        let started_at = Instant::now();
        for text in ["a ", "我", "👍", "\n", ". ", "a"] {
            let text = text.repeat((1 << 20) / text.len());
            let chunking = Chunking::Sentence(size(24, 4));
            let chunker = chunker(&ENCODERS[0], chunking);
            let passages = chunker.chunk(Some("title"), &text).unwrap();
            assert!(!passages.spans.is_empty());
        }
        let took = started_at.elapsed();
        assert!(took < Duration::from_secs(60), "{took:?}");
    }
}
