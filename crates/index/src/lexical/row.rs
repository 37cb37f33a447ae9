//! One passage of a part, without its terms.

use std::ops::Range;

/// A passage. Rows stand in the order of passages, so those of one document stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) passage: u32,
    pub(super) document: u32,
    /// Words of the passage and its title.
    pub(super) words: u32,
    /// Of its terms.
    pub(super) checksum: u32,
}

/// The index of a passage.
pub(super) fn row_of(rows: &[Row], passage: u32) -> Option<usize> {
    rows.binary_search_by_key(&passage, |row| row.passage).ok()
}

/// The indexes of all passages of the document that has the one at `place`.
pub(super) fn rows_beside(rows: &[Row], place: usize) -> Range<usize> {
    let document = rows[place].document;
    let before = rows[..place].iter().rev();
    let after = rows[place..].iter();
    let own = |row: &&Row| row.document == document;
    place - before.take_while(own).count()..place + after.take_while(own).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_passages_of_a_document_stand_together() {
        let row = |(passage, document)| Row {
            passage,
            document,
            words: 0,
            checksum: 0,
        };
        let rows: Vec<Row> = [(2, 1), (5, 3), (6, 3), (7, 3), (9, 4)].map(row).into();
        assert_eq!(row_of(&rows, 6), Some(2));
        assert_eq!(row_of(&rows, 8), None);
        assert_eq!(rows_beside(&rows, 2), 1..4);
        assert_eq!(rows_beside(&rows, 0), 0..1);
        assert_eq!(rows_beside(&rows, 4), 4..5);
    }
}
