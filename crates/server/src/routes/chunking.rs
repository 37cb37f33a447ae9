//! How long texts become passages, as requests and answers say it.

use serde::{Deserialize, Serialize, Serializer};
use siamese_encoder::Encoder;
use siamese_index::{Chunking, PassageSize};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::extract::{from_object_only, whole_number};
use crate::service::{default_overlap, default_passage_tokens, min_passage_tokens, window};

/// How long texts become passages.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct ChunkingShape {
    mode: ChunkingMode,
    /// Tokens of a passage; title, prompt and special tokens count. 16 to the encoder's window; 128
    /// when absent, or the window if that is smaller.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, example = 128)]
    max_tokens: Option<u32>,
    /// Tokens at the end of a passage that the next one repeats, at most; up to half of
    /// `max_tokens`. An eighth of it when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 0, example = 16)]
    overlap_tokens: Option<u32>,
}

impl Serialize for ChunkingShape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

from_object_only!(ChunkingShape);

/// A way to make passages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChunkingMode {
    /// Passages end at paragraphs and sentences where they can. The default.
    Sentence,
    /// Passages are as long as they may be, and are cut between words.
    Fixed,
    /// As `sentence`, and no passage holds parts of two paragraphs, which a blank line separates; one of
    /// fewer than 16 tokens stays with the next. Finds copied paragraphs with `POST /duplicates`.
    Paragraph,
    /// One passage a document, cut at the encoder's window with a warning.
    Off,
}

impl ChunkingShape {
    /// Settings that fit the encoder.
    ///
    /// # Errors
    /// 422 that points at the size that does not.
    pub(super) fn checked(self, encoder: &Encoder) -> Result<Chunking, ApiError> {
        let make = match self.mode {
            ChunkingMode::Off => return self.off(),
            ChunkingMode::Sentence => Chunking::Sentence,
            ChunkingMode::Fixed => Chunking::Fixed,
            ChunkingMode::Paragraph => Chunking::Paragraph,
        };
        let (min, max) = (min_passage_tokens(encoder), window(encoder));
        let max_tokens = self
            .max_tokens
            .unwrap_or_else(|| default_passage_tokens(encoder));
        if !(min..=max).contains(&max_tokens) {
            let detail = format!(
                "max_tokens is {max_tokens}; {min} to {max}, the encoder's window, are allowed"
            );
            return Err(ApiError::invalid("/chunking/max_tokens", detail));
        }
        let max_overlap = PassageSize::max_overlap_tokens(max_tokens);
        let overlap_tokens = self
            .overlap_tokens
            .unwrap_or_else(|| default_overlap(max_tokens));
        if overlap_tokens > max_overlap {
            let detail = format!(
                "overlap_tokens is {overlap_tokens}; up to {max_overlap}, half of max_tokens, are allowed"
            );
            return Err(ApiError::invalid("/chunking/overlap_tokens", detail));
        }
        Ok(make(PassageSize {
            max_tokens,
            overlap_tokens,
        }))
    }

    fn off(self) -> Result<Chunking, ApiError> {
        let sizes = [
            ("/chunking/max_tokens", self.max_tokens),
            ("/chunking/overlap_tokens", self.overlap_tokens),
        ];
        match sizes.into_iter().find(|(_, size)| size.is_some()) {
            Some((pointer, _)) => Err(ApiError::invalid(
                pointer,
                "with mode off there are no passages to size",
            )),
            None => Ok(Chunking::Off),
        }
    }
}

impl From<Chunking> for ChunkingShape {
    fn from(chunking: Chunking) -> Self {
        let (mode, size) = match chunking {
            Chunking::Off => (ChunkingMode::Off, None),
            Chunking::Sentence(size) => (ChunkingMode::Sentence, Some(size)),
            Chunking::Fixed(size) => (ChunkingMode::Fixed, Some(size)),
            Chunking::Paragraph(size) => (ChunkingMode::Paragraph, Some(size)),
        };
        Self {
            mode,
            max_tokens: size.map(|size| size.max_tokens),
            overlap_tokens: size.map(|size| size.overlap_tokens),
        }
    }
}
