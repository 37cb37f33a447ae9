//! What a word is.
//!
//! Unicode's Annex 29 says where words begin and end. It serves every script without a dictionary: text
//! that is written without spaces falls into letters, each a word, and so stays findable. Words that
//! connectors join give their parts and the whole (`compound.rs`), each in one spelling (`spelling.rs`),
//! and in a collection of one language its stem (`language.rs`).

use std::borrow::Cow;
use std::ops::Range;

use icu_normalizer::DecomposingNormalizerBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategoryGroup;
use unicode_segmentation::UnicodeSegmentation;

use super::Language;
use super::compound::{Compound, Joined, Part};
use super::connector::Connector;
use super::spelling::{spelled, without_accents};
use super::visible::Visible;

/// Bytes of a word; what is longer is no word that anybody types, and is left out.
const MAX_WORD_BYTES: usize = 256;
/// Parts of a compound. Nobody types one of more, and what is longer is taken for several.
const MAX_PARTS: usize = 64;
/// Characters of a part of `getUserName` that is found by itself.
const MIN_HUMP_CHARS: usize = 2;

/// How the words of a collection are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WordSettings {
    /// The language whose words are found by their stems; without one, words are found as they are.
    pub language: Option<Language>,
    /// Whether `café` is found by `cafe`.
    pub folds_accents: bool,
}

impl Default for WordSettings {
    fn default() -> Self {
        Self {
            language: None,
            folds_accents: true,
        }
    }
}

/// A word, a part of one, or several that are joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Bytes of the text.
    pub(super) range: Range<usize>,
    pub(super) term: String,
    /// Whether it counts towards the length of the text. What else a word is found by does not.
    pub(super) is_counted: bool,
    /// Whether it is too common to be looked for; asked of counted words only.
    pub(super) is_stop_word: bool,
    /// Terms that count as one word of a query together, this one included: the parts of a compound must
    /// not outweigh its whole.
    pub(super) sharing: usize,
}

/// Calls `each` with every word of a text, roughly from first to last.
pub(super) fn for_each_word(text: &str, settings: WordSettings, each: &mut dyn FnMut(Word)) {
    let visible = Visible::of(text);
    let text = visible.text();
    let mut reader = Reader {
        text,
        visible: &visible,
        settings,
        each,
        compound: Compound::default(),
        connector: None,
    };
    for (start, segment) in text.split_word_bound_indices() {
        reader.segment(start, segment);
    }
    reader.end_compound();
}

/// Puts segments together into compounds.
struct Reader<'a> {
    text: &'a str,
    visible: &'a Visible<'a>,
    settings: WordSettings,
    each: &'a mut dyn FnMut(Word),
    compound: Compound,
    /// What stands behind the last part.
    connector: Option<Connector>,
}

