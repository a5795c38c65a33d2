//! Two shards joined in memory, in virtual time: what TCP itself costs, and nothing else.
//!
//! Frames change hands without being copied, through a link without loss; one pool serves both ends. The clock goes
//! at [`NS_PER_CONNECTION`], so that timers and TIME-WAIT records expire at the same pace as connections begin: after
//! [`WARM_UP`] connections nothing grows any more.

use super::{Client, Family, Form, SERVER_PORT, Server};
use std::time::Duration;
use synfin_engine::base::{Backlog, Counters, Event, Frame, FramePool, Instant};
use synfin_engine::io::sim::{End, MemoryLink};
use synfin_engine::shard::{App, Cx, LocalNet, Shard, ShardConfig};
use synfin_engine::wire::{Addr, Mac};

/// Virtual time that passes for each connection: 100,000 connections a second.
pub const NS_PER_CONNECTION: u64 = 10_000;
/// 2MSL in virtual time: 1,000 TIME-WAIT records.
const TIME_WAIT: Duration = Duration::from_millis(10);
/// Connections until the oldest timers (the first RTO, 1 s) have expired once.
pub const WARM_UP: u64 = 110_000;
/// Idle connections of the runs that have any.
pub const IDLE: u32 = 10_000;
/// Frames that one end may send in a turn.
const BURST_FRAMES: usize = 1024;
/// Turns without any connection completing after which a run is given up.
const TURNS_MAX_WITHOUT_PROGRESS: u32 = 1_000_000;

const MAC_A: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
const MAC_B: Mac = Mac([2, 0, 0, 0, 0, 0xb]);

/// What is to be run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    pub form: Form,
    pub family: Family,
    pub in_flight: u32,
    /// Established connections beside them that say nothing.
    pub idle: u32,
}

impl Run {
    /// Every form and family, one at a time and 256 in flight; and the shortest form among many idle connections.
    pub fn all() -> Vec<Run> {
        let runs = |form| Family::ALL.map(|family| [1, 256].map(|in_flight| Run { form, family, in_flight, idle: 0 }));
        let idle = [1, 256].map(|in_flight| Run { form: Form::Six, family: Family::V4, in_flight, idle: IDLE });
        Form::ALL.into_iter().flat_map(runs).flatten().chain(idle).collect()
    }

    pub fn name(&self) -> String {
        let Run { form, family, in_flight, idle } = self;
        format!("{} {} {in_flight} in flight {idle} idle", form.name(), family.name())
    }
}

/// Packets and connections so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    pub completed: u64,
    pub failed: u64,
    pub from_client: u64,
    pub from_server: u64,
}

pub struct Rig {
    run: Run,
    client: Shard<Client>,
    server: Shard<Server>,
    link: MemoryLink,
    pool: FramePool,
    now: Instant,
    turn_ns: u64,
    rx: Vec<Frame>,
    tx: Vec<Frame>,
    packets: [u64; 2],
}

fn config(mac: Mac, addr: Addr, peer: (Addr, Mac)) -> ShardConfig {
    let prefix_len = if addr.is_v4() { 24 } else { 64 };
    let mut config = ShardConfig::new(mac, vec![LocalNet { first: addr, count: 1, prefix_len, exclusive: true }]);
    config.static_neighbours = vec![peer];
    config.tcp.time_wait = TIME_WAIT;
    config
}

impl Rig {
    pub fn new(run: Run) -> Rig {
        let (a, b) = match run.family {
            Family::V4 => (Addr::v4([198, 18, 0, 1]), Addr::v4([198, 18, 0, 2])),
            Family::V6 => {
                let host = |n| Addr([0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n]);
                (host(1), host(2))
            }
        };
        let now = Instant::from_nanos(1_000_000_000_000);
        let client = Client::new(run.form, a, 1, b, run.in_flight);
        let mut server = Shard::new(config(MAC_B, b, (a, MAC_A)), Server::new(run.form), now);
        server.listen(SERVER_PORT);
        let mut rig = Rig {
            run,
            client: Shard::new(config(MAC_A, a, (b, MAC_B)), client, now),
            server,
            link: MemoryLink::new(),
            pool: FramePool::heap(4 * BURST_FRAMES as u32, 2048),
            now,
            turn_ns: NS_PER_CONNECTION * u64::from(run.in_flight) / run.form.turns(),
            rx: Vec::with_capacity(BURST_FRAMES),
            tx: Vec::with_capacity(BURST_FRAMES),
            packets: [0; 2],
        };
        rig.open_idle();
        rig
    }

