//! The models that are open.

use std::sync::Arc;

use siamese_encoder::{Encoder, Reranker};

use crate::error::{ApiError, ErrorCode};

const NO_RERANKER: &str = "this service has no reranker; start it with --reranker DIR or set \
                           reranker.model to the folder of a cross-encoder";

/// An encoder of texts, and what scores hits again, if there is anything.
#[derive(Debug)]
pub(crate) struct Models {
    encoder: Arc<Encoder>,
    reranker: Option<Arc<Reranker>>,
}

impl Models {
    pub(crate) fn new(encoder: Encoder, reranker: Option<Reranker>) -> Self {
        Self {
            encoder: Arc::new(encoder),
            reranker: reranker.map(Arc::new),
        }
    }

    /// The encoder of texts.
    pub(crate) fn encoder(&self) -> &Arc<Encoder> {
        &self.encoder
    }

    /// The reranker.
    ///
    /// # Errors
    /// 404 when the service was started without one.
    pub(crate) fn reranker(&self) -> Result<&Arc<Reranker>, ApiError> {
        self.reranker
            .as_ref()
            .ok_or_else(|| ApiError::new(ErrorCode::RerankerNotFound, NO_RERANKER))
    }
}
