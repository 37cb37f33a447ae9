//! Collections of documents and vectors on a Qdrant cluster.
//!
//! A [`Cluster`] is what an index's data folder is elsewhere: it has collections, each with a [`Reader`] and a
//! [`Writer`]. Nothing is kept here, so any number of processes work on the same cluster.
//!
//! A collection has generations, of which one is read, and a generation is two collections of Qdrant. One has a point for each *document*, with its text, its metadata and the
//! version that counts, and no vectors; the other has a point for each *passage*, with its vector and the version that it
//! belongs to. Qdrant changes one point at a time, so a document's point is the one step by which a new version of it
//! becomes the one that is read: passages of other versions, which are there before that step and for a while after it,
//! are passed over by whoever finds them.
//!
//! The crate is synchronous for its callers, who may block; it has a runtime of its own for its connections.

mod aliases;
mod at_once;
mod breaker;
mod call;
mod cluster;
mod conditions;
mod connection;
mod document_point;
mod documents;
mod error;
mod facets;
mod family;
mod following;
mod generations;
mod hit_content;
mod ids;
mod passage_point;
mod payload;
mod places;
mod reader;
mod registered;
mod registry;
mod search;
mod settings;
mod sweep;
mod terms;
mod word_search;
mod word_vector;
mod write;
mod writer;

pub use call::{CallKind, CallOutcome, ClusterCall};
pub use cluster::{Cluster, ClusterCollection};
pub use family::Family;
pub use following::{ComparedPage, ComparedUntil};
pub use generations::{ClusterGeneration, DueGeneration};
pub use reader::Reader;
pub use settings::ClusterSettings;
pub use writer::Writer;
