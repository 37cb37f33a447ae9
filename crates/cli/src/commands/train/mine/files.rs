//! Texts of files, encoded here.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Result;
use siamese_encoder::{Encoder, InputKind};
use siamese_index::{GraphSettings, SingleSegment, VectorQuery, cosine, unit_or_zero};
use siamese_train::{RankedPair, TextId, TrainingData};

use super::{Near, Neighbours};
use crate::commands::dedup::{Texts, find, open_encoder};
use crate::reading::ReadOptions;
use crate::sender::progress;

/// Texts that are encoded between two looks at the progress bar.
const TEXTS_OF_STEP: usize = 256;
/// With as many texts and more, their graph is searched instead of all of them.
const MIN_TEXTS_OF_GRAPH: usize = 20_000;
/// Candidates that a walk over the graph keeps at least.
const MIN_EF: usize = 200;

/// An index over texts, in a temporary file.
pub(super) struct FileNeighbours {
    encoder: Encoder,
    segment: SingleSegment,
    /// Texts by their rows, and their vectors.
    texts: Vec<TextId>,
    vectors: Vec<Vec<f32>>,
    rows: HashMap<TextId, usize>,
    /// Vectors of the anchors at hand.
    anchors: HashMap<TextId, Vec<f32>>,
    candidates: usize,
    _folder: tempfile::TempDir,
}

impl FileNeighbours {
    /// An index over the positives and negatives of pairs, and over other texts.
    pub(super) fn open(
        model: Option<&str>,
        corpus: &[PathBuf],
        data: &mut TrainingData,
        pairs: &[RankedPair],
        candidates: usize,
    ) -> Result<Self> {
        let mut texts: Vec<TextId> = Vec::new();
        for pair in pairs {
            texts.push(pair.positive);
            texts.extend(&pair.negatives);
        }
        if !corpus.is_empty() {
            let options = ReadOptions::default();
            let read = Texts::read(&find(corpus, &options)?, &options);
            for text in read.texts {
                let whole = match &text.document.title {
                    Some(title) if !text.document.text.is_empty() => {
                        format!("{title} {}", text.document.text)
                    }
                    Some(title) => title.clone(),
                    None => text.document.text.clone(),
                };
                texts.push(data.texts.number(whole.trim()));
            }
        }
        texts.sort_unstable();
        texts.dedup();
        let encoder = open_encoder(model)?;
        let vectors = encode(&encoder, data, &texts, InputKind::Document, true)?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("texts");
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        SingleSegment::build(&file, &vectors, GraphSettings::default(), threads.get())?;
        Ok(Self {
            encoder,
            segment: SingleSegment::open(&file)?,
            rows: texts
                .iter()
                .enumerate()
                .map(|(row, text)| (*text, row))
                .collect(),
            texts,
            vectors,
            anchors: HashMap::new(),
            candidates,
            _folder: folder,
        })
    }
}

impl Neighbours for FileNeighbours {
    fn nearest(&mut self, data: &mut TrainingData, anchors: &[TextId]) -> Result<Vec<Near>> {
        let vectors = encode(&self.encoder, data, anchors, InputKind::Query, false)?;
        let near = vectors.iter().map(|vector| {
            let found = self.segment.search(&VectorQuery {
                vector,
                limit: self.candidates,
                ef: self.candidates.max(MIN_EF),
                widens: true,
                exact: self.texts.len() < MIN_TEXTS_OF_GRAPH,
                allowed: None,
            });
            let found = found.into_iter();
            found
                .map(|(row, score)| (self.texts[row as usize], score))
                .collect()
        });
        let near = near.collect();
        self.anchors = anchors.iter().copied().zip(vectors).collect();
        Ok(near)
    }

    fn scores(&mut self, _: &TrainingData, pairs: &[(TextId, TextId)]) -> Result<Vec<f32>> {
        let score = |(anchor, text): &(TextId, TextId)| {
            cosine(&self.anchors[anchor], &self.vectors[self.rows[text]])
        };
        Ok(pairs.iter().map(score).collect())
    }
}

fn encode(
    encoder: &Encoder,
    data: &TrainingData,
    numbers: &[TextId],
    kind: InputKind,
    shows_progress: bool,
) -> Result<Vec<Vec<f32>>> {
    let bar = progress(if shows_progress {
        numbers.len() as u64
    } else {
        0
    });
    let mut vectors = Vec::with_capacity(numbers.len());
    for numbers in numbers.chunks(TEXTS_OF_STEP) {
        let texts: Vec<&str> = numbers
            .iter()
            .map(|number| data.texts.text(*number))
            .collect();
        let encoded = encoder.encode(&texts, kind)?;
        vectors.extend(
            encoded
                .into_iter()
                .map(|encoding| unit_or_zero(&encoding.vector)),
        );
        if shows_progress {
            bar.inc(numbers.len() as u64);
        }
    }
    bar.finish_and_clear();
    Ok(vectors)
}
