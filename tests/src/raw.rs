//! A connection on which a test says exactly what is sent, and when.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// How long a test waits for bytes or for the end of a connection.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection in the raw.
#[derive(Debug)]
pub struct RawConnection(TcpStream);

impl RawConnection {
    /// Connects to a port of this machine.
    ///
    /// # Panics
    /// When nobody listens there.
    pub fn open(port: u16) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self(socket)
    }

    /// As [`Self::saying`], with so small a receive buffer that little is on its way to a reader that
    /// does not read.
    ///
    /// # Panics
    /// As [`Self::open`].
    pub fn narrow_saying(port: u16, text: &str) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        socket.connect(&address.into()).expect("connect");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut connection = Self(socket.into());
        drop(connection.send(text.as_bytes()));
        connection
    }

    /// Connects and sends `text`. Whether the other side takes it is not looked at.
    ///
    /// # Panics
    /// As [`Self::open`].
    pub fn saying(port: u16, text: &str) -> Self {
        let mut connection = Self::open(port);
        drop(connection.send(text.as_bytes()));
        connection
    }

    /// Reads so many bytes.
    ///
    /// # Panics
    /// When the connection ends before.
    pub fn read_exactly(&mut self, bytes: usize) -> Vec<u8> {
        let mut read = vec![0; bytes];
        self.0.read_exact(&mut read).expect("more bytes");
        read
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection is closed.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Reads until `end` has come or the connection has ended.
    ///
    /// # Panics
    /// When neither happens for a minute.
    #[track_caller]
    pub fn read_until(&mut self, end: &str) -> String {
        let (mut text, mut byte) = (Vec::new(), [0]);
        while !text.ends_with(end.as_bytes()) {
            match self.0.read(&mut byte) {
                Ok(0) => break,
                Ok(_) => text.push(byte[0]),
                Err(error) if is_timeout(&error) => panic!("neither {end:?} nor an end came"),
                Err(_) => break,
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Reads to the end of the connection, and returns the text and how long that took.
    ///
    /// # Panics
    /// When it is still open after a minute without a byte.
    #[track_caller]
    pub fn read_to_end(&mut self) -> (String, Duration) {
        let started_at = Instant::now();
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Err(error) if is_timeout(&error) => panic!("the connection is still open"),
            // A reset is an end, too.
            _ => {}
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        (text, started_at.elapsed())
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&self) {
        drop(self.0.shutdown(Shutdown::Write));
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut)
}
