//! All models that are open, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use siamese_encoder::{Encoder, Reranker};

use crate::error::{ApiError, ErrorCode};

/// The name of the encoder and of the reranker that the settings name without one.
const DEFAULT: &str = "default";

const NO_RERANKER: &str = "this service has no reranker; start it with --reranker DIR or set \
                           reranker.model to the folder of a cross-encoder";

/// The models. There always is a default encoder.
#[derive(Debug)]
pub(crate) struct Models {
    default_encoder: Arc<Encoder>,
    rerankers: BTreeMap<String, Arc<Reranker>>,
}

impl Models {
    /// An encoder for everything, and what scores hits again, if there is anything.
    pub(crate) fn new(encoder: Encoder, reranker: Option<Reranker>) -> Self {
        let reranker = reranker.map(|reranker| (DEFAULT.to_owned(), Arc::new(reranker)));
        Self {
            default_encoder: Arc::new(encoder),
            rerankers: reranker.into_iter().collect(),
        }
    }

    /// The encoder of texts.
    pub(crate) fn encoder(&self) -> &Arc<Encoder> {
        &self.default_encoder
    }

    /// The reranker.
    ///
    /// # Errors
    /// 404 when the service was started without one.
    pub(crate) fn reranker(&self) -> Result<&Arc<Reranker>, ApiError> {
        self.rerankers
            .get(DEFAULT)
            .ok_or_else(|| ApiError::new(ErrorCode::RerankerNotFound, NO_RERANKER))
    }
}
