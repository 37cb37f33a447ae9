//! Every metric of the service: name, help, unit, labels, and why these buckets.
//!
//! All series exist from the start, at zero, so that a dashboard never waits for a first event.

mod cluster;
mod collections;
mod connections;

use std::sync::OnceLock;
use std::time::Duration;

use axum::http::Method;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use siamese_index::{HealthCondition, MemoryUse};

#[cfg(feature = "qdrant")]
pub(crate) use self::cluster::cluster_called;
pub(crate) use self::collections::collections_text;
pub(crate) use self::connections::{
    ConnectionEnd, Handshake, accept_failed, connection_ended, open_connections, tls_handshake,
    tls_reloaded,
};
use crate::error::ErrorCode;
use crate::jobs::{JobKind, JobRecord, JobState};
use crate::queue::Lane;

const HTTP_REQUESTS: &str = "siamese_http_requests_total";
const HTTP_SECONDS: &str = "siamese_http_request_duration_seconds";
const ENCODED_TEXTS: &str = "siamese_encoded_texts_total";
const ENCODED_TOKENS: &str = "siamese_encoded_tokens_total";
const ENCODE_SECONDS: &str = "siamese_encode_batch_duration_seconds";
const ENCODE_BATCH_TOKENS: &str = "siamese_encode_batch_tokens";
const ENCODE_REFUSED: &str = "siamese_encode_refused_total";
const ENCODE_DROPPED: &str = "siamese_encode_dropped_total";
const CACHED_QUERIES: &str = "siamese_query_cache_total";
const QUEUE_TOKENS: &str = "siamese_encode_queue_tokens";
const TRUNCATED: &str = "siamese_truncated_texts_total";
const UNKNOWN: &str = "siamese_unknown_texts_total";
const WRITTEN: &str = "siamese_documents_written_total";
const DELETED: &str = "siamese_documents_deleted_total";
const DISK_BYTES: &str = "siamese_data_dir_bytes";
const ANSWER_BYTES: &str = "siamese_responses_in_flight_bytes";
/// As every exporter of Prometheus calls it, so that dashboards for processes have it.
const PROCESS_BYTES: &str = "process_resident_memory_bytes";
const MEMORY_BYTES: &str = "siamese_data_memory_bytes";
const MAX_MEMORY_BYTES: &str = "siamese_data_memory_limit_bytes";
const READY: &str = "siamese_ready";
const CONDITION: &str = "siamese_condition";
const BACKGROUND_PANICS: &str = "siamese_background_panics_total";
const SPANS: &str = "siamese_trace_spans_total";
const METRICS_EXPORTS: &str = "siamese_metrics_exports_total";
const DOORS_CLOSED: &str = "siamese_refused_requests_total";

const JOBS_ENDED: &str = "siamese_jobs_total";
const STALLED_SECONDS: &str = "siamese_storage_stalled_seconds";
const STALLS: &str = "siamese_storage_stalls_total";

/// From half a millisecond, a cached answer, to half a minute, a large bulk request.
const SECONDS_BUCKETS: [f64; 15] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
];

/// Powers of two around the usual token budget of a batch.
const TOKEN_BUCKETS: [f64; 12] = [
    8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0,
];

/// The exporter of this process. One process has one recorder, whoever asks first.
pub(crate) fn exporter() -> Option<&'static PrometheusHandle> {
    static EXPORTER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    EXPORTER.get_or_init(install).as_ref()
}

fn install() -> Option<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Suffix("_tokens".to_owned()), &TOKEN_BUCKETS)
        })
        .map(PrometheusBuilder::install_recorder);
    match handle {
        Ok(Ok(handle)) => {
            describe();
            start_at_zero();
            Some(handle)
        }
        Ok(Err(error)) | Err(error) => {
            tracing::warn!(%error, "metrics are off");
            None
        }
    }
}

