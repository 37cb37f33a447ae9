//! The folder with the lexical segments of one collection.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::{FileCheck, Manifest, NamedSegment};
use super::segment::{LexicalFailure, LexicalSegment};
use super::segment_list::LexicalSegmentList;
use crate::durable_files::{folder_of, fsync_folder, remove_if_there};

const MANIFEST_FILE: &str = "manifest";

/// Names of folders, and what is written there.
#[derive(Debug)]
pub(crate) struct LexicalFolder {
    path: PathBuf,
    collection: u32,
}

impl LexicalFolder {
    /// The folder of a collection below the folder of all. Nothing is made yet.
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

    /// Opens what the manifest names. `None` when there is no manifest of this collection or one
    /// of its segments is not as it was written: then all are made anew.
    pub(crate) fn open(&self) -> Option<LexicalSegmentList> {
        let manifest = Manifest::read(&self.manifest_path())?;
        if manifest.collection != self.collection {
            return None;
        }
        let mut segments = Vec::with_capacity(manifest.segments.len());
        for segment in manifest.segments {
            let path = self.segment_path(segment.number);
            match open(&path, segment.files) {
                Ok(segment) => segments.push(Arc::new(segment)),
                Err(damage) => {
                    tracing::warn!(path = %path.display(), %damage, "the lexical index is made anew");
                    return None;
                }
            }
        }
        let rows = segments.iter().flat_map(|segment| segment.rows());
        rows.is_sorted_by(|a, b| a.passage < b.passage)
            .then_some(LexicalSegmentList {
                version: 1,
                end: manifest.end,
                segments,
            })
    }

    /// Writes down which segments there are.
    pub(crate) fn remember(&self, list: &LexicalSegmentList) -> std::io::Result<()> {
        let segments = list.segments.iter().filter_map(|segment| {
            Some(NamedSegment {
                number: number(segment.folder())?,
                files: segment.files().to_vec(),
            })
        });
        let manifest = Manifest {
            collection: self.collection,
            end: list.end,
            segments: segments.collect(),
        };
        fsync_folder(&self.path)?;
        manifest.write(&self.manifest_path())
    }

    /// The path of a folder that is not there yet.
    pub(crate) fn new_segment_path(&self) -> std::io::Result<PathBuf> {
        let on_disk = self.entries()?;
        let on_disk = on_disk.iter().filter_map(|path| number(path));
        // A number that is named stays taken, even when its folder is gone.
        let named = Manifest::read(&self.manifest_path());
        let named = named.map(|manifest| manifest.segments).unwrap_or_default();
        let named = named.iter().map(|segment| segment.number);
        let last = on_disk.chain(named).max();
        Ok(self.segment_path(last.map_or(0, |number| number + 1)))
    }

    /// Removes everything that is neither the manifest nor one of these segments.
    pub(crate) fn sweep(&self, list: &LexicalSegmentList) -> std::io::Result<()> {
        for path in self.entries()? {
            let is_used = list.segments.iter().any(|segment| segment.folder() == path);
            if is_used || path == self.manifest_path() {
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

    fn manifest_path(&self) -> PathBuf {
        self.path.join(MANIFEST_FILE)
    }

    fn segment_path(&self, number: u64) -> PathBuf {
        self.path.join(number.to_string())
    }

    fn entries(&self) -> std::io::Result<Vec<PathBuf>> {
        let entries = fs_err::read_dir(&self.path)?;
        entries.map(|entry| Ok(entry?.path())).collect()
    }
}

fn open(path: &Path, files: Vec<FileCheck>) -> Result<LexicalSegment, LexicalFailure> {
    if FileCheck::all_in(path)? != files {
        let reason = "its files are not as they were written".to_owned();
        return Err(LexicalFailure::Damaged(reason));
    }
    LexicalSegment::open(path, files)
}

fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.parse().ok()
}
