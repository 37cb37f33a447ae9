//! Opening a store: either it holds exactly what was stored, or it is refused.

use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use super::census::{Pace, read_all};
use super::contents_check::{DueCheck, compared, log_read};
use super::durability::Durability;
use super::engine::{Engine, open_sled};
use super::guard::guard;
use super::key::{Key, KeyRange};
use super::pending::Pending;
use super::progress::Progress;
use super::staging::decided_changes;
use super::tally::{Contents, Tally};
use super::turns::Turns;
use super::watermark::{Found, Watermark};
use super::{ContentCheck, FORMAT_VERSION, Store, StoreOptions, file_sync};
use crate::durable_files::{fsync_folder, fsync_tree_and_name};
use crate::lock_file::LockFile;
use crate::{Cancel, Error};

impl Store {
    /// Opens or makes the store in `folder`, which `lock` guards, and reads all of it, or leaves that to
    /// [`Self::check_contents`].
    ///
    /// # Errors
    /// A damaged store, whether sled says so, panics, or gives back something else than was
    /// stored.
    pub(crate) fn open(
        folder: &Path,
        options: StoreOptions,
        lock: LockFile,
    ) -> Result<Self, Error> {
        file_sync::check(folder)?;
        let found = Watermark::read(folder)?;
        let Opened { db, contents, due } = opened(folder, options, found)?;
        let sequence = contents.tally.sequence;
        let watermark = watermark(folder, found, sequence)?;
        let progress = Arc::new(Progress::default());
        let engine = Engine::new(db, folder, watermark, Arc::clone(&progress))?;
        let store = Self {
            engine: RwLock::new(Arc::new(engine)),
            options,
            durability: Durability::after(sequence),
            turns: Turns::default(),
            pending: Pending::default(),
            staging: Mutex::default(),
            progress,
            check: due.map_or_else(DueCheck::default, DueCheck::of),
            contents: Mutex::new(contents),
            lock,
        };
        if due.is_none() {
            store.finish_staged()?;
        }
        Ok(store)
    }

    /// Goes on with what is left of a store that has lost its last writes; how many.
    ///
    /// # Errors
    /// Any other damage.
    pub(crate) fn accept_loss(folder: &Path, _lock: &LockFile) -> Result<u64, Error> {
        file_sync::check(folder)?;
        let acknowledged = Watermark::read(folder)?.and_then(|found| found.sequence);
        let db = open_db(folder, 16 << 20, None)?;
        let sequence = read_whole(folder, &db, None)?.tally.sequence;
        drop(Watermark::create(folder, sequence)?);
        Ok(acknowledged.unwrap_or_default().saturating_sub(sequence))
    }
}

/// A database with what it holds.
struct Opened {
    db: sled::Db,
    contents: Contents,
    /// What it should hold, if that has not been looked at.
    due: Option<Tally>,
}

fn opened(folder: &Path, options: StoreOptions, found: Option<Found>) -> Result<Opened, Error> {
    let db = open_db(folder, options.cache_bytes, found)?;
    let due = match options.check {
        ContentCheck::BeforeReads => None,
        ContentCheck::BeforeWrites => readable_tally(folder, &db, found)?,
    };
    let contents = match due {
        Some(tally) => Contents::uncounted(tally),
        None => read_whole(folder, &db, found)?,
    };
    Ok(Opened { db, contents, due })
}

fn open_db(folder: &Path, cache_bytes: u64, found: Option<Found>) -> Result<sled::Db, Error> {
    if found.is_some_and(|found| found.is_in_doubt) {
        forget_cached(folder)?;
    }
    remove_unfinished_snapshots(folder)?;
    let db = open_sled(folder, cache_bytes)?;
    // Opening renames and removes files.
    fsync_tree_and_name(folder)?;
    Ok(db)
}

