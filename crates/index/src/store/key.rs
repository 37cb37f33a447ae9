//! Keys: a kind, then numbers in big-endian order, so that related records stand together.

use std::ops::Bound;

/// The internal number of a collection; never used twice in a data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CollectionId(pub(crate) u32);

/// The vector space of a collection. There is one so far; a second one is filled beside it when
/// the encoder changes.
pub(crate) const SPACE: u32 = 0;

const META: u8 = 0x01;
const COLLECTION: u8 = 0x02;
const COUNTERS: u8 = 0x03;
const DROPPED: u8 = 0x04;
const STAGED: u8 = 0x05;
const GENERATIONS: u8 = 0x06;
const FEEDBACK: u8 = 0x07;
const ALIAS: u8 = 0x08;
const DOCUMENT: u8 = 0x10;
const BODY: u8 = 0x11;
const PASSAGE: u8 = 0x12;
const NUMBER: u8 = 0x13;
const JUDGEMENT: u8 = 0x14;
const VECTOR: u8 = 0x20;

/// Kinds of records that belong to one collection.
const OF_COLLECTION: [u8; 7] = [COUNTERS, DOCUMENT, BODY, PASSAGE, NUMBER, JUDGEMENT, VECTOR];

/// Kinds by their names, in the order of keys.
const SECTIONS: [(u8, &str); 13] = [
    (META, "meta"),
    (COLLECTION, "collections"),
    (COUNTERS, "counters"),
    (DROPPED, "dropped"),
    (GENERATIONS, "generations"),
    (FEEDBACK, "feedback"),
    (ALIAS, "aliases"),
    (DOCUMENT, "documents"),
    (BODY, "bodies"),
    (PASSAGE, "passages"),
    (NUMBER, "numbers"),
    (JUDGEMENT, "judgements"),
    (VECTOR, "vectors"),
];

/// Bytes of a query's hash.
pub(crate) const QUERY_HASH_BYTES: usize = 16;

/// A key of the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(Vec<u8>);

/// A range of keys.
#[derive(Debug, Clone)]
pub(crate) struct KeyRange {
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
}

impl Key {
    pub(crate) fn format_version() -> Self {
        Self(vec![META, b'f'])
    }

    pub(crate) fn encoder() -> Self {
        Self(vec![META, b'e'])
    }

    /// Count and sum of all other entries; the store keeps it by itself.
    pub(super) fn tally() -> Self {
        Self(vec![META, b't'])
    }

    pub(crate) fn next_collection() -> Self {
        Self(vec![META, b'c'])
    }

    pub(crate) fn collection(name: &str) -> Self {
        Self([&[COLLECTION], name.as_bytes()].concat())
    }

    /// The generations of a collection beside the active one.
    pub(crate) fn generations(name: &str) -> Self {
        Self([&[GENERATIONS], name.as_bytes()].concat())
    }

    /// The feedback about the documents of a collection, as a whole.
    pub(crate) fn feedback(name: &str) -> Self {
        Self([&[FEEDBACK], name.as_bytes()].concat())
    }

    /// Another name of a collection.
    pub(crate) fn alias(name: &str) -> Self {
        Self([&[ALIAS], name.as_bytes()].concat())
    }

    pub(crate) fn counters(collection: CollectionId) -> Self {
        Self::of(COUNTERS, collection)
    }

    pub(crate) fn dropped(collection: CollectionId) -> Self {
        Self::of(DROPPED, collection)
    }

    /// Says that a large batch has been staged whole.
    pub(super) fn staged() -> Self {
        Self(vec![STAGED])
    }

    /// Returns whether it belongs to a large batch that has not been applied.
    pub(super) fn is_staged(key: &[u8]) -> bool {
        key.first() == Some(&STAGED)
    }

    /// A piece of a large batch.
    pub(super) fn staged_piece(piece: u32) -> Self {
        Self::staged().then(&piece.to_be_bytes())
    }

    pub(crate) fn document(collection: CollectionId, id: &str) -> Self {
        Self::of(DOCUMENT, collection).then(id.as_bytes())
    }

    pub(crate) fn body(collection: CollectionId, document: u32, piece: u32) -> Self {
        Self::of(BODY, collection)
            .then(&document.to_be_bytes())
            .then(&piece.to_be_bytes())
    }

    pub(crate) fn passage(collection: CollectionId, passage: u32) -> Self {
        Self::of(PASSAGE, collection).then(&passage.to_be_bytes())
    }

    pub(crate) fn number(collection: CollectionId, document: u32) -> Self {
        Self::of(NUMBER, collection).then(&document.to_be_bytes())
    }

    pub(crate) fn vector(collection: CollectionId, passage: u32, piece: u32) -> Self {
        Self::of(VECTOR, collection)
            .then(&SPACE.to_be_bytes())
            .then(&passage.to_be_bytes())
            .then(&piece.to_be_bytes())
    }

    /// Whether a document is useful for a query, of which there is a hash. Feedback has a number as collections
    /// have, and of those numbers.
    pub(crate) fn judgement(
        feedback: CollectionId,
        document: &str,
        query: &[u8; QUERY_HASH_BYTES],
    ) -> Self {
        Self::judgements_of(feedback, document).then(query)
    }

