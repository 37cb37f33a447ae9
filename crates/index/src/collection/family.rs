//! The generations of one collection that are written to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwap;

use super::Writer;
use crate::Error;
use crate::store::CollectionId;

/// All living generations of a collection. A write of one goes to all, in one batch; whose write it is makes no
/// difference, so one that is exchanged for another while a request goes on stops nobody.
#[derive(Debug, Default)]
pub(crate) struct Family {
    members: ArcSwap<Vec<Weak<Writer>>>,
    /// Held while a batch is made and applied, so that nobody joins or leaves meanwhile. Always taken before
    /// the state of a writer.
    gate: Mutex<()>,
}

impl Family {
    /// Keeps the members what they are.
    pub(super) fn lock(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that are written to now. Waits for nobody.
    pub(super) fn members(&self) -> Vec<Arc<Writer>> {
        self.members
            .load()
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }

    /// All but one.
    pub(super) fn others(&self, writer: &Writer) -> Vec<Arc<Writer>> {
        let mut others = self.members();
        others.retain(|other| !other.is(writer));
        others
    }

    fn set(&self, members: &[Arc<Writer>]) {
        self.members
            .store(Arc::new(members.iter().map(Arc::downgrade).collect()));
    }

    /// Lets another one be written to from the moment when `make` has made it durable.
    ///
    /// # Errors
    /// What `make` fails at; nothing has changed then.
    pub(crate) fn join(
        &self,
        writer: &Arc<Writer>,
        make: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let _gate = self.lock();
        make()?;
        let mut members = self.members();
        members.push(Arc::clone(writer));
        self.set(&members);
        Ok(())
    }

    /// Marks members as deleted, so that late writers fail, once `delete` has made that durable. Writers
    /// wait meanwhile. When it fails, they go on as if nothing had been tried.
    ///
    /// # Errors
    /// What `delete` fails at.
    pub(crate) fn retire(
        &self,
        leaving: &[CollectionId],
        delete: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let gate = self.lock();
        delete()?;
        let is_leaving = |writer: &Arc<Writer>| leaving.contains(&writer.reader.id());
        let (gone, left): (Vec<_>, Vec<_>) = self.members().into_iter().partition(is_leaving);
        for writer in &gone {
            writer.lock_writer().deleted = true;
        }
        self.set(&left);
        drop(gate);
        for writer in gone {
            writer.stop_maintenance();
        }
        Ok(())
    }

    /// Does something when a member holds as many documents as another, and none is written meanwhile. Returns
    /// whether it did.
    ///
    /// # Errors
    /// What `then` fails at.
    pub(crate) fn when_complete(
        &self,
        writer: &Writer,
        source: &Writer,
        then: impl FnOnce() -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let _gate = self.lock();
        let documents = |writer: &Writer| writer.lock_writer().staged.vectors.documents();
        if documents(writer) != documents(source) {
            return Ok(false);
        }
        then().map(|()| true)
    }
}
