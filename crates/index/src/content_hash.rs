//! What tells whether a document is the same as the one stored.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{DocumentDraft, Metadata};

/// SHA-256 of what is encoded, and of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentHash {
    /// Title and text: equal means that the vectors are still right.
    pub encoded: [u8; 32],
    /// Title, text and metadata: equal means that nothing changes.
    pub whole: [u8; 32],
}

impl ContentHash {
    /// The hashes of a document.
    pub fn of(draft: &DocumentDraft) -> Self {
        let mut hasher = Sha256::new();
        // Absent and empty titles differ; the length keeps title and text apart.
        match &draft.title {
            Some(title) => {
                hasher.update([1]);
                hasher.update((title.len() as u64).to_le_bytes());
                hasher.update(title);
            }
            None => hasher.update([0]),
        }
        hasher.update(&draft.text);
        let encoded: [u8; 32] = hasher.finalize().into();
        let mut hasher = Sha256::new().chain_update(encoded);
        hash_object(&mut hasher, &draft.metadata);
        Self {
            encoded,
            whole: hasher.finalize().into(),
        }
    }
}

/// Hashes members in the order of their keys, whatever order they were written in.
fn hash_object(hasher: &mut Sha256, object: &Metadata) {
    let mut members: Vec<_> = object.iter().collect();
    members.sort_unstable_by_key(|(key, _)| *key);
    hasher.update([b'{']);
    for (key, value) in members {
        hasher.update((key.len() as u64).to_le_bytes());
        hasher.update(key);
        hash_value(hasher, value);
    }
    hasher.update([b'}']);
}

fn hash_value(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Object(object) => hash_object(hasher, object),
        Value::Array(items) => {
            hasher.update([b'[']);
            items.iter().for_each(|item| hash_value(hasher, item));
            hasher.update([b']']);
        }
        scalar => {
            let text = scalar.to_string();
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metadata;

    fn draft(title: Option<&str>, text: &str, metadata: &str) -> DocumentDraft {
        let metadata: Metadata = serde_json::from_str(metadata).unwrap();
        let title = title.map(ToOwned::to_owned);
        DocumentDraft {
            id: "x".to_owned(),
            title,
            text: text.to_owned(),
            metadata,
        }
    }

    #[test]
    fn metadata_changes_the_whole_but_not_what_is_encoded() {
        let one = ContentHash::of(&draft(None, "text", r#"{"a":1}"#));
        let two = ContentHash::of(&draft(None, "text", r#"{"a":2}"#));
        assert_eq!(one.encoded, two.encoded);
        assert_ne!(one.whole, two.whole);
    }

    #[test]
    fn a_word_moved_from_title_to_text_is_a_change() {
        let one = ContentHash::of(&draft(Some("a b"), "c", "{}"));
        let two = ContentHash::of(&draft(Some("a"), " bc", "{}"));
        assert_ne!(one.encoded, two.encoded);
    }

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let one = ContentHash::of(&draft(None, "text", r#"{"a":1,"b":2}"#));
        let two = ContentHash::of(&draft(None, "text", r#"{"b":2,"a":1}"#));
        assert_eq!(one, two);
    }
}
