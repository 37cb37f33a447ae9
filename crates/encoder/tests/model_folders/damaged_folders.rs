//! Folders of which files are missing, damaged, or do not fit each other.

use serde_json::Value;
use siamese_encoder::{Encoder, EncoderOptions, Error, InputKind};

use crate::fixture::{Copy, generic};

#[test]
fn a_missing_file_is_named() {
    for file in [
        "modules.json",
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "2_Dense/model.safetensors",
    ] {
        let folder = Copy::of("bert-dense-prompts");
        fs_err::remove_file(folder.path().join(file)).unwrap();
        let error = folder.error();
        assert!(
            matches!(&error, Error::MissingFile { path } if path.ends_with(file)),
            "{error}"
        );
        assert!(error.to_string().contains(file), "{error}");
    }
}

#[test]
fn a_file_cut_short_anywhere_is_named_and_panics_nowhere() {
    for file in [
        "modules.json",
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "2_Dense/model.safetensors",
    ] {
        let folder = Copy::of("bert-dense-prompts");
        let path = folder.path().join(file);
        let bytes = fs_err::read(&path).unwrap();
        // A line break at the end means nothing.
        let last = bytes.trim_ascii_end().len() - 1;
        for part in [0, 1, 7, 8, 9, 100, last / 2, last] {
            fs_err::write(&path, &bytes[..part.min(last)]).unwrap();
            let error = folder.error();
            assert!(error.to_string().contains(file), "{part} bytes: {error}");
        }
    }
}

#[test]
fn a_tokenizer_at_which_the_library_panics_is_named() {
    for (what, change, by) in [
        // No UTF-8 begins with that.
        (
            "a part that is no string",
            &br###""prefix": "##"###[..],
            0xff,
        ),
        (
            "a special token that is not there",
            br#""id": "[CLS]"#,
            b'!',
        ),
    ] {
        let folder = Copy::of("bert-dense-prompts");
        let path = folder.path().join("tokenizer.json");
        let mut bytes = fs_err::read(&path).unwrap();
        let place = bytes.windows(change.len()).position(|it| it == change);
        bytes[place.unwrap() + change.len() - 1] = by;
        fs_err::write(&path, &bytes).unwrap();
        let error = folder.error().to_string();
        assert!(error.contains("tokenizer.json"), "{what}: {error}");
    }
}

#[test]
fn weights_of_another_shape_are_an_error_that_names_the_tensor() {
    for (name, key, value, tensor) in [
        ("bert-old-dialect", "hidden_size", 48, "word_embeddings"),
        ("bert-old-dialect", "intermediate_size", 60, "intermediate"),
        ("bert-old-dialect", "vocab_size", 100, "word_embeddings"),
        ("bert-old-dialect", "num_hidden_layers", 3, "layer.2."),
        (
            "bert-old-dialect",
            "max_position_embeddings",
            512,
            "position_embeddings",
        ),
        ("albert", "embedding_size", 36, "word_embeddings"),
        ("albert", "num_hidden_groups", 3, "albert_layer_groups.2."),
        ("albert", "inner_group_num", 3, "albert_layers.2."),
    ] {
        let folder = Copy::of(name);
        folder.change("config.json", |config| config[key] = value.into());
        let error = folder.error().to_string();
        assert!(
            error.contains("model.safetensors") && error.contains(tensor),
            "{key}: {error}"
        );
    }
}

#[test]
fn impossible_sizes_are_refused() {
    for (name, key, value) in [
        ("bert-old-dialect", "num_attention_heads", 5),
        ("bert-old-dialect", "num_attention_heads", 0),
        ("bert-old-dialect", "hidden_size", 0),
        ("bert-old-dialect", "hidden_size", usize::MAX),
        ("bert-old-dialect", "intermediate_size", usize::MAX),
        ("bert-old-dialect", "num_hidden_layers", usize::MAX),
        ("albert", "embedding_size", 0),
        ("albert", "num_hidden_groups", 0),
        ("albert", "inner_group_num", usize::MAX),
    ] {
        let folder = Copy::of(name);
        folder.change("config.json", |config| config[key] = value.into());
        let error = folder.error();
        assert!(error.to_string().contains("config.json"), "{key}: {error}");
    }
}

#[test]
fn flipped_bits_in_the_header_panic_nowhere() {
    let folder = Copy::of("distilbert");
    let path = folder.path().join("model.safetensors");
    let bytes = fs_err::read(&path).unwrap();
    for at in (0..4096).step_by(13) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x15;
        fs_err::write(&path, &damaged).unwrap();
        // A flipped bit may also change what nobody reads; then the folder opens.
        if let Err(error) = folder.open() {
            assert!(
                error.to_string().contains("model.safetensors"),
                "{at}: {error}"
            );
        }
    }
}

/// Where a tensor's values are in a safetensors file.
fn tensor_bytes(file: &[u8], name: &str) -> std::ops::Range<usize> {
    let header_bytes = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let values = 8 + header_bytes;
    let header: Value = serde_json::from_slice(&file[8..values]).unwrap();
    let offset = |place: usize| header[name]["data_offsets"][place].as_u64().unwrap() as usize;
    values + offset(0)..values + offset(1)
}

#[test]
fn weights_that_are_no_numbers_make_an_error_and_no_vector() {
    let folder = Copy::of("bert-old-dialect");
    let path = folder.path().join("model.safetensors");
    let mut bytes = fs_err::read(&path).unwrap();
    let place = tensor_bytes(&bytes, "embeddings.LayerNorm.weight");
    bytes[place].copy_from_slice(&f32::NAN.to_le_bytes().repeat(36));
    fs_err::write(&path, bytes).unwrap();
    for options in [EncoderOptions::default(), generic()] {
        let encoder = Encoder::open(folder.path(), &options).unwrap();
        let error = encoder
            .encode(&["rain"], InputKind::Query)
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(error, Error::NonFinite { index: 0 }), "{error}");
    }
}

#[test]
fn a_tokenizer_that_knows_more_than_the_model_is_an_error() {
    for name in ["bert-old-dialect", "deberta-v2"] {
        let folder = Copy::of(name);
        let other = Copy::of("roberta");
        fs_err::copy(
            other.path().join("tokenizer.json"),
            folder.path().join("tokenizer.json"),
        )
        .unwrap();
        let encoder = folder.open().unwrap();
        let text = "e-mail addresses appear in texts: ÄÖÜ ぁ ❤";
        let error = encoder
            .encode(&[text], InputKind::Query)
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(error, Error::TokenOutOfRange { .. }), "{error}");
    }
}

#[test]
fn a_folder_without_a_tokenizers_file_says_what_to_make_it_of() {
    for name in ["vocab.txt", "spiece.model", "sentencepiece.bpe.model"] {
        let folder = Copy::of("bert-old-dialect");
        fs_err::rename(
            folder.path().join("tokenizer.json"),
            folder.path().join(name),
        )
        .unwrap();
        let error = folder.error().to_string();
        assert!(error.contains("tokenizer.json is missing"), "{error}");
        assert!(
            error.contains(name) && error.contains("save_pretrained"),
            "{error}"
        );
    }
}
