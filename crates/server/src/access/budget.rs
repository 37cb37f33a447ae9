//! How much a key may ask for in a minute.
//!
//! A budget fills evenly up to what a minute gives, so that a minute's worth may be used at once. What a request takes
//! of the tokens is known when its texts have been tokenised: it may take more than is left, and is paid off by those
//! that come later.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// What is left of a budget.
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// What a budget is.
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// The window of every budget, seconds.
const WINDOW_S: u64 = 60;

/// The budgets of one key.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(super) requests: Option<Bucket>,
    pub(super) tokens: Option<Bucket>,
}

/// Something that is used up and fills again.
#[derive(Debug)]
pub(super) struct Bucket {
    per_minute: NonZeroU32,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    /// Below zero when more was taken than there was.
    left: f64,
    at: Instant,
}

impl Budget {
    pub(super) fn new(requests: Option<NonZeroU32>, tokens: Option<NonZeroU32>) -> Self {
        Self {
            requests: requests.map(Bucket::new),
            tokens: tokens.map(Bucket::new),
        }
    }

    /// Returns whether it is the same limits.
    pub(super) fn is_for(&self, requests: Option<NonZeroU32>, tokens: Option<NonZeroU32>) -> bool {
        let limit = |bucket: &Option<Bucket>| bucket.as_ref().map(|bucket| bucket.per_minute);
        limit(&self.requests) == requests && limit(&self.tokens) == tokens
    }

    /// Says in the headers of an answer what there is and what is left of it, as
    /// draft-ietf-httpapi-ratelimit-headers has it.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        let buckets = [("requests", &self.requests), ("tokens", &self.tokens)];
        for (name, bucket) in buckets {
            let Some(bucket) = bucket else { continue };
            let (left, full_in_s) = bucket.account(Instant::now());
            let per_minute = bucket.per_minute;
            let values = [
                (
                    RATE_LIMIT_POLICY,
                    format!("\"{name}\";q={per_minute};w={WINDOW_S}"),
                ),
                (RATE_LIMIT, format!("\"{name}\";r={left};t={full_in_s}")),
            ];
            for (header, value) in values {
                if let Ok(value) = HeaderValue::from_str(&value) {
                    headers.append(header, value);
                }
            }
        }
    }
}

impl Bucket {
    fn new(per_minute: NonZeroU32) -> Self {
        Self {
            per_minute,
            level: Mutex::new(Level {
                left: f64::from(per_minute.get()),
                at: Instant::now(),
            }),
        }
    }

    /// Returns the limit.
    pub(super) fn per_minute(&self) -> NonZeroU32 {
        self.per_minute
    }

    /// Takes one.
    ///
    /// # Errors
    /// When there is none left: the time after which there is.
    pub(super) fn take_one(&self, now: Instant) -> Result<(), Duration> {
        let mut level = self.refilled(now);
        if level.left < 1.0 {
            return Err(self.time_for(1.0 - level.left));
        }
        level.left -= 1.0;
        Ok(())
    }

    /// Looks whether anything is left.
    ///
    /// # Errors
    /// When nothing is: the time after which there is.
    pub(super) fn check(&self, now: Instant) -> Result<(), Duration> {
        let level = self.refilled(now);
        match level.left >= 1.0 {
            true => Ok(()),
            false => Err(self.time_for(1.0 - level.left)),
        }
    }

