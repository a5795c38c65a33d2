//! What is done with the connections, one phase to a process, so that each one's memory is seen alone.

use super::pauses::{CLOCKS, thread_cpu_time};
use super::rig::Room;
use super::{Pauses, Rig, memory, resident_bytes};
use std::time::Duration;
use synfin_engine::tcp::Keepalive;

/// Idle connections of the rig that the other one is compared with.
const FEW: u32 = 10_000;
/// Exchanges in each round of the comparison, and rounds.
const EXCHANGES: u32 = 20_000;
const ROUNDS: usize = 15;
/// Connections that come and go before memory is looked at for the first time.
const WARM_UP: u32 = 20_000;

/// Virtual time of a turn while half-open records expire.
const TURN: Duration = Duration::from_micros(20);

/// One measured figure.
#[derive(Clone, PartialEq, Debug)]
pub struct Figure {
    pub what: String,
    pub value: f64,
    pub unit: &'static str,
}

/// Figures of a phase, printed as they come.
#[derive(Default)]
pub struct Figures(pub Vec<Figure>);

impl Figures {
    pub(super) fn add(&mut self, what: impl Into<String>, value: f64, unit: &'static str) {
        let figure = Figure { what: what.into(), value, unit };
        println!("{},{:.3},{}", figure.what, figure.value, figure.unit);
        self.0.push(figure);
    }

    fn add_pauses(&mut self, what: &str, pauses: &Pauses) {
        self.add(format!("{what}: turns"), pauses.turns() as f64, "turns");
        self.add(format!("{what}: turns disturbed by other threads"), pauses.disturbed() as f64, "turns");
        self.add(format!("{what}: page faults"), pauses.page_faults() as f64, "faults");
        for (clock, values) in CLOCKS.iter().zip(pauses.quantiles_us()) {
            for (quantile, value) in ["p50", "p99", "p99.9", "max"].iter().zip(values) {
                self.add(format!("{what}: turn {quantile} ({clock})"), value, "us");
            }
        }
    }

    fn add_bytes_each(&mut self, what: &str, before: u64, after: u64, records: u64) {
        self.add(what, (after as f64 - before as f64) / records as f64, "bytes");
    }
}

pub(super) fn exchange(rig: &mut Rig, connections: u32) -> (Pauses, Pauses) {
    let (mut client, mut server) = (Pauses::default(), Pauses::default());
    rig.client.app_mut().exchanges_left += connections;
    while !rig.client.app().is_idle() || rig.under_way() > 0 {
        rig.turn(&mut client, &mut server);
    }
    (client, server)
}

/// Opens idle connections; panics when some do not open.
pub(super) fn open(rig: &mut Rig, connections: u32, client: &mut Pauses, server: &mut Pauses) {
    rig.client.app_mut().idle_left = connections;
    while !rig.client.app().is_idle() || rig.under_way() > 0 {
        rig.turn(client, server);
    }
    assert_eq!((rig.client.app().opened, rig.server.live().0), (connections, connections), "all are open");
}

/// Lets the shards give back what they need no more, as they do while there is nothing else to do, and the allocator what was
/// freed: it does that some time later, when it is used again.
fn settle(rig: &mut Rig) {
    while rig.has_work() {
        rig.turn(&mut Pauses::default(), &mut Pauses::default());
    }
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(100));
        exchange(rig, 100);
    }
}

/// Idle connections: memory, the rate beside them, and a server that resets them all.
pub fn idle(connections: u32) -> Figures {
    let mut figures = Figures::default();
    for time in ["first", "second"] {
        figures.add(format!("longest first touch of 64 huge pages, {time} time"), memory::huge_page_us(), "us");
    }
    let mut few = Rig::new(&Room::for_idle(FEW));
    open(&mut few, FEW, &mut Pauses::default(), &mut Pauses::default());
    let mut many = Rig::new(&Room::for_idle(connections));
    exchange(&mut few, WARM_UP);
    exchange(&mut many, WARM_UP);
    let before = resident_bytes();
    let (mut client, mut server) = (Pauses::default(), Pauses::default());
    open(&mut many, connections, &mut client, &mut server);
    let ends = 2 * u64::from(connections);
    figures.add_bytes_each("idle connection and end", before, resident_bytes(), ends);
    figures.add_pauses("opening (client)", &client);
    figures.add_pauses("opening (server)", &server);
    few.let_timers_run_out();
    many.let_timers_run_out();
    compare(&mut few, &mut many, connections, &mut figures);
    let (mut aborting, mut client, mut server) = (Pauses::default(), Pauses::default(), Pauses::default());
    while many.server.live().0 > 0 || many.client.live().0 > 0 {
        // As fast as the client takes it: frames are no more than the pool has.
        if many.under_way() == 0 {
            many.server_abort_turn(&mut aborting);
        }
        many.turn(&mut client, &mut server);
    }
    assert_eq!(many.client.app().torn, u64::from(connections), "all were reset");
    figures.add_pauses("server resets all (server)", &aborting);
    figures.add_pauses("server resets all (client)", &client);
    settle(&mut many);
    figures.add_bytes_each("left when all are gone, per connection and end", before, resident_bytes(), ends);
    figures
}

