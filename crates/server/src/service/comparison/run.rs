//! Asking two generations the same queries.

use std::sync::Arc;
use std::time::{Duration, Instant};

use siamese_encoder::{Encoder, InputKind};
use siamese_eval::{Run, Scores, query_scores};
use siamese_index::{SearchOptions, WordQuery};

use super::compared::{ComparedGenerations, ComparedQuery, ComparisonTask};
use super::passages::{self, PassageSample};
use super::report::{Changes, Outcome, Report, SideOutcome};
use crate::app::Engine;
use crate::error::{ApiError, ErrorCode};
use crate::queue::{Admission, Lane};
use crate::service::search::Mode;
use crate::service::{Embedding, blocking_steps};

/// Queries that are encoded before their documents are looked for, and between two looks at whether to go on.
const QUERIES_PER_STEP: usize = 16;
/// Hits of a query that are looked at, as recall@100 needs them.
const DEPTH: usize = 100;

/// A comparison on its way.
#[derive(Debug)]
pub(crate) struct Comparison {
    task: ComparisonTask,
    generations: ComparedGenerations,
    /// None where nothing is encoded.
    encoders: [Option<Arc<Encoder>>; 2],
    outcomes: Vec<Outcome>,
    changes: Changes,
    samples: [Option<PassageSample>; 2],
    started_at: Instant,
}

/// Queries with their vectors of both sides.
pub(crate) type EncodedQueries = Vec<(ComparedQuery, [Option<Embedding>; 2])>;

/// What one side has found, and what it took.
#[derive(Debug)]
pub(super) struct Found {
    /// Best first.
    pub(super) run: Run,
    scores: Option<Scores>,
    searching: Duration,
    encoding: Option<Duration>,
    tokens: usize,
}

impl Comparison {
    /// Opens what encodes the queries.
    ///
    /// # Errors
    /// 503 when an encoder cannot be opened, or both do not fit beside each other.
    pub(crate) async fn begin(
        engine: &Engine,
        generations: ComparedGenerations,
        task: ComparisonTask,
    ) -> Result<Self, ApiError> {
        let mut encoders = [None, None];
        if task.mode != Mode::Lexical {
            for (encoder, reader) in encoders.iter_mut().zip(generations.readers()) {
                *encoder = Some(engine.models.encoder_of(&**reader).await?);
            }
        }
        Ok(Self {
            changes: Changes::new(task.max_changes),
            outcomes: Vec::with_capacity(task.queries.len()),
            task,
            generations,
            encoders,
            samples: [None, None],
            started_at: Instant::now(),
        })
    }

    /// Does all of it, while somebody waits.
    ///
    /// # Errors
    /// 503 when the service is stopping, 504 after `limits.max_comparing_ms`, and what a search fails with.
    pub(crate) async fn finish(self, engine: &Engine) -> Result<Report, ApiError> {
        let mut comparison = self;
        loop {
            let encoded = comparison.next(engine).await?;
            if encoded.is_empty() {
                break;
            }
            comparison = blocking_steps(move |cancel| {
                comparison.search(encoded, &|| cancel.step())?;
                Ok(comparison)
            })
            .await?;
        }
        blocking_steps(move |cancel| {
            comparison.sample(&|bytes| cancel.step_over_text(bytes))?;
            comparison.report()
        })
        .await
    }