    /// Opens the connections that stay idle; their packets are not counted.
    fn open_idle(&mut self) {
        self.client.app_mut().idle_wanted = self.run.idle;
        for _ in 0..TURNS_MAX_WITHOUT_PROGRESS {
            if self.client.app().idle == self.run.idle && self.link.is_empty() {
                break;
            }
            self.turn();
        }
        assert_eq!(self.client.live().0, self.run.idle, "idle connections of the client");
        assert_eq!(self.server.live().0, self.run.idle, "idle connections of the server");
        self.packets = [0; 2];
    }

    /// Begins `connections` more and runs until all of them are over.
    ///
    /// # Panics
    /// When no connection completes any more.
    pub fn complete(&mut self, connections: u64) {
        self.client.app_mut().limit += connections;
        let mut turns_without_progress = 0;
        while !self.client.app().is_idle() || !self.link.is_empty() {
            let before = self.client.app().completed;
            self.turn();
            turns_without_progress = if self.client.app().completed > before { 0 } else { turns_without_progress + 1 };
            assert!(
                turns_without_progress < TURNS_MAX_WITHOUT_PROGRESS,
                "{:?} came to a halt: {:?}",
                self.run,
                self.tally()
            );
        }
    }

    /// One turn of both poll loops.
    fn turn(&mut self) {
        self.now = self.now.plus_nanos(self.turn_ns);
        let Rig { client, server, link, pool, rx, tx, packets, now, .. } = self;
        packets[0] += turn(client, End::A, link, pool, (rx, tx), *now);
        packets[1] += turn(server, End::B, link, pool, (rx, tx), *now);
    }

    pub fn tally(&self) -> Tally {
        let (client, server) = (self.client.app(), self.server.app());
        Tally {
            completed: client.completed.min(server.completed),
            failed: client.failed + server.failed,
            from_client: self.packets[0],
            from_server: self.packets[1],
        }
    }

    /// Whether every connection so far took exactly the packets of its form, none of them twice, and went to a TIME-WAIT
    /// record; else what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let tally = self.tally();
        let begun = self.client.app().begun;
        let (from_client, from_server) = self.run.form.packets();
        let want =
            Tally { completed: begun, failed: 0, from_client: begun * from_client, from_server: begun * from_server };
        if tally != want {
            return Err(format!("{:?}: expected {want:?}, counted {tally:?}", self.run));
        }
        let sum = |event| self.client.counters().count(event) + self.server.counters().count(event);
        let repeated = sum(Event::Retransmits) + sum(Event::SynRetransmits);
        let dropped = self.client.counters().dropped_total() + self.server.counters().dropped_total();
        let time_wait = sum(Event::TimeWaitEntered);
        if (repeated, dropped, time_wait) != (0, 0, begun) {
            return Err(format!("{:?}: {repeated} repeated, {dropped} dropped, {time_wait} in TIME-WAIT", self.run));
        }
        Ok(())
    }

    /// Counters of the client's and of the server's shard.
    pub fn counters(&self) -> (&Counters, &Counters) {
        (self.client.counters(), self.server.counters())
    }
}

/// One turn of one poll loop; returns how many packets it sent.
#[inline]
fn turn<A: App>(
    shard: &mut Shard<A>,
    end: End,
    link: &mut MemoryLink,
    pool: &mut FramePool,
    (rx, tx): (&mut Vec<Frame>, &mut Vec<Frame>),
    now: Instant,
) -> u64 {
    link.receive(end, rx);
    // The link hands vectors on; those that come back the first time are empty ones.
    tx.reserve(BURST_FRAMES);
    let mut cx = Cx { now, backlog: Backlog::None, pool, tx };
    shard.ingest(rx, &mut cx);
    shard.expire(&mut cx);
    shard.poll_app(&mut cx);
    shard.emit(&mut cx);
    let sent = tx.len() as u64;
    link.send(end, tx);
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_takes_its_packets_exactly_and_leaves_one_time_wait_record() {
        for run in Run::all() {
            let mut rig = Rig::new(run);
            rig.complete(2_000);
            assert_eq!(rig.check(), Ok(()));
        }
    }

    #[test]
    fn what_a_connection_leaves_behind_expires_at_the_pace_of_the_clock() {
        let run = Run { form: Form::Six, family: Family::V4, in_flight: 256, idle: 0 };
        let mut rig = Rig::new(run);
        rig.complete(5_000);
        let expected = TIME_WAIT.as_nanos() as u64 / NS_PER_CONNECTION;
        let (_, _, time_wait) = rig.server.live();
        assert!(u64::from(time_wait) <= 2 * expected, "{time_wait} records");
        assert_eq!(rig.pool.available(), rig.pool.capacity());
    }

    #[test]
    fn a_connection_that_takes_more_packets_is_noticed() {
        let mut rig = Rig::new(Run { form: Form::Six, family: Family::V4, in_flight: 1, idle: 0 });
        rig.complete(10);
        rig.packets[0] += 1;
        assert!(rig.check().is_err());
    }
}
