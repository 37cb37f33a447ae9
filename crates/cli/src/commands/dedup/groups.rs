//! Groups of texts that pairs join, directly or through others.

use siamese_index::Pair;

/// All groups of two or more of so many texts, each in order, the largest first.
pub(super) fn of(texts: usize, pairs: &[Pair]) -> Vec<Vec<usize>> {
    let mut neighbours = vec![Vec::new(); texts];
    for pair in pairs {
        neighbours[pair.left].push(pair.right);
        neighbours[pair.right].push(pair.left);
    }
    let mut is_seen = vec![false; texts];
    let mut groups = Vec::new();
    for first in 0..texts {
        let (mut group, mut next) = (Vec::new(), vec![first]);
        while let Some(text) = next.pop() {
            if !std::mem::replace(&mut is_seen[text], true) {
                group.push(text);
                next.extend(&neighbours[text]);
            }
        }
        if group.len() > 1 {
            group.sort_unstable();
            groups.push(group);
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_in_one_group_when_pairs_lead_from_one_to_the_other() {
        let pair = |left, right| Pair {
            left,
            right,
            score: 1.0,
        };
        let pairs = [pair(1, 4), pair(0, 2), pair(2, 5)];
        assert_eq!(of(6, &pairs), [vec![0, 2, 5], vec![1, 4]]);
        assert!(of(3, &[]).is_empty());
    }
}
