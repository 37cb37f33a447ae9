//! Reading everything that a store holds, on all cores.
//!
//! sled decodes a page before it gives out an entry, which takes longer than to read it from the
//! disk. So the keys are cut into ranges, which threads take one after the other; a sum does not
//! depend on the order.

use std::num::NonZero;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::guard::{corrupt, guard};
use super::key::Key;
use super::tally::{Contents, Tally};
use crate::{Cancel, Error};

/// Threads that read; more would wait for the disk.
const MAX_THREADS: usize = 8;
/// Ranges that the keys of one kind are cut into, so that no thread waits long for the last one.
const RANGES_OF_KIND: u32 = 16;

/// How many cores are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// All of them: nobody can do anything else meanwhile.
    Alone,
    /// Half of them.
    BesideOthers,
}

impl Pace {
    fn threads(self) -> usize {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = match self {
            Self::Alone => cores,
            Self::BesideOthers => cores / 2,
        };
        threads.clamp(1, MAX_THREADS)
    }
}

/// What a store says that it holds, and what it does.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Census {
    /// The tally that is stored; `None` in a store of an older format, or an empty one.
    pub(super) stored: Option<Tally>,
    /// Everything but the tally, after as many batches as the stored one says.
    pub(super) counted: Contents,
}

/// Reads every entry.
///
/// # Errors
/// [`Error::Cancelled`], or what cannot be read.
pub(super) fn read_all(
    folder: &Path,
    db: &sled::Db,
    cancel: &Cancel,
    pace: Pace,
) -> Result<Census, Error> {
    let borders = borders(folder, db)?;
    let next = AtomicUsize::new(0);
    let reader = Reader {
        folder,
        db,
        borders: &borders,
        next: &next,
        cancel,
    };
    let others = pace.threads() - 1;
    let parts = thread::scope(|scope| {
        let others: Vec<_> = (0..others).map(|_| scope.spawn(|| reader.read())).collect();
        let mut parts = vec![reader.read()];
        for other in others {
            let panicked = |_| Err(corrupt(folder, "a thread that read it panicked"));
            parts.push(other.join().unwrap_or_else(panicked));
        }
        parts
    });
    let mut census = Census::default();
    for part in parts {
        let part = part?;
        census.stored = census.stored.or(part.stored);
        census.counted = census.counted.with(part.counted);
    }
    census.counted.tally.sequence = census.stored.map_or(0, |stored| stored.sequence);
    Ok(census)
}

/// What each thread reads.
#[derive(Debug, Clone, Copy)]
struct Reader<'a> {
    folder: &'a Path,
    db: &'a sled::Db,
    /// Where ranges end and the next ones begin.
    borders: &'a [Vec<u8>],
    /// The next range to read.
    next: &'a AtomicUsize,
    cancel: &'a Cancel,
}

impl Reader<'_> {
    /// Reads ranges until there are no more.
    fn read(&self) -> Result<Census, Error> {
        let mut census = Census::default();
        loop {
            self.cancel.check()?;
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            if place > self.borders.len() {
                return Ok(census);
            }
            self.read_range(place, &mut census)?;
        }
    }

    fn read_range(&self, place: usize, census: &mut Census) -> Result<(), Error> {
        let tally_key = Key::tally();
        let start = place.checked_sub(1).map(|before| &self.borders[before]);
        let start = start.map_or(Bound::Unbounded, Bound::Included);
        let end = self.borders.get(place);
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        let mut entries = self.db.range::<&Vec<u8>, _>((start, end));
        while let Some((key, value)) = guard(self.folder, || entries.next().transpose())? {
            if key == tally_key.as_bytes() {
                let tally = Tally::from_bytes(&value);
                let unreadable = || corrupt(self.folder, "its tally cannot be read");
                census.stored = Some(tally.ok_or_else(unreadable)?);
            } else {
                census.counted.put_in(&key, &value);
            }
        }
        Ok(())
    }
}

/// Keys that cut everything into ranges, in ascending order; they need not exist.
fn borders(folder: &Path, db: &sled::Db) -> Result<Vec<Vec<u8>>, Error> {
    let mut borders = Vec::new();
    let mut first = guard(folder, || db.first())?;
    while let Some((key, _)) = first {
        // Every key begins with its kind.
        let kind = key.first().copied().unwrap_or_default();
        let last = guard(folder, || db.scan_prefix([kind]).next_back().transpose())?;
        let last = last.map_or_else(|| key.to_vec(), |(last, _)| last.to_vec());
        borders.extend(between(&key, &last));
        first = guard(folder, || db.get_gt(&last))?;
    }
    Ok(borders)
}

/// Keys at about the same distances between two others, by the four bytes behind what the two have
/// in common: numbers, for most kinds.
fn between(first: &[u8], last: &[u8]) -> Vec<Vec<u8>> {
    let common = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    let number = |key: &[u8]| {
        let mut bytes = [0; 4];
        bytes
            .iter_mut()
            .zip(&key[common..])
            .for_each(|(to, from)| *to = *from);
        u32::from_be_bytes(bytes)
    };
    let (from, to) = (number(first), number(last));
    let step = ((to - from) / RANGES_OF_KIND).max(1);
    let numbers = (from..=to).step_by(step as usize).skip(1);
    numbers
        .map(|number| [&last[..common], &number.to_be_bytes()].concat())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_ascend_and_lie_between_the_keys() {
        let keys: [(&[u8], &[u8]); 5] = [
            (b"\x12aaaa\0\0\0\x05", b"\x12aaaa\0\0\x20\0"),
            (b"\x10aaaadocument-1", b"\x10aaaadocument-99"),
            (b"\x01", b"\x01c"),
            (b"\x01", b"\x01"),
            (b"", b"\xff\xff\xff\xff\xff"),
        ];
        for (first, last) in keys {
            let borders = between(first, last);
            assert!(borders.len() <= RANGES_OF_KIND as usize + 1);
            assert!(borders.is_sorted());
            assert!(borders.iter().all(|border| border.as_slice() > first));
        }
        assert!(between(keys[0].0, keys[0].1).len() >= 15);
    }
}
