//! A sentence-transformers model folder, read into plain descriptions.
//!
//! Two dialects exist on disk: before and after sentence-transformers 5.4. They differ in module
//! type paths, in the keys of the pooling configuration, and in where the window is written.
//! Nothing here runs a model.

mod cross_encoder;
mod modules;
mod pooling;
mod prompts;
mod router;
mod static_embedding;
mod transformer;

pub(crate) use cross_encoder::{CrossEncoderDescription, describe_cross_encoder};
pub(crate) use modules::{InputModule, ModelDescription, Step, TowerDescription, describe};
pub(crate) use pooling::PoolingSettings;
pub(crate) use prompts::PromptSettings;
pub(crate) use static_embedding::{MOST_TOKENS, StaticSettings, StaticWindow};
