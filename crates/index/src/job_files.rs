//! What is known of jobs, and what they have found, each in a file of its own.
//!
//! They are no part of the record: nothing is made from them, a snapshot does not hold them, and they
//! say what was true of the data when the job ran.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::data_folder::JOBS_FOLDER;
use crate::durable_files::fsync_folder;
use crate::store::{Store, check_room};
use crate::temporary_file::TemporaryFile;
use crate::{Error, private_files};

/// What is known of a job.
const RECORD: &str = "json";
/// What it has found.
const RESULT: &str = "result";
/// Far more than the id of a job has.
const MAX_ID_BYTES: usize = 64;
/// Bytes written between two looks at the room on the disk.
const ROOM_CHECK_BYTES: u64 = 16 << 20;

/// The folder with the files of all jobs.
#[derive(Debug)]
pub struct JobFiles {
    folder: PathBuf,
    store: Arc<Store>,
    min_free_disk_bytes: u64,
}

impl JobFiles {
    /// The files of a data folder. Removes what an interrupted job has left.
    pub(crate) fn open(
        data_folder: &Path,
        store: Arc<Store>,
        min_free_disk_bytes: u64,
    ) -> Result<Self, Error> {
        let folder = data_folder.join(JOBS_FOLDER);
        if folder.is_dir() {
            private_files::tighten_all(&folder);
            TemporaryFile::sweep(&folder, |name| {
                id_of(name, RECORD).or(id_of(name, RESULT)).is_some()
            })?;
        }
        Ok(Self {
            folder,
            store,
            min_free_disk_bytes,
        })
    }

    /// Keeps what is known of a job in the place of what was known before. It is durable then.
    ///
    /// # Errors
    /// A full or failing disk; what was known before is there still.
    pub fn save(&self, id: &str, record: &[u8]) -> Result<(), Error> {
        let (temporary, mut file) = self.create(id, RECORD, record.len() as u64)?;
        file.write_all(record)?;
        temporary.finish(file)
    }

    /// Returns what is known of all jobs, by their ids.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn saved(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut saved = Vec::new();
        if !self.folder.is_dir() {
            return Ok(saved);
        }
        for entry in fs_err::read_dir(&self.folder)? {
            let name = entry?.file_name();
            if let Some(id) = name.to_str().and_then(|name| id_of(name, RECORD)) {
                saved.push((id.to_owned(), fs_err::read(self.path(id, RECORD))?));
            }
        }
        Ok(saved)
    }

    /// Begins to write what a job has found.
    ///
    /// # Errors
    /// A full or failing disk.
    pub fn new_result(&self, id: &str) -> Result<JobResultFile<'_>, Error> {
        let (temporary, file) = self.create(id, RESULT, 0)?;
        Ok(JobResultFile {
            files: self,
            temporary,
            file: std::io::BufWriter::new(file),
            bytes: 0,
            checked_at: 0,
        })
    }

    /// Returns the file with what a job has found, and its size in bytes; none when it found nothing that
    /// is kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn result(&self, id: &str) -> Result<Option<(std::fs::File, u64)>, Error> {
        match fs_err::File::open(self.path(id, RESULT)) {
            Ok(file) => {
                let bytes = file.metadata()?.len();
                Ok(Some((file.into_parts().0, bytes)))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes everything that is known of a job.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove(&self, id: &str) -> Result<(), Error> {
        // What it has found first: without the record nobody would know whose it is.
        for extension in [RESULT, RECORD] {
            match fs_err::remove_file(self.path(id, extension)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        Ok(fsync_folder(&self.folder)?)
    }

    fn create(
        &self,
        id: &str,
        extension: &str,
        bytes: u64,
    ) -> Result<(TemporaryFile, fs_err::File), Error> {
        if !is_id(id) {
            return Err(std::io::Error::other("not the id of a job").into());
        }
        // A folder that was moved away must not be made anew in its old place.
        self.store.check_in_place()?;
        fs_err::create_dir_all(&self.folder)?;
        check_room(&self.folder, bytes, self.min_free_disk_bytes)?;
        TemporaryFile::create(&self.path(id, extension))
    }

    fn path(&self, id: &str, extension: &str) -> PathBuf {
        self.folder.join(format!("{id}.{extension}"))
    }
}

/// What a job has found, while it is written. It is removed when it is dropped unfinished.
#[derive(Debug)]
pub struct JobResultFile<'a> {
    files: &'a JobFiles,
    temporary: TemporaryFile,
    file: std::io::BufWriter<fs_err::File>,
    bytes: u64,
    checked_at: u64,
}

impl JobResultFile<'_> {
    /// Adds bytes to it.
    ///
    /// # Errors
    /// A full or failing disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes += bytes.len() as u64;
        if self.bytes - self.checked_at >= ROOM_CHECK_BYTES {
            self.checked_at = self.bytes;
            check_room(
                &self.files.folder,
                ROOM_CHECK_BYTES,
                self.files.min_free_disk_bytes,
            )?;
        }
        Ok(self.file.write_all(bytes)?)
    }

    /// Returns how many bytes were added.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes it durable under its name.
    ///
    /// # Errors
    /// A full or failing disk.
    pub fn finish(self) -> Result<(), Error> {
        let file = self.file.into_inner();
        let file = file.map_err(std::io::IntoInnerError::into_error)?;
        self.temporary.finish(file)
    }
}

