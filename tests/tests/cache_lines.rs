//! No cache line is written by two workers: what a worker allocates, and so what it writes, lies on lines of its own.
//!
//! The allocator is that of the programs. It notes for each block which worker asked for it; afterwards no line may have
//! held blocks of two workers at a time. (Records and tables lie in pages of their own anyway. What workers
//! share on purpose, mailboxes, published numbers and inboxes, is padded, and checked where it is defined.)

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;
use synfin_engine::base::Instant;
use synfin_engine::control::Control;
use synfin_engine::io::sim::SimIo;
use synfin_engine::shard::{App, CloseReason, Conn, Connect, LocalNet, Net, Payload, Shard, ShardConfig};
use synfin_engine::wire::{Addr, Mac};
use synfin_engine::worker::{Clock, RunOptions, start_with};

const LINE_BYTES: usize = 64;
const EVENTS_MAX: usize = 1 << 18;
const CALLS: u32 = 2_000;
const OPEN_MAX: u32 = 500;

thread_local! {
    /// Number of the worker whose thread this is, from 1 on; 0 in other threads.
    static WORKER: Cell<usize> = const { Cell::new(0) };
}

/// A block that was given out (`worker` above 0) or taken back (`bytes` 0).
struct Event {
    at: AtomicUsize,
    bytes: AtomicUsize,
    worker: AtomicUsize,
}

static EVENTS: [Event; EVENTS_MAX] =
    [const { Event { at: AtomicUsize::new(0), bytes: AtomicUsize::new(0), worker: AtomicUsize::new(0) } }; EVENTS_MAX];
static EVENT_COUNT: AtomicUsize = AtomicUsize::new(0);

fn note(at: *mut u8, bytes: usize, worker: usize) {
    if let Some(event) = EVENTS.get(EVENT_COUNT.fetch_add(1, Ordering::SeqCst)) {
        event.at.store(at as usize, Ordering::SeqCst);
        event.bytes.store(bytes, Ordering::SeqCst);
        event.worker.store(worker, Ordering::SeqCst);
    }
}

struct Noting;

#[global_allocator]
static ALLOCATOR: Noting = Noting;

// SAFETY: all requests go to another allocator as they are; noting them allocates nothing.
unsafe impl GlobalAlloc for Noting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's promise.
        let block = unsafe { mimalloc::MiMalloc.alloc(layout) };
        let worker = WORKER.get();
        if worker > 0 {
            note(block, layout.size(), worker);
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if WORKER.get() > 0 {
            note(block, 0, 0);
        }
        // SAFETY: by the caller's promise.
        unsafe { mimalloc::MiMalloc.dealloc(block, layout) };
    }
}

/// Opens connections one after the other, each for a request and its answer, or answers them.
struct Peer {
    left: u32,
    open: u32,
    port: u16,
    ended: Arc<AtomicU32>,
}

impl App for Peer {
    type Conn = [u64; 3];

    fn connected(&mut self, conn: &mut Conn<'_, [u64; 3]>) {
        conn.send(Payload::Static(&[7; 3000])).expect("the first payload fits");
    }

    fn data(&mut self, conn: &mut Conn<'_, [u64; 3]>, bytes: &[u8]) -> usize {
        if conn.local().1 == 80 {
            let _ = conn.send_copy(bytes);
        } else {
            conn.close();
        }
        bytes.len()
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, [u64; 3]>) {
        conn.close();
    }

