//! Removing passages that do not count.

use std::collections::HashSet;
use std::time::Duration;

use qdrant_client::qdrant::{Range, ScrollPoints};
use siamese_index::Error;
use uuid::Uuid;

use crate::Writer;
use crate::conditions::in_range;
use crate::ids::Version;
use crate::passage_point::{self, Owner};
use crate::payload::only;
use crate::write::now_ms;

/// Passages looked at in one call.
const PAGE: u32 = 1000;

impl Writer {
    /// Removes passages of versions that do not count, which somebody left who was killed between two steps of a write.
    /// Those that were written within `min_age` may be about to count, and stay. Returns how many versions those were of.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn sweep(&self, min_age: Duration) -> Result<u64, Error> {
        let min_age_ms = min_age.as_millis() as u64;
        let old = Range {
            lte: Some(now_ms().saturating_sub(min_age_ms) as f64),
            ..Range::default()
        };
        let reader = &self.reader;
        let (mut swept, mut offset) = (0, None);
        loop {
            let request = ScrollPoints {
                collection_name: reader.passages.clone(),
                filter: Some(in_range(passage_point::WRITTEN.to_owned(), old)),
                offset: offset.take(),
                limit: Some(PAGE),
                with_payload: Some(only(passage_point::OWNER)),
                ..ScrollPoints::default()
            };
            let page = reader.ask(&request, |client, request| async move {
                client.scroll(request).await
            })?;
            let owners = page.result.iter().map(|point| Owner::read(&point.payload));
            let owners = owners.collect::<Result<Vec<_>, Error>>()?;
            let gone = self.that_do_not_count(&owners)?;
            self.remove_passages(&gone)?;
            swept += gone.len() as u64;
            offset = page.next_page_offset;
            if offset.is_none() {
                return Ok(swept);
            }
        }
    }

    fn that_do_not_count(&self, owners: &[Owner]) -> Result<Vec<Version>, Error> {
        let documents: HashSet<Uuid> = owners.iter().map(|owner| owner.document).collect();
        let documents: Vec<Uuid> = documents.into_iter().collect();
        let current = self.reader.versions(&documents)?;
        let gone: HashSet<Version> = owners
            .iter()
            .filter(|owner| {
                let counts = current.get(&owner.document).map(|(_, version)| *version);
                counts != Some(owner.version)
            })
            .map(|owner| owner.version)
            .collect();
        Ok(gone.into_iter().collect())
    }
}