fn describe() {
    describe_counter!(
        HTTP_REQUESTS,
        "Answered requests by method, route and status"
    );
    describe_histogram!(
        HTTP_SECONDS,
        "Time until the answer began, by method and route"
    );
    describe_counter!(
        ENCODED_TEXTS,
        "Texts that went through a model, by lane; those of `rerank` are pairs"
    );
    describe_counter!(ENCODED_TOKENS, "Tokens that went through a model, by lane");
    describe_counter!(JOBS_ENDED, "Jobs that have ended, by kind and state");
    describe_histogram!(ENCODE_SECONDS, "Duration of one forward pass, by lane");
    describe_histogram!(ENCODE_BATCH_TOKENS, "Tokens of one forward pass, by lane");
    describe_counter!(
        ENCODE_REFUSED,
        "Requests refused because their lane was full"
    );
    describe_counter!(
        ENCODE_DROPPED,
        "Waiting texts dropped because their caller hung up"
    );
    describe_counter!(
        CACHED_QUERIES,
        "Texts of queries, by whether their vectors were known"
    );
    describe_gauge!(
        QUEUE_TOKENS,
        "Tokens that wait or are being encoded, by lane"
    );
    describe_counter!(
        TRUNCATED,
        "Texts and pairs longer than their model's window, cut there"
    );
    describe_counter!(
        UNKNOWN,
        "Texts of which over half the tokens are unknown to the model"
    );
    describe_counter!(WRITTEN, "Documents written, by outcome");
    describe_counter!(DELETED, "Documents deleted");
    describe_gauge!(DISK_BYTES, "Size of the data folder");
    describe_gauge!(
        STALLED_SECONDS,
        "Time for which a write has made no progress; 0 unless it is over storage.stall_after_ms"
    );
    describe_counter!(
        STALLS,
        "Writes that made no progress for storage.stall_after_ms"
    );
    describe_gauge!(
        READY,
        "1 when `/readyz` answers 200: the model and the index are loaded, and nothing has to be mended first"
    );
    describe_gauge!(
        CONDITION,
        "1 while something keeps the service from a part of its work, by its name in `/readyz`"
    );
    describe_counter!(
        BACKGROUND_PANICS,
        "Panics of background threads, by the part they belong to; each thread went on"
    );
    describe_memory();
    connections::describe();
    cluster::describe();
    describe_doors();
}

fn describe_doors() {
    describe_counter!(
        DOORS_CLOSED,
        "Requests refused for their host, their origin or their key, by code"
    );
    describe_counter!(
        SPANS,
        "Spans for the collector of traces, by whether it took them"
    );
    describe_counter!(
        METRICS_EXPORTS,
        "Sendings of all metrics to the collector, by whether it took them"
    );
}

fn describe_memory() {
    describe_gauge!(
        ANSWER_BYTES,
        "Size of answers that are being made or sent, those of one piece left out"
    );
    describe_gauge!(
        PROCESS_BYTES,
        "Memory of the process, mapped files included; 0 where the system does not say"
    );
    describe_gauge!(
        MEMORY_BYTES,
        "Memory that the data takes: metadata, and vectors and words that no segment holds"
    );
    describe_gauge!(
        MAX_MEMORY_BYTES,
        "Memory that the data may take (storage.max_memory_bytes); 0 when nothing bounds it"
    );
}

/// Routes whose times are there from the start. Those of a route are twenty lines, and a service has a hundred routes,
/// most of which nobody ever asks for.
const MAIN_ROUTES: [(&str, &str); 6] = [
    ("GET", "/search"),
    ("POST", "/search"),
    ("POST", "/collections/{collection}/search"),
    ("POST", "/documents"),
    ("POST", "/collections/{collection}/documents"),
    ("POST", "/v1/embeddings"),
];

