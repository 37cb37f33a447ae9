//! Texts through a backbone, batch by batch.

use rayon::ThreadPool;

use crate::Error;
use crate::backbones::{Backbone, PackedBatch, Pause, TokenStates};
use crate::batch::{self, Batch};
use crate::tokenize::TokenizedText;

/// The last states of one text's tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextStates<'a> {
    /// Row-major, `[tokens, width]`.
    pub(crate) values: &'a [f32],
    pub(crate) width: usize,
}

/// What `output` makes of each text's states, in the order of the texts, whatever their number and
/// lengths. It is called with a text's index. A backbone without threads of its own runs on
/// `threads`. With a `pause`, the pass runs in the background.
///
/// # Errors
/// A failed forward pass, or what `output` returns.
pub(crate) fn run<T: Default + Clone + Send>(
    backbone: &dyn Backbone,
    threads: &ThreadPool,
    texts: &[&TokenizedText],
    pause: Option<&Pause<'_>>,
    output: impl Fn(usize, TextStates<'_>) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let forward = |batch: &mut PackedBatch| match pause {
        Some(pause) => backbone.forward_in_background(batch, pause),
        None => backbone.forward(batch),
    };
    if backbone.brings_threads() {
        return run_batches(texts, forward, &output);
    }
    threads.install(|| run_batches(texts, forward, &output))
}

fn run_batches<T: Default + Clone>(
    texts: &[&TokenizedText],
    forward: impl Fn(&mut PackedBatch) -> Result<TokenStates, Error>,
    output: &impl Fn(usize, TextStates<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut outputs = vec![T::default(); texts.len()];
    for Batch { places } in batch::plan(texts) {
        let mut packed = PackedBatch::new();
        for place in &places {
            packed.push(&texts[*place].ids, &texts[*place].type_ids);
        }
        let states = forward(&mut packed)?;
        let width = states.width;
        for (place, rows) in places.into_iter().zip(packed.ranges()) {
            let values = &states.values[rows.start * width..rows.end * width];
            outputs[place] = output(place, TextStates { values, width })?;
        }
    }
    Ok(outputs)
}
