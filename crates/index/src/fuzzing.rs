//! Ways in for the targets in `fuzz/`: segments as a start opens them, without the record beside them.
//!
//! Vectors in one file are opened by [`crate::SingleSegment`], snapshots by [`crate::verify_snapshot`].

use std::path::Path;

use roaring::RoaringBitmap;

use crate::lexical::{LexicalIndex, LexicalSegment};
use crate::segments::SegmentFolder;
use crate::vectors::{NoVectors, Scan, VectorSegment, VectorSpace};
use crate::{Error, WordQuery, WordSettings};

/// Passages that a search is asked for.
const LIMIT: usize = 8;

/// Opens the segments with a collection's words in the folder of all collections, and searches them. Returns the
/// passages that were found; `None` when nothing says which segments there are.
///
/// # Errors
/// A text without words, or a segment that cannot be read.
pub fn search_words(all: &Path, collection: u32, text: &str) -> Result<Option<Vec<u32>>, Error> {
    let query = WordQuery::new(text, WordSettings::default())?;
    let folder = SegmentFolder::<LexicalSegment>::new(all, collection);
    let Some(found) = folder.open() else {
        return Ok(None);
    };
    let passages = found.list.passages();
    let words = LexicalIndex::of_segments(found.list, &passages);
    let matches = words.scores(&query)?.matches(&passages, LIMIT, None);
    let best = matches.best.into_iter().map(|best| best.passage);
    Ok(Some(best.collect()))
}

/// The same of a collection's vectors, which have as many values as `query`.
pub fn search_vectors(all: &Path, collection: u32, query: &[f32]) -> Option<Vec<u32>> {
    let found = SegmentFolder::<VectorSegment>::new(all, collection).open()?;
    let dimensions = query.len();
    let mut segments = found.list.segments.iter();
    let fits = segments.all(|segment| segment.fits(collection, dimensions));
    let survivors = &found.manifest.survivors;
    if !fits || !found.is_complete() || !survivors.are_among(&found.list.passages()) {
        return None;
    }
    let space = VectorSpace::of_segments(dimensions, found.list, found.manifest.survivors);
    let search = |exact, allowed: Option<&RoaringBitmap>| {
        let scan = Scan {
            query,
            limit: LIMIT,
            min_score: None,
            collects_reaching: false,
            allowed,
            exact,
            ef: LIMIT,
            widens: true,
        };
        let Ok(scanned) = space.search(&scan, &NoVectors);
        scanned.best
    };
    let some = (0..LIMIT as u32).collect();
    search(true, None);
    search(false, Some(&some));
    let best = search(false, None).into_iter().map(|best| best.passage);
    Some(best.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DocumentDraft, DocumentWrite, EncoderIdentity, Index, IndexOptions, NewPassage};

    fn document(number: usize) -> DocumentWrite {
        let text = format!("lamp {number}");
        DocumentWrite {
            passages: Some(vec![NewPassage {
                start: 0,
                end: text.len(),
                vector: vec![1.0, number as f32],
            }]),
            draft: DocumentDraft {
                id: number.to_string(),
                title: None,
                text,
                metadata: crate::Metadata::new(),
            },
        }
    }

    #[test]
    fn segments_are_searched_as_they_lie_in_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let encoder = EncoderIdentity {
            id: "e".to_owned(),
            name: "n".to_owned(),
            dimensions: 2,
        };
        let options = IndexOptions {
            max_head_passages: 4,
            ..IndexOptions::default()
        };
        let index = Index::open(folder.path(), &encoder, &options).unwrap();
        let collection = index.collection("default").unwrap();
        let documents: Vec<_> = (0..8).map(document).collect();
        collection.writer().upsert(&documents).unwrap();
        assert!(index.settle());
        drop((collection, index));
        let all = folder.path().join("lexical");
        let of_collection = fs_err::read_dir(&all).unwrap().next().unwrap().unwrap();
        let number: u32 = of_collection.file_name().to_str().unwrap().parse().unwrap();
        let words = search_words(&all, number, "lamp").unwrap();
        assert_eq!(words.map(|found| found.len()), Some(8));
        assert_eq!(search_words(&all, number + 1, "lamp").unwrap(), None);
        let all = folder.path().join("segments");
        let vectors = search_vectors(&all, number, &[1.0, 0.0]);
        assert_eq!(vectors.unwrap()[0], 0);
        assert_eq!(search_vectors(&all, number, &[1.0]), None, "another length");
    }
}
