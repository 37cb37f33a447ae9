//! The process that trains: started, listened to, and ended.

use std::io::{BufRead, BufReader, Read, Write};
use std::num::NonZeroUsize;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use siamese_index::Cancel;

use super::order::{END_LEARNING, TrainingFailure, TrainingMessage, TrainingOrder};
use crate::error::{ApiError, ErrorCode};

/// Time between two looks at whether the process may go on.
const LOOK: Duration = Duration::from_millis(100);
/// Messages that may wait to be read.
const MESSAGES_AHEAD: usize = 64;
/// Bytes of a message; reports of a hundred epochs have fewer.
const MAX_MESSAGE_BYTES: u64 = 1 << 20;
/// A training that was told to end may take so much more of its time to measure what it has learned.
const TIME_TO_END: u32 = 2;

/// Between the last that a process says and its end.
const TIME_TO_CRASH: Duration = Duration::from_secs(2);

/// Makes a command that becomes a training process.
type MakeCommand = dyn Fn() -> std::io::Result<Command> + Send + Sync;

/// Starts training processes.
#[derive(Clone)]
pub(crate) struct StartTrainer(Arc<MakeCommand>);

impl std::fmt::Debug for StartTrainer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("StartTrainer")
    }
}

/// What a training may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Then it learns no more.
    pub(super) max_time: Duration,
    pub(super) max_memory_bytes: u64,
}

/// What came of a training.
#[derive(Debug)]
pub(super) struct Trained {
    pub(super) report: Value,
    /// Whether it was ended when its time was over.
    pub(super) is_cut_short: bool,
}

/// A process that is ended with this.
struct TrainingProcess {
    child: Child,
    input: Option<ChildStdin>,
    messages: Receiver<TrainingMessage>,
}

impl StartTrainer {
    pub(crate) fn new(make: impl Fn() -> std::io::Result<Command> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// Has a process train, and shows its messages to `hear`.
    ///
    /// # Errors
    /// What the process fails at, more time or memory than there may be, or the end of the job.
    pub(super) fn train(
        &self,
        order: &TrainingOrder,
        bounds: Bounds,
        cancel: &Cancel,
        hear: &mut dyn FnMut(&TrainingMessage),
    ) -> Result<Trained, ApiError> {
        let process = self.start(order);
        let mut process = process.map_err(|error| {
            ApiError::internal(format!("a training process could not be started: {error}"))
        })?;
        process.watch(bounds, cancel, hear)
    }

    fn start(&self, order: &TrainingOrder) -> std::io::Result<TrainingProcess> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let mut child = (self.0)()?
            // Queries do best on a core whose caches nobody else has used.
            .env("RAYON_NUM_THREADS", (cores - 1).max(1).to_string())
            // candle's threads would take the cores from those that multiply while they have nothing to do.
            .env("CANDLE_BARRIER_POOL_SPIN_LIMIT", "100")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (sender, messages) = sync_channel(MESSAGES_AHEAD);
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let mut process = TrainingProcess {
            child,
            input,
            messages,
        };
        // One that has ended already has said why, or is found to have crashed.
        process
            .tell(&serde_json::to_string(order)?)
            .unwrap_or_default();
        if let Some(output) = output {
            let mut output = BufReader::new(output);
            let thread = std::thread::Builder::new().name("trainer-output".to_owned());
            thread.spawn(move || {
                while let Some(message) = message(&mut output) {
                    if sender.send(message).is_err() {
                        break;
                    }
                }
            })?;
        }
        Ok(process)
    }
}

/// The next message; none after the last, or after what is none.
fn message(output: &mut impl BufRead) -> Option<TrainingMessage> {
    let mut line = Vec::new();
    let mut bounded = output.by_ref().take(MAX_MESSAGE_BYTES);
    bounded.read_until(b'\n', &mut line).ok()?;
    serde_json::from_slice(&line).ok()
}

impl TrainingProcess {
    fn tell(&mut self, line: &str) -> std::io::Result<()> {
        match &mut self.input {
            Some(input) => writeln!(input, "{line}").and_then(|()| input.flush()),
            None => Ok(()),
        }
    }

    fn watch(
        &mut self,
        bounds: Bounds,
        cancel: &Cancel,
        hear: &mut dyn FnMut(&TrainingMessage),
    ) -> Result<Trained, ApiError> {
        let (started, mut is_cut_short) = (Instant::now(), false);
        loop {
            cancel.check()?;
            self.check_memory(bounds.max_memory_bytes)?;
            let taken = started.elapsed();
            if taken > bounds.max_time.saturating_mul(TIME_TO_END) {
                let minutes = bounds.max_time.as_secs() / 60;
                let detail = format!(
                    "the training was told to end after max_minutes = {minutes}, and has not ended after \
                     twice that time; fewer pairs, or a larger max_minutes, may help"
                );
                return Err(ApiError::new(ErrorCode::Timeout, detail));
            }
            if taken > bounds.max_time && !is_cut_short {
                is_cut_short = true;
                // One that has just ended does not listen any more.
                self.tell(END_LEARNING).unwrap_or_default();
            }
            match self.messages.recv_timeout(LOOK) {
                Ok(TrainingMessage::Done(report)) => {
                    return Ok(Trained {
                        report,
                        is_cut_short,
                    });
                }
                Ok(TrainingMessage::Failed(failure)) => return Err(failed(failure)),
                Ok(message) => hear(&message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.crashed()),
            }
        }
    }

