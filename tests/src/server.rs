//! A server process on a free port.

use std::hash::{Hash, Hasher};
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use ureq::tls::TlsConfig;

use crate::certificates::Identity;
use crate::client::Client;
use crate::{binary, model_dir, tiny_model_dir};

/// Loading the model takes a moment, more on a busy machine.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// A running `siamese serve`, killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
    client: Client,
}

/// Where tests find a cluster to keep documents on, addresses for gRPC with commas between them. Servers have data folders
/// where it is not set.
pub const QDRANT_URLS: &str = "SIAMESE_TEST_BACKEND_QDRANT_URLS";

/// How to start a server.
#[derive(Debug)]
pub struct ServerOptions {
    data_dir: PathBuf,
    model: PathBuf,
    host: &'static str,
    port: u16,
    arguments: Vec<&'static str>,
    environment: Vec<(String, String)>,
    log: Option<PathBuf>,
    max_open_files: Option<usize>,
    tls: Option<TlsConfig>,
}

impl ServerOptions {
    /// The default model on a free port.
    pub fn new(data_dir: &Path) -> Self {
        Self::with(data_dir, model_dir())
    }

    /// A model of a few kilobytes on a free port.
    pub fn tiny(data_dir: &Path) -> Self {
        Self::with(data_dir, &tiny_model_dir())
    }

