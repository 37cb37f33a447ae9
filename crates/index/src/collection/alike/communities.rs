//! Groups around a centre, as `community_detection` of sentence-transformers makes them.

use super::{AlikeOptions, Compared, MAX_NEIGHBOURS};
use crate::vectors::{Pair, PairSink};
use crate::{Cancel, Error, Progress};

/// All pairs, as long as there are not too many of them.
struct Edges {
    pairs: Vec<(u32, u32)>,
}

impl PairSink for Edges {
    fn is_full(&self) -> bool {
        self.pairs.len() > MAX_NEIGHBOURS
    }

    fn take(&mut self, pairs: &[Pair], _uncounted: u64) {
        let pairs = pairs
            .iter()
            .map(|pair| (pair.left as u32, pair.right as u32));
        self.pairs.extend(pairs);
    }
}

/// Groups of at least `min_size` items that are alike to one of them; the largest are taken first, and what
/// is in one is taken out of all others. Each in order.
///
/// # Errors
/// [`Error::TooManyNeighbours`], and those of the comparison.
pub(super) fn communities(
    compared: &Compared<'_>,
    options: &AlikeOptions,
    min_size: usize,
    cancel: &Cancel,
    progress: &Progress,
) -> Result<Vec<Vec<usize>>, Error> {
    let mut edges = Edges { pairs: Vec::new() };
    compared.all_pairs(options, cancel, progress, &mut edges)?;
    if edges.is_full() {
        return Err(Error::TooManyNeighbours {
            max_neighbours: MAX_NEIGHBOURS,
        });
    }
    Ok(disjoint(
        neighbours(compared.left.len(), &edges.pairs),
        min_size,
    ))
}

/// For each item, those that are alike to it, and itself.
fn neighbours(items: usize, pairs: &[(u32, u32)]) -> Vec<Vec<u32>> {
    let mut neighbours: Vec<Vec<u32>> = (0..items as u32).map(|item| vec![item]).collect();
    for (left, right) in pairs {
        neighbours[*left as usize].push(*right);
        neighbours[*right as usize].push(*left);
    }
    neighbours
}

fn disjoint(mut groups: Vec<Vec<u32>>, min_size: usize) -> Vec<Vec<usize>> {
    let mut is_taken = vec![false; groups.len()];
    groups.retain(|group| group.len() >= min_size.max(2));
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let mut disjoint = Vec::new();
    for group in groups {
        let left = group.iter().filter(|item| !is_taken[**item as usize]);
        let mut left: Vec<usize> = left.map(|item| *item as usize).collect();
        if left.len() >= min_size.max(2) {
            left.sort_unstable();
            left.iter().for_each(|item| is_taken[*item] = true);
            disjoint.push(left);
        }
    }
    disjoint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_group_is_taken_first_and_nothing_twice() {
        // 0 is alike to 1, 2 and 3; 4 to 3 and 5.
        let pairs = [(0, 1), (0, 2), (0, 3), (3, 4), (4, 5)];
        let groups = disjoint(neighbours(7, &pairs), 2);
        assert_eq!(groups, [vec![0, 1, 2, 3], vec![4, 5]]);
        let groups = disjoint(neighbours(7, &pairs), 3);
        assert_eq!(groups, [vec![0, 1, 2, 3]]);
    }
}
