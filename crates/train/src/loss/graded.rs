//! Losses of pairs with a score. All vectors have length 1.

use candle_core::{Result, Tensor};

use super::ranking::log_sum_exp;

/// The cosine of each pair of rows.
fn cosines(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    (left * right)?.sum(1)
}

/// `ln(1 + sum exp(scale * (cos j - cos i)))` over all pairs i and j of which i has the larger score.
pub(crate) fn cosent(left: &Tensor, right: &Tensor, scores: &[f32], scale: f64) -> Result<Tensor> {
    let cosines = (cosines(left, right)? * scale)?;
    let count = scores.len();
    let differences = cosines
        .unsqueeze(0)?
        .broadcast_sub(&cosines.unsqueeze(1)?)?;
    let mask = scores.iter().flat_map(|i| {
        scores
            .iter()
            .map(move |j| if i > j { 0.0 } else { f32::MIN })
    });
    let mask = Tensor::from_iter(mask, left.device())?.reshape((count, count))?;
    let terms = (differences + mask)?.reshape((1, count * count))?;
    // What stands for the 1.
    let zero = Tensor::zeros((1, 1), terms.dtype(), terms.device())?;
    log_sum_exp(&Tensor::cat(&[&zero, &terms], 1)?)?.squeeze(0)
}

/// The squared difference of cosine and score, as a mean.
pub(crate) fn cosine(left: &Tensor, right: &Tensor, scores: &[f32]) -> Result<Tensor> {
    let scores = Tensor::new(scores, left.device())?;
    (cosines(left, right)? - scores)?.sqr()?.mean_all()
}

/// Half the squared distance of pairs that are alike, and of others half the square of what their distance
/// lacks to the margin, as a mean. Distances are 1 - cosine.
pub(crate) fn contrastive(
    left: &Tensor,
    right: &Tensor,
    labels: &[f32],
    margin: f64,
) -> Result<Tensor> {
    let labels = Tensor::new(labels, left.device())?;
    let distances = (1.0 - cosines(left, right)?)?;
    let near = (distances.sqr()? * &labels)?;
    let lacking = (margin - distances)?.relu()?.sqr()?;
    let far = (lacking * (1.0 - labels)?)?;
    (near + far)?.mean_all()? * 0.5
}