fn start_at_zero() {
    for (method, route) in MAIN_ROUTES {
        drop(histogram!(HTTP_SECONDS, "method" => method, "route" => route));
        counter!(HTTP_REQUESTS, "method" => method, "route" => route, "status" => "200")
            .absolute(0);
    }
    gauge!(STALLED_SECONDS).set(0.0);
    counter!(STALLS).absolute(0);
    for code in DOOR_CODES {
        counter!(DOORS_CLOSED, "code" => code.1).absolute(0);
    }
    connections::start_at_zero();
    cluster::start_at_zero();
    for result in ["sent", "failed"] {
        counter!(SPANS, "result" => result).absolute(0);
        counter!(METRICS_EXPORTS, "result" => result).absolute(0);
    }
    for lane in Lane::ALL {
        counter!(ENCODED_TEXTS, "lane" => lane.label()).absolute(0);
        counter!(ENCODED_TOKENS, "lane" => lane.label()).absolute(0);
        counter!(ENCODE_REFUSED, "lane" => lane.label()).absolute(0);
        drop(histogram!(ENCODE_SECONDS, "lane" => lane.label()));
        drop(histogram!(ENCODE_BATCH_TOKENS, "lane" => lane.label()));
        gauge!(QUEUE_TOKENS, "lane" => lane.label()).set(0.0);
    }
    for status in ["created", "updated", "unchanged", "rejected", "failed"] {
        counter!(WRITTEN, "status" => status).absolute(0);
    }
    counter!(ENCODE_DROPPED).absolute(0);
    for result in ["hit", "miss"] {
        counter!(CACHED_QUERIES, "result" => result).absolute(0);
    }
    counter!(TRUNCATED).absolute(0);
    counter!(UNKNOWN).absolute(0);
    counter!(DELETED).absolute(0);
    gauge!(DISK_BYTES).set(0.0);
    gauge!(ANSWER_BYTES).set(0.0);
    gauge!(MEMORY_BYTES).set(0.0);
    gauge!(MAX_MEMORY_BYTES).set(0.0);
    gauge!(PROCESS_BYTES).set(0.0);
    gauge!(READY).set(0.0);
    conditions(&[]);
    counter!(BACKGROUND_PANICS, "part" => "index").absolute(0);
    counter!(BACKGROUND_PANICS, "part" => "encoder").absolute(0);
    for kind in JobKind::ALL {
        for state in JobState::FINAL {
            let (kind, state) = (kind.label(), state.label());
            counter!(JOBS_ENDED, "kind" => kind, "state" => state).absolute(0);
        }
    }
}

/// The codes of requests that are refused for their host, their origin or their key.
const DOOR_CODES: [(ErrorCode, &str); 10] = [
    (ErrorCode::BadHost, "bad_host"),
    (ErrorCode::HostNotAllowed, "host_not_allowed"),
    (ErrorCode::OriginNotAllowed, "origin_not_allowed"),
    (ErrorCode::KeyMissing, "key_missing"),
    (ErrorCode::KeyInvalid, "key_invalid"),
    (ErrorCode::KeyExpired, "key_expired"),
    (ErrorCode::KeyInAddress, "key_in_address"),
    (ErrorCode::ScopeMissing, "scope_missing"),
    (
        ErrorCode::CollectionNotPermitted,
        "collection_not_permitted",
    ),
    (ErrorCode::BudgetExceeded, "budget_exceeded"),
];

/// A request that was refused for its host, its origin or its key.
pub(crate) fn door_closed(code: ErrorCode) {
    if let Some((_, label)) = DOOR_CODES.iter().find(|(known, _)| *known == code) {
        counter!(DOORS_CLOSED, "code" => *label).increment(1);
    }
}

/// The label of a method. Callers may invent methods, and each would be a series of its own.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "other",
    }
}

/// One answered request.
pub(crate) fn http_request(method: &'static str, route: &str, status: u16, took: Duration) {
    let route = route.to_owned();
    // No handler took a request whose method the route does not have, so it has no time worth a
    // histogram, which is twenty lines for each route and method.
    if status != 405 {
        histogram!(HTTP_SECONDS, "method" => method, "route" => route.clone())
            .record(took.as_secs_f64());
    }
    counter!(HTTP_REQUESTS, "method" => method, "route" => route, "status" => status.to_string())
        .increment(1);
}

/// One forward pass.
pub(crate) fn encoded_batch(lane: Lane, texts: usize, tokens: usize, took: Duration) {
    counter!(ENCODED_TEXTS, "lane" => lane.label()).increment(texts as u64);
    counter!(ENCODED_TOKENS, "lane" => lane.label()).increment(tokens as u64);
    histogram!(ENCODE_SECONDS, "lane" => lane.label()).record(took.as_secs_f64());
    histogram!(ENCODE_BATCH_TOKENS, "lane" => lane.label()).record(tokens as f64);
}

/// A request that found its lane full.
pub(crate) fn encode_refused(lane: Lane) {
    counter!(ENCODE_REFUSED, "lane" => lane.label()).increment(1);
}

/// Texts whose caller hung up.
pub(crate) fn encode_dropped(texts: usize) {
    counter!(ENCODE_DROPPED).increment(texts as u64);
}

/// A text of a query, and whether its vector was known.
pub(crate) fn cached_query(is_hit: bool) {
    let result = if is_hit { "hit" } else { "miss" };
    counter!(CACHED_QUERIES, "result" => result).increment(1);
}

/// Spans that the collector took, or did not.
pub(crate) fn spans_exported(spans: usize, is_sent: bool) {
    let result = if is_sent { "sent" } else { "failed" };
    counter!(SPANS, "result" => result).increment(spans as u64);
}