    /// The process says no more, and has said no last message.
    fn crashed(&mut self) -> ApiError {
        let began = Instant::now();
        let ending = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break ending(status),
                Ok(None) if began.elapsed() < TIME_TO_CRASH => std::thread::sleep(LOOK),
                Ok(None) => break "it said what is no message".to_owned(),
                Err(error) => break error.to_string(),
            }
        };
        ApiError::internal(format!("a training process failed: {ending}"))
    }

    fn check_memory(&self, max_bytes: u64) -> Result<(), ApiError> {
        let bytes = resident_bytes(self.child.id()).unwrap_or_default();
        if bytes <= max_bytes {
            return Ok(());
        }
        let detail = format!(
            "the training took more than training.max_memory_bytes = {max_bytes}; a smaller mini_batch_size \
             or max_tokens, or lora_rank, takes less"
        );
        Err(ApiError::new(ErrorCode::MemoryFull, detail))
    }
}

impl Drop for TrainingProcess {
    fn drop(&mut self) {
        // It has ended already, or is not needed any more.
        self.child.kill().unwrap_or_default();
        let _ = self.child.wait();
    }
}

fn failed(failure: TrainingFailure) -> ApiError {
    match failure.is_bad_input {
        true => ApiError::new(ErrorCode::InvalidRequest, failure.reason),
        false => ApiError::internal(failure.reason),
    }
}

/// Memory of a process that is not shared out to the disk; nothing where that cannot be told.
fn resident_bytes(process: u32) -> Option<u64> {
    let status = fs_err::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(unix)]
fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        // As the system does when there is no more memory.
        Some(9) => "signal 9: out of memory, or somebody has killed it".to_owned(),
        Some(signal) => format!("signal {signal}"),
        None => status.to_string(),
    }
}

#[cfg(not(unix))]
fn ending(status: ExitStatus) -> String {
    status.to_string()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::super::order::Learning;
    use super::*;

    const BOUNDS: Bounds = Bounds {
        max_time: Duration::from_secs(60),
        max_memory_bytes: u64::MAX,
    };

    /// What comes of a process that runs these lines of a shell.
    fn train(
        script: &'static str,
        bounds: Bounds,
        cancel: &Cancel,
    ) -> (Result<Trained, ApiError>, usize) {
        let trainer = StartTrainer::new(move || {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            Ok(command)
        });
        let order = TrainingOrder {
            model: "m".into(),
            examples: "e".into(),
            output: "o".into(),
            learning: Learning {
                epochs: 1,
                batch_size: None,
                max_pass_bytes: None,
                lora_rank: None,
                mini_batch_size: None,
                learning_rate: None,
                loss: None,
                held_out: None,
                patience: None,
                max_tokens: None,
                seed: 1,
                device: "cpu".to_owned(),
            },
        };
        let mut heard = 0;
        let outcome = trainer.train(&order, bounds, cancel, &mut |_| heard += 1);
        (outcome, heard)
    }

    fn refused(script: &'static str, bounds: Bounds) -> (ErrorCode, String) {
        let error = train(script, bounds, &Cancel::default()).0.unwrap_err();
        (error.code(), error.detail().to_owned())
    }

    #[test]
    fn a_process_gets_its_order_and_says_what_came_of_it() {
        let script = r#"read order
            case "$order" in *'"output":"o"'*) ;; *) exit 1;; esac
            echo '"measuring"'
            echo '{"step":{"done":1,"steps":2,"loss":0.5,"tokens":3}}'
            echo '{"done":{"best_epoch":1}}'"#;
        let (outcome, heard) = train(script, BOUNDS, &Cancel::default());
        let trained = outcome.unwrap();
        assert_eq!((heard, trained.is_cut_short), (2, false));
        assert_eq!(trained.report["best_epoch"], 1);
    }

    #[test]
    fn a_process_that_fails_crashes_or_takes_too_much_is_an_error_with_its_reason() {
        let bad = r#"echo '{"failed":{"is_bad_input":true,"reason":"too few examples"}}'"#;
        let (code, detail) = refused(bad, BOUNDS);
        assert_eq!(
            (code, detail.as_str()),
            (ErrorCode::InvalidRequest, "too few examples")
        );
        for script in ["exit 3", "kill -9 $$", "echo nonsense; exec sleep 60"] {
            assert_eq!(refused(script, BOUNDS).0, ErrorCode::Internal, "{script}");
        }
        #[cfg(target_os = "linux")]
        {
            let little = Bounds {
                max_memory_bytes: 1,
                ..BOUNDS
            };
            let (code, detail) = refused("read order; read more", little);
            assert_eq!(code, ErrorCode::MemoryFull);
            assert!(detail.contains("training.max_memory_bytes = 1"), "{detail}");
        }
    }

    #[test]
    fn a_process_is_told_to_end_when_its_time_is_over_and_ended_when_it_does_not() {
        let short = Bounds {
            max_time: Duration::from_millis(300),
            ..BOUNDS
        };
        let listens = r#"read order; read word; [ "$word" = end ] && echo '{"done":{}}'"#;
        let (outcome, _) = train(listens, short, &Cancel::default());
        assert!(outcome.unwrap().is_cut_short);
        let started = Instant::now();
        assert_eq!(refused("exec sleep 60", short).0, ErrorCode::Timeout);
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_cancelled_training_ends_its_process() {
        let cancel = Cancel::default();
        cancel.cancel();
        let started = Instant::now();
        assert!(train("exec sleep 60", BOUNDS, &cancel).0.is_err());
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
