//! Every file of a data folder is cut short, changed and deleted. The folder is then served exactly
//! as it was stored, or refused with a sentence; never with less in it, and never with a panic.
//!
//! `SIAMESE_DAMAGE_PLACES=500 cargo test -p siamese-index --test damage` changes more bytes.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests fail tests"
)]

mod support;

use std::path::{Path, PathBuf};

use siamese_index::{
    Collection, CollectionSettings, Error, GraphSettings, HealthCondition, Index, IndexOptions,
    VectorPrecision,
};
use support::{
    Contents, DIMENSIONS, Dice, contents, copy, document, encoder, open, open_at_once, setting,
};

#[derive(Debug, Clone, Copy)]
enum Damage {
    CutTo(usize),
    Flip(usize, u8),
    Delete,
}

impl Damage {
    fn inflict(self, file: &Path) {
        let mut bytes = fs_err::read(file).unwrap();
        match self {
            Self::CutTo(length) => bytes.truncate(length),
            Self::Flip(place, bits) => bytes[place] ^= bits,
            Self::Delete => return fs_err::remove_file(file).unwrap(),
        }
        fs_err::write(file, bytes).unwrap();
    }

    /// All damages of a file: the simple ones, and changes at random places.
    fn all(bytes: &[u8], dice: &mut Dice) -> Vec<Self> {
        let length = bytes.len();
        let mut all = vec![Self::Delete];
        if length == 0 {
            return all;
        }
        all.extend([0, length / 2, length - 1].map(Self::CutTo));
        all.extend([0, length - 1].map(|place| Self::Flip(place, 0x55)));
        // Where nothing but filling stands there is nothing to damage.
        let filling = |place: &usize| {
            let around = &bytes[place.saturating_sub(32)..(place + 32).min(length)];
            around.iter().all(|byte| *byte == around[0])
        };
        let mut places = 0;
        for _ in 0..setting("SIAMESE_DAMAGE_PLACES", 10) * 20 {
            let place = dice.below(length);
            if !filling(&place) && places < setting("SIAMESE_DAMAGE_PLACES", 10) {
                all.push(Self::Flip(place, 1 << dice.below(8)));
                places += 1;
            }
        }
        all
    }
}

/// Two collections with segments, dead passages and a head. What they hold at the end.
///
/// The store is not opened once more, so the last session is in sled's log only: sled writes
/// snapshots of its page table when it is opened.
fn fill(folder: &Path, sessions: usize) -> Vec<(String, Contents)> {
    for session in 0..sessions {
        let index = open(folder).unwrap();
        let settings = CollectionSettings {
            graph: GraphSettings {
                precision: VectorPrecision::Compact,
                ..GraphSettings::default()
            },
            ..CollectionSettings::default()
        };
        let (notes, _) = index.put_collection("notes", &settings).unwrap();
        let default = index.collection("default").unwrap();
        for n in 0..60 {
            let id = session * 25 + n;
            default
                .writer()
                .upsert(&[document(id, session + n)])
                .unwrap();
            if n.is_multiple_of(2) {
                notes.writer().upsert(&[document(id, n)]).unwrap();
            }
            if n.is_multiple_of(7) {
                let patch = serde_json::json!({ "patched": n });
                let patch = serde_json::from_value(patch).unwrap();
                default
                    .writer()
                    .patch_metadata(&format!("d{id}"), &patch, usize::MAX)
                    .unwrap();
            }
            if n.is_multiple_of(9) {
                default.writer().delete(&[format!("d{}", id / 2)]).unwrap();
            }
        }
        assert!(index.settle());
        default
            .writer()
            .upsert(&[document(1000 + session, 1)])
            .unwrap();
        if session + 1 == sessions {
            return contents(&index).unwrap();
        }
    }
    Vec::new()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
    found.sort();
}

/// What became of damaged folders.
#[derive(Debug, Default)]
struct Count {
    served: usize,
    refused: usize,
    /// Refused after it had been opened.
    found_later: usize,
}

