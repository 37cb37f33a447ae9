//! Calls to the nodes of a cluster.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use qdrant_client::config::QdrantConfig;
use qdrant_client::{Qdrant, QdrantError};
use rand::Rng;
use siamese_index::Error;
use tokio::runtime::{Builder, Runtime};

use crate::ClusterSettings;
use crate::breaker::Breaker;
use crate::call::{CallKind, CallOutcome, ClusterCall};
use crate::error::{Failure, FailureKind};

/// Threads that wait for the cluster's answers. They do not compute.
const THREADS: usize = 2;
/// Connections to each node.
const CONNECTIONS_PER_NODE: usize = 4;
/// The first wait before a call is made again; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Connections to all nodes, and the threads that wait for them.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Taken when it is dropped: a runtime must not be dropped by a thread of another one.
    runtime: Option<Runtime>,
    nodes: Vec<Node>,
    /// The one that is asked first.
    preferred: AtomicUsize,
    breaker: Breaker,
    reading: Patience,
    writing: Patience,
    on_call: fn(&ClusterCall),
}

/// How long is waited.
#[derive(Debug, Clone, Copy)]
struct Patience {
    kind: CallKind,
    /// For one node.
    of_attempt: Duration,
    /// After it, no further attempt is made.
    of_call: Duration,
}

struct Node {
    url: String,
    client: Qdrant,
}

impl std::fmt::Debug for Node {
    // The client's own would show the key.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.url)
    }
}

impl Connection {
    /// # Errors
    /// An address that is none.
    pub(crate) fn new(settings: &ClusterSettings) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("qdrant")
            .enable_all()
            .build()?;
        let nodes = settings.urls.iter().map(|url| Node::new(url, settings));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        let share = settings.retry_for / nodes.len().max(1) as u32;
        Ok(Self {
            runtime: Some(runtime),
            nodes,
            // Each process begins with another one, so that all nodes pass calls on.
            preferred: AtomicUsize::new(rand::rng().random_range(..settings.urls.len().max(1))),
            breaker: Breaker::default(),
            reading: Patience {
                kind: CallKind::Read,
                // So that a node that hangs leaves time for the others.
                of_attempt: settings.call_timeout.min(share),
                of_call: settings.retry_for,
            },
            writing: Patience {
                kind: CallKind::Write,
                of_attempt: settings.call_timeout,
                of_call: settings.retry_for,
            },
            on_call: settings.on_call,
        })
    }

    /// Makes a call that changes nothing, at another node or again where that may help.
    ///
    /// # Errors
    /// [`Error::ClusterUnavailable`] or [`Error::ClusterFailed`].
    pub(crate) fn call<R: Clone, T, F>(
        &self,
        request: &R,
        make: impl Fn(Qdrant, R) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        self.try_call(self.reading, |client| make(client, request.clone()))
            .map_err(Failure::into_error)
    }

    /// As [`Self::call`]; nothing when what it is about is not there.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) fn find<R: Clone, T, F>(
        &self,
        request: &R,
        make: impl Fn(Qdrant, R) -> F,
    ) -> Result<Option<T>, Error>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        found(self.try_call(self.reading, |client| make(client, request.clone())))
    }

    /// As [`Self::find`], for a call that changes something, which takes as long as it takes. It must be one that may be
    /// made twice.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) fn change<R: Clone, T, F>(
        &self,
        request: &R,
        make: impl Fn(Qdrant, R) -> F,
    ) -> Result<Option<T>, Error>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        found(self.try_call(self.writing, |client| make(client, request.clone())))
    }

    /// What keeps calls from being made, if anything does.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.breaker.trouble()
    }

    fn try_call<T, F>(&self, patience: Patience, make: impl Fn(Qdrant) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        let started_at = Instant::now();
        let mut attempts = 0;
        let answer = self.attempt(patience, started_at, &mut attempts, make);
        (self.on_call)(&ClusterCall {
            kind: patience.kind,
            outcome: match &answer {
                Err(_) if attempts == 0 => CallOutcome::Refused,
                Err(failure) if failure.may_pass() => CallOutcome::Failed,
                Ok(_) | Err(_) => CallOutcome::Answered,
            },
            attempts,
            took: started_at.elapsed(),
        });
        answer
    }

    fn attempt<T, F>(
        &self,
        patience: Patience,
        started_at: Instant,
        attempts: &mut u32,
        make: impl Fn(Qdrant) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        let refused = |detail| Failure::new(FailureKind::Passing, detail);
        self.breaker.admit(started_at).map_err(refused)?;
        let mut wait = FIRST_WAIT;
        loop {
            *attempts += 1;
            let failure = match self.once(patience.of_attempt, &make) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if !failure.may_pass() {
                return Err(failure);
            }
            // Each node is asked before anyone waits.
            let waits = (*attempts as usize).is_multiple_of(self.nodes.len());
            let pause = if waits { wait } else { Duration::ZERO };
            if started_at.elapsed() + pause >= patience.of_call {
                self.breaker.failed(&failure.detail, Instant::now());
                return Err(failure);
            }
            tracing::debug!(detail = failure.detail, "a call to the cluster failed");
            if waits {
                std::thread::sleep(wait.mul_f64(rand::rng().random_range(0.5..1.0)));
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }

    /// Asks one node. When it cannot answer, the next one is asked first from now on.
    fn once<T, F>(&self, patience: Duration, make: &impl Fn(Qdrant) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        let place = self.preferred.load(Ordering::Relaxed) % self.nodes.len();
        let node = &self.nodes[place];
        let Some(runtime) = &self.runtime else {
            let detail = "the service is stopping".to_owned();
            return Err(Failure::new(FailureKind::Final, detail));
        };
        let call = make(node.client.clone());
        let answer = runtime.block_on(async { tokio::time::timeout(patience, call).await });
        let answer = match answer {
            Ok(answer) => answer.map_err(Failure::from),
            Err(_elapsed) => {
                let waited_ms = patience.as_millis();
                let detail = format!("{} has not answered within {waited_ms} ms", node.url);
                Err(Failure::new(FailureKind::Passing, detail))
            }
        };
        match &answer {
            Err(failure) if failure.may_pass() => {
                let next = (place + 1) % self.nodes.len();
                let _another_thread_was_first = self.preferred.compare_exchange(
                    place,
                    next,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                let detail = &failure.detail;
                tracing::debug!(url = node.url, detail, "a node of the cluster failed");
            }
            // Whatever it said.
            Ok(_) | Err(_) => self.breaker.answered(),
        }
        answer
    }
}

fn found<T>(answer: Result<T, Failure>) -> Result<Option<T>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.kind == FailureKind::Missing => Ok(None),
        Err(failure) => Err(failure.into_error()),
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Node {
    fn new(url: &str, settings: &ClusterSettings) -> Result<Self, Error> {
        let mut config = QdrantConfig::from_url(url)
            .api_key(settings.api_key.clone())
            .timeout(settings.call_timeout)
            .connect_timeout(settings.connect_timeout)
            // It would ask, on standard output, and block.
            .skip_compatibility_check();
        config.set_pool_size(CONNECTIONS_PER_NODE);
        let client = config.build().map_err(|error| {
            let detail = format!("storage.qdrant.urls has {url:?}, which is no address: {error}");
            Error::Io(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                detail,
            ))
        })?;
        Ok(Self {
            url: url.to_owned(),
            client,
        })
    }
}
