//! Aliases: other names of collections, which are pointed to others in one step.
//!
//! A name is a collection's or an alias's, never both. What an alias stands for is looked up where a collection is
//! looked up by its name; a collection is made and deleted by its own name only.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::collections::Collections;
use crate::store::{AliasRecord, Key, KeyRange, Store, WriteBatch};
use crate::{Error, Index, check_collection_name};

/// Another name of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// Its name.
    pub name: String,
    /// The name of the collection that it stands for.
    pub collection: String,
}

/// Why an alias is not made, or what is to be done with a collection is not done because of one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AliasError {
    /// No alias has this name.
    #[error("no alias is called {name:?}")]
    NotFound {
        /// The name asked for.
        name: String,
    },
    /// A name is that of a collection, and cannot be an alias as well.
    #[error("{name:?} is the name of a collection, so it cannot be an alias")]
    IsCollection {
        /// The name.
        name: String,
    },
    /// What is to be done with a collection is not done by an alias of it.
    #[error("{name:?} is an alias of the collection {collection:?}, not a collection; {advice}")]
    IsAlias {
        /// The alias.
        name: String,
        /// What it stands for.
        collection: String,
        /// What to do instead.
        advice: &'static str,
    },
    /// A collection is not deleted while aliases stand for it.
    #[error(
        "the alias {alias:?} stands for the collection {name:?}; point it to another collection or delete it first"
    )]
    StandsFor {
        /// The collection.
        name: String,
        /// One of its aliases.
        alias: String,
    },
    /// There is no room for another alias.
    #[error("there are limits.max_aliases = {max_aliases} aliases already")]
    TooMany {
        /// The limit.
        max_aliases: usize,
    },
}

/// The aliases of an index, by their names.
#[derive(Debug)]
pub(crate) struct Aliases {
    targets: RwLock<BTreeMap<String, String>>,
    max: usize,
}

impl Aliases {
    /// Reads those that are stored.
    pub(crate) fn open(store: &Store, max: usize) -> Result<Self, Error> {
        let mut targets = BTreeMap::new();
        for entry in store.scan(&KeyRange::aliases()) {
            let (key, value) = entry?;
            let read = key.alias_name().zip(AliasRecord::from_bytes(&value));
            let (name, record) = read.ok_or_else(|| store.corrupt("an alias cannot be read"))?;
            targets.insert(name.to_owned(), record.collection);
        }
        Ok(Self {
            targets: RwLock::new(targets),
            max,
        })
    }

    /// The collection that an alias stands for.
    pub(crate) fn target(&self, name: &str) -> Option<String> {
        self.read().get(name).cloned()
    }

    /// An alias of a collection.
    pub(crate) fn of(&self, collection: &str) -> Option<String> {
        let targets = self.read();
        let mut found = targets.iter().filter(|(_, target)| *target == collection);
        found.next().map(|(name, _)| name.clone())
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, String>> {
        self.targets.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) {
        let targets = self.targets.write();
        change(&mut targets.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Collections {
    /// The name of the collection that a name stands for.
    pub(crate) fn resolve(&self, name: &str) -> String {
        let target = self.aliases.target(name);
        target.unwrap_or_else(|| name.to_owned())
    }

    /// Refuses the name of an alias where a collection is made or deleted.
    pub(crate) fn check_no_alias(&self, name: &str, advice: &'static str) -> Result<(), Error> {
        match self.aliases.target(name) {
            None => Ok(()),
            Some(collection) => Err(Error::Alias(AliasError::IsAlias {
                name: name.to_owned(),
                collection,
                advice,
            })),
        }
    }

    fn put_alias(&self, name: &str, collection: &str) -> Result<bool, Error> {
        check_collection_name(name)?;
        self.loader.store.check_writable()?;
        let _changing = self.lock_changes();
        if self.read().contains_key(name) {
            return Err(Error::Alias(AliasError::IsCollection {
                name: name.to_owned(),
            }));
        }
        self.check_no_alias(collection, "an alias stands for a collection itself")?;
        if !self.read().contains_key(collection) {
            return Err(Error::CollectionNotFound {
                name: collection.to_owned(),
            });
        }
        let before = self.aliases.target(name);
        if before.as_deref() == Some(collection) {
            return Ok(false);
        }
        let max_aliases = self.aliases.max;
        if before.is_none() && self.aliases.read().len() >= max_aliases {
            return Err(Error::Alias(AliasError::TooMany { max_aliases }));
        }
        let record = AliasRecord {
            collection: collection.to_owned(),
        };
        let mut batch = WriteBatch::default();
        batch.put(&Key::alias(name), record.to_bytes());
        self.commit(batch)?;
        self.aliases.change(|targets| {
            targets.insert(name.to_owned(), record.collection);
        });
        Ok(before.is_none())
    }

    fn delete_alias(&self, name: &str) -> Result<(), Error> {
        self.loader.store.check_writable()?;
        let _changing = self.lock_changes();
        if self.aliases.target(name).is_none() {
            return Err(alias_not_found(name));
        }
        let mut batch = WriteBatch::freeing_room();
        batch.remove(&Key::alias(name));
        self.commit(batch)?;
        self.aliases.change(|targets| {
            targets.remove(name);
        });
        Ok(())
    }
}

fn alias_not_found(name: &str) -> Error {
    Error::Alias(AliasError::NotFound {
        name: name.to_owned(),
    })
}

impl Index {
    /// Makes an alias stand for a collection, in one step. Returns whether it is new.
    ///
    /// # Errors
    /// [`Error::CollectionName`] and [`AliasError::IsCollection`] for its name; [`Error::CollectionNotFound`] and
    /// [`AliasError::IsAlias`] for what it is to stand for; [`AliasError::TooMany`].
    pub fn put_alias(&self, name: &str, collection: &str) -> Result<bool, Error> {
        self.collections.put_alias(name, collection)
    }

    /// Deletes an alias; what it stood for stays.
    ///
    /// # Errors
    /// [`AliasError::NotFound`]
    pub fn delete_alias(&self, name: &str) -> Result<(), Error> {
        self.collections.delete_alias(name)
    }

    /// An alias by its name.
    ///
    /// # Errors
    /// [`AliasError::NotFound`]
    pub fn alias(&self, name: &str) -> Result<Alias, Error> {
        let collection = self.collections.aliases.target(name);
        Ok(Alias {
            name: name.to_owned(),
            collection: collection.ok_or_else(|| alias_not_found(name))?,
        })
    }

    /// All aliases, ordered by name.
    pub fn aliases(&self) -> Vec<Alias> {
        let targets = self.collections.aliases.read();
        let aliases = targets.iter().map(|(name, collection)| Alias {
            name: name.clone(),
            collection: collection.clone(),
        });
        aliases.collect()
    }
}
