//! Data folders that older versions made are opened, searched and written to.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]

use std::path::{Path, PathBuf};

use siamese_index::{
    Chunking, Collection, CollectionSettings, ContentCheck, DEFAULT_ENCODER, DocumentDraft,
    DocumentWrite, DuplicateAction, EncoderIdentity, FeedbackLimits, GenerationState, Index,
    IndexOptions, Judgement, Language, Metadata, NewPassage, OnDuplicate, PassageSize,
    SearchOptions, StoredDocument, StoredPassage, VectorPrecision, WordQuery, WordSettings,
};

/// The encoder that made the folders.
fn encoder() -> EncoderIdentity {
    EncoderIdentity {
        id: "9a09182861d09550f934c97d794cf49c3e7e51d1d5f6890159102efa6bafb3da".to_owned(),
        name: "bert-old-dialect".to_owned(),
        dimensions: 36,
    }
}

const REJECT: OnDuplicate = OnDuplicate {
    action: DuplicateAction::Reject,
    min_score: 0.9,
};

/// A copy, since opening a folder changes it.
fn copy_of(fixture: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    copy(&fixtures.join(fixture), folder.path());
    folder
}

fn copy(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs_err::copy(path, target).unwrap();
        }
    }
}

fn open(folder: &Path) -> Index {
    let options = IndexOptions {
        default_settings: sentences(),
        check: ContentCheck::BeforeWrites,
        ..IndexOptions::default()
    };
    Index::open(folder, &encoder(), &options).unwrap()
}

fn sentences() -> CollectionSettings {
    CollectionSettings {
        chunking: Chunking::Sentence(PassageSize {
            max_tokens: 24,
            overlap_tokens: 4,
        }),
        ..CollectionSettings::default()
    }
}

fn add(collection: &Collection) {
    let vector: Vec<f32> = (0..36).map(|n| n as f32 + 1.0).collect();
    let passage = NewPassage {
        start: 0,
        end: 1,
        vector,
    };
    let draft = DocumentDraft {
        id: "new".to_owned(),
        title: None,
        text: "x".to_owned(),
        metadata: Metadata::new(),
    };
    let write = DocumentWrite {
        draft,
        passages: Some(vec![passage]),
    };
    collection.writer().upsert(&[write]).unwrap();
}

#[test]
fn a_folder_of_format_1_keeps_its_documents_and_has_chunking_off() {
    let folder = copy_of("format-1-chunking-off");
    for round in 0..2 {
        let index = open(folder.path());
        let collection = index.collection("default").unwrap();
        assert_eq!(collection.settings().chunking, Chunking::Off);
        assert_eq!(collection.stats().documents, 2 + round);
        let cat = collection.reader().get("cat").unwrap().unwrap();
        assert_eq!(
            (cat.title.as_deref(), cat.text.as_str()),
            (Some("Cats"), "A cat sleeps on the sofa.")
        );
        let own = collection.reader().passages("cat", true).unwrap().unwrap();
        let query = own[0].vector.clone().unwrap();
        let results = collection
            .reader()
            .search(&query, &SearchOptions::default())
            .unwrap();
        assert_eq!(results.hits[0].id, "cat");
        assert_eq!(index.collection("notes").unwrap().stats().documents, 1);
        add(&collection);
    }
}

#[test]
fn an_empty_collection_takes_new_chunking_and_keeps_it() {
    let folder = copy_of("format-1-chunking-off");
    let index = open(folder.path());
    index.put_collection("new", &sentences()).unwrap();
    index.delete_collection("default").unwrap();
    drop(index);
    let index = open(folder.path());
    for name in ["new", "default"] {
        assert_eq!(index.collection(name).unwrap().settings(), sentences());
    }
}

#[test]
fn a_folder_of_format_2_keeps_documents_settings_and_graphs() {
    let folder = copy_of("format-2");
    for round in 0..2 {
        let index = open(folder.path());
        let collection = index.collection("default").unwrap();
        let stats = collection.stats();
        assert_eq!((stats.documents, stats.segments), (2 + round, 1));
        assert!(collection.reader().get("old").unwrap().is_none());
        let dog = collection.reader().get("dog").unwrap().unwrap();
        assert_eq!(dog.text, "A dog barks.");
        assert_eq!(dog.metadata["loud"], true);
        let notes = index.collection("notes").unwrap();
        assert_eq!(notes.settings().graph.m, 8);
        assert_eq!(notes.stats().documents, 1);
        let own = collection.reader().passages("cat", true).unwrap().unwrap();
        let query = own[0].vector.clone().unwrap();
        let results = collection
            .reader()
            .search(&query, &SearchOptions::default())
            .unwrap();
        assert_eq!(results.hits[0].id, "cat");
        add(&collection);
    }
}

