//! Markdown: one document a file, its text as it is written. The title is that of the front matter, or
//! else the first heading.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::document::{Items, Trouble};
use super::front_matter::FrontMatter;
use super::{ReadOptions, SourceFile, Utf8File, plain_text};

/// Opens a file of Markdown.
///
/// # Errors
/// A file that is not text.
pub(super) fn read(file: &SourceFile, options: &ReadOptions) -> Result<Items, Trouble> {
    let source = Utf8File::open(&file.path, options.encoding)?;
    let whole = source.whole()?;
    let mut front = FrontMatter::of(&whole);
    let title = front
        .keys
        .get("title")
        .and_then(|title| serde_json::from_str::<String>(title.get()).ok())
        .filter(|title| !title.trim().is_empty());
    if title.is_some() {
        front.keys.remove("title");
    }
    let title = title.or_else(|| first_heading(front.body));
    let trouble = front.trouble.map(|reason| Trouble::at(1, reason));
    let text = front.text.to_owned();
    Ok(plain_text::one(
        file,
        trouble.or(source.remark),
        title,
        text,
        front.keys,
    ))
}

/// The words of the first heading that stands in no list and no quotation.
fn first_heading(text: &str) -> Option<String> {
    let (mut depth, mut heading) = (0_usize, None::<String>);
    for event in Parser::new_ext(text, Options::empty()) {
        match event {
            Event::Start(Tag::BlockQuote(_) | Tag::List(_)) => depth += 1,
            Event::End(TagEnd::BlockQuote(_) | TagEnd::List(_)) => depth -= 1,
            Event::Start(Tag::Heading { .. }) if depth == 0 => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let words = heading.take().filter(|words| !words.trim().is_empty());
                if words.is_some() {
                    return words;
                }
            }
            Event::Text(text) | Event::Code(text) => {
                heading
                    .as_mut()
                    .into_iter()
                    .for_each(|words| words.push_str(&text));
            }
            Event::SoftBreak | Event::HardBreak => {
                heading
                    .as_mut()
                    .into_iter()
                    .for_each(|words| words.push(' '));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reading::document::Item;
    use crate::reading::testing::{json, read_bytes};

    #[test]
    fn headings_are_those_of_commonmark() {
        for (text, heading) in [
            ("```\n# no\n```\n\n## Yes ##\n# later", Some("Yes")),
            ("    # code\n\n# Yes", Some("Yes")),
            ("~~~\n# no\n```\n# no\n~~~\n# Yes", Some("Yes")),
            ("````\n```\n# no\n````\nYes\n===\n", Some("Yes")),
            ("<!--\n# no\n-->\n\n# Yes", Some("Yes")),
            ("<pre>\n# no\n</pre>\n\n# Yes", Some("Yes")),
            ("> # quoted\n\n- # listed\n\n# Yes", Some("Yes")),
            (
                "# Use `siamese` with *care* &amp; [joy](u)",
                Some("Use siamese with care & joy"),
            ),
            ("#hashtag\n\n#\n\n####### seven\n\n\\# escaped", None),
            ("plain", None),
        ] {
            assert_eq!(first_heading(text).as_deref(), heading, "{text}");
        }
    }

    #[test]
    fn front_matter_becomes_title_and_metadata() {
        let text = "---\ntitle: T\ndate: 2024-05-01\ntags: [a, b]\npath: /old\n---\n# H\n\nbody";
        let expected = json!({"id": "a.md", "title": "T", "text": "# H\n\nbody", "metadata": {
            "date": "2024-05-01", "tags": ["a", "b"], "path": "a.md", "path_2": "/old"}});
        assert_eq!(json(&read_bytes("a.md", text.as_bytes())[0]), expected);
        assert_eq!(json(&read_bytes("a.md", b"# H\n")[0])["title"], "H");
    }

    #[test]
    fn front_matter_alone_is_nothing_to_store() {
        let items = read_bytes("a.md", b"---\ntitle: T\n---\n");
        assert!(matches!(&items[..], [Item::Skipped(_)]));
    }
}
