//! All open connections, and who is let in when there are too many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::connection::{Connection, Dispensable, Phase, Purpose};
use super::intake::Intake;
use super::limits::ConnectionLimits;
use super::peer::Peer;
use crate::metrics::{self, ConnectionEnd};

/// Connections over the limits that are answered all the same, for probes and metrics; everything
/// else is refused on them. The number bounds memory and open files, and has no need of a setting:
/// the oldest gives way to a new one, so that a probe always gets in.
const MAX_PROBE_CONNECTIONS: usize = 32;

/// The open connections of a service. Cloning is cheap; all clones are one table.
#[derive(Debug, Clone)]
pub(crate) struct Connections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: ConnectionLimits,
    intake: Arc<Intake>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    open: HashMap<u64, Arc<Connection>>,
    peers: HashMap<Peer, usize>,
    probes: usize,
    next_id: u64,
}

/// A place in the table, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Connections,
    connection: Arc<Connection>,
}

impl Deref for Place {
    type Target = Arc<Connection>;

    fn deref(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.connection);
    }
}

impl Connections {
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        Self(Arc::new(Inner {
            intake: Arc::new(Intake::new(limits.max_bytes_per_second)),
            limits,
            table: Mutex::default(),
        }))
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.lock().open.len()
    }

    pub(super) fn limits(&self) -> &ConnectionLimits {
        &self.0.limits
    }

    pub(super) fn intake(&self) -> &Arc<Intake> {
        &self.0.intake
    }

    /// A place for a new connection. When there are too many, one that does nothing or crawls is
    /// closed for it; when all are at work, the new one gets a place for probes.
    pub(super) fn enter(&self, address: IpAddr) -> Place {
        let mut table = self.lock();
        let purpose = table.purpose(address, self.limits());
        let id = table.next_id;
        table.next_id += 1;
        let connection = Arc::new(Connection::new(id, address, purpose));
        table.insert(Arc::clone(&connection));
        Place {
            connections: self.clone(),
            connection,
        }
    }

    /// Closes the connection that deserves it most, among those that hold up others by doing
    /// nothing or crawling. Returns whether there was one.
    pub(crate) fn close_slowest(&self) -> bool {
        let limits = self.limits();
        self.lock()
            .evict(limits, ConnectionEnd::Evicted, |connection, how| {
                matches!(how, Dispensable::Slow { .. }) && connection.purpose == Purpose::Everything
            })
    }

    /// Closes a connection that is not at work, so that its open file can be used again.
    pub(super) fn close_idle(&self) -> bool {
        let limits = self.limits();
        let evicted = ConnectionEnd::Evicted;
        self.lock().evict(limits, evicted, |_, _| true)
    }

    /// Closes what has no request in progress, and lets the others end after theirs.
    pub(super) fn drain(&self) {
        for connection in self.lock().open.values() {
            match connection.phase() {
                Phase::Waiting { .. } | Phase::Head { .. } => connection.close.notify_one(),
                Phase::Exchange | Phase::Flushing => connection.drain.notify_one(),
            }
        }
    }

    /// Closes all, whatever they do. Returns how many there were.
    pub(super) fn close_all(&self) -> usize {
        let table = self.lock();
        for connection in table.open.values() {
            connection.close.notify_one();
        }
        table.open.len()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn purpose(&mut self, address: IpAddr, limits: &ConnectionLimits) -> Purpose {
        if self.has_room(address, limits) {
            return Purpose::Everything;
        }
        if self.probes >= MAX_PROBE_CONNECTIONS {
            self.evict(limits, ConnectionEnd::OverLimit, |connection, _| {
                connection.purpose == Purpose::Probes
            });
        }
        Purpose::Probes
    }

    /// Makes room where it can.
    fn has_room(&mut self, address: IpAddr, limits: &ConnectionLimits) -> bool {
        let (peer, evicted) = (Peer::of(address), ConnectionEnd::Evicted);
        let of_peer = self.peers.get(&peer).copied().unwrap_or_default();
        if limits.counts(address) && of_peer >= limits.max_per_peer {
            let is_theirs = |connection: &Connection| {
                connection.peer() == peer && connection.purpose == Purpose::Everything
            };
            return self.evict(limits, evicted, |connection, _| is_theirs(connection));
        }
        self.open.len() - self.probes < limits.max_connections
            || self.evict(limits, evicted, |connection, _| {
                connection.purpose == Purpose::Everything
            })
    }

    /// Closes the most dispensable of those that `is_candidate` accepts.
    fn evict(
        &mut self,
        limits: &ConnectionLimits,
        end: ConnectionEnd,
        is_candidate: impl Fn(&Connection, Dispensable) -> bool,
    ) -> bool {
        let (min, now) = (limits.upload.min_bytes_per_second, Instant::now());
        let candidates = self.open.values().filter_map(|connection| {
            let how = connection.dispensable(min, now)?;
            is_candidate(connection, how).then_some((how, connection))
        });
        let worst = candidates.min_by(|(one, _), (other, _)| {
            one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal)
        });
        let Some((_, worst)) = worst else {
            return false;
        };
        let worst = Arc::clone(worst);
        worst.close.notify_one();
        self.remove(&worst);
        metrics::connection_ended(end);
        true
    }

    fn insert(&mut self, connection: Arc<Connection>) {
        match connection.purpose {
            Purpose::Everything => *self.peers.entry(connection.peer()).or_default() += 1,
            Purpose::Probes => self.probes += 1,
        }
        self.open.insert(connection.id, connection);
        metrics::open_connections(self.open.len());
    }

    /// Does nothing the second time.
    fn remove(&mut self, connection: &Connection) {
        if self.open.remove(&connection.id).is_none() {
            return;
        }
        match connection.purpose {
            Purpose::Everything => {
                if let Some(count) = self.peers.get_mut(&connection.peer()) {
                    *count -= 1;
                    if *count == 0 {
                        self.peers.remove(&connection.peer());
                    }
                }
            }
            Purpose::Probes => self.probes -= 1,
        }
        metrics::open_connections(self.open.len());
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::time::Duration;

    use super::*;
    use crate::connections::pace::PaceLimit;

    fn connections(max_connections: usize, max_per_peer: usize) -> Connections {
        let pace = PaceLimit {
            min_bytes_per_second: 100,
            window: Duration::from_secs(10),
        };
        Connections::new(ConnectionLimits {
            max_connections,
            max_per_peer,
            uncounted_peers: vec!["10.0.0.0/8".parse().unwrap()],
            header_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(60),
            upload: pace,
            download: pace,
            max_bytes_per_second: NonZeroU64::MAX,
        })
    }

    fn enter(connections: &Connections, address: &str) -> Place {
        connections.enter(address.parse().unwrap())
    }

    fn at_work(place: Place) -> Place {
        place.has_read(1);
        place.begin_exchange(true);
        place
    }

    fn is_closed(place: &Place) -> bool {
        !place.connections.lock().open.contains_key(&place.id)
    }

    #[test]
    fn a_silent_connection_gives_way_to_a_new_one() {
        let connections = connections(2, 9);
        let busy = at_work(enter(&connections, "1.1.1.1"));
        let silent = enter(&connections, "1.1.1.2");
        let new = enter(&connections, "1.1.1.3");
        assert_eq!(new.purpose, Purpose::Everything);
        assert!(is_closed(&silent) && !is_closed(&busy) && !is_closed(&new));
    }

    #[test]
    fn when_all_are_at_work_a_new_one_is_there_for_probes_only() {
        let connections = connections(1, 9);
        let busy = at_work(enter(&connections, "1.1.1.1"));
        let probe = enter(&connections, "1.1.1.1");
        assert_eq!(probe.purpose, Purpose::Probes);
        drop(busy);
        let next = enter(&connections, "1.1.1.1");
        assert_eq!(next.purpose, Purpose::Everything);
    }

    #[test]
    fn the_oldest_connection_for_probes_gives_way() {
        let connections = connections(1, 9);
        let _busy = at_work(enter(&connections, "1.1.1.1"));
        let probes: Vec<_> = (0..=MAX_PROBE_CONNECTIONS)
            .map(|_| enter(&connections, "1.1.1.1"))
            .collect();
        assert!(is_closed(&probes[0]));
        assert!(probes[1..].iter().all(|probe| !is_closed(probe)));
    }

    #[test]
    fn one_peer_is_bounded_and_others_are_not_touched_for_it() {
        let connections = connections(9, 2);
        let other = enter(&connections, "1.1.1.2");
        let one = at_work(enter(&connections, "1.1.1.1"));
        let two = at_work(enter(&connections, "1.1.1.1"));
        let three = enter(&connections, "1.1.1.1");
        assert_eq!(three.purpose, Purpose::Probes);
        assert!(!is_closed(&other) && !is_closed(&one) && !is_closed(&two));
    }

    #[test]
    fn loopback_and_the_peers_in_the_settings_are_not_counted() {
        let connections = connections(9, 1);
        for address in ["127.0.0.1", "::1", "10.1.2.3"] {
            let places = [0; 3].map(|_| at_work(enter(&connections, address)));
            assert!(
                places
                    .iter()
                    .all(|place| place.purpose == Purpose::Everything)
            );
        }
    }

    #[test]
    fn connections_that_have_ended_leave_nothing_behind() {
        let connections = connections(1, 1);
        for _ in 0..5 {
            let busy = at_work(enter(&connections, "1.1.1.1"));
            let probe = enter(&connections, "1.1.1.1");
            drop((busy, probe));
        }
        let table = connections.lock();
        assert!(table.open.is_empty() && table.peers.is_empty() && table.probes == 0);
    }
}
