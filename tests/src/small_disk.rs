//! A disk that is soon full.

use std::path::Path;
use std::process::Command;

/// A small disk of its own, as long as it lives.
#[derive(Debug)]
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Returns `None`, and says so, where one may not be mounted.
    pub fn mount(megabytes: usize) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .output();
        if !mount.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: mounting a small tmpfs takes root; the full disk was not tested");
            return None;
        }
        Some(Self(folder))
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Bytes that are free.
    pub fn free_bytes(&self) -> u64 {
        let free = rustix::fs::statvfs(self.path()).unwrap();
        free.f_bavail * free.f_frsize
    }

    /// Gives it another size.
    ///
    /// # Panics
    /// When it cannot have it.
    pub fn resize(&self, megabytes: usize) {
        let size = format!("remount,size={megabytes}m");
        let resized = Command::new("mount")
            .args(["-o", &size])
            .arg(self.path())
            .status();
        assert!(resized.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.path()).status());
    }
}
