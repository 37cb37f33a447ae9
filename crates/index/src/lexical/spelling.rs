//! One spelling for what is spelt in several ways.

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, Script};

use super::Language;

/// Stretches an Arabic word and means nothing.
const TATWEEL: char = '\u{640}';
/// On an alef these make it a letter of its own, which many writers leave out.
const ALEF_MARKS: std::ops::RangeInclusive<char> = '\u{653}'..='\u{655}';

/// A word in Unicode's form NFKC and folded case, without Arabic and Hebrew vowel signs, with the digits
/// of all scripts as those of ASCII.
pub(super) fn spelled(word: &str, language: Option<Language>) -> String {
    let is_turkic = language == Some(Language::Turkish);
    if word.is_ascii() && !(is_turkic && word.contains('I')) {
        return word.to_ascii_lowercase();
    }
    let composing = ComposingNormalizerBorrowed::new_nfkc();
    let composed = composing.normalize(word);
    let folded = if is_turkic {
        CaseMapper::new().fold_turkic_string(&composed)
    } else {
        CaseMapper::new().fold_string(&composed)
    };
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(&folded);
    let kept = decomposed.chars().filter(|char| !is_left_out(*char));
    let kept: String = kept.map(common_form).collect();
    composing.normalize(&kept).into_owned()
}

/// A spelt word without accents: those of Latin and Greek letters, those of Cyrillic ones that only
/// say how to read a word, and the Arabic letters that stand for each other in everyday writing.
pub(super) fn without_accents(word: &str) -> Cow<'_, str> {
    if word.is_ascii() {
        return Cow::Borrowed(word);
    }
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(word);
    let (mut plain, mut base) = (String::with_capacity(word.len()), None);
    for char in decomposed.chars() {
        let is_mark =
            CodePointMapData::<GeneralCategory>::new().get(char) == GeneralCategory::NonspacingMark;
        if is_mark && base.is_some_and(|base| is_accent(base, char)) {
            continue;
        }
        if !is_mark {
            base = Some(char);
        }
        match plain_letters(char) {
            Some(letters) => plain.push_str(letters),
            None => plain.push(char),
        }
    }
    let composed = ComposingNormalizerBorrowed::new_nfkc().normalize(&plain);
    Cow::Owned(composed.into_owned())
}

/// What no reader misses. White space comes out of compatibility forms, and no word has any.
fn is_left_out(char: char) -> bool {
    char == TATWEEL || is_vowel_sign(char) || char.is_whitespace()
}

/// Points and marks of reciting, which Hebrew, Arabic and Syriac are mostly written without.
fn is_vowel_sign(char: char) -> bool {
    let is_pointed = matches!(char,
        '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{652}' | '\u{656}'..='\u{65f}'
        | '\u{670}' | '\u{6d6}'..='\u{6ed}' | '\u{730}'..='\u{74a}' | '\u{8d3}'..='\u{8ff}');
    is_pointed
        && CodePointMapData::<GeneralCategory>::new().get(char) == GeneralCategory::NonspacingMark
}

/// The same letter from another keyboard, and digits by their value.
fn common_form(char: char) -> char {
    match char {
        // Persian kaf and yeh are those of Arabic in other shapes.
        '\u{6a9}' => '\u{643}',
        '\u{6cc}' => '\u{64a}',
        _ if char.is_ascii() || !char.is_numeric() => char,
        _ => decimal_digit(char).unwrap_or(char),
    }
}

/// Decimal digits stand in runs of ten, beginning with zero.
fn decimal_digit(char: char) -> Option<char> {
    let is_digit = |char| {
        CodePointMapData::<GeneralCategory>::new().get(char) == GeneralCategory::DecimalNumber
    };
    if !is_digit(char) {
        return None;
    }
    let before = (1..10_u32).map_while(|step| char::from_u32(char as u32 - step));
    let value = before.take_while(|char| is_digit(*char)).count();
    char::from_digit(value as u32, 10)
}

