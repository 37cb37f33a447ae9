//! CSV with a header. One column is the text, those of id and title are what they say, and every
//! other one becomes metadata, with one type for all of its values.
//!
//! A file is read twice, once for the types of its columns and once for its rows, so that a table of
//! any length needs no more memory than its longest row.

mod column_type;
mod dialect;
mod header;
mod records;

use column_type::{Candidates, ColumnType};
use dialect::Dialect;
use header::Header;
use records::{Record, Records};

use super::document::{Document, Item, Items, Metadata, Trouble, insert_beside, text_and_title};
use super::field_names::FieldNames;
use super::row_ids::RowIds;
use super::{ReadOptions, SourceFile, Utf8File};

/// Opens a table.
///
/// # Errors
/// A file that is not text, or has no column of texts.
pub(super) fn read(file: &SourceFile, options: &ReadOptions) -> Result<Items, Trouble> {
    let text = Utf8File::open(&file.path, options.encoding)?;
    let names = FieldNames::new(options);
    let mut dialect = Dialect::of(&text, &names, options.delimiter)?;
    // Columns between tabs are quoted by spreadsheets and by nobody else.
    let plain = dialect.delimiter == b'\t' && Records::of(&text, dialect)?.quotes_mean_nothing();
    dialect.quotes = !plain;
    let Some(first) = Records::of(&text, dialect)?.next() else {
        return Ok(Box::new(std::iter::once(Item::Skipped(
            Trouble::with_file("empty"),
        ))));
    };
    let mut header = Header::of(&first?, &names)?;
    let types = types(&text, dialect, header.names.len())?;
    let mut records = Records::of(&text, dialect)?;
    records.next();
    if Records::of(&text, dialect)?.nth(1).is_none() {
        let skipped = Item::Skipped(Trouble::with_file("no rows below the header"));
        return Ok(Box::new(std::iter::once(skipped)));
    }
    let remarks: Vec<_> = text
        .remark
        .iter()
        .cloned()
        .chain(header.remarks.drain(..))
        .collect();
    let mut rows = Rows {
        header,
        types,
        ids: RowIds::new(&file.id),
    };
    let items = records.flat_map(move |record| {
        // The text is kept as long as its rows are read: it may be a temporary file.
        let _ = &text;
        rows.items(record)
    });
    Ok(Box::new(
        remarks.into_iter().map(Item::Warning).chain(items),
    ))
}

/// The types of the columns, by all rows that will be read.
fn types(text: &Utf8File, dialect: Dialect, columns: usize) -> Result<Vec<ColumnType>, Trouble> {
    let mut candidates = vec![Candidates::ALL; columns];
    let rows = Records::of(text, dialect)?.skip(1).filter_map(Result::ok);
    for row in rows.filter(|row| fits(row, columns)) {
        for (candidates, value) in candidates.iter_mut().zip(&row.fields) {
            candidates.see(value);
        }
    }
    Ok(candidates.into_iter().map(Candidates::decided).collect())
}

/// Returns whether a row has a value for each column, and nothing but blanks after them.
fn fits(row: &Record, columns: usize) -> bool {
    row.fields.len() >= columns
        && row
            .fields
            .iter()
            .skip(columns)
            .all(|value| value.trim().is_empty())
}

/// Makes documents of rows.
#[derive(Debug)]
struct Rows {
    header: Header,
    types: Vec<ColumnType>,
    ids: RowIds,
}

impl Rows {
    /// What a row yields.
    fn items(&mut self, record: Result<Record, Trouble>) -> impl Iterator<Item = Item> + use<> {
        let odd = record.as_ref().is_ok_and(|record| record.has_odd_quotes);
        let line = record.as_ref().map_or(0, |record| record.line);
        let remark = odd.then(|| {
            let reason = "text follows a closing quote; the quotes were dropped";
            Item::Warning(Trouble::at(line, reason))
        });
        let document = record.and_then(|record| self.document(&record));
        let (remark, item) = match document {
            Ok(document) => (remark, document.map(Item::Document)),
            Err(trouble) => (None, Some(Item::Failed(trouble))),
        };
        remark.into_iter().chain(item)
    }

