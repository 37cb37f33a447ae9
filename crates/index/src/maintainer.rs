//! The one background thread of an index: it freezes heads and merges segments.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Cancel;
use crate::collection::{Collection, Step};
use crate::drops::Drops;
use crate::health::Health;

/// All collections of an index by name.
pub(crate) type Collections = RwLock<BTreeMap<String, Arc<Collection>>>;

/// Pause between two looks at collections that nobody rings for.
const LOOK_PAUSE: Duration = Duration::from_secs(5);
/// Pause after work has failed, for example on a full disk.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// Wakes the background thread.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    has_rung: Mutex<bool>,
    changed: Condvar,
    closing: Cancel,
}

/// Why the thread woke up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Woken {
    /// Somebody has work.
    Rung,
    /// Nobody had, for the whole pause.
    Quiet,
    /// The index is closed.
    Closing,
}

impl Bell {
    /// Says that there is work.
    pub(crate) fn ring(&self) {
        *self.lock() = true;
        self.changed.notify_all();
    }

    fn close(&self) {
        self.closing.cancel();
        self.ring();
    }

    fn wait(&self) -> Woken {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), LOOK_PAUSE, |has_rung| !*has_rung);
        let mut has_rung = waited.unwrap_or_else(PoisonError::into_inner).0;
        match (self.closing.is_cancelled(), std::mem::take(&mut *has_rung)) {
            (true, _) => Woken::Closing,
            (false, true) => Woken::Rung,
            (false, false) => Woken::Quiet,
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.has_rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running thread. Dropping it stops the work and waits for the thread's end.
#[derive(Debug)]
pub(crate) struct Maintainer {
    bell: Arc<Bell>,
    collections: Arc<Collections>,
    thread: Option<JoinHandle<()>>,
}

impl Maintainer {
    /// Starts the thread, which looks at all collections at once.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start(
        bell: Arc<Bell>,
        collections: Arc<Collections>,
        drops: Arc<Drops>,
        health: Arc<Health>,
    ) -> std::io::Result<Self> {
        let (ringing, looked_at) = (Arc::clone(&bell), Arc::clone(&collections));
        let thread = std::thread::Builder::new()
            .name("index-maintainer".to_owned())
            .spawn(move || run(&ringing, &looked_at, &drops, &health))?;
        Ok(Self {
            bell,
            collections,
            thread: Some(thread),
        })
    }
}

impl Drop for Maintainer {
    fn drop(&mut self) {
        self.bell.close();
        let collections = all(&self.collections);
        collections
            .iter()
            .for_each(|collection| collection.stop_maintenance());
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the index's background thread had panicked");
        }
        for collection in collections {
            if let Err(error) = collection.remember() {
                tracing::warn!(collection = collection.name(), %error, "the next start will take longer");
            }
        }
    }
}

fn run(bell: &Bell, collections: &Collections, drops: &Drops, health: &Health) {
    let _running = health.thread();
    crate::step_back();
    run_rounds(bell, |woken| {
        let goes_on = || !bell.closing.is_cancelled();
        let cleared = health.survive("removing deleted collections", || drops.retry(goes_on));
        let mut succeeded = cleared == Some(true);
        for collection in all(collections) {
            let is_idle = woken == Woken::Quiet && collection.is_idle();
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
            bell.closing.wait(RETRY_PAUSE);
        }
        woken = bell.wait();
    }
}

/// Does all work that a collection has now. Whether it succeeded.
pub(crate) fn work_off(collection: &Collection, is_idle: bool) -> bool {
    loop {
        match collection.maintain(is_idle) {
            Ok(Step::Worked) => {}
            Ok(Step::Nothing) => return true,
            Err(error) => {
                tracing::warn!(collection = collection.name(), %error, "background work was not done");
                return false;
            }
        }
    }
}

fn all(collections: &Collections) -> Vec<Arc<Collection>> {
    let collections = collections.read().unwrap_or_else(PoisonError::into_inner);
    collections.values().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_that_rings_before_the_wait_is_heard() {
        let bell = Bell::default();
        bell.ring();
        assert_eq!(bell.wait(), Woken::Rung);
        bell.ring();
        bell.close();
        assert!(bell.closing.wait(RETRY_PAUSE));
        assert_eq!(bell.wait(), Woken::Closing);
    }
}
