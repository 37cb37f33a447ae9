//! Files as documents: what a folder holds, and how each kind of file is read. Every command that
//! reads people's files reads them through here.
//!
//! A file is read as its documents are asked for, in bounded memory whatever its size. What cannot be
//! read is an item among the others ([`Item`]), so that nothing stops the rest.

mod csv;
mod document;
mod field_names;
mod file_id;
mod find;
mod format;
mod front_matter;
mod html;
mod json;
mod lines;
mod markdown;
mod options;
mod pdf;
mod plain_text;
mod row_ids;
mod seen_ids;
mod text_encoding;
mod utf8_file;

use document::Items;
pub(crate) use document::{Document, Item};
pub(crate) use find::{Found, SourceFile, find};
pub(crate) use format::{ENDINGS, Format};
pub(crate) use options::ReadOptions;
pub(crate) use pdf::write_pages;
use seen_ids::SeenIds;
use utf8_file::Utf8File;

/// Everything that files hold, in their order, each item with its file. A document that would replace
/// another one of them is a failed item.
pub(crate) fn items<'a>(
    files: &'a [SourceFile],
    options: &'a ReadOptions,
) -> impl Iterator<Item = (&'a SourceFile, Item)> {
    let mut ids = SeenIds::default();
    let items = items_with_any_ids(files, options);
    items.map(move |(file, item)| (file, ids.checked(&file.shown, item)))
}

/// The same where documents of one id are not in each other's way.
pub(crate) fn items_with_any_ids<'a>(
    files: &'a [SourceFile],
    options: &'a ReadOptions,
) -> impl Iterator<Item = (&'a SourceFile, Item)> {
    files
        .iter()
        .flat_map(|file| read(file, options).map(move |item| (file, item)))
}

/// Reads a file. One that cannot be read at all is one failed item.
fn read(file: &SourceFile, options: &ReadOptions) -> Items {
    let items = match file.format {
        Format::Jsonl => json::read_lines(file, options),
        Format::Json => json::read_values(file, options),
        Format::Csv => csv::read(file, options),
        Format::Text => plain_text::read(file, options),
        Format::Markdown => markdown::read(file, options),
        Format::Html => html::read(file, options),
        Format::Pdf => Ok(pdf::read(file)),
    };
    items.unwrap_or_else(|trouble| Box::new(std::iter::once(Item::Failed(trouble))))
}

#[cfg(test)]
mod testing {
    //! Reads files that tests write.

    use serde_json::Value;

    use super::*;

    /// The items of a file with this content; its name says its kind.
    pub(super) fn read_bytes(name: &str, bytes: &[u8]) -> Vec<Item> {
        read_with(name, bytes, &ReadOptions::default())
    }

    /// The same with options.
    pub(super) fn read_with(name: &str, bytes: &[u8], options: &ReadOptions) -> Vec<Item> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs_err::write(&path, bytes).unwrap();
        let file = SourceFile {
            shown: name.to_owned(),
            id: name.to_owned(),
            format: Format::of(&path).unwrap_or(Format::Jsonl),
            bytes: bytes.len() as u64,
            copy: None,
            path,
        };
        read(&file, options).collect()
    }

    /// What is sent of a document.
    pub(super) fn json(item: &Item) -> Value {
        let Item::Document(document) = item else {
            panic!("{item:?}");
        };
        serde_json::to_value(document).unwrap()
    }
}
