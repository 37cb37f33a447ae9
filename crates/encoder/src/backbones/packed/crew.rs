//! A team of threads with the buffers that it needs for passes.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::chunks::{self, Plan};
use super::pass::{Model, Output, Pass};
use super::team::{Member, Team};
use super::workspace::{Scratch, Workspace};
use crate::Error;
use crate::backbones::backbone::Pause;
use crate::backbones::packed_batch::PackedBatch;

/// Threads that take batches through a model, one batch at a time.
#[derive(Debug)]
pub(super) struct Crew {
    team: Team,
    /// One for each thread; the first serves all when they work together.
    workspaces: Vec<Mutex<Workspace>>,
    /// One for each thread.
    scratches: Vec<Mutex<Scratch>>,
}

impl Crew {
    /// Threads with the priority of the calling one.
    ///
    /// # Errors
    /// When the operating system gives none.
    pub(super) fn new(threads: usize) -> Result<Self, Error> {
        Ok(Self {
            team: Team::new(threads)?,
            workspaces: (0..threads).map(|_| Mutex::new(Workspace::new())).collect(),
            scratches: (0..threads).map(|_| Mutex::new(Scratch::new())).collect(),
        })
    }

    /// A pass over a batch.
    pub(super) fn run(
        &mut self,
        model: &Model,
        batch: &PackedBatch,
        output: &Output,
        pause: &Pause<'_>,
    ) {
        match chunks::plan(&batch.lengths(), self.team.size()) {
            Plan::Together(chunks) => {
                for texts in chunks {
                    self.together(model, batch, texts, output, pause);
                }
            }
            Plan::Apart(chunks) => self.apart(model, batch, &chunks, output, pause),
        }
    }

    /// All threads work on the same texts.
    fn together(
        &mut self,
        model: &Model,
        batch: &PackedBatch,
        texts: Range<usize>,
        output: &Output,
        pause: &Pause<'_>,
    ) {
        let scratches = &self.scratches;
        let mut workspace = lock(&self.workspaces[0]);
        let pass = Pass::new(model, batch, texts, &mut workspace);
        self.team.run(&|member| {
            let scratch = &mut lock(&scratches[member.rank()]);
            pass.run(member, scratch, output, pause_of(member, pause));
        });
    }

    /// Each thread takes the next chunk until there is none.
    fn apart(
        &mut self,
        model: &Model,
        batch: &PackedBatch,
        chunks: &[Range<usize>],
        output: &Output,
        pause: &Pause<'_>,
    ) {
        let (workspaces, scratches) = (&self.workspaces, &self.scratches);
        let next = AtomicUsize::new(0);
        self.team.run(&|member| {
            let mut workspace = lock(&workspaces[member.rank()]);
            let mut scratch = lock(&scratches[member.rank()]);
            while let Some(texts) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                let pass = Pass::new(model, batch, texts.clone(), &mut workspace);
                pass.run(&Member::ALONE, &mut scratch, output, pause);
            }
        });
    }
}

/// One thread pauses for all that work on the same texts: the others wait for it.
fn pause_of<'a>(member: &Member<'_>, pause: &'a Pause<'a>) -> &'a Pause<'a> {
    if member.rank() == 0 { pause } else { &|| {} }
}

/// What these hold is overwritten by every pass, so one that panicked does no harm.
pub(super) fn lock<T>(buffers: &Mutex<T>) -> MutexGuard<'_, T> {
    buffers.lock().unwrap_or_else(PoisonError::into_inner)
}
