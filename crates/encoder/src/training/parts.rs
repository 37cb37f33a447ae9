//! Which texts go through the encoder together when not all may.

use crate::batch::Batch;

/// Joins batches, as far as their passes together take `max_bytes` at most, and cuts those that take more.
/// `bytes_of` says what a text of a length takes.
pub(super) fn parts(
    batches: &[Batch],
    lengths: &[usize],
    max_texts: usize,
    max_bytes: u64,
    bytes_of: impl Fn(usize) -> u64,
) -> Vec<Vec<usize>> {
    let mut parts: Vec<Vec<usize>> = Vec::new();
    let mut bytes = 0;
    for Batch { places } in batches {
        // Padding is as long as the longest text, the first one.
        let of_text = bytes_of(lengths[places[0]]);
        let at_most = usize::try_from(max_bytes / of_text.max(1)).unwrap_or(usize::MAX);
        for places in places.chunks(at_most.clamp(1, max_texts)) {
            let more = of_text * places.len() as u64;
            match parts.last_mut() {
                Some(part)
                    if bytes + more <= max_bytes && part.len() + places.len() <= max_texts =>
                {
                    part.extend(places);
                    bytes += more;
                }
                _ => {
                    parts.push(places.to_vec());
                    bytes = more;
                }
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::plan_closely;

    #[test]
    fn every_text_is_in_one_part_within_both_bounds() {
        let lengths: Vec<usize> = (0..300).map(|n| 3 + n * 7919 % 120).collect();
        let batches = plan_closely(&lengths);
        let of = |texts, bytes| parts(&batches, &lengths, texts, bytes, |length| length as u64);
        for (max_texts, max_bytes) in [(300, 2_000), (20, 1_000_000), (7, 300), (300, 50)] {
            let parts = of(max_texts, max_bytes);
            let mut seen = parts.concat();
            seen.sort_unstable();
            assert_eq!(seen, (0..300).collect::<Vec<_>>());
            for part in parts {
                let bytes: usize = part.iter().map(|place| lengths[*place]).sum();
                let is_within = bytes as u64 <= max_bytes || part.len() == 1;
                assert!(part.len() <= max_texts && is_within, "{bytes}, {part:?}");
            }
        }
        assert_eq!(of(300, u64::MAX).len(), 1);
    }
}
