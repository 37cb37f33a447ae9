//! What has become of a call to the cluster.

use std::time::Duration;

/// A call to the cluster that has ended, with all attempts at it.
#[derive(Debug, Clone, Copy)]
pub struct ClusterCall {
    /// Whether it was to change anything.
    pub kind: CallKind,
    /// What became of it.
    pub outcome: CallOutcome,
    /// How often a node was asked.
    pub attempts: u32,
    /// From its beginning to its end, with the waits between attempts.
    pub took: Duration,
}

/// Whether a call changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// It does not.
    Read,
    /// It does.
    Write,
}

impl CallKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Read, Self::Write];

    /// Its name for machines.
    pub fn label(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// What has become of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// A node has answered, if only that it will not do it.
    Answered,
    /// No node has answered in time.
    Failed,
    /// No node was asked, since too many calls had failed before.
    Refused,
}

impl CallOutcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Answered, Self::Failed, Self::Refused];

    /// Its name for machines.
    pub fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}
