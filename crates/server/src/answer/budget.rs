//! How large answers may be, each by itself and all together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::blocking::Cancel;
use crate::config::Limits;
use crate::error::{ApiError, ErrorCode};

/// What `Retry-After` says when too many answers are being made and sent, seconds.
const RETRY_AFTER_S: u64 = 1;
/// What needs no room, so that small answers are given whatever large ones take.
pub(super) const FREE_BYTES: usize = 64 << 10;

/// The room for answers.
#[derive(Debug)]
pub(crate) struct AnswerBudget {
    in_flight: AtomicUsize,
    /// Whether an answer has gone over the budget, as one may.
    has_favoured: AtomicBool,
    max_in_flight: usize,
    max_answer: usize,
}

/// The room that one answer has taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    budget: Arc<AnswerBudget>,
    /// Says that nobody waits for the answer any more.
    cancel: Cancel,
    /// Bytes that the answer may have.
    max: usize,
    /// Bytes of the budget.
    taken: usize,
    /// Whether it is the one that may go over the budget.
    is_favoured: bool,
    /// Bytes of the answer so far, those included that need no room.
    answer: usize,
}

impl AnswerBudget {
    /// Nothing is in flight.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            in_flight: AtomicUsize::new(0),
            has_favoured: AtomicBool::new(false),
            max_in_flight: limits.max_responses_in_flight_bytes,
            max_answer: limits.max_response_bytes,
        }
    }

    /// Room for a new answer.
    pub(crate) fn room(self: &Arc<Self>) -> Room {
        Room {
            budget: Arc::clone(self),
            cancel: Cancel::default(),
            max: self.max_answer,
            taken: 0,
            is_favoured: false,
            answer: 0,
        }
    }

    /// Room for a part of an answer that may be of any length, because it is sent while it is made.
    pub(crate) fn stream_room(self: &Arc<Self>) -> Room {
        let mut room = self.room();
        room.max = usize::MAX;
        room
    }

    /// Bytes of answers that are being made or sent.
    pub(crate) fn in_flight_bytes(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

impl Room {
    /// For an answer that is given up when `cancel` says so.
    pub(crate) fn until(self, cancel: &Cancel) -> Self {
        let mut room = self;
        room.cancel = cancel.clone();
        room
    }

    /// Counts more bytes of the answer, which may be too many for one.
    ///
    /// # Errors
    /// 422 over `limits.max_response_bytes`, or when nobody waits any more.
    pub(super) fn count(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.cancel.check()?;
        self.answer += bytes;
        if self.answer <= self.max {
            return Ok(());
        }
        let detail = format!(
            "the answer would be over limits.max_response_bytes = {}; ask for fewer at once (top_k, limit, searches, texts), for fewer parts (include), or page by page",
            self.max
        );
        Err(ApiError::new(ErrorCode::ResponseTooLarge, detail))
    }

    /// Takes room for so many more bytes: of the answer, or of what it is made from.
    ///
    /// # Errors
    /// When nobody waits any more, or 503 when answers in flight have taken it all, unless this is the one
    /// answer that is finished all the same: several that grow together would all be refused otherwise.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), ApiError> {
        // What needs room is much, so it takes long to make.
        self.cancel.long_step()?;
        let budget = &self.budget;
        let grown = |used: usize| {
            used.checked_add(bytes)
                .filter(|used| *used <= budget.max_in_flight)
        };
        let order = Ordering::Relaxed;
        if budget.in_flight.fetch_update(order, order, grown).is_ok() {
            self.taken += bytes;
            return Ok(());
        }
        if self.is_favoured || !budget.has_favoured.swap(true, order) {
            budget.in_flight.fetch_add(bytes, order);
            self.is_favoured = true;
            self.taken += bytes;
            return Ok(());
        }
        let detail = format!(
            "limits.max_responses_in_flight_bytes = {} of answers are being made and sent",
            budget.max_in_flight
        );
        Err(ApiError::overloaded(detail, RETRY_AFTER_S))
    }

    /// Takes room for a part of the answer that is in memory before it is written.
    ///
    /// # Errors
    /// As [`Self::count`] and [`Self::grow`].
    pub(crate) fn hold_part(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.count(bytes)?;
        self.hold(bytes)
    }

    /// Takes room for what the answer is made from; none for a little.
    ///
    /// # Errors
    /// As [`Self::grow`].
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), ApiError> {
        if bytes <= FREE_BYTES {
            return Ok(());
        }
        self.grow(bytes)
    }

    /// Gives room back.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.taken);
        self.taken -= bytes;
        self.budget.in_flight.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Another room in the same budget.
    pub(crate) fn another(&self) -> Self {
        self.budget.room()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shrink(self.taken);
        if self.is_favoured {
            self.budget.has_favoured.store(false, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Settings};

    #[test]
    fn room_is_given_up_to_the_limit_and_given_back() {
        let mut limits = Settings::load(&Overrides::default()).unwrap().limits;
        limits.max_responses_in_flight_bytes = 100;
        limits.max_response_bytes = 10;
        let budget = Arc::new(AnswerBudget::new(&limits));
        let (mut first, mut second) = (budget.room(), budget.room());
        first.grow(60).unwrap();
        second.grow(40).unwrap();
        first.shrink(10);
        assert_eq!(budget.in_flight_bytes(), 90);
        // One of those that grow together is finished.
        first.grow(20).unwrap();
        let refused = second.grow(1).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Overloaded);
        first.grow(20).unwrap();
        drop(first);
        second.grow(60).unwrap();
        second.grow(1).unwrap();
        drop(second);
        assert_eq!(budget.in_flight_bytes(), 0);
        let mut room = budget.room();
        room.count(10).unwrap();
        let refused = room.count(1).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::ResponseTooLarge);
        let detail = refused.problem(None).detail;
        assert!(
            detail.contains("limits.max_response_bytes = 10"),
            "{detail}"
        );
    }
}
