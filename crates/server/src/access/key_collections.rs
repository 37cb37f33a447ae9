//! Which collections a key is for.

use siamese_index::check_collection_name;

/// The collections of a key: all, or those with these names and beginnings of names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyCollections(Option<Vec<String>>);

/// What stands for no collection.
#[derive(Debug, thiserror::Error)]
pub enum KeyCollectionsError {
    /// A list without an item.
    #[error("the list of collections is empty; leave it out for all collections")]
    Empty,
    /// An item that is neither.
    #[error(
        "{0:?} is neither a collection's name nor a beginning of names such as \"acme-*\"; leave the list out for all collections"
    )]
    Name(String),
}

impl KeyCollections {
    /// Reads a list of names, of which those with a star at the end are beginnings; nothing stands for all collections.
    ///
    /// # Errors
    /// When the list is empty, or an item cannot be a collection's name.
    pub fn new(names: Option<Vec<String>>) -> Result<Self, KeyCollectionsError> {
        let Some(names) = names else {
            return Ok(Self(None));
        };
        if names.is_empty() {
            return Err(KeyCollectionsError::Empty);
        }
        let is_bad = |name: &&String| {
            let beginning = name.strip_suffix('*').unwrap_or(name);
            check_collection_name(beginning).is_err()
        };
        match names.iter().find(is_bad) {
            Some(bad) => Err(KeyCollectionsError::Name(bad.clone())),
            None => Ok(Self(Some(names))),
        }
    }

    /// Returns whether these are all collections.
    pub fn are_all(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the names and beginnings, if these are not all collections.
    pub fn names(&self) -> Option<&[String]> {
        self.0.as_deref()
    }

    /// Returns whether a collection or an alias of this name is one of them.
    pub(super) fn contain(&self, name: &str) -> bool {
        let Some(names) = &self.0 else {
            return true;
        };
        names.iter().any(|own| match own.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => own == name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collections(names: &[&str]) -> Result<KeyCollections, KeyCollectionsError> {
        KeyCollections::new(Some(names.iter().map(|name| (*name).to_owned()).collect()))
    }

    #[test]
    fn a_name_is_that_collection_and_a_star_stands_for_every_ending() {
        let own = collections(&["tickets", "acme-*"]).unwrap();
        for name in ["tickets", "acme-", "acme-docs"] {
            assert!(own.contain(name), "{name}");
        }
        for name in ["tickets2", "ticket", "acme", "Acme-docs", "default", ""] {
            assert!(!own.contain(name), "{name}");
        }
        assert!(KeyCollections::default().contain("anything"));
    }

    #[test]
    fn what_cannot_be_a_name_is_refused_rather_than_taken_for_all() {
        for names in [&[][..], &["*"], &[""], &["a*b"], &["a", "b/c"], &["a**"]] {
            assert!(collections(names).is_err(), "{names:?}");
        }
    }
}
