//! What every handler can reach.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use siamese_index::{Cancel, Error, Index};
use tokio::sync::watch;

use crate::access::{Access, CollectionName};
use crate::answer::{AnswerBudget, Room};
use crate::backend::{Backend, Capability, Collection, Loading, Reader, Writer};
use crate::body_budget::BodyBudget;
use crate::config::{Limits, Settings};
use crate::connections::{ConnectionLimits, Connections};
use crate::error::{ApiError, ErrorCode};
use crate::jobs::Jobs;
use crate::models::Models;
use crate::openapi::ServedDescription;
use crate::queue::EncodeQueue;
use crate::service::{Cursors, QueryCache, RecentQueries};
use crate::telemetry::Traces;
use crate::training::Training;

/// The service's state; cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Inner>);

/// The part of [`App`] that exists from the first request on.
#[derive(Debug)]
pub(crate) struct Inner {
    settings: Settings,
    access: Access,
    traces: Option<Traces>,
    /// Set once, when model and index are loaded.
    engine: OnceLock<Engine>,
    connections: Connections,
    stopping: watch::Sender<bool>,
    ending: Cancel,
    body_budget: BodyBudget,
    answers: Arc<AnswerBudget>,
    description: ServedDescription,
    loading: Loading,
}

/// The loaded models, and what keeps the documents.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) models: Models,
    pub(crate) queue: EncodeQueue,
    pub(crate) cache: QueryCache,
    pub(crate) cursors: Arc<Cursors>,
    pub(crate) recent_queries: RecentQueries,
    pub(crate) backend: Backend,
    /// Nothing without a data folder, where their files are.
    pub(crate) jobs: Option<Jobs>,
    /// Nothing where the settings name no folder for trained models, and without jobs.
    pub(crate) training: Option<Training>,
    pub(crate) retry_after_s: u64,
    pub(crate) loaded_at: jiff::Timestamp,
    /// `limits.max_passages_per_document`.
    pub(crate) max_passages_per_document: usize,
}

impl App {
    /// A service that is not ready yet.
    pub(crate) fn new(
        settings: Settings,
        limits: ConnectionLimits,
        access: Access,
        traces: Option<Traces>,
    ) -> Self {
        let body_budget = BodyBudget::new(settings.limits.max_bodies_in_flight_bytes);
        let answers = Arc::new(AnswerBudget::new(&settings.limits));
        Self(Arc::new(Inner {
            answers,
            settings,
            access,
            traces,
            connections: Connections::new(limits),
            engine: OnceLock::new(),
            stopping: watch::Sender::new(false),
            ending: Cancel::default(),
            body_budget,
            description: ServedDescription::default(),
            loading: Loading::default(),
        }))
    }
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Inner {
    /// The settings the service was started with.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// Who may use the service.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// Where traces go, if anywhere.
    pub(crate) fn traces(&self) -> Option<&Traces> {
        self.traces.as_ref()
    }

    /// All open connections.
    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Memory for bodies of requests.
    pub(crate) fn body_budget(&self) -> &BodyBudget {
        &self.body_budget
    }

    /// What the service says about its routes.
    pub(crate) const fn description(&self) -> &ServedDescription {
        &self.description
    }

    /// Room for an answer.
    pub(crate) fn room(&self) -> Room {
        self.answers.room()
    }

    /// Room for a part of a stream, which may be of any length.
    pub(crate) fn stream_room(&self) -> Room {
        self.answers.stream_room()
    }

    /// Bytes of answers that are being made or sent.
    pub(crate) fn answers_in_flight_bytes(&self) -> usize {
        self.answers.in_flight_bytes()
    }

    /// Makes the service ready. A second engine is ignored.
    pub(crate) fn set_engine(&self, engine: Engine) {
        if self.engine.set(engine).is_err() {
            tracing::error!("the engine was set twice");
        }
    }

    /// Model and index.
    ///
    /// # Errors
    /// 503 while they are being loaded.
    pub(crate) fn engine(&self) -> Result<&Engine, ApiError> {
        self.engine
            .get()
            .ok_or_else(|| ApiError::not_ready(self.loading.state()))
    }

    /// Where making the engine has come to.
    pub(crate) const fn loading(&self) -> &Loading {
        &self.loading
    }

    /// Tells streams to take no more input, and a snapshot being taken to end.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
        self.ending.cancel();
        if let Some(jobs) = self.engine.get().and_then(|engine| engine.jobs.as_ref()) {
            jobs.stop();
        }
    }

    /// Ends long work that is not encoding when the service is asked to stop.
    pub(crate) fn ending(&self) -> &Cancel {
        &self.ending
    }

    /// Becomes true when the service is asked to stop.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }
}

impl Engine {
    /// What reads the collection of this name.
    ///
    /// # Errors
    /// 404 when there is none.
    pub(crate) fn reader(&self, name: &CollectionName) -> Result<Arc<Reader>, ApiError> {
        Ok(self.collection(name)?.reader)
    }

    /// What reads a generation of the collection of this name; the active one without a number.
    ///
    /// # Errors
    /// 404 when there is no such collection or generation.
    pub(crate) fn reader_of(
        &self,
        name: &CollectionName,
        generation: Option<u32>,
    ) -> Result<Arc<Reader>, ApiError> {
        let Some(number) = generation else {
            return self.reader(name);
        };
        self.collection(name)?;
        Ok(self.backend.generation(name, number)?.collection.reader)
    }

    /// What writes the collection of this name.
    ///
    /// # Errors
    /// 404 when there is none.
    pub(crate) fn writer(&self, name: &CollectionName) -> Result<Arc<Writer>, ApiError> {
        Ok(self.collection(name)?.writer)
    }

    /// The index of the data folder, which alone can do this.
    ///
    /// # Errors
    /// 422 when the documents are kept elsewhere.
    pub(crate) fn index(&self, what: Capability) -> Result<&Arc<Index>, ApiError> {
        Ok(self.backend.embedded(what)?)
    }

    /// The jobs.
    ///
    /// # Errors
    /// 422 when there is no data folder for their files.
    pub(crate) fn jobs(&self) -> Result<&Jobs, ApiError> {
        let missing = || Capability::Jobs.not_supported().into();
        self.jobs.as_ref().ok_or_else(missing)
    }

    fn collection(&self, name: &CollectionName) -> Result<Collection, ApiError> {
        self.backend.collection(name).map_err(|error| match error {
            Error::CollectionNotFound { .. } => ApiError::new(
                ErrorCode::CollectionNotFound,
                format!(
                    "no collection is called {:?}; PUT /collections/{{name}} makes one",
                    &**name
                ),
            ),
            error => error.into(),
        })
    }
}
