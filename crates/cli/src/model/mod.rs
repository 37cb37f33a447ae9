//! Models on this machine: which files they have, where they live, how they get there.

mod checksum;
mod folder;
mod hub;
mod manifest;
mod progress;
mod pull;
mod source;
mod staging;
mod wheel;

#[cfg(test)]
mod pull_tests;

pub(crate) use checksum::FileState;
pub(crate) use folder::{folders, models_dir, pull_into, resolve, resolve_or_pull};
pub(crate) use manifest::{DEFAULT_MODEL, PinnedModel, find};
pub(crate) use pull::Pulled;
