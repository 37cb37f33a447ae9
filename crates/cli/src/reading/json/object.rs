//! A JSON object as a document. One key is the text, those of id and title are what they say, and
//! every other one becomes metadata, beside what stands in `metadata`.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::reading::document::{Document, Metadata, Trouble, insert_beside, text_and_title};
use crate::reading::field_names::FieldNames;
use crate::reading::row_ids::RowIds;

/// Keys and values in the order of the file, each value as it is written there.
#[derive(Debug)]
pub(super) struct Object(Vec<(String, Box<RawValue>)>);

/// Makes documents of one file's objects.
#[derive(Debug)]
pub(super) struct Objects {
    names: FieldNames,
    ids: RowIds,
}

impl Object {
    /// Parses an object that begins at `line`.
    ///
    /// # Errors
    /// What is no object, and an object with two equal keys, of which one would be lost.
    pub(super) fn parse(json: &[u8], line: u64) -> Result<Self, Trouble> {
        serde_json::from_slice(json).map_err(|error| {
            // Lines within an object are counted from its own first one.
            let at = line + (error.line() as u64).saturating_sub(1);
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or(&what);
            Trouble::at(
                at,
                format!("not a JSON object: {what} (column {})", error.column()),
            )
        })
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&RawValue> {
        let mut keys = self.0.iter();
        keys.find_map(|(name, value)| (name == key).then_some(&**value))
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let (mut keys, mut seen) = (Vec::new(), HashSet::new());
        while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!("the key {key:?} is there twice")));
            }
            keys.push((key, value));
        }
        Ok(Object(keys))
    }
}

impl Objects {
    pub(super) fn new(names: FieldNames, ids: RowIds) -> Self {
        Self { names, ids }
    }

    /// Returns whether an object has a text.
    pub(super) fn has_text(&self, object: &Object) -> bool {
        let names: Vec<_> = object.0.iter().map(|(name, _)| name.as_str()).collect();
        self.names.find(&names).text.is_some()
    }

    /// The document of an object that begins at `line`.
    ///
    /// # Errors
    /// An object without a text, or with a text, title or id that is not one.
    pub(super) fn document(&mut self, object: Object, line: u64) -> Result<Document, Trouble> {
        let names: Vec<_> = object.0.iter().map(|(name, _)| name.as_str()).collect();
        let fields = self.names.find(&names);
        let field = |place: Option<usize>| match place.and_then(|place| object.0.get(place)) {
            Some((name, value)) => scalar(name, value).map_err(|reason| Trouble::at(line, reason)),
            None => Ok(None),
        };
        let (text, id, title) = (field(fields.text)?, field(fields.id)?, field(fields.title)?);
        let title = title.filter(|_| fields.text.is_some());
        let (text, title) = text_and_title(text, title).ok_or_else(|| {
            let key = fields.text.and_then(|place| names.get(place));
            Trouble::at(
                line,
                match key {
                    Some(key) => format!("the text is empty (key {key:?})"),
                    None => format!(
                        "no text: none of its keys is {}. Use --text-field to name the one with the text",
                        self.names.texts()
                    ),
                },
            )
        })?;
        let id = id
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| self.ids.of(&object));
        let taken = [fields.text, fields.id, fields.title];
        let mut metadata = Metadata::new();
        for (place, (key, value)) in object.0.into_iter().enumerate() {
            if !taken.contains(&Some(place)) {
                add(&mut metadata, &key, value);
            }
        }
        Ok(Document {
            id,
            title,
            text,
            metadata,
            line: Some(line),
        })
    }
}

impl RowIds {
    /// The id of an object: the order of its keys and the blanks between them do not matter.
    fn of(&mut self, object: &Object) -> String {
        let normal = |(key, value): &(String, Box<RawValue>)| {
            let parsed = serde_json::from_str::<Value>(value.get());
            // What is nested too deep to be parsed counts as it is written.
            let value = parsed.map_or_else(|_| value.get().to_owned(), |value| value.to_string());
            (key.clone(), value)
        };
        let mut cells: Vec<_> = object.0.iter().map(normal).collect();
        cells.sort_unstable();
        let cells: Vec<_> = cells
            .iter()
            .flat_map(|(key, value)| [key.as_str(), value])
            .collect();
        self.next(&cells)
    }
}

/// A text, title or id: a string, or a number as it is written.
fn scalar(name: &str, value: &RawValue) -> Result<Option<String>, String> {
    let json = value.get();
    let kind = match json.as_bytes().first() {
        Some(b'"') => {
            // A string is one already, but for escapes of half a character (`\ud800` alone).
            let text = serde_json::from_str(json);
            return text
                .map(Some)
                .map_err(|_| format!("{name:?} has an escape that is no character"));
        }
        Some(b'n') => return Ok(None),
        Some(b'{') => match object_id(json) {
            Some(id) => return Ok(Some(id)),
            None => "an object",
        },
        Some(b'[') => "a list",
        Some(b't' | b'f') => "a boolean",
        _ => return Ok(Some(json.to_owned())),
    };
    Err(format!("{name:?} is {kind} instead of a string"))
}

/// An id as MongoDB exports it: `{"$oid": "507f1f77bcf86cd799439011"}`.
fn object_id(json: &str) -> Option<String> {
    let object = serde_json::from_str::<Object>(json).ok()?;
    match &object.0[..] {
        [(key, value)] if key == "$oid" => serde_json::from_str(value.get()).ok(),
        _ => None,
    }
}

/// Adds a key to the metadata; the keys of an object called `metadata` one by one.
fn add(metadata: &mut Metadata, key: &str, value: Box<RawValue>) {
    if key == "metadata" {
        if value.get() == "null" {
            return;
        }
        if let Ok(Object(keys)) = serde_json::from_str(value.get()) {
            for (key, value) in keys {
                insert_beside(metadata, &key, on_one_line(value));
            }
            return;
        }
    }
    insert_beside(metadata, key, on_one_line(value));
}

/// Line breaks can stand between the parts of a value only; documents are sent one a line.
fn on_one_line(value: Box<RawValue>) -> Box<RawValue> {
    if !value.get().contains(['\n', '\r']) {
        return value;
    }
    RawValue::from_string(value.get().replace(['\n', '\r'], " ")).unwrap_or(value)
}