/// The tally of a store that may be read before it has been compared with it; `None` if there is
/// anything to put right first. Nothing that was acknowledged is missing at its end.
fn readable_tally(
    folder: &Path,
    db: &sled::Db,
    found: Option<Found>,
) -> Result<Option<Tally>, Error> {
    let stored = |key: &[u8]| guard(folder, || db.get(key));
    // An older format is written to when it is opened.
    let format = stored(Key::format_version().as_bytes())?;
    if format.is_none_or(|format| format != FORMAT_VERSION.to_le_bytes()) {
        return Ok(None);
    }
    let mut staged = db.range(KeyRange::staged().bounds());
    if guard(folder, || staged.next().transpose())?.is_some() {
        return Ok(None);
    }
    let Some(acknowledged) = found.filter(|found| !found.is_in_doubt) else {
        return Ok(None);
    };
    let tally = stored(Key::tally().as_bytes())?.and_then(|bytes| Tally::from_bytes(&bytes));
    let acknowledged = acknowledged.sequence;
    let has_all = |tally: &Tally| acknowledged.is_some_and(|number| number <= tally.sequence);
    Ok(tally.filter(has_all))
}

/// Reads everything.
///
/// # Errors
/// What is not as it was stored.
fn read_whole(folder: &Path, db: &sled::Db, found: Option<Found>) -> Result<Contents, Error> {
    let started = Instant::now();
    let census = read_all(folder, db, &Cancel::default(), Pace::Alone)?;
    let stored = census.stored;
    let counted = with_decided(folder, db, census.counted)?;
    log_read(&counted, started);
    let tally = stored.unwrap_or_else(|| Tally::empty(0));
    let acknowledged = found.and_then(|found| found.sequence).unwrap_or_default();
    if tally.sequence < acknowledged {
        return Err(Error::LostWrites {
            path: folder.to_owned(),
            stored: tally.sequence,
            acknowledged,
        });
    }
    let Some(stored) = stored else {
        // Nothing was ever written, or an older format.
        guard(folder, || {
            db.insert(Key::tally().as_bytes(), counted.tally.to_bytes())
        })?;
        return Ok(counted);
    };
    compared(folder, stored, counted)
}

/// What a store holds once a large batch that was decided has been applied.
fn with_decided(folder: &Path, db: &sled::Db, counted: Contents) -> Result<Contents, Error> {
    let stored = |key: &[u8]| guard(folder, || db.get(key));
    match decided_changes(folder, |key| stored(key.as_bytes()))? {
        Some(changes) => counted.after(&changes, stored),
        None => Ok(counted),
    }
}

/// The watermark of a store that holds everything up to `sequence`.
fn watermark(folder: &Path, found: Option<Found>, sequence: u64) -> Result<Watermark, Error> {
    match found {
        Some(found) if found.sequence.is_some() && !found.is_in_doubt => {
            Ok(Watermark::open(folder, found)?)
        }
        other => {
            if other.is_some_and(|found| found.sequence.is_none())
                || (other.is_none() && sequence > 0)
            {
                let path = Watermark::path(folder);
                tracing::warn!(path = %path.display(), "this file was missing or damaged and is made anew");
            }
            Ok(Watermark::create(folder, sequence)?)
        }
    }
}

/// A snapshot of its page table that sled was killed over. sled would take it for a whole one.
fn remove_unfinished_snapshots(folder: &Path) -> Result<(), Error> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs_err::remove_file(&path)?;
        }
    }
    Ok(fsync_folder(folder)?)
}

/// After an fsync has failed, the system's cache may hold what is not on the disk, and would not
/// write it again. What is read from now on is what the disk has.
#[cfg(target_os = "linux")]
fn forget_cached(folder: &Path) -> Result<(), Error> {
    use rustix::fs::{Advice, fadvise};
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let file = fs_err::File::open(entry.path())?;
            fadvise(file.file(), 0, None, Advice::DontNeed).map_err(std::io::Error::from)?;
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn forget_cached(_folder: &Path) -> Result<(), Error> {
    Ok(())
}
