//! JSON: one object a line, an array of objects, or objects one after the other.

mod object;
mod values;

use object::{Object, Objects};
use serde_json::value::RawValue;
use values::{JsonValue, JsonValues};

use super::document::{Item, Items, Trouble};
use super::field_names::FieldNames;
use super::lines::{Line, Lines, not_utf8};
use super::row_ids::RowIds;
use super::{ReadOptions, SourceFile, Utf8File};

/// Opens a file of JSON lines. An array is read as such, whatever the file is called.
///
/// # Errors
/// A file that is not text, or is an export of the service.
pub(super) fn read_lines(file: &SourceFile, options: &ReadOptions) -> Result<Items, Trouble> {
    let text = Utf8File::open(&file.path, options.encoding)?;
    let first = Lines::of(&text)?
        .filter_map(Result::ok)
        .find(|line| !is_blank(line));
    match first {
        None => Ok(Box::new(std::iter::once(Item::Skipped(
            Trouble::with_file("empty"),
        )))),
        Some(first) if first.bytes.trim_ascii_start().starts_with(b"[") => {
            values(text, objects(file, options))
        }
        Some(first) => {
            refuse_export(&first.bytes)?;
            lines(text, objects(file, options))
        }
    }
}

/// Opens a file of JSON.
///
/// # Errors
/// As [`read_lines`].
pub(super) fn read_values(file: &SourceFile, options: &ReadOptions) -> Result<Items, Trouble> {
    let text = Utf8File::open(&file.path, options.encoding)?;
    match JsonValues::of(&text)?.next() {
        None => Ok(Box::new(std::iter::once(Item::Skipped(
            Trouble::with_file("empty"),
        )))),
        Some(first) => {
            if let Ok(first) = first {
                refuse_export(&first.bytes)?;
            }
            values(text, objects(file, options))
        }
    }
}

fn objects(file: &SourceFile, options: &ReadOptions) -> Objects {
    Objects::new(FieldNames::new(options), RowIds::new(&file.id))
}

/// An export has vectors and a head, which `siamese import` knows to read.
fn refuse_export(first: &[u8]) -> Result<(), Trouble> {
    match Object::parse(first, 1) {
        Ok(object)
            if object
                .get("export")
                .is_some_and(|head| head.get().contains("\"encoder_id\"")) =>
        {
            Err(Trouble::with_file(
                "an export of siamese; `siamese import` reads it",
            ))
        }
        _ => Ok(()),
    }
}

fn is_blank(line: &Line) -> bool {
    line.bytes.trim_ascii().is_empty()
}

fn lines(text: Utf8File, mut objects: Objects) -> Result<Items, Trouble> {
    let lines = Lines::of(&text)?;
    let remark = text.remark.clone().map(Item::Warning);
    let items = lines.filter_map(move |line| {
        // The text is kept as long as its lines are read: it may be a temporary file.
        let _ = &text;
        let line = match line {
            Ok(line) if is_blank(&line) => return None,
            Ok(line) => line,
            Err(trouble) => return Some(Item::Failed(trouble)),
        };
        let json = match str::from_utf8(&line.bytes) {
            // Files that were put together keep the byte order marks of each.
            Ok(json) => json.trim_start_matches('\u{feff}'),
            Err(error) => return Some(Item::Failed(Trouble::at(line.number, not_utf8(&error)))),
        };
        let object = Object::parse(json.as_bytes(), line.number);
        let document = object.and_then(|object| objects.document(object, line.number));
        Some(document.map_or_else(Item::Failed, Item::Document))
    });
    Ok(Box::new(remark.into_iter().chain(items)))
}

fn values(text: Utf8File, mut objects: Objects) -> Result<Items, Trouble> {
    let values = JsonValues::of(&text)?;
    let remark = text.remark.clone().map(Item::Warning);
    let items = values.flat_map(move |value| {
        let _ = &text;
        match value {
            Ok(value) => documents(&value, &mut objects),
            Err(trouble) => vec![Item::Failed(trouble)],
        }
    });
    Ok(Box::new(remark.into_iter().chain(items)))
}

