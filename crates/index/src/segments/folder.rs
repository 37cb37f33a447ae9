//! The folder with the segments of one index of a collection.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::list::{Segment, SegmentList, number_of};
use super::manifest::{self, Manifest};
use crate::durable_files::{folder_of, fsync_folder, remove_if_there};

const MANIFEST: &str = "manifest";

/// Names of files, and what is written there.
#[derive(Debug)]
pub(crate) struct SegmentFolder<S> {
    path: PathBuf,
    collection: u32,
    kind: PhantomData<fn() -> S>,
}

/// What was found in a folder.
#[derive(Debug)]
pub(crate) struct FoundSegments<S: Segment> {
    pub(crate) manifest: S::Manifest,
    pub(crate) list: SegmentList<S>,
}

impl<S: Segment> FoundSegments<S> {
    /// Returns whether every segment that should be there is.
    pub(crate) fn is_complete(&self) -> bool {
        self.list.segments.len() == self.manifest.numbers().count()
    }
}

impl<S: Segment> SegmentFolder<S> {
    /// The folder of a collection below the folder of all. Nothing is made yet.
    pub(crate) fn new(all: &Path, collection: u32) -> Self {
        Self {
            path: all.join(collection.to_string()),
            collection,
            kind: PhantomData,
        }
    }

    /// Number of the collection.
    pub(crate) fn collection(&self) -> u32 {
        self.collection
    }

    pub(crate) fn make(&self) -> std::io::Result<()> {
        fs_err::create_dir_all(&self.path)?;
        fsync_folder(folder_of(&self.path))
    }

    /// Opens what the manifest names, and says in the log what could not be opened. `None` when
    /// there is no manifest of this collection.
    pub(crate) fn open(&self) -> Option<FoundSegments<S>> {
        let manifest = self.remembered()?;
        let numbers = manifest.numbers().enumerate();
        let segments = numbers.filter_map(|(place, number)| {
            let path = self.segment_path(number);
            S::reopen(&path, &manifest, place)
                .inspect_err(|damage| {
                    tracing::warn!(path = %path.display(), %damage, "a segment is made anew");
                })
                .ok()
        });
        let segments = segments.map(Arc::new).collect();
        let list = SegmentList::found(segments, manifest.end());
        Some(FoundSegments { manifest, list })
    }

    /// What was remembered last; `None` when there is no manifest of this collection.
    fn remembered(&self) -> Option<S::Manifest> {
        manifest::read(&self.path.join(MANIFEST), self.collection)
    }

    /// Writes down which segments there are and what is to be known of them.
    pub(crate) fn remember(&self, manifest: &S::Manifest) -> std::io::Result<()> {
        manifest::write(&self.path.join(MANIFEST), self.collection, manifest)
    }

    /// Where a segment is.
    fn segment_path(&self, number: u64) -> PathBuf {
        let path = self.path.join(number.to_string());
        path.with_extension(S::EXTENSION)
    }

    /// Where a segment goes that is not there yet.
    pub(crate) fn new_segment_path(&self) -> std::io::Result<PathBuf> {
        let on_disk = self.entries()?;
        let on_disk = on_disk.iter().filter_map(|path| number_of(path));
        // A number that is named stays taken, even when its file is gone.
        let named = self.remembered();
        let named = named.iter().flat_map(Manifest::numbers);
        let last = on_disk.chain(named).max();
        Ok(self.segment_path(last.map_or(0, |number| number + 1)))
    }

    /// Removes everything that is neither the manifest nor one of these segments.
    pub(crate) fn sweep(&self, list: &SegmentList<S>) -> std::io::Result<()> {
        for path in self.entries()? {
            let is_used = list.segments.iter().any(|segment| segment.path() == path);
            if is_used || path.ends_with(MANIFEST) {
                continue;
            }
            if path.is_dir() {
                fs_err::remove_dir_all(path)?;
            } else {
                fs_err::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Removes the folder with everything in it.
    pub(crate) fn remove(&self) -> std::io::Result<()> {
        remove_if_there(&self.path)
    }

    fn entries(&self) -> std::io::Result<Vec<PathBuf>> {
        let entries = fs_err::read_dir(&self.path)?;
        entries.map(|entry| Ok(entry?.path())).collect()
    }
}
