//! Which encoder the vectors of a collection are of.

use crate::Error;
use crate::collection::collection_records;
use crate::store::{
    CollectionId, CollectionRecord, EncoderRecord, Key, KeyRange, Store, WriteBatch,
    next_collection_id,
};

/// What the encoder is called that collections have unless they name another.
pub const DEFAULT_ENCODER: &str = "default";

/// An encoder whose vectors are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderIdentity {
    /// Equal for encoders whose vectors are comparable, and only for those.
    pub id: String,
    /// For people.
    pub name: String,
    /// Length of every vector.
    pub dimensions: usize,
}

#[cfg(test)]
impl EncoderIdentity {
    /// One of vectors that tests write themselves.
    pub(crate) fn of_test(dimensions: usize) -> Self {
        Self {
            id: "e".to_owned(),
            name: "n".to_owned(),
            dimensions,
        }
    }
}

/// The encoder of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionEncoder {
    /// What it was called when the collection was made. The index keeps this and does not act on it.
    pub name: String,
    /// What decides whether vectors are comparable.
    pub identity: EncoderIdentity,
}

impl CollectionEncoder {
    /// The one that collections have unless they name another.
    pub fn default_of(identity: &EncoderIdentity) -> Self {
        Self {
            name: DEFAULT_ENCODER.to_owned(),
            identity: identity.clone(),
        }
    }
}

/// Says of every collection which encoder made it, where that is not written yet: before format 7 one encoder
/// made all. Empty collections of the default encoder are made anew for the one that it is now.
pub(crate) fn settle_encoders(store: &Store, default: &EncoderIdentity) -> Result<(), Error> {
    let stored = stored_encoder(store)?;
    let mut batch = WriteBatch::default();
    let mut next = next_collection_id(store)?;
    for (name, record) in collection_records(store)? {
        let is_written = record.encoder.is_some();
        let made_by = record.encoder.clone();
        let made_by = made_by
            .unwrap_or_else(|| CollectionEncoder::default_of(stored.as_ref().unwrap_or(default)));
        let is_outdated = made_by.name == DEFAULT_ENCODER && made_by.identity.id != default.id;
        let mut settled = CollectionRecord {
            encoder: Some(made_by),
            ..record
        };
        if is_outdated && is_empty(store, settled.id)? {
            // What is left of vectors has other dimensions, so it takes a new number as well.
            batch.put(&Key::dropped(settled.id), Vec::new());
            settled.encoder = Some(CollectionEncoder::default_of(default));
            settled.id = next;
            next = CollectionId(next.0 + 1);
            batch.put(&Key::next_collection(), next.0.to_le_bytes().to_vec());
        } else if is_written {
            continue;
        }
        batch.put(&Key::collection(&name), settled.to_bytes());
    }
    if stored.as_ref() != Some(default) {
        batch.put(&Key::encoder(), EncoderRecord::from(default).to_bytes());
    }
    if batch.is_empty() {
        return Ok(());
    }
    let sequence = store.apply(batch)?;
    store.make_durable(sequence)
}

/// The encoder that made those collections whose records do not name one.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn stored_encoder(store: &Store) -> Result<Option<EncoderIdentity>, Error> {
    let Some(bytes) = store.get(&Key::encoder())? else {
        return Ok(None);
    };
    let record = EncoderRecord::from_bytes(&bytes);
    let record = record.ok_or_else(|| store.corrupt("the encoder's identity"))?;
    Ok(Some(record.into()))
}

fn is_empty(store: &Store, collection: CollectionId) -> Result<bool, Error> {
    let mut documents = store.scan(&KeyRange::documents_after(collection, None));
    Ok(documents.next().transpose()?.is_none())
}
