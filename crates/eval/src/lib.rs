//! Figures of how well texts are compared and found, made of scores and judgements. Knows none of the other
//! crates.

mod correlation;
mod duplicates;
mod ranking;

pub use correlation::{pearson, spearman};
pub use duplicates::{PairScores, PartnerScores, of_pairs, of_partners};
pub use ranking::{Run, Scores, overlap, scores};
