//! Which files are read.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use tempfile::TempPath;
use walkdir::{DirEntry, WalkDir};

use super::document::cause;
use super::file_id::FileIds;
use super::format::ENDINGS;
use super::{Format, ReadOptions};

/// What stands for standard input on a command line.
const STANDARD_INPUT: &str = "-";

/// A file to read.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What people call it.
    pub(crate) shown: String,
    /// What it is called in ids.
    pub(crate) id: String,
    /// How it is read.
    pub(crate) format: Format,
    /// Its size.
    pub(crate) bytes: u64,
    /// The copy of what can be read only once.
    #[expect(
        dead_code,
        reason = "it is deleted when the last one that holds it is dropped"
    )]
    pub(super) copy: Option<Arc<TempPath>>,
}

/// Files, and what else was found on the way.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// To be read, in the order in which they were named, folders in the order of names.
    pub(crate) files: Vec<SourceFile>,
    /// What is not read, and why.
    pub(crate) skipped: Vec<(String, String)>,
    /// What could not be read, and why.
    pub(crate) failed: Vec<(String, String)>,
}

/// Looks for the files that were named, and for those in the folders that were.
///
/// A file that cannot be read does not keep the others from being read; it is in the list.
///
/// # Errors
/// When there is no current folder.
pub(crate) fn find(paths: &[PathBuf], options: &ReadOptions) -> Result<Found> {
    let mut search = Search {
        options,
        ids: FileIds::new(options.relative_to.as_deref())?,
        first_names: HashMap::new(),
        found: Found::default(),
    };
    for path in paths {
        let shown = path.display().to_string();
        let outcome = if path.as_os_str() == STANDARD_INPUT {
            search.standard_input()
        } else if path.is_dir() {
            search.folder(path);
            Ok(())
        } else {
            search.named(path)
        };
        if let Err(reason) = outcome {
            search.found.failed.push((shown, reason));
        }
    }
    Ok(search.found)
}

struct Search<'a> {
    options: &'a ReadOptions,
    ids: FileIds,
    /// Files that are in the list, by their paths without links, and what they were called.
    first_names: HashMap<PathBuf, String>,
    found: Found,
}

impl Search<'_> {
    fn standard_input(&mut self) -> Result<(), String> {
        let (copy, bytes) = copied(&mut std::io::stdin().lock()).map_err(|error| cause(&error))?;
        let format = match self.options.format {
            Some(format) => format,
            None => looks_like_json(&copy).ok_or(
                "cannot tell what standard input holds; say so, for example with --format csv",
            )?,
        };
        self.found.files.push(SourceFile {
            path: copy.to_path_buf(),
            shown: "standard input".to_owned(),
            id: "stdin".to_owned(),
            format,
            bytes,
            copy: Some(Arc::new(copy)),
        });
        Ok(())
    }

    /// A file that was named itself.
    fn named(&mut self, path: &Path) -> Result<(), String> {
        let metadata = fs_err::metadata(path).map_err(|error| cause(&error))?;
        let format = self
            .options
            .format
            .or_else(|| Format::of(path))
            .ok_or_else(|| format!("not one of {ENDINGS}; use --format to say how to read it"))?;
        if metadata.is_file() {
            self.add(path, format, metadata.len());
            return Ok(());
        }
        if !is_pipe(&metadata) {
            return Err("neither a file nor a folder".to_owned());
        }
        let mut pipe = fs_err::File::open(path).map_err(|error| cause(&error))?;
        let (copy, bytes) = copied(&mut pipe).map_err(|error| cause(&error))?;
        self.found.files.push(SourceFile {
            path: copy.to_path_buf(),
            shown: path.display().to_string(),
            id: self.ids.of(path),
            format,
            bytes,
            copy: Some(Arc::new(copy)),
        });
        Ok(())
    }

    fn folder(&mut self, folder: &Path) {
        let mut entries = WalkDir::new(folder).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            match entry {
                Ok(entry) if entry.depth() > 0 && is_hidden(&entry) => {
                    if entry.file_type().is_dir() {
                        entries.skip_current_dir();
                    }
                    self.skip(entry.path(), "hidden");
                }
                Ok(entry) => self.entry(&entry),
                Err(error) => self.unreadable(folder, &error),
            }
        }
    }

    fn unreadable(&mut self, folder: &Path, error: &walkdir::Error) {
        let path = error.path().unwrap_or(folder).display().to_string();
        let reason = error
            .io_error()
            .map_or_else(|| error.to_string(), ToString::to_string);
        self.found.failed.push((path, reason));
    }

    /// Something in a folder that is not hidden.
    fn entry(&mut self, entry: &DirEntry) {
        let path = entry.path();
        if entry.file_type().is_dir() {
            return;
        }
        let metadata = match fs_err::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => {
                let reason = if entry.path_is_symlink() {
                    format!("a link that leads nowhere: {}", cause(&error))
                } else {
                    cause(&error)
                };
                return self.found.failed.push((path.display().to_string(), reason));
            }
        };
        match Format::of(path) {
            _ if metadata.is_dir() => {
                // It may lead anywhere, even back to here.
                self.skip(path, "a link to a folder; name it yourself to have it read");
            }
            _ if !metadata.is_file() => self.skip(path, "not a file"),
            Some(format) => self.add(path, format, metadata.len()),
            None => self.skip(path, &format!("not one of {ENDINGS}")),
        }
    }

    /// Adds a file unless it is there under another name.
    fn add(&mut self, path: &Path, format: Format, bytes: u64) {
        let shown = path.display().to_string();
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if let Some(first) = self.first_names.get(&real) {
            let reason = match *first == shown {
                true => "named twice".to_owned(),
                false => format!("the same file as {first}"),
            };
            return self.found.skipped.push((shown, reason));
        }
        self.first_names.insert(real, shown.clone());
        self.found.files.push(SourceFile {
            path: path.to_owned(),
            shown,
            id: self.ids.of(path),
            format,
            bytes,
            copy: None,
        });
    }

    fn skip(&mut self, path: &Path, reason: &str) {
        self.found
            .skipped
            .push((path.display().to_string(), reason.to_owned()));
    }
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with('.')
}

