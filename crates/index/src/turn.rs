//! Letting others have the core in long work.

/// Lets others have the core when the present thread has computed for a while since it last did so or began with
/// the work of this number. Short work never does: it would wait for longer work that runs beside it.
#[cfg(unix)]
pub(crate) fn give_way(work: usize) {
    unix::give_way(work);
}

/// Other systems decide for themselves.
#[cfg(not(unix))]
pub(crate) fn give_way(_work: usize) {}

#[cfg(unix)]
mod unix {
    use std::cell::Cell;
    use std::thread;
    use std::time::{Duration, Instant};

    use rustix::time::{ClockId, clock_gettime};

    /// How long work computes before it lets others have the core. Linux would give it the whole time until the next
    /// tick of its clock, 4 ms, and a search that finds both cores busy waits for several such ticks, one after
    /// another.
    const TURN: Duration = Duration::from_micros(300);

    /// The turn of a thread.
    #[derive(Clone, Copy)]
    struct Turn {
        work: usize,
        /// When this was looked at last: a look at the thread's own clock takes some time itself.
        seen: Instant,
        /// What the thread's clock said when the turn began.
        began: Duration,
    }

    thread_local! {
        static TURN_OF_THREAD: Cell<Option<Turn>> = const { Cell::new(None) };
    }

    pub(super) fn give_way(work: usize) {
        let seen = Instant::now();
        let turn = match TURN_OF_THREAD.get() {
            Some(turn) if turn.work == work => turn,
            _ => {
                let began = computed();
                TURN_OF_THREAD.set(Some(Turn { work, seen, began }));
                return;
            }
        };
        if seen.duration_since(turn.seen) < TURN {
            return;
        }
        let computed = computed();
        let is_over = computed.saturating_sub(turn.began) >= TURN;
        if is_over {
            thread::yield_now();
        }
        TURN_OF_THREAD.set(Some(Turn {
            work,
            seen: Instant::now(),
            began: if is_over { computed } else { turn.began },
        }));
    }

    /// How long the present thread has computed, waiting not included.
    fn computed() -> Duration {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::try_from(time).unwrap_or_default()
    }
}