    fn with(data_dir: &Path, model: &Path) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            model: model.to_owned(),
            host: "127.0.0.1",
            port: free_port(),
            arguments: Vec::new(),
            environment: backend(data_dir),
            log: None,
            max_open_files: None,
            tls: None,
        }
    }

    /// Another model folder.
    #[must_use]
    pub fn model(mut self, folder: &Path) -> Self {
        self.model = folder.to_owned();
        self
    }

    /// A fixed port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Another address to listen on; tests ask over loopback.
    #[must_use]
    pub fn host(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    /// An argument of the command.
    #[must_use]
    pub fn argument(mut self, argument: &'static str) -> Self {
        self.arguments.push(argument);
        self
    }

    /// A setting, such as `LIMITS__MAX_TOP_K`.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers write numbers in place"
    )]
    pub fn setting(mut self, key: &str, value: impl ToString) -> Self {
        self.environment
            .push((format!("SIAMESE__{key}"), value.to_string()));
        self
    }

    /// A variable of the environment that is no setting.
    #[must_use]
    pub fn environment(mut self, key: &str, value: &Path) -> Self {
        let value = value.to_str().expect("a readable path").to_owned();
        self.environment.push((key.to_owned(), value));
        self
    }

    /// Writes what the server logs into a file instead of among the test's own output.
    #[must_use]
    pub fn log_to(mut self, file: &Path) -> Self {
        self.log = Some(file.to_owned());
        self
    }

    /// Lets the server speak TLS with this certificate, and its client so.
    #[must_use]
    pub fn tls(mut self, identity: &Identity, client: TlsConfig) -> Self {
        self.tls = Some(client);
        self.setting("SERVER__TLS__CERTIFICATE", identity.certificate.display())
            .setting("SERVER__TLS__KEY", identity.key.display())
    }

    /// Allows the server so many open files, which it cannot raise again.
    #[must_use]
    pub fn max_open_files(mut self, count: usize) -> Self {
        self.max_open_files = Some(count);
        self
    }

    fn command(&self) -> Command {
        let mut command = match self.max_open_files {
            None => Command::new(binary()),
            Some(count) => {
                let mut shell = Command::new("sh");
                shell
                    .arg("-c")
                    .arg(format!("ulimit -n {count} && exec \"$0\" \"$@\""));
                shell.arg(binary());
                shell
            }
        };
        command
            .arg("serve")
            .arg("--listen")
            .arg(format!("{}:{}", self.host, self.port))
            .arg("--data")
            .arg(&self.data_dir)
            .arg("--model")
            .arg(&self.model)
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    #[track_caller]
    pub fn start(self) -> Server {
        let mut server = self.start_loading();
        server.wait_until_ready();
        server
    }

    /// Starts the server, which may not be ready when this returns, nor listen.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_loading(self) -> Server {
        let mut command = self.command();
        if let Some(log) = &self.log {
            command.stderr(fs_err::File::create(log).expect("a log file").into_file());
        }
        let child = command
            .stdout(Stdio::null())
            .spawn()
            .expect("start the server");
        let client = match self.tls {
            None => Client::new(format!("http://127.0.0.1:{}", self.port)),
            Some(tls) => Client::with_tls(format!("https://127.0.0.1:{}", self.port), tls),
        };
        Server {
            child,
            port: self.port,
            client,
        }
    }

    /// Runs a server that is expected to fail; returns its exit status and standard error.
    ///
    /// # Panics
    /// When it is still running after a while.
    #[track_caller]
    pub fn start_and_fail(self) -> (ExitStatus, String) {
        let mut child = self
            .command()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start");
        let deadline = Instant::now() + READY_TIMEOUT;
        while child.try_wait().expect("wait").is_none() {
            if Instant::now() > deadline {
                drop(child.kill());
                panic!("the server did not fail");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = child.wait_with_output().expect("wait");
        (
            output.status,
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }
}

impl Server {
    /// The default model, a folder, a free port.
    #[track_caller]
    pub fn start(data_dir: &Path) -> Self {
        ServerOptions::new(data_dir).start()
    }

    /// A client of this server.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Whether the process is still there.
    ///
    /// # Panics
    /// When it cannot be asked for.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_none()
    }

    /// SIGKILL: the process gets no chance to tidy up.
    ///
    /// # Panics
    /// When the process cannot be killed.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// SIGTERM, and wait for the end.
    ///
    /// # Panics
    /// When the process cannot be signalled.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal_terminate();
        self.child.wait().expect("wait")
    }

    /// Waits until the process ends by itself.
    ///
    /// # Panics
    /// When the process cannot be waited for.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        self.child.wait().expect("wait")
    }

    /// SIGTERM without waiting.
    ///
    /// # Panics
    /// When the process cannot be signalled.
    pub fn signal_terminate(&self) {
        kill_process(self.pid(), Signal::TERM).expect("signal");
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When the process cannot be waited for.
    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("wait")
    }

    /// Waits for the end, and kills the process when it has not come in this time: `None`.
    ///
    /// # Panics
    /// When the process cannot be waited for.
    pub fn wait_at_most(mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    #[track_caller]
    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + READY_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("wait") {
                panic!("the server ended with {status} before it was ready");
            }
            if self
                .client
                .try_get("/readyz")
                .is_some_and(|answer| answer.status == 200)
            {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server was not ready in {READY_TIMEOUT:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Whether it answered wrongly or was gone is the first thing to know about a test that fails.
            let ended = self.child.try_wait().expect("wait");
            let how = ended.map_or_else(
                || "runs".to_owned(),
                |status| format!("has ended: {status}"),
            );
            eprintln!("the server on port {} {how}", self.port);
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Ports of servers that tests start: below those that the system gives to whoever asks for any, so that neither a
/// connection nor another program comes by one between this test's look and its server's start.
const PORTS: Range<u32> = 20_000..32_000;

/// A port nobody listens on right now, and that no other test of this process has been given.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Test programs that run at the same time begin in different places.
    let begin = std::process::id().wrapping_mul(31);
    let count = PORTS.end - PORTS.start;
    for _ in 0..count {
        let given = GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + begin.wrapping_add(given) % count;
        let port = u16::try_from(port).expect("a port");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

/// Settings of a server with this data folder: where tests are to run on a cluster, the folder stands for what the server
/// has there.
fn backend(data_dir: &Path) -> Vec<(String, String)> {
    let Ok(urls) = std::env::var(QDRANT_URLS) else {
        return Vec::new();
    };
    let mut hasher = std::hash::DefaultHasher::new();
    data_dir.hash(&mut hasher);
    let urls: Vec<String> = urls.split(',').map(|url| format!("{url:?}")).collect();
    let settings = [
        ("BACKEND", "qdrant".to_owned()),
        ("QDRANT__URLS", format!("[{}]", urls.join(","))),
        ("QDRANT__PREFIX", format!("test-{:016x}", hasher.finish())),
        ("QDRANT__SHARDS", "2".to_owned()),
        ("QDRANT__REPLICAS", "2".to_owned()),
    ];
    let named = settings.into_iter();
    named
        .map(|(key, value)| (format!("SIAMESE__STORAGE__{key}"), value))
        .collect()
}
