//! What the service says of itself in figures.

use siamese_index::CollectionStats;

use crate::app::App;
use crate::backend::{Backend, Collection};
use crate::blocking::blocking;
use crate::error::ApiError;
use crate::metrics;
use crate::process_memory;
use crate::queue::Lane;

/// All metrics in the text format of Prometheus.
///
/// # Errors
/// When there is no recorder, or too much work is waiting.
pub(crate) async fn metrics_text(app: &App) -> Result<String, ApiError> {
    let exporter =
        metrics::exporter().ok_or_else(|| ApiError::internal("there is no metrics recorder"))?;
    let collections = refresh_gauges(app).await?;
    Ok(exporter.render() + &collections)
}

/// Sizes are read when somebody asks, not on every write. Returns those of the collections that are
/// there now, in the text format.
async fn refresh_gauges(app: &App) -> Result<String, ApiError> {
    let Ok(engine) = app.engine() else {
        metrics::ready(false);
        return Ok(String::new());
    };
    let conditions = engine.backend.conditions();
    let is_fatal = conditions.iter().any(|condition| condition.is_fatal());
    let is_troubled = is_fatal || engine.backend.trouble().is_some();
    metrics::ready(!is_troubled && !*app.stopping().borrow());
    metrics::conditions(&conditions);
    if let Some(index) = engine.backend.index() {
        metrics::index_panics(index.health().background_panics());
    }
    for lane in Lane::ALL {
        metrics::queue_tokens(lane, engine.queue.waiting_tokens(lane));
    }
    metrics::answers_in_flight(app.answers_in_flight_bytes());
    let backend = engine.backend.clone();
    blocking(move || {
        metrics::process_memory(process_memory::resident_bytes().unwrap_or_default());
        if let Some(index) = backend.index() {
            metrics::data_memory(index.memory());
            // A folder that was moved has no size, and the other figures are wanted then most of all.
            if let Ok(bytes) = index.disk_bytes() {
                metrics::disk_bytes(bytes);
            }
        }
        Ok(metrics::collections_text(&sizes(&backend)))
    })
    .await
}

/// How much is in each collection; nothing of those that cannot be asked now, since the other figures are wanted then
/// most of all.
fn sizes(backend: &Backend) -> Vec<(String, CollectionStats)> {
    if backend.index().is_none() {
        // A cluster has metrics of its own, and would be asked by every process that there is.
        return Vec::new();
    }
    let collections = backend.collections().unwrap_or_default().into_iter();
    let sizes = collections.filter_map(|Collection { reader, .. }| {
        let stats = reader.stats().ok()?;
        Some((reader.name().to_owned(), stats))
    });
    sizes.collect()
}