#[test]
fn a_folder_of_format_3_keeps_documents_and_collections_without_words() {
    let folder = copy_of("format-3");
    for round in 0..2 {
        let index = open(folder.path());
        assert!(!index.collection("plain").unwrap().settings().lexical);
        let collection = index.collection("default").unwrap();
        assert_eq!(collection.stats().documents, 2 + round);
        let dog = collection.reader().get("dog").unwrap().unwrap();
        assert_eq!(dog.metadata["loud"], true);
        let own = collection.reader().passages("cat", true).unwrap().unwrap();
        let query = own[0].vector.clone().unwrap();
        let results = collection
            .reader()
            .search(&query, &SearchOptions::default())
            .unwrap();
        assert_eq!(results.hits[0].id, "cat");
        add(&collection);
    }
}

#[test]
fn a_folder_of_format_5_keeps_its_settings_and_takes_what_becomes_of_duplicates() {
    let folder = copy_of("format-5");
    for round in 0..2 {
        let index = open(folder.path());
        let collection = index.collection("default").unwrap();
        assert_eq!(collection.stats().documents, 2 + round);
        assert_eq!(
            collection.reader().get("dog").unwrap().unwrap().metadata["loud"],
            true
        );
        let before = index.collection("english").unwrap().settings();
        assert_eq!(before.words.language, Language::from_code("en"));
        assert!(!before.words.folds_accents);
        assert!(matches!(before.chunking, Chunking::Paragraph(_)));
        let on_duplicate = (round > 0).then_some(REJECT);
        assert_eq!(before.on_duplicate, on_duplicate);
        let settings = CollectionSettings {
            on_duplicate: Some(REJECT),
            ..before
        };
        index.put_collection("english", &settings).unwrap();
        assert_eq!(index.collection("english").unwrap().stats().documents, 1);
        add(&collection);
    }
}

#[test]
fn collections_of_a_folder_of_format_6_have_the_encoder_that_it_had() {
    let folder = copy_of("format-6");
    let other = EncoderIdentity {
        id: "other".to_owned(),
        name: "other-model".to_owned(),
        dimensions: 5,
    };
    for (round, opened) in [other, encoder()].into_iter().enumerate() {
        let index = Index::open(folder.path(), &opened, &IndexOptions::default()).unwrap();
        for (name, documents) in [("default", 2 + round as u64), ("watched", 1)] {
            let collection = index.collection(name).unwrap();
            assert_eq!(collection.encoder().identity, encoder());
            assert_eq!(collection.encoder().name, DEFAULT_ENCODER);
            assert_eq!(collection.stats().documents, documents);
            assert_eq!(collection.reader().dimensions(), 36);
        }
        let watched = index.collection("watched").unwrap().settings();
        assert_eq!((watched.on_duplicate, watched.graph.m), (Some(REJECT), 8));
        let empty = index.collection("empty").unwrap();
        assert_eq!(empty.encoder().identity, opened);
        add(&index.collection("default").unwrap());
    }
}

#[test]
fn collections_of_a_folder_of_format_7_have_one_generation_each() {
    let folder = copy_of("format-7");
    for round in 0..2 {
        let index = open(folder.path());
        for (name, documents, dimensions) in [("default", 2 + round, 36), ("dense", 1, 20)] {
            let generations = index.generations(name).unwrap();
            let [only] = generations.as_slice() else {
                panic!("{name} has {} generations", generations.len());
            };
            assert_eq!((only.number, only.state), (1, GenerationState::Active));
            let reader = only.collection.reader();
            assert_eq!(reader.dimensions(), dimensions);
            assert_eq!(only.collection.stats().documents, documents);
        }
        add(&index.collection("default").unwrap());
    }
}

#[test]
fn collections_of_a_folder_of_format_8_keep_their_generations_and_take_feedback() {
    let folder = copy_of("format-8");
    let limits = FeedbackLimits {
        max_judgements: 10,
        max_bytes: 1000,
    };
    for round in 0..2 {
        let index = open(folder.path());
        let generations = index.generations("default").unwrap();
        let states = generations.iter().map(|it| (it.number, it.state));
        assert_eq!(
            states.collect::<Vec<_>>(),
            [(1, GenerationState::Active), (2, GenerationState::Ready)]
        );
        assert_eq!(index.collection("notes").unwrap().stats().documents, 1);
        let reader = std::sync::Arc::clone(generations[0].collection.reader());
        assert_eq!(reader.feedback_stats().unwrap().judgements, round);
        let judgement = Judgement {
            query: format!("query {round}"),
            document: "dog".to_owned(),
            is_useful: true,
        };
        index
            .put_feedback("default", &[judgement], &limits)
            .unwrap();
        let said = reader.feedback(Some("dog"), None, 10).unwrap().unwrap();
        assert_eq!(said.len() as u64, round + 1);
    }
}

