//! A server that is offered more connections than it can take: what it takes up it finishes, and what is too much it turns away
//! before that has cost anything. In virtual time, on a core that needs some time for each frame, behind a ring.

use std::collections::VecDeque;
use synfin_engine::base::{Backlog, DropReason, Event, Frame, FramePool, Instant, Rng};
use synfin_engine::shard::{App, CloseReason, Conn, Connect, Cx, Net, Payload, Shard};
use synfin_engine::wire::Addr;
use synfin_tests::pair::{ADDR_A, ADDR_B, MAC_A, configs};

/// What the server's core needs to read a frame, to carry out what it brings, and to send one: that is the dearest, since the
/// kernel takes part in it.
const READ_NS: u64 = 3_000;
const HANDLE_NS: u64 = 7_000;
const SEND_NS: u64 = 30_000;
/// The time of a turn in which there is nothing to do.
const TURN_NS: u64 = 5_000;
/// A connection is three frames each way.
const CAPACITY: f64 = 1e9 / (3 * (READ_NS + HANDLE_NS + SEND_NS)) as f64;
/// What the core can do in a few hundredths of a second, as on a real machine.
const RING_FRAMES: usize = 2048;
const BURST_FRAMES: usize = 64;
const LOCALS: u32 = 16;

/// How a client decides when to begin a connection.
#[derive(Clone, Copy)]
enum Plan {
    /// So many a second, come what may.
    Open(f64),
    /// So many at a time.
    Closed(u64),
}

/// Asks once on each connection, and closes when it is answered.
struct Asker {
    plan: Plan,
    start: Instant,
    begun: u64,
    over: u64,
    graceful: u64,
}

impl App for Asker {
    type Conn = ();

    fn connected(&mut self, conn: &mut Conn<'_, ()>) {
        conn.send(Payload::Static(&[7; 100])).expect("room");
    }

    fn data(&mut self, _conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        bytes.len()
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, ()>) {
        conn.close();
    }

    fn closed(&mut self, (): (), why: CloseReason, _now: Instant) {
        self.over += 1;
        self.graceful += u64::from(why == CloseReason::Graceful);
    }

    fn poll(&mut self, net: &mut Net<'_, ()>) {
        let due = match self.plan {
            Plan::Open(rate) => (net.now().nanos_since(self.start) as f64 / 1e9 * rate) as u64,
            Plan::Closed(at_a_time) => self.over + at_a_time,
        };
        while self.begun < due {
            let (local, port) = (self.begun % u64::from(LOCALS), 1024 + self.begun / u64::from(LOCALS) % 60_000);
            let (local, local_port) = (ADDR_A.plus(16 + local as u32), port as u16);
            net.connect(Connect { local, local_port, remote: ADDR_B, remote_port: 80 }, ()).expect("a connection");
            self.begun += 1;
        }
    }
}

/// Answers and closes.
struct Answerer;

impl App for Answerer {
    type Conn = ();

    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        conn.send(Payload::Static(&[9; 100])).expect("room");
        conn.close();
        bytes.len()
    }
}

struct World {
    client: Shard<Asker>,
    server: Shard<Answerer>,
    pools: [FramePool; 2],
    ring: VecDeque<Vec<u8>>,
    lost: u64,
    /// The server is told how much waits.
    sheds: bool,
    /// Frames of no use to anybody: so many a second, and so many until now.
    flood: f64,
    flooded: u64,
    start: Instant,
    now: Instant,
    dice: Rng,
}

fn bytes_of(tx: &mut Vec<Frame>, pool: &mut FramePool) -> Vec<Vec<u8>> {
    let bytes = tx.iter().map(|frame| frame.bytes().to_vec()).collect();
    tx.drain(..).for_each(|frame| pool.free(frame));
    bytes
}

fn frame_of(bytes: &[u8], pool: &mut FramePool) -> Frame {
    let mut frame = pool.alloc().expect("a free frame");
    assert!(frame.set_len(bytes.len()));
    frame.bytes_mut().copy_from_slice(bytes);
    frame
}

impl World {
    fn new(plan: Plan, sheds: bool) -> World {
        let (mut a, mut b) = configs();
        (a.locals[0].first, a.locals[0].count) = (ADDR_A.plus(16), LOCALS);
        b.static_neighbours = (0..LOCALS).map(|i| -> (Addr, _) { (ADDR_A.plus(16 + i), MAC_A) }).collect();
        let now = Instant::from_nanos(1_000_000_000_000);
        let asker = Asker { plan, start: now, begun: 0, over: 0, graceful: 0 };
        let mut server = Shard::new(b, Answerer, now);
        server.listen(80);
        let pools = [FramePool::heap(16_384, 2048), FramePool::heap(4_096, 2048)];
        let (client, ring, dice) = (Shard::new(a, asker, now), VecDeque::new(), Rng::new(1));
        World { client, server, pools, ring, lost: 0, sheds, flood: 0.0, flooded: 0, start: now, now, dice }
    }

