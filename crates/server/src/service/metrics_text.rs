//! What the service says of itself in figures.

use std::sync::Arc;

use crate::app::App;
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
    let conditions = engine.index.conditions();
    let is_fatal = conditions.iter().any(|condition| condition.is_fatal());
    metrics::ready(!is_fatal && !*app.stopping().borrow());
    metrics::conditions(&conditions);
    metrics::index_panics(engine.index.health().background_panics());
    for lane in Lane::ALL {
        metrics::queue_tokens(lane, engine.queue.waiting_tokens(lane));
    }
    metrics::answers_in_flight(app.answers_in_flight_bytes());
    let index = Arc::clone(&engine.index);
    blocking(move || {
        let collections = index.collections().into_iter();
        let collections: Vec<_> = collections
            .map(|collection| (collection.name().to_owned(), collection.stats()))
            .collect();
        metrics::data_memory(index.memory());
        metrics::process_memory(process_memory::resident_bytes().unwrap_or_default());
        // A folder that was moved has no size, and the other figures are wanted then most of all.
        if let Ok(bytes) = index.disk_bytes() {
            metrics::disk_bytes(bytes);
        }
        Ok(metrics::collections_text(&collections))
    })
    .await
}
