//! Generations of a collection: which there are, and what becomes of them. Each change of a collection's point is one step,
//! made under the condition that nobody else has changed it.

use std::time::Duration;

use siamese_index::{
    CollectionEncoder, CollectionSettings, Error, GenerationState, KeptCollection,
};

use crate::cluster::always_changed;
use crate::ids::Version;
use crate::registered::{Care, Entry, Registered};
use crate::write::now_ms;
use crate::{Cluster, ClusterCollection};

/// Generations that a collection may have, as in a data folder: each write is encoded for all of them.
const MAX_GENERATIONS: usize = 4;
/// Times a change is made again because somebody else was first.
const MAX_TRIES: usize = 20;

/// Every process knows by then what is registered.
const KNOWN_BY_ALL_AFTER: Duration = Duration::from_millis(1500);

/// A generation of a collection.
#[derive(Debug, Clone)]
pub struct ClusterGeneration {
    /// Its number; the first is 1.
    pub number: u32,
    /// What it is for.
    pub state: GenerationState,
    /// What it holds.
    pub collection: ClusterCollection,
}

/// A generation that may lack documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueGeneration {
    /// Of the collection.
    pub name: String,
    /// Its number.
    pub number: u32,
    /// Whether documents are missing that were there when it was made.
    pub lacks_documents: bool,
}

impl Cluster {
    /// The generations of a collection by their numbers, as they were known within the last second.
    ///
    /// # Errors
    /// When there is no such collection.
    pub fn generations(&self, name: &str) -> Result<Vec<ClusterGeneration>, Error> {
        Ok(self.family(name)?.generations())
    }

    /// One generation of a collection, as it was known within the last second.
    ///
    /// # Errors
    /// When there is no such collection or generation.
    pub fn generation(&self, name: &str, number: u32) -> Result<ClusterGeneration, Error> {
        let family = self.family(name)?;
        family.registered.entry(number)?;
        let mut generations = family.generations().into_iter();
        let found = generations.find(|generation| generation.number == number);
        found.ok_or_else(|| Error::GenerationNotFound {
            name: name.to_owned(),
            number,
        })
    }

    /// Refuses documents that come with vectors for one generation where there are several.
    ///
    /// # Errors
    /// [`Error::OtherGenerations`], or when there is no such collection.
    pub fn check_one_generation(&self, name: &str) -> Result<(), Error> {
        match self.family(name)?.registered.others.is_empty() {
            true => Ok(()),
            false => Err(Error::OtherGenerations {
                name: name.to_owned(),
            }),
        }
    }

    /// Makes an empty generation of a collection, or finds one that this encoder has made with these settings, as
    /// [`siamese_index::Index::begin_generation`] does.
    ///
    /// # Errors
    /// As there, or when the cluster fails.
    pub fn begin_generation(
        &self,
        name: &str,
        settings: &CollectionSettings,
        encoder: &CollectionEncoder,
    ) -> Result<ClusterGeneration, Error> {
        settings.check()?;
        let _changing = self.lock_changes();
        for _ in 0..MAX_TRIES {
            self.refresh()?;
            let family = self.family(name)?;
            if let Some(there) = family.made_with(settings, encoder) {
                return Ok(there);
            }
            let before = &family.registered;
            if before.others.len() + 1 >= MAX_GENERATIONS {
                return Err(Error::TooManyGenerations {
                    name: before.name.clone(),
                    max_generations: MAX_GENERATIONS,
                });
            }
            let mut wanted = before.next_revision()?;
            let entry = Entry {
                number: wanted.next,
                state: GenerationState::Filling,
                place: Version::new()?,
                kept: KeptCollection {
                    created_at_ms: now_ms(),
                    settings: *settings,
                    encoder: encoder.clone(),
                },
                care: None,
            };
            wanted.next += 1;
            wanted.others.push(entry.clone());
            self.make_collections(&entry)?;
            if self.exchange_for(before, &wanted)? {
                return self.generation(name, entry.number);
            }
            self.drop_collections(&entry)?;
        }
        Err(always_changed())
    }

    /// Says that a generation holds every document.
    ///
    /// # Errors
    /// When there is no such generation, or the cluster fails.
    pub fn finish_generation(&self, name: &str, number: u32) -> Result<(), Error> {
        self.set_state(name, number, GenerationState::Ready)
    }

    /// Says that a generation is not filled any more until [`Self::resume_generation`]. One that holds every document
    /// stays as it is.
    ///
    /// # Errors
    /// When there is no such generation, or the cluster fails.
    pub fn pause_generation(&self, name: &str, number: u32) -> Result<(), Error> {
        self.set_state(name, number, GenerationState::Paused)
    }

    /// Says that a generation that was paused is filled again. One that holds every document stays as it is.
    ///
    /// # Errors
    /// When there is no such generation, or the cluster fails.
    pub fn resume_generation(&self, name: &str, number: u32) -> Result<(), Error> {
        self.set_state(name, number, GenerationState::Filling)
    }

