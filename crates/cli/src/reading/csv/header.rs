//! The columns of a table by their names.

use std::collections::{HashMap, HashSet};

use super::records::Record;
use crate::reading::document::Trouble;
use crate::reading::field_names::{FieldNames, Fields};

/// Columns of a table; spreadsheets have as many.
const MAX_COLUMNS: usize = 16_384;
/// Columns that are listed when none of them is the text.
const MAX_SHOWN_COLUMNS: usize = 20;

/// Every column with a name of its own.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) names: Vec<String>,
    pub(super) fields: Fields,
    /// The column of the text.
    pub(super) text: usize,
    /// What people should know about it.
    pub(super) remarks: Vec<Trouble>,
}

impl Header {
    /// Takes the first row as names. A name that stands there twice gets a number, so that neither
    /// column is lost; a column without one is called by its number.
    ///
    /// # Errors
    /// When no column is called like a text.
    pub(super) fn of(record: &Record, wanted: &FieldNames) -> Result<Self, Trouble> {
        if record.fields.len() > MAX_COLUMNS {
            return Err(Trouble::at(
                record.line,
                format!("more than {MAX_COLUMNS} columns"),
            ));
        }
        let (mut names, mut remarks) = (Vec::<String>::new(), Vec::new());
        let (mut taken, mut numbers) = (HashSet::new(), HashMap::new());
        for (name, place) in record.fields.iter().zip(1..) {
            let name = name.trim();
            let named = match name {
                "" => format!("column_{place}"),
                name => name.to_owned(),
            };
            // From the number that the last column of this name got, so that thousands of them are no work.
            let number = numbers.entry(named.clone()).or_insert(1_usize);
            let mut free = named.clone();
            while taken.contains(&free) {
                *number += 1;
                free = format!("{named}_{number}");
            }
            if free != named {
                let remark =
                    format!("a second column is named {named:?}; it is stored as {free:?}");
                remarks.push(Trouble::at(record.line, remark));
            }
            taken.insert(free.clone());
            names.push(free);
        }
        let shown: Vec<_> = names.iter().map(String::as_str).collect();
        let fields = wanted.find(&shown);
        let Some(text) = fields.text else {
            let columns = shown.get(..MAX_SHOWN_COLUMNS).unwrap_or(&shown).join(", ");
            let reason = format!(
                "no column is named {}; the columns are {columns}. Use --text-field to name the one with the text",
                wanted.texts()
            );
            return Err(Trouble::at(record.line, reason));
        };
        Ok(Self {
            names,
            fields,
            text,
            remarks,
        })
    }
}
