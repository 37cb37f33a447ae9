//! Losses of anchors with what belongs to them.
//!
//! All vectors have length 1, so products of matrices are cosines.

use candle_core::{Device, Result, Tensor};

use crate::data::{RankedPair, TextId};

/// Which texts of a batch the anchors are compared with: the positives of all, then the negatives of all.
#[derive(Debug)]
pub(crate) struct Candidates {
    /// Number and label of each.
    texts: Vec<(TextId, Option<u32>)>,
}

impl Candidates {
    /// Those of a batch.
    pub(crate) fn of(pairs: &[RankedPair]) -> Self {
        let positives = pairs.iter().map(|pair| (pair.positive, pair.label));
        // What a negative is about is not said.
        let negatives = pairs.iter().flat_map(|pair| &pair.negatives);
        let negatives = negatives.map(|negative| (*negative, None));
        Self {
            texts: positives.chain(negatives).collect(),
        }
    }

    /// The texts, in order.
    pub(crate) fn texts(&self) -> impl Iterator<Item = TextId> {
        self.texts.iter().map(|(text, _)| *text)
    }

    /// What is added to the scores, `[pairs, candidates]`: nothing, or all that there is below for those that
    /// are no negatives of an anchor, because they are the same text as itself or as what belongs to it, or
    /// have its label.
    fn mask(&self, pairs: &[RankedPair], device: &Device) -> Result<Tensor> {
        let mut mask = Vec::with_capacity(pairs.len() * self.texts.len());
        for (row, pair) in pairs.iter().enumerate() {
            for (column, (text, label)) in self.texts.iter().enumerate() {
                let is_same = *text == pair.positive || *text == pair.anchor;
                let is_related = is_same || (label.is_some() && *label == pair.label);
                mask.push(if is_related && row != column {
                    f32::MIN
                } else {
                    0.0
                });
            }
        }
        Tensor::from_vec(mask, (pairs.len(), self.texts.len()), device)
    }
}

/// Multiple negatives ranking: the cross-entropy of cosines times `scale` with the positive as the right
/// answer, as a mean over anchors; with `symmetric`, half of that and half of the same with anchors as
/// answers for the positives.
pub(crate) fn ranking(
    pairs: &[RankedPair],
    of_candidates: &Candidates,
    anchors: &Tensor,
    candidates: &Tensor,
    scale: f64,
    symmetric: bool,
) -> Result<Tensor> {
    let mask = of_candidates.mask(pairs, anchors.device())?;
    let scores = ((anchors.matmul(&candidates.t()?)? * scale)? + &mask)?;
    let forward = cross_entropy(&scores)?;
    if !symmetric {
        return Ok(forward);
    }
    let answers = scores.narrow(1, 0, pairs.len())?.t()?.contiguous()?;
    (forward + cross_entropy(&answers)?)? * 0.5
}

/// Of each row the answer on the diagonal is right.
fn cross_entropy(scores: &Tensor) -> Result<Tensor> {
    let rows = scores.dim(0)?;
    let places = Tensor::arange(0, rows as u32, scores.device())?.unsqueeze(1)?;
    let right = scores.gather(&places, 1)?.squeeze(1)?;
    (log_sum_exp(scores)? - right)?.mean_all()
}

/// The logarithm of the sum of the powers of each row.
pub(super) fn log_sum_exp(rows: &Tensor) -> Result<Tensor> {
    // The largest only keeps numbers small: it has no part in the derivative.
    let largest = rows.max_keepdim(1)?.detach();
    let sums = rows.broadcast_sub(&largest)?.exp()?.sum_keepdim(1)?;
    (sums.log()? + largest)?.squeeze(1)
}

/// By how much each anchor's negative is nearer to it than its positive is, and a margin, as a mean over
/// anchors. Distances are 1 - cosine.
pub(crate) fn triplet(
    anchors: &Tensor,
    positives: &Tensor,
    negatives: &Tensor,
    margin: f64,
) -> Result<Tensor> {
    let cosine = |other: &Tensor| (anchors * other)?.sum(1);
    let excess = ((cosine(negatives)? - cosine(positives)?)? + margin)?;
    excess.relu()?.mean_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(anchor: TextId, positive: TextId, label: Option<u32>) -> RankedPair {
        RankedPair {
            anchor,
            positive,
            negatives: vec![9],
            label,
        }
    }

    #[test]
    fn what_is_related_to_an_anchor_is_no_negative_of_it() {
        // The second has the first one's positive as anchor; the third has the first one's label.
        let pairs = [pair(0, 1, Some(7)), pair(1, 2, None), pair(3, 4, Some(7))];
        let candidates = Candidates::of(&pairs);
        assert_eq!(candidates.texts().collect::<Vec<_>>(), [1, 2, 4, 9, 9, 9]);
        let mask = candidates.mask(&pairs, &Device::Cpu).unwrap();
        let rows: Vec<Vec<f32>> = mask.to_vec2().unwrap();
        let excluded: Vec<Vec<usize>> = rows
            .iter()
            .map(|row| (0..6).filter(|place| row[*place] < 0.0).collect())
            .collect();
        assert_eq!(excluded, [vec![2], vec![0], vec![0]]);
    }

    #[test]
    fn log_sum_exp_of_large_numbers_is_finite() {
        let rows = Tensor::new(&[[1000_f32, 1000.0], [-1000.0, f32::MIN]], &Device::Cpu).unwrap();
        let sums: Vec<f32> = log_sum_exp(&rows).unwrap().to_vec1().unwrap();
        assert!((sums[0] - 1000.6931).abs() < 1e-3 && (sums[1] + 1000.0).abs() < 1e-3);
    }
}
