//! HTML: one document a file, the text that a browser would show.
//!
//! Only html5ever's tokenizer is used. Text needs no tree, and a page whose elements are nested a
//! million deep, or in the wrong order, is read like any other.

use std::cell::RefCell;
use std::io::Read;
use std::time::{Duration, Instant};

use encoding_rs::Encoding;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use super::document::{Items, Metadata, Trouble, raw};
use super::{ReadOptions, SourceFile, Utf8File, plain_text};

/// Where a page says its encoding, if it does.
const HEAD_BYTES: u64 = 1024;
/// Bytes that are read between two looks at the clock, and how long a page may take.
const PIECE_BYTES: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(60);
/// What pages say of themselves that becomes metadata.
const META_NAMES: [&str; 4] = ["author", "date", "description", "keywords"];

/// Opens a page.
///
/// # Errors
/// A file that is not text.
pub(super) fn read(file: &SourceFile, options: &ReadOptions) -> Result<Items, Trouble> {
    let said = options.encoding.or(declared(file)?);
    let source = Utf8File::open(&file.path, said)?;
    let page = Page::of(&source.whole()?)?;
    Ok(plain_text::one(
        file,
        source.remark,
        page.title(),
        page.text(),
        page.metadata,
    ))
}

/// The encoding that a page names in its head. The names of the web mean what browsers take them for.
fn declared(file: &SourceFile) -> Result<Option<&'static Encoding>, Trouble> {
    let mut head = Vec::new();
    fs_err::File::open(&file.path)?
        .take(HEAD_BYTES)
        .read_to_end(&mut head)?;
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let name = head
        .split("charset=")
        .nth(1)
        .map(|rest| rest.trim_start_matches(['"', '\'', ' ']));
    let name = name.and_then(|name| name.split(['"', '\'', ' ', '>', '/', ';']).next());
    let encoding = name.and_then(|name| Encoding::for_label(name.as_bytes()));
    // A page that can be read so far is in none of these, whatever it says.
    let not_meant = [
        encoding_rs::UTF_8,
        encoding_rs::UTF_16LE,
        encoding_rs::UTF_16BE,
        encoding_rs::REPLACEMENT,
    ];
    Ok(encoding.filter(|encoding| !not_meant.contains(encoding)))
}

/// What a page holds.
#[derive(Debug, Default)]
struct Page {
    body: Writer,
    title: Option<Writer>,
    heading: Option<Writer>,
    metadata: Metadata,
    /// What text goes to now.
    place: Placement,
    /// The element that is not shown, and how many of its kind are open.
    unseen: Option<(StrTendril, usize)>,
    /// Open elements whose blanks are kept.
    preformatted: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Placement {
    #[default]
    Body,
    Title,
    Heading,
}

impl Page {
    /// Reads a page piece by piece, to see how long it takes: the tokenizer compares each attribute with
    /// all others of its tag, and there are pages made to exploit that.
    fn of(html: &str) -> Result<Self, Trouble> {
        let started_at = Instant::now();
        let sink = Sink(RefCell::new(Self::default()));
        let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
        let input = BufferQueue::default();
        let mut rest = html;
        while !rest.is_empty() {
            let (piece, after) =
                rest.split_at(rest.floor_char_boundary(PIECE_BYTES.min(rest.len())));
            input.push_back(piece.into());
            // Scripts are raw text here, so that the tokenizer never waits for one to be run.
            let _ = tokenizer.feed(&input);
            rest = after;
            if started_at.elapsed() > PATIENCE {
                let reason = format!("not read within {} s", PATIENCE.as_secs());
                return Err(Trouble::with_file(reason));
            }
        }
        tokenizer.end();
        Ok(tokenizer.sink.0.into_inner())
    }

    fn title(&self) -> Option<String> {
        let said = self
            .title
            .iter()
            .chain(&self.heading)
            .map(|title| title.text.trim());
        said.into_iter()
            .find(|title| !title.is_empty())
            .map(str::to_owned)
    }

