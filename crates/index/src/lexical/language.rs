//! The languages whose words are brought to their stems, and whose commonest words say nothing.

use std::sync::OnceLock;

use frostem::{Algorithm, Stemmer};
use tantivy::tokenizer::{
    Language as ListLanguage, RawTokenizer, StopWordFilter, TokenFilter, TokenStream, Tokenizer,
};

/// The language of a collection's texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// `ar`
    Arabic,
    /// `da`
    Danish,
    /// `de`
    German,
    /// `el`
    Greek,
    /// `en`
    English,
    /// `es`
    Spanish,
    /// `fi`
    Finnish,
    /// `fr`
    French,
    /// `hu`
    Hungarian,
    /// `it`
    Italian,
    /// `nl`
    Dutch,
    /// `no`
    Norwegian,
    /// `pt`
    Portuguese,
    /// `ro`
    Romanian,
    /// `ru`
    Russian,
    /// `sv`
    Swedish,
    /// `ta`
    Tamil,
    /// `tr`
    Turkish,
}

impl Language {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 18] = [
        Self::Arabic,
        Self::Danish,
        Self::German,
        Self::Greek,
        Self::English,
        Self::Spanish,
        Self::Finnish,
        Self::French,
        Self::Hungarian,
        Self::Italian,
        Self::Dutch,
        Self::Norwegian,
        Self::Portuguese,
        Self::Romanian,
        Self::Russian,
        Self::Swedish,
        Self::Tamil,
        Self::Turkish,
    ];

    /// Its code in ISO 639-1, by which it is stored.
    pub fn code(self) -> &'static str {
        match self {
            Self::Arabic => "ar",
            Self::Danish => "da",
            Self::German => "de",
            Self::Greek => "el",
            Self::English => "en",
            Self::Spanish => "es",
            Self::Finnish => "fi",
            Self::French => "fr",
            Self::Hungarian => "hu",
            Self::Italian => "it",
            Self::Dutch => "nl",
            Self::Norwegian => "no",
            Self::Portuguese => "pt",
            Self::Romanian => "ro",
            Self::Russian => "ru",
            Self::Swedish => "sv",
            Self::Tamil => "ta",
            Self::Turkish => "tr",
        }
    }

    /// The language with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|language| language.code() == code)
    }

    /// Brings a word to its stem.
    pub(super) fn stem(self, word: &str) -> String {
        Stemmer::new(self.stemmer()).stem(word).into_owned()
    }

    /// Returns whether a word is too common to tell texts apart. Of some languages no list is known.
    pub(super) fn is_stop_word(self, word: &str) -> bool {
        static FILTERS: [OnceLock<Option<StopWordFilter>>; Language::ALL.len()] =
            [const { OnceLock::new() }; Language::ALL.len()];
        let filter = FILTERS[self as usize].get_or_init(|| StopWordFilter::new(self.list()));
        // tantivy does not show its lists; what its filter lets pass is not in them.
        filter.clone().is_some_and(|filter| {
            let mut tokenizer = filter.transform(RawTokenizer::default());
            !tokenizer.token_stream(word).advance()
        })
    }

    fn stemmer(self) -> Algorithm {
        match self {
            Self::Arabic => Algorithm::Arabic,
            Self::Danish => Algorithm::Danish,
            Self::German => Algorithm::German,
            Self::Greek => Algorithm::Greek,
            Self::English => Algorithm::English,
            Self::Spanish => Algorithm::Spanish,
            Self::Finnish => Algorithm::Finnish,
            Self::French => Algorithm::French,
            Self::Hungarian => Algorithm::Hungarian,
            Self::Italian => Algorithm::Italian,
            Self::Dutch => Algorithm::Dutch,
            Self::Norwegian => Algorithm::Norwegian,
            Self::Portuguese => Algorithm::Portuguese,
            Self::Romanian => Algorithm::Romanian,
            Self::Russian => Algorithm::Russian,
            Self::Swedish => Algorithm::Swedish,
            Self::Tamil => Algorithm::Tamil,
            Self::Turkish => Algorithm::Turkish,
        }
    }

    fn list(self) -> ListLanguage {
        match self {
            Self::Arabic => ListLanguage::Arabic,
            Self::Danish => ListLanguage::Danish,
            Self::German => ListLanguage::German,
            Self::Greek => ListLanguage::Greek,
            Self::English => ListLanguage::English,
            Self::Spanish => ListLanguage::Spanish,
            Self::Finnish => ListLanguage::Finnish,
            Self::French => ListLanguage::French,
            Self::Hungarian => ListLanguage::Hungarian,
            Self::Italian => ListLanguage::Italian,
            Self::Dutch => ListLanguage::Dutch,
            Self::Norwegian => ListLanguage::Norwegian,
            Self::Portuguese => ListLanguage::Portuguese,
            Self::Romanian => ListLanguage::Romanian,
            Self::Russian => ListLanguage::Russian,
            Self::Swedish => ListLanguage::Swedish,
            Self::Tamil => ListLanguage::Tamil,
            Self::Turkish => ListLanguage::Turkish,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_a_code_and_a_place() {
        for (place, language) in Language::ALL.into_iter().enumerate() {
            assert_eq!(Language::from_code(language.code()), Some(language));
            assert_eq!(language as usize, place);
        }
        assert_eq!(Language::from_code("xx"), None);
    }

    #[test]
    fn words_are_stemmed_and_common_ones_known() {
        assert_eq!(Language::English.stem("lamps"), "lamp");
        assert_eq!(Language::German.stem("häuser"), "haus");
        assert!(Language::English.is_stop_word("the"));
        assert!(!Language::English.is_stop_word("lamp"));
        assert!(Language::German.is_stop_word("und"));
        assert!(!Language::Tamil.is_stop_word("the"));
    }
}
