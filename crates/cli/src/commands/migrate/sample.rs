//! Some of the documents, chosen without knowing how many there are.

use std::collections::BinaryHeap;

use sha2::{Digest, Sha256};

/// The ids with the smallest hashes: as good as a random choice, and the same in every run.
#[derive(Debug)]
pub(super) struct Sample {
    max_ids: usize,
    chosen: BinaryHeap<([u8; 32], String)>,
}

impl Sample {
    pub(super) fn new(max_ids: usize) -> Self {
        Self {
            max_ids,
            chosen: BinaryHeap::new(),
        }
    }

    pub(super) fn offer(&mut self, id: &str) {
        if self.max_ids == 0 {
            return;
        }
        let hash: [u8; 32] = Sha256::digest(id).into();
        if self.chosen.len() == self.max_ids {
            match self.chosen.peek() {
                Some((largest, _)) if *largest > hash => self.chosen.pop(),
                _ => return,
            };
        }
        self.chosen.push((hash, id.to_owned()));
    }

    pub(super) fn len(&self) -> usize {
        self.chosen.len()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.chosen.iter().map(|(_, id)| id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn chosen(ids: impl Iterator<Item = usize>, max_ids: usize) -> BTreeSet<String> {
        let mut sample = Sample::new(max_ids);
        ids.for_each(|id| sample.offer(&id.to_string()));
        sample.ids().map(str::to_owned).collect()
    }

    #[test]
    fn a_sample_is_as_large_as_it_may_be_and_does_not_depend_on_the_order() {
        let sample = chosen(0..1000, 50);
        assert_eq!(sample.len(), 50);
        assert_eq!(sample, chosen((0..1000).rev(), 50));
        let late = sample
            .iter()
            .filter(|id| id.parse::<usize>().unwrap() >= 500);
        assert!(
            (10..40).contains(&late.count()),
            "from all over: {sample:?}"
        );
        assert_eq!(chosen(0..7, 50).len(), 7);
        assert_eq!(chosen(0..7, 0).len(), 0);
    }
}
