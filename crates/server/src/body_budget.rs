//! Memory for bodies of requests, all together.
//!
//! A share is taken as bytes arrive, grows by what is made of them, and is given back when nobody
//! works on them any more.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::app::App;
use crate::error::ApiError;

/// Of each body this much is not counted, so that small requests pass while large ones fill the
/// budget. `server.max_concurrent_requests` bounds it.
const UNCOUNTED_BYTES: usize = 64 << 10;
/// What is counted at once, bytes: permits of a semaphore are 32-bit numbers.
const UNIT_BYTES: usize = 1 << 10;
/// What `Retry-After` says when the budget is used up, seconds.
const RETRY_AFTER_S: u64 = 2;

/// `limits.max_bodies_in_flight_bytes`.
#[derive(Debug)]
pub(crate) struct BodyBudget {
    units: Arc<Semaphore>,
    max_units: usize,
    max_bytes: usize,
}

impl BodyBudget {
    pub(crate) fn new(max_bytes: usize) -> Self {
        let max_units = (max_bytes / UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        let max_units = max_units.min(u32::MAX as usize);
        Self {
            units: Arc::new(Semaphore::new(max_units)),
            max_units,
            max_bytes,
        }
    }

    /// What all shares take, bytes.
    pub(crate) fn in_flight_bytes(&self) -> usize {
        (self.max_units - self.units.available_permits()) * UNIT_BYTES
    }

    /// A share of nothing yet.
    pub(crate) fn share(&self) -> BodyShare {
        BodyShare {
            units: Arc::clone(&self.units),
            max_bytes: self.max_bytes,
            permit: None,
        }
    }
}

/// A part of the budget, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct BodyShare {
    units: Arc<Semaphore>,
    max_bytes: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl BodyShare {
    /// Makes the share as large as `bytes`.
    ///
    /// # Errors
    /// 503 when so much is not left; the share is as before then.
    pub(crate) fn resize(&mut self, bytes: usize) -> Result<(), ApiError> {
        let missing = self.give_back_over(bytes);
        if missing > 0 {
            let permit = Arc::clone(&self.units).try_acquire_many_owned(missing);
            self.add(permit.map_err(|_| self.used_up())?);
        }
        Ok(())
    }

    /// The same, and waits for others to give some back.
    ///
    /// # Errors
    /// 503 when so much is not left after `patience`.
    pub(crate) async fn resize_in(
        &mut self,
        bytes: usize,
        patience: Duration,
    ) -> Result<(), ApiError> {
        let missing = self.give_back_over(bytes);
        if missing > 0 {
            let permit = Arc::clone(&self.units).acquire_many_owned(missing);
            let permit = tokio::time::timeout(patience, permit).await;
            let permit = permit.ok().and_then(Result::ok);
            self.add(permit.ok_or_else(|| self.used_up())?);
        }
        Ok(())
    }

    /// Gives back what is not needed for `bytes`. Returns the units that are missing for them.
    fn give_back_over(&mut self, bytes: usize) -> u32 {
        let wanted = bytes.saturating_sub(UNCOUNTED_BYTES).div_ceil(UNIT_BYTES);
        let has = self
            .permit
            .as_ref()
            .map_or(0, |permit| permit.num_permits());
        if let Some(permit) = &mut self.permit {
            drop(permit.split(has.saturating_sub(wanted)));
        }
        u32::try_from(wanted.saturating_sub(has)).unwrap_or(u32::MAX)
    }

    fn add(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
    }

    fn used_up(&self) -> ApiError {
        ApiError::overloaded(
            format!(
                "bodies of other requests take limits.max_bodies_in_flight_bytes = {} already",
                self.max_bytes
            ),
            RETRY_AFTER_S,
        )
    }
}

/// The share of a request, kept by whoever works on its body.
pub(crate) type SharedShare = Arc<Mutex<BodyShare>>;

tokio::task_local! {
    /// Handlers need not pass it on: extractors make it grow, and jobs on blocking threads keep it
    /// until they end, also when their caller has hung up.
    static SHARE: SharedShare;
}

/// Gives each request a share of the budget until its handler is done.
pub(crate) async fn hold_body(State(app): State<App>, request: Request, next: Next) -> Response {
    let share = Arc::new(Mutex::new(app.body_budget().share()));
    SHARE.scope(share, next.run(request)).await
}

/// The share of the request that this task answers; none outside of requests.
pub(crate) fn held_share() -> Option<SharedShare> {
    SHARE.try_with(Arc::clone).ok()
}

/// Makes a request's share as large as `bytes`.
///
/// # Errors
/// As [`BodyShare::resize`].
pub(crate) fn resize(share: Option<&SharedShare>, bytes: usize) -> Result<(), ApiError> {
    share.map_or(Ok(()), |share| {
        // A share is whole between statements, whatever panicked.
        let mut share = share.lock().unwrap_or_else(PoisonError::into_inner);
        share.resize(bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    const MIB: usize = 1 << 20;

    #[test]
    fn a_share_is_refused_over_the_budget_and_given_back_when_dropped() {
        let budget = BodyBudget::new(4 * MIB);
        let (mut one, mut other) = (budget.share(), budget.share());
        one.resize(3 * MIB + UNCOUNTED_BYTES).unwrap();
        other.resize(MIB + UNCOUNTED_BYTES).unwrap();
        let error = other.resize(MIB + UNCOUNTED_BYTES + 1).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Overloaded);
        let detail = error.problem(None).detail;
        assert!(
            detail.contains("limits.max_bodies_in_flight_bytes = 4194304"),
            "{detail}"
        );
        one.resize(2 * MIB).unwrap();
        other.resize(2 * MIB).unwrap();
        drop(one);
        other.resize(4 * MIB).unwrap();
    }

    #[test]
    fn small_bodies_pass_while_large_ones_fill_the_budget() {
        let budget = BodyBudget::new(MIB);
        let mut large = budget.share();
        large.resize(MIB + UNCOUNTED_BYTES).unwrap();
        let mut small: Vec<_> = (0..100).map(|_| budget.share()).collect();
        assert!(
            small
                .iter_mut()
                .all(|share| share.resize(UNCOUNTED_BYTES).is_ok())
        );
        assert!(small[0].resize(UNCOUNTED_BYTES + 1).is_err());
    }

    #[tokio::test]
    async fn a_share_that_may_wait_gets_what_others_give_back() {
        let budget = BodyBudget::new(2 * MIB);
        let (mut one, mut other) = (budget.share(), budget.share());
        one.resize(2 * MIB).unwrap();
        let soon = Duration::from_millis(1);
        assert!(other.resize_in(MIB, soon).await.is_err());
        let later = Duration::from_secs(30);
        let waiting = tokio::spawn(async move { other.resize_in(MIB, later).await.is_ok() });
        tokio::task::yield_now().await;
        drop(one);
        assert!(waiting.await.unwrap());
    }
}
