//! Learning, step by step.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use candle_core::backprop::GradStore;
use candle_core::{D, Tensor, Var};
use siamese_encoder::{Dropout, InputKind, TokenizedText, TrainableEncoder};

use crate::batches::{batches, learning_rate};
use crate::data::{TextId, TrainingData};
use crate::evaluation::evaluate;
use crate::loss::{self, Candidates};
use crate::model_card;
use crate::optimizer::Optimizer;
use crate::split::split;
use crate::{EpochReport, Error, Evaluation, Examples, Loss, Report, Settings, Split};

/// Where a triplet's margin is not set.
const TRIPLET_MARGIN: f64 = 0.2;
/// Where a label's margin is not set.
const LABEL_MARGIN: f64 = 0.5;

/// How far a training is.
#[derive(Debug, Clone, Copy)]
pub enum Progress {
    /// The model is measured before it learns.
    Measuring,
    /// A step was made.
    Step {
        /// Steps that were made, of all epochs.
        done: usize,
        /// Steps of all epochs.
        steps: usize,
        /// The loss of this step.
        loss: f64,
        /// Tokens that have gone through the encoder.
        tokens: u64,
    },
    /// An epoch has ended, and the model was measured.
    Epoch(EpochReport),
}

/// Trains a model on examples.
#[derive(Debug)]
pub struct Trainer<'a> {
    folder: &'a Path,
    data: &'a TrainingData,
    control: Option<&'a TrainingData>,
    settings: &'a Settings,
    loss: Loss,
    pub(crate) parts: Split,
    pub(crate) encoder: TrainableEncoder,
    pub(crate) optimizer: Optimizer,
    dropout: Option<Dropout>,
    /// Tokens of each text as an anchor and as anything else, as far as it is one.
    tokens: Vec<[Option<TokenizedText>; 2]>,
    tokens_seen: u64,
}

impl<'a> Trainer<'a> {
    /// Opens the model in `folder` to learn from examples. With `control`, it is also measured by examples of
    /// something else.
    ///
    /// # Errors
    /// Settings that do not fit, too few examples, or a model that cannot be opened or trained.
    pub fn open(
        folder: &'a Path,
        data: &'a TrainingData,
        control: Option<&'a TrainingData>,
        settings: &'a Settings,
    ) -> Result<Self, Error> {
        settings.check()?;
        let loss = settings.loss_for(&data.examples)?;
        let parts = split(&data.examples, settings.held_out, settings.seed)?;
        let encoder = TrainableEncoder::open(folder, settings.device, settings.max_tokens)?;
        let optimizer = Optimizer::new(
            encoder.weights(),
            settings.weight_decay,
            settings.max_gradient_norm,
        )?;
        let dropout = settings
            .dropout
            .then(|| encoder.dropout(settings.seed))
            .transpose()?;
        let mut trainer = Self {
            folder,
            data,
            control,
            settings,
            loss,
            parts,
            encoder,
            optimizer,
            dropout,
            tokens: Vec::new(),
            tokens_seen: 0,
        };
        trainer
            .tokens
            .resize_with(data.texts.len(), Default::default);
        trainer.tokenize()?;
        Ok(trainer)
    }

    fn tokenize(&mut self) -> Result<(), Error> {
        let mut sides = Vec::new();
        match &self.parts.training {
            Examples::Ranked(pairs) => {
                for pair in pairs {
                    sides.push((pair.anchor, InputKind::Query));
                    sides.push((pair.positive, InputKind::Document));
                    sides.extend(
                        pair.negatives
                            .iter()
                            .map(|text| (*text, InputKind::Document)),
                    );
                }
            }
            Examples::Scored(pairs) | Examples::Labelled(pairs) => {
                for pair in pairs {
                    sides.extend([pair.left, pair.right].map(|text| (text, InputKind::Document)));
                }
            }
        }
        for (text, kind) in sides {
            let tokens = &mut self.tokens[text as usize][side(kind)];
            if tokens.is_none() {
                *tokens = Some(self.encoder.tokenize(self.data.texts.text(text), kind)?);
            }
        }
        Ok(())
    }

