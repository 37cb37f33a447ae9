//! Being told to stop, and ending in time whatever else happens.
//!
//! Signals are waited for on a thread with a runtime of its own, so that neither a blocked worker
//! nor a hung disk keeps the process from noticing them and from ending.

use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Part of the grace that is kept for what must be done after the last request: a quarter, and not
/// more than this. A forward pass in progress and a flush take less.
const MAX_RESERVE: Duration = Duration::from_secs(5);

/// Why the process is to end at once, with whatever is still going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForcedEnd {
    /// `server.shutdown_grace_ms` have passed since the first signal.
    GraceIsOver,
    /// A second signal came; its number.
    SecondSignal(u8),
}

impl ForcedEnd {
    /// Returns the exit code: 3 after the grace, and 128 plus its number after a second signal, as
    /// shells count.
    pub fn exit_code(self) -> i32 {
        match self {
            Self::GraceIsOver => 3,
            Self::SecondSignal(number) => 128 + i32::from(number),
        }
    }
}

/// The end of the service, as told by a signal.
#[derive(Debug, Clone)]
pub(crate) struct StopSignal {
    told: watch::Receiver<Option<Stop>>,
}

/// A signal has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop {
    /// When requests that are still in progress are dropped.
    pub(crate) requests_until: Instant,
    /// When the process ends.
    pub(crate) ends_at: Instant,
}

impl StopSignal {
    /// Listens for SIGTERM and Ctrl-C from now on. After the first, `end` is called when the grace
    /// is over, or at the second signal.
    ///
    /// # Errors
    /// When the system gives no thread or no signals.
    pub(crate) fn listen(grace: Duration, end: fn(ForcedEnd)) -> io::Result<Self> {
        let (tell, told) = watch::channel(None);
        let (listening, is_listening) = mpsc::channel();
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                match runtime {
                    Ok(runtime) => runtime.block_on(guard(grace, end, &tell, &listening)),
                    Err(error) => drop(listening.send(Err(error))),
                }
            })?;
        is_listening.recv().map_err(io::Error::other)??;
        Ok(Self { told })
    }

    /// Completes when a signal has come.
    pub(crate) async fn told(&mut self) -> Stop {
        match self.told.wait_for(Option::is_some).await {
            Ok(stop) => stop.unwrap_or_else(|| Stop::after(Duration::ZERO)),
            // The thread has ended without a signal, which only a panic could do.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Stop {
    /// With so much time from now on.
    pub(crate) fn after(grace: Duration) -> Self {
        let ends_at = Instant::now() + grace;
        Self {
            requests_until: ends_at - (grace / 4).min(MAX_RESERVE),
            ends_at,
        }
    }
}

async fn guard(
    grace: Duration,
    end: fn(ForcedEnd),
    tell: &watch::Sender<Option<Stop>>,
    listening: &mpsc::Sender<io::Result<()>>,
) {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return drop(listening.send(Err(error))),
    };
    drop(listening.send(Ok(())));
    signals.next().await;
    let stop = Stop::after(grace);
    tell.send_replace(Some(stop));
    let how = match tokio::time::timeout_at(stop.ends_at.into(), signals.next()).await {
        Ok(number) => ForcedEnd::SecondSignal(number),
        Err(_) => ForcedEnd::GraceIsOver,
    };
    tracing::error!(
        exit_code = how.exit_code(),
        "{}",
        match how {
            ForcedEnd::GraceIsOver =>
                "server.shutdown_grace_ms are over and not everything has ended; ending all the same",
            ForcedEnd::SecondSignal(_) => "a second signal; ending at once",
        }
    );
    end(how);
}

/// SIGTERM and Ctrl-C.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Returns the number of the next signal.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> u8 {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_get_most_of_the_grace() {
        let stop = Stop::after(Duration::from_secs(25));
        assert_eq!(stop.ends_at - stop.requests_until, MAX_RESERVE);
        let stop = Stop::after(Duration::from_secs(2));
        assert_eq!(
            stop.ends_at - stop.requests_until,
            Duration::from_millis(500)
        );
    }

    #[test]
    fn exit_codes_tell_how_it_ended() {
        assert_eq!(ForcedEnd::GraceIsOver.exit_code(), 3);
        assert_eq!(ForcedEnd::SecondSignal(15).exit_code(), 143);
    }
}