fn check(folder: &Path, expected: &[(String, Contents)], what: &str, count: &mut Count) {
    let found = open(folder).and_then(|index| contents(&index));
    judge(folder, found, expected, what, count);
}

/// As [`check`], of a folder that is read before all of it has been compared.
fn check_at_once(folder: &Path, expected: &[(String, Contents)], what: &str, count: &mut Count) {
    let index = match open_at_once(folder) {
        Ok(index) => index,
        Err(error) => return judge(folder, Err(error), expected, what, count),
    };
    if index.check_contents().is_ok() {
        return judge(folder, contents(&index), expected, what, count);
    }
    assert!(
        index
            .conditions()
            .contains(&HealthCondition::StorageDamaged)
    );
    assert!(!index.settle(), "{what}: segments are made of it");
    let refused = |collection: &Collection| {
        let writer = collection.writer();
        let outcomes = [
            writer.upsert(&[document(9000, 1)]).map(drop),
            writer.delete(&["d1".to_owned()]).map(drop),
        ];
        outcomes.iter().any(Result::is_err)
    };
    let collections = index.collections();
    let are_refused = collections.iter().all(|collection| refused(collection));
    assert!(are_refused, "{what}: it is written to");
    drop((collections, index));
    match open_at_once(folder) {
        Ok(_) => panic!("{what}: it is opened although damage was found"),
        Err(error) => judge(folder, Err(error), expected, what, count),
    }
    count.found_later += 1;
}

fn judge(
    folder: &Path,
    found: Result<Vec<(String, Contents)>, Error>,
    expected: &[(String, Contents)],
    what: &str,
    count: &mut Count,
) {
    match found {
        Ok(found) => {
            assert!(found == expected, "{what}: something else is served");
            count.served += 1;
        }
        Err(error @ (Error::Corrupt { .. } | Error::LostWrites { .. })) => {
            let sentence = error.to_string();
            let is_helpful = sentence.contains(folder.to_str().unwrap())
                && sentence.contains("`siamese snapshot restore`")
                && !sentence.contains('\n');
            assert!(is_helpful, "{what}: {sentence}");
            count.refused += 1;
        }
        Err(error) => panic!("{what}: {error}"),
    }
}

type Check = fn(&Path, &[(String, Contents)], &str, &mut Count);

/// Damages every file of a folder in all ways, and looks what becomes of it: first so, then when all is
/// compared before it is read.
fn damage_everything(sessions: usize, first: Check) {
    let whole = tempfile::tempdir().unwrap();
    let expected = fill(whole.path(), sessions);
    let mut all_files = Vec::new();
    files(whole.path(), &mut all_files);
    let mut dice = Dice(setting("SIAMESE_DAMAGE_SEED", 1) as u64);
    for file in all_files {
        let name = file.strip_prefix(whole.path()).unwrap();
        let mut count = Count::default();
        for damage in Damage::all(&fs_err::read(&file).unwrap(), &mut dice) {
            let copied = tempfile::tempdir().unwrap();
            copy(whole.path(), copied.path());
            damage.inflict(&copied.path().join(name));
            let what = format!("{damage:?} of {}", name.display());
            first(copied.path(), &expected, &what, &mut count);
            // Opening must not have hidden the damage.
            check(
                copied.path(),
                &expected,
                &format!("{what}, once more"),
                &mut count,
            );
        }
        eprintln!("{}: {count:?}", name.display());
    }
}

#[test]
fn a_damaged_file_of_a_first_session_is_served_as_it_was_or_refused() {
    damage_everything(1, check);
}

#[test]
fn a_damaged_file_of_a_later_session_is_served_as_it_was_or_refused() {
    damage_everything(3, check);
}

#[test]
fn a_damaged_file_of_a_folder_that_is_read_at_once_is_served_as_it_was_or_refused() {
    damage_everything(3, check_at_once);
}

