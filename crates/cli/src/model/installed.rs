//! Which models are in the models folder.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use super::record::Record;

/// A model's folder is at most so far below: an organisation, and a name.
const LEVELS: usize = 2;
/// One of these files is in every model's folder.
const MARKS: [&str; 2] = ["modules.json", "config.json"];

/// A folder with a model.
#[derive(Debug)]
pub(crate) struct InstalledModel {
    /// Its path in the models folder, by which it is asked for.
    pub(crate) name: String,
    folder: PathBuf,
    /// Size of its files.
    pub(crate) bytes: u64,
    /// The commit that it was pulled at, where that is recorded.
    pub(crate) revision: Option<String>,
}

impl InstalledModel {
    /// As JSON.
    pub(crate) fn described(&self) -> Value {
        json!({
            "name": self.name,
            "folder": self.folder,
            "bytes": self.bytes,
            "revision": self.revision,
        })
    }
}

/// The models of a models folder, by name; none where the folder is not there.
///
/// # Errors
/// When a folder or a record cannot be read.
pub(crate) fn installed(models_dir: &Path) -> Result<Vec<InstalledModel>> {
    let mut models = Vec::new();
    collect(models_dir, "", LEVELS, &mut models)?;
    models.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(models)
}

fn collect(
    folder: &Path,
    name: &str,
    levels: usize,
    models: &mut Vec<InstalledModel>,
) -> Result<()> {
    if !name.is_empty() && MARKS.iter().any(|mark| folder.join(mark).is_file()) {
        let revision = Record::read(folder)?.map(|record| record.revision);
        models.push(InstalledModel {
            name: name.to_owned(),
            folder: folder.to_owned(),
            bytes: size(folder)?,
            revision,
        });
        return Ok(());
    }
    for (own, path) in folders(folder)? {
        // A pull that was interrupted is no model yet.
        if levels > 0 && !own.ends_with(".partial") {
            let name = match name.is_empty() {
                true => own,
                false => format!("{name}/{own}"),
            };
            collect(&path, &name, levels - 1, models)?;
        }
    }
    Ok(())
}

/// The folders in a folder; none where it is not there.
fn folders(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs_err::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str())
            && path.is_dir()
        {
            folders.push((name.to_owned(), path.clone()));
        }
    }
    Ok(folders)
}

/// Size of all files in a folder and those in it.
fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        // Links are not followed, so that this ends.
        let kind = entry.file_type()?;
        bytes += match kind.is_dir() {
            true => size(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_listed_by_the_names_that_they_are_asked_for_by() {
        let models = tempfile::tempdir().unwrap();
        let write = |path: &str, bytes: usize| {
            let path = models.path().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, vec![b'x'; bytes]).unwrap();
        };
        write("b/two/modules.json", 3);
        write("b/two/1_Pooling/config.json", 4);
        write("one/config.json", 5);
        write("b/three.partial/modules.json", 6);
        write("b/notes.txt", 7);
        let found = installed(models.path()).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|it| (it.name.as_str(), it.bytes))
            .collect();
        assert_eq!(found, [("b/two", 7), ("one", 5)]);
        assert!(
            installed(&models.path().join("nowhere"))
                .unwrap()
                .is_empty()
        );
    }
}
