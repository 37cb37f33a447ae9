//! How fast bodies of requests are read, all together.
//!
//! Whoever sends large bodies as fast as they are read keeps the cores busy with copying them, however soon
//! they are refused. What is done with a body that is not refused takes far longer than to read it at the pace
//! that is left here.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Of each body this much is read as it comes, so that small requests never wait for large ones.
pub(super) const FREE_BYTES: u64 = 64 << 10;
/// What may be read ahead of its time: waits that are shorter than this would cost more than they save.
const SLACK: Duration = Duration::from_millis(2);
/// A piece waits no longer than this for those before it. Whoever sends one piece after the other on connections that
/// are given up before their next would make all others wait ever longer. With the usual pace, a thousand bodies at
/// once wait half as long.
const MAX_BACKLOG: Duration = Duration::from_secs(1);

/// Gives each piece of a body the time after the piece before it, of whatever body that was. Bodies that come
/// at the same time so have equal shares.
#[derive(Debug)]
pub(super) struct Intake {
    max_bytes_per_second: NonZeroU64,
    free_from: Mutex<Instant>,
}

impl Intake {
    pub(super) fn new(max_bytes_per_second: NonZeroU64) -> Self {
        Self {
            max_bytes_per_second,
            free_from: Mutex::new(Instant::now()),
        }
    }

    /// Takes the time for a piece that has been read. Returns the moment at which its body may be read further,
    /// unless that is now.
    pub(super) fn take(&self, bytes: u64, now: Instant) -> Option<Instant> {
        let seconds = bytes as f64 / self.max_bytes_per_second.get() as f64;
        let mut free_from = self
            .free_from
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let begin = (*free_from).clamp(now, now + MAX_BACKLOG);
        *free_from = begin + Duration::from_secs_f64(seconds);
        (*free_from > now + SLACK).then_some(*free_from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intake(bytes_per_second: u64) -> Intake {
        Intake::new(NonZeroU64::new(bytes_per_second).unwrap())
    }

    /// Reads this many bodies in pieces, each whenever it may. Returns the seconds after which each had so much.
    fn seconds_of(intake: &Intake, bodies: usize, pieces: usize, piece_bytes: u64) -> Vec<f64> {
        let start = Instant::now();
        let mut moments = vec![start; bodies];
        for _ in 0..pieces {
            for moment in &mut moments {
                let next = intake.take(piece_bytes, *moment);
                *moment = next.unwrap_or(*moment);
            }
        }
        let seconds = |moment: Instant| moment.duration_since(start).as_secs_f64();
        moments.into_iter().map(seconds).collect()
    }

    #[test]
    fn a_body_takes_the_time_that_its_bytes_are_worth() {
        let seconds = seconds_of(&intake(1_000_000), 1, 100, 100_000);
        assert!((9.9..10.1).contains(&seconds[0]), "{seconds:?}");
    }

    #[test]
    fn bodies_at_the_same_time_share_it_equally() {
        for seconds in seconds_of(&intake(1_000_000), 10, 100, 10_000) {
            assert!((9.8..10.1).contains(&seconds), "{seconds}");
        }
    }

    #[test]
    fn what_comes_more_slowly_never_waits() {
        let intake = intake(1_000_000);
        let start = Instant::now();
        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            assert_eq!(intake.take(2_000, now), None);
        }
    }

    #[test]
    fn bodies_that_are_given_up_make_nobody_wait_ever_longer() {
        let intake = intake(1_000_000);
        let now = Instant::now();
        for _ in 0..1000 {
            intake.take(64_000, now);
        }
        let next = intake.take(64_000, now);
        assert!(next.is_some_and(|next| next < now + Duration::from_millis(1_100)));
    }

    #[test]
    fn time_in_which_nothing_came_is_not_saved_up() {
        let intake = intake(1_000_000);
        let later = Instant::now() + Duration::from_secs(100);
        let next = intake.take(5_000_000, later);
        assert!(next.is_some_and(|next| next >= later + Duration::from_millis(4_999)));
    }
}
