//! The queue in front of the encoder: two lanes, bounded in tokens, one thread that encodes.
//!
//! What lives here knows tokens, waiting and giving up; it knows nothing of HTTP or of the index.

mod encode_queue;
mod lanes;
mod worker;

pub(crate) use encode_queue::{Admission, EncodeQueue, QueueError};
pub(crate) use lanes::Lane;
pub(crate) use worker::Forward;
