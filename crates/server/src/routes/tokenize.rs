//! `POST /tokenize` and `POST /decode`.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize, Serializer, ser};
use siamese_encoder::{Encoder, TextToken};
use utoipa::ToSchema;

use super::embed_input::{EmbedInput, TokenId};
use super::problems::{AnswerProblems, BodyProblems, EngineProblems};
use crate::answer;
use crate::answer::Room;
use crate::app::App;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, JsonBody, ListLimit, from_object_only};
use crate::service::{Cancel, Prompt, TextInput, blocking_steps, check_token_ids};

/// Texts to tokenise, as text-embeddings-inference takes them. Fields of other names are passed over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self")]
pub(crate) struct TokenizeRequest {
    /// The encoder, as `GET /models` names it; the default one when absent. Not in text-embeddings-inference.
    model: Option<String>,
    /// A text or a list of texts.
    inputs: EmbedInput,
    /// Whether to return the special tokens around a text. The default is true.
    add_special_tokens: Option<bool>,
    /// Name of one of the model's prompts, which stands before each text.
    prompt_name: Option<String>,
}

/// Token ids to turn into text, as text-embeddings-inference takes them. Fields of other names are passed
/// over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self")]
pub(crate) struct DecodeRequest {
    /// The encoder, as `GET /models` names it; the default one when absent. Not in text-embeddings-inference.
    model: Option<String>,
    /// A list of token ids, or a list of such lists.
    #[schema(value_type = TokenIdLists)]
    ids: EmbedInput,
    /// Whether to leave out special tokens. The default is true.
    skip_special_tokens: Option<bool>,
}

/// The token ids of one text or of several.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes a list in the API description")]
pub(crate) enum TokenIdLists {
    /// Of one text.
    One(Vec<TokenId>),
    /// Of at most `limits.max_embed_texts` texts.
    Many(Vec<Vec<TokenId>>),
}

from_object_only!(TokenizeRequest, DecodeRequest);

impl JsonBody for TokenizeRequest {
    type Checked = Tokenizing;

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        vec![EmbedInput::limit("/inputs", limits)]
    }

    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        Ok(Tokenizing {
            model: self.model,
            texts: texts(self.inputs, limits)?,
            with_special_tokens: self.add_special_tokens.unwrap_or(true),
            prompt_name: self.prompt_name,
        })
    }
}

fn texts(inputs: EmbedInput, limits: &Limits) -> Result<Vec<String>, ApiError> {
    let texts = inputs.checked(limits, "/inputs")?.into_iter();
    let texts = texts.enumerate().map(|(place, text)| match text {
        TextInput::Text(text) => Ok(text),
        TextInput::Ids(_) => Err(ApiError::invalid(
            format!("/inputs/{place}"),
            "these are token ids already; POST /decode makes text of them",
        )),
    });
    texts.collect()
}

impl JsonBody for DecodeRequest {
    /// The model, token ids, and whether to leave out special ones.
    type Checked = (Option<String>, Vec<TextInput>, bool);

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        vec![EmbedInput::limit("/ids", limits)]
    }

    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        let ids = self.ids.checked(limits, "/ids")?;
        let is_text = |ids: &TextInput| matches!(ids, TextInput::Text(_));
        if ids.iter().any(is_text) {
            let detail = "these are texts; POST /tokenize makes token ids of them";
            return Err(ApiError::invalid("/ids", detail));
        }
        Ok((self.model, ids, self.skip_special_tokens.unwrap_or(true)))
    }
}

/// Texts to tokenise, checked.
#[derive(Debug)]
pub(crate) struct Tokenizing {
    model: Option<String>,
    texts: Vec<String>,
    with_special_tokens: bool,
    prompt_name: Option<String>,
}

/// A token of a text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenShape {
    /// Its place in the vocabulary.
    id: u32,
    /// What it stands for in the text; a special token as the vocabulary writes it.
    text: String,
    /// Whether it stands around the text instead of in it.
    special: bool,
    /// Its first character in the text, counted in characters.
    start: Option<usize>,
    /// The character after its last.
    stop: Option<usize>,
}

/// The tokens of texts. Those of a text are made when it is written, so that one text's are in memory at
/// a time.
struct TokenLists {
    encoder: Arc<Encoder>,
    prompt: String,
    texts: Vec<String>,
    with_special_tokens: bool,
    room: Room,
    cancel: Cancel,
    failed: Mutex<Option<ApiError>>,
}

impl Serialize for TokenLists {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.texts.iter().map(|text| OneText { lists: self, text }))
    }
}

struct OneText<'a> {
    lists: &'a TokenLists,
    text: &'a str,
}