impl Reader<'_> {
    fn segment(&mut self, start: usize, segment: &str) {
        let mut part_start = None;
        for (place, char) in segment.char_indices() {
            let connector = Connector::of(char);
            if connector.is_none() && is_word_char(char) {
                part_start.get_or_insert(start + place);
                continue;
            }
            if let Some(part_start) = part_start.take() {
                self.part(part_start..start + place);
            }
            match connector {
                Some(connector) => self.connect(connector),
                None => self.end_compound(),
            }
        }
        if let Some(part_start) = part_start {
            self.part(part_start..start + segment.len());
        }
    }

    fn part(&mut self, range: Range<usize>) {
        let spelled = spelled(&self.text[range.clone()], self.settings.language);
        if !spelled.contains(char::is_alphanumeric) {
            return self.end_compound();
        }
        let is_joined = match (self.connector, self.compound.parts.last()) {
            (Some(connector), Some(last)) => connector.joins(&last.spelled, &spelled),
            // Words that touch are several, as in text without spaces.
            _ => false,
        };
        if !is_joined || self.compound.parts.len() == MAX_PARTS {
            self.end_compound();
        }
        self.compound.parts.push(Part {
            range,
            spelled,
            connector: self.connector.take(),
        });
    }

    fn connect(&mut self, connector: Connector) {
        let is_repeated = self.connector == Some(connector) && connector == Connector::Underscore;
        if self.connector.is_some() && !is_repeated {
            self.end_compound();
        } else if !self.compound.parts.is_empty() {
            self.connector = Some(connector);
        }
    }

    fn end_compound(&mut self) {
        self.connector = None;
        let mut compound = std::mem::take(&mut self.compound);
        if compound.parts.is_empty() {
            return;
        }
        let mut also = vec![Also::sharing(compound.join_numbers())];
        also.extend(compound.wholes().into_iter().map(Also::whole));
        also.extend(self.marked(&compound).into_iter().map(Also::whole));
        let mut terms = Vec::new();
        let given = compound.given_parts();
        for part in &given {
            terms.push(self.give(part.range.clone(), &part.spelled, true, given.len()));
        }
        for part in &compound.parts {
            also.push(Also::sharing(self.humps(part.range.clone())));
        }
        for Also { joined, sharing } in also {
            for Joined { range, spelled } in joined {
                let term = self.term(&spelled);
                if !terms.contains(&term) {
                    terms.push(self.give(range, &spelled, false, sharing));
                }
            }
        }
    }

    /// Gives a word, and returns its term.
    fn give(
        &mut self,
        range: Range<usize>,
        spelled: &str,
        is_counted: bool,
        sharing: usize,
    ) -> String {
        let term = self.term(spelled);
        if term.len() <= MAX_WORD_BYTES {
            let language = self.settings.language.filter(|_| is_counted);
            (self.each)(Word {
                range: self.visible.original(range),
                term: term.clone(),
                is_counted,
                is_stop_word: language.is_some_and(|language| language.is_stop_word(spelled)),
                sharing,
            });
        }
        term
    }

    fn term(&self, spelled: &str) -> String {
        let stem = match self.settings.language {
            Some(language) if is_stemmed(spelled) => Cow::Owned(language.stem(spelled)),
            _ => Cow::Borrowed(spelled),
        };
        if self.settings.folds_accents {
            without_accents(&stem).into_owned()
        } else {
            stem.into_owned()
        }
    }

    /// The compound with the marks around it: `C++`, `C#`, `.net`, `#tag`, `@name`, `__init__`.
    fn marked(&self, compound: &Compound) -> Vec<Joined> {
        let mut marked = Vec::new();
        let (Some(whole), Some(last)) = (compound.whole(), compound.parts.last()) else {
            return marked;
        };
        let (before, after) = (
            &self.text[..whole.range.start],
            &self.text[whole.range.end..],
        );
        if let Some(mark) = mark_after(after) {
            marked.push(Joined {
                range: last.range.start..last.range.end + mark.len(),
                spelled: format!("{}{mark}", last.spelled),
            });
        }
        let (lead, trail) = (mark_before(before), underscores(after));
        if !lead.is_empty() || trail > 0 {
            marked.push(Joined {
                range: whole.range.start - lead.len()..whole.range.end + trail,
                spelled: format!("{lead}{}{}", whole.spelled, &after[..trail]),
            });
        }
        marked
    }

    /// The words of a part such as `getUserName`.
    fn humps(&self, range: Range<usize>) -> Vec<Joined> {
        let text = &self.text[range.clone()];
        let humps = humps(text).into_iter().map(|hump| Joined {
            spelled: spelled(&text[hump.clone()], self.settings.language),
            range: range.start + hump.start..range.start + hump.end,
        });
        humps.collect()
    }
}

/// Terms that a compound gives beside its parts.
struct Also {
    joined: Vec<Joined>,
    sharing: usize,
}

impl Also {
    /// By which the compound, or some of it, is found as a whole.
    fn whole(joined: Joined) -> Self {
        Self::sharing(vec![joined])
    }

    /// By each of which some of it is found.
    fn sharing(joined: Vec<Joined>) -> Self {
        Self {
            sharing: joined.len(),
            joined,
        }
    }
}

/// What belongs to a word: letters, digits, their marks, and signs that stand for letters.
fn is_word_char(char: char) -> bool {
    if char.is_ascii() {
        return char.is_ascii_alphanumeric();
    }
    char.is_alphanumeric() || is_mark(char) || {
        let decomposing = DecomposingNormalizerBorrowed::new_nfkd();
        let mut parts = decomposing.normalize_iter(std::iter::once(char));
        parts.any(char::is_alphanumeric)
    }
}

