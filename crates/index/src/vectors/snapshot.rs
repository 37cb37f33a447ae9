//! The vectors of a collection at one moment.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::chunk::{CHUNK_ROWS, Chunk, Row};
use super::top_k::TopK;

/// Dead rows below which a snapshot is not worth compacting.
const MIN_DEAD_ROWS_TO_COMPACT: u64 = 1024;

/// A vector to add.
#[derive(Debug)]
pub(crate) struct NewRow {
    pub(crate) passage: u32,
    pub(crate) document: u32,
    /// Of length 1.
    pub(crate) vector: Vec<f32>,
}

/// A document and its best passage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) document: u32,
    pub(crate) passage: u32,
    /// Cosine, -1 to 1.
    pub(crate) score: f32,
}

/// What a search wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scan<'a> {
    /// Of length 1.
    pub(crate) query: &'a [f32],
    pub(crate) limit: usize,
    pub(crate) min_score: Option<f32>,
    /// Passages that may be found; `None` allows all.
    pub(crate) allowed: Option<&'a RoaringBitmap>,
}

/// All vectors of a collection. Cloning copies pointers only.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    dimensions: usize,
    chunks: Vec<Arc<Chunk>>,
    /// Passages that are in a chunk and count no more.
    dead: RoaringBitmap,
    documents: u64,
    passages: u64,
}

impl Snapshot {
    pub(crate) fn empty(dimensions: usize) -> Self {
        let (chunks, dead) = (Vec::new(), RoaringBitmap::new());
        Self {
            dimensions,
            chunks,
            dead,
            documents: 0,
            passages: 0,
        }
    }

    /// Documents that are alive.
    pub(crate) fn documents(&self) -> u64 {
        self.documents
    }

    /// Passages that are alive.
    pub(crate) fn passages(&self) -> u64 {
        self.passages
    }

    /// Adds the passages of one document, which stand together.
    pub(crate) fn add_document(&mut self, rows: &[NewRow]) {
        self.documents += 1;
        self.passages += rows.len() as u64;
        for row in rows {
            self.push(Row {
                vector: &row.vector,
                passage: row.passage,
                document: row.document,
            });
        }
    }

    /// Takes away a document by the numbers of its passages.
    pub(crate) fn remove_document(&mut self, passages: std::ops::Range<u32>) {
        self.documents -= 1;
        self.passages -= passages.len() as u64;
        self.dead.insert_range(passages);
        if self.dead.len() >= MIN_DEAD_ROWS_TO_COMPACT && self.dead.len() > self.passages {
            self.compact();
        }
    }

    /// Scores every living passage and returns the best documents, best first, and how many
    /// documents reach the threshold.
    pub(crate) fn scan(&self, scan: &Scan<'_>) -> (Vec<Candidate>, u64) {
        let mut top = TopK::new(scan.limit);
        let mut matching = 0;
        let mut offer = |best: Candidate| {
            if scan.min_score.is_none_or(|min| best.score >= min) {
                matching += 1;
                top.offer(best);
            }
        };
        let mut current: Option<Candidate> = None;
        for row in self.living_rows() {
            if scan
                .allowed
                .is_some_and(|allowed| !allowed.contains(row.passage))
            {
                continue;
            }
            let score = row.score(scan.query);
            let candidate = Candidate {
                document: row.document,
                passage: row.passage,
                score,
            };
            match &mut current {
                // Passages of one document stand together.
                Some(best) if best.document == row.document => {
                    if score > best.score {
                        *best = candidate;
                    }
                }
                _ => {
                    if let Some(best) = current.replace(candidate) {
                        offer(best);
                    }
                }
            }
        }
        if let Some(best) = current {
            offer(best);
        }
        (top.into_sorted(), matching)
    }

    fn living_rows(&self) -> impl Iterator<Item = Row<'_>> {
        let rows = self
            .chunks
            .iter()
            .flat_map(|chunk| chunk.rows(self.dimensions));
        rows.filter(|row| self.dead.is_empty() || !self.dead.contains(row.passage))
    }

    fn push(&mut self, row: Row<'_>) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK_ROWS => Arc::make_mut(last).push(row),
            _ => {
                let mut chunk = Chunk::default();
                chunk.push(row);
                self.chunks.push(Arc::new(chunk));
            }
        }
    }

    /// Copies what lives into new chunks.
    fn compact(&mut self) {
        let mut compacted = Self::empty(self.dimensions);
        for row in self.living_rows() {
            compacted.push(row);
        }
        self.chunks = compacted.chunks;
        self.dead.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(passage: u32, document: u32, x: f32) -> NewRow {
        NewRow {
            passage,
            document,
            vector: vec![x, (1.0 - x * x).sqrt()],
        }
    }

    fn scan(snapshot: &Snapshot, limit: usize, min_score: Option<f32>) -> (Vec<u32>, u64) {
        let scan = Scan {
            query: &[1.0, 0.0],
            limit,
            min_score,
            allowed: None,
        };
        let (best, matching) = snapshot.scan(&scan);
        (
            best.iter().map(|candidate| candidate.document).collect(),
            matching,
        )
    }

    #[test]
    fn a_document_counts_once_by_its_best_passage() {
        let mut snapshot = Snapshot::empty(2);
        snapshot.add_document(&[row(0, 0, 0.1), row(1, 0, 0.9), row(2, 0, 0.2)]);
        snapshot.add_document(&[row(3, 1, 0.5)]);
        let all = Scan {
            query: &[1.0, 0.0],
            limit: 5,
            min_score: None,
            allowed: None,
        };
        let (best, matching) = snapshot.scan(&all);
        assert_eq!((best.len(), matching), (2, 2));
        assert_eq!((best[0].document, best[0].passage), (0, 1));
        assert_eq!(scan(&snapshot, 5, Some(0.6)), (vec![0], 1));
    }

    #[test]
    fn an_older_snapshot_does_not_see_what_came_later() {
        let mut newer = Snapshot::empty(2);
        newer.add_document(&[row(0, 0, 0.5)]);
        let older = newer.clone();
        newer.add_document(&[row(1, 1, 0.6)]);
        newer.remove_document(0..1);
        assert_eq!(scan(&older, 5, None).0, [0]);
        assert_eq!(scan(&newer, 5, None).0, [1]);
    }

    #[test]
    fn compaction_drops_dead_rows_and_changes_no_answer() {
        let mut snapshot = Snapshot::empty(2);
        for number in 0..5000 {
            snapshot.add_document(&[row(number, number, number as f32 / 5000.0)]);
        }
        for number in (0..5000).filter(|number| number % 5 != 0) {
            snapshot.remove_document(number..number + 1);
        }
        assert_eq!(snapshot.documents(), 1000);
        let rows: usize = snapshot.chunks.iter().map(|chunk| chunk.len()).sum();
        assert!(rows < 2500, "{rows} rows for 1000 passages");
        assert_eq!(scan(&snapshot, 3, None), (vec![4995, 4990, 4985], 1000));
    }
}
