//! What a request's time goes into, and who is told: the slow-query log, and a collector, which gets metrics as well.
//!
//! `observed` goes around every request and gives it a `Timeline`, on which the parts of the work note when they began
//! and how long they took. They do so only where somebody is told.

mod collector;
mod exposition;
mod metric_points;
mod metrics_export;
mod observed;
mod resource;
mod sender;
mod slow_queries;
mod step;
mod timeline;
mod traces;

pub(crate) use self::metrics_export::MetricsExport;
pub(crate) use self::observed::{Observers, observed};
pub(crate) use self::step::Step;
pub use self::traces::TelemetryError;

pub(crate) use self::timeline::{Clock, Timeline, timeline};
pub(crate) use self::traces::Traces;
