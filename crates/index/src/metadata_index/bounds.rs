//! What is known of a set of documents.

use roaring::RoaringBitmap;

/// A set between two sets: it holds all of `certain` and nothing outside `possible`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bounds {
    /// Documents that pass.
    pub(crate) certain: RoaringBitmap,
    /// Documents that pass or may pass; holds `certain`.
    pub(crate) possible: RoaringBitmap,
}

impl Bounds {
    pub(super) fn exactly(documents: RoaringBitmap) -> Self {
        Self {
            possible: documents.clone(),
            certain: documents,
        }
    }

    /// Documents of which only the record tells whether they pass.
    pub(crate) fn undecided(&self) -> RoaringBitmap {
        &self.possible - &self.certain
    }

    pub(super) fn intersect(&mut self, other: &Self) {
        self.certain &= &other.certain;
        self.possible &= &other.possible;
    }

    pub(super) fn unite(&mut self, other: &Self) {
        self.certain |= &other.certain;
        self.possible |= &other.possible;
    }

    pub(super) fn complement(self, all: &RoaringBitmap) -> Self {
        Self {
            certain: all - &self.possible,
            possible: all - &self.certain,
        }
    }
}