    fn set_state(&self, name: &str, number: u32, to: GenerationState) -> Result<(), Error> {
        self.exchange(name, |registered| {
            let entry = registered.entry_mut(number)?;
            let changes = entry.state.lacks_documents() && entry.state != to;
            if changes {
                entry.state = to;
            }
            Ok(changes)
        })?;
        Ok(())
    }

    /// Lets reads see a generation, of all processes within a second. The one before is kept and written to.
    ///
    /// # Errors
    /// When there is no such generation, [`Error::GenerationState`] while it lacks documents, or a cluster that fails.
    pub fn activate_generation(&self, name: &str, number: u32) -> Result<(), Error> {
        self.exchange(name, |registered| {
            let state = registered.entry(number)?.state;
            if state == GenerationState::Active {
                return Ok(false);
            }
            if state.lacks_documents() {
                return Err(Error::GenerationState {
                    name: registered.name.clone(),
                    number,
                    reason: "has not been filled yet, and lacks documents",
                });
            }
            let Registered { active, others, .. } = registered;
            let Some(next) = others.iter_mut().find(|entry| entry.number == number) else {
                return Ok(false);
            };
            std::mem::swap(active, next);
            active.state = GenerationState::Active;
            next.state = GenerationState::Retired;
            // These may have changed since the generation was made.
            let changeable = &next.kept.settings;
            active.kept.settings = active.kept.settings.with_changeable(changeable);
            Ok(true)
        })?;
        Ok(())
    }

    /// Deletes a generation that is not active, with everything in it.
    ///
    /// # Errors
    /// When there is none, [`Error::GenerationState`] for the active one, or a cluster that fails.
    pub fn delete_generation(&self, name: &str, number: u32) -> Result<(), Error> {
        let mut gone = None;
        self.exchange(name, |registered| {
            let entry = registered.entry(number)?.clone();
            if entry.state == GenerationState::Active {
                return Err(Error::GenerationState {
                    name: registered.name.clone(),
                    number,
                    reason: "is the active one; activate another first",
                });
            }
            registered.others.retain(|other| other.number != number);
            if registered.lead == number {
                registered.lead = registered.active.number;
            }
            gone = Some(entry);
            Ok(true)
        })?;
        let Some(gone) = gone else {
            return Ok(());
        };
        // Others write and search it until they know.
        std::thread::sleep(KNOWN_BY_ALL_AFTER);
        self.drop_collections(&gone)
    }

    /// The generations that nobody looks after now, and that are to be compared with the one that is written first.
    pub fn due_generations(&self) -> Vec<DueGeneration> {
        let now_ms = now_ms();
        let known = self.known();
        let due = known.collections.values().flat_map(|family| {
            let registered = &family.registered;
            let due = registered.all().filter(move |entry| {
                let is_cared_for = entry.care.is_some_and(|care| care.until_ms > now_ms);
                let follows = entry.number != registered.lead;
                follows && !is_cared_for && entry.state != GenerationState::Paused
            });
            due.map(|entry| DueGeneration {
                name: registered.name.clone(),
                number: entry.number,
                lacks_documents: entry.state.lacks_documents(),
            })
        });
        due.collect()
    }

    /// Lets this process alone look after a generation for a while. Returns whether no other one does.
    ///
    /// # Errors
    /// When there is no such generation, or the cluster fails.
    pub fn take_care(&self, name: &str, number: u32, time: Duration) -> Result<bool, Error> {
        self.care_if(name, number, time, |care| care.until_ms <= now_ms())
    }

    /// Goes on to look after it, for as long from now on. Returns whether no other one has begun to.
    ///
    /// # Errors
    /// As [`Self::take_care`].
    pub fn keep_care(&self, name: &str, number: u32, time: Duration) -> Result<bool, Error> {
        let process = self.process;
        self.care_if(name, number, time, |care| care.process == process)
    }

    fn care_if(
        &self,
        name: &str,
        number: u32,
        time: Duration,
        may: impl Fn(&Care) -> bool,
    ) -> Result<bool, Error> {
        let process = self.process;
        self.exchange(name, |registered| {
            let entry = registered.entry_mut(number)?;
            let is_ours = entry.care.as_ref().is_none_or(&may);
            if is_ours {
                entry.care = Some(Care {
                    process,
                    until_ms: now_ms() + time.as_millis() as u64,
                });
            }
            Ok(is_ours)
        })
    }

    /// Changes what is registered of a collection, and again when somebody else was first. Returns whether `change` did.
    fn exchange(
        &self,
        name: &str,
        mut change: impl FnMut(&mut Registered) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        let _changing = self.lock_changes();
        for _ in 0..MAX_TRIES {
            self.refresh()?;
            let before = &self.family(name)?.registered;
            let mut wanted = before.next_revision()?;
            if !change(&mut wanted)? {
                return Ok(false);
            }
            if self.exchange_for(before, &wanted)? {
                return Ok(true);
            }
        }
        Err(always_changed())
    }
}
