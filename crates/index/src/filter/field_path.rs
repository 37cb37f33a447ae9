//! Where in the metadata a value stands.

use std::fmt;

/// The keys that lead to a field, written with dots between them: `author.name`.
///
/// A backslash takes the meaning from what follows it: `\.` is a dot within a key, `\\` a
/// backslash, `\$` a dollar sign, which operators begin with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath {
    keys: Vec<String>,
    /// The one way to write the path, equal for equal paths.
    canonical: String,
}

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a backslash in a field's path stands before a dot, a backslash or a dollar sign only")]
pub struct FieldPathError;

impl FieldPath {
    /// Reads a path. An empty text is the path of the key `""`.
    ///
    /// # Errors
    /// A backslash before anything but a dot, a backslash or a dollar sign.
    pub fn parse(text: &str) -> Result<Self, FieldPathError> {
        let mut keys = vec![String::new()];
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let character = match character {
                '.' => {
                    keys.push(String::new());
                    continue;
                }
                '\\' => escaped(characters.next())?,
                other => other,
            };
            if let Some(key) = keys.last_mut() {
                key.push(character);
            }
        }
        let mut canonical = String::new();
        for (place, key) in keys.iter().enumerate() {
            if place > 0 {
                canonical.push('.');
            }
            push_key(&mut canonical, key);
        }
        Ok(Self { keys, canonical })
    }

    /// The keys, outermost first; at least one.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    pub(crate) fn canonical(&self) -> &str {
        &self.canonical
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.canonical)
    }
}

fn escaped(character: Option<char>) -> Result<char, FieldPathError> {
    match character {
        Some(character @ ('.' | '\\' | '$')) => Ok(character),
        _ => Err(FieldPathError),
    }
}

/// Adds one key to a path in canonical form.
pub(crate) fn push_key(path: &mut String, key: &str) {
    if !key.contains(['.', '\\']) {
        return path.push_str(key);
    }
    for character in key.chars() {
        if matches!(character, '.' | '\\') {
            path.push('\\');
        }
        path.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dots_separate_keys_unless_escaped() {
        let keys = |text: &str| FieldPath::parse(text).unwrap().keys;
        assert_eq!(keys("a.b"), ["a", "b"]);
        assert_eq!(keys(r"a\.b.c"), ["a.b", "c"]);
        assert_eq!(keys(r"\$a\\"), [r"$a\"]);
        assert_eq!(keys("a."), ["a", ""]);
        assert_eq!(keys(""), [""]);
    }

    #[test]
    fn a_backslash_before_anything_else_is_refused() {
        for text in [r"a\b", "\\", r"a.\"] {
            assert_eq!(FieldPath::parse(text), Err(FieldPathError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_canonical_form_leads_to_the_same_keys(keys in prop::collection::vec("[a.\\\\$é]{0,4}", 1..5)) {
            let mut written = String::new();
            for (place, key) in keys.iter().enumerate() {
                if place > 0 {
                    written.push('.');
                }
                push_key(&mut written, key);
            }
            let path = FieldPath::parse(&written).unwrap();
            prop_assert_eq!(path.keys(), &keys[..]);
            prop_assert_eq!(path.canonical(), &written);
        }
    }
}
