//! What single tokens give to the cosine of two texts.
//!
//! Pooling makes a sum over tokens of the backbone's last states, each with a weight, or with `max` a
//! selection, which is a sum of vectors that are zero elsewhere. Linear Dense modules, truncation and
//! scaling keep it a sum. So a text's vector is one ([`VectorParts`]), and the cosine of two is a sum over
//! pairs of parts ([`Contributions`]): nothing is estimated. How a token's state came to be what it is, by
//! attention to the others, is not a part of this.

mod contributions;
mod token_source;
mod vector_parts;
mod words;

pub use contributions::Contributions;
pub use token_source::{TokenSource, TracedText};
pub use vector_parts::VectorParts;
pub use words::{Word, WordPair, best_pairs, words};
