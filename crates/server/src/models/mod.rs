//! The models of the settings, and how the queue runs them.
//!
//! `registry` finds them by name, `slots` opens and closes those that have one, as `recipe` says.

mod forward;
mod recipe;
mod registry;
mod slots;

pub(crate) use forward::{Forward, Output, Outputs};
pub use recipe::ModelFolders;
pub(crate) use recipe::{OpenModel, default_encoder, default_reranker, weights_bytes};
pub(crate) use registry::{Models, Pinned, identity_of};
pub(crate) use slots::{ModelAccount, ModelKind};
