//! Measuring how well the service finds and compares: data sets, and the figures.
//!
//! Nothing here speaks to a service; the commands under `commands/eval` do.

mod beir;
mod correlation;
mod duplicates;
mod ranking;
mod sts_file;

pub(crate) use beir::{DataSet, Query};
pub(crate) use correlation::{pearson, spearman};
pub(crate) use duplicates::{PairScores, PartnerScores, of_pairs, of_partners};
pub(crate) use ranking::{Run, Scores, overlap, scores};
pub(crate) use sts_file::{Pair, read as read_pairs, table};
