//! What a key is for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One thing that a key may be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Reads documents, searches, compares, and uses the models.
    Search,
    /// Stores, changes and deletes documents and feedback.
    Write,
    /// Reads the metrics, and nothing else.
    Metrics,
    /// Everything, in the collections of the key.
    Admin,
}

/// A word that is no scope.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no scope; there are search, write, metrics and admin")]
pub struct ScopeError(String);

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Search, Self::Write, Self::Metrics, Self::Admin];

    /// Returns how it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Write => "write",
            Self::Metrics => "metrics",
            Self::Admin => "admin",
        }
    }

    /// Returns whether a key with this scope may do what another one is for.
    pub(super) fn includes(self, wanted: Self) -> bool {
        self == wanted || self == Self::Admin
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let mut scopes = Self::ALL.into_iter();
        let found = scopes.find(|scope| scope.name() == text);
        found.ok_or_else(|| ScopeError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_read_as_it_is_written_and_nothing_else_is_one() {
        for scope in Scope::ALL {
            assert_eq!(scope.name().parse::<Scope>().unwrap(), scope);
        }
        for text in ["", "Search", "read", "search,write"] {
            let error = text.parse::<Scope>().unwrap_err().to_string();
            assert!(
                error.contains("search, write, metrics and admin"),
                "{error}"
            );
        }
    }

    #[test]
    fn admin_includes_everything_and_the_others_only_themselves() {
        for wanted in Scope::ALL {
            assert!(Scope::Admin.includes(wanted));
            for scope in [Scope::Search, Scope::Write, Scope::Metrics] {
                assert_eq!(scope.includes(wanted), scope == wanted);
            }
        }
    }
}
