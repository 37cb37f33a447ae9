//! Which names there are: a point for each, in a collection of Qdrant's. A name is a collection's or an alias's, and since it
//! has one point, never both.

use std::collections::BTreeMap;

use qdrant_client::qdrant::{
    Condition, CreateCollection, DeleteCollection, Filter as PointFilter, GetPoints, PointStruct,
    ScrollPoints, UpsertPoints, VectorParamsMap, VectorsConfig, WithPayloadSelector, WriteOrdering,
    WriteOrderingType, vectors_config,
};
use siamese_index::Error;

use crate::conditions::is_any;
use crate::connection::Connection;
use crate::document_point::without_vectors;
use crate::ids;
use crate::payload::{self, Payload, only};
use crate::registered::{self, REVISION, Registered};

/// Of an alias, the name of the collection that it stands for.
const TARGET: &str = "collection";
const NAME: &str = "name";
/// Names read in one call.
const PAGE: u32 = 1000;

/// All names.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) collections: BTreeMap<String, Registered>,
    /// By its name, what each stands for.
    pub(crate) aliases: BTreeMap<String, String>,
}

/// The list of all names.
#[derive(Debug)]
pub(crate) struct Registry {
    /// The name of the collection of Qdrant's that has it.
    collection: String,
}

/// Writes go through one copy of the shard, one after another. With `Strong` that copy is always the same, and nothing could
/// be written for a while after its node is lost.
pub(crate) fn one_after_another() -> Option<WriteOrdering> {
    Some(WriteOrdering {
        r#type: WriteOrderingType::Medium.into(),
    })
}

/// The name of the list in the cluster.
fn name_of(prefix: &str) -> String {
    format!("{prefix}-collections")
}

/// A collection without vectors.
pub(crate) fn no_vectors() -> Option<VectorsConfig> {
    Some(VectorsConfig {
        config: Some(vectors_config::Config::ParamsMap(VectorParamsMap::default())),
    })
}

/// Makes a collection of Qdrant's, unless it is there.
///
/// # Errors
/// When the cluster fails.
pub(crate) fn create(connection: &Connection, wanted: &CreateCollection) -> Result<(), Error> {
    let exists = || exists(connection, &wanted.collection_name);
    if exists()? {
        return Ok(());
    }
    let made = connection.change(wanted, |client, wanted| async move {
        client.create_collection(wanted).await
    });
    match made {
        Ok(_) => check_copies(connection, wanted),
        // Another one may have made it between the two calls.
        Err(error) => match exists()? {
            true => Ok(()),
            false => Err(error),
        },
    }
}

fn exists(connection: &Connection, collection: &String) -> Result<bool, Error> {
    connection.call(collection, |client, name| async move {
        client.collection_exists(name).await
    })
}

/// Takes a collection back of which there are fewer copies than wanted. While nodes of a cluster are still coming, Qdrant
/// makes as many as there are nodes, and no more later.
fn check_copies(connection: &Connection, wanted: &CreateCollection) -> Result<(), Error> {
    let name = &wanted.collection_name;
    let info = connection.call(name, |client, name| async move {
        client.collection_cluster_info(name).await
    })?;
    let mut copies: BTreeMap<u32, u32> = BTreeMap::new();
    let local = info.local_shards.iter().map(|shard| shard.shard_id);
    let remote = info.remote_shards.iter().map(|shard| shard.shard_id);
    local
        .chain(remote)
        .for_each(|shard| *copies.entry(shard).or_default() += 1);
    let fewest = copies.into_values().min().unwrap_or_default();
    let replicas = wanted.replication_factor.unwrap_or(1);
    if fewest >= replicas {
        return Ok(());
    }
    delete(connection, name)?;
    Err(Error::ClusterUnavailable {
        detail: format!(
            "it has made {fewest} of {replicas} copies of a new collection, so it has too few nodes now for storage.qdrant.replicas"
        ),
    })
}

/// Deletes a collection of Qdrant's, if it is there.
///
/// # Errors
/// When the cluster fails.
pub(crate) fn delete(connection: &Connection, name: &str) -> Result<(), Error> {
    let request = DeleteCollection {
        collection_name: name.to_owned(),
        timeout: None,
    };
    connection.change(&request, |client, request| async move {
        client.delete_collection(request).await
    })?;
    Ok(())
}

impl Registry {
    /// Finds or makes it.
    ///
    /// # Errors
    /// When the cluster fails.
    pub(crate) fn open(
        connection: &Connection,
        prefix: &str,
        replicas: u32,
    ) -> Result<Self, Error> {
        let collection = name_of(prefix);
        create(
            connection,
            &CreateCollection {
                collection_name: collection.clone(),
                vectors_config: no_vectors(),
                shard_number: Some(1),
                replication_factor: Some(replicas),
                ..CreateCollection::default()
            },
        )?;
        Ok(Self { collection })
    }

    /// Finds it; nothing when nobody has made it.
    ///
    /// # Errors
    /// When the cluster fails.
    pub(crate) fn find(connection: &Connection, prefix: &str) -> Result<Option<Self>, Error> {
        let collection = name_of(prefix);
        Ok(exists(connection, &collection)?.then_some(Self { collection }))
    }

