//! What reading yields: documents, and what people must be told.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

/// A document as it is sent to the service.
#[derive(Debug, Serialize)]
pub(crate) struct Document {
    /// Names the document: given by the file, or made from its path and content.
    pub(crate) id: String,
    /// Stands before the text when it is encoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    /// What is encoded and searched.
    pub(crate) text: String,
    /// Everything else.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub(crate) metadata: Metadata,
    /// The line of its file where it begins, from 1; `None` when it is the whole file.
    #[serde(skip)]
    pub(crate) line: Option<u64>,
}

/// The text of a row and its title. A row whose text is blank is about what its title says; `None` when that is
/// blank, too.
pub(super) fn text_and_title(
    text: Option<String>,
    title: Option<String>,
) -> Option<(String, Option<String>)> {
    let is_something = |text: &String| !text.trim().is_empty();
    match (text.filter(is_something), title.filter(is_something)) {
        (Some(text), title) => Some((text, title)),
        (None, Some(title)) => Some((title, None)),
        (None, None) => None,
    }
}

/// Keys with JSON as it was written, so that no number changes on the way.
pub(crate) type Metadata = BTreeMap<String, Box<RawValue>>;

/// A sentence about a part of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Trouble {
    /// The line where the part begins, from 1; `None` when it is the whole file.
    pub(crate) line: Option<u64>,
    /// What is wrong with it.
    pub(crate) reason: String,
}

/// What a file yields, in its order.
#[derive(Debug)]
pub(crate) enum Item {
    /// A document to store.
    Document(Document),
    /// A part of the file, or all of it, that could not be read as a document.
    Failed(Trouble),
    /// Something to know about a file that was read all the same.
    Warning(Trouble),
    /// A file that holds nothing to store.
    Skipped(Trouble),
}

/// The items of one file. The next one is read when it is asked for.
pub(crate) type Items = Box<dyn Iterator<Item = Item>>;

impl Trouble {
    /// About a whole file.
    pub(crate) fn with_file(reason: impl Into<String>) -> Self {
        Self {
            line: None,
            reason: reason.into(),
        }
    }

    /// About a line.
    pub(crate) fn at(line: u64, reason: impl Into<String>) -> Self {
        Self {
            line: Some(line),
            reason: reason.into(),
        }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::with_file(cause(&error))
    }
}

/// What the system said. `fs_err` puts the path before it, which people see before each reason anyway.
pub(super) fn cause(error: &std::io::Error) -> String {
    let sentence = error.to_string();
    match sentence.rsplit_once("`: ") {
        Some((_, cause)) if error.get_ref().is_some() => cause.to_owned(),
        _ => sentence,
    }
}

/// A value as the JSON that the service reads; `null` for what JSON cannot hold.
pub(super) fn raw(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Adds a key; one that is there already gets a number behind its name, so that neither is lost.
pub(super) fn insert_beside(metadata: &mut Metadata, key: &str, value: Box<RawValue>) {
    let name = free_name(key, |name| metadata.contains_key(name));
    metadata.insert(name, value);
}

/// `name`, or `name_2`, `name_3` .. when that is taken.
pub(super) fn free_name(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut free = name.to_owned();
    let mut number = 2;
    while is_taken(&free) {
        free = format!("{name}_{number}");
        number += 1;
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_failure_to_open_is_what_the_system_says() {
        let error = fs_err::File::open("/nowhere/a.txt").unwrap_err();
        assert_eq!(cause(&error), "No such file or directory (os error 2)");
        assert_eq!(
            cause(&std::io::Error::from_raw_os_error(13)),
            "Permission denied (os error 13)"
        );
    }

    #[test]
    fn a_key_that_is_taken_gets_a_number() {
        let mut metadata = Metadata::new();
        for value in 1..=3 {
            insert_beside(&mut metadata, "path", raw(&value));
        }
        let json = serde_json::to_string(&metadata).unwrap();
        assert_eq!(json, r#"{"path":1,"path_2":2,"path_3":3}"#);
    }
}
