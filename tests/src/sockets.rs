//! Two socket stacks joined by a link, in virtual time, and programs that make calls on them, waiting ones too.

use crate::pair::{ADDR_A, ADDR_B, configs};
use std::collections::VecDeque;
use std::time::Duration;
use synfin_engine::base::{Backlog, Event, Frame, FramePool, Instant};
use synfin_engine::io::sim::{End, Impairment, SimLink};
use synfin_engine::shard::{Cx, ShardConfig, TraceEvent};
use synfin_engine::socket::blocking::World;
use synfin_engine::socket::{Errno, Fd, Options, Sockets, Stack};
use synfin_engine::wire::Addr;

pub const PORT: u16 = 80;

struct Side {
    stack: Stack,
    pool: FramePool,
    rx: Vec<Frame>,
    tx: Vec<Frame>,
    end: End,
}

/// What happens at some time.
type Planned = (Instant, Box<dyn FnOnce(&mut Net)>);

pub struct Net {
    sides: [Side; 2],
    link: SimLink,
    pub now: Instant,
    /// In the order of their times.
    later: VecDeque<Planned>,
    /// The segments of both sides.
    pub trace: Vec<TraceEvent>,
}

/// Which stack a program runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Host {
    A,
    B,
}

impl Default for Net {
    fn default() -> Net {
        Net::new(configs())
    }
}

impl Net {
    pub fn new(mut configs: (ShardConfig, ShardConfig)) -> Net {
        let now = Instant::from_nanos(1_000_000_000_000);
        configs.0.trace = true;
        let side = |config, end| Side {
            stack: Stack::new(config, Options::default(), now),
            pool: FramePool::heap(4_096, 2_048),
            rx: Vec::with_capacity(256),
            tx: Vec::with_capacity(256),
            end,
        };
        let latency = Impairment { delay: Duration::from_millis(5), ..Impairment::default() };
        Net {
            sides: [side(configs.0, End::A), side(configs.1, End::B)],
            link: SimLink::new(1, [latency, latency]),
            now,
            later: VecDeque::new(),
            trace: Vec::new(),
        }
    }

    /// A program on one side makes calls.
    pub fn on<R>(&mut self, host: Host, call: impl FnOnce(&mut Sockets<'_>) -> R) -> R {
        let now = self.now;
        let result = call(&mut self.sides[host as usize].stack.at(now));
        self.turn();
        result
    }

    /// A program on one side whose calls may wait.
    pub fn program(&mut self, host: Host) -> Program<'_> {
        Program { net: self, host }
    }

    /// Something will happen in `time` from now, later than what was planned before.
    pub fn after(&mut self, time: Duration, what: impl FnOnce(&mut Net) + 'static) {
        self.later.push_back((self.now + time, Box::new(what)));
    }

    /// Both sides do what they can do now.
    fn turn(&mut self) {
        for side in &mut self.sides {
            loop {
                let got = self.link.receive(side.end, self.now, &mut side.pool, &mut side.rx);
                side.stack.turn(
                    &mut side.rx,
                    &mut Cx { now: self.now, backlog: Backlog::None, pool: &mut side.pool, tx: &mut side.tx },
                );
                let sent = side.tx.len();
                self.link.send_all(side.end, &mut side.tx, &mut side.pool, self.now);
                self.trace.append(&mut side.stack.take_trace());
                if got == 0 && sent == 0 {
                    break;
                }
            }
        }
    }

    fn next_event(&self) -> Option<Instant> {
        let deadlines = self.sides.iter().filter_map(|s| s.stack.next_deadline(self.now));
        deadlines.chain(self.link.next_arrival()).chain(self.later.front().map(|e| e.0)).min()
    }

    /// Goes on to the next event, but not beyond `end`. False: there is none before it.
    fn step(&mut self, end: Instant) -> bool {
        let Some(next) = self.next_event().filter(|&next| next <= end) else { return false };
        // Deadlines are ticks: one that is "now" may need the clock to move past the tick.
        self.now = if next > self.now { next } else { self.now.plus_nanos(1_000) };
        if self.later.front().is_some_and(|e| e.0 <= self.now)
            && let Some((_, what)) = self.later.pop_front()
        {
            what(self);
        }
        self.turn();
        true
    }

    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = self.now.max(end);
        self.turn();
    }

    /// A listener on B and a connection to it: (listener on B, client on A, server on B).
    pub fn connected(&mut self) -> (Fd, Fd, Fd) {
        let listener = self.listener(8);
        let client = self.on(Host::A, |s| s.socket(false));
        assert_eq!(self.on(Host::A, |s| s.connect(client, ADDR_B, PORT)), Err(Errno::INPROGRESS));
        self.pass(Duration::from_millis(50));
        assert_eq!(self.on(Host::A, |s| s.connect(client, ADDR_B, PORT)), Ok(()));
        let (server, (addr, _)) = self.on(Host::B, |s| s.accept(listener)).expect("a connection");
        assert_eq!(addr, ADDR_A);
        (listener, client, server)
    }

    pub fn listener(&mut self, backlog: usize) -> Fd {
        self.on(Host::B, |s| {
            let fd = s.socket(false);
            s.setsockopt(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, &1_i32.to_ne_bytes()).expect("SO_REUSEADDR");
            s.bind(fd, Addr::v4([0; 4]), PORT).expect("bind");
            s.listen(fd, backlog).expect("listen");
            fd
        })
    }

    /// From now on the link loses everything.
    pub fn cut(&mut self) {
        self.impair(1, Impairment { loss: 1.0, ..Impairment::default() });
    }

    /// From now on both directions of the link do that to frames.
    pub fn impair(&mut self, seed: u64, how: Impairment) {
        self.link = SimLink::new(seed, [how, how]);
    }

    pub fn count(&self, host: Host, event: Event) -> u64 {
        self.sides[host as usize].stack.shard().counters().count(event)
    }

    /// No record and no frame is left on either side.
    #[track_caller]
    pub fn assert_clean(&self) {
        for side in &self.sides {
            assert!(side.stack.shard().is_empty(), "records left: {:?}", side.stack.shard().live());
            assert_eq!(side.pool.available(), side.pool.capacity(), "frames left over");
        }
    }
}

pub struct Program<'a> {
    net: &'a mut Net,
    host: Host,
}

impl World for Program<'_> {
    fn act<R>(&mut self, call: impl FnOnce(&mut Sockets<'_>) -> R) -> R {
        self.net.on(self.host, call)
    }

    /// A wait that nothing will ever end is interrupted, so that a test does not hang.
    fn wait(&mut self, until: Option<Instant>) -> Result<(), Errno> {
        let limit = until.unwrap_or(self.net.now + Duration::from_secs(86_400));
        if self.net.step(limit) {
            return Ok(());
        }
        if until.is_none() {
            return Err(Errno::INTR);
        }
        self.net.now = limit;
        Ok(())
    }
}
