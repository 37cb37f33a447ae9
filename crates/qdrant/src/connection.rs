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
use crate::error::Failure;

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
    retry_for: Duration,
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
        Ok(Self {
            runtime: Some(runtime),
            nodes: nodes.collect::<Result<_, _>>()?,
            preferred: AtomicUsize::new(0),
            breaker: Breaker::default(),
            retry_for: settings.retry_for,
        })
    }

    /// Makes a call, at another node or again where that may help. It must be one that may be made twice.
    ///
    /// # Errors
    /// [`Error::ClusterUnavailable`] or [`Error::ClusterFailed`].
    pub(crate) fn call<T, F>(&self, make: impl Fn(Qdrant) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        self.try_call(make).map_err(Failure::into_error)
    }

    /// As [`Self::call`]; nothing when what it is about is not there.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) fn find<T, F>(&self, make: impl Fn(Qdrant) -> F) -> Result<Option<T>, Error>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        match self.try_call(make) {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.is_missing => Ok(None),
            Err(failure) => Err(failure.into_error()),
        }
    }

    /// What keeps calls from being made, if anything does.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.breaker.trouble()
    }

    fn try_call<T, F>(&self, make: impl Fn(Qdrant) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        let started_at = Instant::now();
        let refused = |detail| Failure {
            may_pass: true,
            is_missing: false,
            detail,
        };
        self.breaker.admit(started_at).map_err(refused)?;
        let mut wait = FIRST_WAIT;
        let mut tried = 0;
        loop {
            let failure = match self.once(&make) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            tried += 1;
            if !failure.may_pass {
                return Err(failure);
            }
            // Each node is asked before anyone waits.
            let waits = tried >= self.nodes.len();
            if waits && started_at.elapsed() + wait > self.retry_for {
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
    fn once<T, F>(&self, make: &impl Fn(Qdrant) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, QdrantError>>,
    {
        let place = self.preferred.load(Ordering::Relaxed) % self.nodes.len();
        let node = &self.nodes[place];
        let Some(runtime) = &self.runtime else {
            return Err(Failure {
                may_pass: false,
                is_missing: false,
                detail: "the service is stopping".to_owned(),
            });
        };
        let answer = runtime.block_on(make(node.client.clone()));
        answer
            .map_err(Failure::from)
            .inspect_err(|failure| {
                if failure.may_pass {
                    let next = (place + 1) % self.nodes.len();
                    let _another_thread_was_first = self.preferred.compare_exchange(
                        place,
                        next,
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    );
                }
                if failure.is_unreachable() {
                    tracing::debug!(url = node.url, "a node of the cluster cannot be reached");
                }
            })
            .inspect(|_| self.breaker.answered())
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
        let client = config.build().map_err(|error| Error::ClusterFailed {
            detail: format!("storage.qdrant.urls: {url:?} is no address: {error}"),
        })?;
        Ok(Self {
            url: url.to_owned(),
            client,
        })
    }
}