fn is_accent(base: char, mark: char) -> bool {
    match CodePointMapData::<Script>::new().get(base) {
        Script::Latin | Script::Greek => true,
        // A short i is a letter, and so are many others; stress and the dots of yo are not written by all.
        Script::Cyrillic => match mark {
            '\u{300}' | '\u{301}' => "аеиоуыэюяєіѵ".contains(base),
            '\u{308}' => base == 'е',
            _ => false,
        },
        Script::Arabic => base == '\u{627}' && ALEF_MARKS.contains(&mark),
        _ => false,
    }
}

/// Letters that are not made of a plain one and a mark, and that people without them write so.
fn plain_letters(char: char) -> Option<&'static str> {
    Some(match char {
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ħ' => "h",
        'ı' => "i",
        'ł' => "l",
        'ŧ' => "t",
        'þ' => "th",
        // Alef wasla, alef maksura, and the feminine ending.
        '\u{671}' => "\u{627}",
        '\u{649}' => "\u{64a}",
        '\u{629}' => "\u{647}",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn alike(words: &[&str]) {
        let spelled = |word: &str| spelled(word, None);
        for word in words {
            assert_eq!(spelled(word), spelled(words[0]), "{word}");
        }
    }

    #[track_caller]
    fn alike_without_accents(words: &[&str]) {
        let plain = |word: &str| without_accents(&spelled(word, None)).into_owned();
        for word in words {
            assert_eq!(plain(word), plain(words[0]), "{word}");
        }
    }

    #[test]
    fn spellings_of_one_word_are_alike() {
        for words in [
            ["Café", "cafe\u{301}", "CAFÉ"].as_slice(),
            &["STRASSE", "Straße", "STRAẞE", "straſſe"],
            &["ΟΔΟΣ", "οδος", "οδοσ"],
            &["ﬁlm", "film", "ｆｉｌｍ", "𝐟𝐢𝐥𝐦"],
            &["ガス", "ｶﾞｽ"],
            &["한글", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}"],
            &["كِتَابٌ", "كتاب", "كتـــاب", "ﻛﺘﺎﺏ", "کتاب"],
            &["שָׁלוֹם", "שלום"],
            &["١٢٣", "۱۲۳", "१२३", "123", "１２３", "𝟏𝟐𝟑"],
            &["②", "2", "²"],
            &["㎏", "kg"],
        ] {
            alike(words);
        }
    }

    #[test]
    fn what_makes_another_word_stays() {
        for (left, right) in [
            ("é", "e"),
            ("が", "か"),
            ("й", "и"),
            ("कि", "क"),
            ("ы", "и"),
        ] {
            assert_ne!(spelled(left, None), spelled(right, None));
        }
        for (left, right) in [
            ("が", "か"),
            ("й", "и"),
            ("कि", "क"),
            ("ї", "і"),
            ("กี่", "กิ"),
        ] {
            let plain = |word| without_accents(&spelled(word, None)).into_owned();
            assert_ne!(plain(left), plain(right));
        }
    }

    #[test]
    fn accents_are_left_out_where_people_leave_them_out() {
        for words in [
            ["Ångström", "angstrom", "A\u{30a}ngstro\u{308}m"].as_slice(),
            &["Nguyễn", "nguyen"],
            &["Łódź", "lodz"],
            &["Αθήνα", "ΑΘΗΝΑ"],
            &["ёлка", "елка"],
            &["за\u{301}мок", "замок"],
            &["أحمد", "احمد", "إحمد"],
            &["œuvre", "oeuvre"],
            &["smørrebrød", "smorrebrod"],
            &["İstanbul", "istanbul"],
        ] {
            alike_without_accents(words);
        }
    }

    #[test]
    fn turkish_has_two_letters_i() {
        let turkish = |word| spelled(word, Some(Language::Turkish));
        assert_eq!(turkish("ISPARTA"), "ısparta");
        assert_eq!(turkish("İZMİR"), "izmir");
    }
}
