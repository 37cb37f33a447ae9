//! A place that collections are moved from or to.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use siamese_index::{
    Alias, CollectionEncoder, CollectionSettings, DEFAULT_COLLECTION, Error, Index, IndexOptions,
};

use super::held::Held;

#[cfg(not(feature = "qdrant"))]
const NO_CLUSTERS: &str = "this program was built without the feature `qdrant`, which clusters need; build it with `--features qdrant`, or take the image";

/// A place as it is named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PlaceName {
    /// A data folder.
    Folder(PathBuf),
    /// Nodes of a cluster.
    Nodes(Vec<String>),
    /// A file with the settings of a cluster.
    Settings(PathBuf),
}

/// A place, open.
#[derive(Debug)]
pub(super) enum Place {
    Folder(Box<Index>),
    #[cfg(feature = "qdrant")]
    Cluster(std::sync::Arc<siamese_qdrant::Cluster>),
}

impl FromStr for PlaceName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if name.contains("://") {
            let nodes: Vec<String> = name.split(',').map(|url| url.trim().to_owned()).collect();
            let is_address =
                |url: &String| url.starts_with("http://") || url.starts_with("https://");
            return match nodes.iter().find(|url| !is_address(url)) {
                Some(url) => Err(format!("{url:?} does not begin with http:// or https://")),
                None => Ok(Self::Nodes(nodes)),
            };
        }
        let path = PathBuf::from(name);
        Ok(
            match path.extension().is_some_and(|ending| ending == "toml") {
                true => Self::Settings(path),
                false => Self::Folder(path),
            },
        )
    }
}

impl fmt::Display for PlaceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(formatter, "the data folder {}", path.display()),
            Self::Nodes(urls) => write!(formatter, "the cluster at {}", urls.join(", ")),
            Self::Settings(path) => write!(formatter, "the cluster of {}", path.display()),
        }
    }
}

#[cfg(feature = "qdrant")]
impl PlaceName {
    fn cluster(&self) -> Result<siamese_qdrant::ClusterSettings> {
        let (file, urls) = match self {
            Self::Folder(_) => (None, None),
            Self::Nodes(urls) => (None, Some(urls.clone())),
            Self::Settings(file) => (Some(file.clone()), None),
        };
        crate::cluster::settings(file, urls)
    }
}

impl Place {
    /// Opens a place that has collections.
    ///
    /// # Errors
    /// When it has none, or cannot be opened.
    pub(super) fn open_source(name: &PlaceName) -> Result<Self> {
        let found = Self::open_as_found(name)?;
        found.with_context(|| format!("{name} holds no collections"))
    }

    /// Opens or makes a place for the collections of another.
    ///
    /// # Errors
    /// When it is of another encoder, or cannot be opened.
    pub(super) fn open_target(name: &PlaceName, source: &Self) -> Result<Self> {
        let Some(found) = Self::open_as_found(name)? else {
            return Self::make(name, source);
        };
        let (ours, theirs) = (found.default_encoder(), source.default_encoder());
        ensure!(
            ours.identity.id == theirs.identity.id,
            "{name} is in use with another encoder ({:?}, and {:?} where the collections are); a service with the same model has to open it first, or it has to be empty",
            ours.identity.name,
            theirs.identity.name
        );
        Ok(found)
    }

    fn open_as_found(name: &PlaceName) -> Result<Option<Self>> {
        match name {
            PlaceName::Folder(path) => match Index::open_as_found(path, &IndexOptions::default()) {
                Ok(index) => Ok(Some(Self::Folder(Box::new(index)))),
                Err(Error::NoData { .. }) => Ok(None),
                Err(error) => Err(error).with_context(|| format!("cannot open {name}")),
            },
            #[cfg(feature = "qdrant")]
            _ => {
                let cluster = siamese_qdrant::Cluster::open_as_found(name.cluster()?);
                let cluster = cluster.with_context(|| format!("cannot open {name}"))?;
                Ok(cluster.map(Self::Cluster))
            }
            #[cfg(not(feature = "qdrant"))]
            _ => anyhow::bail!(NO_CLUSTERS),
        }
    }

