//! Long work that goes on without a request: started by one, looked at by others.
//!
//! A job is written down before anyone hears of it and when it ends, so that it is known after a restart,
//! too. At most one job of each kind runs at a time, on a thread that lets queries go first.

mod job;
mod registry;
mod run;

pub(crate) use job::{JobFailure, JobKind, JobRecord, JobState, OnCancel};
pub(crate) use registry::{Jobs, NewJob, job_not_found};
pub(crate) use run::JobRun;
