//! The packed forward pass as a [`Backbone`].

use std::sync::Mutex;

use super::crew::{Crew, lock};
use super::pass::{Model, Output};
use super::shape::{Shape, Strides};
use super::weights;
use crate::Error;
use crate::backbones::architecture::Architecture;
use crate::backbones::backbone::{Backbone, BackboneOptions, Pause};
use crate::backbones::packed_batch::{PackedBatch, TokenStates};
use crate::checkpoint::Checkpoint;
use siamese_kernels::Precision;

/// A transformer on the CPU.
#[derive(Debug)]
pub(crate) struct PackedBackbone {
    model: Model,
    threads: usize,
    /// One forward pass at a time; it uses all threads.
    crew: Mutex<Crew>,
    /// For passes in the background; made by the first of them.
    background: Mutex<Option<Crew>>,
}

impl PackedBackbone {
    /// Reads and packs the weights.
    ///
    /// # Errors
    /// A damaged file, or no threads.
    pub(crate) fn open(
        architecture: Architecture,
        file: Checkpoint,
        options: &BackboneOptions,
    ) -> Result<Self, Error> {
        let BackboneOptions {
            threads,
            precision,
            kernels,
            ..
        } = *options;
        let shape = Shape::new(&architecture, kernels);
        let weights = weights::read(file, &architecture, &shape, kernels, precision)?;
        Ok(Self {
            model: Model {
                kernels,
                strides: Strides::new(&shape, &architecture),
                coded: kernels.coded(precision),
                precision,
                architecture,
                shape,
                weights,
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
        self.model.architecture.number(batch)?;
        let width = self.model.shape.hidden;
        let mut values = vec![0.0; batch.ids().len() * width];
        pass(batch, &Output(values.as_mut_ptr()))?;
        Ok(TokenStates { values, width })
    }
}

impl Backbone for PackedBackbone {
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use candle_core::Device;

    use super::*;
    use crate::backbones::families::{Family, Transformer};
    use siamese_kernels::Kernels;

    /// A family and a folder of it for each part that not every architecture has.
    const MODELS: [(&str, &str); 8] = [
        ("bert", "bert-old-dialect"),
        ("albert", "albert"),
        ("mpnet", "mpnet"),
        ("modernbert", "modernbert"),
        ("bert", "jina-bert"),
        ("new", "gte"),
        ("qwen3", "qwen3"),
        ("gemma3_text", "gemma3"),
    ];

    fn open(
        (family, name): (&str, &str),
        kernels: &'static Kernels,
        threads: usize,
        precision: Precision,
    ) -> PackedBackbone {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/models")
            .join(name);
        let (transformer, file) = Family::of(family).unwrap().open(&folder).unwrap();
        let Transformer::Described(architecture) = transformer else {
            panic!("{family} is not described");
        };
        let options = BackboneOptions {
            device: Device::Cpu,
            threads,
            precision,
            generic: false,
            kernels,
        };
        PackedBackbone::open(architecture, file, &options).unwrap()
    }

    /// Texts of 3 and 23 tokens in turns: less and more than a tile has rows.
    fn batch(texts: usize) -> PackedBatch {
        let mut batch = PackedBatch::new();
        for tokens in [3, 23].into_iter().cycle().take(texts) {
            let ids: Vec<u32> = (0..tokens).map(|token| 5 + token * 7 % 60).collect();
            batch.push(&ids, &vec![0; ids.len()]);
        }
        batch
    }

    #[test]
    fn a_pass_in_the_background_pauses_for_others_and_gives_the_same_states() {
        for (threads, texts) in [(1, 2), (1, 40), (2, 2), (2, 40)] {
            let backbone = open(MODELS[0], Kernels::detected(), threads, Precision::F32);
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
                for model in MODELS {
                    let backbone = open(model, kernels, 2, precision);
                    let few = backbone.forward(&mut batch(2)).unwrap().values;
                    let many = backbone.forward(&mut batch(40)).unwrap().values;
                    let what = format!("{model:?} {} {precision:?}", kernels.name);
                    assert!(bits(&few) == bits(&many[..few.len()]), "{what}");
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_states() {
        let available = Kernels::available();
        assert_eq!(available.last().unwrap().name, "portable");
        for model in MODELS {
            let states = |kernels, threads, precision| {
                let backbone = open(model, kernels, threads, precision);
                backbone.forward(&mut batch(2)).unwrap().values
            };
            let expected = states(Kernels::detected(), 1, Precision::F32);
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
                            "{model:?} {} {precision:?}: {value}, not {expected}",
                            kernels.name
                        );
                    }
                }
            }
        }
    }
}
