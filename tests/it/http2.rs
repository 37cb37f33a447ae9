//! HTTP/2 in the clear, by clients that know beforehand that it is spoken, and what such a connection
//! may cost.

use std::time::{Duration, Instant};

use serde_json::json;
use siamese_tests::{Client, RawConnection, ServerOptions};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const INITIAL_WINDOW_SIZE: u16 = 4;
const SOON: Duration = Duration::from_secs(30);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// What a client begins with; its streams have windows of this size.
fn greeting(window: u32) -> Vec<u8> {
    let mut settings = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
    settings.extend(window.to_be_bytes());
    [PREFACE.to_vec(), frame(SETTINGS, 0, 0, &settings)].concat()
}

/// The head of `GET path`, without compression but for the names in the static table.
fn get(stream: u32, path: &str, authority: &str) -> Vec<u8> {
    let mut head = vec![0x82, 0x86];
    for (name, value) in [(0x04, path), (0x01, authority)] {
        head.extend([name, u8::try_from(value.len()).unwrap()]);
        head.extend(value.as_bytes());
    }
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &head)
}

/// Reads a frame: its kind, its stream and its payload.
fn read_frame(connection: &mut RawConnection) -> (u8, u32, Vec<u8>) {
    let head = connection.read_exactly(9);
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let of = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    (head[3], of, connection.read_exactly(length as usize))
}

/// Reads frames until one of this kind and stream comes. Returns its payload.
fn read_until(connection: &mut RawConnection, kind: u8, stream: u32) -> Vec<u8> {
    loop {
        let (of_kind, of, payload) = read_frame(connection);
        if (of_kind, of) == (kind, stream) {
            return payload;
        }
    }
}

#[test]
fn several_requests_are_answered_on_one_connection() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let mut connection = RawConnection::open(server.port());
    let requests: Vec<Vec<u8>> = [1, 3, 5]
        .map(|stream| get(stream, "/search?q=rain", "localhost"))
        .into();
    let sent = [greeting(1 << 20), requests.concat()].concat();
    connection.send(&sent).unwrap();
    // They come in any order; each ends with a frame of its own.
    let mut answers = 0;
    while answers < 3 {
        let (kind, _, data) = read_frame(&mut connection);
        if kind == DATA && !data.is_empty() {
            assert!(data.starts_with(b"{\"hits\":"), "{data:?}");
            answers += 1;
        }
    }
    // After a while without a request, too.
    std::thread::sleep(Duration::from_millis(50));
    connection.send(&get(7, "/livez", "localhost")).unwrap();
    assert!(read_until(&mut connection, DATA, 7).starts_with(b"{\"status\""));
    // A name that the service does not answer to is refused as in HTTP/1.1.
    connection
        .send(&get(9, "/search?q=a", "evil.example"))
        .unwrap();
    let data = read_until(&mut connection, DATA, 9);
    assert!(String::from_utf8_lossy(&data).contains("host_not_allowed"));
}

#[test]
fn an_answer_whose_window_stays_shut_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("SERVER__WRITE_STALL_TIMEOUT_MS", 1000)
        .setting("SERVER__HEADER_TIMEOUT_MS", 2000)
        .setting("SERVER__KEEP_ALIVE_TIMEOUT_MS", 2000)
        .setting("SERVER__MAX_CONCURRENT_REQUESTS", 4)
        .start();
    server
        .client()
        .post(
            "/documents",
            json!({"documents": [{"id": "a", "text": "rain"}]}),
        )
        .ok();
    // Wide enough for the beginning of an answer, and shut.
    for window in [0, 1] {
        let mut connection = RawConnection::open(server.port());
        let requests = (0..8).map(|n| get(2 * n + 1, "/documents/a", "localhost"));
        let requests: Vec<Vec<u8>> = requests.collect();
        let sent = [greeting(window), requests.concat()].concat();
        connection.send(&sent).unwrap();
        assert!(connection.read_to_end().1 < SOON, "{window}");
        // On a connection of its own: one that has been waiting so long may be closed at this moment.
        let client = Client::new(format!("http://127.0.0.1:{}", server.port()));
        client.get("/documents/a").ok();
    }
}

#[test]
fn a_connection_that_gives_up_all_its_requests_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let mut connection = RawConnection::open(server.port());
    connection.send(&greeting(1 << 20)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut stream = 1;
    let given_up = 8_u32.to_be_bytes();
    loop {
        let request = get(stream, "/search?q=rain", "localhost");
        let both = [request, frame(RST_STREAM, 0, stream, &given_up)].concat();
        if connection.send(&both).is_err() {
            break;
        }
        assert!(Instant::now() < deadline, "still open after {stream}");
        stream += 2;
    }
    server.client().get("/livez").ok();
}

#[test]
fn an_idle_connection_ends_and_one_that_says_nothing_more_than_hello_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("SERVER__KEEP_ALIVE_TIMEOUT_MS", 500)
        .setting("SERVER__HEADER_TIMEOUT_MS", 500)
        .start();
    let mut silent = RawConnection::open(server.port());
    silent.send(&greeting(1 << 20)).unwrap();
    assert!(silent.read_to_end().1 < SOON);
    let mut idle = RawConnection::open(server.port());
    let sent = [greeting(1 << 20), get(1, "/livez", "localhost")].concat();
    idle.send(&sent).unwrap();
    read_until(&mut idle, DATA, 1);
    assert!(idle.read_to_end().1 < SOON);
}
