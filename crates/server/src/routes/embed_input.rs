//! Texts to encode, as the compatible routes take them: one or several, as they are or as token ids.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use utoipa::ToSchema;

use super::documents::check_text;
use super::item::PlainText;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::ListLimit;
use crate::service::TextInput;

/// A text, or a list of texts. Each may also be a list of the ids of its tokens in the vocabulary of the
/// encoder, with or without the special tokens around a text.
#[derive(Debug, Clone, ToSchema)]
pub(crate) enum EmbedInput {
    /// One text.
    #[schema(value_type = PlainText)]
    One(TextInput),
    /// At most `limits.max_embed_texts` texts.
    #[schema(value_type = Vec<PlainText>)]
    Many(Vec<TextInput>),
}

impl EmbedInput {
    /// How many texts the list at `pointer` may have. Token ids, which may stand there in their place, are
    /// bound by `limits.max_json_values`.
    pub(super) fn limit(pointer: &'static str, limits: &Limits) -> ListLimit {
        ListLimit {
            counts_numbers: false,
            ..ListLimit::new(
                pointer,
                "texts",
                limits.max_embed_texts,
                "limits.max_embed_texts",
            )
        }
    }

    /// The texts within their limits; `pointer` is where the list stands.
    ///
    /// # Errors
    /// 422 for no text, or one that is blank or too long.
    pub(super) fn checked(
        self,
        limits: &Limits,
        pointer: &str,
    ) -> Result<Vec<TextInput>, ApiError> {
        let (texts, is_list) = match self {
            Self::One(text) => (vec![text], false),
            Self::Many(texts) => (texts, true),
        };
        if texts.is_empty() {
            return Err(ApiError::invalid(pointer, "there are no texts"));
        }
        for (place, text) in texts.iter().enumerate() {
            check(text, limits).map_err(|error| {
                error.at(if is_list {
                    format!("{pointer}/{place}")
                } else {
                    pointer.to_owned()
                })
            })?;
        }
        Ok(texts)
    }

    /// Whether any text is given as the ids of its tokens.
    pub(super) fn has_ids(&self) -> bool {
        let is_ids = |text: &TextInput| matches!(text, TextInput::Ids(_));
        match self {
            Self::One(text) => is_ids(text),
            Self::Many(texts) => texts.iter().any(is_ids),
        }
    }
}

fn check(text: &TextInput, limits: &Limits) -> Result<(), ApiError> {
    match text {
        TextInput::Text(text) => check_text(text, limits.max_text_bytes, "limits.max_text_bytes"),
        TextInput::Ids(ids) if ids.is_empty() => {
            Err(ApiError::invalid("", "the list of token ids is empty"))
        }
        TextInput::Ids(_) => Ok(()),
    }
}

impl<'de> Deserialize<'de> for EmbedInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InputVisitor)
    }
}

struct InputVisitor;

impl<'de> Visitor<'de> for InputVisitor {
    type Value = EmbedInput;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a string, a list of strings, or token ids")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<EmbedInput, E> {
        Ok(EmbedInput::One(TextInput::Text(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<EmbedInput, A::Error> {
        let (mut ids, mut texts) = (Vec::new(), Vec::new());
        while let Some(entry) = list.next_element()? {
            match entry {
                Entry::Id(id) if texts.is_empty() => ids.push(id),
                Entry::Text(text) if ids.is_empty() => texts.push(text),
                Entry::Id(_) | Entry::Text(_) => {
                    return Err(de::Error::custom("texts and token ids stand in one list"));
                }
            }
        }
        Ok(match ids.is_empty() {
            true => EmbedInput::Many(texts),
            false => EmbedInput::One(TextInput::Ids(ids)),
        })
    }
}

/// What stands in a list: a text, or a token of the only text.
enum Entry {
    Text(TextInput),
    Id(u32),
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a string, a token id, or a list of token ids")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Entry, E> {
        Ok(Entry::Text(TextInput::Text(text.to_owned())))
    }

    fn visit_u64<E: de::Error>(self, id: u64) -> Result<Entry, E> {
        token_id(id).map(Entry::Id)
    }

    fn visit_i64<E: de::Error>(self, id: i64) -> Result<Entry, E> {
        token_id(id).map(Entry::Id)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entry, A::Error> {
        let mut ids = Vec::new();
        while let Some(TokenId(id)) = list.next_element()? {
            ids.push(id);
        }
        Ok(Entry::Text(TextInput::Ids(ids)))
    }
}

/// A token's place in a vocabulary.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(value_type = u32, minimum = 0)]
pub(crate) struct TokenId(pub(crate) u32);

impl<'de> Deserialize<'de> for TokenId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).and_then(token_id).map(Self)
    }
}

fn token_id<E: de::Error>(id: impl TryInto<u32> + fmt::Display + Copy) -> Result<u32, E> {
    let refused = |_| E::custom(format_args!("{id} is not a token id; they are 0 or more"));
    id.try_into().map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::parse_json;

    fn text(text: &str) -> TextInput {
        TextInput::Text(text.to_owned())
    }

    #[test]
    fn texts_and_token_ids_are_read_alone_and_in_lists() {
        for (json, one) in [
            (r#""a""#, text("a")),
            ("[3]", TextInput::Ids(vec![3])),
            ("[3, 0]", TextInput::Ids(vec![3, 0])),
        ] {
            match parse_json(json.as_bytes()).unwrap() {
                EmbedInput::One(read) => assert_eq!(read, one, "{json}"),
                EmbedInput::Many(_) => panic!("{json}"),
            }
        }
        for (json, many) in [
            ("[]", vec![]),
            (r#"["a", "b"]"#, vec![text("a"), text("b")]),
            (
                "[[1, 2], [3]]",
                vec![TextInput::Ids(vec![1, 2]), TextInput::Ids(vec![3])],
            ),
            (
                r#"["a", [1], []]"#,
                vec![text("a"), TextInput::Ids(vec![1]), TextInput::Ids(vec![])],
            ),
        ] {
            match parse_json(json.as_bytes()).unwrap() {
                EmbedInput::Many(read) => assert_eq!(read, many, "{json}"),
                EmbedInput::One(_) => panic!("{json}"),
            }
        }
    }

    #[test]
    fn anything_else_is_pointed_at() {
        for (json, pointer) in [
            ("3", ""),
            (r#"{"a": 1}"#, ""),
            (r#"[1, "a"]"#, ""),
            (r#"["a", 1]"#, ""),
            (r#"["a", true]"#, "/1"),
            ("[[1], [1, -1]]", "/1/1"),
            ("[1, 4294967296]", "/1"),
            ("[[1.5]]", "/0/0"),
            (r#"[["a"]]"#, "/0/0"),
        ] {
            let refused = parse_json::<EmbedInput>(json.as_bytes()).unwrap_err();
            let problem = refused.problem(None);
            assert_eq!(problem.status, 422, "{json}");
            assert_eq!(problem.pointer.unwrap_or_default(), pointer, "{json}");
        }
    }
}
