//! Texts as tokens, spans and passages, by word pieces, byte pairs and unigrams. The first two bytes say by which,
//! and how often the text is repeated: long ones go through a tokenizer in pieces.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use siamese_encoder::{Encoder, EncoderOptions, InputKind};
use siamese_fuzz::{folder, in_memory, models, write_all};
use siamese_server::passages::{Passages, passages};

static ENCODERS: LazyLock<Vec<Encoder>> = LazyLock::new(|| {
    let names = [
        "bert-old-dialect",
        "roberta",
        "xlm-roberta",
        "albert",
        "model2vec",
        "qwen3",
    ];
    let encoders = names.into_iter().map(|name| open(&models().join(name)));
    encoders.chain([lower_casing()]).collect()
});

fn open(folder: &Path) -> Encoder {
    Encoder::open(folder, &EncoderOptions::default()).expect("a model of the tests")
}

/// One that has texts in lower case, which changes the lengths of some letters.
fn lower_casing() -> Encoder {
    let files = folder(&models().join("bert-old-dialect"));
    let copy = in_memory();
    write_all(copy.path(), &files);
    let settings = r#"{"max_seq_length": 24, "do_lower_case": true}"#;
    let file = copy.path().join("sentence_bert_config.json");
    fs_err::write(file, settings).expect("memory for a file");
    open(copy.path())
}

/// Just over what goes through a tokenizer at once.
const MAX_BYTES: usize = 40 << 10;

fuzz_target!(|input: &[u8]| {
    let [kind, times, text @ ..] = input else {
        return;
    };
    let encoder = &ENCODERS[usize::from(*kind) % ENCODERS.len()];
    let text = String::from_utf8_lossy(text);
    // Long texts are the exception, because they take long.
    let times = if *times < 250 {
        1
    } else {
        MAX_BYTES / text.len().max(1)
    };
    let text = text.repeat(times.max(1));
    check_tokens(encoder, &text);
    let title = (kind & 0x80 != 0).then_some("A title");
    for by in [Passages::OfDefaultSize, Passages::ByParagraph] {
        check_passages(encoder, by, title, &text);
    }
});

fn check_tokens(encoder: &Encoder, text: &str) {
    for kind in [InputKind::Query, InputKind::Document] {
        let tokenized = encoder.tokenize(text, kind).expect("a text has tokens");
        assert!(tokenized.tokens_kept() <= tokenized.tokens_seen());
        assert!(tokenized.unknown_tokens() <= tokenized.own_tokens());
    }
    let tokens = encoder.text_tokens(text, true).expect("a text has tokens");
    let characters = text.chars().count();
    for span in tokens.iter().filter_map(|token| token.span.as_ref()) {
        assert!(
            span.start <= span.end && span.end <= characters,
            "{span:?} of {characters}"
        );
    }
    for span in encoder.token_spans(text).expect("a text has spans") {
        assert!(
            text.get(span.clone()).is_some(),
            "{span:?} of {} bytes",
            text.len()
        );
    }
    let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
    encoder.decode(&ids, true).expect("tokens are a text");
}

fn check_passages(encoder: &Encoder, by: Passages, title: Option<&str>, text: &str) {
    let passages = passages(encoder, by, title, text).expect("a text has passages");
    assert!(!passages.is_empty(), "a text without passages");
    for passage in &passages {
        assert!(
            text.get(passage.span.clone()).is_some(),
            "{:?}",
            passage.span
        );
    }
    let ordered = |pair: &[siamese_server::passages::Passage]| {
        pair[0].span.start <= pair[1].span.start && pair[0].span.end <= pair[1].span.end
    };
    assert!(
        passages.windows(2).all(ordered),
        "passages are not in order"
    );
}
