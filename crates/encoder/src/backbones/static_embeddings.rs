//! Static embeddings: the state of a token is its row of a table, whatever stands around it.

use std::path::Path;

use super::architecture::check;
use super::backbone::Backbone;
use super::packed_batch::{PackedBatch, TokenStates};
use crate::Error;
use crate::checkpoint::Checkpoint;

/// What the table is called by sentence-transformers, and by Model2Vec.
const TABLES: [&str; 2] = ["embedding.weight", "embeddings"];
/// For each token the row of the table, where tokens share rows.
const ROWS: &str = "mapping";
/// For each token what its row is multiplied by.
const WEIGHTS: &str = "weights";

/// A table of vectors.
#[derive(Debug)]
pub(crate) struct StaticEmbeddings {
    /// `[rows, width]`.
    table: Vec<f32>,
    width: usize,
    /// Tokens that there are vectors for.
    tokens: usize,
    rows: Option<Vec<u32>>,
    weights: Option<Vec<f32>>,
}

impl StaticEmbeddings {
    /// Reads the table of a folder.
    ///
    /// # Errors
    /// When a file is missing or damaged, or its tensors do not fit together.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let mut file = Checkpoint::open(folder)?;
        let damaged = |reason: String| Error::damaged(file.path(), reason);
        let name = TABLES.into_iter().find(|name| file.has(name));
        let [table, other] = TABLES;
        let name = name.ok_or_else(|| damaged(format!("it has no tensor {table} or {other}")))?;
        let (rows, width) = match file.shape(name).as_deref() {
            Some([rows, width]) if *rows > 0 && *width > 0 => (*rows, *width),
            shape => {
                return Err(damaged(format!(
                    "{name} has the shape {shape:?}, which is no table"
                )));
            }
        };
        let tokens_of = |name: &str| match file.shape(name).as_deref() {
            None => Ok(None),
            Some([tokens]) => Ok(Some(*tokens)),
            Some(shape) => Err(damaged(format!(
                "{name} has the shape {shape:?}, which is no list"
            ))),
        };
        let (mapped, weighted) = (tokens_of(ROWS)?, tokens_of(WEIGHTS)?);
        let tokens = mapped.unwrap_or(rows);
        let places = mapped
            .map(|_| file.read_integers(ROWS, &[tokens]))
            .transpose()?;
        let weights = weighted
            .map(|_| file.read(WEIGHTS, &[tokens]))
            .transpose()?;
        let place = |place: i64| u32::try_from(place).ok().filter(|it| (*it as usize) < rows);
        let places = places.map(|places| places.into_iter().map(place).collect::<Option<Vec<_>>>());
        if let Some(None) = places {
            let reason = format!("{ROWS} names a row that {name} does not have");
            return Err(Error::damaged(file.path(), reason));
        }
        Ok(Self {
            table: file.read(name, &[rows, width])?,
            width,
            tokens,
            rows: places.flatten(),
            weights,
        })
    }

    /// Length of a vector.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    fn write(&self, token: usize, to: &mut Vec<f32>) {
        let row = self
            .rows
            .as_ref()
            .map_or(token, |rows| rows[token] as usize);
        let row = &self.table[row * self.width..(row + 1) * self.width];
        match &self.weights {
            Some(weights) => to.extend(row.iter().map(|value| value * weights[token])),
            None => to.extend_from_slice(row),
        }
    }
}

impl Backbone for StaticEmbeddings {
    fn forward(&self, batch: &mut PackedBatch) -> Result<TokenStates, Error> {
        check(batch.ids(), self.tokens, "embeddings")?;
        let mut values = Vec::with_capacity(batch.ids().len() * self.width);
        for id in batch.ids() {
            self.write(*id as usize, &mut values);
        }
        let width = self.width;
        Ok(TokenStates { values, width })
    }

    fn path(&self) -> String {
        "static f32".to_owned()
    }

    fn brings_threads(&self) -> bool {
        false
    }
}
