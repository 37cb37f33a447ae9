//! What several targets share.

mod data;
mod edits;
mod files;
mod service;

pub use data::{Data, embedding};
pub use edits::Edits;
pub use files::{MemoryFile, folder, in_memory, models, write_all};
pub use service::{List, SmallService};
