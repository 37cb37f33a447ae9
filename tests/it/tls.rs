//! TLS against the real binary: certificates, their successors, clients with and without one, and connections that
//! say nothing.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use siamese_tests::{
    Authority, Client, Identity, RawConnection, Server, ServerOptions, binary, free_port,
};

use super::startup::one_sentence;

/// Time in which a change of the files is noticed, with room for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A service with a certificate of `authority`.
fn options(folder: &Path, authority: &Authority) -> (ServerOptions, Identity) {
    let identity = authority.issue(&folder.join("server"));
    let data = folder.join("data");
    let options = ServerOptions::tiny(&data).tls(&identity, authority.client(None));
    (options, identity)
}

fn metric(server: &Server, line: &str) -> bool {
    let metrics = server.client().get("/metrics").text;
    metrics.lines().any(|found| found == line)
}

fn url(server: &Server) -> String {
    format!("https://127.0.0.1:{}", server.port())
}

#[test]
fn requests_are_answered_over_tls_and_in_the_clear_nothing_is() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (options, _) = options(folder.path(), &authority);
    let server = options.start();
    let documents = json!({ "documents": [{ "id": "a", "text": "a lamp that blinks" }] });
    server.client().post("/documents", documents).ok();
    let hits = server
        .client()
        .post("/search", json!({ "query": "lamp" }))
        .ok();
    assert_eq!(hits["hits"][0]["id"], "a");
    // More than one record, and more than one piece of a socket's buffer.
    let long = "many words in a row ".repeat(2_000);
    let documents = json!({ "documents": [{ "id": "long", "text": long }] });
    server.client().post("/documents", documents).ok();
    let read = server.client().get("/documents/long").ok();
    assert_eq!(read["text"], long);

    let plain = Client::new(format!("http://127.0.0.1:{}", server.port()));
    assert!(plain.try_get("/livez").is_none());
    let stranger = Client::with_tls(url(&server), Authority::new().client(None));
    assert!(stranger.try_get("/livez").is_none());
    assert!(metric(
        &server,
        "siamese_tls_handshakes_total{result=\"failed\"} 2"
    ));
}

#[test]
fn a_new_certificate_is_shown_without_a_restart_and_a_bad_one_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new(), Authority::new());
    let log = folder.path().join("log");
    let (options, identity) = options(folder.path(), &old);
    let server = options.log_to(&log).start();
    let knows_new = Client::with_tls(url(&server), new.client(None));
    assert!(knows_new.try_get("/livez").is_none());
    let kept_open = server.client().clone();
    kept_open.get("/livez").ok();

    fs_err::write(&identity.certificate, "no certificate").unwrap();
    until("an error is logged", || {
        let logged = fs_err::read_to_string(&log).unwrap();
        logged.contains("server.tls.certificate") && logged.contains("as before")
    });
    assert!(metric(&server, "siamese_tls_files_unusable 1"));
    assert!(metric(
        &server,
        "siamese_tls_reloads_total{result=\"failed\"} 1"
    ));
    let knows_old = Client::with_tls(url(&server), old.client(None));
    knows_old.get("/readyz").ok();

    new.issue(&folder.path().join("server"));
    until("the new certificate is shown", || {
        knows_new.try_get("/readyz").is_some()
    });
    // A connection that is open stays so.
    kept_open.get("/livez").ok();
    let metrics = knows_new.get("/metrics").text;
    assert!(
        metrics.contains("siamese_tls_files_unusable 0"),
        "{metrics}"
    );
    let fresh = Client::with_tls(url(&server), old.client(None));
    assert!(fresh.try_get("/livez").is_none());
}