    fn closed(&mut self, _user: [u64; 3], _why: CloseReason, _now: Instant) {
        self.open = self.open.saturating_sub(1);
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    fn poll(&mut self, net: &mut Net<'_, [u64; 3]>) {
        while self.left > 0 && self.open < OPEN_MAX {
            self.port += 1;
            let to = Connect { local: addr(1), local_port: self.port, remote: addr(2), remote_port: 80 };
            if net.connect(to, [1; 3]).is_err() {
                return;
            }
            (self.left, self.open) = (self.left - 1, self.open + 1);
        }
    }

    fn next_wakeup(&self) -> Option<Instant> {
        (self.left > 0 && self.open < OPEN_MAX).then_some(Instant::ZERO)
    }
}

fn addr(last: u8) -> Addr {
    Addr::v4([198, 18, 0, last])
}

fn shard(me: u8, calls: u32, ended: Arc<AtomicU32>, clock: Clock) -> Shard<Peer> {
    let local = LocalNet { first: addr(me), count: 1, prefix_len: 24, exclusive: true };
    let config = ShardConfig::new(Mac([2, 0, 0, 0, 0, me]), vec![local]);
    let mut shard = Shard::new(config, Peer { left: calls, open: 0, port: 1024, ended }, clock.now());
    shard.listen(80);
    shard
}

/// Blocks of two workers that lay on one line at a time.
fn shared_lines(events: &[Event]) -> Vec<(usize, usize, usize)> {
    let mut blocks: HashMap<usize, (usize, usize)> = HashMap::new();
    let mut lines: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut shared = Vec::new();
    let covered = |at: usize, bytes: usize| at / LINE_BYTES..=(at + bytes.max(1) - 1) / LINE_BYTES;
    for event in events {
        let [at, bytes, worker] = [&event.at, &event.bytes, &event.worker].map(|a| a.load(Ordering::SeqCst));
        if let Some((bytes, worker)) = blocks.remove(&at) {
            for line in covered(at, bytes) {
                let owners = lines.entry(line).or_default();
                owners.iter().position(|w| *w == worker).map(|n| owners.swap_remove(n));
            }
        }
        if worker > 0 {
            blocks.insert(at, (bytes, worker));
            for line in covered(at, bytes) {
                let owners = lines.entry(line).or_default();
                shared.extend(owners.iter().filter(|w| **w != worker).map(|&other| (line, worker, other)));
                owners.push(worker);
            }
        }
    }
    shared
}

#[test]
fn what_two_workers_allocate_never_lies_on_one_cache_line() {
    let clock = Clock::start();
    let ended = Arc::new(AtomicU32::new(0));
    let (mut parts, options) = (Vec::new(), RunOptions { sleep: true, ..RunOptions::default() });
    for pair in 0..2 {
        let (a, b) = SimIo::pair(4096, 2048, 1024);
        for (me, calls, io) in [(1, CALLS, a), (2, 0, b)] {
            let (worker, ended) = (2 * pair + usize::from(me), ended.clone());
            let make = move || {
                WORKER.set(worker);
                shard(me, calls, ended, clock)
            };
            parts.push((make, io));
        }
    }
    let control = Control::new(parts.len());
    let running = start_with(parts, clock, &options, &control).expect("threads for four workers");
    let begun = std::time::Instant::now();
    while ended.load(Ordering::Relaxed) < 4 * CALLS {
        assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", control.total().counters);
        std::thread::sleep(Duration::from_millis(1));
    }
    control.stop();
    drop(running.join().expect("no worker panicked"));
    let events = EVENTS.get(..EVENT_COUNT.load(Ordering::SeqCst)).expect("room for all events");
    let workers: Vec<usize> = events.iter().map(|event| event.worker.load(Ordering::SeqCst)).collect();
    for worker in 1..=4 {
        let blocks = workers.iter().filter(|w| **w == worker).count();
        assert!(blocks > 50, "worker {worker} made itself at home: {blocks} blocks");
    }
    assert_eq!(shared_lines(events), []);
}

#[test]
fn two_blocks_on_one_line_are_noticed() {
    let event = |at: usize, bytes: usize, worker: usize| Event {
        at: AtomicUsize::new(at),
        bytes: AtomicUsize::new(bytes),
        worker: AtomicUsize::new(worker),
    };
    let together = [event(640, 32, 1), event(672, 100, 2)];
    assert_eq!(shared_lines(&together), [(10, 2, 1)]);
    let in_turn = [event(640, 32, 1), event(640, 0, 0), event(640, 32, 2)];
    assert_eq!(shared_lines(&in_turn), []);
}
