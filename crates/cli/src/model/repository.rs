//! A public model repository of the hub: which of its files are wanted, and what they must be.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::checksum::hex;
use super::hub::{Hub, Patience};
use super::manifest::{PinnedFile, PinnedModel};
use super::record::is_inside;
use super::source::SourceError;
use sha2::{Digest, Sha256};

/// The list of a repository's files takes less.
const MAX_LIST_BYTES: u64 = 16 << 20;
/// What has no checksum on the hub is read to make one; larger files have one.
const MAX_UNPINNED_BYTES: u64 = 64 << 20;
/// Folders with the same model in other formats.
const OTHER_FORMATS: [&str; 6] = ["onnx", "openvino", "coreml", "original", "flax", "tf"];
/// Texts that tokenizers are read from.
const TEXTS: [&str; 2] = ["vocab.txt", "merges.txt"];

/// A repository at a branch, a tag or a commit.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    name: String,
    revision: String,
}

/// Why a repository could not be listed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    /// The name is none of the hub's.
    #[error(
        "{0:?} is no name on the Hugging Face hub, which looks like sentence-transformers/all-MiniLM-L6-v2"
    )]
    Name(String),
    /// The hub did not say what the repository holds.
    #[error(
        "the files of {name} could not be listed at {endpoint}: {source}. A repository that is private, gated, or not \
         there is answered by 401 or 404. If this machine is behind a proxy, set HTTPS_PROXY (and HF_ENDPOINT \
         for a mirror); if it has no network, copy the repository's files from another machine into a folder and \
         give its path with --model DIR"
    )]
    Hub {
        /// The repository.
        name: String,
        /// The hub or its mirror.
        endpoint: String,
        /// What it answered.
        source: SourceError,
    },
    /// It is not what is expected of a model.
    #[error("{name} cannot be pulled: {reason}")]
    Unusable {
        /// The repository.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Debug, Deserialize)]
struct RawList {
    sha: String,
    siblings: Vec<RawFile>,
}

#[derive(Debug, Deserialize)]
struct RawFile {
    rfilename: String,
    lfs: Option<RawLfs>,
}

#[derive(Debug, Deserialize)]
struct RawLfs {
    sha256: String,
    size: u64,
}

impl Repository {
    /// A repository by the hub's name for it.
    ///
    /// # Errors
    /// When it is no such name.
    pub(crate) fn new(name: &str, revision: &str) -> Result<Self, ListError> {
        let is_part = |part: &str| {
            let known = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
            !part.is_empty() && part.chars().all(known) && !part.starts_with('.')
        };
        if name.split('/').count() > 2 || !name.split('/').all(is_part) {
            return Err(ListError::Name(name.to_owned()));
        }
        if !revision.split('/').all(is_part) {
            return Err(ListError::Name(revision.to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
            revision: revision.to_owned(),
        })
    }
}

/// What every wanted file of a repository must be, by the hub or the mirror that `$HF_ENDPOINT` names.
///
/// # Errors
/// When the hub does not say, or the repository holds no weights.
pub(crate) fn list(repository: &Repository) -> Result<PinnedModel, ListError> {
    let hub = Hub::of_environment(Patience::default());
    list_at(&hub, repository)
}

/// As [`list`], at a hub.
pub(super) fn list_at(hub: &Hub, repository: &Repository) -> Result<PinnedModel, ListError> {
    let Repository { name, revision } = repository;
    let failed = |source| ListError::Hub {
        name: name.clone(),
        endpoint: hub.endpoint().to_owned(),
        source,
    };
    let unusable = |reason: String| ListError::Unusable {
        name: name.clone(),
        reason,
    };
    let path = format!("api/models/{name}/revision/{revision}?blobs=true");
    let json = hub.get(&path, MAX_LIST_BYTES).map_err(failed)?;
    let list: RawList = serde_json::from_slice(&json).map_err(|error| {
        unusable(format!(
            "the hub's list of its files cannot be read: {error}"
        ))
    })?;
    let names: BTreeSet<&str> = list.siblings.iter().map(|file| &*file.rfilename).collect();
    if !names.iter().any(|name| is_weights(name)) {
        let reason = "it holds no weights as safetensors or pytorch_model.bin";
        return Err(unusable(reason.to_owned()));
    }
    let wanted = list
        .siblings
        .iter()
        .filter(|file| is_wanted(&file.rfilename, &names));
    let files: Vec<PinnedFile> = wanted
        .map(|file| pin(hub, name, &list.sha, file).map_err(failed))
        .collect::<Result<_, _>>()?;
    // A process pulls one model, and ends.
    Ok(PinnedModel {
        name: name.clone().leak(),
        revision: list.sha.leak(),
        wheel: None,
        files: files.leak(),
    })
}

/// What a file must be: what the hub says of large ones, and what small ones are at this commit.
fn pin(hub: &Hub, name: &str, commit: &str, file: &RawFile) -> Result<PinnedFile, SourceError> {
    let path: &'static str = file.rfilename.clone().leak();
    if let Some(RawLfs { sha256, size }) = &file.lfs {
        return Ok(PinnedFile {
            path,
            bytes: *size,
            sha256: sha256.clone().leak(),
        });
    }
    let url = format!("{name}/resolve/{commit}/{path}");
    let content = hub.get(&url, MAX_UNPINNED_BYTES)?;
    Ok(PinnedFile {
        path,
        bytes: content.len() as u64,
        sha256: hex(&Sha256::digest(&content)).leak(),
    })
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a file holds weights that an encoder reads, alone or with others.
fn is_weights(path: &str) -> bool {
    let name = file_name(path);
    let is_part_of = |stem: &str, extension: &str| {
        let middle = name.strip_prefix(stem);
        let middle = middle.and_then(|rest| rest.strip_suffix(extension));
        middle.is_some_and(|middle| middle.is_empty() || middle.contains("-of-"))
    };
    is_part_of("model", ".safetensors") || is_part_of("pytorch_model", ".bin")
}

/// Whether a file is a part of the model as it is opened; `all` are the repository's.
fn is_wanted(path: &str, all: &BTreeSet<&str>) -> bool {
    let folder = path.strip_suffix(file_name(path)).unwrap_or_default();
    let top = path.split('/').next().unwrap_or_default();
    if !is_inside(path) || path.split('/').any(|part| part.starts_with('.')) {
        return false;
    }
    if !folder.is_empty() && OTHER_FORMATS.contains(&top) {
        return false;
    }
    let has = |name: &str| all.contains(format!("{folder}{name}").as_str());
    let name = file_name(path);
    if is_weights(path) {
        // One file is enough; several are for those who have no single one, and pickles come last.
        return match name {
            "model.safetensors" => true,
            "pytorch_model.bin" => {
                !has("model.safetensors") && !has("model.safetensors.index.json")
            }
            name if name.starts_with("model") => !has("model.safetensors"),
            _ => {
                !has("model.safetensors")
                    && !has("model.safetensors.index.json")
                    && !has("pytorch_model.bin")
            }
        };
    }
    name.ends_with(".json") || name.ends_with(".model") || TEXTS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(files: &[&str]) -> Vec<String> {
        let all: BTreeSet<&str> = files.iter().copied().collect();
        let wanted = files.iter().filter(|path| is_wanted(path, &all));
        wanted.map(ToString::to_string).collect()
    }

    #[test]
    fn of_several_formats_of_a_model_one_is_wanted() {
        let common = [
            "config.json",
            "1_Pooling/config.json",
            "vocab.txt",
            "spiece.model",
        ];
        let unwanted = [
            "README.md",
            ".gitattributes",
            "onnx/model.onnx",
            "onnx/config.json",
            "tf_model.h5",
            "model.fp16.safetensors",
            "../model.safetensors",
        ];
        for (weights, rest) in [
            (
                vec!["model.safetensors"],
                vec!["pytorch_model.bin", "model-00001-of-00002.safetensors"],
            ),
            (
                vec![
                    "model-00001-of-00002.safetensors",
                    "model-00002-of-00002.safetensors",
                    "model.safetensors.index.json",
                ],
                vec!["pytorch_model.bin"],
            ),
            (
                vec!["pytorch_model.bin", "2_Dense/model.safetensors"],
                vec!["2_Dense/pytorch_model.bin"],
            ),
        ] {
            let kept: Vec<&str> = common.iter().copied().chain(weights).collect();
            let all: Vec<&str> = kept.iter().copied().chain(unwanted).chain(rest).collect();
            assert_eq!(wanted(&all), kept);
        }
    }

    #[test]
    fn names_that_the_hub_cannot_have_are_refused() {
        for name in ["", "a/b/c", "../a", "a/..", "a b", "a/?x", "https://a"] {
            assert!(Repository::new(name, "main").is_err(), "{name}");
        }
        for name in ["gpt2", "BAAI/bge-m3", "a/b.c_d-1"] {
            assert!(Repository::new(name, "refs/pr/1").is_ok(), "{name}");
        }
        assert!(Repository::new("a/b", "../x").is_err());
    }
}