#[test]
fn clients_without_a_certificate_are_not_let_in_where_one_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (own, clients) = (Authority::new(), Authority::new());
    let client_ca = folder.path().join("clients.crt");
    fs_err::write(&client_ca, clients.pem()).unwrap();
    let client = clients.issue(&folder.path().join("client"));
    let identity = own.issue(&folder.path().join("server"));
    let server = ServerOptions::tiny(&folder.path().join("data"))
        .tls(&identity, own.client(Some(&client)))
        .setting("SERVER__TLS__CLIENT_CA", client_ca.display())
        .start();
    server.client().get("/documents").ok();
    let without = Client::with_tls(url(&server), own.client(None));
    assert!(without.try_get("/livez").is_none());
    let stranger = Authority::new().issue(&folder.path().join("stranger"));
    let of_others = Client::with_tls(url(&server), own.client(Some(&stranger)));
    assert!(of_others.try_get("/livez").is_none());
}

#[test]
fn a_connection_that_does_not_shake_hands_is_closed_and_keeps_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (options, _) = options(folder.path(), &authority);
    let server = options
        .setting("SERVER__TLS__HANDSHAKE_TIMEOUT_MS", 500)
        // So that no other limit closes them.
        .setting("SERVER__HEADER_TIMEOUT_MS", 600_000)
        .setting("SERVER__MAX_CONNECTIONS", 8)
        .start();
    let silent = (0..4).map(|_| RawConnection::open(server.port()));
    // The beginning of a client's greeting, which never goes on.
    let half = (0..4).map(|_| RawConnection::saying(server.port(), "\u{16}\u{3}\u{1}\u{2}"));
    let held: Vec<RawConnection> = silent.chain(half).collect();
    Client::with_tls(url(&server), authority.client(None))
        .get("/readyz")
        .ok();
    for mut connection in held {
        // Until its end: nothing is said to it.
        assert_eq!(connection.read_until("\0"), "");
    }
    let metrics = server.client().get("/metrics").text;
    let closed = |reason: &str| -> u64 {
        let name = format!("siamese_connections_closed_total{{reason=\"{reason}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap().parse().unwrap()
    };
    assert!(
        closed("handshake_timeout") + closed("evicted") >= 8,
        "{metrics}"
    );
    assert!(closed("handshake_timeout") > 0, "{metrics}");
}

#[test]
fn the_health_check_speaks_tls_when_the_service_does() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (options, identity) = options(folder.path(), &authority);
    let client_ca = folder.path().join("clients.crt");
    fs_err::write(&client_ca, authority.pem()).unwrap();
    drop(options);
    let server = ServerOptions::tiny(&folder.path().join("data"))
        .tls(&identity, authority.client(Some(&identity)))
        .setting("SERVER__TLS__CLIENT_CA", client_ca.display())
        .start();
    let listen = format!("127.0.0.1:{}", server.port());
    let output = Command::new(binary())
        .args(["healthcheck", "--listen", &listen])
        .env("SIAMESE__SERVER__TLS__CERTIFICATE", &identity.certificate)
        .env("SIAMESE__SERVER__TLS__KEY", &identity.key)
        .env("SIAMESE__SERVER__TLS__CLIENT_CA", &client_ca)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let identity = authority.issue(&folder.path().join("one"));
    let other = authority.issue(&folder.path().join("other"));
    let start = |certificate: &Path, key: &Path| {
        ServerOptions::tiny(&folder.path().join("data"))
            .port(free_port())
            .setting("SERVER__TLS__CERTIFICATE", certificate.display())
            .setting("SERVER__TLS__KEY", key.display())
    };
    let nothing = Path::new("");
    let missing = folder.path().join("nowhere.crt");
    let (certificate, key) = (&identity.certificate, &identity.key);
    one_sentence(start(certificate, nothing), &["server.tls.key is missing"]);
    one_sentence(
        start(&missing, key),
        &["server.tls.certificate", "nowhere.crt"],
    );
    one_sentence(
        start(key, key),
        &["server.tls.certificate", "holds no certificate"],
    );
    one_sentence(
        start(certificate, certificate),
        &["server.tls.key", "holds no private key"],
    );
    one_sentence(start(certificate, &other.key), &["cannot be used together"]);
}
