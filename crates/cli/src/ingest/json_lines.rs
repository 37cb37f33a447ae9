//! JSON lines: every line an object like those of `POST /documents`.
//!
//! `_id` is taken for `id`, as the files of retrieval benchmarks write it.

use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value};

use super::{BadDocument, Document, Documents};

pub(super) fn read(path: &Path) -> Result<Documents> {
    let lines = BufReader::new(fs_err::File::open(path)?).lines();
    let numbered = lines.zip(1..);
    Ok(Box::new(numbered.filter_map(|(text, line)| {
        let bad = |reason: String| BadDocument { line, reason };
        let parsed = text
            .map_err(|error| bad(error.to_string()))
            .and_then(|text| {
                if text.trim().is_empty() {
                    Ok(None)
                } else {
                    parse(&text).map(Some).map_err(bad)
                }
            });
        let document = parsed.map(|json| json.map(|json| Document { line, json }));
        document.transpose()
    })))
}

fn parse(text: &str) -> Result<Map<String, Value>, String> {
    let mut json: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| format!("no JSON object: {error}"))?;
    if !json.contains_key("id")
        && let Some(id) = json.remove("_id")
    {
        json.insert("id".to_owned(), id);
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_and_bad_ones_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        fs_err::write(
            &path,
            "{\"_id\":\"a\",\"text\":\"x\"}\n\nnonsense\n{\"id\":\"b\",\"text\":\"y\"}",
        )
        .unwrap();
        let documents: Vec<_> = read(&path).unwrap().collect();
        assert_eq!(documents.len(), 3);
        assert_eq!(documents[0].as_ref().unwrap().json["id"], "a");
        assert_eq!(documents[1].as_ref().unwrap_err().line, 3);
        assert_eq!(documents[2].as_ref().unwrap().line, 4);
    }
}
