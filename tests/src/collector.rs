//! A collector of traces and metrics, as far as tests need one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// How long a test waits for a span.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes traces and metrics on a free port.
#[derive(Debug)]
pub struct Collector {
    port: u16,
    batches: Receiver<(String, Vec<u8>)>,
    spans: Vec<Span>,
    /// The last that came.
    metrics: Vec<Metric>,
    raw: Vec<u8>,
}

impl Collector {
    /// Listens, on a thread that ends with the process.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (sender, batches) = channel();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let sender = sender.clone();
                std::thread::spawn(move || serve(socket.expect("a connection"), &sender));
            }
        });
        Self {
            port,
            batches,
            spans: Vec::new(),
            metrics: Vec::new(),
            raw: Vec::new(),
        }
    }

    /// Its address, for `telemetry.otlp_endpoint`.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits until it has a span of this name. Returns all spans that it has by then.
    ///
    /// # Panics
    /// When none comes, or something else than traces and metrics.
    #[track_caller]
    pub fn until(&mut self, name: &str) -> &[Span] {
        let has = |this: &Self| this.spans.iter().any(|span| span.name == name);
        self.wait(has, &format!("no span is called {name}"));
        &self.spans
    }

    /// Waits for metrics of which this holds. Returns all that came with them.
    ///
    /// # Panics
    /// When none come, or something else than traces and metrics.
    #[track_caller]
    pub fn until_metrics(&mut self, hold: impl Fn(&[Metric]) -> bool) -> &[Metric] {
        self.wait(|this| hold(&this.metrics), "no such metrics come");
        &self.metrics
    }

    #[track_caller]
    fn wait(&mut self, is_there: impl Fn(&Self) -> bool, otherwise: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !is_there(self) {
            let patience = deadline.saturating_duration_since(Instant::now());
            let batch = self.batches.recv_timeout(patience);
            let (head, body) = batch.unwrap_or_else(|_| panic!("{otherwise}"));
            match head.lines().next() {
                Some("POST /v1/traces HTTP/1.1") => self.add_spans(&body),
                Some("POST /v1/metrics HTTP/1.1") => self.take_metrics(&body),
                _ => panic!("{head}"),
            }
        }
    }

    /// What it has been sent until now, as it came.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    fn take_metrics(&mut self, body: &[u8]) {
        let request = ExportMetricsServiceRequest::decode(body).expect("protobuf");
        let mut services = request.resource_metrics.into_iter();
        let of_service = services.next().expect("a service");
        let resource = of_service.resource.expect("a resource");
        assert!(resource.attributes.iter().any(|a| a.key == "service.name"));
        let scopes = of_service.scope_metrics.into_iter();
        self.metrics = scopes.flat_map(|scope| scope.metrics).collect();
    }

    fn add_spans(&mut self, body: &[u8]) {
        let request = ExportTraceServiceRequest::decode(body).expect("protobuf");
        for of_service in request.resource_spans {
            let resource = of_service.resource.expect("a resource");
            assert!(resource.attributes.iter().any(|a| a.key == "service.name"));
            let scopes = of_service.scope_spans.into_iter();
            self.spans.extend(scopes.flat_map(|scope| scope.spans));
        }
        self.raw.extend_from_slice(body);
    }
}

/// Answers requests on one connection, until its end.
fn serve(socket: TcpStream, batches: &Sender<(String, Vec<u8>)>) {
    let mut reader = BufReader::new(socket.try_clone().expect("a socket"));
    let mut socket = socket;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or_default() == 0 {
                return;
            }
        }
        let lower = head.to_ascii_lowercase();
        let length = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length = length.expect("a length").parse().expect("a number");
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        drop(batches.send((head, body)));
        let answer =
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        if socket.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
