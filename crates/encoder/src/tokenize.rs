//! Text to token ids, with an account of what did not fit.

use std::path::Path;

use tokenizers::Tokenizer;

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

/// The tokenizer of a model folder.
#[derive(Debug)]
pub(crate) struct TextTokenizer {
    tokenizer: Tokenizer,
    do_lower_case: bool,
    max_tokens: usize,
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
