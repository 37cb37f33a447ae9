//! Which models, and on which device.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::machine_memory;

/// Models may take one part in so many of the memory.
const MEMORY_SHARE: u64 = 4;

/// `[models]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelsSettings {
    max_memory_bytes: u64,
}

impl ModelsSettings {
    /// Memory that open models may take; a share of what there is unless the settings say.
    pub fn max_memory_bytes(&self) -> u64 {
        match self.max_memory_bytes {
            0 => machine_memory::bytes().map_or(u64::MAX, |bytes| bytes / MEMORY_SHARE),
            bytes => bytes,
        }
    }
}

/// `[encoder]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderSettings {
    /// A name in the models folder or the path of a model folder.
    pub model: String,
    /// Where pulled models live.
    pub models_dir: Option<PathBuf>,
    /// Preferred device.
    pub device: Device,
    /// Dimensions to truncate vectors to.
    pub dimensions: Option<NonZeroUsize>,
    /// Tokens of a text that are read.
    pub max_tokens: Option<NonZeroUsize>,
    /// Threads of the forward pass.
    pub threads: Option<NonZeroUsize>,
    /// How weights are kept on the CPU.
    pub precision: EncoderPrecision,
    /// Texts of queries whose vectors are kept.
    pub max_cached_queries: usize,
}

/// `[encoders.NAME]`. What is left out is as in `[encoder]`, but for dimensions and tokens, which are the
/// model's own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedEncoderSettings {
    /// A name in the models folder or the path of a model folder.
    pub model: String,
    /// Preferred device.
    pub device: Option<Device>,
    /// Dimensions to truncate vectors to.
    pub dimensions: Option<NonZeroUsize>,
    /// Tokens of a text that are read.
    pub max_tokens: Option<NonZeroUsize>,
    /// Threads of the forward pass.
    pub threads: Option<NonZeroUsize>,
    /// How weights are kept on the CPU.
    pub precision: Option<EncoderPrecision>,
}

/// `[rerankers.NAME]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedRerankerSettings {
    /// A name in the models folder or the path of a model folder.
    pub model: String,
    /// Tokens of a pair that are read.
    pub max_tokens: Option<NonZeroUsize>,
    /// How weights are kept on the CPU; as in `[reranker]` when absent.
    pub precision: Option<EncoderPrecision>,
}

/// `[reranker]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RerankerSettings {
    model: PathBuf,
    /// Tokens of a pair that are read.
    pub max_tokens: Option<NonZeroUsize>,
    /// How weights are kept on the CPU.
    pub precision: EncoderPrecision,
}

impl RerankerSettings {
    /// The folder of the model; nothing when there is none.
    pub fn folder(&self) -> Option<&Path> {
        Some(self.model.as_path()).filter(|folder| !folder.as_os_str().is_empty())
    }
}

/// How weights are kept on the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncoderPrecision {
    /// As in the model.
    F32,
    /// 16-bit codes where the CPU multiplies them, else as in the model.
    Int16,
    /// bfloat16 where the CPU multiplies it, else 16-bit codes.
    Bf16,
    /// 8-bit codes where the CPU multiplies them, else bfloat16.
    Int8,
}

/// Where the forward pass runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// A GPU when there is one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
    /// An Apple GPU.
    Metal,
}