#[test]
fn damage_that_loading_does_not_meet_ends_writing_and_the_next_opening() {
    let folder = tempfile::tempdir().unwrap();
    // As many as need pages of their own for each kind of entry. Pages stay where they were written.
    let options = IndexOptions::default();
    let index = Index::open(folder.path(), &encoder(DIMENSIONS), &options).unwrap();
    let collection = index.collection("default").unwrap();
    for first in (5000..9000).step_by(100) {
        let writes: Vec<_> = (first..first + 100).map(|id| document(id, 1)).collect();
        collection.writer().upsert(&writes).unwrap();
    }
    assert!(index.settle());
    let expected = contents(&index).unwrap();
    drop((collection, index));
    // Now the store knows where everything stands in its log, and does not read it in a row.
    drop(open(folder.path()).unwrap());
    let db = folder.path().join("store/db");
    let mut bytes = fs_err::read(&db).unwrap();
    // Ids stand in keys of documents and under their numbers, neither of which is loaded.
    let places = bytes.windows(5).enumerate();
    let places = places.filter_map(|(place, id)| (id == b"d5321").then_some(place));
    let places: Vec<_> = places.collect();
    places.iter().for_each(|place| bytes[*place] ^= 1);
    fs_err::write(&db, bytes).unwrap();
    let mut count = Count::default();
    check_at_once(folder.path(), &expected, "an id is changed", &mut count);
    assert_eq!((count.found_later, count.refused), (1, 1), "{places:?}");
    check(folder.path(), &expected, "compared first", &mut count);
    assert_eq!(count.refused, 2);
}

#[test]
fn a_folder_is_read_at_once_and_closed_before_it_has_been_compared() {
    let folder = tempfile::tempdir().unwrap();
    let expected = fill(folder.path(), 2);
    for _ in 0..5 {
        // Whether it has been compared is left to chance.
        let index = open_at_once(folder.path()).unwrap();
        assert!(contents(&index).unwrap() == expected);
    }
    assert!(contents(&open(folder.path()).unwrap()).unwrap() == expected);
    let index = open_at_once(folder.path()).unwrap();
    index.check_contents().unwrap();
    assert!(!index.is_unchecked());
    assert_eq!(index.conditions(), []);
}

#[test]
fn a_lost_tail_is_given_up_by_command_only() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 2);
    let store = folder.path().join("store");
    let before = tempfile::tempdir().unwrap();
    copy(&store, before.path());
    let index = open(folder.path()).unwrap();
    let expected = contents(&index).unwrap();
    index
        .collection("default")
        .unwrap()
        .writer()
        .upsert(&[document(5000, 1)])
        .unwrap();
    assert!(index.settle());
    drop(index);
    let made_of_it = ["segments", "lexical"].map(|name| folder.path().join(name));
    assert!(made_of_it.iter().all(|path| path.exists()));
    // The note of what was acknowledged stays.
    fs_err::copy(
        store.join("acknowledged"),
        before.path().join("acknowledged"),
    )
    .unwrap();
    fs_err::remove_dir_all(&store).unwrap();
    copy(before.path(), &store);
    for _ in 0..2 {
        assert!(matches!(open(folder.path()), Err(Error::LostWrites { .. })));
    }
    assert_eq!(Index::accept_loss(folder.path()).unwrap(), 1);
    assert!(!made_of_it.iter().any(|path| path.exists()));
    assert!(contents(&open(folder.path()).unwrap()).unwrap() == expected);
}

#[test]
fn giving_up_a_tail_does_not_hide_another_damage() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 2);
    let store = folder.path().join("store");
    let snapshot = fs_err::read_dir(&store)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut snapshot = snapshot.filter(|path| path.to_str().unwrap().contains("snap."));
    Damage::CutTo(20).inflict(&snapshot.next().unwrap());
    assert!(matches!(open(folder.path()), Err(Error::Corrupt { .. })));
    let accepted = Index::accept_loss(folder.path());
    assert!(matches!(accepted, Err(Error::Corrupt { .. })));
}
