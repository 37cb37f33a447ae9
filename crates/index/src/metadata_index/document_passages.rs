//! Which passages a document has.

use std::ops::Range;

use roaring::RoaringBitmap;

use super::sorted_blocks::SortedBlocks;

/// The passages of every document. Both are numbered in the order in which they come, so a
/// document with a higher number has passages with higher numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct DocumentPassages {
    ranges: SortedBlocks<u32, Passages>,
    /// Documents of which the only passage has another number than the document, or that have
    /// more than one passage.
    differing: u64,
}

#[derive(Debug, Clone, Copy)]
struct Passages {
    first: u32,
    count: u32,
}

impl DocumentPassages {
    /// Of documents in ascending order.
    pub(super) fn of_sorted(documents: Vec<(u32, Range<u32>)>) -> Self {
        let documents = documents.into_iter();
        let ranges = documents.map(|(document, passages)| (document, Passages::of(&passages)));
        let ranges: Vec<_> = ranges.collect();
        let differing = ranges
            .iter()
            .filter(|(document, own)| own.differs(*document));
        Self {
            differing: differing.count() as u64,
            ranges: SortedBlocks::of_sorted(ranges),
        }
    }

    pub(super) fn insert(&mut self, document: u32, passages: Range<u32>) {
        let passages = Passages::of(&passages);
        self.differing += u64::from(passages.differs(document));
        self.ranges.upsert(
            |other| other.cmp(&document),
            |old| *old = passages,
            || (document, passages),
        );
    }

    pub(super) fn remove(&mut self, document: u32) {
        let mut differs = false;
        self.ranges.change_or_remove(
            |other| other.cmp(&document),
            |passages| {
                differs = passages.differs(document);
                false
            },
        );
        self.differing -= u64::from(differs);
    }

    /// The passages of some documents.
    pub(super) fn of(&self, documents: &RoaringBitmap) -> RoaringBitmap {
        if self.differing == 0 {
            return documents.clone();
        }
        let (Some(lowest), mut wanted) = (documents.min(), documents.iter().peekable()) else {
            return RoaringBitmap::new();
        };
        let mut passages = RoaringBitmap::new();
        for (document, own) in self.ranges.iter_from(|document| *document < lowest) {
            while wanted.next_if(|wanted| wanted < document).is_some() {}
            match wanted.peek() {
                None => break,
                Some(wanted) if wanted == document => {
                    passages.insert_range(own.first..own.first + own.count);
                }
                Some(_) => {}
            }
        }
        passages
    }
}

impl Passages {
    fn of(passages: &Range<u32>) -> Self {
        Self {
            first: passages.start,
            count: passages.end - passages.start,
        }
    }

    fn differs(self, document: u32) -> bool {
        (self.first, self.count) != (document, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_become_their_passages() {
        let mut passages = DocumentPassages::default();
        let some: RoaringBitmap = [1, 2, 4, 9].into_iter().collect();
        for document in 0..6 {
            passages.insert(document, document..document + 1);
        }
        assert_eq!(passages.of(&some), some);
        passages.insert(6, 6..9);
        passages.insert(9, 9..11);
        passages.remove(4);
        let expected: RoaringBitmap = [1, 2, 9, 10].into_iter().collect();
        assert_eq!(passages.of(&some), expected);
        passages.remove(6);
        passages.remove(9);
        assert_eq!(passages.differing, 0);
    }
}
