//! What a Markdown file says of itself before its text: YAML between lines of `---`, or TOML between
//! lines of `+++`.

use serde_json::Value;

use super::document::{Metadata, raw};

/// Bytes and brackets of front matter. A parser of YAML takes time by the square of how deep brackets
/// are nested: a minute and more for 100 kB of them.
const MAX_BYTES: usize = 32 << 10;
const MAX_BRACKETS: usize = 1000;

/// Keys as JSON, and where the text begins.
#[derive(Debug)]
pub(super) struct FrontMatter<'a> {
    pub(super) keys: Metadata,
    pub(super) text: &'a str,
    /// The text without it, whether it could be read or not.
    pub(super) body: &'a str,
    /// Why the front matter could not be read; it is part of the text then.
    pub(super) trouble: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum Language {
    Yaml,
    Toml,
}

impl<'a> FrontMatter<'a> {
    /// Takes the front matter off a text.
    pub(super) fn of(text: &'a str) -> Self {
        let none = Self {
            keys: Metadata::new(),
            text,
            body: text,
            trouble: None,
        };
        let Some((language, block, body)) = split(text) else {
            return none;
        };
        match language.parse(block) {
            Ok(Value::Object(keys)) => Self {
                keys: keys
                    .iter()
                    .map(|(key, value)| (key.clone(), raw(value)))
                    .collect(),
                text: body,
                body,
                trouble: None,
            },
            // An empty block, which some editors make.
            Ok(Value::Null) if block.trim().is_empty() => Self {
                text: body,
                body,
                ..none
            },
            // A rule, a paragraph and another rule.
            Ok(_) => none,
            Err(reason) => Self {
                body,
                trouble: Some(format!(
                    "the front matter cannot be read and is kept as text: {reason}"
                )),
                ..none
            },
        }
    }
}

/// Language, content and what follows, of a block that begins on the very first line.
fn split(text: &str) -> Option<(Language, &str, &str)> {
    let (first, rest) = text.split_once('\n')?;
    let (language, ends): (_, &[&str]) = match first.trim_end() {
        "---" => (Language::Yaml, &["---", "..."]),
        "+++" => (Language::Toml, &["+++"]),
        _ => return None,
    };
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        if ends.contains(&line.trim_end()) {
            let (block, after) = rest.split_at(end);
            return Some((language, block, after.get(line.len()..).unwrap_or_default()));
        }
        end += line.len();
    }
    None
}

impl Language {
    fn parse(self, block: &str) -> Result<Value, String> {
        let brackets = block.bytes().filter(|byte| matches!(byte, b'[' | b'{'));
        if block.len() > MAX_BYTES || brackets.count() > MAX_BRACKETS {
            return Err(format!(
                "it has more than {MAX_BYTES} bytes or {MAX_BRACKETS} brackets"
            ));
        }
        match self {
            Self::Yaml => {
                let value: yaml_serde::Value =
                    yaml_serde::from_str(block).map_err(|error| error.to_string())?;
                Ok(from_yaml(value))
            }
            Self::Toml => {
                let table: toml::Table = block
                    .parse()
                    .map_err(|error: toml::de::Error| error.message().to_owned())?;
                Ok(Value::Object(
                    table
                        .into_iter()
                        .map(|(key, value)| (key, from_toml(value)))
                        .collect(),
                ))
            }
        }
    }
}

/// YAML allows keys that are no strings, and numbers that JSON does not have.
fn from_yaml(value: yaml_serde::Value) -> Value {
    match value {
        yaml_serde::Value::Mapping(keys) => {
            let keys = keys
                .into_iter()
                .map(|(key, value)| (key_of(key), from_yaml(value)));
            Value::Object(keys.collect())
        }
        yaml_serde::Value::Sequence(values) => values.into_iter().map(from_yaml).collect(),
        yaml_serde::Value::Tagged(tagged) => from_yaml(tagged.value),
        other => serde_json::to_value(other).unwrap_or_default(),
    }
}

fn key_of(key: yaml_serde::Value) -> String {
    match from_yaml(key) {
        Value::String(key) => key,
        other => other.to_string(),
    }
}

/// TOML's dates become text, as those of YAML are.
fn from_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::Datetime(moment) => moment.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(from_toml).collect(),
        toml::Value::Table(keys) => Value::Object(
            keys.into_iter()
                .map(|(key, value)| (key, from_toml(value)))
                .collect(),
        ),
        other => serde_json::to_value(other).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> (String, String) {
        let front = FrontMatter::of(text);
        assert_eq!(front.trouble, None);
        (
            serde_json::to_string(&front.keys).unwrap(),
            front.text.to_owned(),
        )
    }

    #[test]
    fn yaml_and_toml_are_read() {
        let expected = r#"{"date":"2024-05-01","draft":false,"tags":["a","b"],"title":"T: x"}"#;
        for text in [
            "---\ntitle: \"T: x\"\ndate: 2024-05-01\ntags: [a, b]\ndraft: false\n---\n# H\n",
            "---\r\ntitle: 'T: x'\r\ndate: 2024-05-01\r\ntags:\r\n  - a\r\n  - b\r\ndraft: false\r\n...\r\n# H\n",
            "+++\ntitle = \"T: x\"\ndate = 2024-05-01\ntags = ['a', 'b']\ndraft = false\n+++\n# H\n",
        ] {
            assert_eq!(
                keys(text),
                (expected.to_owned(), "# H\n".to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_rule_is_no_front_matter() {
        for text in [
            "---\nA paragraph.\n---\nmore\n",
            "---\nno end\n",
            "# H\n---\na: 1\n---\n",
            "--- \n",
            "----\na: 1\n---\n",
        ] {
            assert_eq!(keys(text), ("{}".to_owned(), text.to_owned()), "{text}");
        }
        assert_eq!(keys("---\n---\nx"), ("{}".to_owned(), "x".to_owned()));
    }

    #[test]
    fn front_matter_that_cannot_be_read_stays_in_the_text() {
        for block in [
            "title: [",
            &"[".repeat(20_000),
            "a: 1\na: 2",
            &format!("a: {}", "x".repeat(MAX_BYTES)),
        ] {
            let text = format!("---\n{block}\n---\nx\n");
            let front = FrontMatter::of(&text);
            assert_eq!((front.text, front.body), (text.as_str(), "x\n"));
            assert!(front.trouble.is_some());
        }
    }
}
