//! From settings to a running service, and its orderly end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use siamese_encoder::{Encoder, Reranker};
use siamese_index::Index;
use tokio::net::{TcpListener, TcpSocket};

use crate::access::{Access, AccessError};
use crate::app::{App, Engine};
use crate::backend::{self, Backend, Loading};
use crate::config::Settings;
use crate::connections::{ConnectionLimits, HttpServer, Tls};
use crate::exit::{ForcedEnd, Stop, StopSignal};
use crate::jobs::Jobs;
use crate::models::{
    ModelFolders, Models, Pinned, default_encoder, default_reranker, weights_bytes,
};
use crate::queue::{EncodeQueue, EncoderThreads};
use crate::service::{Cursors, QueryCache, RecentQueries, metrics_text, resume_all};
use crate::telemetry::{MetricsExport, TelemetryError, Traces};
use crate::tls::{Certificates, TlsError};
use crate::training::Training;
use crate::{metrics, open_files, router, stall_watch};

/// Connections that may wait to be accepted. The system drops what comes on top, and whoever is dropped
/// tries again after a second; a thousand callers that connect at once are more than the usual 1 024.
/// Linux makes it `net.core.somaxconn` when that is smaller.
const MAX_WAITING_CONNECTIONS: u32 = 4096;
/// Time for the last metrics when the service ends.
const MAX_LAST_METRICS_TIME: Duration = Duration::from_secs(1);

