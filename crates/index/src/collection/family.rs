//! The generations of one collection that are written to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwap;

use super::{PlannedGenerations, Writer};
use crate::Error;
use crate::store::{CollectionId, GenerationState};

/// All living generations of a collection. A write of one goes to all, in one batch; whose write it is makes no
/// difference, so one that is exchanged for another while a request goes on stops nobody.
#[derive(Debug, Default)]
pub(crate) struct Family {
    members: ArcSwap<Members>,
    /// Held while a batch is made and applied, so that nobody joins or leaves meanwhile. Always taken before
    /// the state of a writer.
    gate: Mutex<FormerMembers>,
}

/// Those that are written to, the active one first.
#[derive(Debug, Default)]
pub(super) struct Members(Vec<Member>);

#[derive(Debug)]
struct Member {
    id: CollectionId,
    writer: Weak<Writer>,
}

/// Lists of members that others have replaced, as long as a write is planned for them.
#[derive(Debug, Default)]
pub(super) struct FormerMembers(Vec<Weak<Members>>);

impl Members {
    fn of(writers: &[Arc<Writer>]) -> Self {
        let member = |writer: &Arc<Writer>| Member {
            id: writer.reader.id(),
            writer: Arc::downgrade(writer),
        };
        Self(writers.iter().map(member).collect())
    }

    pub(super) fn writers(&self) -> Vec<Arc<Writer>> {
        let writers = self.0.iter().map(|member| &member.writer);
        writers.filter_map(Weak::upgrade).collect()
    }

    fn has(&self, writer: &Writer) -> bool {
        self.0.iter().any(|member| member.id == writer.reader.id())
    }
}

impl Family {
    /// Keeps the members what they are.
    pub(super) fn lock(&self) -> MutexGuard<'_, FormerMembers> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that are written to now, first the one at hand or, if that has been deleted, the active one. Waits for
    /// nobody.
    ///
    /// # Errors
    /// [`Error::CollectionNotFound`] when the whole collection has been deleted.
    pub(super) fn led_by(&self, writer: &Writer) -> Result<PlannedGenerations, Error> {
        let members = self.members.load_full();
        let planned = PlannedGenerations::new(members, writer);
        planned.ok_or_else(|| Error::CollectionNotFound {
            name: writer.reader.name.clone(),
        })
    }

    fn set(&self, former: &mut FormerMembers, writers: &[Arc<Writer>]) {
        let before = self.members.swap(Arc::new(Members::of(writers)));
        former.0.push(Arc::downgrade(&before));
        drop(before);
        former.0.retain(|members| members.strong_count() > 0);
    }

    /// Returns whether writes have not ended that were planned before a member was made. None can be planned any more.
    pub(crate) fn is_awaited_by_writes(&self, writer: &Writer) -> bool {
        let former = self.lock();
        let mut held = former.0.iter().filter_map(Weak::upgrade);
        held.any(|members| !members.has(writer))
    }

    /// Lets another one be written to from the moment when `make` has made it durable.
    ///
    /// # Errors
    /// What `make` fails at; nothing has changed then.
    pub(crate) fn join(
        &self,
        writer: &Arc<Writer>,
        state: GenerationState,
        make: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut gate = self.lock();
        make()?;
        writer.lock_writer().lacks_documents = state.lacks_documents();
        let mut writers = self.members.load().writers();
        writers.push(Arc::clone(writer));
        self.set(&mut gate, &writers);
        Ok(())
    }

    /// Takes a member for the active one, once `activate` has made that durable.
    ///
    /// # Errors
    /// What `activate` fails at; nothing has changed then.
    pub(crate) fn activate(
        &self,
        writer: &Arc<Writer>,
        activate: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut gate = self.lock();
        activate()?;
        let mut writers = self.members.load().writers();
        writers.sort_by_key(|member| !member.is(writer));
        self.set(&mut gate, &writers);
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
        let mut gate = self.lock();
        delete()?;
        let is_leaving = |writer: &Arc<Writer>| leaving.contains(&writer.reader.id());
        let writers = self.members.load().writers();
        let (gone, left): (Vec<_>, Vec<_>) = writers.into_iter().partition(is_leaving);
        for writer in &gone {
            writer.lock_writer().deleted = true;
        }
        self.set(&mut gate, &left);
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
        then()?;
        writer.lock_writer().lacks_documents = false;
        Ok(true)
    }
}
