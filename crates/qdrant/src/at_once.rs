//! Two calls to the cluster at the same time.

use std::panic::resume_unwind;
use std::thread;

use siamese_index::Error;

/// Does two things at once that wait for the cluster, which takes as long as the longer one. A thread costs a hundredth of what a
/// call does.
///
/// # Errors
/// That of the first one that failed; otherwise that of the other.
pub(crate) fn at_once<A: Send, B>(
    one: impl FnOnce() -> Result<A, Error> + Send,
    other: impl FnOnce() -> Result<B, Error>,
) -> Result<(A, B), Error> {
    thread::scope(|scope| {
        let one = thread::Builder::new()
            .name("qdrant-search".to_owned())
            .spawn_scoped(scope, one)?;
        let other = other();
        let one = one.join().unwrap_or_else(|panic| resume_unwind(panic));
        Ok((one?, other?))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn both_are_done_at_once_and_an_error_of_either_is_told() {
        let meeting = Barrier::new(2);
        let met = at_once(
            || Ok(meeting.wait().is_leader()),
            || Ok(meeting.wait().is_leader()),
        );
        let (one, other) = met.unwrap();
        assert_ne!(one, other);
        let failed = || {
            Err::<(), _>(Error::ClusterFailed {
                detail: "it".to_owned(),
            })
        };
        assert!(at_once(failed, || Ok(())).is_err());
        assert!(at_once(|| Ok(()), failed).is_err());
    }
}
