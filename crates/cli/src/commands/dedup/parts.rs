//! What is compared of texts, and its vectors.

use std::collections::HashMap;
use std::ops::Range;

use anyhow::Result;
use siamese_encoder::{Encoder, TokenizedText};
use siamese_index::{Pair, mean_unit, unit_or_zero};
use siamese_server::passages::{Passage, Passages, passages};

use super::{Scope, Text};
use crate::sender::progress;

/// Passages that are encoded between two looks at the progress bar.
const PASSAGES_OF_STEP: usize = 256;

/// A text, or a paragraph of one.
#[derive(Debug)]
pub(super) struct Part {
    /// The index of the text.
    pub(super) text: usize,
    /// Where the paragraph is; `None` for a whole text.
    pub(super) span: Option<Range<usize>>,
    passages: Vec<Passage>,
}

impl Part {
    /// A text that is not encoded.
    pub(super) fn whole(text: usize) -> Self {
        Self {
            text,
            span: None,
            passages: Vec::new(),
        }
    }

    /// What its vector depends on.
    fn texts(&self) -> Vec<&str> {
        self.passages
            .iter()
            .map(|passage| passage.text.as_str())
            .collect()
    }
}

/// Everything that is to be compared, as the service would encode it.
pub(super) fn parts(encoder: &Encoder, texts: &[Text], scope: Scope) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let by = match scope {
        Scope::Documents => Passages::OfDefaultSize,
        Scope::Passages => Passages::ByParagraph,
    };
    for (text, Text { document, .. }) in texts.iter().enumerate() {
        let made = passages(encoder, by, document.title.as_deref(), &document.text)?;
        match scope {
            Scope::Documents => parts.push(Part {
                passages: made,
                ..Part::whole(text)
            }),
            Scope::Passages => parts.extend(made.into_iter().map(|passage| Part {
                text,
                span: Some(passage.span.clone()),
                passages: vec![passage],
            })),
        }
    }
    Ok(parts)
}

/// The vectors of texts as wholes.
///
/// # Errors
/// When the encoder fails.
pub(crate) fn document_vectors(encoder: &Encoder, texts: &[Text]) -> Result<Vec<Vec<f32>>> {
    let parts = parts(encoder, texts, Scope::Documents)?;
    let all: Vec<usize> = (0..parts.len()).collect();
    encode(encoder, &parts, &all)
}

/// The index of the first of each distinct part, and pairs of these with the others that are the same.
pub(super) fn distinct(parts: &[Part]) -> (Vec<usize>, Vec<Pair>) {
    let mut first_places: HashMap<Vec<&str>, usize> = HashMap::new();
    let (mut first, mut copies) = (Vec::new(), Vec::new());
    for (place, part) in parts.iter().enumerate() {
        let earlier = *first_places.entry(part.texts()).or_insert(place);
        if earlier == place {
            first.push(place);
        } else if parts[earlier].text != part.text {
            copies.push(Pair {
                left: earlier,
                right: place,
                score: 1.0,
            });
        }
    }
    (first, copies)
}

/// The vectors of some parts: the means of those of their passages, scaled to length 1.
pub(super) fn encode(encoder: &Encoder, parts: &[Part], of: &[usize]) -> Result<Vec<Vec<f32>>> {
    let passages = of.iter().flat_map(|place| &parts[*place].passages);
    let passages: Vec<&TokenizedText> = passages.map(|passage| &passage.tokens).collect();
    let bar = progress(passages.len() as u64);
    let mut vectors = Vec::with_capacity(passages.len());
    for step in passages.chunks(PASSAGES_OF_STEP) {
        let encoded = encoder.encode_tokenized(step)?;
        vectors.extend(encoded.iter().map(|vector| unit_or_zero(vector)));
        bar.inc(step.len() as u64);
    }
    bar.finish_and_clear();
    let mut vectors = vectors.iter().map(Vec::as_slice);
    let means = of.iter().map(|place| {
        let count = parts[*place].passages.len();
        let vectors: Vec<&[f32]> = vectors.by_ref().take(count).collect();
        mean_unit(&vectors)
    });
    Ok(means.collect())
}
