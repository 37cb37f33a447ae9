//! A streamed ingest whose answers are read while the request is still being sent.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};

use serde_json::Value;

/// One open `POST /documents` with `application/x-ndjson`.
#[derive(Debug)]
pub struct IngestStream {
    socket: TcpStream,
    answers: BufReader<TcpStream>,
}

impl IngestStream {
    /// Opens the request; nothing is sent but its head.
    ///
    /// # Panics
    /// When the server cannot be reached.
    pub fn open(port: u16) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        let head = "POST /documents HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                    content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
        socket.write_all(head.as_bytes()).expect("send the head");
        let answers = BufReader::new(socket.try_clone().expect("a second handle"));
        Self { socket, answers }
    }

    /// Sends bytes as one chunk. An error means that the server is gone.
    ///
    /// # Errors
    /// When the connection is closed.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        write!(self.socket, "{:x}\r\n", bytes.len())?;
        self.socket.write_all(bytes)?;
        self.socket.write_all(b"\r\n")
    }

    /// Ends the request's body.
    ///
    /// # Errors
    /// When the connection is closed.
    pub fn finish(&mut self) -> std::io::Result<()> {
        self.socket.write_all(b"0\r\n\r\n")
    }

    /// Breaks the protocol: what follows is no chunk.
    ///
    /// # Errors
    /// When the connection is closed.
    pub fn break_off(&mut self) -> std::io::Result<()> {
        self.socket.write_all(b"no chunk\r\n")
    }

    /// A second handle to send on, for a thread of its own.
    ///
    /// # Panics
    /// When the operating system has no more handles.
    pub fn try_clone(&self) -> Self {
        let socket = self.socket.try_clone().expect("a second handle");
        let answers = BufReader::new(socket.try_clone().expect("a second handle"));
        Self { socket, answers }
    }

    /// The next answer; `None` when the connection has ended.
    pub fn answer(&mut self) -> Option<Value> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.answers.read_line(&mut line).ok()? == 0 {
                return None;
            }
            // Status line, headers and chunk sizes stand between the answers.
            if let Ok(answer @ Value::Object(_)) = serde_json::from_str(&line) {
                return Some(answer);
            }
        }
    }

    /// Hangs up.
    pub fn hang_up(self) {
        drop(self.socket.shutdown(Shutdown::Both));
    }
}
