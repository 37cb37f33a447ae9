//! Aliases: other names of collections, which are pointed to others in one step, that of their points.

use siamese_index::{Alias, AliasError, Error, check_collection_name};

use crate::Cluster;

impl Cluster {
    /// Makes an alias stand for a collection, in one step. Returns whether it is new.
    ///
    /// # Errors
    /// [`Error::CollectionName`] and [`AliasError::IsCollection`] for its name; [`Error::CollectionNotFound`] and
    /// [`AliasError::IsAlias`] for what it is to stand for; [`AliasError::TooMany`]; or a cluster that fails.
    pub fn put_alias(&self, name: &str, collection: &str) -> Result<bool, Error> {
        check_collection_name(name)?;
        let _changing = self.lock_changes();
        self.refresh()?;
        self.check_alias(name, collection)?;
        let before = self.known().aliases.get(name).cloned();
        if before.as_deref() == Some(collection) {
            return Ok(false);
        }
        let max_aliases = self.settings.max_aliases;
        if before.is_none() && self.known().aliases.len() >= max_aliases {
            return Err(Error::Alias(AliasError::TooMany { max_aliases }));
        }
        self.registry
            .put_alias(&self.connection, name, collection)?;
        self.refresh()?;
        // What another process has made or deleted meanwhile.
        if let Err(error) = self.check_alias(name, collection) {
            self.registry
                .remove_alias(&self.connection, name, Some(collection))?;
            self.refresh()?;
            return Err(error);
        }
        Ok(before.is_none())
    }

    /// Deletes an alias; what it stood for stays.
    ///
    /// # Errors
    /// [`AliasError::NotFound`], or a cluster that fails.
    pub fn delete_alias(&self, name: &str) -> Result<(), Error> {
        let _changing = self.lock_changes();
        self.refresh()?;
        self.alias(name)?;
        self.registry.remove_alias(&self.connection, name, None)?;
        self.refresh()
    }

    /// An alias by its name, as it was known within the last second.
    ///
    /// # Errors
    /// [`AliasError::NotFound`]
    pub fn alias(&self, name: &str) -> Result<Alias, Error> {
        let known = self.known();
        let collection = known.aliases.get(name).ok_or_else(|| {
            Error::Alias(AliasError::NotFound {
                name: name.to_owned(),
            })
        })?;
        Ok(Alias {
            name: name.to_owned(),
            collection: collection.clone(),
        })
    }

    /// All aliases, ordered by name, as they were known within the last second.
    pub fn aliases(&self) -> Vec<Alias> {
        let known = self.known();
        let aliases = known.aliases.iter().map(|(name, collection)| Alias {
            name: name.clone(),
            collection: collection.clone(),
        });
        aliases.collect()
    }

    /// Refuses the name of an alias where a collection is made or deleted.
    pub(crate) fn check_no_alias(&self, name: &str, advice: &'static str) -> Result<(), Error> {
        match self.known().aliases.get(name) {
            None => Ok(()),
            Some(collection) => Err(Error::Alias(AliasError::IsAlias {
                name: name.to_owned(),
                collection: collection.clone(),
                advice,
            })),
        }
    }

    /// Refuses to delete a collection for which an alias stands.
    pub(crate) fn check_stands_alone(&self, collection: &str) -> Result<(), Error> {
        let known = self.known();
        let mut aliases = known.aliases.iter();
        match aliases.find(|(_, target)| *target == collection) {
            None => Ok(()),
            Some((alias, _)) => Err(Error::Alias(AliasError::StandsFor {
                name: collection.to_owned(),
                alias: alias.clone(),
            })),
        }
    }

    /// Whether an alias may stand for a collection.
    fn check_alias(&self, name: &str, collection: &str) -> Result<(), Error> {
        let known = self.known();
        if known.collections.contains_key(name) {
            return Err(Error::Alias(AliasError::IsCollection {
                name: name.to_owned(),
            }));
        }
        self.check_no_alias(collection, "an alias stands for a collection itself")?;
        if !known.collections.contains_key(collection) {
            return Err(Error::CollectionNotFound {
                name: collection.to_owned(),
            });
        }
        Ok(())
    }
}
