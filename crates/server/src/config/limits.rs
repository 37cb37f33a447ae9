//! Upper bounds of everything a request may ask for.

use serde::Deserialize;

use super::values::at_least_one;

/// `[limits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each limit is documented in config/default.toml"
)]
pub struct Limits {
    #[serde(deserialize_with = "at_least_one")]
    pub max_body_bytes: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_bodies_in_flight_bytes: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_json_values: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_line_bytes: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_text_bytes: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_title_bytes: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_query_bytes: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_metadata_bytes: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_documents_per_request: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_ids_per_request: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_page_documents: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_feedback_per_request: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_feedback_per_collection: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_feedback_bytes_per_collection: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_response_bytes: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_responses_in_flight_bytes: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_passages_per_document: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_passages_per_hit: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_hits_with_passages: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_top_k: usize,
    pub max_offset: usize,
    pub cursor_lifetime_ms: u64,
    pub max_cursor_memory_bytes: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_filter_depth: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_filter_clauses: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_filter_values: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_filter_text_bytes: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_facets: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_facet_values: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_searches_per_batch: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_batch_hits: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_search_examples: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_diversity_candidates: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_group_candidates: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_rerank_candidates: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_embed_texts: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_similarity_items: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_similarity_scores: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_explained_tokens: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_explained_hits: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_pairs: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_comparisons_at_once: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_map_points: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_training_pairs: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_compared_queries: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_compared_bytes: usize,
    pub max_compared_queries_at_once: usize,
    pub max_comparing_ms: u64,
    #[serde(deserialize_with = "at_least_one")]
    pub max_collections: usize,
    #[serde(deserialize_with = "at_least_one")]
    pub max_aliases: usize,
    pub max_kept_query_bytes: usize,
}
