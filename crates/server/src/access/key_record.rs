//! What the file of keys says of one key.

use std::num::NonZeroU32;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::key::{KeyHash, SecretKey};
use super::key_collections::KeyCollections;
use super::scope::Scope;

/// The longest name of a key, bytes.
const MAX_NAME_BYTES: usize = 64;

/// A key to make.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub scopes: Vec<Scope>,
    /// Which collections it is for.
    pub collections: KeyCollections,
    /// When it ends to be one; never without this.
    pub expires_at: Option<Timestamp>,
    /// Requests in a minute; as many as the service takes without this.
    pub max_requests_per_minute: Option<NonZeroU32>,
    /// Tokens that are encoded in a minute; as many as the service takes without this.
    pub max_tokens_per_minute: Option<NonZeroU32>,
}

/// A key as it is kept: everything but the key itself.
#[derive(Debug, Clone)]
pub struct KeyRecord {
    /// The part of the key that says which one it is.
    pub id: String,
    /// What was said of it when it was made.
    pub key: NewKey,
    /// When it was made.
    pub created_at: Timestamp,
    pub(super) hash: KeyHash,
}

/// The same as it stands in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenKey {
    id: String,
    name: String,
    sha256: String,
    scopes: Vec<Scope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    collections: Option<Vec<String>>,
    created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_requests_per_minute: Option<NonZeroU32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_tokens_per_minute: Option<NonZeroU32>,
}

impl NewKey {
    /// Looks at what no type says.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        // It stands in logs and in tables on a terminal.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
        let is_name = (1..=MAX_NAME_BYTES).contains(&self.name.len());
        if !is_name || !self.name.bytes().all(is_plain) {
            return Err(format!(
                "{:?} cannot be a key's name: 1 to {MAX_NAME_BYTES} letters, digits and '-', '_', '.', '@' are allowed",
                self.name
            ));
        }
        if self.scopes.is_empty() {
            return Err(format!("the key {:?} has no scope", self.name));
        }
        let is_bound = !self.collections.are_all();
        if is_bound && self.scopes.contains(&Scope::Metrics) {
            return Err(format!(
                "the key {:?} is for some collections, and the metrics are about all of them",
                self.name
            ));
        }
        Ok(())
    }
}

impl KeyRecord {
    pub(super) fn new(secret: &SecretKey, key: NewKey) -> Self {
        Self {
            id: secret.id().to_owned(),
            hash: secret.hash(),
            key,
            created_at: Timestamp::now(),
        }
    }

    /// Returns whether its time is over.
    pub fn is_expired(&self) -> bool {
        self.key
            .expires_at
            .is_some_and(|end| end <= Timestamp::now())
    }
}

impl From<&KeyRecord> for WrittenKey {
    fn from(record: &KeyRecord) -> Self {
        let key = &record.key;
        Self {
            id: record.id.clone(),
            name: key.name.clone(),
            sha256: record.hash.to_hex(),
            scopes: key.scopes.clone(),
            collections: key.collections.names().map(<[String]>::to_vec),
            created_at: record.created_at.to_string(),
            expires_at: key.expires_at.map(|end| end.to_string()),
            max_requests_per_minute: key.max_requests_per_minute,
            max_tokens_per_minute: key.max_tokens_per_minute,
        }
    }
}

impl TryFrom<WrittenKey> for KeyRecord {
    type Error = String;

    fn try_from(written: WrittenKey) -> Result<Self, String> {
        let name = written.name;
        let in_key = |detail: String| format!("in the key {name:?}, {detail}");
        let moment = |field: &str, text: &str| {
            text.parse::<Timestamp>().map_err(|_| {
                in_key(format!(
                    "{field} is {text:?}, and must be a time in RFC 3339"
                ))
            })
        };
        let hash = KeyHash::parse(&written.sha256)
            .ok_or_else(|| in_key("sha256 must have 64 hexadecimal digits".to_owned()))?;
        let collections = KeyCollections::new(written.collections);
        let collections = collections.map_err(|error| in_key(error.to_string()))?;
        let created_at = moment("created_at", &written.created_at)?;
        let end = written.expires_at.as_deref();
        let expires_at = end.map(|end| moment("expires_at", end)).transpose()?;
        let key = NewKey {
            name,
            scopes: written.scopes,
            collections,
            expires_at,
            max_requests_per_minute: written.max_requests_per_minute,
            max_tokens_per_minute: written.max_tokens_per_minute,
        };
        key.check()?;
        Ok(Self {
            id: written.id,
            key,
            created_at,
            hash,
        })
    }
}
