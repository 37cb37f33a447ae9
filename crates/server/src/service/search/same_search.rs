//! Whether a search is the one that a cursor was made for.

use std::fmt::{self, Write};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Weak};

use siamese_index::Collection;

use super::{Search, SearchedFor};
use crate::service::Operand;

/// A search but for the page of it that is wanted and for how its hits are laid out.
#[derive(Debug, Clone)]
pub(super) struct SameSearch {
    /// A collection that is made again under the same name counts its documents anew.
    collection: Weak<Collection>,
    hash: u64,
}

impl PartialEq for SameSearch {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.collection.ptr_eq(&other.collection)
    }
}

impl SameSearch {
    pub(super) fn of(collection: &Arc<Collection>, search: &Search, hashing: &RandomState) -> Self {
        let mut hasher = Written(hashing.build_hasher());
        hasher.searched_for(&search.searched_for);
        let (options, choice) = (&search.options, &search.choice);
        let choice = (choice.diversity, &choice.group_by, choice.auto_cut);
        let top_n = search.rerank.map(|rerank| rerank.top_n);
        let how = (
            options.min_score,
            &options.filter,
            options.exact,
            options.ef,
        );
        // A hasher takes whatever is written.
        let _ = write!(hasher, "{:?}", (search.mode, choice, top_n, how));
        Self {
            collection: Arc::downgrade(collection),
            hash: hasher.0.finish(),
        }
    }

    /// Whether the collection has been deleted.
    pub(super) fn is_gone(&self) -> bool {
        self.collection.strong_count() == 0
    }
}

/// Hashes what is written to it.
struct Written<H>(H);

impl<H: Hasher> Write for Written<H> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl<H: Hasher> Written<H> {
    fn searched_for(&mut self, searched_for: &SearchedFor) {
        match searched_for {
            SearchedFor::Text(text) => self.part(0, text.as_bytes()),
            SearchedFor::Document(id) => self.part(1, id.as_bytes()),
            SearchedFor::Vector(vector) => {
                self.part(2, &[]);
                vector
                    .iter()
                    .for_each(|value| self.0.write_u32(value.to_bits()));
            }
            SearchedFor::Examples { positive, negative } => {
                self.operands(3, positive);
                self.operands(4, negative);
            }
        }
    }

    fn operands(&mut self, kind: u8, operands: &[Operand]) {
        for operand in operands {
            self.part(kind, &[]);
            match operand {
                Operand::Text(text) => self.part(0, text.as_bytes()),
                Operand::Document(id) => self.part(1, id.as_bytes()),
            }
        }
    }

    fn part(&mut self, kind: u8, bytes: &[u8]) {
        self.0.write_u8(kind);
        self.0.write_usize(bytes.len());
        self.0.write(bytes);
    }
}
