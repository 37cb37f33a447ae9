//! HTTP by hand: what no well-behaved client would send, and answers read as slowly as wanted.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Bytes of an answer that are kept to be looked at.
const KEPT: usize = 64 * 1024;
/// Longer than any limit of the service after which it must have answered or hung up.
const PATIENCE: Duration = Duration::from_secs(90);

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire(pub(crate) TcpStream);

/// What came back on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    /// 0 when nothing came that has a status.
    pub(crate) status: u16,
    /// The beginning: head, and body as it came.
    pub(crate) beginning: Vec<u8>,
    /// Bytes in all.
    pub(crate) bytes: u64,
}

impl Reply {
    fn new(beginning: Vec<u8>, bytes: u64) -> Self {
        let status = beginning.get(9..12).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            digits.parse().ok()
        });
        Self {
            status: status.unwrap_or(0),
            beginning,
            bytes,
        }
    }
}

impl Wire {
    /// Connects from one of the addresses of the loopback network.
    pub(crate) fn open(from: Ipv4Addr, port: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        socket.connect_timeout(&server.into(), Duration::from_secs(10))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_tcp_nodelay(true)?;
        Ok(Self(socket.into()))
    }

    /// Connects with so small a receive buffer that little is on its way to a reader that does not
    /// read.
    pub(crate) fn open_narrow(from: Ipv4Addr, port: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_recv_buffer_size(4096)?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        socket.connect_timeout(&server.into(), Duration::from_secs(10))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(socket.into()))
    }

    /// Sends bytes; an error is what a server that has answered and hung up looks like.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Sends a whole request.
    pub(crate) fn request(&mut self, head: &str, body: &[u8]) -> io::Result<()> {
        self.send(head.as_bytes())?;
        self.send(body)
    }

    /// Reads to the end.
    pub(crate) fn reply(&mut self) -> Reply {
        let mut beginning = Vec::new();
        let mut bytes = 0;
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = self.0.read(&mut buffer) {
            bytes += read as u64;
            let room = KEPT - beginning.len().min(KEPT);
            beginning.extend_from_slice(&buffer[..read.min(room)]);
        }
        Reply::new(beginning, bytes)
    }

    /// Reads some bytes at most, then nothing more.
    pub(crate) fn read_some(&mut self, most: usize) -> Reply {
        let mut buffer = vec![0; most];
        let read = self.0.read(&mut buffer).unwrap_or(0);
        buffer.truncate(read);
        Reply::new(buffer, read as u64)
    }

    /// Hangs up.
    pub(crate) fn hang_up(self) {
        drop(self.0.shutdown(Shutdown::Both));
    }
}

/// The head of a request with a body of a known length, after which the connection is closed.
pub(crate) fn head(method: &str, path: &str, content_type: &str, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// The head of a request without a body, after which the connection is closed.
pub(crate) fn bare(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}
