//! Scores of every row with every column, computed as they are written.

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::answer::{Room, WrittenPieces};
use crate::error::ApiError;
use crate::routes::lines::{LineSource, written};
use crate::service::Compared;

/// Scores of a matrix that are computed between two looks at whether anyone still reads them.
const SCORES_PER_STEP: usize = 8192;

/// Scores of every row with every column.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Matrix {
    #[schema(value_type = Vec<Vec<f32>>)]
    pub(super) matrix: Rows,
}

/// Rows of which each is computed when it is written.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) compared: Compared,
    pub(super) rows: Vec<usize>,
    pub(super) columns: Vec<usize>,
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows.iter().map(|row| self.scores(*row)))
    }
}

impl Rows {
    /// The scores of one row with every column.
    fn scores(&self, row: usize) -> Vec<f32> {
        let columns = self.columns.iter();
        let scores = columns.map(|column| self.compared.score(row, *column));
        scores.collect()
    }
}

/// A matrix that is sent row by row.
pub(super) struct MatrixLines {
    rows: Rows,
    /// Rows that have been written.
    written: usize,
    #[expect(
        dead_code,
        reason = "keeps the room of the vectors until the last row is written"
    )]
    room: Room,
}

impl MatrixLines {
    pub(super) fn new(rows: Rows, room: Room) -> Self {
        Self {
            rows,
            written: 0,
            room,
        }
    }
}

impl LineSource for MatrixLines {
    fn next(&mut self, room: Room) -> Result<Option<WrittenPieces>, ApiError> {
        let rows_per_step = (SCORES_PER_STEP / self.rows.columns.len().max(1)).max(1);
        let next = self.rows.rows.iter().skip(self.written).take(rows_per_step);
        let scores: Vec<Vec<f32>> = next.map(|row| self.rows.scores(*row)).collect();
        if scores.is_empty() {
            return Ok(None);
        }
        let lines = written(room, &scores)?;
        self.written += scores.len();
        Ok(Some(lines))
    }
}
