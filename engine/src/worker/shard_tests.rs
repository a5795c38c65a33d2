//! Whole connections through worker threads: shards on a simulated device.

use super::*;
use crate::base::frame::Arena;
use crate::base::{Event, FramePool};
use crate::io::sim::SimIo;
use crate::io::tap::Fault;
use crate::shard::{App, CloseReason, Conn, Connect, LocalNet, Net, Payload, Shard, ShardConfig};
use crate::steering::toeplitz::MICROSOFT_KEY;
use crate::steering::{Policy, Rss};
use crate::wire::{Addr, Mac};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Calls until `left` is used up, at most 20 at a time, or answers calls: sends back what comes, and closes when the
/// peer does.
#[derive(Default)]
struct Peer {
    left: u32,
    open: u32,
    next_port: u16,
    /// Which tuples it may use, with the number of its worker among how many; without it, all.
    steering: Option<(Policy, usize, usize)>,
    ended: Arc<AtomicU32>,
    graceful: u32,
    bytes: u64,
}

const REQUEST: &[u8] = &[0x5a; 3000];

impl App for Peer {
    /// Bytes of the answer that have come.
    type Conn = usize;

    fn connected(&mut self, conn: &mut Conn<'_, usize>) {
        conn.send(Payload::Static(REQUEST)).unwrap();
    }

    fn data(&mut self, conn: &mut Conn<'_, usize>, bytes: &[u8]) -> usize {
        self.bytes += bytes.len() as u64;
        *conn.user += bytes.len();
        if conn.local().1 == 80 {
            return conn.send_copy(bytes).unwrap();
        }
        if *conn.user == REQUEST.len() {
            conn.close();
        }
        bytes.len()
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, usize>) {
        conn.close();
    }

    fn closed(&mut self, _user: usize, why: CloseReason, _now: Instant) {
        self.open = self.open.saturating_sub(1);
        self.graceful += u32::from(why == CloseReason::Graceful);
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    fn poll(&mut self, net: &mut Net<'_, usize>) {
        while self.left > 0 && self.open < 20 {
            let (local, remote) = (addr(1), addr(2));
            self.next_port = self.next_port.max(1024) + 1;
            let (ours, theirs) = ((&local, self.next_port), (&remote, 80));
            if self.steering.as_ref().is_some_and(|(p, worker, of)| !p.may_connect(*worker, *of, ours, theirs)) {
                continue;
            }
            let to = Connect { local, local_port: self.next_port, remote, remote_port: 80 };
            net.connect(to, 0).unwrap();
            self.left -= 1;
            self.open += 1;
        }
    }

    fn next_wakeup(&self) -> Option<Instant> {
        (self.left > 0 && self.open < 20).then_some(Instant::ZERO)
    }
}

fn addr(last: u8) -> Addr {
    Addr::v4([198, 18, 0, last])
}

fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

fn shard(me: u8, app: Peer, clock: &Clock) -> Shard<Peer> {
    let local = LocalNet { first: addr(me), count: 1, prefix_len: 24, exclusive: true };
    let mut config = ShardConfig::new(mac(me), vec![local]);
    config.tcp.rto_initial = Duration::from_millis(20);
    config.tcp.rto_min = Duration::from_millis(5);
    let mut shard = Shard::new(config, app, clock.now());
    if me == 2 {
        shard.listen(80);
    }
    shard
}

fn sleepy() -> RunOptions {
    RunOptions { sleep: true, ..RunOptions::default() }
}

struct Call {
    caller: Shard<Peer>,
    answerers: Vec<Shard<Peer>>,
    /// Numbers of the answering workers.
    control: Control,
}

/// Runs one caller, behind a layer of faults, against answering shards, one for each pool, until all have drained.
fn call(calls: u32, fault: &str, answering: Vec<FramePool>) -> Call {
    let clock = Clock::start();
    let (mut callers, answerers) = SimIo::devices(vec![FramePool::heap(4096, 2048)], answering, 1024);
    let io = Fault::new(callers.remove(0), fault.parse().unwrap(), 1, clock.for_tap());
    let app = Peer { left: calls, ..Peer::default() };
    let ended = app.ended.clone();
    let calling = start(vec![(shard(1, app, &clock), io)], clock, &sleepy(), &Control::new(1)).unwrap();
    let control = Control::new(answerers.len());
    let parts = answerers.into_iter().map(|io| (shard(2, Peer::default(), &clock), io)).collect();
    let options = RunOptions { steering: Some(Policy::Hash), ..sleepy() };
    let answers = start(parts, clock, &options, &control).unwrap();
    let begun = std::time::Instant::now();
    while ended.load(Ordering::Relaxed) < calls {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", control.total().counters);
        std::thread::sleep(Duration::from_micros(500));
    }
    control.drain();
    let mut answered = answers.join().unwrap();
    calling.control().stop();
    let mut called = calling.join().unwrap();
    called[0].io.release();
    assert_whole(answered.iter_mut().map(|end| &mut end.io).chain([called[0].io.inner()]));
    let answerers = answered.into_iter().map(|end| end.engine).collect();
    Call { caller: called.remove(0).engine, answerers, control }
}

/// All frames are back in their pools, those included that arrived after the end.
fn assert_whole<'a>(queues: impl Iterator<Item = &'a mut SimIo>) {
    let (mut queues, mut late) = (queues.collect::<Vec<_>>(), Vec::with_capacity(64));
    for io in &mut queues {
        while io.rx_burst(&mut late) > 0 {
            late.drain(..).for_each(|frame| io.pool().free(frame));
        }
    }
    queues.iter_mut().for_each(|io| io.reclaim());
    for io in &mut queues {
        io.pool().collect_returns();
        assert_eq!((io.pool().available(), io.pool().foreign_frames), (io.pool().capacity(), 0));
    }
}

