//! Explanations of the first hits of a search.

use std::sync::Arc;

use siamese_encoder::{Encoder, InputKind, TracedText};
use siamese_index::{Hit, HitParts};

use super::{
    DEFAULT_PAIRS, ExplainedPassage, ExplainedSide, ExplainedText, Explanation, check_explainable,
    check_tokens, explanation, working_bytes,
};
use crate::answer::Room;
use crate::app::Engine;
use crate::backend::Reader;
use crate::error::ApiError;
use crate::queue::{Admission, Lane};
use crate::request_part::RequestPart;
use crate::service::chunking::with_title;
use crate::service::{Cancel, blocking_steps};

/// Hits of one search to explain.
#[derive(Debug)]
pub(in crate::service) struct ExplainHits {
    pub(in crate::service) query: String,
    pub(in crate::service) hits: Vec<Hit>,
    /// Tokens that the query and a passage may have.
    pub(in crate::service) max_tokens: usize,
}

/// The query and the passages of hits, tokenised.
type Traced = Vec<(ExplainedText, TracedText)>;

/// Explains the cosine of a query and the best passage of each hit, in order. A hit whose document has changed,
/// or whose passage has too many tokens, has none.
///
/// # Errors
/// 422 for a query of too many tokens and for a model whose vectors are no sums over tokens, 503 when the
/// lane is full, 500 when the encoder fails.
pub(in crate::service) async fn explain_hits(
    engine: &Engine,
    collection: &Arc<Reader>,
    task: ExplainHits,
    room: &mut Room,
) -> Result<Vec<Option<Arc<Explanation>>>, ApiError> {
    let encoder = engine.models.encoder_of(&**collection).await?;
    check_explainable(&encoder)?;
    let (reader, stored) = (Arc::clone(&encoder), Arc::clone(collection));
    let (places, texts) =
        blocking_steps(move |cancel| traced(&reader, &*stored, &task, cancel)).await?;
    room.hold(working_bytes(
        &encoder,
        texts.iter().map(|(_, traced)| traced),
    ))?;
    let tokens = texts.iter().map(|(_, traced)| traced.tokens.clone());
    // Hits are long and many, as the pairs that this lane is for.
    let states = engine
        .embed_tokenized(&encoder, tokens.collect(), Lane::Rerank, Admission::Refuse)
        .await?;
    let explained = blocking_steps(move |cancel| {
        let sides = texts.into_iter().zip(states);
        let mut sides = sides.map(|((text, traced), states)| {
            cancel.long_step()?;
            ExplainedSide::of(&encoder, text, traced, &states.vector)
        });
        let query = sides.next().transpose()?;
        let query = query.ok_or_else(|| ApiError::internal("the encoder returned no states"))?;
        let explained = sides.map(|side| {
            let pair = [query.clone(), side?];
            explanation(&encoder, pair, DEFAULT_PAIRS, cancel).map(Arc::new)
        });
        explained.collect::<Result<Vec<_>, ApiError>>()
    })
    .await?;
    let mut explained = explained.into_iter();
    let of_place = |is_read: bool| is_read.then(|| explained.next()).flatten();
    Ok(places.into_iter().map(of_place).collect())
}

/// The query and all passages that can be read, and for each hit whether it is among them.
fn traced(
    encoder: &Encoder,
    collection: &Reader,
    task: &ExplainHits,
    cancel: &Cancel,
) -> Result<(Vec<bool>, Traced), ApiError> {
    cancel.step_over_text(task.query.len())?;
    let query = ExplainedText {
        text: task.query.clone(),
        kind: InputKind::Query,
        passage: None,
    };
    let of_query = trace(encoder, &query)?;
    check_tokens("query", &of_query, task.max_tokens, RequestPart::Query)?;
    let mut texts = vec![(query, of_query)];
    let mut is_read = Vec::with_capacity(task.hits.len());
    for hit in &task.hits {
        let mut own = None;
        if let Some(passage) = passage(collection, hit)? {
            cancel.step_over_text(passage.text.len())?;
            let of_passage = trace(encoder, &passage)?;
            let fits = of_passage.tokens.tokens_kept() <= task.max_tokens;
            own = fits.then_some((passage, of_passage));
        }
        is_read.push(own.is_some());
        texts.extend(own);
    }
    Ok((is_read, texts))
}

fn trace(encoder: &Encoder, text: &ExplainedText) -> Result<TracedText, ApiError> {
    let traced = encoder.trace(&text.text, text.kind);
    traced.map_err(ApiError::internal)
}

/// The best passage of a hit, if its document is still what was found.
fn passage(collection: &Reader, hit: &Hit) -> Result<Option<ExplainedText>, ApiError> {
    let content = collection.read_hit(hit, &HitParts::default())?;
    Ok(content.map(|content| {
        let text = with_title(content.title.as_deref(), &content.passage_text);
        ExplainedText {
            kind: InputKind::Document,
            passage: Some(ExplainedPassage {
                id: hit.id.clone(),
                span: content.passage.start..content.passage.end,
                offset: text.len() - content.passage_text.len(),
                is_one_of: None,
            }),
            text,
        }
    }))
}