    /// Takes so many, if anything is left.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(super) fn take(&self, amount: usize, now: Instant) -> Result<(), Duration> {
        self.check(now)?;
        self.refilled(now).left -= amount as f64;
        Ok(())
    }

    /// Gives back what was taken and not used.
    pub(super) fn give_back(&self, amount: usize) {
        let mut level = self.lock();
        level.left = (level.left + amount as f64).min(f64::from(self.per_minute.get()));
    }

    /// What is left, and the seconds until it is full.
    fn account(&self, now: Instant) -> (u64, u64) {
        let level = self.refilled(now);
        let missing = f64::from(self.per_minute.get()) - level.left;
        (
            level.left.max(0.0) as u64,
            self.time_for(missing).as_secs_f64().ceil() as u64,
        )
    }

    fn refilled(&self, now: Instant) -> MutexGuard<'_, Level> {
        let mut level = self.lock();
        let capacity = f64::from(self.per_minute.get());
        let passed_s = now.saturating_duration_since(level.at).as_secs_f64();
        level.left = (level.left + passed_s * capacity / WINDOW_S as f64).min(capacity);
        level.at = level.at.max(now);
        level
    }

    fn time_for(&self, amount: f64) -> Duration {
        let seconds = amount * WINDOW_S as f64 / f64::from(self.per_minute.get());
        Duration::from_secs_f64(seconds.max(0.0))
    }

    /// A level is whole between two statements, whatever panicked.
    fn lock(&self) -> MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(per_minute: u32) -> (Bucket, Instant) {
        let bucket = Bucket::new(per_minute.try_into().unwrap());
        let start = bucket.lock().at;
        (bucket, start)
    }

    fn after(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_minutes_worth_may_be_used_at_once_and_comes_back_evenly() {
        let (bucket, start) = bucket(60);
        for _ in 0..60 {
            assert!(bucket.take_one(start).is_ok());
        }
        let wait = bucket.take_one(start).unwrap_err();
        assert!((wait.as_secs_f64() - 1.0).abs() < 1e-6, "{wait:?}");
        assert!(bucket.take_one(after(start, 0.9)).is_err());
        assert!(bucket.take_one(after(start, 1.01)).is_ok());
        assert!(bucket.take_one(after(start, 1.02)).is_err());
        assert_eq!(bucket.account(after(start, 1000.0)), (60, 0));
    }

    #[test]
    fn a_request_may_take_more_tokens_than_are_left_and_the_next_ones_wait_until_it_is_paid_off() {
        let (bucket, start) = bucket(600);
        bucket.take(1800, start).unwrap();
        let wait = bucket.take(1, start).unwrap_err();
        assert!((wait.as_secs_f64() - 120.1).abs() < 1e-6, "{wait:?}");
        assert!(bucket.check(after(start, 119.0)).is_err());
        assert!(bucket.take(1, after(start, 120.2)).is_ok());
        assert!(bucket.account(start).0 <= 1);
    }

    #[test]
    fn what_is_given_back_is_there_again_and_never_more_than_the_limit() {
        let (bucket, start) = bucket(10);
        bucket.take(4, start).unwrap();
        bucket.give_back(4);
        assert_eq!(bucket.account(start).0, 10);
        bucket.give_back(100);
        assert_eq!(bucket.account(start).0, 10);
    }

    #[test]
    fn a_clock_that_goes_back_takes_nothing() {
        let (bucket, start) = bucket(60);
        bucket.take(30, after(start, 10.0)).unwrap();
        assert_eq!(bucket.account(start).0, 30);
        assert_eq!(bucket.account(after(start, 10.0)).0, 30);
    }

    #[test]
    fn an_answer_says_what_there_is_and_what_is_left() {
        let budget = Budget::new(60.try_into().ok(), 1000.try_into().ok());
        budget
            .requests
            .as_ref()
            .unwrap()
            .take_one(Instant::now())
            .unwrap();
        let mut headers = HeaderMap::new();
        budget.tell(&mut headers);
        let values =
            |name: &'static str| headers.get_all(name).iter().map(|it| it.to_str().unwrap());
        assert_eq!(
            values("ratelimit-policy").collect::<Vec<_>>(),
            ["\"requests\";q=60;w=60", "\"tokens\";q=1000;w=60"]
        );
        let left: Vec<_> = values("ratelimit").collect();
        assert!(
            left[0].starts_with("\"requests\";r=59;t=") && left[1] == "\"tokens\";r=1000;t=0",
            "{left:?}"
        );
    }
}