/// Rounds of exchanges beside few and beside many idle connections, in turns.
fn compare(few: &mut Rig, many: &mut Rig, connections: u32, figures: &mut Figures) {
    let mut rates = [Vec::new(), Vec::new()];
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let [beside_few, beside_many] = [&mut *few, &mut *many].map(|rig| {
            let before = thread_cpu_time();
            exchange(rig, EXCHANGES);
            f64::from(EXCHANGES) / thread_cpu_time().saturating_sub(before).as_secs_f64()
        });
        rates[0].push(beside_few);
        rates[1].push(beside_many);
        ratios.push(beside_many / beside_few);
    }
    for (idle, rates) in [FEW, connections].iter().zip(&rates) {
        let what = format!("exchanges beside {idle} idle connections (median of {ROUNDS})");
        figures.add(what, crate::results::median(rates), "1/s of CPU time, both ends");
    }
    figures.add("ratio of the two (median of rounds)", crate::results::median(&ratios), "1");
    assert_eq!(few.client.app().failed + many.client.app().failed, 0, "no exchange failed");
}

/// Idle connections whose peer is gone: keepalive finds out for all of them at once.
pub fn keepalive(connections: u32) -> Figures {
    let mut figures = Figures::default();
    let (mut client, mut server) = (Pauses::default(), Pauses::default());
    time_all_out(connections, &mut client, &mut server);
    figures.add_pauses("keepalive of all expires (server)", &server);
    figures.add_pauses("keepalive of all expires (client)", &client);
    figures
}

pub(super) fn time_all_out(connections: u32, client: &mut Pauses, server: &mut Pauses) {
    const IDLE: Duration = Duration::from_secs(3600);
    let interval = Duration::from_secs(10);
    let room = Room { keepalive: Some(Keepalive { idle: IDLE, interval, probes: 1 }), ..Room::for_idle(connections) };
    let mut rig = Rig::new(&room);
    open(&mut rig, connections, &mut Pauses::default(), &mut Pauses::default());
    rig.connected = false;
    rig.now = rig.now + IDLE;
    while rig.server.live().0 > 0 || rig.client.live().0 > 0 {
        rig.skip_idle_time();
        rig.turn(client, server);
    }
    assert_eq!(rig.server.app().torn, u64::from(connections), "all timed out");
}

/// How long TIME-WAIT lasts while the records are made.
const TIME_WAIT_LIFE: Duration = Duration::from_secs(36_000);

/// For TIME-WAIT records only.
pub(super) fn room_for_time_wait(records: u32) -> Room {
    Room {
        connections: 100_000,
        time_wait: records,
        idle_tuples: 1,
        exchange_tuples: records,
        time_wait_life: TIME_WAIT_LIFE,
        ..Room::for_idle(0)
    }
}

/// TIME-WAIT records: memory, how they are made, and how they all expire.
pub fn time_wait(records: u32) -> Figures {
    let mut figures = Figures::default();
    let mut rig = Rig::new(&room_for_time_wait(records));
    let warm_up = WARM_UP.min(records / 2);
    exchange(&mut rig, warm_up);
    let before = resident_bytes();
    let (client, server) = exchange(&mut rig, records - warm_up);
    assert_eq!(rig.server.live(), (0, 0, records), "every connection left a record");
    figures.add_bytes_each("TIME-WAIT record", before, resident_bytes(), u64::from(records - warm_up));
    figures.add_pauses("entering TIME-WAIT (server)", &server);
    figures.add_pauses("entering TIME-WAIT (client)", &client);
    let mut pauses = Pauses::default();
    expire_time_wait(&mut rig, &mut pauses);
    figures.add_pauses("TIME-WAIT of all expires (server)", &pauses);
    settle(&mut rig);
    figures.add_bytes_each("left when all are gone, per record", before, resident_bytes(), u64::from(records));
    figures
}

pub(super) fn expire_time_wait(rig: &mut Rig, server: &mut Pauses) {
    let mut client = Pauses::default();
    rig.now = rig.now + TIME_WAIT_LIFE;
    while rig.server.live().2 > 0 {
        rig.skip_idle_time();
        rig.turn(&mut client, server);
    }
}

/// Half-open connections of a flood: memory, and how they all expire.
pub fn half_open(records: u32) -> Figures {
    let mut figures = Figures::default();
    let room = Room { connections: 1_000, half_open: records, idle_tuples: records, ..Room::for_idle(0) };
    let mut rig = Rig::new(&room);
    exchange(&mut rig, WARM_UP);
    let mut flooding = Pauses::default();
    let before = resident_bytes();
    // The SYN,ACKs go to stations that never answer.
    rig.connected = false;
    let mut left = records;
    while left > 0 || rig.under_way() > 0 {
        rig.flood(&mut left);
        rig.server_turn(&mut flooding);
    }
    assert_eq!(rig.server.live().1, records, "every SYN left a record");
    figures.add_bytes_each("half-open record", before, resident_bytes(), u64::from(records));
    figures.add_pauses("SYN flood (server)", &flooding);
    let mut pauses = Pauses::default();
    while rig.server.live().1 > 0 {
        rig.skip_idle_time();
        rig.now = rig.now + TURN;
        rig.server_turn(&mut pauses);
    }
    figures.add_pauses("half-open records expire (server)", &pauses);
    rig.connected = true;
    settle(&mut rig);
    figures.add_bytes_each("left when all are gone, per record", before, resident_bytes(), u64::from(records));
    figures
}