/// A sending of metrics that the collector took, or did not.
pub(crate) fn metrics_exported(is_sent: bool) {
    let result = if is_sent { "sent" } else { "failed" };
    counter!(METRICS_EXPORTS, "result" => result).increment(1);
}

/// The fill of one lane.
pub(crate) fn queue_tokens(lane: Lane, tokens: usize) {
    gauge!(QUEUE_TOKENS, "lane" => lane.label()).set(tokens as f64);
}

/// Texts cut at the encoder's window.
pub(crate) fn truncated(texts: usize) {
    counter!(TRUNCATED).increment(texts as u64);
}

/// Texts that the model has mostly no tokens for.
pub(crate) fn mostly_unknown(texts: usize) {
    counter!(UNKNOWN).increment(texts as u64);
}

/// Documents written with one outcome.
pub(crate) fn documents_written(status: &'static str, documents: usize) {
    counter!(WRITTEN, "status" => status).increment(documents as u64);
}

/// Documents deleted.
pub(crate) fn documents_deleted(documents: usize) {
    counter!(DELETED).increment(documents as u64);
}

/// The size of the data folder.
pub(crate) fn disk_bytes(bytes: u64) {
    gauge!(DISK_BYTES).set(bytes as f64);
}

/// What keeps the index from a part of its work.
pub(crate) fn conditions(holding: &[HealthCondition]) {
    for condition in HealthCondition::ALL {
        let holds = holding.contains(&condition);
        gauge!(CONDITION, "condition" => condition.name()).set(if holds { 1.0 } else { 0.0 });
    }
}

/// Panics of the index's threads so far.
pub(crate) fn index_panics(panics: u64) {
    counter!(BACKGROUND_PANICS, "part" => "index").absolute(panics);
}

/// A panic of an encoding thread.
pub(crate) fn background_panicked() {
    counter!(BACKGROUND_PANICS, "part" => "encoder").increment(1);
}

/// A job has ended.
pub(crate) fn job_ended(record: &JobRecord) {
    let (kind, state) = (record.kind.label(), record.state.label());
    counter!(JOBS_ENDED, "kind" => kind, "state" => state).increment(1);
}

/// For how long a write has stalled, if one has, and whether it had before.
pub(crate) fn storage_stalled(stalled_for: Option<Duration>, was_stalled: bool) {
    gauge!(STALLED_SECONDS).set(stalled_for.unwrap_or_default().as_secs_f64());
    if stalled_for.is_some() && !was_stalled {
        counter!(STALLS).increment(1);
    }
}

/// The size of answers in flight.
pub(crate) fn answers_in_flight(bytes: usize) {
    gauge!(ANSWER_BYTES).set(bytes as f64);
}

/// The memory of the process.
pub(crate) fn process_memory(bytes: u64) {
    gauge!(PROCESS_BYTES).set(bytes as f64);
}

/// The memory of the data.
pub(crate) fn data_memory(memory: MemoryUse) {
    gauge!(MEMORY_BYTES).set(memory.used_bytes as f64);
    let is_bounded = memory.max_bytes < u64::MAX;
    gauge!(MAX_MEMORY_BYTES).set(if is_bounded {
        memory.max_bytes as f64
    } else {
        0.0
    });
}

/// Whether model and index are loaded.
pub(crate) fn ready(is_ready: bool) {
    gauge!(READY).set(if is_ready { 1.0 } else { 0.0 });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of metrics in a source file.
    fn names(source: &str) -> impl Iterator<Item = &str> {
        let constants = source.lines().filter_map(|line| {
            let value = line.strip_prefix("const ")?.split_once(": &str = \"")?.1;
            value.strip_suffix("\";")
        });
        constants.filter(|value| value.starts_with("siamese_") || value.starts_with("process_"))
    }

    #[test]
    fn every_metric_is_there_from_the_start_with_its_help() {
        let exporter = exporter().unwrap();
        let text = exporter.render();
        let own = names(include_str!("mod.rs")).chain(names(include_str!("connections.rs")));
        let own: Vec<&str> = own.collect();
        assert!(own.len() > 25, "{own:?}");
        for name in own {
            let has = |start: String| text.lines().any(|line| line.starts_with(&start));
            assert!(has(format!("# HELP {name} ")), "{name} has no help");
            let series = ["{", " ", "_bucket{"].map(|rest| has(format!("{name}{rest}")));
            assert!(series.contains(&true), "{name} is not there:\n{text}");
        }
    }
}