/// The document of a value, or those of a list called `documents`, as requests have it.
fn documents(value: &JsonValue, objects: &mut Objects) -> Vec<Item> {
    let object = match Object::parse(&value.bytes, value.line) {
        Ok(object) => object,
        Err(trouble) => return vec![Item::Failed(trouble)],
    };
    let list = object
        .get("documents")
        .filter(|_| !objects.has_text(&object));
    let list = list.and_then(|list| serde_json::from_str::<Vec<Box<RawValue>>>(list.get()).ok());
    let mut item = |object: Result<Object, Trouble>| {
        let document = object.and_then(|object| objects.document(object, value.line));
        document.map_or_else(Item::Failed, Item::Document)
    };
    match list {
        Some(list) => {
            let objects = list
                .iter()
                .map(|json| Object::parse(json.get().as_bytes(), value.line));
            objects.map(item).collect()
        }
        None => vec![item(Ok(object))],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reading::testing::{json, read_bytes, read_with};

    #[test]
    fn lines_keep_their_numbers_and_bad_ones_fail_alone() {
        let items = read_bytes(
            "a.jsonl",
            b"{\"_id\":\"a\",\"text\":\"x\"}\n\nnonsense\r\n{\"id\":\"b\",\"text\":\"y\"}",
        );
        assert_eq!(items.len(), 3);
        assert_eq!(json(&items[0]), json!({"id": "a", "text": "x"}));
        assert!(matches!(&items[1], Item::Failed(trouble) if trouble.line == Some(3)));
        assert!(matches!(&items[2], Item::Document(document) if document.line == Some(4)));
    }

    #[test]
    fn other_keys_become_metadata_and_no_number_changes() {
        let line = r#"{"id": 12345678901234567890123, "body": "x", "title": null, "tags": ["a"],
            "n": 0.30000000000000004, "metadata": {"n": 1e400, "big": 123456789012345678901}}"#;
        let items = read_bytes("a.json", line.as_bytes());
        let Item::Document(document) = &items[0] else {
            panic!("{items:?}");
        };
        let sent = serde_json::to_string(document).unwrap();
        assert_eq!(
            sent,
            r#"{"id":"12345678901234567890123","text":"x","metadata":{"big":123456789012345678901,"n":0.30000000000000004,"n_2":1e400,"tags":["a"]}}"#
        );
    }

    #[test]
    fn a_document_is_sent_on_one_line_however_it_is_written() {
        let items = read_bytes(
            "a.json",
            b"[\n{\"text\": \"x\",\n\"list\": [\n1,\r\n2\n]\n}\n]",
        );
        let Item::Document(document) = &items[0] else {
            panic!("{items:?}");
        };
        assert!(
            !serde_json::to_string(document)
                .unwrap()
                .contains(['\n', '\r'])
        );
        assert_eq!(json(&items[0])["metadata"]["list"], json!([1, 2]));
    }

    #[test]
    fn fields_may_have_other_names() {
        let options = ReadOptions {
            text_field: vec!["summary".to_owned()],
            id_field: vec!["nr".to_owned()],
            title_field: vec!["name".to_owned()],
            ..ReadOptions::default()
        };
        let line = br#"{"nr": 7, "name": "T", "summary": "x", "text": "long", "id": "other"}"#;
        let expected = json!({"id": "7", "title": "T", "text": "x", "metadata": {"id": "other", "text": "long"}});
        assert_eq!(json(&read_with("a.jsonl", line, &options)[0]), expected);
    }

    #[test]
    fn an_id_of_mongodb_is_its_hexadecimal_digits() {
        let line = br#"{"_id": {"$oid": "507f1f77bcf86cd799439011"}, "text": "x"}"#;
        let expected = json!({"id": "507f1f77bcf86cd799439011", "text": "x"});
        assert_eq!(json(&read_bytes("a.jsonl", line)[0]), expected);
    }

    #[test]
    fn a_line_with_a_title_and_no_text_is_about_its_title() {
        let line = br#"{"id": "1", "title": "Printer on fire", "text": null}"#;
        let expected = json!({"id": "1", "text": "Printer on fire"});
        assert_eq!(json(&read_bytes("a.jsonl", line)[0]), expected);
    }

    #[test]
    fn what_is_no_document_says_why() {
        for (line, words) in [
            ("{\"a\": 1}", "none of its keys is text"),
            ("{\"title\": \"x\"}", "none of its keys is text"),
            ("{\"text\": [\"x\"]}", "a list instead of a string"),
            ("{\"text\": \" \"}", "is empty"),
            ("{\"text\": null}", "is empty"),
            ("{\"text\": \"x\", \"id\": true}", "a boolean"),
            ("{\"text\": \"x\", \"id\": {\"a\": 1}}", "an object"),
            ("{\"text\": \"x\", \"text\": \"y\"}", "twice"),
            ("[\"x\"]", "not a JSON object"),
            ("{\"text\": \"\\ud800\"}", "escape"),
            ("{\"text\": NaN}", "not a JSON object"),
            (
                "{\"export\": {\"version\": 1, \"encoder_id\": \"e\"}}",
                "siamese import",
            ),
        ] {
            let items = read_bytes("a.jsonl", line.as_bytes());
            let [Item::Failed(trouble)] = &items[..] else {
                panic!("{line}: {items:?}");
            };
            assert!(trouble.reason.contains(words), "{line}: {trouble}");
        }
    }

    #[test]
    fn arrays_lines_and_requests_give_the_same_documents_with_the_same_ids() {
        let (one, two) = (r#"{"text": "x", "n": 1}"#, r#"{"n":2,"text":"y"}"#);
        let turned = r#"{"n": 1, "text": "x"}"#;
        let expected: Vec<_> = read_bytes("a.json", format!("{one}\n{two}\n").as_bytes())
            .iter()
            .map(json)
            .collect();
        for text in [
            format!("[{one},\n{two}]"),
            format!("{turned}\n\n{two}"),
            format!("{one}{two}"),
            format!("{{\"documents\": [{one}, {two}]}}"),
        ] {
            let items: Vec<_> = read_bytes("a.json", text.as_bytes())
                .iter()
                .map(json)
                .collect();
            assert_eq!(items, expected, "{text}");
        }
    }

    #[test]
    fn lines_may_have_byte_order_marks_and_may_be_an_array_after_all() {
        for text in [
            "\u{feff}{\"text\": \"x\"}\n\u{feff}{\"text\": \"y\"}",
            "[{\"text\": \"x\"},\n{\"text\": \"y\"}]",
        ] {
            let items: Vec<_> = read_bytes("a.jsonl", text.as_bytes())
                .iter()
                .map(json)
                .collect();
            assert_eq!(
                (&items[0]["text"], &items[1]["text"]),
                (&json!("x"), &json!("y"))
            );
        }
    }
}