    /// The next queries with their vectors; none when all have been asked. They are encoded one by one, as queries
    /// come, so that the time says something, and behind everything that somebody waits for.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(crate) async fn next(&mut self, engine: &Engine) -> Result<EncodedQueries, ApiError> {
        self.check_time()?;
        let first = self.task.queries.len().saturating_sub(QUERIES_PER_STEP);
        // From the end, so that what has been asked takes no memory any more.
        let queries = self.task.queries.split_off(first);
        let mut encoded = Vec::with_capacity(queries.len());
        for query in queries {
            let mut vectors = [None, None];
            for (vector, encoder) in vectors.iter_mut().zip(&self.encoders) {
                if let Some(encoder) = encoder {
                    *vector = Some(embed(engine, encoder, &query.text).await?);
                }
            }
            encoded.push((query, vectors));
        }
        Ok(encoded)
    }

    /// Searches both generations for queries. `step` is called between two.
    ///
    /// # Errors
    /// What a search fails with, 404 when a generation has been deleted, or what `step` returns.
    pub(crate) fn search(
        &mut self,
        encoded: EncodedQueries,
        step: &dyn Fn() -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        for (query, embeddings) in encoded {
            step()?;
            let found = self.found_by_both(&query, embeddings);
            // Of a generation that was deleted meanwhile, that is what is to be said.
            self.generations.check_present()?;
            self.note(query, found?);
        }
        Ok(())
    }

    fn found_by_both(
        &self,
        query: &ComparedQuery,
        [active, other]: [Option<Embedding>; 2],
    ) -> Result<[Found; 2], ApiError> {
        Ok([self.found(0, query, active)?, self.found(1, query, other)?])
    }

    fn found(
        &self,
        side: usize,
        query: &ComparedQuery,
        embedding: Option<Embedding>,
    ) -> Result<Found, ApiError> {
        let reader = self.generations.readers()[side];
        let (encoding, tokens) = match &embedding {
            Some(embedding) => (Some(embedding.encoding), embedding.tokens_kept),
            None => (None, 0),
        };
        let vector = embedding.map(|embedding| embedding.vector);
        let started_at = Instant::now();
        // The query stands in a list, where an error of the index cannot point at it.
        let words = || {
            let words = WordQuery::new(&query.text, reader.settings().words);
            words.map_err(|error| ApiError::from(error).without_pointer())
        };
        let vector = || vector.ok_or_else(|| ApiError::internal("a query has no vector"));
        let asked = self.task.mode.query(vector, words)?;
        let options = SearchOptions {
            limit: DEPTH.max(self.task.top_k).min(self.task.max_top_k),
            exact: self.task.exact,
            ..SearchOptions::default()
        };
        let hits = reader.search(&asked, &options)?.hits;
        let searching = started_at.elapsed();
        let others = hits
            .into_iter()
            .filter(|hit| query.own_id.as_ref() != Some(&hit.id));
        let run: Run = others.map(|hit| (hit.id, f64::from(hit.score))).collect();
        Ok(Found {
            scores: query_scores(&query.relevant, &run),
            run,
            searching,
            encoding,
            tokens,
        })
    }

    fn note(&mut self, query: ComparedQuery, found: [Found; 2]) {
        let top_k = self.task.top_k;
        let sides = found.each_ref().map(|found| SideOutcome {
            scores: found.scores,
            first: found.run.first().map(|hit| hit.1),
            last: found.run.get(top_k - 1).map(|hit| hit.1),
            searching: found.searching,
            encoding: found.encoding,
            tokens: found.tokens,
        });
        let outcome = Outcome::new(found.each_ref().map(|found| &found.run), sides, top_k);
        self.changes
            .note(query.text, &outcome, found.map(|found| found.run), top_k);
        self.outcomes.push(outcome);
    }

    /// Looks at what the documents have become on either side. `step` is called before each text, with its length.
    ///
    /// # Errors
    /// What the store or the tokenizer fails with, or what `step` returns.
    pub(crate) fn sample(
        &mut self,
        step: &dyn Fn(usize) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let readers = self.generations.readers();
        for ((sample, encoder), reader) in self.samples.iter_mut().zip(&self.encoders).zip(readers)
        {
            if let Some(encoder) = encoder {
                *sample = Some(passages::sample(reader, encoder, step)?);
            }
        }
        Ok(())
    }

    /// Says what was found.
    ///
    /// # Errors
    /// 404 when a generation has been deleted meanwhile.
    pub(crate) fn report(self) -> Result<Report, ApiError> {
        self.generations.check_present()?;
        Ok(Report::new(
            &self.generations.sides,
            &self.outcomes,
            self.samples,
            self.changes,
            self.started_at.elapsed(),
        ))
    }

    /// Queries that have been asked.
    pub(crate) fn done(&self) -> usize {
        self.outcomes.len()
    }

    /// All queries.
    pub(crate) fn total(&self) -> usize {
        self.outcomes.len() + self.task.queries.len()
    }

    fn check_time(&self) -> Result<(), ApiError> {
        let max_time = self.task.max_time;
        if self.started_at.elapsed() <= max_time {
            return Ok(());
        }
        let detail = format!(
            "{} of {} queries were compared in limits.max_comparing_ms = {}; ask fewer",
            self.done(),
            self.total(),
            max_time.as_millis()
        );
        Err(ApiError::new(ErrorCode::Timeout, detail))
    }
}

async fn embed(engine: &Engine, encoder: &Arc<Encoder>, text: &str) -> Result<Embedding, ApiError> {
    let embeddings = engine.embed(
        encoder,
        vec![text.to_owned()],
        InputKind::Query,
        Lane::Bulk,
        Admission::Wait,
    );
    let embedding = embeddings.await?.into_iter().next();
    embedding.ok_or_else(|| ApiError::internal("the encoder returned no vector"))
}
