//! A model's forward pass, as the queue sees it.

use siamese_encoder::{Encoder, Reranker, TokenizedText};

/// What a model makes of one text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Output {
    /// An encoder's embedding.
    Vector(Vec<f32>),
    /// A reranker's logit of a pair.
    Score(f32),
}

/// What a forward pass yields: one output for each text, in order.
pub(crate) type Outputs = Result<Vec<Output>, siamese_encoder::Error>;

/// A model.
pub(crate) trait Forward: Send + Sync + std::fmt::Debug + 'static {
    /// One output for each text, in order.
    ///
    /// # Errors
    /// When the model fails or yields a value that is not finite.
    fn forward(&self, texts: &[&TokenizedText]) -> Outputs;

    /// The same while other passes go on; may call `pause` now and then, on any thread.
    ///
    /// # Errors
    /// As [`Self::forward`].
    fn forward_in_background(&self, texts: &[&TokenizedText], pause: &(dyn Fn() + Sync))
    -> Outputs;
}

impl Forward for Encoder {
    fn forward(&self, texts: &[&TokenizedText]) -> Outputs {
        self.encode_tokenized(texts).map(of_vectors)
    }

    fn forward_in_background(
        &self,
        texts: &[&TokenizedText],
        pause: &(dyn Fn() + Sync),
    ) -> Outputs {
        self.encode_in_background(texts, pause).map(of_vectors)
    }
}

impl Forward for Reranker {
    fn forward(&self, texts: &[&TokenizedText]) -> Outputs {
        self.logits(texts).map(of_scores)
    }

    fn forward_in_background(
        &self,
        texts: &[&TokenizedText],
        pause: &(dyn Fn() + Sync),
    ) -> Outputs {
        self.logits_in_background(texts, pause).map(of_scores)
    }
}

fn of_vectors(vectors: Vec<Vec<f32>>) -> Vec<Output> {
    vectors.into_iter().map(Output::Vector).collect()
}

fn of_scores(logits: Vec<f32>) -> Vec<Output> {
    logits.into_iter().map(Output::Score).collect()
}