/// Why the service did not start or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; is another server running there? choose another with --listen"
    )]
    Listen {
        /// The address from the settings.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The model cannot be opened.
    #[error("cannot open the model in {folder}: {source}", folder = folder.display())]
    Model {
        /// The model's folder.
        folder: PathBuf,
        /// What is wrong with it.
        source: siamese_encoder::Error,
    },
    /// The reranker cannot be opened.
    #[error("cannot open the reranker in {folder}: {source}", folder = folder.display())]
    Reranker {
        /// The folder from the settings.
        folder: PathBuf,
        /// What is wrong with it.
        source: siamese_encoder::Error,
    },
    /// The documents cannot be reached.
    #[error(transparent)]
    Backend(#[from] backend::OpenError),
    /// The data folder cannot be opened.
    #[error("cannot open the data folder {folder}: {source}", folder = folder.display())]
    Data {
        /// The folder from the settings.
        folder: PathBuf,
        /// What is wrong with it.
        source: siamese_index::Error,
    },
    /// The keys cannot be read, or there are none where they are needed.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The certificate or its key cannot be used.
    #[error("cannot speak TLS: {0}")]
    Tls(#[from] TlsError),
    /// Traces cannot be sent.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The operating system failed.
    #[error("the server failed: {0}")]
    Io(#[from] std::io::Error),
    /// Loading panicked.
    #[error("loading the model and the index failed: {0}")]
    Load(#[from] tokio::task::JoinError),
}

/// Runs the service until SIGTERM or Ctrl-C, then finishes what was accepted and flushes.
///
/// The port is bound first and the model is loaded behind it, with `/readyz` answering 503.
/// `on_listening` is called once with the bound address. `end` is called on another thread when the
/// service has not ended `server.shutdown_grace_ms` after the signal, or at a second signal; it
/// should end the process.
///
/// # Errors
/// When the port, the keys, the certificate, the model or the data folder cannot be opened, or keys are needed and there are none.
pub async fn serve(
    settings: Settings,
    models: ModelFolders,
    on_listening: impl FnOnce(SocketAddr) + Send,
    end: fn(ForcedEnd),
) -> Result<(), ServeError> {
    let access = Access::open(&settings)?;
    let tls = open_tls(&settings)?;
    let traces = Traces::open(&settings.telemetry)?;
    let mut signal = StopSignal::listen(settings.server.shutdown_grace, end)?;
    let limits = ConnectionLimits::new(&settings.server, open_files::raise_limit());
    let address = settings.server.listen;
    let listener = listen(address).map_err(|source| ServeError::Listen { address, source })?;
    on_listening(listener.local_addr()?);
    metrics::exporter();
    access.watch()?;
    if let Some(tls) = &tls {
        tls.certificates.watch()?;
    }
    let app = App::new(settings, limits, access, traces);
    let metrics_export = MetricsExport::open(&app.settings().telemetry).map(Arc::new);
    if let Some(export) = &metrics_export {
        tokio::spawn(export_metrics(app.clone(), Arc::clone(export)));
    }
    let server = HttpServer::new(router(app.clone()), app.connections().clone(), tls);
    let accepting = tokio::spawn(server.clone().accept(listener, app.stopping()));
    let outcome = run(&app, &models, &mut signal).await;
    app.stop();
    accepting.await?;
    let requests_until = match &outcome {
        Ok((stop, _)) => stop.requests_until,
        Err(_) => Instant::now(),
    };
    end_requests(&app, server, requests_until).await;
    if let Some(export) = &metrics_export {
        let sent = send_metrics(&app, export);
        let _too_late = tokio::time::timeout(MAX_LAST_METRICS_TIME, sent).await;
    }
    let told = app.clone();
    tokio::task::spawn_blocking(move || {
        told.access().finish();
        if let Some(traces) = told.traces() {
            traces.finish();
        }
    })
    .await?;
    match outcome? {
        (_, Some(encoder_threads)) => finish(app, encoder_threads).await,
        (_, None) => Ok(()),
    }
}

/// Sends metrics to the collector from time to time, until the service stops.
async fn export_metrics(app: App, export: Arc<MetricsExport>) {
    let mut stopping = app.stopping();
    loop {
        let stopped = stopping.wait_for(|stopping| *stopping);
        if tokio::time::timeout(export.period, stopped).await.is_ok() {
            return;
        }
        send_metrics(&app, &export).await;
    }
}

async fn send_metrics(app: &App, export: &Arc<MetricsExport>) {
    match metrics_text(app).await {
        Ok(text) => export.send(text).await,
        Err(error) => tracing::warn!(?error, "metrics cannot be sent now"),
    }
}

/// The service's end of TLS, if it is to speak it.
fn open_tls(settings: &Settings) -> Result<Option<Tls>, TlsError> {
    let tls = &settings.server.tls;
    let Some(files) = tls.files() else {
        return Ok(None);
    };
    Ok(Some(Tls {
        certificates: Certificates::open(files)?,
        handshake_timeout: tls.handshake_timeout,
    }))
}

/// Binds the address.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // As `TcpListener::bind` does: a restart finds the port free, whatever connections there were. On
    // Windows the option would let two servers have one port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(MAX_WAITING_CONNECTIONS)
}

/// Loads, then waits for a signal. Without threads when the signal came first.
async fn run(
    app: &App,
    models: &ModelFolders,
    signal: &mut StopSignal,
) -> Result<(Stop, Option<EncoderThreads>), ServeError> {
    let loading = {
        let (app, models) = (app.clone(), models.clone());
        tokio::task::spawn_blocking(move || load(app.settings(), &models, app.loading()))
    };
    let loaded = tokio::select! {
        loaded = loading => loaded??,
        stop = signal.told() => {
            app.loading().give_up();
            return Ok((stop, None));
        }
    };
    let (engine, encoder_threads) = loaded;
    if let Some(index) = engine.backend.index() {
        stall_watch::start(index, &app.settings().storage)?;
    }
    app.set_engine(engine);
    let resumed = app.clone();
    tokio::task::spawn_blocking(move || resume_all(&resumed)).await?;
    tracing::info!("ready");
    let stop = signal.told().await;
    tracing::info!("stopping");
    Ok((stop, Some(encoder_threads)))
}

/// Lets requests finish until then. What waits in the queue after that is answered with an error,
/// and the connections are closed.
async fn end_requests(app: &App, server: HttpServer, until: Instant) {
    if server.drain(until).await {
        return;
    }
    if let Ok(engine) = app.engine() {
        engine.queue.abandon();
    }
    let dropped = server.close_all().await;
    tracing::warn!(dropped, "requests were still in progress and were dropped");
}

/// Opens models and index and starts the encoding threads.
///
/// # Errors
/// As [`serve`].
pub(crate) fn load(
    settings: &Settings,
    folders: &ModelFolders,
    progress: &Loading,
) -> Result<(Engine, EncoderThreads), ServeError> {
    let models = open_models(settings, folders)?;
    let backend = backend::open(settings, models.encoder(), progress)?;
    tell_of_other_encoders(&backend, models.encoder());
    let jobs = backend.index().map(|index| open_jobs(settings, index));
    let jobs = jobs.transpose()?;
    let (queue, thread) = EncodeQueue::start(&settings.queue)?;
    let retry_after_s = settings.queue.retry_after_s;
    Ok((
        Engine {
            models,
            queue,
            cache: QueryCache::new(settings.encoder.max_cached_queries),
            cursors: Arc::new(Cursors::new(&settings.limits)),
            recent_queries: RecentQueries::new(settings.limits.max_kept_query_bytes),
            backend,
            training: jobs
                .as_ref()
                .and_then(|jobs| Training::open(settings, folders, jobs)),
            jobs,
            retry_after_s,
            loaded_at: jiff::Timestamp::now(),
            max_passages_per_document: settings.limits.max_passages_per_document,
        },
        thread,
    ))
}

/// Opens the encoder of a model folder as the settings say.
///
/// # Errors
/// When the folder holds no model that can be opened so.
pub fn open_encoder(settings: &Settings, model_dir: &Path) -> Result<Encoder, ServeError> {
    let options = default_encoder(settings);
    Encoder::open(model_dir, &options).map_err(|source| ServeError::Model {
        folder: model_dir.to_owned(),
        source,
    })
}

/// The reranker that the settings name, if they name one.
fn open_reranker(settings: &Settings) -> Result<Option<Pinned<Reranker>>, ServeError> {
    let wanted = &settings.reranker;
    let Some(folder) = wanted.folder() else {
        return Ok(None);
    };
    let opened = Reranker::open(folder, &default_reranker(settings));
    let model = opened.map_err(|source| ServeError::Reranker {
        folder: folder.to_owned(),
        source,
    })?;
    Ok(Some(Pinned {
        model: Arc::new(model),
        configured: folder.display().to_string(),
        bytes: weights_bytes(folder)?,
    }))
}

/// Opens the default models; those that have names wait for their first use.
fn open_models(settings: &Settings, folders: &ModelFolders) -> Result<Models, ServeError> {
    let folder = folders.default_encoder();
    let encoder = Pinned {
        model: Arc::new(open_encoder(settings, folder)?),
        configured: settings.encoder.model.clone(),
        bytes: weights_bytes(folder)?,
    };
    let reranker = open_reranker(settings)?;
    Ok(Models::new(encoder, reranker, settings, folders))
}

/// Says which collections are not the default encoder's.
fn tell_of_other_encoders(backend: &Backend, encoder: &Encoder) {
    for collection in backend.collections().unwrap_or_default() {
        let made_by = collection.reader.encoder();
        if made_by.identity.id != encoder.info().id.as_str() {
            let (name, called) = (&made_by.identity.name, &made_by.name);
            tracing::info!(
                collection = collection.reader.name(),
                encoder = name,
                called,
                "this collection has another encoder than the default one"
            );
        }
    }
}

/// All jobs that are known of.
fn open_jobs(settings: &Settings, index: &Arc<Index>) -> Result<Jobs, ServeError> {
    let jobs = Jobs::open(Arc::clone(index), settings.jobs.clone());
    jobs.map_err(|source| ServeError::Data {
        folder: settings.storage.data_dir.clone(),
        source,
    })
}

/// Lets the forward passes in progress end and makes everything durable.
async fn finish(app: App, encoder_threads: EncoderThreads) -> Result<(), ServeError> {
    let Ok(engine) = app.engine() else {
        return Ok(());
    };
    engine.queue.abandon();
    let (backend, jobs) = (engine.backend.clone(), engine.jobs.clone());
    let folder = app.settings().storage.data_dir.clone();
    let flushing = tokio::task::spawn_blocking(move || {
        if !encoder_threads.join() {
            tracing::error!("an encoding thread panicked");
        }
        if let Some(jobs) = &jobs {
            jobs.join();
        }
        let flushed = backend.flush();
        // The last handles of the index, unless a request that was dropped still has one: its
        // background threads end here.
        drop((app, jobs, backend));
        flushed
    });
    flushing
        .await?
        .map_err(|source| ServeError::Data { folder, source })?;
    tracing::info!("everything is flushed");
    Ok(())
}