fn is_mark(char: char) -> bool {
    GeneralCategoryGroup::Mark.contains(CodePointMapData::new().get(char))
}

/// Numbers and names of several parts have no stem.
fn is_stemmed(spelled: &str) -> bool {
    let has_none = |char: char| char.is_numeric() || (char.is_ascii_punctuation() && char != '\'');
    !spelled.contains(has_none)
}

/// `+`, `++` or `#` behind a word, unless it stands between two.
fn mark_after(after: &str) -> Option<&str> {
    let mark = ["++", "+", "#"]
        .into_iter()
        .find(|mark| after.starts_with(mark))?;
    let next = after[mark.len()..].chars().next();
    let ends = next.is_none_or(|next| next != '+' && next != '#' && !is_word_char(next));
    (ends || mark == "++").then(|| &after[..mark.len()])
}

/// A sign before a word that makes it a name, unless it stands between two; or underscores.
fn mark_before(before: &str) -> &str {
    let rest = before.trim_end_matches('_');
    let rest = if rest.len() < before.len() {
        rest
    } else {
        before.strip_suffix(['#', '@', '$', '.']).unwrap_or(before)
    };
    let last = rest.chars().next_back();
    let begins = last.is_none_or(|last| !is_word_char(last) && Connector::of(last).is_none());
    if begins { &before[rest.len()..] } else { "" }
}

fn underscores(after: &str) -> usize {
    let rest = after.trim_start_matches('_');
    if rest.starts_with(is_word_char) {
        return 0;
    }
    after.len() - rest.len()
}

