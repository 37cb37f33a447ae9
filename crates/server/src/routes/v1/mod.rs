//! The routes of OpenAI's API that its clients need to get embeddings.

pub(crate) mod embeddings;
pub(crate) mod models;
