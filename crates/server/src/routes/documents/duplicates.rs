//! Documents that others stand for, as a job of `POST /clusters` has found them.

use std::fs::File;
use std::io::{BufRead, BufReader};

use serde::Deserialize;
use siamese_index::Index;

use crate::backend::{Capability, Reader, Writer};
use crate::error::{ApiError, ErrorCode};
use crate::jobs::{JobKind, JobRecord};
use crate::routes::job_result::found;

/// Documents deleted in one batch: bounds how long other writers wait.
const DOCUMENTS_PER_BATCH: usize = 1000;

/// All members but the medoids of the groups of a job.
#[derive(Debug)]
pub(crate) struct Duplicates {
    groups: BufReader<File>,
    /// What was written later is not what the job has seen.
    since_ms: u64,
}

/// What is read of a group.
#[derive(Deserialize)]
struct Group {
    medoid: String,
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    id: String,
}

impl Duplicates {
    /// Those that a job has found in a collection.
    ///
    /// # Errors
    /// 409 for a job without a result, and 422 for one of another kind or
    /// about another collection.
    pub(super) fn of_job(
        record: &JobRecord,
        collection: &str,
        index: &Index,
    ) -> Result<Self, ApiError> {
        if record.kind != JobKind::Clusters || record.collection.as_deref() != Some(collection) {
            let detail = format!("the job is not one of POST /clusters in {collection:?}");
            return Err(ApiError::new(ErrorCode::InvalidRequest, detail));
        }
        let (file, _) = found(index, record)?;
        Ok(Self {
            groups: BufReader::new(file),
            since_ms: record.started_at_ms.unwrap_or(record.created_at_ms),
        })
    }

    /// Returns how many would be deleted.
    ///
    /// # Errors
    /// When the result or the store cannot be read.
    pub(super) fn count(self, collection: &Reader) -> Result<u64, ApiError> {
        let collection = collection.embedded(Capability::Clusters)?;
        self.each_batch(|ids, since_ms| Ok(collection.count_unchanged(ids, since_ms)?))
    }

    /// Deletes them, a batch at a time, and returns how many those were.
    ///
    /// # Errors
    /// As [`Self::count`]. What was deleted before stays deleted.
    pub(super) fn delete(self, writer: &Writer) -> Result<u64, ApiError> {
        let writer = writer.embedded(Capability::Clusters)?;
        self.each_batch(|ids, since_ms| Ok(writer.delete_unchanged(ids, since_ms)?))
    }

    fn each_batch(
        mut self,
        mut act: impl FnMut(&[String], u64) -> Result<u64, ApiError>,
    ) -> Result<u64, ApiError> {
        let (mut count, mut line) = (0, String::new());
        loop {
            line.clear();
            let read = self.groups.read_line(&mut line);
            if read.map_err(ApiError::internal)? == 0 {
                return Ok(count);
            }
            let group: Group = serde_json::from_str(&line).map_err(ApiError::internal)?;
            let ids = group.members.into_iter().map(|member| member.id);
            let others: Vec<String> = ids.filter(|id| *id != group.medoid).collect();
            for batch in others.chunks(DOCUMENTS_PER_BATCH) {
                count += act(batch, self.since_ms)?;
            }
        }
    }
}
