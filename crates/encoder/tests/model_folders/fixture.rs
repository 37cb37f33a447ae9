//! Model folders, and the vectors that their authors' libraries make with them.

use std::path::{Path, PathBuf};

use serde_json::Value;
use siamese_encoder::{Encoder, EncoderOptions, Error, InputKind};

pub(crate) fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/models")
        .join(name)
}

pub(crate) fn open(folder: &Path, options: &EncoderOptions) -> Encoder {
    Encoder::open(folder, options).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}

pub(crate) fn generic() -> EncoderOptions {
    EncoderOptions {
        generic: true,
        ..EncoderOptions::default()
    }
}

pub(crate) fn json_file(path: PathBuf) -> Value {
    serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
}

pub(crate) struct References {
    pub(crate) texts: Vec<String>,
    pub(crate) json: Value,
}

impl References {
    pub(crate) fn of(name: &str) -> Self {
        let json = json_file(model(name).join("references.json"));
        let texts = json["texts"].as_array().unwrap();
        Self {
            texts: texts
                .iter()
                .map(|text| text.as_str().unwrap().to_owned())
                .collect(),
            json,
        }
    }

    pub(crate) fn texts(&self) -> Vec<&str> {
        self.texts.iter().map(String::as_str).collect()
    }

    pub(crate) fn vectors(&self, pointer: &str) -> Vec<Vec<f32>> {
        serde_json::from_value(self.json.pointer(pointer).unwrap().clone()).unwrap()
    }
}

pub(crate) fn cosine(left: &[f32], right: &[f32]) -> f64 {
    assert_eq!(left.len(), right.len());
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    if dot(left, left) + dot(right, right) == 0.0 {
        return 1.0;
    }
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
}

/// The same direction and the same length.
#[track_caller]
pub(crate) fn assert_equal(what: &str, left: &[f32], right: &[f32]) {
    let cosine = cosine(left, right);
    assert!(cosine >= 0.99999, "{what}: {cosine}");
    let largest = left
        .iter()
        .chain(right)
        .fold(0.0, |a: f32, b| a.max(b.abs()));
    for (a, b) in left.iter().zip(right) {
        assert!((a - b).abs() <= 1e-4 * largest, "{what}: {a} is not {b}");
    }
}

#[track_caller]
pub(crate) fn assert_encodes(encoder: &Encoder, name: &str) {
    let references = References::of(name);
    for (kind, pointer) in [
        (InputKind::Query, "/query"),
        (InputKind::Document, "/document"),
    ] {
        let expected = references.vectors(pointer);
        let together = encoder.encode(&references.texts(), kind).unwrap();
        for ((text, expected), batched) in references.texts.iter().zip(&expected).zip(&together) {
            let what = format!("{name}, {pointer}, {text:?}");
            let alone = &encoder.encode(&[text], kind).unwrap()[0];
            assert_equal(&what, &alone.vector, expected);
            assert_equal(&what, &batched.vector, expected);
        }
    }
}

#[track_caller]
pub(crate) fn assert_stays_close(name: &str, options: &EncoderOptions, least_cosine: f64) {
    let references = References::of(name);
    let encoder = open(&model(name), options);
    let encodings = encoder
        .encode(&references.texts(), InputKind::Query)
        .unwrap();
    for (encoding, expected) in encodings.iter().zip(references.vectors("/query")) {
        let cosine = cosine(&encoding.vector, &expected);
        assert!(cosine >= least_cosine, "{name}: {cosine}");
    }
}

/// A model folder that a test may spoil.
pub(crate) struct Copy(tempfile::TempDir);

impl Copy {
    pub(crate) fn of(name: &str) -> Self {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&model(name), copy.path());
        Self(copy)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, file: &str, json: &Value) {
        fs_err::write(self.path().join(file), json.to_string()).unwrap();
    }

    pub(crate) fn change(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let mut json = json_file(self.path().join(file));
        change(&mut json);
        self.write(file, &json);
    }

    pub(crate) fn open(&self) -> Result<Encoder, Error> {
        Encoder::open(self.path(), &EncoderOptions::default())
    }

    #[track_caller]
    pub(crate) fn error(&self) -> Error {
        self.open().map(|_| ()).unwrap_err()
    }
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs_err::copy(entry.path(), to).unwrap();
        }
    }
}
