//! PDF: one document a page, with the page's number as metadata.
//!
//! PDF is a large format, and what reads it meets files that make it panic, run for ever or take all
//! memory. So a process of its own reads them ([`page_reader`]), with bounds on its time and memory.
//! What ends that process costs one page, and is told as such.

mod page_reader;
mod pages;

use pages::Pages;

use super::document::{Document, Item, Items, Metadata, Trouble, raw};
use super::plain_text::shortened_title;
use super::{SourceFile, file_id};

pub(crate) use page_reader::write_pages;

/// Page numbers that are listed.
const MAX_SHOWN_PAGES: usize = 20;

/// Opens a PDF.
pub(super) fn read(file: &SourceFile) -> Items {
    Box::new(PageItems {
        pages: Pages::of(&file.path),
        file: file.clone(),
        title: None,
        with_text: 0,
        without_text: Vec::new(),
        any_failed: false,
        ended: false,
    })
}

/// What is known of a page.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum PageLine {
    /// The title that the file gives itself.
    Title(String),
    /// A page, from 1, and its text.
    Page(u32, String),
    /// A page that cannot be read, and why.
    BadPage(u32, String),
    /// A file that cannot be read, and why.
    BadFile(String),
    /// All pages have been read.
    End,
}

#[derive(Debug)]
struct PageItems {
    pages: Pages,
    file: SourceFile,
    title: Option<String>,
    with_text: usize,
    without_text: Vec<u32>,
    any_failed: bool,
    ended: bool,
}

impl PageItems {
    fn page(&mut self, page: u32, text: &str) -> Option<Item> {
        let text = text.trim();
        if text.is_empty() {
            self.without_text.push(page);
            return None;
        }
        self.with_text += 1;
        let mut metadata = Metadata::new();
        metadata.insert("path".to_owned(), raw(&self.file.id));
        metadata.insert("page".to_owned(), raw(&page));
        Some(Item::Document(Document {
            // The fragment by which browsers open a PDF at a page.
            id: file_id::with_part(&self.file.id, &format!("#page={page}")),
            title: self.title.clone(),
            text: text.to_owned(),
            metadata,
            line: None,
        }))
    }

    /// What is said at the end of pages that have no text, such as scans.
    fn remark(&self) -> Option<Item> {
        if self.with_text == 0 && !self.any_failed {
            let reason = "none of its pages has text; a scan needs OCR first";
            return Some(Item::Failed(Trouble::with_file(reason)));
        }
        let shown: Vec<_> = self
            .without_text
            .iter()
            .take(MAX_SHOWN_PAGES)
            .map(u32::to_string)
            .collect();
        let more = self.without_text.len() - shown.len();
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let reason = format!("no text on pages {}{more}", shown.join(", "));
        (!shown.is_empty()).then(|| Item::Warning(Trouble::with_file(reason)))
    }
}

impl Iterator for PageItems {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        while !self.ended {
            let item = match self.pages.next_line() {
                PageLine::Title(title) => {
                    self.title = Some(shortened_title(&title)).filter(|title| !title.is_empty());
                    None
                }
                PageLine::Page(page, text) => self.page(page, &text),
                PageLine::BadPage(page, reason) => {
                    self.any_failed = true;
                    Some(Item::Failed(Trouble::with_file(format!(
                        "page {page}: {reason}"
                    ))))
                }
                PageLine::BadFile(reason) => {
                    self.ended = true;
                    Some(Item::Failed(Trouble::with_file(reason)))
                }
                PageLine::End => {
                    self.ended = true;
                    self.remark()
                }
            };
            if item.is_some() {
                return item;
            }
        }
        None
    }
}
