//! Characters that join words into one: `report.pdf`, `e-mail`, `get_user_name`.

/// What stands between two parts of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connector {
    Hyphen,
    Underscore,
    Apostrophe,
    /// Hebrew acronyms have one before their last letter.
    Quote,
    Dot,
    Comma,
    Colon,
    Slash,
    Ampersand,
    At,
}

/// Connectors from the weakest to the strongest: each stronger one joins what weaker ones have joined.
pub(super) const STRENGTHS: u8 = 4;

impl Connector {
    /// Its kinds look alike or stand on different keyboards.
    pub(super) fn of(char: char) -> Option<Self> {
        Some(match char {
            '-' | '\u{58a}' | '\u{5be}' | '\u{2010}'..='\u{2013}' | '\u{2212}' | '\u{2e17}'
            | '\u{30a0}' | '\u{fe63}' | '\u{ff0d}'
            // Points within words, and the joint of Persian words, part them as hyphens do.
            | '\u{b7}' | '\u{387}' | '\u{2027}' | '\u{200c}' => Self::Hyphen,
            '_' | '\u{203f}' | '\u{2040}' | '\u{fe33}' | '\u{fe34}' | '\u{fe4d}'..='\u{fe4f}'
            | '\u{ff3f}' => Self::Underscore,
            '\'' | '`' | '\u{b4}' | '\u{2b9}' | '\u{2bb}'..='\u{2bd}' | '\u{2c8}' | '\u{55a}'
            | '\u{5f3}' | '\u{7f4}' | '\u{7f5}' | '\u{2018}'..='\u{201b}' | '\u{2032}'
            | '\u{a78b}' | '\u{a78c}' | '\u{ff07}' | '\u{ff40}' => Self::Apostrophe,
            '"' | '\u{5f4}' => Self::Quote,
            '.' | '\u{66b}' | '\u{2024}' | '\u{fe52}' | '\u{ff0e}' => Self::Dot,
            ',' | '\u{66c}' | '\u{fe50}' | '\u{ff0c}' => Self::Comma,
            ':' | '\u{fe13}' | '\u{fe55}' | '\u{ff1a}' => Self::Colon,
            '/' | '\u{2044}' | '\u{ff0f}' => Self::Slash,
            '&' | '\u{fe60}' | '\u{ff06}' => Self::Ampersand,
            '@' | '\u{fe6b}' | '\u{ff20}' => Self::At,
            _ => return None,
        })
    }

    /// How it is written in the word as a whole. People write `email` for `e-mail`, and programs
    /// `getUserName` for `get_user_name`.
    pub(super) fn spelled(self) -> &'static str {
        match self {
            Self::Hyphen | Self::Underscore | Self::Quote => "",
            Self::Apostrophe => "'",
            Self::Dot => ".",
            Self::Comma => ",",
            Self::Colon => ":",
            Self::Slash => "/",
            Self::Ampersand => "&",
            Self::At => "@",
        }
    }

    /// Returns whether it makes these two one word.
    pub(super) fn joins(self, left: &str, right: &str) -> bool {
        let is_digit = |char: char| char.is_ascii_digit();
        match self {
            Self::Comma => left.ends_with(is_digit) && right.starts_with(is_digit),
            Self::Quote => left.ends_with(|char| matches!(char, '\u{5d0}'..='\u{5ea}')),
            _ => true,
        }
    }

    pub(super) fn strength(self) -> u8 {
        match self {
            Self::Hyphen | Self::Underscore | Self::Apostrophe | Self::Quote => 0,
            Self::Dot | Self::Comma => 1,
            Self::Colon | Self::Slash | Self::Ampersand => 2,
            Self::At => 3,
        }
    }
}
