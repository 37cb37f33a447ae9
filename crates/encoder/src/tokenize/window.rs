//! What of a text's tokens fits into the window, with the special tokens around it.

use tokenizers::Encoding;

use super::text::{TokenizedText, Truncation};
use crate::InputKind;

/// How many special tokens stand around a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) opening: usize,
    pub(super) closing: usize,
}

impl Frame {
    pub(super) fn of(encoding: &Encoding) -> Self {
        let special = encoding.get_special_tokens_mask();
        let closing = special.iter().rev().take_while(|mask| **mask == 1).count();
        let before = &special[..special.len() - closing];
        Self {
            opening: before.iter().take_while(|mask| **mask == 1).count(),
            closing,
        }
    }

    pub(super) fn tokens(self) -> usize {
        self.opening + self.closing
    }
}

/// The tokens of a text that fit into the window.
#[derive(Debug)]
pub(super) struct Kept {
    ids: Vec<u32>,
    type_ids: Vec<u32>,
    room: usize,
    truncation: Truncation,
    seen: usize,
}

impl Kept {
    pub(super) fn new(room: usize, truncation: Truncation) -> Self {
        Self {
            ids: Vec::new(),
            type_ids: Vec::new(),
            room,
            truncation,
            seen: 0,
        }
    }

    pub(super) fn push(&mut self, ids: &[u32], type_ids: &[u32]) {
        self.seen += ids.len();
        match self.truncation {
            Truncation::End => {
                let fitting = ids.len().min(self.room - self.ids.len());
                self.ids.extend_from_slice(&ids[..fitting]);
                self.type_ids.extend_from_slice(&type_ids[..fitting]);
            }
            Truncation::Start => {
                self.ids.extend_from_slice(ids);
                self.type_ids.extend_from_slice(type_ids);
                let over = self.ids.len().saturating_sub(self.room);
                self.ids.drain(..over);
                self.type_ids.drain(..over);
            }
        }
    }

    /// The tokens with the special ones of `encoding` around them.
    pub(super) fn framed(self, frame: Frame, encoding: &Encoding) -> TokenizedText {
        let framed = |inner: Vec<u32>, all: &[u32]| {
            let (opening, closing) = (&all[..frame.opening], &all[all.len() - frame.closing..]);
            [opening, &inner, closing].concat()
        };
        TokenizedText {
            ids: framed(self.ids, encoding.get_ids()),
            type_ids: framed(self.type_ids, encoding.get_type_ids()),
            kind: InputKind::Query,
            prompt_tokens: 0,
            wants_token_states: false,
            tokens_seen: self.seen + frame.tokens(),
            own_tokens: 0,
            unknown_tokens: 0,
        }
    }
}
