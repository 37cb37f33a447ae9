//! Files in memory, because a disk would bound what a target gets done.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The file system in memory, where there is one.
const MEMORY: &str = "/dev/shm";

/// A new folder in memory, deleted when it is dropped.
pub fn in_memory() -> TempDir {
    let memory = Path::new(MEMORY);
    let folder = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    folder.expect("a folder for the files of a target")
}

/// A file in a folder of its own, deleted when it is dropped.
#[derive(Debug)]
pub struct MemoryFile {
    pub path: PathBuf,
    _folder: TempDir,
}

impl MemoryFile {
    pub fn with(name: &str, content: &[u8]) -> Self {
        let folder = in_memory();
        let path = folder.path().join(name);
        fs_err::write(&path, content).expect("memory for a file");
        Self {
            path,
            _folder: folder,
        }
    }
}

/// The tiny models of the encoder's tests.
pub fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/encoder/tests/fixtures/models")
}

/// All files of a folder with their contents, by their paths in it, in order.
pub fn folder(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = walkdir::WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter();
    let files = files.map(|entry| entry.expect("a folder of our own").into_path());
    files
        .filter(|path| path.is_file())
        .map(|path| {
            let bytes = fs_err::read(&path).expect("a file of our own");
            let name = path.strip_prefix(folder).expect("it is in the folder");
            (name.to_owned(), bytes)
        })
        .collect()
}

/// Writes such files into a folder.
pub fn write_all(folder: &Path, files: &[(PathBuf, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs_err::create_dir_all(parent).expect("memory for a folder");
        fs_err::write(path, bytes).expect("memory for a file");
    }
}
