//! Attacks on one victim, one after another, and the verdict on all of them.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::attacker::{Attacker, Tally};
use crate::figures::{Figures, Weight};
use crate::form;
use crate::probes::Probes;
use crate::process::Process;
use crate::victim::Victim;

/// Attackers take what is left of the CPU: on their own machines they would take none of it.
const ATTACKERS_NICENESS: i32 = 19;

/// Measurements beside each other would measure each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
/// What was begun and is of no use to anybody any more has ended after this time.
const QUIET_WITHIN: Duration = Duration::from_secs(60);

/// A victim and what has been found out.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) victim: Victim,
    restart: fn() -> Victim,
    faults: Vec<String>,
    quiet_after: Option<Duration>,
    _turn: MutexGuard<'static, ()>,
}

impl Trial {
    /// Of a victim that is started anew by `start` when an attack has stopped it.
    pub(crate) fn new(start: fn() -> Victim) -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            victim: start(),
            restart: start,
            faults: Vec::new(),
            quiet_after: None,
            _turn: turn,
        }
    }

    /// Repeats one attack for [`form::repeat_time`].
    pub(crate) fn repeat(
        &mut self,
        name: &str,
        weight: Weight,
        strike: impl Fn(&Attacker) -> Tally + Send + Sync,
    ) -> Tally {
        self.once(name, weight, |attacker| {
            let until = Instant::now() + form::repeat_time();
            let mut answered = strike(attacker);
            while Instant::now() < until {
                answered.merge(strike(attacker));
            }
            answered
        })
    }

    /// Measures one attack, which is as long as it is.
    pub(crate) fn once(
        &mut self,
        name: &str,
        weight: Weight,
        strike: impl FnOnce(&Attacker) -> Tally + Send,
    ) -> Tally {
        let figures = self.measure(name, weight, strike);
        let faults = figures.faults();
        self.note(figures, faults)
    }

    /// As [`Trial::once`] for a process that cannot serve others meanwhile: it only has to recover.
    pub(crate) fn once_beyond_limits(
        &mut self,
        name: &str,
        weight: Weight,
        strike: impl FnOnce(&Attacker) -> Tally + Send,
    ) -> Tally {
        let figures = self.measure(name, weight, strike);
        let faults = figures.lasting_faults();
        self.note(figures, faults)
    }

    fn note(&mut self, figures: Figures, faults: Vec<String>) -> Tally {
        report(&figures);
        let name = &figures.name;
        self.quiet_after = figures.quiet_after_s.map(Duration::from_secs_f64);
        let faults = faults.into_iter();
        self.faults
            .extend(faults.map(|fault| format!("{name}: {fault}")));
        if figures.recovered.is_err() {
            self.victim = (self.restart)();
        }
        figures.answered
    }

    fn measure(
        &mut self,
        name: &str,
        weight: Weight,
        strike: impl FnOnce(&Attacker) -> Tally + Send,
    ) -> Figures {
        let (process, port) = (self.victim.process(), self.victim.server.port());
        let idle = watch(process, port, form::idle_time());
        let memory = process.memory();
        process.forget_peak();
        let probes = Probes::start(process, port);
        let started_at = Instant::now();
        let answered = from_elsewhere(|| strike(&self.victim.attacker()));
        let seconds = started_at.elapsed().as_secs_f64();
        let waits = probes.stop();
        let quiet = process.time_until_quiet(QUIET_WITHIN);
        let recovered = self.victim.recovered();
        let peak = process.peak_memory().max(waits.memory);
        Figures {
            name: name.to_owned(),
            weight,
            // A process that was ended has no peak any more, only what was seen of it.
            peak_over_idle: peak.saturating_sub(memory),
            kept_over_idle: process.memory().saturating_sub(memory),
            idle,
            waits,
            answered,
            seconds,
            quiet_after_s: quiet.map(|time| time.as_secs_f64()),
            recovered,
        }
    }

    /// Notes something else that is wrong.
    pub(crate) fn expect(&mut self, is_right: bool, otherwise: &str) {
        if !is_right {
            eprintln!("    {otherwise}");
            self.faults.push(otherwise.to_owned());
        }
    }

    /// How long the process worked on after the last attack.
    pub(crate) fn quiet_after(&self) -> Option<Duration> {
        self.quiet_after
    }

    pub(crate) fn process(&self) -> Process {
        self.victim.process()
    }

    /// Fails the test if anything was wrong.
    #[track_caller]
    pub(crate) fn verdict(self) {
        assert!(self.faults.is_empty(), "\n{}", self.faults.join("\n"));
    }
}

fn watch(process: Process, port: u16, time: Duration) -> crate::probes::Waits {
    let probes = Probes::start(process, port);
    std::thread::sleep(time);
    probes.stop()
}

fn report(figures: &Figures) {
    eprintln!("{}", figures.line());
    let Some(table) = form::table() else { return };
    let is_new = !table.exists();
    let mut options = fs_err::OpenOptions::new();
    let mut file = options
        .create(true)
        .append(true)
        .open(table)
        .expect("the table");
    if is_new {
        writeln!(file, "{}", Figures::HEAD).expect("write the table");
    }
    writeln!(file, "{}", figures.line()).expect("write the table");
}

/// On a thread of low priority, which those that it starts have as well.
fn from_elsewhere<T: Send>(attack: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let attack = scope.spawn(|| {
            rustix::process::setpriority_process(None, ATTACKERS_NICENESS)
                .expect("a thread may lower its priority");
            attack()
        });
        attack.join().expect("an attack does not panic")
    })
}