    /// The document of a row; `None` when the row is blank.
    fn document(&mut self, row: &Record) -> Result<Option<Document>, Trouble> {
        if row.fields.iter().all(|value| value.trim().is_empty()) {
            return Ok(None);
        }
        let (columns, names) = (self.header.names.len(), &self.header.names);
        if !fits(row, columns) {
            let values = row.fields.len();
            return Err(Trouble::at(
                row.line,
                format!("{values} values, but the header has {columns} columns"),
            ));
        }
        let fields = self.header.fields;
        let cell = |place: Option<usize>| {
            let value = place.and_then(|place| row.fields.get(place)).map(str::trim);
            value.filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let text = row.fields.get(self.header.text).map(str::to_owned);
        let (text, title) = text_and_title(text, cell(fields.title)).ok_or_else(|| {
            let name = names.get(self.header.text);
            let name = name.map(String::as_str).unwrap_or_default();
            Trouble::at(row.line, format!("the text is empty (column {name:?})"))
        })?;
        let mut metadata = Metadata::new();
        for (place, (name, value)) in names.iter().zip(&row.fields).enumerate() {
            let is_field = [fields.text, fields.id, fields.title].contains(&Some(place));
            let of_type = self.types.get(place).and_then(|kind| kind.json(value));
            if let (false, Some(json)) = (is_field, of_type) {
                insert_beside(&mut metadata, name, json);
            }
        }
        let cells = names
            .iter()
            .zip(&row.fields)
            .filter(|(_, value)| !value.trim().is_empty());
        let id = match cell(fields.id) {
            Some(id) => id,
            None => {
                let cells: Vec<_> = cells
                    .flat_map(|(name, value)| [name.as_str(), value])
                    .collect();
                self.ids.next(&cells)
            }
        };
        Ok(Some(Document {
            id,
            title,
            text,
            metadata,
            line: Some(row.line),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::testing::{json, read_bytes, read_with};
    use serde_json::json;

    fn rows(csv: &str) -> Vec<Item> {
        read_bytes("a.csv", csv.as_bytes())
    }

    #[test]
    fn a_row_with_a_title_and_no_text_is_about_its_title() {
        let items = rows("id,title,text\n1,Printer on fire, \n2,,\n");
        let expected = json!({"id": "1", "text": "Printer on fire"});
        assert_eq!(json(&items[0]), expected);
        assert!(matches!(&items[1], Item::Failed(trouble) if trouble.reason.contains("is empty")));
    }

    #[test]
    fn other_columns_become_metadata_with_their_types() {
        let items = rows("ID,Text,year,code,done\n7,\"one,\ntwo\",2025,007,true\n,x,,,\n");
        let expected = json!({"id": "7", "text": "one,\ntwo",
                              "metadata": {"year": 2025, "code": "007", "done": true}});
        assert_eq!(json(&items[0]), expected);
        assert_eq!(json(&items[1])["text"], "x");
        assert!(json(&items[1]).get("metadata").is_none());
    }

    #[test]
    fn a_column_has_the_same_type_in_every_row() {
        let items =
            rows("text,price,paid,zip\na,19.99,True,12345\nb,19.90,true,01234\nc,5,FALSE,\n");
        let metadata: Vec<_> = items
            .iter()
            .map(|item| json(item)["metadata"].clone())
            .collect();
        assert_eq!(
            metadata[0],
            json!({"price": 19.99, "paid": true, "zip": "12345"})
        );
        assert_eq!(
            metadata[1],
            json!({"price": 19.9, "paid": true, "zip": "01234"})
        );
        assert_eq!(metadata[2], json!({"price": 5, "paid": false}));
    }

    #[test]
    fn spreadsheets_of_every_country_give_the_same_documents() {
        let utf8 = "id;text;note\r\n1;\"Grüße, \"\"Köln\"\"\";a,b\r\n2;zwei\r\n;drei;\r\n;;\r\n";
        let expected: Vec<_> = rows(utf8).iter().map(shape).collect();
        assert_eq!(expected.len(), 3);
        let utf16: Vec<u8> = std::iter::once(0xfeff)
            .chain(utf8.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        let latin = encoding_rs::WINDOWS_1252.encode(utf8).0.into_owned();
        let marked = format!("\u{feff}{utf8}").into_bytes();
        let tabs = utf8.replace(';', "\t").into_bytes();
        for bytes in [utf16, latin, marked, tabs] {
            let items = read_bytes("a.csv", &bytes);
            let shapes: Vec<_> = items
                .iter()
                .filter(|item| !matches!(item, Item::Warning(_)))
                .map(shape)
                .collect();
            assert_eq!(shapes, expected);
        }
        let declared = rows(&format!("sep=;\r\n{utf8}"));
        assert_eq!(declared.len(), 3);
        assert!(matches!(&declared[1], Item::Failed(trouble) if trouble.line == Some(4)));
    }

    fn shape(item: &Item) -> serde_json::Value {
        match item {
            Item::Document(_) => json(item),
            Item::Failed(trouble) => json!(trouble.line),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn quotes_that_are_lost_are_told_and_between_tabs_they_are_kept() {
        let items = rows("text,n\n\"Big\" bang,1\nplain,2\n");
        assert!(matches!(&items[0], Item::Warning(trouble) if trouble.line == Some(2)));
        assert_eq!(json(&items[1])["text"], "Big bang");
        assert_eq!(items.len(), 3);
        let items = read_bytes(
            "a.tsv",
            b"text\tn\n\"Big\" bang\t1\n\"open\t2\n5\" x 7\"\t3\n",
        );
        let texts: Vec<_> = items
            .iter()
            .map(|item| json(item)["text"].clone())
            .collect();
        assert_eq!(texts, ["\"Big\" bang", "\"open", "5\" x 7\""]);
        let items = read_bytes("a.tsv", b"text\tn\n\"two\nlines\"\t1\n\"open\t2\nx\t3\n");
        assert_eq!(json(&items[0])["text"], "two\nlines");
        assert!(matches!(&items[1], Item::Failed(trouble) if trouble.line == Some(4)));
    }

    #[test]
    fn columns_without_a_name_of_their_own_are_kept() {
        let items = rows("text,tag,tag,,\nx,a,b,c,\n");
        assert!(matches!(&items[0], Item::Warning(trouble) if trouble.reason.contains("tag_2")));
        assert_eq!(
            json(&items[1])["metadata"],
            json!({"tag": "a", "tag_2": "b", "column_4": "c"})
        );
    }

    #[test]
    fn a_file_without_a_text_column_is_refused_with_its_columns() {
        let items = rows("a,b\n1,2\n");
        let [Item::Failed(trouble)] = &items[..] else {
            panic!("{items:?}");
        };
        assert!(trouble.reason.contains("the columns are a, b"), "{trouble}");
        let options = ReadOptions {
            text_field: vec!["b".to_owned()],
            ..ReadOptions::default()
        };
        assert_eq!(
            json(&read_with("a.csv", b"a,b\n1,2\n", &options)[0])["text"],
            "2"
        );
    }

    #[test]
    fn a_bad_row_fails_alone_with_its_line() {
        let items = rows("text,a\nx,1\ny\nz,2,3\n,4\nw,5,,\n");
        let lines = items.iter().map(|item| match item {
            Item::Document(document) => (true, document.line),
            Item::Failed(trouble) => (false, trouble.line),
            other => panic!("{other:?}"),
        });
        let lines: Vec<_> = lines.map(|(good, line)| (good, line.unwrap())).collect();
        assert_eq!(
            lines,
            [(true, 2), (false, 3), (false, 4), (false, 5), (true, 6)]
        );
    }

    #[test]
    fn ids_stay_when_rows_and_columns_are_added() {
        let ids = |csv: &str| -> Vec<String> {
            rows(csv)
                .iter()
                .map(|item| json(item)["id"].as_str().unwrap().to_owned())
                .collect()
        };
        let before = ids("text,n\nx,1\nx,1\ny,2\n");
        let after = ids("text,n,new\nz,abc,\nx,1,\nx,1,\ny,2,\n");
        assert_eq!(before[..], after[1..]);
        assert_ne!(before[0], before[1]);
    }
}
