//! What is done to a pooled vector, one module after the other.

use crate::Error;
use crate::dense::Dense;
use crate::model_folder::Step;

/// A module after the pooling, opened.
#[derive(Debug)]
pub(crate) enum OpenStep {
    Dense(Dense),
    Normalize,
    Truncate(usize),
}

impl OpenStep {
    /// Does to a pooled vector what the module does.
    pub(crate) fn apply(&self, vector: &mut Vec<f32>) {
        match self {
            Self::Dense(dense) => *vector = dense.forward(vector),
            Self::Normalize => normalize(vector),
            Self::Truncate(dimensions) => vector.truncate(*dimensions),
        }
    }
}

/// The modules after pooling, whose vectors have `width` values, then truncation. A truncated vector is
/// scaled to length 1 again.
///
/// # Errors
/// A module that cannot be opened, or more dimensions than there are.
pub(crate) fn open_steps(
    described: &[Step],
    mut width: usize,
    truncate_dimensions: Option<usize>,
) -> Result<Vec<OpenStep>, Error> {
    let mut steps = Vec::new();
    for step in described {
        steps.push(match step {
            Step::Normalize => OpenStep::Normalize,
            Step::Dense(folder, settings) => {
                let dense = Dense::open(folder, settings, width)?;
                width = dense.out_features();
                OpenStep::Dense(dense)
            }
        });
    }
    if let Some(requested) = truncate_dimensions {
        if !(1..=width).contains(&requested) {
            return Err(Error::DimensionsOutOfRange {
                requested,
                available: width,
            });
        }
        steps.extend([OpenStep::Truncate(requested), OpenStep::Normalize]);
    }
    Ok(steps)
}

/// How long vectors are after these steps, when they have `width` values before.
pub(crate) fn dimensions(width: usize, steps: &[OpenStep]) -> usize {
    steps.iter().fold(width, |width, step| match step {
        OpenStep::Dense(dense) => dense.out_features(),
        OpenStep::Truncate(dimensions) => *dimensions,
        OpenStep::Normalize => width,
    })
}

/// Scales to length 1. A shorter vector than 1e-12 is divided by that, as in torch.
fn normalize(vector: &mut [f32]) {
    let length = vector
        .iter()
        .map(|value| value * value)
        .sum::<f32>()
        .sqrt()
        .max(1e-12);
    vector.iter_mut().for_each(|value| *value /= length);
}