    /// All names.
    ///
    /// # Errors
    /// When the cluster fails.
    pub(crate) fn all(&self, connection: &Connection) -> Result<Names, Error> {
        let (mut all, mut offset) = (Names::default(), None);
        loop {
            let request = ScrollPoints {
                collection_name: self.collection.clone(),
                limit: Some(PAGE),
                offset: offset.take(),
                with_payload: Some(fields()),
                ..ScrollPoints::default()
            };
            let page = connection.call(&request, |client, request| async move {
                client.scroll(request).await
            })?;
            for point in page.result {
                let name = payload::read_text(&point.payload, NAME)?.to_owned();
                match payload::optional_text(&point.payload, TARGET) {
                    Some(target) => drop(all.aliases.insert(name, target.to_owned())),
                    None => {
                        let registered = Registered::read(&point.payload)?;
                        all.collections.insert(name, registered);
                    }
                }
            }
            offset = page.next_page_offset;
            if offset.is_none() {
                return Ok(all);
            }
        }
    }

    /// Registers a collection in the place of another, or where there was none, and nowhere else. What is registered
    /// then may be what somebody else has put there at the same time.
    ///
    /// # Errors
    /// When the cluster fails.
    pub(crate) fn put(
        &self,
        connection: &Connection,
        wanted: &Registered,
        instead_of: Option<&Registered>,
    ) -> Result<Option<Registered>, Error> {
        let before = instead_of.map(|before| before.revision.text());
        // So that the step may be made twice.
        let revisions = before.into_iter().chain([wanted.revision.text()]);
        let is_before = is_any(REVISION.to_owned(), revisions.collect());
        self.put_point(connection, wanted.point(), is_before)?;
        self.get(connection, &wanted.name)
    }

    /// A collection as it is registered now.
    ///
    /// # Errors
    /// When the cluster fails.
    pub(crate) fn get(
        &self,
        connection: &Connection,
        name: &str,
    ) -> Result<Option<Registered>, Error> {
        let request = GetPoints {
            collection_name: self.collection.clone(),
            ids: vec![ids::point(ids::of_name(name))],
            with_payload: Some(fields()),
            ..GetPoints::default()
        };
        let found = connection.call(&request, |client, request| async move {
            client.get_points(request).await
        })?;
        let found = found.result.into_iter().next();
        let is_collection = |payload: &Payload| payload::optional_text(payload, TARGET).is_none();
        let payload = found.map(|point| point.payload).filter(is_collection);
        payload.as_ref().map(Registered::read).transpose()
    }

    /// Makes a name stand for a collection, unless it is that of a collection.
    ///
    /// # Errors
    /// When the cluster fails.
    pub(crate) fn put_alias(
        &self,
        connection: &Connection,
        name: &str,
        target: &str,
    ) -> Result<(), Error> {
        let payload = Payload::from([
            (NAME.to_owned(), payload::text(name)),
            (TARGET.to_owned(), payload::text(target)),
        ]);
        let point = without_vectors(ids::of_name(name), payload);
        self.put_point(connection, point, is_alias())
    }

    /// Takes a name away, if it is that of an alias, and with a target, of one that stands for it.
    ///
    /// # Errors
    /// When the cluster fails.
    pub(crate) fn remove_alias(
        &self,
        connection: &Connection,
        name: &str,
        target: Option<&str>,
    ) -> Result<(), Error> {
        let mut filter = match target {
            Some(target) => is_any(TARGET.to_owned(), vec![target.to_owned()]),
            None => is_alias(),
        };
        filter
            .must
            .push(crate::conditions::has_id([ids::of_name(name)]));
        delete_matching(connection, &self.collection, filter)
    }

    /// Writes a point that is not there, or that meets a condition.
    fn put_point(
        &self,
        connection: &Connection,
        point: PointStruct,
        if_there: PointFilter,
    ) -> Result<(), Error> {
        let request = UpsertPoints {
            collection_name: self.collection.clone(),
            wait: Some(true),
            ordering: one_after_another(),
            points: vec![point],
            update_filter: Some(if_there),
            ..UpsertPoints::default()
        };
        connection.change(&request, |client, request| async move {
            client.upsert_points(request).await
        })?;
        Ok(())
    }

    /// Takes a collection from the list, unless another one has its name by now.
    ///
    /// # Errors
    /// When the cluster fails.
    pub(crate) fn remove(&self, connection: &Connection, gone: &Registered) -> Result<(), Error> {
        let mut filter = is_any(REVISION.to_owned(), vec![gone.revision.text()]);
        filter
            .must
            .push(crate::conditions::has_id([ids::of_name(&gone.name)]));
        delete_matching(connection, &self.collection, filter)
    }
}

fn fields() -> WithPayloadSelector {
    let fields: Vec<_> = registered::FIELDS.iter().copied().chain([TARGET]).collect();
    only(&fields)
}

fn is_alias() -> PointFilter {
    PointFilter::must_not([Condition::is_empty(TARGET)])
}

/// Deletes the points that meet a condition.
///
/// # Errors
/// When the cluster fails.
pub(crate) fn delete_matching(
    connection: &Connection,
    collection: &str,
    filter: PointFilter,
) -> Result<(), Error> {
    use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
    use qdrant_client::qdrant::{DeletePoints, PointsSelector};
    let request = DeletePoints {
        collection_name: collection.to_owned(),
        wait: Some(true),
        ordering: one_after_another(),
        points: Some(PointsSelector {
            points_selector_one_of: Some(PointsSelectorOneOf::Filter(filter)),
        }),
        ..DeletePoints::default()
    };
    connection.change(&request, |client, request| async move {
        client.delete_points(request).await
    })?;
    Ok(())
}
