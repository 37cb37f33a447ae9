//! Where the segments of collections are.

use std::path::{Path, PathBuf};

use crate::data_folder::{LEXICAL_FOLDER, SEGMENTS_FOLDER};
use crate::durable_files::remove_if_there;
use crate::lexical::LexicalSegment;
use crate::segments::SegmentFolder;
use crate::store::CollectionId;
use crate::vectors::VectorSegment;

/// Those of all collections of a data folder.
#[derive(Debug, Clone)]
pub(crate) struct SegmentFolders {
    vectors: PathBuf,
    words: PathBuf,
}

/// Those of one collection.
#[derive(Debug)]
pub(crate) struct Folders {
    pub(super) vectors: SegmentFolder<VectorSegment>,
    pub(super) words: SegmentFolder<LexicalSegment>,
}

impl SegmentFolders {
    pub(crate) fn below(data_folder: &Path) -> Self {
        Self {
            vectors: data_folder.join(SEGMENTS_FOLDER),
            words: data_folder.join(LEXICAL_FOLDER),
        }
    }

    pub(crate) fn of(&self, collection: CollectionId) -> Folders {
        Folders {
            vectors: SegmentFolder::new(&self.vectors, collection.0),
            words: SegmentFolder::new(&self.words, collection.0),
        }
    }

    /// Removes the segments of all collections.
    pub(crate) fn remove(&self) -> std::io::Result<()> {
        remove_if_there(&self.vectors)?;
        remove_if_there(&self.words)
    }

    /// Removes the segments of collections that are no more. What cannot be removed only takes up
    /// room.
    pub(crate) fn sweep(&self, collections: &[CollectionId]) {
        let used: Vec<String> = collections.iter().map(|id| id.0.to_string()).collect();
        // There are no such folders until segments have been made.
        let folders = [&self.vectors, &self.words].map(fs_err::read_dir);
        for entry in folders.into_iter().flatten().flatten().flatten() {
            let is_used = used.iter().any(|name| entry.file_name() == name.as_str());
            if !is_used && entry.path().is_dir() {
                fs_err::remove_dir_all(entry.path()).unwrap_or_else(|error| {
                    tracing::warn!(%error, "segments of a deleted collection were not removed");
                });
            }
        }
    }
}

impl Folders {
    /// Removes them with everything in them.
    pub(crate) fn remove(&self) -> std::io::Result<()> {
        self.vectors.remove()?;
        self.words.remove()
    }
}
