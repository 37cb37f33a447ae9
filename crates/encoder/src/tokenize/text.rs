//! Texts as tokens, and tokens as they stand in texts.

use std::ops::Range;

use crate::InputKind;

/// A text as token ids, cut at the encoder's window.
#[derive(Debug, Clone)]
pub struct TokenizedText {
    pub(crate) ids: Vec<u32>,
    pub(crate) type_ids: Vec<u32>,
    /// Which of a model's towers it is for.
    pub(crate) kind: InputKind,
    /// Tokens at the start that belong to a prompt which pooling leaves out.
    pub(crate) prompt_tokens: usize,
    /// Whether the states of all tokens are wanted instead of one vector.
    pub(crate) wants_token_states: bool,
    pub(super) tokens_seen: usize,
    /// Kept tokens that are the text's own, and those of them that the vocabulary lacks.
    pub(super) own_tokens: usize,
    pub(super) unknown_tokens: usize,
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

    /// Tokens that are encoded and are neither prompt nor special ones.
    pub fn own_tokens(&self) -> usize {
        self.own_tokens
    }

    /// Those of its own tokens that stand for something that the model has no token for. The model cannot tell
    /// them apart.
    pub fn unknown_tokens(&self) -> usize {
        self.unknown_tokens
    }

    /// The same text, of which [`crate::Encoder`] returns the last states of all its tokens, one after the
    /// other, instead of one vector.
    #[must_use]
    pub fn for_token_states(self) -> Self {
        Self {
            wants_token_states: true,
            ..self
        }
    }

    /// Whether the text passed the encoder's window.
    pub fn is_truncated(&self) -> bool {
        self.tokens_seen > self.ids.len()
    }
}

/// Which end of a text over the window is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Truncation {
    /// What comes last.
    #[default]
    End,
    /// What comes first.
    Start,
}

/// What to encode.
#[derive(Debug, Clone, Copy)]
pub enum TextInput<'a> {
    /// A text.
    Text(&'a str),
    /// The ids of a text's tokens, with the special tokens around them or without.
    Ids(&'a [u32]),
}

/// A token of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextToken {
    /// Its place in the vocabulary.
    pub id: u32,
    /// The characters that it stands for; none of a special token that belongs to no text.
    pub span: Option<Range<usize>>,
}
