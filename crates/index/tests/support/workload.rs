//! Several writers, each with documents of its own, who keep a diary of what they began and what
//! was acknowledged.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "helpers of several tests, each of which uses some"
)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use siamese_index::{
    Cancel, Collection, DocumentDraft, DocumentWrite, Error, GenerationState, Index, IndexOptions,
    NewPassage, Progress, StoredDocument, StoredPassage, VectorPrecision, compact,
};

use super::{Dice, LONG_VERSIONS, document, open_at_once};

/// The data folder, and the diary, in the folder of a run.
pub(crate) const DATA: &str = "data";
pub(crate) const DIARY: &str = "diary";

const WRITERS: usize = 3;
const IDS_PER_WRITER: usize = 60;
const WRITES_PER_WRITER: usize = 60;
/// Not a document of any writer.
const OTHER_ID: usize = 1_000_000;

/// What is stored of a document: its version, and what a patch put into its metadata.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct State {
    version: usize,
    patched: Option<usize>,
}

/// One write: what becomes of each document it names.
pub(crate) type Change = Vec<(usize, Option<State>)>;

/// Runs for a while in `root`.
pub(crate) fn run(root: &Path, seed: u64) {
    let diary = fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(root.join(DIARY))
        .unwrap();
    let before = Story::read(&fs_err::read(root.join(DIARY)).unwrap());
    compact_while_closed(&root.join(DATA));
    let index = open_at_once(&root.join(DATA)).unwrap();
    before.check(&index).unwrap();
    let collection = index.collection("default").unwrap();
    let diary = Mutex::new(diary);
    let writing = AtomicUsize::new(WRITERS);
    std::thread::scope(|scope| {
        // In a store that is compacted all the time nothing gets old enough to be reclaimed.
        if (seed / 2).is_multiple_of(2) {
            scope.spawn(|| {
                while writing.load(Ordering::Acquire) > 0 {
                    index
                        .compact(&Cancel::default(), &Progress::default())
                        .unwrap();
                }
            });
        }
        // With compaction and without it, in a session that is killed and in others.
        if seed % 4 != 1 {
            scope.spawn(|| {
                while writing.load(Ordering::Acquire) > 0 {
                    change_generation(&index);
                }
            });
        }
        for writer in 0..WRITERS {
            let (index, collection, diary, writing) = (&index, &collection, &diary, &writing);
            scope.spawn(move || {
                let _done = Done(writing);
                let documents = of_writer(collection, writer);
                // What was in flight when the last session ended is known now, and durable.
                note(
                    diary,
                    &format!("s {writer} {}\n", to_text(&settled(&documents))),
                );
                write(index, diary, writer, documents, seed);
            });
        }
    });
}

