//! Who the two of a pair are.

use std::collections::HashMap;
use std::ops::Range;

use super::{AlikePair, AlikeScope, Reader, Side};
use crate::Error;

/// Ids that are kept in memory. A document that is in one pair is often in many.
const MAX_KEPT_IDS: usize = 65_536;

/// One of two that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlikeSide {
    /// The document's id.
    pub id: String,
    /// Where the passage is in its text, bytes; nothing of documents as wholes.
    pub span: Option<Range<usize>>,
}

/// Reads who the two of each pair are.
#[derive(Debug)]
pub struct AlikeSides<'a> {
    reader: &'a Reader,
    /// By the documents' numbers.
    ids: HashMap<u32, Option<String>>,
}

impl Reader {
    /// Reads who the two of pairs are.
    #[must_use]
    pub fn alike_sides(&self) -> AlikeSides<'_> {
        AlikeSides {
            reader: self,
            ids: HashMap::new(),
        }
    }
}

impl AlikeSides<'_> {
    /// Reads which documents, and which of their passages, are alike, the one that was stored first before
    /// the other. `None` when one of them has been replaced or deleted since they were compared.
    ///
    /// # Errors
    /// When the store fails.
    pub fn read(&mut self, pair: &AlikePair) -> Result<Option<[AlikeSide; 2]>, Error> {
        let (a, b) = (
            self.side(pair.a, pair.scope)?,
            self.side(pair.b, pair.scope)?,
        );
        Ok(a.zip(b).map(<[AlikeSide; 2]>::from))
    }

    fn side(&mut self, side: Side, scope: AlikeScope) -> Result<Option<AlikeSide>, Error> {
        let Some(id) = self.id(side.document)? else {
            return Ok(None);
        };
        let span = match scope {
            AlikeScope::Documents => None,
            AlikeScope::Passages => match self.reader.passage(side.passage, false)? {
                Some(passage) => Some(passage.start..passage.end),
                None => return Ok(None),
            },
        };
        Ok(Some(AlikeSide { id, span }))
    }

    fn id(&mut self, document: u32) -> Result<Option<String>, Error> {
        if let Some(id) = self.ids.get(&document) {
            return Ok(id.clone());
        }
        let id = self.reader.document_id(document)?;
        if self.ids.len() >= MAX_KEPT_IDS {
            self.ids.clear();
        }
        self.ids.insert(document, id.clone());
        Ok(id)
    }
}
