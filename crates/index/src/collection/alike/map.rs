//! Documents as points of a plane: those that are alike lie near to each other, as far as two dimensions can show that.

use std::num::NonZeroUsize;

use roaring::RoaringBitmap;

use super::{AlikeScope, Reader};
use crate::collection::documents::document;
use crate::filter::Filter;
use crate::vectors::PrincipalPlane;
use crate::{Cancel, Error, StoredDocument};

/// Which documents a map has.
#[derive(Debug, Clone)]
pub struct MapOptions {
    /// Leave out documents that do not pass.
    pub filter: Option<Filter>,
    /// Points at most. Of more documents, so many are taken evenly, in the order in which they were stored.
    pub max_points: NonZeroUsize,
}

/// A map of documents.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentMap {
    /// In the order in which the documents were stored.
    pub points: Vec<MapPoint>,
    /// Documents that pass, on the map or not.
    pub documents: u64,
    /// How much of all variance each direction of the map shows, 0 to 1.
    pub shares: [f64; 2],
}

/// Where a document is. [`Reader::read_point`] reads which one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MapPoint {
    /// Along the direction in which the documents differ most.
    pub x: f32,
    /// Along the next one.
    pub y: f32,
    document: u32,
}

impl Reader {
    /// Projects documents, each by the mean of its passages' vectors, onto the plane in which they differ most.
    ///
    /// # Errors
    /// [`Error::FilterTooBroad`], [`Error::Cancelled`], or a store that fails.
    pub fn map(&self, options: &MapOptions, cancel: &Cancel) -> Result<DocumentMap, Error> {
        let state = self.published.load().state.clone();
        let passing = self.sets(&state, &options.filter, &None)?.left;
        let rows = state.vectors.living();
        let shown = sample(&passing, options.max_points);
        let items = self.items(&rows, &shown, AlikeScope::Documents, cancel)?;
        drop(rows);
        let plane = PrincipalPlane::of(items.vectors(), cancel)?;
        let points = plane.points.iter().enumerate();
        Ok(DocumentMap {
            points: points
                .map(|(item, [x, y])| MapPoint {
                    x: *x,
                    y: *y,
                    document: items.side(item).document,
                })
                .collect(),
            documents: passing.len(),
            shares: plane.shares,
        })
    }

    /// Reads the document of a point, without its text; `None` when it has been replaced or deleted since.
    ///
    /// # Errors
    /// When the store fails.
    pub fn read_point(&self, point: &MapPoint) -> Result<Option<StoredDocument>, Error> {
        let Some(id) = self.document_id(point.document)? else {
            return Ok(None);
        };
        let found = self.consistent(&id, |record| self.body_without_text(record))?;
        let found = found.filter(|(record, _)| record.number == point.document);
        Ok(found.map(|(record, body)| document(&id, record, body)))
    }
}

/// At most so many of the documents, as far from each other as their number allows.
fn sample(documents: &RoaringBitmap, max: NonZeroUsize) -> RoaringBitmap {
    let (there, wanted) = (documents.len(), max.get() as u64);
    if there <= wanted {
        return documents.clone();
    }
    // Not above `there`, which is a number of documents and so below 2^32.
    let ranks = (0..wanted).map(|n| (n * there / wanted) as u32);
    ranks.filter_map(|rank| documents.select(rank)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_even_and_never_larger_than_wanted() {
        let documents: RoaringBitmap = (100..200).collect();
        let of = |max| sample(&documents, NonZeroUsize::new(max).unwrap());
        assert_eq!(of(1000), documents);
        assert_eq!(of(100), documents);
        assert_eq!(of(4).iter().collect::<Vec<_>>(), [100, 125, 150, 175]);
        assert_eq!(of(99).len(), 99);
    }
}
