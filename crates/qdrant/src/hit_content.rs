//! What is read of hits, once they are known to be a part of the answer.

use std::collections::HashMap;

use siamese_index::{
    Error, Filter, Hit, HitContent, HitParts, Metadata, ScoredPassage, StoredPassage, check_vector,
    cosine, normalized,
};
use uuid::Uuid;

use crate::Reader;
use crate::document_point;
use crate::error::unreadable;
use crate::ids::{self, Version};
use crate::payload::{Payload, only};

impl Reader {
    /// The `limit` passages of a hit that are nearest to `query`, best first; equal scores in the order of the text. None
    /// when the document has been replaced since.
    ///
    /// # Errors
    /// A query that is no vector of this collection, or a cluster that fails.
    pub fn best_passages(
        &self,
        hit: &Hit,
        query: &[f32],
        limit: usize,
    ) -> Result<Vec<ScoredPassage>, Error> {
        check_vector(query, self.dimensions())?;
        let query = normalized(query);
        let Some(summary) = self
            .summary(&hit.id)?
            .filter(|it| it.version.0 == hit.number())
        else {
            return Ok(Vec::new());
        };
        let passages = self.passages_of(&summary, true)?.unwrap_or_default();
        let scored = passages.into_iter().zip(0..).map(|(mut passage, ordinal)| {
            let vector = passage.vector.take().unwrap_or_default();
            ScoredPassage::found_elsewhere(cosine(&query, &vector), passage, ordinal)
        });
        let mut scored: Vec<_> = scored.collect();
        scored.sort_by(|a, b| b.score.total_cmp(&a.score));
        scored.truncate(limit);
        Ok(scored)
    }

    /// Reads parts of a hit. `None` when its document has been replaced or deleted since the search, or changed so that it
    /// no longer passes the filter.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn read_hit(&self, hit: &Hit, parts: &HitParts<'_>) -> Result<Option<HitContent>, Error> {
        let read = self.read_hits(&[(hit, *parts)])?;
        Ok(read.into_iter().next().flatten())
    }

    /// As [`Self::read_hit`], of several hits in order.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn read_hits(
        &self,
        hits: &[(&Hit, HitParts<'_>)],
    ) -> Result<Vec<Option<HitContent>>, Error> {
        let documents: Vec<Uuid> = hits.iter().map(|(hit, _)| ids::of_name(&hit.id)).collect();
        let fields = only(document_point::WHOLE);
        let found = self.points(&self.documents, &documents, &fields, false)?;
        let payloads = found.iter().map(|point| {
            let id = crate::payload::read_text(&point.payload, document_point::ID)?;
            Ok((id, &point.payload))
        });
        let payloads = payloads.collect::<Result<HashMap<&str, &Payload>, Error>>()?;
        let with_vectors = hits.iter().filter(|(_, parts)| parts.vector);
        let points: Vec<Uuid> = with_vectors.map(|(hit, _)| passage_of(hit)).collect();
        let mut vectors = self.vectors(&points)?;
        let contents = hits.iter().map(|(hit, parts)| {
            let Some(payload) = payloads.get(hit.id.as_str()) else {
                return Ok(None);
            };
            let vector = match parts.vector {
                true => match vectors.remove(&passage_of(hit)) {
                    Some(vector) => Some(vector),
                    None => return Ok(None),
                },
                false => None,
            };
            content(hit, parts, payload, vector)
        });
        contents.collect()
    }

    /// The metadata of a hit; `None` when its document has been replaced or deleted since.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn hit_metadata(&self, hit: &Hit) -> Result<Option<Metadata>, Error> {
        let payload =
            self.version_of_hit(hit, &[document_point::VERSION, document_point::METADATA])?;
        payload.as_ref().map(document_point::metadata).transpose()
    }

    /// The vector of a hit's best passage; `None` when its document has been replaced or deleted since.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn hit_vector(&self, hit: &Hit) -> Result<Option<Vec<f32>>, Error> {
        let point = passage_of(hit);
        Ok(self.vectors(&[point])?.remove(&point))
    }

    /// The payload of a hit's document, if it is still the version that was found.
    fn version_of_hit(&self, hit: &Hit, fields: &[&str]) -> Result<Option<Payload>, Error> {
        let Some(payload) = self.document_payload(&hit.id, fields)? else {
            return Ok(None);
        };
        let version = document_point::version(&payload)?;
        Ok((version.0 == hit.number()).then_some(payload))
    }
}

/// The point of a hit's best passage.
fn passage_of(hit: &Hit) -> Uuid {
    let document = ids::of_name(&hit.id);
    ids::of_passage(document, Version(hit.number()), hit.passage())
}

/// What is asked for of a hit; `None` when the document is another one by now, or does not pass.
fn content(
    hit: &Hit,
    parts: &HitParts<'_>,
    payload: &Payload,
    vector: Option<Vec<f32>>,
) -> Result<Option<HitContent>, Error> {
    let document = document_point::document(payload)?;
    let passes = |filter: &Filter| filter.matches(&document.metadata);
    let is_the_version = document_point::version(payload)?.0 == hit.number();
    if !is_the_version || !parts.filter.is_none_or(passes) {
        return Ok(None);
    }
    let failed = || unreadable("a passage's place in its text");
    let text_of = |start: usize, end: usize| {
        let text = document.text.get(start..end).ok_or_else(failed)?;
        Ok::<_, Error>(text.to_owned())
    };
    let spans = document_point::spans(payload)?;
    let &(start, end) = spans.get(hit.passage() as usize).ok_or_else(failed)?;
    let others = parts.passages.iter();
    Ok(Some(HitContent {
        passage: StoredPassage { start, end, vector },
        passage_text: text_of(start, end)?,
        passage_texts: others
            .map(|passage| text_of(passage.start, passage.end))
            .collect::<Result<_, _>>()?,
        title: document.title,
        text: parts.text.then_some(document.text),
        metadata: parts.metadata.then_some(document.metadata),
    }))
}
