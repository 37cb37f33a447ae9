//! Words that connectors join, on their way into terms.
//!
//! Of `jane.doe@example.org` come the parts (`jane`, `doe`, `example`, `org`), what connectors of each strength join
//! (`jane.doe`, `example.org`), and the whole. So each part is found, and what has the whole ranks first.

use std::ops::Range;

use super::connector::{Connector, STRENGTHS};

/// Digits of a number between two commas.
const GROUPED_DIGITS: usize = 3;
/// Parts of a version, an address or a date that are more than a row of numbers.
const MAX_NUMBER_PARTS: usize = 8;

/// One part, without connectors.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) range: Range<usize>,
    /// In its common spelling.
    pub(super) spelled: String,
    /// What stands before it; nothing before the first.
    pub(super) connector: Option<Connector>,
}

/// A term that a compound gives beside its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) range: Range<usize>,
    pub(super) spelled: String,
}

/// Parts that stand together.
#[derive(Debug, Default)]
pub(super) struct Compound {
    pub(super) parts: Vec<Part>,
}

impl Compound {
    /// Joins the parts of `U.S.A` and of numbers such as `3.14`, and gives what else numbers are found by.
    pub(super) fn join_numbers(&mut self) -> Vec<Joined> {
        if let Some(acronym) = self.acronym() {
            self.parts = vec![acronym];
            return Vec::new();
        }
        let (mut parts, mut also) = (Vec::new(), Vec::new());
        let mut rest = std::mem::take(&mut self.parts).into_iter().peekable();
        while let Some(first) = rest.next() {
            let mut number = vec![first];
            while let Some(last) = number.last()
                && let Some(next) = rest.next_if(|next| continues_number(last, next))
            {
                number.push(next);
            }
            if number.len() == 1 || number.len() > MAX_NUMBER_PARTS {
                parts.append(&mut number);
                continue;
            }
            also_found_by(&number, &mut also);
            parts.push(joined_part(&number));
        }
        self.parts = parts;
        also
    }

    /// What connectors of each strength join, the whole at last.
    pub(super) fn wholes(&self) -> Vec<Joined> {
        let mut wholes = Vec::new();
        for strength in 0..STRENGTHS {
            let strength_of = |part: &Part| part.connector.map(Connector::strength);
            let is_joined = |_: &Part, next: &Part| strength_of(next) <= Some(strength);
            for parts in self.parts.chunk_by(is_joined) {
                // Otherwise a weaker connector has joined as much.
                let is_joined_here = |part: &Part| strength_of(part) == Some(strength);
                if parts[1..].iter().any(is_joined_here) {
                    wholes.push(joined(parts));
                }
            }
        }
        wholes
    }

    /// All of it.
    pub(super) fn whole(&self) -> Option<Joined> {
        (!self.parts.is_empty()).then(|| joined(&self.parts))
    }

    /// The parts by which it is found; of `l'avion` only the second one.
    pub(super) fn given_parts(&self) -> Vec<&Part> {
        let is_alone = self.parts.len() == 1;
        let parts = self.parts.iter().enumerate();
        parts
            .filter(|(place, _)| is_alone || !self.is_elided(*place))
            .map(|(_, part)| part)
            .collect()
    }

    /// Returns whether the part at `place` is the letter before or after an apostrophe, as in `l'avion`, `it's`.
    fn is_elided(&self, place: usize) -> bool {
        let part = &self.parts[place];
        let next = self.parts.get(place + 1);
        let around = [part.connector, next.and_then(|next| next.connector)];
        around.contains(&Some(Connector::Apostrophe)) && has_one_char(&part.spelled)
    }

    fn acronym(&self) -> Option<Part> {
        let (first, rest) = self
            .parts
            .split_first()
            .filter(|(_, rest)| !rest.is_empty())?;
        let is_letter =
            |part: &Part| has_one_char(&part.spelled) && part.spelled.contains(char::is_alphabetic);
        let is_dotted = |part: &Part| part.connector == Some(Connector::Dot) && is_letter(part);
        (is_letter(first) && rest.iter().all(is_dotted)).then(|| Part {
            spelled: self
                .parts
                .iter()
                .map(|part| part.spelled.as_str())
                .collect(),
            ..joined_part(&self.parts)
        })
    }
}

/// Parts with the connectors between them.
fn joined(parts: &[Part]) -> Joined {
    let mut spelled = String::new();
    for (place, part) in parts.iter().enumerate() {
        let connector = part.connector.filter(|_| place > 0);
        spelled.push_str(connector.map_or("", Connector::spelled));
        spelled.push_str(&part.spelled);
    }
    let end = parts.last().map_or(0, |last| last.range.end);
    Joined {
        range: parts[0].range.start..end,
        spelled,
    }
}

fn joined_part(parts: &[Part]) -> Part {
    let Joined { range, spelled } = joined(parts);
    Part {
        range,
        spelled,
        connector: parts[0].connector,
    }
}

fn continues_number(last: &Part, next: &Part) -> bool {
    let ends = last.spelled.ends_with(|char: char| char.is_ascii_digit());
    let begins = next.spelled.starts_with(|char: char| char.is_ascii_digit());
    let connector = matches!(next.connector, Some(Connector::Dot | Connector::Comma));
    ends && begins && connector
}

/// `v1.2.3` is found by `1.2.3`, `v1.2`, `1.2` and `v1`; `1,000` by `1000`; `01.05.2024` by `2024`.
fn also_found_by(number: &[Part], also: &mut Vec<Joined>) {
    let whole = joined(number);
    let letters = number[0].spelled.find(|char: char| char.is_ascii_digit());
    let letters = letters.unwrap_or_default();
    if letters > 0 {
        also.push(number_from(&whole, letters));
        also.push(joined(&number[..1]));
    }
    for end in 2..number.len() {
        let beginning = joined(&number[..end]);
        if letters > 0 {
            also.push(number_from(&beginning, letters));
        }
        also.push(beginning);
    }
    if number.len() > 2 {
        let several_digits = |part: &&Part| part.spelled.len() > 1;
        let single = number[usize::from(letters > 0)..]
            .iter()
            .filter(several_digits);
        also.extend(single.map(|part| joined(std::slice::from_ref(part))));
    }
    let is_group = |part: &Part| part.spelled.len() == GROUPED_DIGITS;
    let is_grouped = letters == 0 && number[1..].iter().all(is_group);
    if is_grouped && (number.len() > 2 || number[1].connector == Some(Connector::Comma)) {
        also.push(Joined {
            range: whole.range,
            spelled: number.iter().map(|part| part.spelled.as_str()).collect(),
        });
    }
}

/// A number without the letters before it.
fn number_from(joined: &Joined, letters: usize) -> Joined {
    Joined {
        range: joined.range.clone(),
        spelled: joined.spelled[letters..].to_owned(),
    }
}

fn has_one_char(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some() && chars.next().is_none()
}