/// The id of the job that a file of this kind belongs to.
fn id_of<'a>(name: &'a str, extension: &str) -> Option<&'a str> {
    let id = name.strip_suffix(extension)?.strip_suffix('.')?;
    is_id(id).then_some(id)
}

/// No id leads out of the folder.
fn is_id(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !id.is_empty() && id.len() <= MAX_ID_BYTES && id.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::lock_file::LockFile;
    use crate::store::StoreOptions;

    fn files(folder: &Path) -> JobFiles {
        let lock = LockFile::acquire(folder).unwrap();
        let store = Store::open(&folder.join("store"), StoreOptions::SMALL, lock).unwrap();
        JobFiles::open(folder, Arc::new(store), 0).unwrap()
    }

    #[test]
    fn what_is_saved_and_found_is_there_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        assert!(files.saved().unwrap().is_empty());
        files.save("a-1", b"first").unwrap();
        files.save("a-1", b"second").unwrap();
        let mut result = files.new_result("a-1").unwrap();
        result.write(b"found").unwrap();
        assert!(files.result("a-1").unwrap().is_none(), "not finished");
        result.finish().unwrap();
        let saved = files.saved().unwrap();
        assert_eq!(saved, [("a-1".to_owned(), b"second".to_vec())]);
        let (mut file, bytes) = files.result("a-1").unwrap().unwrap();
        let mut found = String::new();
        file.read_to_string(&mut found).unwrap();
        assert_eq!((found.as_str(), bytes), ("found", 5));
        files.remove("a-1").unwrap();
        assert!(files.saved().unwrap().is_empty());
        assert!(files.result("a-1").unwrap().is_none());
        files.remove("a-1").unwrap();
    }

    #[test]
    fn what_an_interrupted_job_has_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = folder.path().join(JOBS_FOLDER);
        fs_err::create_dir(&jobs).unwrap();
        for name in [".a.result.tmp", ".a.json.tmp", ".b.tmp", "a.json"] {
            fs_err::write(jobs.join(name), "x").unwrap();
        }
        let files = files(folder.path());
        assert_eq!(files.saved().unwrap().len(), 1);
        let left = fs_err::read_dir(&jobs).unwrap().count();
        assert_eq!(left, 2);
    }

    #[test]
    fn no_id_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        for id in ["", "..", "../a", "a/b", "a.b", "a\0", &"a".repeat(65)] {
            assert!(files.save(id, b"x").is_err(), "{id:?}");
        }
    }
}
