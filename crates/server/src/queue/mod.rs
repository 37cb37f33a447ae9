//! The queue in front of the models: three lanes, bounded in tokens, one thread that encodes and
//! reranks, so that two forward passes never share the cores.
//!
//! What lives here knows tokens, waiting and giving up; it knows nothing of HTTP or of the index.

mod encode_queue;
mod lanes;
mod worker;

pub(crate) use encode_queue::{Admission, EncodeQueue, QueueError};
pub(crate) use lanes::Lane;
pub(crate) use worker::{Forward, Models};
