//! The folder with the segments of one collection.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::Manifest;
use super::segment::Segment;
use super::segment_list::SegmentList;
use super::snapshot::{SegmentsState, Snapshot};
use crate::durable_files::{folder_of, fsync_folder, remove_if_there};

const MANIFEST_FILE: &str = "manifest";
const SEGMENT_EXTENSION: &str = "segment";

/// Names of files, and what is written there.
#[derive(Debug)]
pub(crate) struct SegmentFolder {
    path: PathBuf,
    collection: u32,
}

/// What was found in a folder.
#[derive(Debug)]
pub(crate) struct FoundSegments {
    pub(crate) state: SegmentsState,
    /// Whether every segment that should be there is.
    pub(crate) is_complete: bool,
}

impl SegmentFolder {
    /// The folder of a collection below the folder of all segments. Nothing is made yet.
    pub(crate) fn new(all: &Path, collection: u32) -> Self {
        Self {
            path: all.join(collection.to_string()),
            collection,
        }
    }

    pub(crate) fn make(&self) -> std::io::Result<()> {
        fs_err::create_dir_all(&self.path)?;
        fsync_folder(folder_of(&self.path))
    }

    /// Opens what the manifest names, and says in the log what could not be opened. `None` when
    /// there is no manifest of this collection.
    pub(crate) fn open(&self, dimensions: usize) -> Option<FoundSegments> {
        let manifest = Manifest::read(&self.path.join(MANIFEST_FILE))?;
        if manifest.collection != self.collection {
            return None;
        }
        let files = manifest.files.iter();
        let segments: Vec<_> = files
            .filter_map(|file| self.open_segment(*file, dimensions))
            .map(Arc::new)
            .collect();
        Some(FoundSegments {
            is_complete: segments.len() == manifest.files.len(),
            state: SegmentsState {
                list: SegmentList {
                    version: 1,
                    end: manifest.end,
                    segments,
                },
                dead: manifest.dead,
                documents: manifest.documents,
                removed_passages: manifest.removed_passages,
            },
        })
    }

    fn open_segment(&self, file: u64, dimensions: usize) -> Option<Segment> {
        let path = self.segment_path(file);
        match Segment::open(&path) {
            Ok(segment) if segment.fits(self.collection, dimensions) => Some(segment),
            Ok(_) => {
                tracing::warn!(path = %path.display(), "a segment belongs elsewhere and is made anew");
                None
            }
            Err(damage) => {
                tracing::warn!(path = %path.display(), %damage, "a segment is made anew");
                None
            }
        }
    }

    /// Writes down which segments a snapshot has, and what is dead in them.
    pub(crate) fn remember(&self, snapshot: &Snapshot) -> std::io::Result<()> {
        let state = snapshot.segments_state();
        let segments = state.list.segments.iter();
        let manifest = Manifest {
            collection: self.collection,
            files: segments
                .filter_map(|segment| file_number(segment.path()))
                .collect(),
            end: state.list.end,
            removed_passages: state.removed_passages,
            dead: state.dead,
            documents: state.documents,
        };
        manifest.write(&self.path.join(MANIFEST_FILE))
    }

    /// The path of a file that is not there yet.
    pub(crate) fn new_segment_path(&self) -> std::io::Result<PathBuf> {
        let on_disk = self.files()?;
        let on_disk = on_disk.iter().filter_map(|path| file_number(path));
        // A number that is named stays taken, even when its file is gone.
        let named = Manifest::read(&self.path.join(MANIFEST_FILE));
        let named = named.map(|manifest| manifest.files).unwrap_or_default();
        let last = on_disk.chain(named).max();
        Ok(self.segment_path(last.map_or(0, |number| number + 1)))
    }

    /// Removes every file that is neither the manifest nor one of these segments.
    pub(crate) fn sweep(&self, list: &SegmentList) -> std::io::Result<()> {
        for path in self.files()? {
            let is_used = list.segments.iter().any(|segment| segment.path() == path);
            if !is_used && !path.ends_with(MANIFEST_FILE) {
                fs_err::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Removes the folder with everything in it.
    pub(crate) fn remove(&self) -> std::io::Result<()> {
        remove_if_there(&self.path)
    }

    fn segment_path(&self, number: u64) -> PathBuf {
        let name = number.to_string();
        self.path.join(name).with_extension(SEGMENT_EXTENSION)
    }

    fn files(&self) -> std::io::Result<Vec<PathBuf>> {
        let entries = fs_err::read_dir(&self.path)?;
        entries.map(|entry| Ok(entry?.path())).collect()
    }
}

fn file_number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}
