//! Traces and metrics for a collector, which may be away.

use std::collections::HashSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use serde_json::{Value, json};
use siamese_tests::{Collector, ServerOptions, free_port};
use ureq::http::Method;

/// Time for the end of a service, with room for a busy machine; far less than an export may take.
const SOON: Duration = Duration::from_secs(9);
const SERVER: i32 = 2;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_request_is_a_trace_of_its_caller_and_its_parts_are_spans() {
    let folder = tempfile::tempdir().unwrap();
    let mut collector = Collector::start();
    let server = ServerOptions::tiny(folder.path())
        .setting("TELEMETRY__OTLP_ENDPOINT", collector.address())
        .start();
    let client = server.client();
    let documents = json!({ "documents": [{ "id": "a", "text": "an unmistakable zebra" }] });
    client.post("/documents", documents).ok();
    let (trace, caller) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let parent = format!("00-{trace}-{caller}-01");
    let query = json!({ "query": "which zebra is it" });
    let headers = [("traceparent", parent.as_str())];
    let answer = client.ask(Method::POST, "/search", &headers, query);
    answer.ok();
    let told = answer.headers["traceparent"].to_str().unwrap().to_owned();
    let own = told.strip_prefix(&format!("00-{trace}-")).unwrap();
    let own = own.strip_suffix("-01").unwrap();

    collector.until("POST /documents");
    let spans = collector.until("POST /search").to_vec();
    let request = spans
        .iter()
        .find(|span| span.name == "POST /search")
        .unwrap();
    assert_eq!(
        (
            hex(&request.trace_id),
            hex(&request.span_id),
            hex(&request.parent_span_id)
        ),
        (trace.to_owned(), own.to_owned(), caller.to_owned())
    );
    assert_eq!(request.kind, SERVER);
    let attributes: HashSet<&str> = request.attributes.iter().map(|a| a.key.as_str()).collect();
    for name in [
        "http.request.method",
        "http.route",
        "http.response.status_code",
    ] {
        assert!(attributes.contains(name), "{request:?}");
    }
    // A batch may end between a request and the last of its parts, but parts end before their request.
    let parts: Vec<_> = spans
        .iter()
        .filter(|span| hex(&span.parent_span_id) == own)
        .collect();
    let names: Vec<&str> = parts.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(
        names,
        ["body", "tokenize", "queue", "encode", "search", "answer"]
    );
    for part in parts {
        assert!(part.start_time_unix_nano >= request.start_time_unix_nano);
        assert!(
            part.end_time_unix_nano <= request.end_time_unix_nano,
            "{part:?}"
        );
    }
    let sent = String::from_utf8_lossy(collector.raw()).into_owned();
    assert!(!sent.contains("zebra"), "texts are nobody's business");
}

#[test]
fn who_calls_decides_whether_a_request_is_traced() {
    let folder = tempfile::tempdir().unwrap();
    let mut collector = Collector::start();
    let server = ServerOptions::tiny(folder.path())
        .setting("TELEMETRY__OTLP_ENDPOINT", collector.address())
        .setting("TELEMETRY__TRACED_PART", 0)
        .start();
    let ask = |path: &str, flags: &str| {
        let parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
        let headers = [("traceparent", parent.as_str())];
        let answer = server
            .client()
            .ask(Method::GET, path, &headers, Value::Null);
        answer.headers["traceparent"].to_str().unwrap().to_owned()
    };
    assert!(ask("/encoder", "00").ends_with("-00"));
    // One that nobody has begun, of which none are traced here.
    server.client().get("/info").ok();
    assert!(ask("/collections", "01").ends_with("-01"));
    let spans = collector.until("GET /collections");
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["GET /collections"]);
}

#[test]
fn a_collector_gets_the_metrics_that_prometheus_would() {
    let folder = tempfile::tempdir().unwrap();
    let mut collector = Collector::start();
    let server = ServerOptions::tiny(folder.path())
        .setting("TELEMETRY__OTLP_ENDPOINT", collector.address())
        .setting("TELEMETRY__METRICS_PERIOD_MS", 100)
        .start();
    let documents = json!({ "documents": [{ "id": "a", "text": "a zebra" }, { "id": "b", "text": "a crane" }] });
    server.client().post("/documents", documents).ok();
    // Counters, by their labels.
    let created = |metrics: &[Metric]| {
        let written = metrics
            .iter()
            .find(|metric| metric.name == "siamese_documents_written_total");
        let Some(Data::Sum(sum)) = written.and_then(|metric| metric.data.as_ref()) else {
            return None;
        };
        assert!(sum.is_monotonic);
        let labelled = sum.data_points.iter().find(|point| {
            let label = point.attributes[0].value.as_ref();
            format!("{label:?}").contains("\"created\"")
        });
        labelled.and_then(|point| point.value)
    };
    let metrics =
        collector.until_metrics(|metrics| created(metrics) == Some(Number::AsDouble(2.0)));
    let told: HashSet<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
    let text = server.client().get("/metrics").text;
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let names: HashSet<&str> = names.collect();
    assert!(names.len() > 30, "{names:?}");
    assert_eq!(told, names);
    let seconds = metrics
        .iter()
        .find(|metric| metric.name == "siamese_http_request_duration_seconds");
    let Some(Data::Histogram(seconds)) = seconds.and_then(|metric| metric.data.as_ref()) else {
        panic!("{seconds:?}");
    };
    for point in &seconds.data_points {
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
        assert!(point.start_time_unix_nano < point.time_unix_nano);
    }
    assert!(text.contains("siamese_metrics_exports_total{result=\"sent\"}"));

    // What happens in the last moment is told at the end.
    let gone = server.client().delete("/documents/b");
    gone.ok();
    assert!(server.terminate().success());
    collector.until_metrics(|metrics| {
        let deleted = metrics.iter().find(|metric| metric.name == "siamese_documents_deleted_total");
        let data = deleted.and_then(|metric| metric.data.as_ref());
        matches!(data, Some(Data::Sum(sum)) if sum.data_points[0].value == Some(Number::AsDouble(1.0)))
    });
}

#[test]
fn a_collector_that_is_away_or_does_not_answer_holds_nobody_up() {
    // It takes connections, and says nothing on them.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    for port in [free_port(), silent.local_addr().unwrap().port()] {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerOptions::tiny(folder.path())
            .setting(
                "TELEMETRY__OTLP_ENDPOINT",
                format!("http://127.0.0.1:{port}"),
            )
            .start();
        for _ in 0..1000 {
            server.client().get("/info").ok();
        }
        server.client().get("/readyz").ok();
        let told = Instant::now();
        server.signal_terminate();
        let ended = server.wait_at_most(SOON);
        assert!(
            ended.is_some_and(|status| status.success()),
            "{:?}",
            told.elapsed()
        );
    }
}

#[test]
fn without_a_collector_nothing_is_said_of_traces() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let answer = server.client().get("/info");
    assert!(!answer.headers.contains_key("traceparent"));
}
