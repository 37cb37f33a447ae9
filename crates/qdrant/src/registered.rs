//! What is registered of a collection: its generations, and which of them is read.

use std::collections::HashMap;

use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{PointStruct, Value};
use siamese_index::{Error, GenerationState, KeptCollection};

use crate::document_point::{from_hex, hex, without_vectors};
use crate::error::unreadable;
use crate::ids::{self, Version};
use crate::payload::{self, Payload};

const NAME: &str = "name";
/// Another one after each change.
pub(crate) const REVISION: &str = "number";
const FAMILY: &str = "family";
const GENERATIONS: &str = "generations";
const NEXT: &str = "next_generation";
const LEAD: &str = "written_first";
/// Of a generation.
const GENERATION: &str = "generation";
const STATE: &str = "state";
const PLACE: &str = "place";
const RECORD: &str = "record";
const CARER: &str = "carer";
const CARED_UNTIL: &str = "cared_until_ms";

/// What is read of it.
pub(crate) const FIELDS: &[&str] = &[NAME, REVISION, FAMILY, GENERATIONS, NEXT, LEAD];

/// A collection as it is registered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Registered {
    pub(crate) name: String,
    pub(crate) revision: Version,
    /// The same for all its generations, and another one when the collection is made anew.
    pub(crate) family: Version,
    /// The generation that is read.
    pub(crate) active: Entry,
    pub(crate) others: Vec<Entry>,
    /// The number of the generation that is written first. It holds every document, and stays the same until it is deleted:
    /// whoever knows late which one is active still writes in the same order as everybody.
    pub(crate) lead: u32,
    /// The number of the next generation; none is used twice.
    pub(crate) next: u32,
}

/// A generation as it is registered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) number: u32,
    pub(crate) state: GenerationState,
    /// Part of the names of its collections of Qdrant's.
    pub(crate) place: Version,
    pub(crate) kept: KeptCollection,
    pub(crate) care: Option<Care>,
}

/// Which process looks whether a generation holds every document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Care {
    pub(crate) process: Version,
    /// No other one looks before, in milliseconds since 1970.
    pub(crate) until_ms: u64,
}

impl Registered {
    /// A new collection.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub(crate) fn new(name: &str, kept: KeptCollection) -> Result<Self, Error> {
        let place = Version::new()?;
        Ok(Self {
            name: name.to_owned(),
            revision: Version::new()?,
            family: place,
            active: Entry {
                number: 1,
                state: GenerationState::Active,
                place,
                kept,
                care: None,
            },
            others: Vec::new(),
            lead: 1,
            next: 2,
        })
    }

    /// The same, to be changed.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub(crate) fn next_revision(&self) -> Result<Self, Error> {
        Ok(Self {
            revision: Version::new()?,
            ..self.clone()
        })
    }

    /// All generations, the active one first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Entry> {
        std::iter::once(&self.active).chain(&self.others)
    }

    /// One generation.
    ///
    /// # Errors
    /// [`Error::GenerationNotFound`]
    pub(crate) fn entry(&self, number: u32) -> Result<&Entry, Error> {
        let found = self.all().find(|entry| entry.number == number);
        found.ok_or_else(|| self.not_found(number))
    }

    /// # Errors
    /// As [`Self::entry`].
    pub(crate) fn entry_mut(&mut self, number: u32) -> Result<&mut Entry, Error> {
        let not_found = self.not_found(number);
        let all = std::iter::once(&mut self.active).chain(&mut self.others);
        let mut found = all.filter(|entry| entry.number == number);
        found.next().ok_or(not_found)
    }

    fn not_found(&self, number: u32) -> Error {
        Error::GenerationNotFound {
            name: self.name.clone(),
            number,
        }
    }

    pub(crate) fn point(&self) -> PointStruct {
        let generations = self.all().map(Entry::write);
        let payload = Payload::from([
            (NAME.to_owned(), payload::text(&self.name)),
            (REVISION.to_owned(), payload::text(self.revision.text())),
            (FAMILY.to_owned(), payload::text(self.family.text())),
            (GENERATIONS.to_owned(), payload::list(generations)),
            (NEXT.to_owned(), payload::integer(self.next.into())),
            (LEAD.to_owned(), payload::integer(self.lead.into())),
        ]);
        without_vectors(ids::of_name(&self.name), payload)
    }

    /// # Errors
    /// A payload that this crate has not written.
    pub(crate) fn read(payload: &Payload) -> Result<Self, Error> {
        let generations = match payload.get(GENERATIONS).and_then(|it| it.kind.as_ref()) {
            Some(Kind::ListValue(list)) => &*list.values,
            _ => return Err(failed()),
        };
        let entries = generations.iter().map(Entry::read);
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        let is_active = |entry: &Entry| entry.state == GenerationState::Active;
        let (active, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_active);
        Ok(Self {
            name: payload::read_text(payload, NAME)?.to_owned(),
            revision: version(payload, REVISION)?,
            family: version(payload, FAMILY)?,
            active: active.into_iter().next().ok_or_else(failed)?,
            others,
            lead: number(payload, LEAD)?,
            next: number(payload, NEXT)?,
        })
    }
}

