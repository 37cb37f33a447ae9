//! What of a document's metadata conditions can be about, as Qdrant can compare it.
//!
//! Qdrant's own conditions do not mean what ours do: they tell 1 from 1.0, null from nothing otherwise, and round large
//! integers. So a point does not carry its metadata to be filtered by but three lists for each path: the values as texts
//! that are equal when the values are, its numbers, and the moments that its texts name. Each condition is then one on
//! these lists that is true of the same documents.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;

use qdrant_client::qdrant::Value;
use sha2::{Digest, Sha256};
use siamese_index::{Metadata, MetadataValue, Number, Scalar, Timestamp, metadata_values};

use crate::payload::{self, Payload};

/// The lists of values that are equal.
const VALUES: &str = "v";
/// The lists of numbers.
const NUMBERS: &str = "n";
/// The lists of moments.
const MOMENTS: &str = "t";
/// The value that says that there is something at a path.
pub(crate) const EXISTS: &str = "e";
/// Begins the value of an element of an array, beside the value that it has like a bare one.
const ELEMENT: char = 'a';
/// Texts longer than this are compared by their SHA-256.
const MAX_TEXT_BYTES: usize = 512;
/// Up to this, every integer is an f64.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Which of the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TermList {
    Values,
    Numbers,
    Moments,
}

impl TermList {
    const ALL: [Self; 3] = [Self::Values, Self::Numbers, Self::Moments];

    fn key(self) -> &'static str {
        match self {
            Self::Values => VALUES,
            Self::Numbers => NUMBERS,
            Self::Moments => MOMENTS,
        }
    }

    /// Where in a payload the list of a path is.
    pub(crate) fn field(self, path: &str) -> String {
        format!("{}.{}", self.key(), path_key(path))
    }
}

#[derive(Debug, Default)]
struct Lists {
    values: BTreeSet<String>,
    numbers: Vec<f64>,
    moments: Vec<f64>,
}

/// Adds the lists of all paths to a payload.
pub(crate) fn add_to(payload: &mut Payload, metadata: &Metadata) {
    let mut paths: BTreeMap<String, Lists> = BTreeMap::new();
    for (path, value) in metadata_values(metadata) {
        paths.entry(path).or_default().add(&value);
    }
    for list in TermList::ALL {
        let fields: HashMap<String, Value> = paths
            .iter()
            .filter_map(|(path, lists)| Some((path_key(path), lists.value(list)?)))
            .collect();
        if !fields.is_empty() {
            payload.insert(list.key().to_owned(), payload::object(fields));
        }
    }
}

impl Lists {
    fn add(&mut self, value: &MetadataValue) {
        let scalar = match value {
            MetadataValue::Field => {
                self.values.insert(EXISTS.to_owned());
                return;
            }
            MetadataValue::Bare(scalar) => scalar,
            MetadataValue::Element(scalar) => {
                self.values.insert(element(scalar));
                scalar
            }
        };
        self.values.insert(equal(scalar));
        match scalar {
            Scalar::Number(number) => self.numbers.push(number.as_f64()),
            Scalar::Text(text) => {
                let moment = Timestamp::parse(text).ok();
                self.moments.extend(moment.map(on_the_line));
            }
            Scalar::Null | Scalar::Bool(_) => {}
        }
    }

    fn value(&self, list: TermList) -> Option<Value> {
        let numbers = |numbers: &[f64]| {
            let numbers = numbers.iter().copied().map(payload::number);
            (numbers.len() > 0).then(|| payload::list(numbers))
        };
        match list {
            TermList::Values => Some(payload::list(self.values.iter().map(payload::text))),
            TermList::Numbers => numbers(&self.numbers),
            TermList::Moments => numbers(&self.moments),
        }
    }
}

/// A text that is the same for equal values and for no others.
pub(crate) fn equal(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Null => "z".to_owned(),
        Scalar::Bool(value) => format!("b{}", u8::from(*value)),
        Scalar::Number(number) => match number.as_integer() {
            Some(integer) => format!("n{integer}"),
            None => format!("f{:016x}", number.as_f64().to_bits()),
        },
        Scalar::Text(text) if text.len() <= MAX_TEXT_BYTES => format!("s{text}"),
        Scalar::Text(text) => {
            let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
            hash.iter().fold("h".to_owned(), |mut hex, byte| {
                let _to_a_string = write!(hex, "{byte:02x}");
                hex
            })
        }
    }
}

/// What a text of the list of values stands for.
pub(crate) enum Term {
    /// A value.
    Value(Scalar),
    /// A text of which only the SHA-256 is known.
    LongText,
    /// An element, whose value is there as well, or that there is something.
    Other,
}

impl Term {
    pub(crate) fn read(text: &str) -> Self {
        let value = |value: Option<Scalar>| value.map_or(Self::Other, Self::Value);
        let Some((kind, rest)) = text.split_at_checked(1) else {
            return Self::Other;
        };
        match kind {
            "z" => Self::Value(Scalar::Null),
            "b" => Self::Value(Scalar::Bool(rest == "1")),
            "s" => Self::Value(Scalar::text(rest)),
            "n" => value(integer(rest).map(Scalar::Number)),
            "f" => {
                let bits = u64::from_str_radix(rest, 16).ok();
                value(bits.map(|bits| Scalar::Number(Number::from(f64::from_bits(bits)))))
            }
            "h" => Self::LongText,
            _ => Self::Other,
        }
    }
}

fn integer(text: &str) -> Option<Number> {
    let signed = text.parse::<i64>().map(Number::from);
    let unsigned = signed.or_else(|_| text.parse::<u64>().map(Number::from));
    // What is larger was an f64.
    unsigned
        .ok()
        .or_else(|| text.parse::<f64>().ok().map(Number::from))
}

/// The same for an element of an array.
pub(crate) fn element(scalar: &Scalar) -> String {
    format!("{ELEMENT}{}", equal(scalar))
}

/// A number with which comparing the stored ones is exact; nothing where it would not be.
///
/// What is stored is the nearest f64 of a number. Rounding to the nearest never changes the order of a number and one
/// that is not rounded itself, as long as nothing else is rounded to it.
pub(crate) fn comparable(number: &Number) -> Option<f64> {
    let nearest = number.as_f64();
    (nearest.abs() < MAX_EXACT).then_some(nearest)
}

/// A moment with which comparing the stored ones is exact; nothing where it would not be.
pub(crate) fn comparable_moment(moment: Timestamp) -> Option<f64> {
    (moment.nanoseconds() == 0).then(|| on_the_line(moment))
}

/// Seconds since 1970, and a half for whatever lies between two seconds: f64 has no room for more, and so moments are in
/// their order beside every whole second.
fn on_the_line(moment: Timestamp) -> f64 {
    let between = if moment.nanoseconds() > 0 { 0.5 } else { 0.0 };
    moment.seconds() as f64 + between
}

/// A path as a key without anything that means something in a path of Qdrant's.
fn path_key(path: &str) -> String {
    let mut key = "k".to_owned();
    for byte in path.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => key.push(byte.into()),
            _ => {
                let _to_a_string = write!(key, "_{byte:02X}");
            }
        }
    }
    key
}
