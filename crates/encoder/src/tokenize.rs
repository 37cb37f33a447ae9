//! Text to token ids, with an account of what did not fit.

use std::path::Path;

use tokenizers::{Tokenizer, TruncationParams};

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
        })
    }

    /// Special tokens around a single text.
    pub(crate) fn special_tokens(&self) -> Result<usize, Error> {
        Ok(self
            .tokenizer
            .encode("", true)
            .map_err(Error::Tokenize)?
            .len())
    }

    /// Cuts texts at `max_tokens`.
    pub(crate) fn set_window(&mut self, max_tokens: usize) -> Result<(), Error> {
        let truncation = TruncationParams {
            max_length: max_tokens,
            ..TruncationParams::default()
        };
        self.tokenizer
            .with_truncation(Some(truncation))
            .map_err(Error::Tokenize)?;
        Ok(())
    }

    /// Tokenises `prompt` and `text` as one text.
    ///
    /// Surrounding white space goes first, as in sentence-transformers.
    pub(crate) fn tokenize(&self, prompt: &str, text: &str) -> Result<TokenizedText, Error> {
        let whole = format!("{prompt}{text}");
        let whole = whole.trim();
        let lower = if self.do_lower_case {
            Some(whole.to_lowercase())
        } else {
            None
        };
        let encoding = self
            .tokenizer
            .encode_fast(lower.as_deref().unwrap_or(whole), true)
            .map_err(Error::Tokenize)?;
        let cut_off: usize = encoding
            .get_overflowing()
            .iter()
            .map(|part| {
                part.get_special_tokens_mask()
                    .iter()
                    .filter(|mask| **mask == 0)
                    .count()
            })
            .sum();
        Ok(TokenizedText {
            tokens_seen: encoding.len() + cut_off,
            ids: encoding.get_ids().to_vec(),
            type_ids: encoding.get_type_ids().to_vec(),
            prompt_tokens: 0,
        })
    }
}
