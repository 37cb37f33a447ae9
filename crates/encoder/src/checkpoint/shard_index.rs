//! The index of weights that are spread over several files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::Error;
use crate::files::read_json;

/// More files than any model has.
const MAX_FILES: usize = 1 << 10;

/// Which file has which tensor.
#[derive(Debug)]
pub(super) struct ShardIndex {
    pub(super) files: Vec<PathBuf>,
    /// The place of a tensor's file among them.
    pub(super) places: HashMap<String, usize>,
}

#[derive(Debug, Deserialize)]
struct RawIndex {
    weight_map: BTreeMap<String, String>,
}

impl ShardIndex {
    /// Reads an index.
    ///
    /// # Errors
    /// When it is damaged, or names what is no file beside it.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let RawIndex { weight_map } = read_json(path)?;
        let names: BTreeSet<&str> = weight_map.values().map(String::as_str).collect();
        if names.is_empty() || names.len() > MAX_FILES {
            let reason = format!("it names {} files, not 1 to {MAX_FILES}", names.len());
            return Err(Error::damaged(path, reason));
        }
        if let Some(name) = names.iter().find(|name| !is_file_name(name)) {
            let reason = format!("it names {name:?}, which is no file beside it");
            return Err(Error::damaged(path, reason));
        }
        let names: Vec<&str> = names.into_iter().collect();
        let place = |(tensor, file): (&String, &String)| {
            let place = names.binary_search(&file.as_str()).ok()?;
            Some((tensor.clone(), place))
        };
        Ok(Self {
            places: weight_map.iter().filter_map(place).collect(),
            files: names.iter().map(|name| path.with_file_name(name)).collect(),
        })
    }
}

fn is_file_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!(components.next(), Some(Component::Normal(_))) && components.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<ShardIndex, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors.index.json");
        fs_err::write(&path, json).unwrap();
        ShardIndex::read(&path)
    }

    #[test]
    fn files_are_in_the_order_of_their_names_whatever_the_tensors() {
        let index =
            read(r#"{"metadata":{},"weight_map":{"a":"two","b":"one","c":"two"}}"#).unwrap();
        let names: Vec<_> = index
            .files
            .iter()
            .map(|it| it.file_name().unwrap())
            .collect();
        assert_eq!(names, ["one", "two"]);
        assert_eq!(
            (index.places["a"], index.places["b"], index.places["c"]),
            (1, 0, 1)
        );
    }

    #[test]
    fn files_elsewhere_are_refused() {
        for name in ["../secret", "/etc/passwd", "a/b", ".."] {
            let json = serde_json::json!({"weight_map": {"a": name}}).to_string();
            let error = read(&json).unwrap_err().to_string();
            assert!(
                error.contains(name) && error.contains("index.json"),
                "{error}"
            );
        }
        assert!(read(r#"{"weight_map":{}}"#).is_err());
    }
}
