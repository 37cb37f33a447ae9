//! The family as a [`Backbone`].

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::chunks::{self, Plan};
use super::config::FamilyConfig;
use super::forward::{Model, Output, Pass};
use super::weights::{self, Shape};
use super::workspace::{Scratch, Strides, Workspace};
use crate::Error;
use crate::backbones::{Backbone, PackedBatch, Pause, TokenStates};
use crate::team::{Member, Team};
use siamese_kernels::{Kernels, Precision};

/// A member of the BERT family on the CPU.
#[derive(Debug)]
pub(crate) struct PackedBert {
    model: Model,
    threads: usize,
    /// One forward pass at a time; it uses all threads.
    crew: Mutex<Crew>,
    /// For passes in the background; made by the first of them.
    background: Mutex<Option<Crew>>,
}

#[derive(Debug)]
struct Crew {
    team: Team,
    /// One for each thread; the first serves all when they work together.
    workspaces: Vec<Mutex<Workspace>>,
    /// One for each thread.
    scratches: Vec<Mutex<Scratch>>,
}

impl PackedBert {
    /// Reads and packs the weights beside `config.json` in `folder`.
    ///
    /// # Errors
    /// A missing or damaged file, or no threads.
    pub(crate) fn open(
        folder: &Path,
        config: FamilyConfig,
        threads: usize,
        precision: Precision,
        kernels: &'static Kernels,
    ) -> Result<Self, Error> {
        let shape = Shape::new(&config, kernels);
        let path = folder.join("model.safetensors");
        let (embeddings, layers) = weights::read(&path, &config, &shape, kernels, precision)?;
        Ok(Self {
            model: Model {
                kernels,
                strides: Strides::new(&shape),
                coded: kernels.coded(precision),
                precision,
                config,
                shape,
                embeddings,
                layers,
            },
            threads,
            crew: Mutex::new(Crew::new(threads)?),
            background: Mutex::new(None),
        })
    }

    /// The states that `pass` writes for a batch.
    fn states(
        &self,
        batch: &mut PackedBatch,
        pass: impl FnOnce(&PackedBatch, &Output) -> Result<(), Error>,
    ) -> Result<TokenStates, Error> {
        batch.set_positions(self.model.config.padding_id);
        self.check(batch)?;
        let width = self.model.shape.hidden;
        let mut values = vec![0.0; batch.ids().len() * width];
        pass(batch, &Output(values.as_mut_ptr()))?;
        Ok(TokenStates { values, width })
    }

    /// Ids and segments index tables; whoever made them, they must be inside.
    fn check(&self, batch: &PackedBatch) -> Result<(), Error> {
        let config = &self.model.config;
        let outside = |values: &[u32], rows: usize| values.iter().any(|id| *id as usize >= rows);
        if outside(batch.ids(), config.vocabulary) {
            return Err(Error::TokenOutOfRange {
                table: "word_embeddings",
            });
        }
        if outside(batch.positions(), config.positions) {
            return Err(Error::TokenOutOfRange {
                table: "position_embeddings",
            });
        }
        if config.segments > 0 && outside(batch.type_ids(), config.segments) {
            return Err(Error::TokenOutOfRange {
                table: "token_type_embeddings",
            });
        }
        Ok(())
    }
}

impl Backbone for PackedBert {
    fn forward(&self, batch: &mut PackedBatch) -> Result<TokenStates, Error> {
        self.states(batch, |batch, output| {
            lock(&self.crew).run(&self.model, batch, output, &|| {});
            Ok(())
        })
    }

    fn forward_in_background(
        &self,
        batch: &mut PackedBatch,
        pause: &Pause<'_>,
    ) -> Result<TokenStates, Error> {
        self.states(batch, |batch, output| {
            let mut background = lock(&self.background);
            let crew = match &mut *background {
                Some(crew) => crew,
                none => none.insert(Crew::new(self.threads)?),
            };
            crew.run(&self.model, batch, output, pause);
            Ok(())
        })
    }

    fn path(&self) -> String {
        let model = &self.model;
        let multiplied = match (model.coded, model.precision) {
            (Some(coded), _) => coded.name,
            (None, Precision::F32 | Precision::Int16) => "f32",
            (None, Precision::Bf16 | Precision::Int8) => "bf16 widened",
        };
        format!("packed {} {multiplied}", model.kernels.name)
    }

    fn brings_threads(&self) -> bool {
        true
    }
}

impl Crew {
    /// Threads with the priority of the calling one.
    ///
    /// # Errors
    /// When the operating system gives none.
    fn new(threads: usize) -> Result<Self, Error> {
        Ok(Self {
            team: Team::new(threads)?,
            workspaces: (0..threads).map(|_| Mutex::new(Workspace::new())).collect(),
            scratches: (0..threads).map(|_| Mutex::new(Scratch::new())).collect(),
        })
    }

    /// A pass over a batch.
    fn run(&mut self, model: &Model, batch: &PackedBatch, output: &Output, pause: &Pause<'_>) {
        match chunks::plan(&batch.lengths(), self.team.size()) {
            Plan::Together(chunks) => {
                for texts in chunks {
                    self.together(model, batch, texts, output, pause);
                }
            }
            Plan::Apart(chunks) => self.apart(model, batch, &chunks, output, pause),
        }
    }

