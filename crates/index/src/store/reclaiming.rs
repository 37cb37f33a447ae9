//! Making sled free the segments of its log that hold little that lives.
//!
//! sled 0.34 queues the pages of a segment to be written elsewhere when half of it is dead
//! (`SEGMENT_CLEANUP_THRESHOLD`), and takes one page from the queue whenever it writes another page
//! whole (`PageCache::replace`), which it does at a page's eleventh change. A segment full of single
//! changes has a hundred pages and more, so that the queue grows faster than it is worked off, and
//! the log with it, up to six times and more of what lives. Here the queue is worked off by changes
//! of an empty page that leave it empty.

use super::Store;
use crate::{Error, Reclaim};

/// A page is taken from the queue for each so many bytes that a write adds and makes dead. With twice as
/// many the log grows to three times of what lives before the queue is as short as with these; with
/// half of them it stays as it is with these.
const CHANGED_BYTES_PER_PAGE: u64 = 1024;
/// Bytes of the log that may be filled for each byte that a write adds and makes dead. To free a segment
/// that is half dead half a segment is moved, so one would do if all were moved in time.
const MOVED_BYTES_PER_CHANGED_BYTE: u64 = 4;
/// Pages that are taken between two looks at whether that is needed.
const MAX_STEP_PAGES: u64 = 64;
/// Steps in a row that fill no segment of the log, after which the queue is taken to be empty: pages of 600
/// bytes would have filled one.
const MAX_IDLE_STEPS: u64 = 8;
/// What a page takes at most: sixteen entries of the largest value and key.
const MAX_PAGE_BYTES: u64 = 16 * (super::MAX_VALUE_BYTES as u64 + 600);

impl Store {
    /// Works off as much of the queue as a write that adds and makes dead so many bytes has added to
    /// it at most, if the store takes too much for what lives in it.
    ///
    /// # Errors
    /// A failing disk; nothing may be written any more then.
    pub(super) fn reclaim_after(&self, changed_bytes: u64) -> Result<(), Error> {
        let Some(when) = self.options.reclaim else {
            return Ok(());
        };
        let mut pages = changed_bytes.div_ceil(CHANGED_BYTES_PER_PAGE);
        let max_moved_bytes = changed_bytes.saturating_mul(MOVED_BYTES_PER_CHANGED_BYTE);
        let (mut moved_bytes, mut idle_steps) = (0, 0);
        while pages > 0
            && moved_bytes <= max_moved_bytes
            && idle_steps < MAX_IDLE_STEPS
            && self.takes_more_than(when)?
        {
            let step = pages.min(MAX_STEP_PAGES);
            // On a full disk what is there stays as it is.
            if self.check_room(step * MAX_PAGE_BYTES).is_err() {
                break;
            }
            let outcome = self.engine().reclaim(step as usize);
            let filled_bytes = outcome.inspect_err(|error| self.durability.fail(error))?;
            idle_steps = if filled_bytes == 0 { idle_steps + 1 } else { 0 };
            moved_bytes += filled_bytes;
            pages -= step;
        }
        Ok(())
    }

