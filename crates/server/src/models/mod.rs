//! The models that are open, and how the queue runs them.

mod forward;
mod registry;

pub(crate) use forward::{Forward, Output, Outputs};
pub(crate) use registry::Models;
