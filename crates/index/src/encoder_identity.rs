//! Which encoder the stored vectors are of.

use crate::Error;
use crate::collection::collection_records;
use crate::store::{EncoderRecord, Key, KeyRange, Store, WriteBatch};

/// The encoder whose vectors are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderIdentity {
    /// Equal for encoders whose vectors are comparable, and only for those.
    pub id: String,
    /// For people.
    pub name: String,
    /// Length of every vector.
    pub dimensions: usize,
}

/// Compares an encoder with the stored one. Data without any document takes the new one.
pub(crate) fn check_encoder(store: &Store, encoder: &EncoderIdentity) -> Result<(), Error> {
    let opened = EncoderRecord {
        id: encoder.id.clone(),
        name: encoder.name.clone(),
        dimensions: encoder.dimensions as u32,
    };
    if let Some(bytes) = store.get(&Key::encoder())? {
        let stored = EncoderRecord::from_bytes(&bytes)
            .ok_or_else(|| store.corrupt("the encoder's identity"))?;
        if stored.id == opened.id {
            return Ok(());
        }
        if holds_documents(store)? {
            return Err(Error::OtherEncoder {
                stored_id: stored.id,
                stored_name: stored.name,
                opened_id: opened.id,
                opened_name: opened.name,
            });
        }
    }
    let mut batch = WriteBatch::default();
    batch.put(&Key::encoder(), opened.to_bytes());
    let sequence = store.apply(batch)?;
    store.make_durable(sequence)
}

fn holds_documents(store: &Store) -> Result<bool, Error> {
    for (_, record) in collection_records(store)? {
        if store
            .scan(&KeyRange::documents_after(record.id, None))
            .next()
            .transpose()?
            .is_some()
        {
            return Ok(true);
        }
    }
    Ok(false)
}