/// Counts down, also when the writer fails.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// As the start does with a store that takes too much.
pub(crate) fn compact_while_closed(data: &Path) {
    let options = IndexOptions {
        min_free_disk_bytes: 0,
        ..IndexOptions::default()
    };
    match compact(data, &options) {
        Ok(_) | Err(Error::NoData { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// One more write, to see that writing goes on.
pub(crate) fn write_one(index: &Index) -> Result<(), Error> {
    let collection = index.collection("default")?;
    upsert(&collection, || vec![document(OTHER_ID, 1)])?;
    collection.writer().delete(&[format!("d{OTHER_ID}")])?;
    Ok(())
}

fn write(
    index: &Index,
    diary: &Mutex<fs_err::File>,
    writer: usize,
    mut documents: BTreeMap<usize, State>,
    seed: u64,
) {
    let mut dice = Dice(seed * 1000 + writer as u64);
    for _ in 0..WRITES_PER_WRITER {
        let change = next_change(&documents, writer, &mut dice);
        note(diary, &format!("b {writer} {}\n", to_text(&change)));
        apply(index, &documents, &change);
        note(diary, &format!("a {writer}\n"));
        apply_to(&mut documents, &change);
    }
}

fn apply_to(documents: &mut BTreeMap<usize, State>, change: &Change) {
    for (id, state) in change {
        match state {
            Some(state) => documents.insert(*id, *state),
            None => documents.remove(id),
        };
    }
}

/// Written with one call, so that a line is there whole.
fn note(diary: &Mutex<fs_err::File>, line: &str) {
    diary.lock().unwrap().write_all(line.as_bytes()).unwrap();
}

fn next_change(documents: &BTreeMap<usize, State>, writer: usize, dice: &mut Dice) -> Change {
    let first = writer * IDS_PER_WRITER;
    let kind = dice.below(20);
    if kind < 4 && !documents.is_empty() {
        let id = *documents.keys().nth(dice.below(documents.len())).unwrap();
        return vec![(id, None)];
    }
    if kind < 8 && !documents.is_empty() {
        let (id, state) = documents.iter().nth(dice.below(documents.len())).unwrap();
        let patched = Some(dice.below(1_000_000));
        return vec![(*id, Some(State { patched, ..*state }))];
    }
    // Now and then more than one of sled's segments.
    let count = match kind {
        19 => IDS_PER_WRITER / 2,
        _ => 1 + dice.below(4),
    };
    let start = dice.below(IDS_PER_WRITER - count + 1);
    let version = match kind {
        19 => LONG_VERSIONS * (1 + dice.below(100_000)),
        _ => 1 + dice.below(1_000_000),
    };
    let state = Some(State {
        version,
        patched: None,
    });
    (start..start + count).map(|n| (first + n, state)).collect()
}

fn apply(index: &Index, documents: &BTreeMap<usize, State>, change: &Change) {
    loop {
        // Generations come and go meanwhile.
        let collection = index.collection("default").unwrap();
        match try_apply(&collection, documents, change) {
            Err(Error::Stale { .. } | Error::CollectionNotFound { .. }) => {}
            applied => return applied.unwrap(),
        }
    }
}

fn try_apply(
    collection: &Collection,
    documents: &BTreeMap<usize, State>,
    change: &Change,
) -> Result<(), Error> {
    let (id, state) = change[0];
    match state {
        None => collection.writer().delete(&[format!("d{id}")]).map(drop),
        Some(State {
            version,
            patched: Some(patched),
        }) if documents.get(&id).is_some_and(|old| old.version == version) => {
            let patch = serde_json::from_value(json!({ "patched": patched })).unwrap();
            let name = format!("d{id}");
            let patched = collection
                .writer()
                .patch_metadata(&name, &patch, usize::MAX);
            patched.map(|patched| assert!(patched.is_some()))
        }
        Some(_) => upsert(collection, || {
            let writes = change.iter();
            let writes = writes.map(|(id, state)| document(*id, state.unwrap().version));
            writes.collect()
        }),
    }
}

/// Stores the same documents in all generations.
fn upsert(collection: &Collection, writes: impl Fn() -> Vec<DocumentWrite>) -> Result<(), Error> {
    let generations = collection.writer().generations()?;
    let writes: Vec<_> = generations.writers().map(|_| writes()).collect();
    generations.upsert(&writes).map(drop)
}

/// Makes a generation, fills it, activates it, and deletes the others; also those that a session before has
/// left.
fn change_generation(index: &Index) {
    let collection = index.collection("default").unwrap();
    let (mut settings, encoder) = (collection.settings(), collection.encoder());
    // One with the same settings would not be made.
    settings.graph.ef_search ^= 1;
    settings.graph.precision = match settings.graph.precision {
        VectorPrecision::Full => VectorPrecision::Compact,
        VectorPrecision::Compact => VectorPrecision::Full,
    };
    delete_others(index);
    let begun = index.begin_generation("default", &settings, &encoder);
    let number = begun.unwrap().number;
    while !index.finish_generation("default", number).unwrap() {
        let target = index.generation("default", number).unwrap().collection;
        let mut after = None;
        loop {
            let read = collection
                .reader()
                .list_whole(after.as_deref(), 9, usize::MAX, true);
            let read = read.unwrap();
            let Some((last, _)) = read.last() else { break };
            after = Some(last.id.clone());
            let writes: Vec<_> = read.into_iter().map(as_write).collect();
            target.writer().fill(collection.writer(), &writes).unwrap();
        }
        // What is paused is written to, and goes on.
        index.pause_generation("default", number).unwrap();
        index.resume_generation("default", number).unwrap();
    }
    index.activate_generation("default", number).unwrap();
    for name in ["live", "next"] {
        index.put_alias(name, "default").unwrap();
    }
    index.delete_alias("next").unwrap();
    delete_others(index);
}

fn as_write((stored, passages): (StoredDocument, Vec<StoredPassage>)) -> DocumentWrite {
    let passages = passages.into_iter().map(|passage| NewPassage {
        start: passage.start,
        end: passage.end,
        vector: passage.vector.unwrap(),
    });
    DocumentWrite {
        passages: Some(passages.collect()),
        draft: DocumentDraft {
            id: stored.id,
            title: stored.title,
            text: stored.text,
            metadata: stored.metadata,
        },
    }
}

fn delete_others(index: &Index) {
    for generation in index.generations("default").unwrap() {
        if generation.state != GenerationState::Active {
            index
                .delete_generation("default", generation.number)
                .unwrap();
        }
    }
}

/// What an index holds of a writer's documents.
fn of_writer(collection: &Collection, writer: usize) -> BTreeMap<usize, State> {
    let ids = ids_of(writer);
    ids.filter_map(|id| Some((id, stored(collection, id).unwrap()?)))
        .collect()
}

fn ids_of(writer: usize) -> std::ops::Range<usize> {
    writer * IDS_PER_WRITER..(writer + 1) * IDS_PER_WRITER
}

fn settled(documents: &BTreeMap<usize, State>) -> Change {
    let states = documents.iter();
    states.map(|(id, state)| (*id, Some(*state))).collect()
}

fn to_text(change: &Change) -> String {
    let one = |(id, state): &(usize, Option<State>)| match state {
        None => format!("{id}:-"),
        Some(State {
            version,
            patched: None,
        }) => format!("{id}:{version}"),
        Some(State {
            version,
            patched: Some(patched),
        }) => format!("{id}:{version}:{patched}"),
    };
    change.iter().map(one).collect::<Vec<_>>().join(",")
}

fn from_text(text: &str) -> Change {
    let one = |text: &str| {
        let mut parts = text.split(':');
        let id = parts.next().unwrap().parse().unwrap();
        let version = parts.next().unwrap().parse().ok();
        let patched = parts.next().map(|patched| patched.parse().unwrap());
        (id, version.map(|version| State { version, patched }))
    };
    let texts = text.split(',').filter(|text| !text.is_empty());
    texts.map(one).collect()
}

/// What the diary tells: what must be there, and for each writer what may be there as well.
#[derive(Debug, Default)]
pub(crate) struct Story {
    documents: BTreeMap<usize, State>,
    in_flight: BTreeMap<usize, Change>,
    acknowledged: usize,
}

impl Story {
    pub(crate) fn read(diary: &[u8]) -> Self {
        let mut story = Self::default();
        for line in std::str::from_utf8(diary).unwrap().lines() {
            let mut words = line.split(' ');
            let kind = words.next().unwrap();
            let writer = words.next().unwrap().parse().unwrap();
            let change = words.next().map(from_text);
            match kind {
                "b" => drop(story.in_flight.insert(writer, change.unwrap())),
                "a" => {
                    story.acknowledged += 1;
                    let change = story.in_flight.remove(&writer).unwrap();
                    apply_to(&mut story.documents, &change);
                }
                _ => {
                    story.in_flight.remove(&writer);
                    let own = ids_of(writer);
                    story.documents.retain(|id, _| !own.contains(id));
                    apply_to(&mut story.documents, &change.unwrap());
                }
            }
        }
        story
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.acknowledged == 0
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    /// Whether an index holds what was acknowledged, and of what was not all or nothing.
    pub(crate) fn check(&self, index: &Index) -> Result<(), String> {
        let collection = index
            .collection("default")
            .map_err(|error| error.to_string())?;
        let mut found = BTreeMap::new();
        for id in 0..WRITERS * IDS_PER_WRITER {
            if let Some(state) = stored(&collection, id)? {
                found.insert(id, state);
            }
        }
        let count = collection.stats().documents;
        if count != found.len() as u64 {
            return Err(format!(
                "{count} documents are counted, {} are there",
                found.len()
            ));
        }
        for writer in 0..WRITERS {
            self.check_writer(writer, &found)?;
        }
        check_generations(index, &found)
    }

    fn check_writer(&self, writer: usize, found: &BTreeMap<usize, State>) -> Result<(), String> {
        let ids = ids_of(writer);
        let part = |documents: &BTreeMap<usize, State>| -> BTreeMap<usize, State> {
            documents
                .range(ids.clone())
                .map(|(id, state)| (*id, *state))
                .collect()
        };
        let (found, acknowledged) = (part(found), part(&self.documents));
        if found == acknowledged {
            return Ok(());
        }
        let mut with_last = acknowledged.clone();
        if let Some(change) = self.in_flight.get(&writer) {
            apply_to(&mut with_last, change);
        }
        if found == with_last {
            return Ok(());
        }
        let wrong = ids
            .filter(|id| found.get(id) != acknowledged.get(id))
            .map(|id| {
                format!(
                    "d{id} is {:?}, was {:?}",
                    found.get(&id),
                    acknowledged.get(&id)
                )
            });
        Err(wrong.take(3).collect::<Vec<_>>().join("; "))
    }
}

/// Whether all generations hold the same, but for what one that is being filled lacks.
fn check_generations(index: &Index, active: &BTreeMap<usize, State>) -> Result<(), String> {
    for alias in index.aliases() {
        let found = index.generations(&alias.name);
        found.map_err(|error| format!("the alias {}: {error}", alias.name))?;
    }
    let generations = index.generations("default");
    for generation in generations.map_err(|error| error.to_string())? {
        let is_filling = generation.state.lacks_documents();
        for id in 0..WRITERS * IDS_PER_WRITER {
            let (own, expected) = (
                stored(&generation.collection, id)?,
                active.get(&id).copied(),
            );
            if own != expected && !(is_filling && own.is_none()) {
                let (number, state) = (generation.number, generation.state);
                return Err(format!(
                    "d{id} is {own:?} in generation {number} ({state:?}), and {expected:?} in the active one"
                ));
            }
        }
    }
    Ok(())
}

/// A document as it is stored; an error when it is not one whole version.
fn stored(collection: &Collection, id: usize) -> Result<Option<State>, String> {
    let name = format!("d{id}");
    let Some(found) = collection
        .reader()
        .get(&name)
        .map_err(|error| error.to_string())?
    else {
        return Ok(None);
    };
    let number = |field: &str| {
        found
            .metadata
            .get(field)?
            .as_u64()
            .map(|number| number as usize)
    };
    let version = number("version").ok_or("a document without a version")?;
    let patched = number("patched");
    let expected = document(id, version);
    let passages = collection
        .reader()
        .passages(&name, true)
        .map_err(|error| error.to_string())?;
    let passages = passages.ok_or_else(|| format!("{name} has no passages"))?;
    let own = expected.passages.unwrap();
    let vectors_fit = passages.iter().zip(&own).all(|(stored, own)| {
        let stored = stored.vector.as_deref().unwrap_or_default();
        let length = own
            .vector
            .iter()
            .map(|value| value * value)
            .sum::<f32>()
            .sqrt();
        stored.len() == own.vector.len()
            && stored
                .iter()
                .zip(&own.vector)
                .all(|(a, b)| (a - b / length).abs() < 1e-5)
    });
    let is_whole = found.text == expected.draft.text
        && found.title == expected.draft.title
        && passages.len() == own.len()
        && vectors_fit;
    if !is_whole {
        return Err(format!("{name} is there by half"));
    }
    Ok(Some(State { version, patched }))
}
