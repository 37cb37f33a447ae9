//! Counts what is in a snapshot while its entries pass by, in the order of their keys.

use std::collections::BTreeMap;

use super::manifest::CollectionCounts;
use crate::EncoderIdentity;
use crate::store::{
    CollectionId, CollectionRecord, EncoderRecord, Entry, FeedbackRecord, JudgementRecord, Key,
};

/// What has passed by.
#[derive(Debug, Default)]
pub(super) struct Census {
    encoder: Option<EncoderIdentity>,
    data_format: Option<u32>,
    collections: BTreeMap<CollectionId, CollectionCounts>,
}

impl Census {
    /// Counts an entry; `None` when it cannot be read.
    pub(super) fn count(&mut self, entry: &Entry) -> Option<()> {
        let (key, value) = entry;
        match key.section()? {
            "meta" if *key == Key::encoder() => {
                self.encoder = Some(EncoderRecord::from_bytes(value)?.into());
            }
            "meta" if *key == Key::format_version() => {
                self.data_format = Some(u32::from_le_bytes(value.as_slice().try_into().ok()?));
            }
            "collections" => {
                let record = CollectionRecord::from_bytes(value)?;
                let counts = CollectionCounts {
                    name: key.collection_name()?.to_owned(),
                    encoder: record.encoder.map(|encoder| encoder.identity),
                    documents: 0,
                    passages: 0,
                };
                self.collections.insert(record.id, counts);
            }
            // No opening reads it.
            "feedback" => drop(FeedbackRecord::from_bytes(value)?),
            "judgements" => drop(JudgementRecord::from_bytes(value)?),
            // What belongs to no collection is of one that is being swept away.
            "documents" => {
                if let Some(counts) = self.collections.get_mut(&key.collection_id()?) {
                    counts.documents += 1;
                }
            }
            "passages" => {
                if let Some(counts) = self.collections.get_mut(&key.collection_id()?) {
                    counts.passages += 1;
                }
            }
            _ => {}
        }
        Some(())
    }

    /// Format and encoder of the data, and the counts by name. `None` when something is missing.
    pub(super) fn result(self) -> Option<(u32, EncoderIdentity, Vec<CollectionCounts>)> {
        let mut collections: Vec<_> = self.collections.into_values().collect();
        collections.sort_by(|a, b| a.name.cmp(&b.name));
        Some((self.data_format?, self.encoder?, collections))
    }
}