    /// The client is on a core that has time for everything; the link takes none.
    fn client_turn(&mut self, came: &[Vec<u8>]) {
        let mut due = self.flood_due();
        let pool = &mut self.pools[0];
        let mut rx: Vec<Frame> = came.iter().map(|bytes| frame_of(bytes, pool)).collect();
        loop {
            let mut tx = Vec::with_capacity(1024);
            let mut cx = Cx { now: self.now, backlog: Backlog::None, pool, tx: &mut tx };
            self.client.ingest(&mut rx, &mut cx);
            self.client.expire(&mut cx);
            self.client.poll_app(&mut cx);
            self.client.emit(&mut cx);
            let is_last = tx.is_empty() && self.client.next_deadline(self.now).is_none_or(|at| at > self.now);
            let mut sent = bytes_of(&mut tx, pool);
            sent.append(&mut due);
            // They came at any time of the server's turn.
            while !sent.is_empty() {
                let bytes = sent.swap_remove(self.dice.below(sent.len() as u64) as usize);
                if self.ring.len() < RING_FRAMES { self.ring.push_back(bytes) } else { self.lost += 1 }
            }
            if is_last {
                return;
            }
        }
    }

    /// What of the flood came during the server's turn.
    fn flood_due(&mut self) -> Vec<Vec<u8>> {
        let until_now = (self.now.nanos_since(self.start) as f64 / 1e9 * self.flood) as u64;
        let due = until_now - self.flooded;
        self.flooded = until_now;
        (0..due).map(|_| vec![0; 60]).collect()
    }

    /// Returns what the server has sent.
    fn server_turn(&mut self) -> Vec<Vec<u8>> {
        let (mut tx, shed, pool) = (Vec::with_capacity(4 * BURST_FRAMES), self.shed(), &mut self.pools[1]);
        let burst = self.ring.len().min(BURST_FRAMES);
        let mut rx: Vec<Frame> = self.ring.drain(..burst).map(|bytes| frame_of(&bytes, pool)).collect();
        let backlog = if self.sheds { Backlog::of(self.ring.len(), RING_FRAMES) } else { Backlog::None };
        let mut cx = Cx { now: self.now, backlog, pool, tx: &mut tx };
        self.server.ingest(&mut rx, &mut cx);
        self.server.expire(&mut cx);
        self.server.poll_app(&mut cx);
        self.server.emit(&mut cx);
        let sent = bytes_of(&mut tx, pool);
        let (read, handled) = (burst as u64, burst as u64 - (self.shed() - shed));
        let took_ns = read * READ_NS + handled * HANDLE_NS + sent.len() as u64 * SEND_NS;
        self.now = self.now.plus_nanos(took_ns.max(TURN_NS));
        sent
    }

    fn run(&mut self, nanos: u64) {
        let end = self.now.plus_nanos(nanos);
        while self.now < end {
            let sent = self.server_turn();
            self.client_turn(&sent);
        }
    }

    /// Connections that are answered and closed in a second, as a part of what the core could do, once all is in full
    /// swing.
    fn goodput(&mut self) -> f64 {
        self.run(1_500_000_000);
        let (before, began) = (self.client.app().graceful, self.now);
        self.run(3_000_000_000);
        let done = (self.client.app().graceful - before) as f64;
        done / (self.now.nanos_since(began) as f64 / 1e9) / CAPACITY
    }

    /// Segments other than SYNs.
    fn sent_again(&self) -> u64 {
        [self.client.counters(), self.server.counters()].map(|c| c.count(Event::Retransmits)).iter().sum()
    }

    fn shed(&self) -> u64 {
        self.server.counters().dropped(DropReason::SynShed)
    }
}

fn run(plan: Plan, sheds: bool) -> (World, f64) {
    let mut world = World::new(plan, sheds);
    let goodput = world.goodput();
    println!("goodput {goodput:.3}, {} shed, {} lost, {} sent again", world.shed(), world.lost, world.sent_again());
    (world, goodput)
}

#[test]
fn twice_the_connections_that_a_server_can_take_do_not_keep_it_from_finishing_what_it_took() {
    let offered = Plan::Open(2.0 * CAPACITY);
    let (world, goodput) = run(offered, true);
    assert!(goodput > 0.85, "{goodput}");
    assert!(world.shed() > 0);
    assert_eq!((world.lost, world.sent_again()), (0, 0), "what was taken up was finished");
    let (blind, collapsed) = run(offered, false);
    assert!(collapsed < 0.6 && blind.lost > 0 && blind.sent_again() > 0, "without choosing: {collapsed}");
}

#[test]
fn server_that_keeps_up_turns_nobody_away() {
    let (world, goodput) = run(Plan::Open(0.9 * CAPACITY), true);
    assert_eq!((world.shed(), world.lost), (0, 0));
    assert!((0.88..0.92).contains(&goodput), "{goodput}");
}

#[test]
fn clients_that_wait_for_their_answers_are_never_turned_away_as_long_as_the_ring_has_room_for_them() {
    for at_a_time in [16, 128, 3 * RING_FRAMES as u64 / 4] {
        let (world, goodput) = run(Plan::Closed(at_a_time), true);
        assert_eq!((world.shed(), world.lost), (0, 0), "{at_a_time}");
        assert!(goodput > 0.97, "{at_a_time}: {goodput}");
    }
}

#[test]
fn flood_of_something_else_leaves_new_connections_a_share() {
    let mut world = World::new(Plan::Open(0.05 * CAPACITY), true);
    world.flood = 1.2 * 1e9 / (READ_NS + HANDLE_NS) as f64;
    world.run(4_000_000_000);
    let (begun, done) = (world.client.app().begun, world.client.app().graceful);
    println!("{done} of {begun}, {} shed, {} lost", world.shed(), world.lost);
    assert!(world.shed() > 0 && world.lost > 0, "it is behind all the time");
    assert!(done > begun / 20, "{done} of {begun}");
}
