//! CSV with a header. `text` (or `body`, `content`, `question`) is the text, `id` and `title` are
//! what they say, and every other column becomes metadata.

use std::path::Path;

use anyhow::{Result, bail};
use csv::StringRecord;
use serde_json::{Map, Value};

use super::{BadDocument, Document, Documents};

/// Columns that hold the text, the first one found.
const TEXT_COLUMNS: [&str; 4] = ["text", "body", "content", "question"];

pub(super) fn read(path: &Path) -> Result<Documents> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(false)
        .from_reader(fs_err::File::open(path)?);
    let header = reader.headers()?.clone();
    let Some(text_column) = TEXT_COLUMNS
        .into_iter()
        .find_map(|name| place(&header, name))
    else {
        bail!(
            "{} has no column called {}",
            path.display(),
            TEXT_COLUMNS.join(" or ")
        );
    };
    Ok(Box::new(reader.into_records().map(
        move |record| match record {
            Ok(record) => Ok(Document {
                line: record.position().map_or(0, csv::Position::line),
                json: object(&header, text_column, &record),
            }),
            Err(error) => Err(BadDocument {
                line: error.position().map_or(0, csv::Position::line),
                reason: error.to_string(),
            }),
        },
    )))
}

fn place(header: &StringRecord, name: &str) -> Option<usize> {
    header
        .iter()
        .position(|column| column.trim().eq_ignore_ascii_case(name))
}

fn object(header: &StringRecord, text_column: usize, record: &StringRecord) -> Map<String, Value> {
    let (mut object, mut metadata) = (Map::new(), Map::new());
    for (column, (name, value)) in header.iter().zip(record).enumerate() {
        let name = name.trim();
        if column == text_column {
            object.insert("text".to_owned(), value.into());
        } else if name.eq_ignore_ascii_case("id") || name.eq_ignore_ascii_case("title") {
            if !value.is_empty() {
                object.insert(name.to_ascii_lowercase(), value.into());
            }
        } else if !value.is_empty() {
            metadata.insert(name.to_owned(), scalar(value));
        }
    }
    if !metadata.is_empty() {
        object.insert("metadata".to_owned(), Value::Object(metadata));
    }
    object
}

/// Numbers and booleans as such, so that filters can compare them; all else is text. A number
/// that would be written differently, such as `007`, stays text.
fn scalar(value: &str) -> Value {
    match serde_json::from_str::<Value>(value) {
        Ok(parsed @ (Value::Number(_) | Value::Bool(_)))
            if parsed.to_string().as_str() == value =>
        {
            parsed
        }
        _ => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows(csv: &str) -> Result<Vec<Result<Document, BadDocument>>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs_err::write(&path, csv).unwrap();
        Ok(read(&path)?.collect())
    }

    #[test]
    fn other_columns_become_metadata_with_their_types() {
        let rows = rows("ID,Text,year,code,done\n7,\"one,\ntwo\",2025,007,true\n,x,,,\n").unwrap();
        let expected = json!({"id": "7", "text": "one,\ntwo",
                              "metadata": {"year": 2025, "code": "007", "done": true}});
        assert_eq!(
            Value::Object(rows[0].as_ref().unwrap().json.clone()),
            expected
        );
        let second = rows[1].as_ref().unwrap();
        assert_eq!(Value::Object(second.json.clone()), json!({"text": "x"}));
        assert_eq!(second.line, 4);
    }

    #[test]
    fn a_file_without_a_text_column_is_refused() {
        assert!(rows("a,b\n1,2\n").unwrap_err().to_string().contains("text"));
    }

    #[test]
    fn a_row_with_missing_columns_is_bad_alone() {
        let rows = rows("text,a\nx,1\ny\nz,2\n").unwrap();
        assert_eq!(rows.iter().filter(|row| row.is_ok()).count(), 2);
        assert_eq!(rows[1].as_ref().unwrap_err().line, 3);
    }
}
