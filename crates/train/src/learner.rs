//! Derivatives of a batch's loss.

use std::path::Path;

use candle_core::{Tensor, Var};
use siamese_encoder::{Dropout, TokenizedText, TrainableEncoder};

use crate::batch::Batch;
use crate::data::Texts;
use crate::{Error, Loss, Settings};

/// The derivatives by each weight, in their order. What else candle knows of a pass would keep all of its values.
pub(crate) type Gradients = Vec<Option<Tensor>>;

/// An encoder that learns from batches of texts.
#[derive(Debug)]
pub(crate) struct Learner<'a> {
    texts: &'a Texts,
    settings: &'a Settings,
    loss: Loss,
    pub(crate) encoder: TrainableEncoder,
    dropout: Option<Dropout>,
    /// Tokens that have gone through the encoder.
    pub(crate) tokens_seen: u64,
}

impl<'a> Learner<'a> {
    pub(crate) fn open(
        folder: &Path,
        texts: &'a Texts,
        loss: Loss,
        settings: &'a Settings,
    ) -> Result<Self, Error> {
        let encoder = TrainableEncoder::open(folder, &settings.learning())?;
        let dropout = settings.dropout.then(|| encoder.dropout()).transpose()?;
        Ok(Self {
            texts,
            settings,
            loss,
            encoder,
            dropout,
            tokens_seen: 0,
        })
    }

    /// The loss of a batch, and its derivatives. Where passes of all its texts would take too much memory, they
    /// are made part by part. What is left out at random follows from the number of the step.
    pub(crate) fn gradients(
        &mut self,
        batch: &Batch,
        step: usize,
    ) -> Result<(f64, Gradients), Error> {
        let tokens = batch.texts.iter();
        let tokens =
            tokens.map(|(text, kind)| self.encoder.tokenize(self.texts.text(*text), *kind));
        let tokens = tokens.collect::<Result<Vec<TokenizedText>, _>>()?;
        let tokens: Vec<&TokenizedText> = tokens.iter().collect();
        let (texts, bytes) = (self.settings.mini_batch_size, self.settings.max_pass_bytes);
        let parts = self
            .encoder
            .parts(&tokens, texts.unwrap_or(usize::MAX), bytes);
        match &parts[..] {
            [_] => self.gradients_at_once(batch, &tokens, step),
            parts => self.gradients_in_parts(batch, &tokens, parts, step),
        }
    }

    fn gradients_at_once(
        &mut self,
        batch: &Batch,
        tokens: &[&TokenizedText],
        step: usize,
    ) -> Result<(f64, Gradients), Error> {
        let vectors = self.encode(tokens, self.omissions(step, 0).as_ref())?;
        let loss = batch.loss(&vectors, self.loss, self.settings)?;
        Ok((
            f64::from(loss.to_scalar::<f32>()?),
            self.derivatives(&loss)?,
        ))
    }

    /// The same with few passes in memory at a time: first vectors are made without derivatives, which say how
    /// the loss changes with each of them, then part by part again with derivatives (Gao et al., "Scaling Deep
    /// Contrastive Learning Batch Size under Memory Limited Setup", 2021). What is left out at random is the
    /// same both times.
    fn gradients_in_parts(
        &mut self,
        batch: &Batch,
        tokens: &[&TokenizedText],
        parts: &[Vec<usize>],
        step: usize,
    ) -> Result<(f64, Gradients), Error> {
        let of_part = |part: &[usize]| -> Vec<&TokenizedText> {
            part.iter().map(|place| tokens[*place]).collect()
        };
        let mut vectors = Vec::new();
        let mut row_of = vec![0_u32; tokens.len()];
        for (row, place) in (0..).zip(parts.iter().flatten()) {
            row_of[*place] = row;
        }
        for (number, part) in parts.iter().enumerate() {
            let omissions = self.omissions(step, number);
            let encoded = self.encode(&of_part(part), omissions.as_ref())?;
            vectors.push(encoded.detach());
        }
        let vectors = Var::from_tensor(&Tensor::cat(&vectors, 0)?)?;
        let row_of = Tensor::from_vec(row_of, tokens.len(), vectors.device())?;
        let in_order = vectors.index_select(&row_of, 0)?;
        let loss = batch.loss(&in_order, self.loss, self.settings)?;
        let of_vectors = loss.backward()?.remove(vectors.as_tensor());
        let of_vectors =
            of_vectors.ok_or_else(|| Error::Setting("the loss depends on no vector".to_owned()))?;
        let mut gradients: Gradients = vec![None; self.encoder.weights().len()];
        let mut first = 0;
        for (number, part) in parts.iter().enumerate() {
            let wanted = of_vectors.narrow(0, first, part.len())?;
            first += part.len();
            let omissions = self.omissions(step, number);
            let encoded = self.encode(&of_part(part), omissions.as_ref())?;
            let more = self.derivatives(&(encoded * wanted)?.sum_all()?)?;
            for (sum, more) in gradients.iter_mut().zip(more) {
                *sum = match (sum.take(), more) {
                    (Some(sum), Some(more)) => Some((sum + more)?),
                    (sum, more) => sum.or(more),
                };
            }
        }
        Ok((f64::from(loss.to_scalar::<f32>()?), gradients))
    }

    fn derivatives(&self, loss: &Tensor) -> Result<Gradients, Error> {
        let mut all = loss.backward()?;
        let weights = self.encoder.weights().iter();
        let own = weights.map(|weight| Some(all.remove(weight.values.as_tensor())?.detach()));
        Ok(own.collect())
    }

    /// What is left out in a part of a step.
    fn omissions(&self, step: usize, part: usize) -> Option<Dropout> {
        let seed = self
            .settings
            .seed
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add((step as u64) << 32)
            .wrapping_add(part as u64);
        self.dropout.as_ref().map(|dropout| dropout.with_seed(seed))
    }

    fn encode(
        &mut self,
        tokens: &[&TokenizedText],
        dropout: Option<&Dropout>,
    ) -> Result<Tensor, Error> {
        let count = tokens.iter().map(|text| text.tokens_kept() as u64);
        self.tokens_seen += count.sum::<u64>();
        Ok(self.encoder.encode(tokens, dropout)?)
    }
}
