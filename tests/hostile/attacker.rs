//! Whoever attacks: from an address of the loopback network that other callers do not have.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;

use crate::wire::{Reply, Wire, bare, head};

/// The attacker's address.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

/// Speaks to the victim.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attacker {
    pub(crate) port: u16,
    pub(crate) address: Ipv4Addr,
}

/// What the attacker was answered, and how often.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(BTreeMap<String, usize>);

impl Tally {
    pub(crate) fn add(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    pub(crate) fn add_reply(&mut self, reply: &Reply) {
        self.add(match reply.status {
            0 => "hung up".to_owned(),
            status => status.to_string(),
        });
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (what, count) in other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// Whether this holds for all that was answered.
    pub(crate) fn all(&self, mut is_right: impl FnMut(&str) -> bool) -> bool {
        self.0.keys().all(|what| is_right(what))
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, (what, count)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(formatter, "{comma}{what} ({count}x)")?;
        }
        Ok(())
    }
}

impl Attacker {
    pub(crate) fn new(port: u16) -> Self {
        Self {
            port,
            address: ADDRESS,
        }
    }

    /// The same from another address.
    pub(crate) fn number(self, n: usize) -> Self {
        let [third, fourth] = [1 + (n / 200 % 200) as u8, 1 + (n % 200) as u8];
        Self {
            address: Ipv4Addr::new(127, 1, third, fourth),
            ..self
        }
    }

    pub(crate) fn connect(&self) -> io::Result<Wire> {
        Wire::open(self.address, self.port)
    }

    /// One request with this head and body, and its whole answer.
    pub(crate) fn send(&self, head: &str, body: &[u8]) -> Reply {
        let Ok(mut wire) = self.connect() else {
            return Reply::default();
        };
        // An early answer, such as 413, may stand before all has been sent.
        drop(wire.request(head, body));
        wire.reply()
    }

    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Reply {
        self.send(&head("POST", path, "application/json", body.len()), body)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send(&bare("GET", path), b"")
    }

    /// Does the same on several connections at once.
    pub(crate) fn together(
        &self,
        connections: usize,
        strike: impl Fn(&Self, usize) -> Tally + Sync,
    ) -> Tally {
        let mut all = Tally::default();
        std::thread::scope(|scope| {
            let strike = &strike;
            let strikes: Vec<_> = (0..connections)
                .map(|n| {
                    let builder = std::thread::Builder::new().stack_size(256 * 1024);
                    builder
                        .spawn_scoped(scope, move || strike(self, n))
                        .expect("a thread")
                })
                .collect();
            for strike in strikes {
                all.merge(strike.join().expect("an attack does not panic"));
            }
        });
        all
    }
}

/// The tally of one reply.
impl From<&Reply> for Tally {
    fn from(reply: &Reply) -> Self {
        let mut tally = Self::default();
        tally.add_reply(reply);
        tally
    }
}

impl From<Reply> for Tally {
    fn from(reply: Reply) -> Self {
        Self::from(&reply)
    }
}
