//! Which files an ingest reads.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use walkdir::{DirEntry, WalkDir};

use super::FileKind;

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What a document made of the whole file is called: its path within the folder given.
    pub(crate) name: String,
    /// How it is read.
    pub(crate) kind: FileKind,
    /// Its size, for the progress bar.
    pub(crate) bytes: u64,
}

/// The files that were named, and those in the folders that were, in the order of their names.
/// Hidden files and files of other kinds are passed over in folders and refused when named.
///
/// # Errors
/// A path that is not there or cannot be read, or a named file of another kind.
pub(crate) fn find(paths: &[PathBuf]) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            in_folder(path, &mut files)?;
        } else {
            files.push(named(path)?);
        }
    }
    Ok(files)
}

fn named(path: &Path) -> Result<SourceFile> {
    let bytes = fs_err::metadata(path)?.len();
    let Some(kind) = FileKind::of(path) else {
        bail!(
            "{} is none of .jsonl, .ndjson, .csv, .txt, .md",
            path.display()
        );
    };
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    Ok(SourceFile {
        path: path.to_owned(),
        name: name.unwrap_or_default(),
        kind,
        bytes,
    })
}

fn in_folder(folder: &Path, files: &mut Vec<SourceFile>) -> Result<()> {
    let visible = |entry: &DirEntry| {
        entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.')
    };
    let entries = WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(visible);
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        if !entry.file_type().is_file() {
            continue;
        }
        if let Some(kind) = FileKind::of(entry.path()) {
            let name = entry.path().strip_prefix(folder).unwrap_or(entry.path());
            files.push(SourceFile {
                name: name.to_string_lossy().into_owned(),
                bytes: entry.metadata().map_or(0, |metadata| metadata.len()),
                path: entry.into_path(),
                kind,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_walked_in_order_without_hidden_and_other_files() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b.txt",
            "a/z.md",
            "a/photo.png",
            ".hidden.txt",
            ".git/c.txt",
        ] {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "x").unwrap();
        }
        let files = find(&[folder.path().to_owned()]).unwrap();
        let names: Vec<_> = files
            .iter()
            .map(|file| file.name.replace('\\', "/"))
            .collect();
        assert_eq!(names, ["a/z.md", "b.txt"]);
    }

    #[test]
    fn a_named_file_of_another_kind_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("photo.png");
        fs_err::write(&path, "x").unwrap();
        assert!(find(&[path]).unwrap_err().to_string().contains("photo.png"));
        assert!(find(&["nowhere.txt".into()]).is_err());
    }
}