#[cfg(unix)]
fn is_pipe(metadata: &std::fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&metadata.file_type())
}

#[cfg(not(unix))]
fn is_pipe(_: &std::fs::Metadata) -> bool {
    false
}

/// Copies what can be read only once, because some kinds of files are read twice.
fn copied(source: &mut impl std::io::Read) -> std::io::Result<(TempPath, u64)> {
    let mut file = tempfile::NamedTempFile::new()?;
    let bytes = std::io::copy(source, &mut file)?;
    file.flush()?;
    Ok((file.into_temp_path(), bytes))
}

/// The kind of JSON that a file holds whose name says nothing.
fn looks_like_json(path: &Path) -> Option<Format> {
    use std::io::Read;
    let file = fs_err::File::open(path).ok()?;
    let mut head = Vec::new();
    file.take(4096).read_to_end(&mut head).ok()?;
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
    match head.iter().find(|byte| !byte.is_ascii_whitespace())? {
        b'{' => Some(Format::Jsonl),
        b'[' => Some(Format::Json),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "x").unwrap();
        }
        folder
    }

    fn found(paths: &[PathBuf]) -> Found {
        find(paths, &ReadOptions::default()).unwrap()
    }

    /// Ends of the paths of a list.
    fn ends<'a>(paths: impl Iterator<Item = &'a String>, folder: &Path) -> Vec<String> {
        let start = format!("{}/", folder.display());
        paths.map(|path| path.replace(&start, "")).collect()
    }

    #[test]
    fn folders_are_walked_in_order_and_what_is_not_read_is_named() {
        let folder = folder(&[
            "b.txt",
            "a/z.md",
            "a/photo.png",
            ".hidden.txt",
            ".git/c.txt",
        ]);
        let found = found(&[folder.path().to_owned()]);
        let files = found.files.iter().map(|file| &file.shown);
        assert_eq!(ends(files, folder.path()), ["a/z.md", "b.txt"]);
        let skipped = found.skipped.iter().map(|(path, _)| path);
        assert_eq!(
            ends(skipped, folder.path()),
            [".git", ".hidden.txt", "a/photo.png"]
        );
    }

    #[test]
    fn files_of_one_name_in_two_folders_have_ids_of_their_own() {
        let folder = folder(&["a/docs/readme.md", "b/docs/readme.md"]);
        let named = ["a/docs", "b/docs"].map(|name| folder.path().join(name));
        for paths in [
            &named[..],
            &named.clone().map(|path| path.join("readme.md")),
        ] {
            let found = found(paths);
            assert_eq!(found.files.len(), 2);
            assert_ne!(found.files[0].id, found.files[1].id);
        }
    }

    #[test]
    fn what_cannot_be_read_does_not_keep_the_rest_from_being_found() {
        let folder = folder(&["photo.png", "a.txt"]);
        let paths = ["nowhere.txt", "photo.png", "a.txt"].map(|name| folder.path().join(name));
        let found = found(&paths);
        assert_eq!(found.files.len(), 1);
        assert_eq!(found.failed.len(), 2);
        assert!(found.failed[1].1.contains("--format"));
    }

    #[test]
    fn a_named_file_of_another_kind_is_read_as_it_is_said() {
        let folder = folder(&["dump.log"]);
        let options = ReadOptions {
            format: Some(Format::Jsonl),
            ..ReadOptions::default()
        };
        let found = find(&[folder.path().join("dump.log")], &options).unwrap();
        assert_eq!(found.files[0].format, Format::Jsonl);
    }

    #[test]
    fn a_file_is_read_once_however_often_it_is_named() {
        let folder = folder(&["a.txt"]);
        let file = folder.path().join("a.txt");
        let found = found(&[folder.path().to_owned(), file.clone(), file]);
        assert_eq!(found.files.len(), 1);
        assert_eq!(found.skipped.len(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn links_to_files_are_followed_and_links_to_folders_and_nowhere_are_named() {
        use std::os::unix::fs::symlink;
        let (folder, other) = (folder(&["a.txt"]), folder(&["b.txt"]));
        symlink(other.path().join("b.txt"), folder.path().join("link.txt")).unwrap();
        symlink(folder.path().join("a.txt"), folder.path().join("same.txt")).unwrap();
        symlink(folder.path(), folder.path().join("loop")).unwrap();
        symlink("nowhere", folder.path().join("broken.txt")).unwrap();
        let found = found(&[folder.path().to_owned()]);
        let files = found.files.iter().map(|file| &file.shown);
        assert_eq!(ends(files, folder.path()), ["a.txt", "link.txt"]);
        let skipped = found.skipped.iter().map(|(path, _)| path);
        assert_eq!(ends(skipped, folder.path()), ["loop", "same.txt"]);
        assert_eq!(found.failed.len(), 1);
    }
}
