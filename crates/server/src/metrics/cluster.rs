//! Metrics of calls to the cluster that keeps the documents, if one does.

use metrics::{counter, describe_counter, describe_histogram, histogram};

const CALL_SECONDS: &str = "siamese_cluster_call_duration_seconds";
const CALLS: &str = "siamese_cluster_calls_total";
const RETRIES: &str = "siamese_cluster_retries_total";
/// Labels of kinds of calls, and of what becomes of them.
const KINDS: [&str; 2] = ["read", "write"];
const OUTCOMES: [&str; 3] = ["answered", "failed", "refused"];

pub(super) fn describe() {
    describe_histogram!(
        CALL_SECONDS,
        "Duration of calls to the cluster that were answered, waits and repetitions included, by kind"
    );
    describe_counter!(
        CALLS,
        "Calls to the cluster, by kind and outcome; those that were refused have not been made, because too many had failed"
    );
    describe_counter!(
        RETRIES,
        "Times a call to the cluster was made again, at another node or later, by kind"
    );
}

pub(super) fn start_at_zero() {
    for kind in KINDS {
        drop(histogram!(CALL_SECONDS, "kind" => kind));
        counter!(RETRIES, "kind" => kind).absolute(0);
        for outcome in OUTCOMES {
            counter!(CALLS, "kind" => kind, "outcome" => outcome).absolute(0);
        }
    }
}

/// A call that has ended.
#[cfg(feature = "qdrant")]
pub(crate) fn cluster_called(call: &siamese_qdrant::ClusterCall) {
    use siamese_qdrant::CallOutcome;
    let kind = call.kind.label();
    if call.outcome == CallOutcome::Answered {
        histogram!(CALL_SECONDS, "kind" => kind).record(call.took.as_secs_f64());
    }
    counter!(RETRIES, "kind" => kind).increment(u64::from(call.attempts.saturating_sub(1)));
    counter!(CALLS, "kind" => kind, "outcome" => call.outcome.label()).increment(1);
}

#[cfg(all(test, feature = "qdrant"))]
mod tests {
    use siamese_qdrant::{CallKind, CallOutcome};

    use super::*;

    #[test]
    fn every_call_has_a_series_from_the_start() {
        assert_eq!(CallKind::ALL.map(CallKind::label), KINDS);
        assert_eq!(CallOutcome::ALL.map(CallOutcome::label), OUTCOMES);
    }
}
