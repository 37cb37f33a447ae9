//! All keys in memory, as the file had them when it was last read.

use std::collections::HashMap;
use std::sync::Arc;

use super::budget::Budget;
use super::key::{KeyHash, SecretKey};
use super::key_record::KeyRecord;
use crate::error::{ApiError, ErrorCode};

/// A key, and what is left of its budgets.
#[derive(Debug)]
pub(crate) struct Key {
    pub(super) record: KeyRecord,
    pub(super) budget: Arc<Budget>,
}

/// The keys by their ids.
#[derive(Debug, Default)]
pub(super) struct KeyRing(HashMap<String, Arc<Key>>);

impl KeyRing {
    /// Takes what the file says. Keys that were known before go on with what is left of their budgets, so that a change
    /// of the file gives nobody a new minute.
    pub(super) fn new(records: Vec<KeyRecord>, before: Option<&Self>) -> Self {
        let keys = records.into_iter().map(|record| {
            let limits = &record.key;
            let (requests, tokens) = (limits.max_requests_per_minute, limits.max_tokens_per_minute);
            let known = before.and_then(|before| before.0.get(&record.id));
            let kept = known.filter(|known| known.budget.is_for(requests, tokens));
            let budget = match kept {
                Some(known) => Arc::clone(&known.budget),
                None => Arc::new(Budget::new(requests, tokens)),
            };
            (record.id.clone(), Arc::new(Key { record, budget }))
        });
        Self(keys.collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Finds what is known of a key. It costs one hash and one comparison, whoever asks with whatever.
    ///
    /// # Errors
    /// 401 when it is not known or its time is over.
    pub(super) fn find(&self, secret: &SecretKey) -> Result<Arc<Key>, ApiError> {
        let known = self.0.get(secret.id());
        let hash = known.map_or(KeyHash::NONE, |key| key.record.hash);
        match known {
            Some(key) if hash.is(&secret.hash()) => live(key),
            _ => Err(unknown()),
        }
    }
}

fn live(key: &Arc<Key>) -> Result<Arc<Key>, ApiError> {
    if key.record.is_expired() {
        let detail = format!("the key {:?} has expired", key.record.key.name);
        return Err(ApiError::new(ErrorCode::KeyExpired, detail));
    }
    Ok(Arc::clone(key))
}

/// The same for a key that was never there, one that was revoked, and one with a wrong secret.
pub(super) fn unknown() -> ApiError {
    ApiError::new(ErrorCode::KeyInvalid, "this key is not known here")
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::access::{KeyCollections, NewKey, Scope};

    fn record(secret: &SecretKey, lives_s: i64) -> KeyRecord {
        let end = Timestamp::now() + SignedDuration::from_secs(lives_s);
        let new = NewKey {
            name: "ci".to_owned(),
            scopes: vec![Scope::Search],
            collections: KeyCollections::default(),
            expires_at: Some(end),
            max_requests_per_minute: 60.try_into().ok(),
            max_tokens_per_minute: None,
        };
        KeyRecord::new(secret, new)
    }

    #[test]
    fn a_key_is_found_and_one_with_the_same_id_and_another_secret_is_not() {
        let (own, other) = (
            SecretKey::generate().unwrap(),
            SecretKey::generate().unwrap(),
        );
        let ring = KeyRing::new(vec![record(&own, 60)], None);
        assert_eq!(ring.find(&own).unwrap().record.id, own.id());
        let forged = own.reveal()[..own.reveal().len() - 64].to_owned()
            + &other.reveal()[other.reveal().len() - 64..];
        for wrong in [other.reveal(), &forged] {
            let error = ring.find(&SecretKey::parse(wrong).unwrap()).unwrap_err();
            assert_eq!(error.code(), ErrorCode::KeyInvalid);
            assert_eq!(error.detail(), unknown().detail());
        }
    }

    #[test]
    fn a_key_ends_at_its_time() {
        let own = SecretKey::generate().unwrap();
        let ring = KeyRing::new(vec![record(&own, -1)], None);
        assert_eq!(ring.find(&own).unwrap_err().code(), ErrorCode::KeyExpired);
    }

    #[test]
    fn reading_the_file_again_gives_no_new_budget_unless_it_is_another_one() {
        let own = SecretKey::generate().unwrap();
        let first = KeyRing::new(vec![record(&own, 60)], None);
        let again = KeyRing::new(vec![record(&own, 90)], Some(&first));
        let budget = |ring: &KeyRing| Arc::clone(&ring.find(&own).unwrap().budget);
        assert!(Arc::ptr_eq(&budget(&first), &budget(&again)));
        let mut changed = record(&own, 90);
        changed.key.max_requests_per_minute = 61.try_into().ok();
        let changed = KeyRing::new(vec![changed], Some(&again));
        assert!(!Arc::ptr_eq(&budget(&again), &budget(&changed)));
    }
}