/// Where the words of `getUserName` or `HTTPServer` stand; nothing where there is one only.
fn humps(text: &str) -> Vec<Range<usize>> {
    // What is longer is no name, and could have very many.
    if text.len() > MAX_WORD_BYTES || !text.contains(char::is_uppercase) {
        return Vec::new();
    }
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let mut starts = vec![0];
    for window in chars.windows(2) {
        let [(place, char), (next_place, next)] = window else {
            continue;
        };
        if char.is_lowercase() && next.is_uppercase() {
            starts.push(*next_place);
        } else if char.is_uppercase() && next.is_lowercase() && starts.last() != Some(place) {
            starts.push(*place);
        }
    }
    starts.push(text.len());
    let humps = starts.windows(2).map(|ends| ends[0]..ends[1]);
    let long = |hump: &Range<usize>| text[hump.clone()].chars().count() >= MIN_HUMP_CHARS;
    let humps: Vec<Range<usize>> = humps.filter(long).collect();
    if humps.len() > 1 { humps } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str, settings: WordSettings) -> Vec<Word> {
        let mut words = Vec::new();
        for_each_word(text, settings, &mut |word| words.push(word));
        words
    }

    fn counted(text: &str) -> Vec<String> {
        let words = words(text, WordSettings::default()).into_iter();
        words
            .filter(|word| word.is_counted)
            .map(|word| word.term)
            .collect()
    }

    /// All that a text is found by, in the order of letters.
    fn terms(text: &str) -> Vec<String> {
        let words = words(text, WordSettings::default()).into_iter();
        let terms: std::collections::BTreeSet<String> = words.map(|word| word.term).collect();
        terms.into_iter().collect()
    }

    #[test]
    fn words_are_in_lower_case_and_without_punctuation() {
        assert_eq!(
            counted("Panic (Straße), NF-κB! … --- 3.14 \n"),
            ["panic", "strasse", "nf", "κb", "3.14"]
        );
        assert!(counted(" … --- \n").is_empty());
    }

    #[test]
    fn a_narrow_space_is_a_space() {
        let words = words("Quoi\u{202f}? 10\u{202f}000", WordSettings::default());
        let terms: Vec<&str> = words.iter().map(|word| word.term.as_str()).collect();
        assert_eq!(terms, ["quoi", "10", "000"]);
        assert_eq!(words[2].range, 14..17);
    }

    #[test]
    fn text_without_spaces_falls_into_letters() {
        assert_eq!(terms("東京都"), ["京", "東", "都"]);
    }

    #[test]
    fn a_compound_is_found_by_its_parts_and_as_a_whole() {
        for (text, expected) in [
            ("report.pdf", ["pdf", "report", "report.pdf"].as_slice()),
            ("e-mail", &["e", "email", "mail"]),
            ("e\u{2011}mail", &["e", "email", "mail"]),
            ("get_user_name", &["get", "getusername", "name", "user"]),
            ("getUserName", &["get", "getusername", "name", "user"]),
            ("HTTPServer", &["http", "httpserver", "server"]),
            (
                "jane@example.org",
                &["example", "example.org", "jane", "jane@example.org", "org"],
            ),
            ("C++", &["c", "c++"]),
            ("C#,", &["c", "c#"]),
            (".NET", &[".net", "net"]),
            ("__init__", &["__init__", "init"]),
            ("AT&T", &["at", "at&t", "t"]),
            ("U.S.A.", &["usa"]),
            ("l’avion", &["avion", "l'avion"]),
            ("John\u{2bc}s", &["john", "john's"]),
            ("v1.2.3", &["1.2", "1.2.3", "v1", "v1.2", "v1.2.3"]),
            ("3,14", &["3,14"]),
            ("1,000,000", &["000", "1,000", "1,000,000", "1000000"]),
            ("555-0123", &["0123", "555", "5550123"]),
            ("colʼlecció", &["col", "col'leccio", "leccio"]),
            ("ｒｅｐｏｒｔ．ｐｄｆ", &["pdf", "report", "report.pdf"]),
            ("iPhone", &["iphone"]),
            ("word... next", &["next", "word"]),
            ("foo--bar", &["bar", "foo"]),
        ] {
            assert_eq!(terms(text), expected, "{text}");
        }
    }

    #[test]
    fn what_a_word_is_also_found_by_does_not_lengthen_a_text() {
        assert_eq!(counted("jane@example.org"), ["jane", "example", "org"]);
        assert_eq!(
            counted("getUserName v1.2.3 it's"),
            ["getusername", "v1.2.3", "it"]
        );
    }

    #[test]
    fn what_nobody_sees_does_not_matter() {
        let text = "pass\u{ad}word co\u{200b}operate x\u{200e}y \u{feff}start end\u{2060}";
        assert_eq!(
            counted(text),
            ["password", "cooperate", "xy", "start", "end"]
        );
        let places = words(text, WordSettings::default());
        assert_eq!(&text[places[0].range.clone()], "pass\u{ad}word");
        assert_eq!(&text[places[4].range.clone()], "end");
    }

    #[test]
    fn a_word_that_is_too_long_is_left_out() {
        let longest = "x".repeat(MAX_WORD_BYTES);
        assert!(counted(&longest).iter().eq([&longest]));
        assert!(counted(&format!("{longest}x")).is_empty());
        assert_eq!(counted(&"a-".repeat(1000)).len(), 1000);
        assert!(terms(&"aB".repeat(100_000)).is_empty());
    }

    #[test]
    fn a_language_brings_words_to_their_stems_and_knows_common_ones() {
        let english = WordSettings {
            language: Some(Language::English),
            folds_accents: true,
        };
        let words = words("The lamps' E-mails, résumés", english);
        let terms: Vec<&str> = words.iter().map(|word| word.term.as_str()).collect();
        assert_eq!(terms, ["the", "lamp", "e", "mail", "email", "resume"]);
        assert!(words[0].is_stop_word && !words[1].is_stop_word);
    }

    #[test]
    fn accents_can_be_kept() {
        let kept = WordSettings {
            folds_accents: false,
            ..WordSettings::default()
        };
        assert_eq!(words("cafe\u{301}", kept)[0].term, "café");
    }

    proptest! {
        #[test]
        fn a_word_never_splits_a_character_and_holds_no_space(
            text in "(\\PC|[-_.@'+#&/:,a-zA-Z0-9\u{ad}\u{200b}\u{301}]){0,60}",
        ) {
            for word in words(&text, WordSettings::default()) {
                prop_assert!(text.get(word.range).is_some_and(|part| !part.is_empty()));
                prop_assert!(!word.term.is_empty() && !word.term.contains(char::is_whitespace));
            }
        }

        #[test]
        fn a_text_in_capitals_has_the_same_words(text in "[a-zäöüßéàñ .,-]{0,60}") {
            prop_assert_eq!(counted(&text), counted(&text.to_uppercase()));
        }
    }
}
