//! Plain text: one document a file.

use super::document::{Document, Item, Items, Metadata, Trouble, raw};
use super::{ReadOptions, SourceFile, Utf8File, file_id};

/// Opens a text.
///
/// # Errors
/// A file that is not text.
pub(super) fn read(file: &SourceFile, options: &ReadOptions) -> Result<Items, Trouble> {
    let source = Utf8File::open(&file.path, options.encoding)?;
    let text = source.whole()?;
    Ok(one(file, source.remark, None, text, Metadata::new()))
}

/// The items of a file that is one document. The path is metadata, too.
pub(super) fn one(
    file: &SourceFile,
    remark: Option<Trouble>,
    title: Option<String>,
    text: String,
    mut metadata: Metadata,
) -> Items {
    if text.trim().is_empty() {
        let skipped = Item::Skipped(Trouble::with_file("no text in it"));
        return Box::new(std::iter::once(skipped));
    }
    // What the file says of itself gives way: `path` is where a document came from, in every file.
    if let Some(own) = metadata.insert("path".to_owned(), raw(&file.id)) {
        super::document::insert_beside(&mut metadata, "path", own);
    }
    let document = Document {
        id: file_id::with_part(&file.id, ""),
        title: title
            .map(|title| shortened_title(&title))
            .filter(|title| !title.is_empty()),
        text,
        metadata,
        line: None,
    };
    let remark = remark.map(Item::Warning).into_iter();
    Box::new(remark.chain(std::iter::once(Item::Document(document))))
}

/// Bytes of a title that was found in a text. The service refuses more than 2048 by default, and what
/// is meant as a title is shorter.
const MAX_TITLE_BYTES: usize = 512;

/// A title on one line, without control characters, cut at a word.
pub(super) fn shortened_title(title: &str) -> String {
    let mut short = String::new();
    let words = title.split(|c: char| c.is_whitespace() || c.is_control());
    for word in words.filter(|word| !word.is_empty()) {
        if short.len() + word.len() + 1 > MAX_TITLE_BYTES {
            break;
        }
        if !short.is_empty() {
            short.push(' ');
        }
        short.push_str(word);
    }
    short
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reading::testing::{json, read_bytes};

    #[test]
    fn a_text_is_one_document_called_by_its_path() {
        let items = read_bytes("a.txt", b"one\r\ntwo\n");
        let expected =
            json!({"id": "a.txt", "text": "one\r\ntwo\n", "metadata": {"path": "a.txt"}});
        assert_eq!(json(&items[0]), expected);
    }

    #[test]
    fn a_file_without_a_text_is_skipped_and_not_a_failure() {
        for text in ["", " \n", "\u{feff}"] {
            assert!(matches!(
                &read_bytes("a.txt", text.as_bytes())[..],
                [Item::Skipped(_)]
            ));
        }
    }

    #[test]
    fn titles_are_cut_at_words() {
        assert_eq!(shortened_title(" a\n b \0"), "a b");
        let long = shortened_title(&"wörter ".repeat(200));
        assert!(long.len() <= MAX_TITLE_BYTES && long.ends_with("wörter"));
        assert_eq!(shortened_title(&"x".repeat(1000)), "");
    }
}
