//! `mode` and `alpha` of a search, and what goes with which.

use serde::Deserialize;
use siamese_index::Fusion;
use utoipa::ToSchema;

use super::search::{SearchRequest, within};
use crate::error::ApiError;
use crate::service::Mode;

/// The largest threshold of a BM25 score.
const MAX_LEXICAL_SCORE: f32 = 1e6;

/// By what to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ModeShape {
    /// By meaning: nearness of vectors.
    #[default]
    Semantic,
    /// By words: BM25.
    Lexical,
    /// By both: words change the order, and neither `total` nor `facets`.
    Hybrid,
}

impl SearchRequest {
    /// The way to search, once everything is known to go with it.
    ///
    /// # Errors
    /// 422 for a field that makes no sense in this mode.
    pub(super) fn mode(&self) -> Result<Mode, ApiError> {
        let shape = self.mode.unwrap_or_default();
        if shape != ModeShape::Semantic && self.query.is_none() {
            let detail = "words are looked for in the modes lexical and hybrid, so they need query";
            return Err(ApiError::invalid("/mode", detail));
        }
        if shape != ModeShape::Hybrid && self.alpha.is_some() {
            let detail = "alpha weighs two sides against each other, so it goes with mode hybrid";
            return Err(ApiError::invalid("/alpha", detail));
        }
        within("/alpha", self.alpha, 0.0, 1.0)?;
        if shape != ModeShape::Semantic && self.diversity.is_some() {
            let detail = "diversity weighs scores against cosines, so it goes with mode semantic";
            return Err(ApiError::invalid("/diversity", detail));
        }
        match shape {
            ModeShape::Semantic => {
                within("/min_score", self.min_score, -1.0, 1.0)?;
                Ok(Mode::Semantic)
            }
            ModeShape::Lexical => {
                within("/min_score", self.min_score, 0.0, MAX_LEXICAL_SCORE)?;
                if self.ef.is_some() {
                    let detail = "ef is of the index over vectors, which mode lexical does not use";
                    return Err(ApiError::invalid("/ef", detail));
                }
                Ok(Mode::Lexical)
            }
            ModeShape::Hybrid => {
                within("/min_score", self.min_score, -1.0, 1.0)?;
                Ok(Mode::Hybrid(self.fusion()?))
            }
        }
    }

    fn fusion(&self) -> Result<Fusion, ApiError> {
        match self.alpha {
            Some(alpha) => Ok(Fusion::Weighted { alpha }),
            None if self.auto_cut && self.rerank.is_none() => {
                let detail = "scores of rank fusion say nothing but the order, so they have no gap to cut at; give alpha";
                Err(ApiError::invalid("/auto_cut", detail))
            }
            None => Ok(Fusion::ReciprocalRank),
        }
    }
}
