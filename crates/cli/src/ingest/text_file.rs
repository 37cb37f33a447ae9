//! Plain text and Markdown: one document a file, named by its path.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::{BadDocument, Document, Documents, SourceFile};

pub(super) fn read(file: &SourceFile, is_markdown: bool) -> Result<Documents> {
    let bytes = fs_err::read(&file.path)?;
    let document = match String::from_utf8(bytes) {
        Ok(text) => Ok(Document {
            line: 1,
            json: object(file, &text, is_markdown),
        }),
        Err(_) => Err(BadDocument {
            line: 1,
            reason: "the file is not UTF-8 text".to_owned(),
        }),
    };
    Ok(Box::new(std::iter::once(document)))
}

fn object(file: &SourceFile, text: &str, is_markdown: bool) -> Map<String, Value> {
    let name = file.name.replace('\\', "/");
    let mut object = Map::new();
    if is_markdown && let Some(title) = first_heading(text) {
        object.insert("title".to_owned(), title.into());
    }
    object.insert("metadata".to_owned(), json!({ "path": name }));
    object.insert("id".to_owned(), name.into());
    object.insert("text".to_owned(), text.into());
    object
}

/// The text of the first `#` heading outside fenced code.
fn first_heading(text: &str) -> Option<&str> {
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code && line.starts_with('#') {
            let heading = line.trim_start_matches('#').trim_end_matches('#').trim();
            if !heading.is_empty() {
                return Some(heading);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::FileKind;

    #[test]
    fn the_first_heading_is_the_title_unless_it_is_code() {
        assert_eq!(
            first_heading("```\n# no\n```\n\n## Yes ##\n# later"),
            Some("Yes")
        );
        assert_eq!(first_heading("plain"), None);
    }

    #[test]
    fn a_file_is_named_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.md");
        fs_err::write(&path, "# T\n\nbody").unwrap();
        let name = "notes/a.md".to_owned();
        let file = SourceFile {
            path,
            name,
            kind: FileKind::Markdown,
            bytes: 9,
        };
        let document = read(&file, true).unwrap().next().unwrap().unwrap();
        assert_eq!(document.json["id"], "notes/a.md");
        assert_eq!(document.json["title"], "T");
        assert_eq!(document.json["text"], "# T\n\nbody");
    }
}
