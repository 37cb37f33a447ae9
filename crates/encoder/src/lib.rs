//! Text to vectors with a siamese (bi-encoder) network.
//!
//! An [`Encoder`] opens a folder that sentence-transformers saved and makes one vector of each
//! text: tokens, backbone, pooling, later modules. A [`Reranker`] opens a cross-encoder's folder and
//! scores pairs of a query and a passage. Both are synchronous, can be shared between threads, and
//! know neither a network nor an index.
//!
//! ```no_run
//! use siamese_encoder::{Encoder, EncoderOptions, InputKind};
//!
//! let encoder = Encoder::open("all-MiniLM-L6-v2".as_ref(), &EncoderOptions::default())?;
//! let encodings = encoder.encode(&["A cat sleeps.", "A kitten naps."], InputKind::Document)?;
//! let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
//! assert!(dot(&encodings[0].vector, &encodings[1].vector) > 0.5);
//! # Ok::<(), siamese_encoder::Error>(())
//! ```

#![deny(unsafe_code)]

mod backbones;
mod batch;
mod checkpoint;
mod classification_head;
mod dense;
mod device;
mod encoder;
mod encoder_id;
mod encoder_info;
mod error;
mod explanation;
mod files;
mod forward;
mod model_folder;
mod pooling;
mod reranker;
mod steps;
mod tokenize;
mod tower;
mod towers;
mod training;

pub use device::DevicePreference;
pub use encoder::{Encoder, EncoderOptions, Encoding, InputKind};
pub use encoder_id::EncoderId;
pub use encoder_info::{EncoderInfo, SimilarityFunction};
pub use error::Error;
pub use explanation::{
    Contributions, TokenSource, TracedText, VectorParts, Word, WordPair, best_pairs, words,
};
pub use pooling::PoolingMode;
pub use reranker::{Reranker, RerankerInfo, RerankerOptions};
pub use siamese_kernels::Precision;
pub use tokenize::{TextInput, TextToken, TokenizedText, Truncation};
pub use training::{Adapters, Dropout, LearnedWeight, LearningOptions, TrainableEncoder};
