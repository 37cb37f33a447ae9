//! Weights in several files, in narrow types, and as PyTorch pickles them.

use siamese_encoder::{EncoderOptions, Error, InputKind, Precision};

use crate::fixture::{Copy, assert_encodes, assert_stays_close, generic, model, open};

const FOLDERS: [&str; 2] = ["sharded-bf16", "pickled-f16"];
const INDEX: &str = "model.safetensors.index.json";

#[test]
fn weights_in_several_files_and_in_pickles_are_read() {
    for name in FOLDERS {
        for options in [EncoderOptions::default(), generic()] {
            assert_encodes(&open(&model(name), &options), name);
        }
        let options = EncoderOptions {
            precision: Precision::Int16,
            ..EncoderOptions::default()
        };
        assert_stays_close(name, &options, 0.9999);
    }
}

#[test]
fn all_files_of_weights_decide_the_id() {
    for (name, file) in [
        ("sharded-bf16", "model-00001-of-00003.safetensors"),
        ("sharded-bf16", "model-00003-of-00003.safetensors"),
        ("pickled-f16", "2_Dense/pytorch_model.bin"),
    ] {
        let folder = Copy::of(name);
        let id = folder.open().unwrap().info().id.clone();
        let path = folder.path().join(file);
        let mut bytes = fs_err::read(&path).unwrap();
        // Of the pickle a byte that no checksum is about: the comment that ends a zip archive.
        match file.ends_with("bin") {
            true => {
                let last = bytes.len() - 2;
                bytes[last] = 1;
                bytes.push(7);
            }
            false => *bytes.last_mut().unwrap() ^= 1,
        }
        fs_err::write(&path, bytes).unwrap();
        assert_ne!(folder.open().unwrap().info().id, id, "{file}");
    }
}

#[test]
fn a_file_of_weights_that_is_missing_is_named() {
    for (name, file, named) in [
        (
            "sharded-bf16",
            "model-00002-of-00003.safetensors",
            "model-00002-of-00003.safetensors",
        ),
        ("sharded-bf16", INDEX, "model.safetensors"),
        ("pickled-f16", "pytorch_model.bin", "model.safetensors"),
        (
            "pickled-f16",
            "2_Dense/pytorch_model.bin",
            "2_Dense/model.safetensors",
        ),
    ] {
        let folder = Copy::of(name);
        fs_err::remove_file(folder.path().join(file)).unwrap();
        let error = folder.error();
        assert!(
            matches!(&error, Error::MissingFile { path } if path.ends_with(named)),
            "{error}"
        );
    }
}

#[test]
fn a_file_of_weights_that_is_cut_short_is_named_and_panics_nowhere() {
    for (name, file) in [
        ("sharded-bf16", INDEX),
        ("sharded-bf16", "model-00002-of-00003.safetensors"),
        ("pickled-f16", "pytorch_model.bin"),
    ] {
        let folder = Copy::of(name);
        let path = folder.path().join(file);
        let bytes = fs_err::read(&path).unwrap();
        let last = bytes.trim_ascii_end().len() - 1;
        for part in [0, 1, 7, 100, last / 2, last] {
            fs_err::write(&path, &bytes[..part]).unwrap();
            let error = folder.error().to_string();
            assert!(error.contains(file), "{part} bytes: {error}");
        }
    }
}

#[test]
fn flipped_bits_in_a_pickle_panic_nowhere() {
    let folder = Copy::of("pickled-f16");
    let vector = || -> Result<Vec<f32>, Error> {
        let encoder = folder.open()?;
        Ok(encoder
            .encode(&["The mill sings."], InputKind::Query)?
            .swap_remove(0)
            .vector)
    };
    vector().unwrap();
    let path = folder.path().join("pytorch_model.bin");
    let bytes = fs_err::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(bytes.len() / 97) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x15;
        fs_err::write(&path, &damaged).unwrap();
        // What candle reads of a tensor is compared with no checksum; the vector may be another.
        if let Err(error) = vector() {
            let error = error.to_string();
            assert!(error.contains("pytorch_model.bin"), "{at}: {error}");
        }
    }
}

#[test]
fn shards_that_do_not_fit_their_index_are_named() {
    let folder = Copy::of("sharded-bf16");
    let tensor = "embeddings.word_embeddings.weight";
    folder.change(INDEX, |index| {
        index["weight_map"][tensor] = "model-00003-of-00003.safetensors".into();
    });
    let error = folder.error().to_string();
    assert!(
        error.contains("model-00003-of-00003.safetensors"),
        "{error}"
    );
    assert!(
        error.contains(&format!("no tensor {tensor}, which {INDEX} says it has")),
        "{error}"
    );

    let folder = Copy::of("sharded-bf16");
    folder.change(INDEX, |index| {
        index["weight_map"]
            .as_object_mut()
            .unwrap()
            .remove("embeddings.LayerNorm.weight");
    });
    let error = folder.error().to_string();
    assert!(
        error.contains(INDEX) && error.contains("no tensor embeddings.LayerNorm.weight"),
        "{error}"
    );

    let folder = Copy::of("sharded-bf16");
    folder.change("config.json", |config| config["hidden_size"] = 48.into());
    let error = folder.error().to_string();
    assert!(
        error.contains("of-00003.safetensors") && error.contains("has the shape"),
        "{error}"
    );
}

#[test]
fn a_pickle_of_another_kind_is_refused() {
    let folder = Copy::of("pickled-f16");
    let path = folder.path().join("pytorch_model.bin");
    fs_err::copy(model("bert-old-dialect").join("model.safetensors"), path).unwrap();
    let error = folder.error().to_string();
    assert!(error.contains("pytorch_model.bin"), "{error}");
}
