//! Connections: how many there may be, how long they may be silent, how slow they may be.
//!
//! The accept loop and the life of a connection are here; what a request means is not.

mod accept;
mod bodies;
mod connection;
mod handshake;
mod intake;
mod limits;
mod pace;
mod peer;
mod served_stream;
mod table;
mod turns_of_bulk;
mod watched_stream;

pub use peer::{PeerNetwork, PeerNetworkError};

pub(crate) use accept::HttpServer;
pub(crate) use bodies::HoldingBody;
pub(crate) use connection::Connection;
pub(crate) use handshake::Tls;
pub(crate) use limits::ConnectionLimits;
pub(crate) use table::Connections;
pub(crate) use turns_of_bulk::InTurns;
