//! Texts, each of them once.

use std::collections::HashMap;

/// The number of a text.
pub type TextId = u32;

/// Texts by number. Equal ones have the same number.
#[derive(Debug, Default)]
pub struct Texts {
    texts: Vec<String>,
    numbers: HashMap<String, TextId>,
}

impl Texts {
    /// The number of a text, which is a new one the first time.
    pub fn number(&mut self, text: &str) -> TextId {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len() as TextId;
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }

    /// The text with a number.
    #[must_use]
    pub fn text(&self, number: TextId) -> &str {
        &self.texts[number as usize]
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}
