//! The collections of Qdrant's that a generation is.

use qdrant_client::qdrant::{
    CreateCollection, Distance, FieldType, HnswConfigDiff, Modifier, QuantizationConfig,
    QuantizationType, ScalarQuantization, SparseVectorConfig, SparseVectorParams, VectorParams,
    VectorParamsMap, VectorsConfig, quantization_config, vectors_config,
};
use siamese_index::{Error, KeptCollection};

use crate::ids::Version;
use crate::passage_point::{self, MEANING};
use crate::reader::index_field;
use crate::registered::Entry;
use crate::registry::{create, delete, no_vectors};
use crate::word_vector::WORDS;
use crate::{Cluster, ClusterSettings, document_point};

/// Values of a vector are kept as bytes between these quantiles for a first comparison.
const QUANTILE: f32 = 0.99;

/// Their names.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) documents: String,
    pub(crate) passages: String,
}

impl Places {
    pub(crate) fn of(prefix: &str, place: Version) -> Self {
        let place = place.text();
        Self {
            documents: format!("{prefix}-{place}-documents"),
            passages: format!("{prefix}-{place}-passages"),
        }
    }
}

impl Cluster {
    /// Makes them.
    ///
    /// # Errors
    /// When the cluster fails.
    pub(crate) fn make_collections(&self, wanted: &Entry) -> Result<(), Error> {
        let places = Places::of(&self.settings.prefix, wanted.place);
        let ClusterSettings {
            shards,
            replicas,
            write_consistency,
            ..
        } = self.settings;
        let shared = CreateCollection {
            shard_number: Some(shards.get()),
            replication_factor: Some(replicas.get()),
            write_consistency_factor: Some(write_consistency.get()),
            ..CreateCollection::default()
        };
        create(
            &self.connection,
            &CreateCollection {
                collection_name: places.documents.clone(),
                vectors_config: no_vectors(),
                ..shared.clone()
            },
        )?;
        create(
            &self.connection,
            &CreateCollection {
                collection_name: places.passages.clone(),
                vectors_config: Some(vectors(&wanted.kept)),
                sparse_vectors_config: wanted.kept.settings.lexical.then(words),
                quantization_config: Some(quantization()),
                ..shared
            },
        )?;
        for (collection, field, field_type) in [
            (
                &places.passages,
                passage_point::DOCUMENT,
                FieldType::Keyword,
            ),
            (&places.passages, passage_point::VERSION, FieldType::Keyword),
            (&places.passages, passage_point::WRITTEN, FieldType::Integer),
            (
                &places.documents,
                document_point::VERSION,
                FieldType::Keyword,
            ),
        ] {
            index_field(&self.connection, collection, field, field_type, true)?;
        }
        Ok(())
    }

    /// Deletes them, with everything in them.
    ///
    /// # Errors
    /// When the cluster fails.
    pub(crate) fn drop_collections(&self, gone: &Entry) -> Result<(), Error> {
        let places = Places::of(&self.settings.prefix, gone.place);
        for name in [&places.documents, &places.passages] {
            delete(&self.connection, name)?;
        }
        Ok(())
    }
}

/// Vectors of length 1, so that their dot product is their cosine; Qdrant's own cosine would change their last bits.
fn vectors(kept: &KeptCollection) -> VectorsConfig {
    let graph = kept.settings.graph;
    let params = VectorParams {
        size: kept.encoder.identity.dimensions as u64,
        distance: Distance::Dot.into(),
        hnsw_config: Some(HnswConfigDiff {
            m: Some(graph.m as u64),
            ef_construct: Some(graph.ef_construction as u64),
            ..HnswConfigDiff::default()
        }),
        ..VectorParams::default()
    };
    VectorsConfig {
        config: Some(vectors_config::Config::ParamsMap(VectorParamsMap {
            map: [(MEANING.to_owned(), params)].into(),
        })),
    }
}

/// Words count by how rare they are, which Qdrant keeps.
fn words() -> SparseVectorConfig {
    let params = SparseVectorParams {
        modifier: Some(Modifier::Idf.into()),
        ..SparseVectorParams::default()
    };
    SparseVectorConfig {
        map: [(WORDS.to_owned(), params)].into(),
    }
}

fn quantization() -> QuantizationConfig {
    QuantizationConfig {
        quantization: Some(quantization_config::Quantization::Scalar(
            ScalarQuantization {
                r#type: QuantizationType::Int8.into(),
                quantile: Some(QUANTILE),
                ..ScalarQuantization::default()
            },
        )),
    }
}
