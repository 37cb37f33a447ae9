//! A service in a process of its own, whose footprint is looked at.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::client::{Address, Service};

/// Loading the model takes a moment, more on a busy machine.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// The running service, ended when dropped.
#[derive(Debug)]
pub(super) struct SoakedService {
    child: Child,
    service: Service,
    data: tempfile::TempDir,
}

/// What a process takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Footprint {
    /// Resident memory.
    pub(super) memory_bytes: u64,
    /// Open files, sockets and the like.
    pub(super) handles: usize,
    /// All files of the data folder.
    pub(super) disk_bytes: u64,
}

impl SoakedService {
    pub(super) fn start(max_head_passages: usize) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let child = Command::new(std::env::current_exe()?)
            .args(["serve", "--listen", &address.to_string(), "--data"])
            .arg(data.path())
            .env(
                "SIAMESE__INDEX__MAX_HEAD_PASSAGES",
                max_head_passages.to_string(),
            )
            .env("SIAMESE__LOG__FILTER", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let service = Service::at(&Address::of(format!("http://{address}")));
        let mut running = Self {
            child,
            service,
            data,
        };
        running.wait_until_ready()?;
        Ok(running)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("the service ended with {status}");
            }
            if self.service.is_ready().unwrap_or(false) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("the service was not ready in {READY_TIMEOUT:?}")
    }

    pub(super) fn service(&self) -> &Service {
        &self.service
    }

    /// What the service takes now.
    ///
    /// # Errors
    /// When the service has ended, or on a system without /proc.
    pub(super) fn footprint(&self) -> Result<Footprint> {
        let process = Path::new("/proc").join(self.child.id().to_string());
        let status = fs_err::read_to_string(process.join("status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = resident.and_then(|text| text.trim().strip_suffix(" kB"));
        let kilobytes: u64 = kilobytes.context("no VmRSS in /proc")?.parse()?;
        Ok(Footprint {
            memory_bytes: kilobytes << 10,
            handles: fs_err::read_dir(process.join("fd"))?.count(),
            disk_bytes: bytes_below(self.data.path()),
        })
    }
}

impl Drop for SoakedService {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Files come and go meanwhile; what cannot be read counts nothing.
fn bytes_below(folder: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten();
    let files = entries.filter_map(|entry| entry.metadata().ok());
    files
        .filter(|file| file.is_file())
        .map(|file| file.len())
        .sum()
}
