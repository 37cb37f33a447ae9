//! Figures of how well texts are compared and found, made of scores and judgements. Knows none of the other
//! crates.

mod agreement;
mod correlation;
mod distribution;
mod duplicates;
mod ranking;

pub use agreement::{overlap_at, rank_biased_overlap};
pub use correlation::{pearson, spearman};
pub use distribution::Distribution;
pub use duplicates::{PairScores, PartnerScores, of_pairs, of_partners};
pub use ranking::{Run, Scores, overlap, query_scores, scores};