#[test]
fn connections_live_from_syn_to_time_wait_between_two_worker_threads() {
    let end = call(300, "seed=1", vec![FramePool::heap(4096, 2048)]);
    let (caller, answerer) = (end.caller.app(), end.answerers[0].app());
    assert_eq!((caller.graceful, answerer.graceful), (300, 300));
    assert_eq!((caller.bytes, answerer.bytes), (300 * REQUEST.len() as u64, 300 * REQUEST.len() as u64));
    let counters = end.control.snapshot(0).counters;
    assert_eq!(counters.count(Event::PassiveOpens), 300);
    assert_eq!(counters.count(Event::HandoffOut) + counters.count(Event::HandoffIn), 0);
}

#[test]
fn connections_survive_a_bad_device() {
    let fault = "loss=0.02,dup=0.02,reorder=0.02,corrupt=0.01,delay=100us,jitter=100us";
    let end = call(200, fault, vec![FramePool::heap(4096, 2048)]);
    assert_eq!(end.caller.app().graceful, 200);
    assert_eq!(end.caller.app().bytes, 200 * REQUEST.len() as u64);
    assert!(end.caller.counters().count(Event::Retransmits) > 0);
}

#[test]
fn two_workers_on_a_device_that_does_not_steer_share_the_connections() {
    let shared = FramePool::split(Arena::heap(2048, 8192), 2);
    let apart = vec![FramePool::heap(4096, 2048), FramePool::heap(4096, 2048)];
    for pools in [shared, apart] {
        let end = call(300, "seed=1", pools);
        assert_eq!(end.caller.app().graceful, 300);
        let opens = [0, 1].map(|worker| end.control.snapshot(worker).counters.count(Event::PassiveOpens));
        assert!(opens.iter().all(|&n| n > 50), "{opens:?}");
        assert_eq!(opens.iter().sum::<u64>(), 300);
        let total = end.control.total().counters;
        assert!(total.count(Event::HandoffOut) >= total.count(Event::HandoffIn));
        assert!(total.count(Event::HandoffIn) > 300);
    }
}

fn rss(key: &[u8]) -> Rss {
    Rss::new(key, (0..128).map(|i| i % 2).collect()).unwrap()
}

/// Two calling workers against two answering ones, on devices that spread by Toeplitz over two queues. The callers
/// believe that the key is `told`; returns the numbers of both sides.
fn call_over_rss(told: &[u8]) -> [Control; 2] {
    let clock = Clock::start();
    let pools = || vec![FramePool::heap(4096, 2048), FramePool::heap(4096, 2048)];
    let (callers, answerers) = SimIo::devices(pools(), pools(), 1024);
    let believed = Policy::Rss { rss: rss(told), first_queue: 0 };
    let ended = Arc::new(AtomicU32::new(0));
    let apps = [0, 1].map(|worker| {
        let steering = Some((believed.clone(), worker, 2));
        Peer { left: 200, ended: ended.clone(), steering, ..Peer::default() }
    });
    let controls = [Control::new(2), Control::new(2)];
    let run = |me: u8, apps: [Peer; 2], queues: Vec<SimIo>, policy| {
        let part = |(app, io): (Peer, SimIo)| (shard(me, app, &clock), io.with_peer_rss(rss(&MICROSOFT_KEY)));
        let parts = apps.into_iter().zip(queues).map(part).collect();
        let options = RunOptions { steering: Some(policy), ..sleepy() };
        start(parts, clock, &options, &controls[usize::from(me) - 1]).unwrap()
    };
    let calling = run(1, apps, callers, believed);
    let answering = run(2, Default::default(), answerers, Policy::Queue);
    let begun = std::time::Instant::now();
    while ended.load(Ordering::Relaxed) < 400 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", controls[0].total().counters);
        std::thread::sleep(Duration::from_micros(500));
    }
    controls[1].drain();
    answering.join().unwrap();
    calling.control().stop();
    let graceful: u32 = calling.join().unwrap().iter().map(|end| end.engine.app().graceful).sum();
    assert_eq!(graceful, 400);
    controls
}

/// Segments that arrived on another worker's queue than their owner's.
fn strays(control: &Control) -> u64 {
    let counters = control.total().counters;
    counters.count(Event::HandoffOut) - counters.count(Event::HandoffCopies)
}

#[test]
fn callers_that_know_the_devices_hash_and_answerers_that_go_by_queue_hand_nothing_over() {
    let [callers, answerers] = call_over_rss(&MICROSOFT_KEY);
    assert_eq!((strays(&callers), strays(&answerers)), (0, 0));
    let opens = [0, 1].map(|worker| answerers.snapshot(worker).counters.count(Event::PassiveOpens));
    assert_eq!(opens.iter().sum::<u64>(), 400);
    assert!(opens.iter().all(|&n| n > 100), "{opens:?}");
}

#[test]
fn where_the_device_does_not_do_what_it_says_every_call_is_completed_by_handoff() {
    let mut told = MICROSOFT_KEY;
    told.rotate_left(7);
    let [callers, answerers] = call_over_rss(&told);
    assert!(strays(&callers) > 200, "{}", strays(&callers));
    assert_eq!(strays(&answerers), 0);
}
