//! Ids for rows that have none of their own.
//!
//! An id is made of the file's path and the row's content, not of its number: another file at the
//! same path, such as tomorrow's export, then adds rows instead of replacing yesterday's. A row that
//! stands there twice is two documents, told apart by a number.

use std::collections::HashMap;

use super::seen_ids::hash;

/// Makes the ids of one file's rows.
#[derive(Debug)]
pub(super) struct RowIds {
    file: String,
    seen: HashMap<u64, u32>,
}

impl RowIds {
    pub(super) fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            seen: HashMap::new(),
        }
    }

    /// The id of the next row, whose content is `cells`: names and values in turns.
    pub(super) fn next(&mut self, cells: &[&str]) -> String {
        let hash = hash(cells);
        let times = self.seen.entry(hash).or_default();
        *times += 1;
        let row = match times {
            1 => format!("#{hash:016x}"),
            times => format!("#{hash:016x}-{times}"),
        };
        super::file_id::with_part(&self.file, &row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rows_id_depends_on_file_and_content_and_not_on_its_place() {
        let (mut one, mut two) = (RowIds::new("a.csv"), RowIds::new("a.csv"));
        let (first, second) = (one.next(&["text", "x"]), one.next(&["text", "y"]));
        assert_eq!(
            (two.next(&["text", "y"]), two.next(&["text", "x"])),
            (second, first.clone())
        );
        assert_ne!(RowIds::new("b.csv").next(&["text", "x"]), first);
        assert!(first.starts_with("a.csv#"), "{first}");
    }

    #[test]
    fn equal_rows_have_ids_of_their_own_that_stay_the_same() {
        let ids = || {
            let mut ids = RowIds::new("a.csv");
            [
                ids.next(&["text", "x"]),
                ids.next(&["text", "x"]),
                ids.next(&["text", "x"]),
            ]
        };
        assert_eq!(ids(), ids());
        let [one, two, three] = ids();
        assert!(one != two && two != three && one != three);
    }

    #[test]
    fn cells_are_not_run_together() {
        let mut ids = RowIds::new("a.csv");
        assert_ne!(ids.next(&["ab", "c"])[..22], ids.next(&["a", "bc"])[..22]);
    }
}
