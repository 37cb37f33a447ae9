//! Comparing two generations of a collection: the same queries to both.
//!
//! `compared` says what and by what, `run` asks and keeps of each query what the figures need, `passages` looks
//! at what the documents have become, and `report` makes figures of all that.

mod compared;
mod passages;
mod report;
mod run;

pub(crate) use compared::{ComparedGenerations, ComparedQuery, ComparisonTask};
pub(crate) use passages::PassageSample;
pub(crate) use report::{Change, RANK_BIAS, Report, SideReport};
pub(crate) use run::Comparison;