    /// Learns, and leaves the model that did best in the folder `to`, which must not be there yet; without
    /// examples to measure by, that after the last epoch. When `ends` is set, the epoch ends early, and so does the
    /// training.
    ///
    /// # Errors
    /// A loss that is not finite, a computation that fails, or a folder that cannot be written.
    pub fn run(
        mut self,
        to: &Path,
        ends: &AtomicBool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Report, Error> {
        if to.exists() {
            return Err(Error::OutputExists {
                path: to.to_owned(),
            });
        }
        let started = Instant::now();
        progress(Progress::Measuring);
        let (before, control_before) = self.measure(self.folder)?;
        // Beside its place, so that it can be moved there, and of a name that nobody else has.
        let parent = to.parent().filter(|it| !it.as_os_str().is_empty());
        let scratch = tempfile::Builder::new()
            .prefix(".siamese-train-")
            .tempdir_in(parent.unwrap_or(Path::new(".")))?;
        let (kept, candidate) = (scratch.path().join("best"), scratch.path().join("epoch"));
        let mut epochs: Vec<EpochReport> = Vec::new();
        let (mut best_epoch, mut best) = (0, f64::NEG_INFINITY);
        for epoch in 1..=self.settings.epochs {
            let mut report = self.learn(epoch, ends, progress)?;
            self.encoder.save(&candidate)?;
            (report.after, report.control) = self.measure(&candidate)?;
            let value = report.after.map_or(epoch as f64, |after| after.value);
            match value > best {
                true => {
                    if best_epoch > 0 {
                        fs_err::remove_dir_all(&kept)?;
                    }
                    fs_err::rename(&candidate, &kept)?;
                    (best_epoch, best) = (epoch, value);
                }
                false => fs_err::remove_dir_all(&candidate)?,
            }
            epochs.push(report);
            progress(Progress::Epoch(report));
            let is_patient = self
                .settings
                .patience
                .is_none_or(|patience| epoch < best_epoch + patience);
            if ends.load(Ordering::Relaxed) || !is_patient {
                break;
            }
        }
        let report = Report {
            loss: self.loss.to_string(),
            training_examples: self.parts.training.len(),
            held_out_examples: self.parts.held_out.len(),
            data_sha256: self.data.hash.clone(),
            before,
            control_before,
            epochs,
            best_epoch,
            tokens: self.tokens_seen,
            seconds: started.elapsed().as_secs_f64(),
        };
        model_card::write(&kept, self.folder, self.settings, &report)?;
        fs_err::rename(&kept, to)?;
        Ok(report)
    }

    /// By the examples that were kept aside, and by those of something else.
    fn measure(&self, folder: &Path) -> Result<(Option<Evaluation>, Option<Evaluation>), Error> {
        let Split { training, held_out } = &self.parts;
        let texts = &self.data.texts;
        let own = (!held_out.is_empty())
            .then(|| evaluate(folder, texts, held_out, training, self.settings));
        let control = self.control.map(|control| {
            let nothing = Examples::default();
            evaluate(
                folder,
                &control.texts,
                &control.examples,
                &nothing,
                self.settings,
            )
        });
        Ok((own.transpose()?, control.transpose()?))
    }

    /// One epoch.
    fn learn(
        &mut self,
        epoch: usize,
        ends: &AtomicBool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<EpochReport, Error> {
        let started = Instant::now();
        let seed = self.settings.seed.wrapping_add(epoch as u64);
        let batches = batches(self.parts.training.len(), self.settings.batch_size, seed);
        let steps = batches.len() * self.settings.epochs;
        let (mut sum, mut made) = (0.0, 0);
        for places in &batches {
            let done = (epoch - 1) * batches.len() + made;
            let loss = self.step(places, done, steps)?;
            (sum, made) = (sum + loss, made + 1);
            let tokens = self.tokens_seen;
            progress(Progress::Step {
                done: done + 1,
                steps,
                loss,
                tokens,
            });
            if ends.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(EpochReport {
            epoch,
            mean_loss: sum / made.max(1) as f64,
            after: None,
            control: None,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// Learns from a batch. Returns its loss.
    fn step(&mut self, places: &[usize], done: usize, steps: usize) -> Result<f64, Error> {
        let Settings {
            warmup,
            learning_rate: largest,
            ..
        } = *self.settings;
        let batch = Batch::of(&self.parts.training.at(places));
        let (loss, gradients) = match self.settings.mini_batch_size {
            Some(size) if size < batch.texts.len() => self.gradients_in_parts(&batch, size)?,
            _ => self.gradients(&batch)?,
        };
        if !loss.is_finite() {
            return Err(Error::NotFinite {
                step: done,
                learning_rate: largest,
            });
        }
        // The first step of a schedule that grows from 0 would change nothing.
        let rate = learning_rate(done + usize::from(warmup > 0.0), steps + 1, warmup, largest);
        self.optimizer
            .step(self.encoder.weights(), &gradients, rate)?;
        Ok(loss)
    }

    /// The loss of a batch, and its derivatives.
    pub(crate) fn gradients(&mut self, batch: &Batch) -> Result<(f64, GradStore), Error> {
        let vectors = self.encode(&batch.texts)?;
        let loss = batch.loss(&vectors, self.loss, self.settings)?;
        Ok((f64::from(loss.to_scalar::<f32>()?), loss.backward()?))
    }

    /// The same with few passes in memory at a time: first vectors are made without derivatives, which say how
    /// the loss changes with each of them, then part by part again with derivatives (Gao et al., "Scaling Deep
    /// Contrastive Learning Batch Size under Memory Limited Setup", 2021). What is left out at random is the
    /// same both times.
    pub(crate) fn gradients_in_parts(
        &mut self,
        batch: &Batch,
        size: usize,
    ) -> Result<(f64, GradStore), Error> {
        let parts = || batch.texts.chunks(size).zip(0_u64..);
        let base = self.tokens_seen;
        let mut vectors = Vec::new();
        for (texts, part) in parts() {
            self.reseed(base + part)?;
            vectors.push(self.encode(texts)?.detach());
        }
        let vectors = Var::from_tensor(&Tensor::cat(&vectors, 0)?)?;
        let loss = batch.loss(vectors.as_tensor(), self.loss, self.settings)?;
        let of_vectors = loss.backward()?;
        let of_vectors = of_vectors.get(vectors.as_tensor());
        let of_vectors =
            of_vectors.ok_or_else(|| Error::Setting("the loss depends on no vector".to_owned()))?;
        let mut gradients: Option<GradStore> = None;
        let mut first = 0;
        for (texts, part) in parts() {
            self.reseed(base + part)?;
            let wanted = of_vectors.narrow(0, first, texts.len())?;
            first += texts.len();
            let change = (self.encode(texts)? * wanted)?.sum_all()?;
            let more = change.backward()?;
            match &mut gradients {
                None => gradients = Some(more),
                Some(gradients) => {
                    for weight in self.encoder.weights() {
                        let tensor = weight.values.as_tensor();
                        let Some(more) = more.get(tensor) else {
                            continue;
                        };
                        let sum = match gradients.get(tensor) {
                            Some(sum) => (sum + more)?,
                            None => more.clone(),
                        };
                        gradients.insert(tensor, sum);
                    }
                }
            }
        }
        let gradients =
            gradients.ok_or_else(|| Error::Setting("a batch has no texts".to_owned()))?;
        Ok((f64::from(loss.to_scalar::<f32>()?), gradients))
    }

    fn reseed(&mut self, place: u64) -> Result<(), Error> {
        if self.dropout.is_some() {
            let seed = self
                .settings
                .seed
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .wrapping_add(place);
            self.dropout = Some(self.encoder.dropout(seed)?);
        }
        Ok(())
    }

    fn encode(&mut self, texts: &[(TextId, InputKind)]) -> Result<Tensor, Error> {
        let tokens: Vec<&TokenizedText> = texts
            .iter()
            .filter_map(|(text, kind)| self.tokens[*text as usize][side(*kind)].as_ref())
            .collect();
        self.tokens_seen += tokens
            .iter()
            .map(|text| text.tokens_kept() as u64)
            .sum::<u64>();
        Ok(self.encoder.encode(&tokens, self.dropout.as_ref())?)
    }
}

const fn side(kind: InputKind) -> usize {
    match kind {
        InputKind::Query => 0,
        InputKind::Document => 1,
    }
}

/// The examples of a step, and their texts in the order in which their vectors stand.
pub(crate) struct Batch {
    examples: Examples,
    texts: Vec<(TextId, InputKind)>,
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
    fn loss(&self, vectors: &Tensor, loss: Loss, settings: &Settings) -> Result<Tensor, Error> {
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
fn first_negatives(pairs: &[crate::RankedPair], count: usize) -> Vec<u32> {
    let mut next = 2 * count;
    let places = pairs.iter().map(|pair| {
        let place = next;
        next += pair.negatives.len();
        place as u32
    });
    places.collect()
}