impl Entry {
    fn write(&self) -> Value {
        let mut fields = HashMap::from([
            (GENERATION.to_owned(), payload::integer(self.number.into())),
            (STATE.to_owned(), payload::text(state_name(self.state))),
            (PLACE.to_owned(), payload::text(self.place.text())),
            (RECORD.to_owned(), payload::text(hex(&self.kept.to_bytes()))),
        ]);
        if let Some(care) = self.care {
            fields.insert(CARER.to_owned(), payload::text(care.process.text()));
            fields.insert(CARED_UNTIL.to_owned(), payload::integer(care.until_ms));
        }
        payload::object(fields)
    }

    fn read(value: &Value) -> Result<Self, Error> {
        let Some(Kind::StructValue(fields)) = &value.kind else {
            return Err(failed());
        };
        let fields = &fields.fields;
        let record = from_hex(payload::read_text(fields, RECORD)?).ok_or_else(failed)?;
        let care = match payload::optional_text(fields, CARER) {
            Some(_) => Some(Care {
                process: version(fields, CARER)?,
                until_ms: payload::read_integer(fields, CARED_UNTIL)?,
            }),
            None => None,
        };
        let state = payload::read_text(fields, STATE)?;
        let state = STATES.iter().find(|(_, name)| *name == state);
        Ok(Self {
            number: number(fields, GENERATION)?,
            state: state.ok_or_else(failed)?.0,
            place: version(fields, PLACE)?,
            kept: KeptCollection::from_bytes(&record).ok_or_else(failed)?,
            care,
        })
    }
}

const STATES: &[(GenerationState, &str)] = &[
    (GenerationState::Filling, "filling"),
    (GenerationState::Paused, "paused"),
    (GenerationState::Ready, "ready"),
    (GenerationState::Active, "active"),
    (GenerationState::Retired, "retired"),
];

fn state_name(state: GenerationState) -> &'static str {
    let found = STATES.iter().find(|(there, _)| *there == state);
    found.map_or("", |(_, name)| name)
}

fn failed() -> Error {
    unreadable("the list of collections")
}

fn version(payload: &Payload, key: &str) -> Result<Version, Error> {
    Version::parse(payload::read_text(payload, key)?).ok_or_else(failed)
}

fn number(payload: &Payload, key: &str) -> Result<u32, Error> {
    u32::try_from(payload::read_integer(payload, key)?).map_err(|_| failed())
}

#[cfg(test)]
mod tests {
    use siamese_index::{CollectionEncoder, CollectionSettings, EncoderIdentity};

    use super::*;

    #[test]
    fn what_is_registered_is_read_as_it_was_written() {
        let encoder = CollectionEncoder::default_of(&EncoderIdentity {
            id: "e".to_owned(),
            name: "n".to_owned(),
            dimensions: 2,
        });
        let kept = KeptCollection {
            created_at_ms: 7,
            settings: CollectionSettings::default(),
            encoder,
        };
        let mut registered = Registered::new("things", kept).unwrap();
        for (state, _) in STATES
            .iter()
            .filter(|(it, _)| *it != GenerationState::Active)
        {
            let number = registered.next;
            registered.next += 1;
            registered.others.push(Entry {
                number,
                state: *state,
                place: Version::new().unwrap(),
                care: Some(Care {
                    process: Version::new().unwrap(),
                    until_ms: u64::from(number),
                }),
                ..registered.active.clone()
            });
        }
        let read = Registered::read(&registered.point().payload).unwrap();
        assert_eq!(read, registered);
        assert!(Registered::read(&Payload::new()).is_err());
    }
}