impl Serialize for OneText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let lists = self.lists;
        let text = format!("{}{}", lists.prompt, self.text);
        // Given back with this text. No text has more tokens than bytes.
        let mut room = lists.room.another();
        let tokens = lists
            .cancel
            .step_over_text(text.len())
            .and_then(|()| room.hold(text.len() * size_of::<TextToken>()))
            .and_then(|()| {
                let tokens = lists.encoder.text_tokens(&text, lists.with_special_tokens);
                tokens.map_err(ApiError::internal)
            });
        let tokens = match tokens {
            Ok(tokens) => tokens,
            Err(error) => {
                *lists.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return Err(ser::Error::custom("a text could not be tokenised"));
            }
        };
        let mut letters = Letters::of(&text);
        let shapes = tokens.into_iter().map(|token| {
            let own = token
                .span
                .as_ref()
                .map(|span| letters.take(span).to_owned());
            TokenShape {
                id: token.id,
                special: own.is_none(),
                text: own.unwrap_or_else(|| lists.encoder.token(token.id).unwrap_or_default()),
                start: token.span.as_ref().map(|span| span.start),
                stop: token.span.map(|span| span.end),
            }
        });
        serializer.collect_seq(shapes)
    }
}

/// A text whose parts are asked for in their order, counted in characters.
struct Letters<'a> {
    text: &'a str,
    /// A character, and its first byte.
    place: (usize, usize),
}

impl<'a> Letters<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text,
            place: (0, 0),
        }
    }

    /// Several tokens may make up one character; so parts may begin where the one before does.
    fn take(&mut self, span: &Range<usize>) -> &'a str {
        let (letter, byte) = self.place;
        if span.start < letter {
            self.place = (0, 0);
            return self.take(span);
        }
        let start = byte + bytes_of(&self.text[byte..], span.start - letter);
        self.place = (span.start, start);
        let end = start + bytes_of(&self.text[start..], span.len());
        &self.text[start..end]
    }
}

/// Bytes of the first `letters` characters.
fn bytes_of(text: &str, letters: usize) -> usize {
    let mut places = text.char_indices().map(|(byte, _)| byte);
    places.nth(letters).unwrap_or(text.len())
}

/// Tokenise texts, as text-embeddings-inference does.
///
/// The answer has a list of tokens for each text, whatever the encoder's window.
#[utoipa::path(
    post, path = "/tokenize", operation_id = "tokenize", tag = "compatible",
    request_body = TokenizeRequest,
    responses(
        (status = 200, body = Vec<Vec<TokenShape>>), BodyProblems, AnswerProblems, EngineProblems
    )
)]
pub(crate) async fn tokenize(
    State(app): State<App>,
    ApiJson(task): ApiJson<TokenizeRequest>,
) -> Result<Response, ApiError> {
    let models = &app.engine()?.models;
    let encoder = models.encoder_for(task.model.as_deref()).await?;
    let prompt = match task.prompt_name {
        Some(name) => Prompt::Named(name).text(&encoder)?,
        None => String::new(),
    };
    let room = app.room();
    blocking_steps(move |cancel| {
        let lists = TokenLists {
            encoder,
            prompt,
            texts: task.texts,
            with_special_tokens: task.with_special_tokens,
            room: room.another(),
            cancel: cancel.clone(),
            failed: Mutex::new(None),
        };
        let answer = answer::json(room.until(cancel), &lists);
        let failed = lists.failed.into_inner();
        match failed.unwrap_or_else(PoisonError::into_inner) {
            Some(failed) => Err(failed),
            None => answer,
        }
    })
    .await
}

/// Turn token ids into texts, as text-embeddings-inference does.
#[utoipa::path(
    post, path = "/decode", operation_id = "decode", tag = "compatible",
    request_body = DecodeRequest,
    responses((status = 200, body = Vec<String>), BodyProblems, AnswerProblems, EngineProblems)
)]
pub(crate) async fn decode(
    State(app): State<App>,
    ApiJson((model, texts, skip_special_tokens)): ApiJson<DecodeRequest>,
) -> Result<Response, ApiError> {
    let encoder = app.engine()?.models.encoder_for(model.as_deref()).await?;
    let room = app.room();
    blocking_steps(move |cancel| {
        check_token_ids(&encoder, &texts, "/ids")?;
        let mut decoded = Vec::with_capacity(texts.len());
        for text in texts {
            cancel.step()?;
            let ids = match text {
                TextInput::Ids(ids) => ids,
                TextInput::Text(_) => Vec::new(),
            };
            let text = encoder.decode(&ids, skip_special_tokens);
            decoded.push(text.map_err(ApiError::internal)?);
        }
        answer::json(room.until(cancel), &decoded)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_text_are_found_by_their_characters() {
        let mut letters = Letters::of("aé€😀b");
        let taken: Vec<_> = [0..1, 1..3, 3..4, 3..4, 4..5, 5..5, 1..2]
            .iter()
            .map(|span| letters.take(span))
            .collect();
        assert_eq!(taken, ["a", "é€", "😀", "😀", "b", "", "é"]);
    }
}