    fn text(&self) -> String {
        self.body.text.trim().to_owned()
    }

    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        let opens = tag.kind == TagKind::StartTag;
        if let Some((unseen, open)) = &mut self.unseen {
            if **unseen == *name && !tag.self_closing {
                *open = if opens { *open + 1 } else { *open - 1 };
                if *open == 0 {
                    self.unseen = None;
                }
            }
            return raw_text(name, opens && !tag.self_closing);
        }
        if opens && is_unseen(tag) {
            self.unseen = Some((name.into(), 1));
            return raw_text(name, true);
        }
        match name {
            "title" if opens && !tag.self_closing && self.title.is_none() => {
                self.title = Some(Writer::default());
                self.place = Placement::Title;
            }
            "h1" if opens && self.heading.is_none() => {
                self.heading = Some(Writer::default());
                self.place = Placement::Heading;
            }
            "title" | "h1" if !opens => self.place = Placement::Body,
            "html" if opens => self.note("language", attribute(tag, "lang")),
            "meta" => self.meta(tag),
            "img" => self.write(attribute(tag, "alt").unwrap_or_default()),
            "pre" | "textarea" if opens => self.preformatted += 1,
            "pre" | "textarea" => self.preformatted = self.preformatted.saturating_sub(1),
            _ => {}
        }
        self.body.border(border_of(name));
        raw_text(name, opens && !tag.self_closing)
    }

    /// Text that is shown.
    fn write(&mut self, text: &str) {
        if self.unseen.is_some() {
            return;
        }
        let keeps_blanks = self.preformatted > 0;
        match self.place {
            Placement::Title => {
                return self
                    .title
                    .iter_mut()
                    .for_each(|title| title.write(text, false));
            }
            Placement::Heading => self
                .heading
                .iter_mut()
                .for_each(|heading| heading.write(text, false)),
            Placement::Body => {}
        }
        self.body.write(text, keeps_blanks);
    }

    fn meta(&mut self, tag: &Tag) {
        let name = attribute(tag, "name").or_else(|| attribute(tag, "property"));
        let name = name.unwrap_or_default().to_ascii_lowercase();
        let name = match name.as_str() {
            "article:published_time" | "dc.date" | "dcterms.date" => "date",
            "og:description" => "description",
            other => other,
        };
        if META_NAMES.contains(&name) {
            self.note(name, attribute(tag, "content"));
        }
    }

    /// Metadata; what is said first counts.
    fn note(&mut self, key: &str, value: Option<&str>) {
        let value = value.map(str::trim).filter(|value| !value.is_empty());
        if let Some(value) = value {
            self.metadata
                .entry(key.to_owned())
                .or_insert_with(|| raw(&value));
        }
    }
}

struct Sink(RefCell<Page>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut page = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) => return page.tag(&tag),
            Token::CharacterTokens(text) => page.write(&text),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

/// Puts text together, with blanks as a browser shows them.
#[derive(Debug, Default)]
struct Writer {
    text: String,
    border: Border,
}

/// What stands between two pieces of text.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Border {
    #[default]
    None,
    Blank,
    Line,
    Paragraph,
}

impl Writer {
    fn border(&mut self, border: Border) {
        self.border = self.border.max(border);
    }

    fn write(&mut self, text: &str, keeps_blanks: bool) {
        if keeps_blanks {
            self.end_piece();
            return self.text.push_str(text);
        }
        let is_blank = |c: char| c.is_ascii_whitespace();
        if text.starts_with(is_blank) {
            self.border(Border::Blank);
        }
        for word in text.split(is_blank).filter(|word| !word.is_empty()) {
            self.end_piece();
            self.text.push_str(word);
            self.border = Border::Blank;
        }
        if !text.ends_with(is_blank) && self.border == Border::Blank {
            self.border = Border::None;
        }
    }

    fn end_piece(&mut self) {
        if !self.text.is_empty() {
            self.text.push_str(match self.border {
                Border::None => "",
                Border::Blank => " ",
                Border::Line => "\n",
                Border::Paragraph => "\n\n",
            });
        }
        self.border = Border::None;
    }
}

/// What a tag puts between the text before and after it.
fn border_of(name: &str) -> Border {
    match name {
        "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" | "ol" | "dl" | "table" | "pre"
        | "blockquote" | "section" | "article" | "header" | "footer" | "main" | "aside" | "nav"
        | "figure" | "form" | "fieldset" | "details" | "hr" => Border::Paragraph,
        "br" | "div" | "li" | "dt" | "dd" | "tr" | "caption" | "thead" | "tbody" | "tfoot"
        | "figcaption" | "summary" | "address" | "legend" | "option" | "optgroup" | "select"
        | "body" | "head" | "title" => Border::Line,
        "td" | "th" | "img" | "button" | "input" | "label" | "textarea" => Border::Blank,
        _ => Border::None,
    }
}