    fn make(name: &PlaceName, source: &Self) -> Result<Self> {
        let (encoder, settings) = (source.default_encoder(), source.default_settings()?);
        match name {
            PlaceName::Folder(path) => {
                let options = IndexOptions {
                    default_settings: settings,
                    ..IndexOptions::default()
                };
                let index = Index::open(path, &encoder.identity, &options);
                let index = index.with_context(|| format!("cannot make {name}"))?;
                Ok(Self::Folder(Box::new(index)))
            }
            #[cfg(feature = "qdrant")]
            _ => {
                let settings_there = Held::settings_on_cluster(settings);
                let cluster =
                    siamese_qdrant::Cluster::open(name.cluster()?, settings_there, encoder.clone());
                Ok(Self::Cluster(
                    cluster.with_context(|| format!("cannot open {name}"))?,
                ))
            }
            #[cfg(not(feature = "qdrant"))]
            _ => anyhow::bail!(NO_CLUSTERS),
        }
    }

    pub(super) fn is_cluster(&self) -> bool {
        !matches!(self, Self::Folder(_))
    }

    fn default_encoder(&self) -> &CollectionEncoder {
        match self {
            Self::Folder(index) => index.default_encoder(),
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => cluster.default_encoder(),
        }
    }

    fn default_settings(&self) -> Result<CollectionSettings> {
        Ok(match self {
            Self::Folder(index) => index.collection(DEFAULT_COLLECTION)?.reader().settings(),
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => cluster.get(DEFAULT_COLLECTION)?.reader.settings(),
        })
    }

    /// All collections, ordered by name.
    pub(super) fn collections(&self) -> Vec<Held> {
        match self {
            Self::Folder(index) => index.collections().into_iter().map(Held::Folder).collect(),
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => cluster.all().into_iter().map(Held::Cluster).collect(),
        }
    }

    /// How many generations of a collection there are beside the active one.
    ///
    /// # Errors
    /// When the place cannot be read.
    pub(super) fn other_generations(&self, collection: &Held) -> Result<usize> {
        Ok(match self {
            Self::Folder(index) => index.generations(collection.name())?.len() - 1,
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => cluster.generations(collection.name())?.len() - 1,
        })
    }

    /// Finds or makes a collection for the documents of another.
    ///
    /// # Errors
    /// When one of this name holds documents with other settings or vectors of another encoder, or it cannot be made.
    pub(super) fn put(&self, source: &Held) -> Result<Held> {
        let (name, encoder) = (source.name(), source.encoder());
        let settings = source.settings_in(self.is_cluster());
        let put = match self {
            Self::Folder(index) => index
                .put_collection_of(name, &settings, &encoder)
                .map(|(collection, _)| Held::Folder(collection)),
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => {
                cluster
                    .put(name, &settings, &encoder)
                    .and_then(|(collection, _)| {
                        cluster.check_one_generation(name)?;
                        Ok(Held::Cluster(collection))
                    })
            }
        };
        put.with_context(|| format!("cannot make the collection {name:?} where it is to be"))
    }

    /// All aliases, ordered by name.
    pub(super) fn aliases(&self) -> Vec<Alias> {
        match self {
            Self::Folder(index) => index.aliases(),
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => cluster.aliases(),
        }
    }

    /// Makes an alias stand for a collection.
    ///
    /// # Errors
    /// When its name is taken, or the place fails.
    pub(super) fn put_alias(&self, alias: &Alias) -> Result<()> {
        let put = match self {
            Self::Folder(index) => index.put_alias(&alias.name, &alias.collection),
            #[cfg(feature = "qdrant")]
            Self::Cluster(cluster) => cluster.put_alias(&alias.name, &alias.collection),
        };
        put.with_context(|| format!("cannot make the alias {:?}", alias.name))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str) -> Result<PlaceName, String> {
        name.parse()
    }

    #[test]
    fn a_place_is_a_folder_a_settings_file_or_addresses() {
        let nodes = ["http://a:6334", "https://b:6334"].map(str::to_owned);
        assert_eq!(
            parsed("http://a:6334, https://b:6334"),
            Ok(PlaceName::Nodes(nodes.to_vec()))
        );
        assert_eq!(parsed("data"), Ok(PlaceName::Folder("data".into())));
        let file = "config/cluster.toml";
        assert_eq!(parsed(file), Ok(PlaceName::Settings(file.into())));
        let refused = parsed("http://a:6334,b:6334").unwrap_err();
        assert!(refused.contains("\"b:6334\""), "{refused}");
        assert!(parsed("qdrant://a").is_err());
    }
}
