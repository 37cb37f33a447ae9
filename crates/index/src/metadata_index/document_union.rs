//! The documents of many values.

use roaring::{MultiOps, RoaringBitmap};

use super::posting::Posting;

/// Gathers postings; sorting once is cheaper than inserting document by document.
#[derive(Debug, Default)]
pub(super) struct DocumentUnion<'a> {
    single: Vec<u32>,
    many: Vec<&'a RoaringBitmap>,
}

impl<'a> DocumentUnion<'a> {
    pub(super) fn add(&mut self, posting: &'a Posting) {
        match posting {
            Posting::One(document) => self.single.push(*document),
            Posting::Few(documents) => self.single.extend_from_slice(documents),
            Posting::Many(documents) => self.many.push(documents),
        }
    }

    pub(super) fn finish(mut self) -> RoaringBitmap {
        self.single.sort_unstable();
        self.single.dedup();
        let mut documents = self.many.union();
        for document in self.single {
            documents.insert(document);
        }
        documents
    }
}