    /// All threads work on the same texts.
    fn together(
        &mut self,
        model: &Model,
        batch: &PackedBatch,
        texts: Range<usize>,
        output: &Output,
        pause: &Pause<'_>,
    ) {
        let scratches = &self.scratches;
        let mut workspace = lock(&self.workspaces[0]);
        let pass = Pass::new(model, batch, texts, &mut workspace);
        self.team.run(&|member| {
            let scratch = &mut lock(&scratches[member.rank()]);
            pass.run(member, scratch, output, pause_of(member, pause));
        });
    }

    /// Each thread takes the next chunk until there is none.
    fn apart(
        &mut self,
        model: &Model,
        batch: &PackedBatch,
        chunks: &[Range<usize>],
        output: &Output,
        pause: &Pause<'_>,
    ) {
        let (workspaces, scratches) = (&self.workspaces, &self.scratches);
        let next = AtomicUsize::new(0);
        self.team.run(&|member| {
            let mut workspace = lock(&workspaces[member.rank()]);
            let mut scratch = lock(&scratches[member.rank()]);
            while let Some(texts) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                let pass = Pass::new(model, batch, texts.clone(), &mut workspace);
                pass.run(&Member::ALONE, &mut scratch, output, pause);
            }
        });
    }
}

/// One thread pauses for all that work on the same texts: the others wait for it.
fn pause_of<'a>(member: &Member<'_>, pause: &'a Pause<'a>) -> &'a Pause<'a> {
    if member.rank() == 0 { pause } else { &|| {} }
}

/// What these hold is overwritten by every pass, so one that panicked does no harm.
fn lock<T>(buffers: &Mutex<T>) -> MutexGuard<'_, T> {
    buffers.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(kernels: &'static Kernels, threads: usize) -> PackedBert {
        open_with(kernels, threads, Precision::F32)
    }

    fn open_with(kernels: &'static Kernels, threads: usize, precision: Precision) -> PackedBert {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/models")
            .join("bert-old-dialect");
        let config = FamilyConfig::read(&folder).unwrap();
        PackedBert::open(&folder, config, threads, precision, kernels).unwrap()
    }

    /// Texts of 3 and 23 tokens in turns: less and more than a tile has rows.
    fn batch(texts: usize) -> PackedBatch {
        let mut batch = PackedBatch::new();
        for tokens in [3, 23].into_iter().cycle().take(texts) {
            let ids: Vec<u32> = (0..tokens).map(|token| 5 + token * 7).collect();
            batch.push(&ids, &vec![0; ids.len()]);
        }
        batch
    }

    fn states(kernels: &'static Kernels, threads: usize, precision: Precision) -> Vec<f32> {
        let backbone = open_with(kernels, threads, precision);
        backbone.forward(&mut batch(2)).unwrap().values
    }

    #[test]
    fn a_pass_in_the_background_pauses_for_others_and_gives_the_same_states() {
        for (threads, texts) in [(1, 2), (1, 40), (2, 2), (2, 40)] {
            let backbone = open(Kernels::detected(), threads);
            let expected = backbone.forward(&mut batch(texts)).unwrap().values;
            let alone = backbone.forward(&mut batch(1)).unwrap().values;
            let pauses = AtomicUsize::new(0);
            let pause = || {
                let states = backbone.forward(&mut batch(1)).unwrap();
                assert_eq!(states.values, alone);
                pauses.fetch_add(1, Ordering::Relaxed);
            };
            let paused = backbone.forward_in_background(&mut batch(texts), &pause);
            assert_eq!(paused.unwrap().values, expected);
            assert!(pauses.into_inner() > 0);
        }
    }

    #[test]
    fn a_texts_states_do_not_depend_on_its_neighbours_whatever_the_instruction_set() {
        let bits = |states: &[f32]| states.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
        for kernels in Kernels::available() {
            for precision in [
                Precision::F32,
                Precision::Int16,
                Precision::Bf16,
                Precision::Int8,
            ] {
                let backbone = open_with(kernels, 2, precision);
                let few = backbone.forward(&mut batch(2)).unwrap().values;
                let many = backbone.forward(&mut batch(40)).unwrap().values;
                let (name, few) = (kernels.name, bits(&few));
                assert!(few == bits(&many[..few.len()]), "{name} {precision:?}");
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_states() {
        let expected = states(Kernels::detected(), 1, Precision::F32);
        let available = Kernels::available();
        assert_eq!(available.last().unwrap().name, "portable");
        for kernels in available {
            for (threads, precision, tolerance) in [
                (1, Precision::F32, 1e-4),
                (2, Precision::F32, 1e-4),
                (1, Precision::Int16, 5e-3),
                (2, Precision::Int16, 5e-3),
            ] {
                let states = states(kernels, threads, precision);
                for (value, expected) in states.iter().zip(&expected) {
                    assert!(
                        (value - expected).abs() < tolerance,
                        "{} {precision:?}: {value}, not {expected}",
                        kernels.name
                    );
                }
            }
        }
    }
}
