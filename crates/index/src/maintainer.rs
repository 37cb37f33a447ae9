//! The one background thread of an index: it freezes heads and merges segments.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::bell::{Bell, Woken};
use crate::collection::{Collection, Step};
use crate::collections::Collections;
use crate::health::Health;
use crate::store::Store;

/// Pause after work has failed, for example on a full disk.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// The running thread. Dropping it stops the work and waits for the thread's end.
#[derive(Debug)]
pub(crate) struct Maintainer {
    bell: Arc<Bell>,
    collections: Arc<Collections>,
    store: Arc<Store>,
    thread: Option<JoinHandle<()>>,
}

impl Maintainer {
    /// Starts the thread, which compares the record with its tally if that is due, and then looks at all collections
    /// at once.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start(
        bell: Arc<Bell>,
        collections: Arc<Collections>,
        store: &Arc<Store>,
        health: Arc<Health>,
    ) -> std::io::Result<Self> {
        let (ringing, looked_at) = (Arc::clone(&bell), Arc::clone(&collections));
        let checked = Arc::clone(store);
        let thread = std::thread::Builder::new()
            .name("index-maintainer".to_owned())
            .spawn(move || run(&ringing, &looked_at, &checked, &health))?;
        Ok(Self {
            bell,
            collections,
            store: Arc::clone(store),
            thread: Some(thread),
        })
    }
}

impl Drop for Maintainer {
    fn drop(&mut self) {
        self.bell.close();
        let collections = self.collections.all_generations();
        collections
            .iter()
            .for_each(|collection| collection.writer().stop_maintenance());
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the index's background thread had panicked");
        }
        if self.store.is_unchecked() || self.store.is_damaged() {
            // What was loaded of it may lack passages, which would be remembered as removed.
            return;
        }
        for collection in collections {
            if let Err(error) = collection.writer().remember() {
                tracing::warn!(collection = collection.name(), %error, "the next start will take longer");
            }
        }
    }
}

fn run(bell: &Bell, collections: &Collections, store: &Store, health: &Health) {
    let _running = health.thread();
    let check = || {
        health.survive("reading the record", || {
            store.check_contents(bell.closing())
        })
    };
    check();
    crate::step_back();
    run_rounds(bell, |woken| {
        // Segments of a record that lacks something would lack it as well.
        if !matches!(check(), Some(Ok(()))) {
            return false;
        }
        let goes_on = || !bell.closing().is_cancelled();
        let cleared = health.survive("removing deleted collections", || {
            collections.drops().retry(goes_on)
        });
        let mut succeeded = cleared == Some(true);
        for collection in collections.all_generations() {
            let is_idle = woken == Woken::Quiet && collection.writer().is_idle();
            let worked = health.survive("building segments", || work_off(&collection, is_idle));
            succeeded &= worked == Some(true);
        }
        succeeded
    });
}

/// Does a round of work whenever somebody rings or nobody does for a while. One that did not
/// succeed is followed by a pause, so that what fails at once is not tried all the time.
fn run_rounds(bell: &Bell, mut round: impl FnMut(Woken) -> bool) {
    let mut woken = Woken::Rung;
    while woken != Woken::Closing {
        if !round(woken) {
            // Whatever rings: what fails at once is not tried all the time.
            bell.closing().wait(RETRY_PAUSE);
        }
        woken = bell.wait();
    }
}

/// Does all work that a collection has now. Returns whether it succeeded.
pub(crate) fn work_off(collection: &Collection, is_idle: bool) -> bool {
    loop {
        match collection.writer().maintain(is_idle) {
            Ok(Step::Worked) => {}
            Ok(Step::Nothing) => return true,
            Err(error) => {
                tracing::warn!(collection = collection.name(), %error, "background work was not done");
                return false;
            }
        }
    }
}
