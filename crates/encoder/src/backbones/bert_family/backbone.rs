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
use crate::backbones::{Backbone, PackedBatch, TokenStates};
use crate::kernels::{Kernels, Precision};
use crate::team::{Member, Team};

/// A member of the BERT family on the CPU.
#[derive(Debug)]
pub(crate) struct PackedBert {
    model: Model,
    /// One forward pass at a time; it uses all threads.
    crew: Mutex<Crew>,
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
        let crew = Crew {
            team: Team::new(threads)?,
            workspaces: (0..threads).map(|_| Mutex::new(Workspace::new())).collect(),
            scratches: (0..threads).map(|_| Mutex::new(Scratch::new())).collect(),
        };
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
            crew: Mutex::new(crew),
        })
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
        batch.set_positions(self.model.config.padding_id);
        self.check(batch)?;
        let width = self.model.shape.hidden;
        let mut values = vec![0.0; batch.ids().len() * width];
        let output = Output(values.as_mut_ptr());
        let mut crew = self.crew.lock().unwrap_or_else(PoisonError::into_inner);
        match chunks::plan(&batch.lengths(), crew.team.size()) {
            Plan::Together(chunks) => {
                for texts in chunks {
                    crew.together(&self.model, batch, texts, &output);
                }
            }
            Plan::Apart(chunks) => crew.apart(&self.model, batch, &chunks, &output),
        }
        Ok(TokenStates { values, width })
    }

    fn path(&self) -> String {
        let model = &self.model;
        let multiplied = match (model.coded, model.precision) {
            (Some(coded), _) => coded.name,
            (None, Precision::F32) => "f32",
            (None, Precision::Bf16 | Precision::Int8) => "bf16 widened",
        };
        format!("packed {} {multiplied}", model.kernels.name)
    }

    fn brings_threads(&self) -> bool {
        true
    }
}

impl Crew {
    /// All threads work on the same texts.
    fn together(
        &mut self,
        model: &Model,
        batch: &PackedBatch,
        texts: Range<usize>,
        output: &Output,
    ) {
        let scratches = &self.scratches;
        let mut workspace = lock(&self.workspaces[0]);
        let pass = Pass::new(model, batch, texts, &mut workspace);
        self.team
            .run(&|member| pass.run(member, &mut lock(&scratches[member.rank()]), output));
    }

    /// Each thread takes the next chunk until there is none.
    fn apart(
        &mut self,
        model: &Model,
        batch: &PackedBatch,
        chunks: &[Range<usize>],
        output: &Output,
    ) {
        let (workspaces, scratches) = (&self.workspaces, &self.scratches);
        let next = AtomicUsize::new(0);
        self.team.run(&|member| {
            let mut workspace = lock(&workspaces[member.rank()]);
            let mut scratch = lock(&scratches[member.rank()]);
            while let Some(texts) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                let pass = Pass::new(model, batch, texts.clone(), &mut workspace);
                pass.run(&Member::ALONE, &mut scratch, output);
            }
        });
    }
}

/// What these hold is overwritten by every pass, so one that panicked does no harm.
fn lock<T>(buffers: &Mutex<T>) -> MutexGuard<'_, T> {
    buffers.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// States of two texts, one longer than a tile has rows.
    fn states(kernels: &'static Kernels, threads: usize) -> Vec<f32> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/models")
            .join("bert-old-dialect");
        let config = FamilyConfig::read(&folder).unwrap();
        let backbone = PackedBert::open(&folder, config, threads, Precision::F32, kernels).unwrap();
        let mut batch = PackedBatch::new();
        for tokens in [3, 23] {
            let ids: Vec<u32> = (0..tokens).map(|token| 5 + token * 7).collect();
            batch.push(&ids, &vec![0; ids.len()]);
        }
        backbone.forward(&mut batch).unwrap().values
    }

    #[test]
    fn every_instruction_set_gives_the_same_states() {
        let expected = states(Kernels::detect(), 1);
        let available = Kernels::available();
        assert_eq!(available.last().unwrap().name, "portable");
        for kernels in available {
            for threads in [1, 2] {
                for (value, expected) in states(kernels, threads).iter().zip(&expected) {
                    let difference = (value - expected).abs();
                    assert!(
                        difference < 1e-4,
                        "{}: {value}, not {expected}",
                        kernels.name
                    );
                }
            }
        }
    }
}
