//! Models on this machine: which files they have, where they live, how they get there.

mod checksum;
mod folder;
mod hub;
mod installed;
mod manifest;
mod progress;
mod pull;
mod record;
mod repository;
mod source;
mod staging;
mod wheel;

#[cfg(test)]
mod pull_tests;
#[cfg(test)]
mod repository_tests;

pub(crate) use folder::{folders, models_dir, pull_into, resolve, resolve_or_pull};
pub(crate) use installed::{InstalledModel, installed};
pub(crate) use manifest::{DEFAULT_MODEL, find};
pub(crate) use pull::Pulled;
pub(crate) use record::Record;
pub(crate) use repository::{Repository, list};
