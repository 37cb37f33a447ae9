//! Which key pays for the tokens that a task has encoded.
//!
//! Texts are tokenised far below the handlers, which need not pass the key on: it is the task's, as its share of the
//! memory for bodies is. Work that goes on in another task takes it along.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::budget::{Bucket, Budget};
use crate::error::ApiError;

tokio::task_local! {
    static PAYER: Arc<Budget>;
}

/// The budget of the request that this task works for; none outside of requests, and where nothing is counted.
pub(super) fn payer() -> Option<Arc<Budget>> {
    PAYER.try_with(Arc::clone).ok()
}

/// Lets work be paid for by whoever pays in this task, wherever it goes on.
pub(crate) fn metered<F: Future>(work: F) -> impl Future<Output = F::Output> {
    paid_by(payer(), work)
}

/// Lets work be paid for by this budget.
pub(super) async fn paid_by<F: Future>(payer: Option<Arc<Budget>>, work: F) -> F::Output {
    match payer {
        Some(payer) => PAYER.scope(payer, work).await,
        None => work.await,
    }
}

/// Looks whether the caller may have anything encoded, before it is tokenised.
///
/// # Errors
/// 429 when the tokens of its key are used up.
pub(crate) fn check_tokens() -> Result<(), ApiError> {
    with_tokens(|tokens| tokens.check(Instant::now()))
}

/// Takes tokens from the caller's budget.
///
/// # Errors
/// As [`check_tokens`].
pub(crate) fn charge_tokens(amount: usize) -> Result<(), ApiError> {
    with_tokens(|tokens| tokens.take(amount, Instant::now()))
}

/// Gives tokens back that were not encoded.
pub(crate) fn refund_tokens(amount: usize) {
    if let Some(tokens) = payer().as_ref().and_then(|payer| payer.tokens.as_ref()) {
        tokens.give_back(amount);
    }
}

fn with_tokens(act: impl FnOnce(&Bucket) -> Result<(), Duration>) -> Result<(), ApiError> {
    let payer = payer();
    let Some(tokens) = payer.as_ref().and_then(|payer| payer.tokens.as_ref()) else {
        return Ok(());
    };
    act(tokens).map_err(|wait| {
        let limit = tokens.per_minute();
        let detail =
            format!("the tokens of this key, max_tokens_per_minute = {limit}, are used up");
        ApiError::budget_exceeded(detail, wait)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[tokio::test]
    async fn what_a_task_hands_on_to_another_is_paid_for_by_the_same_key() {
        let budget = Arc::new(Budget::new(None, 100.try_into().ok()));
        let refused = paid_by(Some(budget), async {
            charge_tokens(60).unwrap();
            let other = metered(async {
                charge_tokens(60).unwrap();
                charge_tokens(1)
            });
            tokio::spawn(other).await.unwrap()
        });
        assert_eq!(refused.await.unwrap_err().code(), ErrorCode::BudgetExceeded);
        // Nobody pays here.
        assert!(charge_tokens(1000).is_ok() && check_tokens().is_ok());
    }

    #[tokio::test]
    async fn tokens_that_were_not_encoded_are_given_back() {
        let budget = Arc::new(Budget::new(None, 100.try_into().ok()));
        let checked = paid_by(Some(budget), async {
            charge_tokens(100).unwrap();
            let used_up = check_tokens();
            refund_tokens(100);
            (used_up, check_tokens())
        });
        let (used_up, after) = checked.await;
        assert!(used_up.is_err() && after.is_ok());
    }
}
