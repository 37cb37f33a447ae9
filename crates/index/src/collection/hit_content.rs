//! What is read of a hit, once it is known to be a part of the answer.

use std::ops::Range;

use super::body::BodyPieces;
use super::{Hit, Reader};
use crate::filter::Filter;
use crate::{Error, Metadata, StoredPassage};

/// Parts of a hit's document to read. Nothing else of it is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct HitParts<'a> {
    /// The whole text.
    pub text: bool,
    /// The metadata.
    pub metadata: bool,
    /// The vector of the best passage.
    pub vector: bool,
    /// Texts of these passages, besides that of the best one.
    pub passages: &'a [StoredPassage],
    /// The filter of the search, which the document has to pass as it is now.
    pub filter: Option<&'a Filter>,
}

/// A hit's document, as far as it was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct HitContent {
    /// Its title.
    pub title: Option<String>,
    /// The best passage, with its vector if that was asked for.
    pub passage: StoredPassage,
    /// The passage's text.
    pub passage_text: String,
    /// The texts of [`HitParts::passages`].
    pub passage_texts: Vec<String>,
    /// The whole text.
    pub text: Option<String>,
    /// The metadata.
    pub metadata: Option<Metadata>,
}

impl Reader {
    /// Reads parts of a hit. `None` when its document has been replaced or deleted since the search, or
    /// changed so that it no longer passes the filter.
    ///
    /// # Errors
    /// When the store fails.
    pub fn read_hit(&self, hit: &Hit, parts: &HitParts<'_>) -> Result<Option<HitContent>, Error> {
        let content = self.consistent(&hit.id, |record| {
            if u64::from(record.number) != hit.number {
                return Ok(Some(None));
            }
            let Some(mut body) = BodyPieces::open(self, record)? else {
                return Ok(None);
            };
            self.content(hit, parts, &mut body)
        })?;
        Ok(content.and_then(|(_, content)| content))
    }

    /// The two options: whether all could be read, and whether the document passes.
    fn content(
        &self,
        hit: &Hit,
        parts: &HitParts<'_>,
        body: &mut BodyPieces<'_>,
    ) -> Result<Option<Option<HitContent>>, Error> {
        let metadata = if parts.metadata || parts.filter.is_some() {
            match body.metadata()? {
                Some(metadata) => Some(metadata),
                None => return Ok(None),
            }
        } else {
            None
        };
        if let (Some(filter), Some(metadata)) = (parts.filter, &metadata)
            && !filter.matches(metadata)
        {
            return Ok(Some(None));
        }
        let (Some(title), Some(passage)) =
            (body.title()?, self.passage(hit.passage, parts.vector)?)
        else {
            return Ok(None);
        };
        let Some(passage_text) = body.text_part(span(&passage))? else {
            return Ok(None);
        };
        let mut passage_texts = Vec::with_capacity(parts.passages.len());
        for passage in parts.passages {
            match body.text_part(span(passage))? {
                Some(text) => passage_texts.push(text),
                None => return Ok(None),
            }
        }
        let text = match parts.text {
            true => match body.text()? {
                Some(text) => Some(text),
                None => return Ok(None),
            },
            false => None,
        };
        Ok(Some(Some(HitContent {
            title,
            passage,
            passage_text,
            passage_texts,
            text,
            metadata: metadata.filter(|_| parts.metadata),
        })))
    }

    /// The metadata of a hit; `None` when its document has been replaced or deleted since.
    ///
    /// # Errors
    /// When the store fails.
    pub fn hit_metadata(&self, hit: &Hit) -> Result<Option<Metadata>, Error> {
        let metadata = self.consistent(&hit.id, |record| {
            if u64::from(record.number) != hit.number {
                return Ok(Some(None));
            }
            Ok(self.metadata_of(record)?.map(Some))
        })?;
        Ok(metadata.and_then(|(_, metadata)| metadata))
    }

    /// The vector of a hit's best passage; `None` when its document has been replaced or deleted since.
    ///
    /// # Errors
    /// When the store fails.
    pub fn hit_vector(&self, hit: &Hit) -> Result<Option<Vec<f32>>, Error> {
        let passage = self.passage(hit.passage, true)?;
        Ok(passage.and_then(|passage| passage.vector))
    }
}

fn span(passage: &StoredPassage) -> Range<usize> {
    passage.start..passage.end
}
