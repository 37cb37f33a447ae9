//! What a step learns from.

use candle_core::{D, Tensor};
use siamese_encoder::InputKind;

use crate::data::{RankedPair, TextId};
use crate::loss::{self, Candidates};
use crate::{Error, Examples, Loss, Settings};

/// Where a triplet's margin is not set.
const TRIPLET_MARGIN: f64 = 0.2;
/// Where a label's margin is not set.
const LABEL_MARGIN: f64 = 0.5;

/// The examples of a step, and their texts in the order in which their vectors stand.
pub(crate) struct Batch {
    examples: Examples,
    pub(crate) texts: Vec<(TextId, InputKind)>,
}

impl Batch {
    pub(crate) fn of(examples: &Examples) -> Self {
        let documents =
            |texts: Vec<TextId>| texts.into_iter().map(|text| (text, InputKind::Document));
        let texts = match examples {
            Examples::Ranked(pairs) => {
                let anchors = pairs.iter().map(|pair| (pair.anchor, InputKind::Query));
                anchors
                    .chain(documents(Candidates::of(pairs).texts().collect()))
                    .collect()
            }
            Examples::Scored(pairs) | Examples::Labelled(pairs) => {
                let left = pairs.iter().map(|pair| pair.left);
                let both = left.chain(pairs.iter().map(|pair| pair.right)).collect();
                documents(both).collect()
            }
        };
        Self {
            examples: examples.clone(),
            texts,
        }
    }

    /// The loss of vectors of whole length, and of those cut to each of the lengths that are set, as a sum.
    pub(crate) fn loss(
        &self,
        vectors: &Tensor,
        loss: Loss,
        settings: &Settings,
    ) -> Result<Tensor, Error> {
        let mut sum = self.loss_at(vectors, loss, settings)?;
        let whole = vectors.dim(D::Minus1)?;
        for dimensions in settings
            .dimensions
            .iter()
            .filter(|dimensions| **dimensions < whole)
        {
            let cut = vectors.narrow(1, 0, *dimensions)?;
            let length = (cut.sqr()?.sum_keepdim(1)? + 1e-24)?.sqrt()?;
            sum = (sum + self.loss_at(&cut.broadcast_div(&length)?, loss, settings)?)?;
        }
        Ok(sum)
    }

    fn loss_at(&self, vectors: &Tensor, loss: Loss, settings: &Settings) -> Result<Tensor, Error> {
        let count = self.examples.len();
        let rows = |first: usize, rows: usize| vectors.narrow(0, first, rows);
        let left = rows(0, count)?;
        match &self.examples {
            Examples::Ranked(pairs) if loss == Loss::Triplet => {
                let places = first_negatives(pairs, count);
                let places = Tensor::from_vec(places, count, vectors.device())?;
                let negatives = vectors.index_select(&places, 0)?;
                let margin = settings.margin.unwrap_or(TRIPLET_MARGIN);
                Ok(loss::triplet(
                    &left,
                    &rows(count, count)?,
                    &negatives,
                    margin,
                )?)
            }
            Examples::Ranked(pairs) => {
                let of_candidates = Candidates::of(pairs);
                let candidates = rows(count, self.texts.len() - count)?;
                let Settings {
                    scale, symmetric, ..
                } = *settings;
                Ok(loss::ranking(
                    pairs,
                    &of_candidates,
                    &left,
                    &candidates,
                    scale,
                    symmetric,
                )?)
            }
            Examples::Scored(pairs) | Examples::Labelled(pairs) => {
                let scores: Vec<f32> = pairs.iter().map(|pair| pair.score).collect();
                let right = rows(count, count)?;
                Ok(match loss {
                    Loss::Cosine => loss::cosine(&left, &right, &scores)?,
                    Loss::Contrastive => {
                        let margin = settings.margin.unwrap_or(LABEL_MARGIN);
                        loss::contrastive(&left, &right, &scores, margin)?
                    }
                    _ => loss::cosent(&left, &right, &scores, settings.scale)?,
                })
            }
        }
    }
}

/// Where the first negative of each pair stands among a batch's texts: after the anchors, the positives, and the
/// negatives of those before it.
fn first_negatives(pairs: &[RankedPair], count: usize) -> Vec<u32> {
    let mut next = 2 * count;
    let places = pairs.iter().map(|pair| {
        let place = next;
        next += pair.negatives.len();
        place as u32
    });
    places.collect()
}
