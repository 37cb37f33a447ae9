//! Files of models: one of a valid folder with some bytes changed. The first two bytes say which. What opens also
//! encodes. Not pickles: candle's reader of them may panic, which is caught where they are read.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use siamese_encoder::{Encoder, EncoderOptions, InputKind};
use siamese_fuzz::{Edits, folder, in_memory, models, write_all};

type Files = Vec<(PathBuf, Vec<u8>)>;

static MODELS: LazyLock<Vec<Files>> = LazyLock::new(|| {
    let abort = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Of the reader of tokenizers; it is caught, too.
        let place = panic.location().map(|it| it.file());
        if !place.is_some_and(|file| file.contains("/tokenizers-")) {
            abort(panic);
        }
    }));
    let names = [
        "model2vec",
        "static-embedding",
        "sharded-bf16",
        "bert-dense-prompts",
    ];
    let files = names.map(|name| folder(&models().join(name)));
    files.into()
});

fuzz_target!(|input: &[u8]| {
    let [model, place, edits @ ..] = input else {
        return;
    };
    let mut files = MODELS[usize::from(*model) % MODELS.len()].clone();
    let count = files.len();
    Edits::new(edits).apply(&mut files[usize::from(*place) % count].1);
    let folder = in_memory();
    write_all(folder.path(), &files);
    let options = EncoderOptions {
        threads: Some(1),
        ..EncoderOptions::default()
    };
    if let Ok(encoder) = Encoder::open(folder.path(), &options) {
        drop(encoder.encode(&["a lamp"], InputKind::Document));
    }
});
