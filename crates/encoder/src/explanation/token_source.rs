//! Where the tokens of an encoded text come from.

use std::ops::Range;

use crate::{Encoder, Error, InputKind, TokenizedText};

/// Where a part of a text's vector comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A token of the text: these bytes of it, without white space around them.
    Text(Range<usize>),
    /// A token of the prompt before the text, as the prompt writes it.
    Prompt(String),
    /// A token that stands around every text, as the vocabulary writes it.
    Special(String),
    /// No token: what Dense modules add, whatever the text.
    Bias,
}

/// A tokenised text, of whose tokens it is known where they come from.
#[derive(Debug, Clone)]
pub struct TracedText {
    /// The tokens; an encoder returns the states of all of them.
    pub tokens: TokenizedText,
    /// For each token that is encoded, where it comes from.
    pub sources: Vec<TokenSource>,
}

impl Encoder {
    /// Tokenises a text as [`Self::tokenize`] does, to be encoded for [`Self::vector_parts`]. Takes time
    /// linear in the text.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn trace(&self, text: &str, kind: InputKind) -> Result<TracedText, Error> {
        let (prompt, tokenizer) = (self.prompt(kind), self.tokenizer(kind));
        let tokens = self.tokenize(text, kind)?.for_token_states();
        let (opening, closing) = tokenizer.framing_ids()?;
        let own = tokens.tokens_kept() - opening.len() - closing.len();
        let spans = tokenizer.spans(&format!("{prompt}{text}"))?;
        let special = |ids: Vec<u32>| {
            let name = |id| TokenSource::Special(tokenizer.token(id).unwrap_or_default());
            ids.into_iter().map(name)
        };
        let own = spans.into_iter().take(own);
        let sources: Vec<_> = special(opening)
            .chain(own.map(|span| source(prompt, text, span)))
            .chain(special(closing))
            .collect();
        if sources.len() != tokens.tokens_kept() {
            return Err(Error::Tokenize("a token stands nowhere in its text".into()));
        }
        Ok(TracedText { tokens, sources })
    }
}

/// The source of the token that stands at `span` of prompt and text together. One that is of both is the
/// text's: tokenizers that give a word the white space before it take the prompt's.
fn source(prompt: &str, text: &str, span: Range<usize>) -> TokenSource {
    if !prompt.is_empty() && span.end <= prompt.len() {
        return TokenSource::Prompt(prompt[span].to_owned());
    }
    let start = span.start.saturating_sub(prompt.len());
    TokenSource::Text(trimmed(text, start..span.end - prompt.len()))
}

/// A span without white space around it; white space alone stays.
fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    let part = &text[span.clone()];
    let word = part.trim();
    if word.is_empty() {
        return span;
    }
    let start = span.start + part.len() - part.trim_start().len();
    start..start + word.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_prompt_and_text_is_the_texts() {
        let of = |span| source("q: ", "é a", span);
        assert_eq!(of(0..2), TokenSource::Prompt("q:".to_owned()));
        assert_eq!(of(2..5), TokenSource::Text(0..2));
        assert_eq!(of(5..7), TokenSource::Text(3..4));
        assert_eq!(of(5..6), TokenSource::Text(2..3));
        assert_eq!(source("", "a", 0..0), TokenSource::Text(0..0));
    }
}