    fn takes_more_than(&self, when: Reclaim) -> Result<bool, Error> {
        let bytes = (when.over_ratio * self.live_bytes() as f64) as u64;
        Ok(self.size_on_disk()? > bytes.max(when.over_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CollectionId, Key, KeyRange, Store, StoreOptions, WriteBatch};
    use crate::Reclaim;
    use crate::lock_file::LockFile;

    const ENTRIES: u32 = 8000;
    const VALUE_BYTES: usize = 2000;

    fn filled(folder: &std::path::Path, reclaim: Option<Reclaim>) -> Store {
        let lock = LockFile::acquire(folder).unwrap();
        let options = StoreOptions {
            reclaim,
            cache_bytes: 8 << 20,
            ..StoreOptions::SMALL
        };
        let store = Store::open(&folder.join("store"), options, lock).unwrap();
        write(&store, 0..ENTRIES, 0);
        store
    }

    fn write(store: &Store, numbers: impl Iterator<Item = u32>, value: u8) {
        let numbers: Vec<u32> = numbers.collect();
        for numbers in numbers.chunks(100) {
            let mut batch = WriteBatch::default();
            for n in numbers {
                batch.put(&key(*n), vec![value; VALUE_BYTES]);
            }
            store.make_durable(store.apply(batch).unwrap()).unwrap();
        }
    }

    fn key(n: u32) -> Key {
        Key::passage(CollectionId(1), n)
    }

    /// All numbers, none near the one before.
    fn scattered() -> impl Iterator<Item = u32> {
        (0..ENTRIES).map(|n| n.wrapping_mul(4421) % ENTRIES)
    }

    fn ratio(store: &Store) -> f64 {
        store.size_on_disk().unwrap() as f64 / store.live_bytes() as f64
    }

    /// The worst that is seen while everything is rewritten five times.
    fn worst_ratio(reclaim: Option<Reclaim>) -> f64 {
        const ROUNDS: u8 = 5;
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path(), reclaim);
        let mut worst = 0.0_f64;
        for round in 1..=ROUNDS {
            for part in 0..8 {
                let numbers = scattered().skip(part * 1000).take(1000);
                write(&store, numbers, round);
                worst = worst.max(ratio(&store));
            }
        }
        let entries = store.scan(&KeyRange::everything());
        let values = entries.map(|entry| entry.unwrap().1[0]);
        let newest = values.filter(|value| *value == ROUNDS).count();
        assert_eq!(newest, ENTRIES as usize);
        worst
    }

    #[test]
    fn a_store_that_is_rewritten_in_a_scattered_order_stays_near_its_ratio() {
        let reclaimed = worst_ratio(Some(Reclaim::default()));
        // On a busy machine moved pages become durable later, and free what they left later.
        assert!(reclaimed < 2.7, "{reclaimed}");
        let left_to_sled = worst_ratio(None);
        assert!(left_to_sled > 2.8, "there is nothing to do: {left_to_sled}");
    }

    #[test]
    fn when_most_is_deleted_the_log_becomes_smaller() {
        let folder = tempfile::tempdir().unwrap();
        let reclaim = Reclaim {
            over_bytes: 2 << 20,
            ..Reclaim::default()
        };
        let store = filled(folder.path(), Some(reclaim));
        let filled_bytes = store.size_on_disk().unwrap();
        let most: Vec<u32> = scattered().filter(|n| n % 10 > 0).collect();
        for numbers in most.chunks(100) {
            let mut batch = WriteBatch::default();
            numbers.iter().for_each(|n| batch.remove(&key(*n)));
            store.make_durable(store.apply(batch).unwrap()).unwrap();
        }
        let left_bytes = store.size_on_disk().unwrap();
        assert!(
            left_bytes * 2 < filled_bytes,
            "{left_bytes} of {filled_bytes}"
        );
        let entries = store.scan(&KeyRange::everything());
        assert_eq!(entries.count(), ENTRIES as usize / 10);
    }

    #[test]
    fn nothing_is_moved_while_the_disk_has_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = filled(folder.path(), None);
        write(&store, scattered(), 1);
        store.options.reclaim = Some(Reclaim {
            over_ratio: 1.0,
            over_bytes: 0,
        });
        store.options.min_free_disk_bytes = u64::MAX;
        store.reclaim_after(1 << 20).unwrap();
        assert!(!store.engine().has_reclaimed());
        store.options.min_free_disk_bytes = 0;
        store.reclaim_after(1 << 20).unwrap();
        assert!(store.engine().has_reclaimed());
    }

    #[test]
    fn fewer_log_buffers_are_in_flight_than_sled_has_threads() {
        /// sled's pool begins with as many (`DESIRED_WAITING_THREADS`).
        const THREADS: u64 = 7;
        let folder = tempfile::tempdir().unwrap();
        let reclaim = Reclaim {
            over_ratio: 0.0,
            over_bytes: 0,
        };
        let store = filled(folder.path(), Some(reclaim));
        let before = store.size_on_disk().unwrap();
        for value in 1..=4 {
            // Large batches, small ones, and what is moved after each.
            let mut batch = WriteBatch::default();
            scattered()
                .take(2000)
                .for_each(|n| batch.put(&key(n), vec![value; VALUE_BYTES]));
            store.make_durable(store.apply(batch).unwrap()).unwrap();
            write(&store, scattered().skip(2000).take(300), value);
        }
        assert!(
            store.size_on_disk().unwrap() > before,
            "nothing was written"
        );
        let most = store.engine().most_unfinished();
        assert!((3..THREADS).contains(&most), "{most}");
    }
}
