//! The queue in front of the models: three lanes, bounded in tokens, one thread that encodes
//! queries and one that does the rest, which gives way to the first.
//!
//! What lives here knows tokens, waiting and giving up; it knows nothing of HTTP or of the index.

mod encode_queue;
mod lanes;
mod worker;

pub(crate) use encode_queue::{Admission, EncodeQueue, Encoded, EncoderThreads, QueueError};
pub(crate) use lanes::Lane;