#[test]
fn a_folder_of_format_9_keeps_feedback_aliases_kept_queries_and_a_generation_that_pauses() {
    let folder = copy_of("format-9");
    for round in 0..2 {
        let index = open(folder.path());
        assert_eq!(index.aliases().len(), 1);
        let collection = index.collection("animals").unwrap();
        assert_eq!(collection.name(), "default");
        assert_eq!(collection.settings().keep_queries, 7);
        let precision = collection.settings().graph.precision;
        assert_eq!(precision, VectorPrecision::Full);
        assert_eq!(collection.stats().documents, 2);
        let said = collection.reader().feedback(None, None, 10);
        let said = said.unwrap().unwrap().into_iter().map(|it| it.judgement);
        let said: Vec<_> = said
            .map(|it| (it.query, it.document, it.is_useful))
            .collect();
        let expected = [("cat", false), ("dog", true)];
        let expected = expected.map(|(id, useful)| ("who barks".to_owned(), id.to_owned(), useful));
        assert_eq!(said, expected);
        let second = index.generation("default", 2).unwrap();
        let state = [GenerationState::Paused, GenerationState::Ready][round];
        assert_eq!(second.state, state);
        assert!(!second.collection.settings().lexical);
        index.resume_generation("default", 2).unwrap();
        let whole = collection.reader().list_whole(None, 10, usize::MAX, true);
        let writes: Vec<_> = whole.unwrap().into_iter().map(as_write).collect();
        let target = second.collection.writer();
        target.fill(collection.writer(), &writes).unwrap();
        assert!(index.finish_generation("default", 2).unwrap());
        assert_eq!(second.collection.stats().documents, 2);
    }
}

#[test]
fn a_folder_of_format_10_keeps_its_precision_and_its_compact_segment() {
    let folder = copy_of("format-10");
    let file = folder.path().join("segments/0/0.segment");
    let before = fs_err::read(&file).unwrap();
    for _ in 0..2 {
        let index = open(folder.path());
        let collection = index.collection("default").unwrap();
        let precision = collection.settings().graph.precision;
        assert_eq!(precision, VectorPrecision::Compact);
        let stats = collection.stats();
        assert_eq!((stats.documents, stats.segments), (5, 1));
        assert_eq!((stats.head_passages, stats.dead_passages), (1, 1));
        for (id, passages) in collection
            .reader()
            .list_whole(None, 10, usize::MAX, true)
            .unwrap()
        {
            let vector = passages[0].vector.as_deref().unwrap();
            let found = collection
                .reader()
                .search(vector, &SearchOptions::default());
            let hits = found.unwrap().hits;
            assert_eq!((hits[0].id.as_str(), hits[0].score), (id.id.as_str(), 1.0));
            assert_eq!(hits.len(), 5);
        }
        assert!(index.settle());
    }
    assert_eq!(fs_err::read(&file).unwrap(), before);
}

/// A document as it is written again.
fn as_write((document, passages): (StoredDocument, Vec<StoredPassage>)) -> DocumentWrite {
    let passages = passages.into_iter().map(|passage| NewPassage {
        start: passage.start,
        end: passage.end,
        vector: passage.vector.unwrap(),
    });
    DocumentWrite {
        passages: Some(passages.collect()),
        draft: DocumentDraft {
            id: document.id,
            title: document.title,
            text: document.text,
            metadata: document.metadata,
        },
    }
}

#[test]
fn words_that_format_4_told_apart_otherwise_are_found_as_they_are_told_apart_now() {
    let folder = copy_of("format-4");
    assert!(folder.path().join("lexical/0/0").is_dir());
    for round in 0..2 {
        let index = open(folder.path());
        assert!(!index.collection("plain").unwrap().settings().lexical);
        let collection = index.collection("default").unwrap();
        let settings = collection.settings();
        assert_eq!(settings.words, WordSettings::default());
        assert_eq!(collection.stats().documents, 3 + round);
        for (query, expected) in [
            ("strasse", "cat"),
            ("AVION", "cat"),
            ("report", "dog"),
            ("sings", "bird"),
        ] {
            let words = WordQuery::new(query, settings.words).unwrap();
            let found = collection
                .reader()
                .search(&words, &SearchOptions::default())
                .unwrap();
            let ids: Vec<&str> = found.hits.iter().map(|hit| hit.id.as_str()).collect();
            assert_eq!(ids, [expected], "{query}");
        }
        add(&collection);
        assert!(index.settle());
    }
}
