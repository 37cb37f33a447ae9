//! Learning, epoch by epoch.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use siamese_encoder::{Encoder, EncoderOptions};

use crate::batch::Batch;
use crate::batches::{batches, learning_rate};
use crate::course::{Course, Identity};
use crate::data::TrainingData;
use crate::evaluation::evaluate;
use crate::learner::Learner;
use crate::model_card;
use crate::optimizer::Optimizer;
use crate::split::split;
use crate::work_folder::WorkFolder;
use crate::{EpochReport, Error, Evaluation, Examples, Loss, Report, Settings, Split};

/// How far a training is.
#[derive(Debug, Clone, Copy)]
pub enum Progress {
    /// The model is measured before it learns.
    Measuring,
    /// A training that was interrupted goes on.
    Resumed {
        /// Steps that had been made.
        done: usize,
    },
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
    pub(crate) learner: Learner<'a>,
    pub(crate) optimizer: Optimizer,
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
        let learner = Learner::open(folder, &data.texts, loss, settings)?;
        let optimizer = Optimizer::new(
            learner.encoder.weights(),
            settings.weight_decay,
            settings.max_gradient_norm,
        )?;
        Ok(Self {
            folder,
            data,
            control,
            settings,
            loss,
            parts,
            learner,
            optimizer,
        })
    }

    /// Learns, and leaves the model that did best in the folder `to`, which must not be there yet; without
    /// examples to measure by, that after the last epoch. When `ends` is set, the epoch ends early, and so does the
    /// training. Until then, what it works on is in a folder beside the place, of the same name and
    /// `.training`; with `resume`, a training that was interrupted goes on from there, if there is one.
    ///
    /// # Errors
    /// A loss that is not finite, a computation that fails, or a folder that cannot be written, is there
    /// already, or is that of another training.
    pub fn run(
        mut self,
        to: &Path,
        resume: bool,
        ends: &AtomicBool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Report, Error> {
        if to.exists() {
            return Err(Error::OutputExists {
                path: to.to_owned(),
            });
        }
        let work = WorkFolder::open(to, resume)?;
        let mut course = self.begin(&work, progress)?;
        while course.goes_on(self.settings) && !ends.load(Ordering::Relaxed) {
            self.learn(&mut course, &work, ends, progress)?;
            let ended = self.end_epoch(&mut course, &work)?;
            progress(Progress::Epoch(ended));
        }
        if course.best_epoch == 0 {
            // The end was asked for between the beginning and the first step.
            let ended = self.end_epoch(&mut course, &work)?;
            progress(Progress::Epoch(ended));
        }
        let report = self.report(&course);
        let best = work.epoch(course.best_epoch);
        model_card::write(&best, self.folder, self.settings, &report)?;
        fs_err::rename(&best, to)?;
        work.remove()?;
        Ok(report)
    }

    /// Where a training that was interrupted was, or the beginning.
    fn begin(
        &mut self,
        work: &WorkFolder,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Course, Error> {
        let options = EncoderOptions {
            device: self.settings.device,
            ..EncoderOptions::default()
        };
        let identity = Identity {
            data_sha256: self.data.hash.clone(),
            base_model: Encoder::open(self.folder, &options)?.info().id.to_string(),
            settings: model_card::said(self.settings),
        };
        if let Some(course) = work.read(&identity, &self.learner, &mut self.optimizer)? {
            self.learner.tokens_seen = course.tokens;
            progress(Progress::Resumed { done: course.steps });
            return Ok(course);
        }
        progress(Progress::Measuring);
        let started = Instant::now();
        let (before, control_before) = self.measure(self.folder)?;
        let mut course = Course::new(identity, before, control_before);
        course.seconds = started.elapsed().as_secs_f64();
        Ok(course)
    }

    fn report(&self, course: &Course) -> Report {
        Report {
            loss: self.loss.to_string(),
            training_examples: self.parts.training.len(),
            held_out_examples: self.parts.held_out.len(),
            data_sha256: self.data.hash.clone(),
            base_model: course.identity.base_model.clone(),
            before: course.before,
            control_before: course.control_before,
            epochs: course.epochs.clone(),
            best_epoch: course.best_epoch,
            losses: course.losses.points(),
            tokens: self.learner.tokens_seen,
            seconds: course.seconds,
        }
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

    /// What is left of an epoch.
    fn learn(
        &mut self,
        course: &mut Course,
        work: &WorkFolder,
        ends: &AtomicBool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Error> {
        let seed = self.settings.seed.wrapping_add(course.epoch() as u64);
        let batches = batches(self.parts.training.len(), self.settings.batch_size, seed);
        let steps = batches.len() * self.settings.epochs;
        let (mut clock, mut written) = (Instant::now(), Instant::now());
        for places in &batches[course.made.min(batches.len())..] {
            let loss = self.step(places, course.steps, steps)?;
            course.step(loss, self.learner.tokens_seen, clock.elapsed());
            clock = Instant::now();
            progress(Progress::Step {
                done: course.steps,
                steps,
                loss,
                tokens: self.learner.tokens_seen,
            });
            if ends.load(Ordering::Relaxed) {
                break;
            }
            if written.elapsed() >= self.settings.checkpoint_every {
                work.write(course, &self.learner, &self.optimizer)?;
                written = Instant::now();
            }
        }
        Ok(())
    }

    /// Measures what an epoch has made, and keeps it if it is the best.
    fn end_epoch(&mut self, course: &mut Course, work: &WorkFolder) -> Result<EpochReport, Error> {
        let started = Instant::now();
        let made = work.epoch(course.epoch());
        self.learner.encoder.save(&made)?;
        let (after, control) = self.measure(&made)?;
        let (best, ended) = (course.best_epoch, course.end_epoch(after, control));
        course.seconds += started.elapsed().as_secs_f64();
        // What is no longer needed goes when what says so is written.
        work.write(course, &self.learner, &self.optimizer)?;
        for epoch in [best, ended.epoch] {
            if epoch > 0 && epoch != course.best_epoch {
                fs_err::remove_dir_all(work.epoch(epoch))?;
            }
        }
        Ok(ended)
    }

    /// Learns from a batch. Returns its loss.
    fn step(&mut self, places: &[usize], done: usize, steps: usize) -> Result<f64, Error> {
        let (warmup, largest) = (self.settings.warmup, self.settings.largest_rate());
        let batch = Batch::of(&self.parts.training.at(places));
        let (loss, gradients) = self.learner.gradients(&batch, done)?;
        if !loss.is_finite() {
            return Err(Error::NotFinite {
                step: done,
                learning_rate: largest,
            });
        }
        // The first step of a schedule that grows from 0 would change nothing.
        let rate = learning_rate(done + usize::from(warmup > 0.0), steps + 1, warmup, largest);
        self.optimizer
            .step(self.learner.encoder.weights(), &gradients, rate)?;
        Ok(loss)
    }
}
