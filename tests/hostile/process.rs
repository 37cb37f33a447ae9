//! Memory, processor time and handles of another process, as `/proc` tells.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A process that is watched from outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(pub(crate) Pid);

impl Process {
    fn file(self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.0.as_raw_nonzero());
        fs_err::read_to_string(path).unwrap_or_default()
    }

    /// A line of `status` in bytes; 0 when the process is gone.
    fn status_bytes(self, key: &str) -> u64 {
        let status = self.file("status");
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kilobytes.unwrap_or(0) * 1024
    }

    /// Memory that the process has now, bytes.
    pub(crate) fn memory(self) -> u64 {
        self.status_bytes("VmRSS")
    }

    /// The most memory that it had since [`Process::forget_peak`], bytes.
    pub(crate) fn peak_memory(self) -> u64 {
        self.status_bytes("VmHWM")
    }

    /// Lets [`Process::peak_memory`] begin anew.
    pub(crate) fn forget_peak(self) {
        let path = format!("/proc/{}/clear_refs", self.0.as_raw_nonzero());
        fs_err::write(path, "5").expect("reset the peak of memory");
    }

    /// Ends the process, if it is still there.
    pub(crate) fn kill(self) {
        let _gone_already = kill_process(self.0, Signal::KILL);
    }

    /// Open handles.
    pub(crate) fn handles(self) -> usize {
        let path = format!("/proc/{}/fd", self.0.as_raw_nonzero());
        fs_err::read_dir(path).map_or(0, Iterator::count)
    }

    /// Processor time used so far.
    fn cpu_time(self) -> Duration {
        let stat = self.file("stat");
        // The name in parentheses may hold anything, so fields are counted behind it.
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        let ticks = fields.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|tick| tick.parse::<u64>().ok()).sum();
        // Linux gives all user space 100 ticks a second.
        Duration::from_millis(ticks * 10)
    }

    /// The time until the process uses a fifth of a core at most; `None` when `patience` is over.
    pub(crate) fn time_until_quiet(self, patience: Duration) -> Option<Duration> {
        // Ten ticks.
        const WINDOW: Duration = Duration::from_millis(100);
        let started_at = Instant::now();
        while started_at.elapsed() < patience {
            let (waited, used) = (started_at.elapsed(), self.cpu_time());
            std::thread::sleep(WINDOW);
            if self.cpu_time().saturating_sub(used) <= WINDOW / 5 {
                return Some(waited);
            }
        }
        None
    }
}
