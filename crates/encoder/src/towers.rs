//! The sides of the network: queries and documents go through the same modules, or each through their own.

use crate::{Error, InputKind};

/// One of something for all texts, or one for queries and one for documents.
#[derive(Debug)]
pub(crate) enum Towers<T> {
    Shared(T),
    Apart { query: T, document: T },
}

impl<T> Towers<T> {
    /// The one that texts of a kind go through.
    pub(crate) fn of(&self, kind: InputKind) -> &T {
        match (self, kind) {
            (Self::Shared(tower), _) => tower,
            (Self::Apart { query, .. }, InputKind::Query) => query,
            (Self::Apart { document, .. }, InputKind::Document) => document,
        }
    }

    /// The one of documents, which is whole encoder's where something is said of one only.
    pub(crate) fn document(&self) -> &T {
        self.of(InputKind::Document)
    }

    /// All of them: that of queries first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let (first, second) = match self {
            Self::Shared(tower) => (tower, None),
            Self::Apart { query, document } => (query, Some(document)),
        };
        std::iter::once(first).chain(second)
    }

    /// Makes another thing of each; of that for queries, `make` gets what was made for documents.
    ///
    /// # Errors
    /// When `make` fails.
    pub(crate) fn open<U>(
        &self,
        mut make: impl FnMut(&T, Option<&U>) -> Result<U, Error>,
    ) -> Result<Towers<U>, Error> {
        Ok(match self {
            Self::Shared(tower) => Towers::Shared(make(tower, None)?),
            Self::Apart { query, document } => {
                let document = make(document, None)?;
                let query = make(query, Some(&document))?;
                Towers::Apart { query, document }
            }
        })
    }

    /// What is said of each, once where both say the same.
    pub(crate) fn describe(&self, describe: impl Fn(&T) -> String) -> String {
        let mut parts: Vec<String> = self.iter().map(describe).collect();
        parts.dedup();
        parts.join(" + ")
    }
}
