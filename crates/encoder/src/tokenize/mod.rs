//! Text to token ids, with an account of what did not fit.

mod lower_case;
mod pieces;
mod text;
mod tokenizer;
mod window;

pub(crate) use tokenizer::{TextTokenizer, TokenizerOptions};

pub use text::{TextInput, TextToken, TokenizedText, Truncation};
