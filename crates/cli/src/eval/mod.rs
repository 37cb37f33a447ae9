//! Data sets whose judgements the service is measured by.

mod beir;
mod sts_file;

pub(crate) use beir::{DataSet, Query};
pub(crate) use sts_file::{Pair, read as read_pairs, table};
