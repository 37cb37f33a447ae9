//! What the record should hold: carried along with every batch, compared when the record is opened.
//!
//! After a damage or a crash sled may pass over a part of its log without a word. Its checksums say
//! that what it returns was written once, not that it is all there, nor that it is the newest. A sum
//! over all entries says that, whatever the reason.

use super::Key;
use super::value::{ValueReader, ValueWriter};
use super::write_batch::Changes;
use crate::Error;

const VERSION: u8 = 1;

/// Count and sum of all entries but itself, and how many batches made them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    /// Batches applied since the folder was made.
    pub(super) sequence: u64,
    entries: u64,
    /// Does not depend on an order, so that an entry is taken out as it was put in.
    sum: u64,
}

impl Tally {
    /// Nothing, after so many batches.
    pub(super) fn empty(sequence: u64) -> Self {
        Self {
            sequence,
            ..Self::default()
        }
    }

    pub(super) fn put_in(&mut self, key: &[u8], value: &[u8]) {
        self.entries = self.entries.wrapping_add(1);
        self.sum = self.sum.wrapping_add(weight(key, value));
    }

    pub(super) fn take_out(&mut self, key: &[u8], value: &[u8]) {
        self.entries = self.entries.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(weight(key, value));
    }

    fn with(mut self, other: Self) -> Self {
        self.entries = self.entries.wrapping_add(other.entries);
        self.sum = self.sum.wrapping_add(other.sum);
        self
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        ValueWriter::version(VERSION)
            .u64(self.sequence)
            .u64(self.entries)
            .u64(self.sum)
            .finish()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = ValueReader::version(bytes, VERSION)?;
        let tally = Self {
            sequence: reader.u64()?,
            entries: reader.u64()?,
            sum: reader.u64()?,
        };
        reader.is_done().then_some(tally)
    }
}

/// What is stored once all applied batches are, and a staged one if it has been decided. What is staged for
/// a large batch comes and goes uncounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Contents {
    pub(super) tally: Tally,
    /// Bytes of all keys and values beside the tally. Counted when the record is opened.
    pub(super) live_bytes: u64,
}

impl Contents {
    pub(super) fn put_in(&mut self, key: &[u8], value: &[u8]) {
        if Key::is_staged(key) {
            return;
        }
        self.tally.put_in(key, value);
        self.live_bytes += (key.len() + value.len()) as u64;
    }

    pub(super) fn take_out(&mut self, key: &[u8], value: &[u8]) {
        if Key::is_staged(key) {
            return;
        }
        self.tally.take_out(key, value);
        let bytes = (key.len() + value.len()) as u64;
        self.live_bytes = self.live_bytes.saturating_sub(bytes);
    }

    /// What should be there, until it has been counted.
    pub(super) fn uncounted(tally: Tally) -> Self {
        Self {
            tally,
            live_bytes: 0,
        }
    }

    /// Both together. The number of batches stays as it is.
    pub(super) fn with(self, other: Self) -> Self {
        Self {
            tally: self.tally.with(other.tally),
            live_bytes: self.live_bytes + other.live_bytes,
        }
    }

    /// What is there once these changes have been applied to what `stored` returns.
    pub(super) fn after<V: AsRef<[u8]>>(
        mut self,
        changes: &Changes,
        stored: impl Fn(&[u8]) -> Result<Option<V>, Error>,
    ) -> Result<Self, Error> {
        for (key, value) in changes {
            let key = key.as_bytes();
            if let Some(old) = stored(key)? {
                self.take_out(key, old.as_ref());
            }
            if let Some(value) = value {
                self.put_in(key, value);
            }
        }
        Ok(self)
    }

    /// What is there after one more batch.
    pub(super) fn next<V: AsRef<[u8]>>(
        self,
        changes: &Changes,
        stored: impl Fn(&[u8]) -> Result<Option<V>, Error>,
    ) -> Result<Self, Error> {
        let mut next = self.after(changes, stored)?;
        next.tally.sequence += 1;
        Ok(next)
    }

    /// What a batch of so many bytes that leads to `next` adds, and what lives no more after it, bytes.
    pub(super) fn changed_bytes(&self, batch_bytes: u64, next: &Self) -> u64 {
        let dead_bytes = (self.live_bytes + batch_bytes).saturating_sub(next.live_bytes);
        batch_bytes + dead_bytes
    }

    /// Returns whether the entries are the same, however many batches made them.
    pub(super) fn holds_as(&self, other: &Self) -> bool {
        let entries = |tally: Tally| (tally.entries, tally.sum);
        entries(self.tally) == entries(other.tally)
    }
}

/// What one entry adds to the sum.
fn weight(key: &[u8], value: &[u8]) -> u64 {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&(key.len() as u32).to_le_bytes());
    checksum.update(key);
    checksum.update(value);
    scattered(u64::from(checksum.finalize()) | (value.len() as u64) << 32)
}

/// The finisher of SplitMix64 (Steele, Lea and Flood 2014): without it, sums of checksums would
/// cancel each other out too easily.
fn scattered(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_taken_out_in_any_order_and_leave_nothing_behind() {
        let mut tally = Tally::empty(7);
        tally.put_in(b"a", b"1");
        tally.put_in(b"b", b"2");
        assert_eq!(Tally::from_bytes(&tally.to_bytes()), Some(tally));
        tally.take_out(b"a", b"1");
        tally.take_out(b"b", b"2");
        assert_eq!(tally, Tally::empty(7));
    }

    #[test]
    fn entries_that_are_counted_apart_have_the_tally_of_all() {
        let (mut whole, mut left, mut right) = (Tally::empty(7), Tally::empty(7), Tally::empty(0));
        for number in 0_u8..9 {
            whole.put_in(&[number], b"value");
            let part = if number % 3 == 0 {
                &mut left
            } else {
                &mut right
            };
            part.put_in(&[number], b"value");
        }
        assert_eq!(left.with(right), whole);
    }

    #[test]
    fn another_value_and_another_border_between_key_and_value_are_noticed() {
        let of = |key: &[u8], value: &[u8]| {
            let mut tally = Tally::default();
            tally.put_in(key, value);
            tally
        };
        assert_ne!(of(b"a", b"1"), of(b"a", b"2"));
        assert_ne!(of(b"ab", b"c"), of(b"a", b"bc"));
        assert_ne!(of(b"", b""), Tally::default());
    }
}