    /// What all judgements of a document begin with. Its length stands before the id, so that none is the
    /// beginning of another.
    fn judgements_of(feedback: CollectionId, document: &str) -> Self {
        let length = document.len() as u16;
        Self::of(JUDGEMENT, feedback)
            .then(&length.to_be_bytes())
            .then(document.as_bytes())
    }

    /// The judgement at a place, as [`Self::judgement_place`] has it; `None` for what is none.
    pub(crate) fn judgement_at(feedback: CollectionId, place: &[u8]) -> Option<Self> {
        let key = Self::of(JUDGEMENT, feedback).then(place);
        let document = key.judged_document()?;
        (key.0.len() == 7 + document.len() + QUERY_HASH_BYTES).then_some(key)
    }

    /// Where a judgement stands among those of its collection.
    pub(crate) fn judgement_place(&self) -> Option<&[u8]> {
        self.0.get(5..)
    }

    /// The document's id in the key of a judgement.
    pub(crate) fn judged_document(&self) -> Option<&str> {
        let length = u16::from_be_bytes(self.0.get(5..7)?.try_into().ok()?);
        std::str::from_utf8(self.0.get(7..7 + usize::from(length))?).ok()
    }

    /// What the key's kind is called in a snapshot; `None` for a kind that is not known here.
    pub(crate) fn section(&self) -> Option<&'static str> {
        let kind = self.0.first()?;
        let known = SECTIONS.iter().find(|(known, _)| known == kind);
        known.map(|(_, name)| *name)
    }

    /// The collection's number in the key of a document or a passage.
    pub(crate) fn collection_id(&self) -> Option<CollectionId> {
        let number = self.0.get(1..5)?.try_into().ok()?;
        Some(CollectionId(u32::from_be_bytes(number)))
    }

    fn of(kind: u8, collection: CollectionId) -> Self {
        Self([&[kind][..], &collection.0.to_be_bytes()].concat())
    }

    fn then(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name in a collection's key.
    pub(crate) fn collection_name(&self) -> Option<&str> {
        std::str::from_utf8(self.0.strip_prefix(&[COLLECTION])?).ok()
    }

    /// The name in an alias's key.
    pub(crate) fn alias_name(&self) -> Option<&str> {
        std::str::from_utf8(self.0.strip_prefix(&[ALIAS])?).ok()
    }

    /// The number in the key of a dropped collection.
    pub(crate) fn dropped_collection(&self) -> Option<CollectionId> {
        let bytes = self.0.strip_prefix(&[DROPPED])?;
        Some(CollectionId(u32::from_be_bytes(bytes.try_into().ok()?)))
    }

    /// The document's id in its key.
    pub(crate) fn document_id(&self) -> Option<&str> {
        std::str::from_utf8(self.0.get(5..)?).ok()
    }

    /// The passage's number in its key.
    pub(crate) fn passage_number(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.0.get(5..9)?.try_into().ok()?))
    }

    /// The document's number in the key of a piece of its body.
    pub(crate) fn body_document(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.0.get(5..9)?.try_into().ok()?))
    }

    /// Passage and piece in a vector's key.
    pub(crate) fn vector_place(&self) -> Option<(u32, u32)> {
        let number = |range: std::ops::Range<usize>| {
            Some(u32::from_be_bytes(self.0.get(range)?.try_into().ok()?))
        };
        Some((number(9..13)?, number(13..17)?))
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl KeyRange {
    /// All keys after this one, or all there are.
    pub(super) fn after(key: Option<&[u8]>) -> Self {
        Self {
            start: key.map_or(Bound::Unbounded, |key| Bound::Excluded(key.to_vec())),
            end: Bound::Unbounded,
        }
    }

    pub(crate) fn everything() -> Self {
        Self {
            start: Bound::Unbounded,
            end: Bound::Unbounded,
        }
    }

    pub(crate) fn collections() -> Self {
        Self::prefix(&[COLLECTION])
    }

    pub(crate) fn aliases() -> Self {
        Self::prefix(&[ALIAS])
    }

    pub(crate) fn dropped() -> Self {
        Self::prefix(&[DROPPED])
    }

    /// Everything that belongs to a large batch.
    pub(super) fn staged() -> Self {
        Self::prefix(&[STAGED])
    }

    /// Documents in the order of their ids, after one of them.
    pub(crate) fn documents_after(collection: CollectionId, after: Option<&str>) -> Self {
        let mut range = Self::prefix(Key::of(DOCUMENT, collection).as_bytes());
        if let Some(id) = after {
            range.start = Bound::Excluded(Key::document(collection, id).0);
        }
        range
    }

    /// All judgements of feedback, or those of one document.
    pub(crate) fn judgements(feedback: CollectionId, document: Option<&str>) -> Self {
        match document {
            Some(document) => Self::prefix(Key::judgements_of(feedback, document).as_bytes()),
            None => Self::prefix(Key::of(JUDGEMENT, feedback).as_bytes()),
        }
    }

    /// Those after a key; `None` when it is not within the range.
    pub(crate) fn after_key(mut self, key: &Key) -> Option<Self> {
        let bounds = (self.start.clone(), self.end.clone());
        if !std::ops::RangeBounds::contains(&bounds, &key.0) {
            return None;
        }
        self.start_after(key);
        Some(self)
    }

    /// Pieces of bodies in the order of their documents' numbers, from one on.
    pub(crate) fn bodies_from(collection: CollectionId, first: u32) -> Self {
        let range = Self::prefix(Key::of(BODY, collection).as_bytes());
        range.starting_at(&Key::body(collection, first, 0))
    }

    /// Passages from a number on.
    pub(crate) fn passages_from(collection: CollectionId, first: u32) -> Self {
        let range = Self::prefix(Key::of(PASSAGE, collection).as_bytes());
        range.starting_at(&Key::passage(collection, first))
    }

    /// Vectors of passages from a number on.
    pub(crate) fn vectors_from(collection: CollectionId, first: u32) -> Self {
        let space = Key::of(VECTOR, collection).then(&SPACE.to_be_bytes());
        Self::prefix(space.as_bytes()).starting_at(&Key::vector(collection, first, 0))
    }

    pub(crate) fn vector(collection: CollectionId, passage: u32) -> Self {
        let key = Key::of(VECTOR, collection).then(&SPACE.to_be_bytes());
        Self::prefix(key.then(&passage.to_be_bytes()).as_bytes())
    }

    /// Everything that belongs to a collection.
    pub(crate) fn of_collection(collection: CollectionId) -> impl Iterator<Item = Self> {
        OF_COLLECTION
            .into_iter()
            .map(move |kind| Self::prefix(Key::of(kind, collection).as_bytes()))
    }

    fn starting_at(mut self, first: &Key) -> Self {
        self.start = Bound::Included(first.0.clone());
        self
    }

    fn prefix(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        // The next prefix of the same length; kinds are below 0xff, so there always is one.
        while end.last() == Some(&0xff) {
            end.pop();
        }
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Self {
            start: Bound::Included(prefix.to_vec()),
            end: Bound::Excluded(end),
        }
    }

    pub(super) fn bounds(&self) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        (self.start.clone(), self.end.clone())
    }

    pub(super) fn key_bounds(&self) -> (Bound<Key>, Bound<Key>) {
        (self.start.clone().map(Key), self.end.clone().map(Key))
    }

    /// Leaves out what comes before a key, and the key.
    pub(super) fn start_after(&mut self, key: &Key) {
        self.start = Bound::Excluded(key.0.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLLECTION_ID: CollectionId = CollectionId(0x0001_00ff);

    #[test]
    fn keys_sort_by_their_numbers() {
        let keys: Vec<Key> = [1, 255, 256, 70_000]
            .map(|passage| Key::passage(COLLECTION_ID, passage))
            .into();
        assert!(keys.is_sorted());
    }

    #[test]
    fn keys_give_back_what_they_were_made_of() {
        assert_eq!(Key::collection("né").collection_name(), Some("né"));
        assert_eq!(Key::alias("né").alias_name(), Some("né"));
        assert_eq!(
            Key::document(COLLECTION_ID, "a/b").document_id(),
            Some("a/b")
        );
        assert_eq!(Key::passage(COLLECTION_ID, 7).passage_number(), Some(7));
        assert_eq!(Key::body(COLLECTION_ID, 7, 2).body_document(), Some(7));
        assert_eq!(
            Key::vector(COLLECTION_ID, 7, 2).vector_place(),
            Some((7, 2))
        );
        assert_eq!(
            Key::dropped(COLLECTION_ID).dropped_collection(),
            Some(COLLECTION_ID)
        );
        let judgement = Key::judgement(COLLECTION_ID, "a/b", &[0xff; QUERY_HASH_BYTES]);
        assert_eq!(judgement.judged_document(), Some("a/b"));
        let place = judgement.judgement_place().unwrap();
        assert_eq!(
            Key::judgement_at(COLLECTION_ID, place),
            Some(judgement.clone())
        );
        assert_eq!(Key::judgement_at(COLLECTION_ID, &place[1..]), None);
    }

    #[test]
    fn a_range_holds_its_collection_and_no_other() {
        let range = KeyRange::passages_from(COLLECTION_ID, 0).bounds();
        let within = |key: &Key| std::ops::RangeBounds::contains(&range, &key.0);
        assert!(within(&Key::passage(COLLECTION_ID, u32::MAX)));
        assert!(!within(&Key::passage(CollectionId(COLLECTION_ID.0 + 1), 0)));
        assert!(!within(&Key::number(COLLECTION_ID, 0)));
    }

    #[test]
    fn judgements_of_a_document_are_no_others_whatever_its_id_is() {
        let range = || KeyRange::judgements(COLLECTION_ID, Some("a"));
        for (document, is_within) in [("a", true), ("a\0", false), ("aa", false), ("b", false)] {
            let key = Key::judgement(COLLECTION_ID, document, &[0; QUERY_HASH_BYTES]);
            assert_eq!(range().after_key(&key).is_some(), is_within, "{document:?}");
        }
    }
}