/// Elements that a browser does not show. `hidden` is looked at only where the end cannot be left out.
fn is_unseen(tag: &Tag) -> bool {
    let name: &str = &tag.name;
    let hidden = matches!(
        name,
        "div" | "section" | "span" | "article" | "aside" | "ul" | "ol" | "table"
    ) && attribute(tag, "hidden").is_some();
    !tag.self_closing
        && (hidden
            || matches!(
                name,
                "script"
                    | "style"
                    | "template"
                    | "noscript"
                    | "svg"
                    | "math"
                    | "object"
                    | "iframe"
                    | "noframes"
            ))
}

/// How the tokenizer goes on after a tag: some elements hold text only.
fn raw_text(name: &str, opens: bool) -> TokenSinkResult<()> {
    match name {
        "script" if opens => TokenSinkResult::RawData(RawKind::ScriptData),
        "style" | "iframe" | "noframes" | "xmp" if opens => {
            TokenSinkResult::RawData(RawKind::Rawtext)
        }
        "title" | "textarea" if opens => TokenSinkResult::RawData(RawKind::Rcdata),
        _ => TokenSinkResult::Continue,
    }
}

fn attribute<'a>(tag: &'a Tag, name: &str) -> Option<&'a str> {
    let mut attributes = tag.attrs.iter();
    attributes.find_map(|attribute| (&*attribute.name.local == name).then_some(&*attribute.value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reading::document::Item;
    use crate::reading::testing::{json, read_bytes};

    fn text(html: &str) -> String {
        Page::of(html).unwrap().text()
    }

    #[test]
    fn text_is_what_a_browser_shows() {
        for (html, shown) in [
            ("<p>One\n  <b>tw</b>o<p>three", "One two\n\nthree"),
            ("a<br>b<br/>c", "a\nb\nc"),
            ("<ul><li>a</li><li>b</ul>", "a\nb"),
            ("<table><tr><td>a<td>b<tr><td>c</table>", "a b\nc"),
            (
                "&eacute;&nbsp;&#8364; &lt;b&gt; &amp;copy",
                "é\u{a0}€ <b> &copy",
            ),
            ("<pre>  a\n   b</pre>c", "a\n   b\n\nc"),
            ("a<script>if (a < b) { x('</p>') }</script>b", "ab"),
            (
                "a<style>p{}</style><noscript>n</noscript><template><p>t</template>b",
                "ab",
            ),
            ("a<!-- no --><svg><text>no</text></svg>b", "ab"),
            ("<div hidden>no<div>no</div></div>yes", "yes"),
            ("<img src=x alt=\"a cat\"> sleeps", "a cat sleeps"),
            ("5 < 6 and <unknown>x</unknown>", "5 < 6 and x"),
            ("<script>never closed", ""),
        ] {
            assert_eq!(text(html), shown, "{html}");
        }
    }

    #[test]
    fn pages_nested_without_end_are_read() {
        let depth = 200_000;
        let html = format!(
            "{}x{}",
            "<div><span>".repeat(depth),
            "</span>".repeat(depth)
        );
        assert_eq!(text(&html), "x");
    }

    #[test]
    fn head_becomes_title_and_metadata() {
        let html = b"<!doctype html><html lang=en><head><title>A &amp;\n B</title>
            <meta name=Description content='About it'><meta property='article:published_time' content=2024-05-01>
            <meta name=viewport content=x></head><body><h1>H</h1>text</body></html>";
        let expected = json!({"id": "a.html", "title": "A & B", "text": "H\n\ntext", "metadata": {
            "path": "a.html", "language": "en", "description": "About it", "date": "2024-05-01"}});
        assert_eq!(json(&read_bytes("a.html", html)[0]), expected);
        assert_eq!(
            json(&read_bytes("a.html", b"<h1>H <i>1</i></h1>x")[0])["title"],
            "H 1"
        );
    }

    #[test]
    fn the_encoding_that_a_page_names_is_used() {
        let page = b"<meta charset=\"iso-8859-1\"><p>K\xf6ln";
        assert_eq!(json(&read_bytes("a.html", page)[0])["text"], "Köln");
        let wrong = "<meta charset=\"iso-8859-1\"><p>Köln".as_bytes();
        assert_eq!(json(&read_bytes("a.html", wrong)[0])["text"], "Köln");
        assert!(matches!(
            &read_bytes("a.html", b"<script>x</script>")[..],
            [Item::Skipped(_)]
        ));
    }
}
