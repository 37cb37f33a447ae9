//! Which crate may know what, as ARCHITECTURE.md promises.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The names of the folders under `crates`.
fn crates() -> Vec<String> {
    let folders = fs_err::read_dir(root().join("crates")).unwrap();
    let names = folders.map(|folder| folder.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// Source files of all crates in which `word` is used as a crate's name.
fn files_that_name(word: &str) -> Vec<String> {
    let mut files = Vec::new();
    for name in crates() {
        sources(&root().join("crates").join(name).join("src"), &mut files);
    }
    let names = |path: &PathBuf| {
        let text = fs_err::read_to_string(path).unwrap();
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        code.into_iter()
            .any(|line| line.contains(&format!("{word}::")))
    };
    let relative = |path: PathBuf| {
        path.strip_prefix(root())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    files.into_iter().filter(names).map(relative).collect()
}

#[track_caller]
fn only_under(word: &str, folders: &[&str]) {
    let files = files_that_name(word);
    assert!(!files.is_empty(), "nothing names {word} any more");
    for file in files {
        let allowed = folders.iter().any(|folder| file.starts_with(folder));
        assert!(allowed, "{file} must not name {word}");
    }
}

#[test]
fn candle_is_known_to_the_encoder_and_its_training_only() {
    let folders = ["crates/encoder/src/", "crates/train/src/"];
    only_under("candle_core", &folders);
    only_under("candle_nn", &["crates/encoder/src/"]);
    let own_folders = ["families/", "candle_models/"];
    let own_folders = own_folders.map(|it| format!("crates/encoder/src/backbones/{it}"));
    only_under(
        "candle_transformers",
        &own_folders.each_ref().map(String::as_str),
    );
}

#[test]
fn sled_is_known_to_the_store_only() {
    only_under("sled", &["crates/index/src/store/"]);
}

#[test]
fn hnsw_rs_is_known_to_one_file_only() {
    only_under("hnsw_rs", &["crates/index/src/vectors/hnsw.rs"]);
}

#[test]
fn tantivy_is_known_to_the_lexical_index_only() {
    only_under("tantivy", &["crates/index/src/lexical/"]);
}

#[test]
fn axum_and_tokio_are_known_to_the_server_and_the_binary_only() {
    only_under("axum", &["crates/server/src/"]);
    let waiting_for_a_cluster = "crates/qdrant/src/connection.rs";
    only_under(
        "tokio",
        &[
            "crates/server/src/",
            "crates/cli/src/",
            waiting_for_a_cluster,
        ],
    );
}

#[test]
fn the_client_of_qdrant_is_known_to_one_crate_only() {
    only_under("qdrant_client", &["crates/qdrant/src/"]);
    only_under(
        "siamese_qdrant",
        &[
            "crates/server/src/backend/",
            "crates/server/src/service/cluster_filling.rs",
            "crates/server/src/metrics/cluster.rs",
            "crates/server/src/config/qdrant.rs",
            "crates/cli/src/cluster.rs",
            "crates/cli/src/commands/import.rs",
            "crates/cli/src/commands/migrate/",
        ],
    );
}

#[test]
fn encoder_and_index_do_not_know_each_other() {
    only_under(
        "siamese_encoder",
        &["crates/train/src/", "crates/server/src/", "crates/cli/src/"],
    );
    only_under(
        "siamese_index",
        &[
            "crates/server/src/",
            "crates/cli/src/",
            "crates/qdrant/src/",
        ],
    );
}

#[test]
fn kernels_are_known_to_encoder_and_index_and_to_who_measures_only() {
    only_under(
        "siamese_kernels",
        &[
            "crates/encoder/src/",
            "crates/index/src/",
            "crates/cli/src/commands/bench/mod.rs",
        ],
    );
}

/// The image builds dependencies before it copies the sources, so it names each crate.
#[test]
fn the_image_is_built_from_all_crates() {
    let image = fs_err::read_to_string(root().join("Dockerfile")).unwrap();
    let empty = image.split("for crate in ").nth(1).unwrap();
    let empty: Vec<_> = empty.split(';').next().unwrap().split(' ').collect();
    for name in crates() {
        let manifest = format!("COPY crates/{name}/Cargo.toml crates/{name}/Cargo.toml\n");
        assert!(image.contains(&manifest), "{name}");
        // The binary's source is made beside those of the libraries.
        assert!(name == "cli" || empty.contains(&name.as_str()), "{name}");
    }
}
