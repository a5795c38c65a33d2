use super::*;
use crate::base::frame::Arena;
use crate::base::{DropReason, Event, FramePool};
use crate::io::sim::SimIo;
use crate::io::tap::Fault;
use crate::steering::{self, Policy};
use crate::wire::emit::{ChecksumMode, IpFields, LinkOut, OptionsOut, SegmentOut, tcp};
use crate::wire::parse::{VlanTags, peek_tuple};
use crate::wire::{Addr, Mac, Seq, TcpFlags, TcpOptions};

/// Sends `want` numbered frames, at most `window` at a time, and waits for each to come back; or, without
/// `want`, sends everything back.
#[derive(Default)]
struct Bouncer {
    want: u32,
    window: u32,
    sent: u32,
    back: u32,
    draining: bool,
    counters: Counters,
    panic_after: Option<u32>,
    /// Counted as a delayed ACK when it is due.
    deadline: Option<Instant>,
    turns: u32,
    said_goodbye: u32,
    /// Goodbyes of the other side that came while this one still ran.
    heard_goodbye: u32,
}

impl Engine for Bouncer {
    fn ingest(&mut self, rx: &mut Vec<Frame>, cx: &mut Cx<'_>) {
        self.turns += 1;
        for frame in rx.drain(..) {
            if frame.is_empty() {
                self.heard_goodbye += 1;
                cx.pool.free(frame);
                continue;
            }
            self.counters.event(Event::FramesIn);
            self.back += 1;
            if self.panic_after.is_some_and(|n| self.back > n) {
                panic!("frame {} was one too many", self.back);
            }
            if self.want == 0 && cx.tx.len() < cx.tx.capacity() {
                cx.tx.push(frame);
            } else {
                cx.pool.free(frame);
            }
        }
    }

    fn expire(&mut self, cx: &mut Cx<'_>) {
        if self.deadline.is_some_and(|at| at <= cx.now) {
            self.deadline = None;
            self.counters.event(Event::DelayedAcks);
        }
    }

    fn poll_app(&mut self, _cx: &mut Cx<'_>) {}

    fn emit(&mut self, cx: &mut Cx<'_>) {
        while self.sent < self.want && self.sent - self.back < self.window && cx.tx.len() < cx.tx.capacity() {
            let Some(mut frame) = cx.pool.alloc() else { break };
            assert!(frame.set_len(60));
            self.sent += 1;
            cx.tx.push(frame);
        }
    }

    fn next_deadline(&self, _now: Instant) -> Option<Instant> {
        self.deadline
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn begin_drain(&mut self) {
        self.draining = true;
    }

    fn is_drained(&self) -> bool {
        self.draining && self.back >= self.want
    }

    fn shut_down(&mut self, cx: &mut Cx<'_>) -> bool {
        if self.said_goodbye < 2 {
            self.said_goodbye += 1;
            cx.tx.extend(cx.pool.alloc());
        }
        self.said_goodbye == 2
    }
}

fn client(want: u32) -> Bouncer {
    Bouncer { want, window: 32, ..Bouncer::default() }
}

fn sleepy() -> RunOptions {
    RunOptions { sleep: true, ..RunOptions::default() }
}

/// Waits for something that has to happen; gives up long after it should have.
fn wait_until(what: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(60), "it never happened");
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn assert_whole(io: &mut impl PacketIo) {
    io.reclaim();
    io.pool().collect_returns();
    assert_eq!(io.pool().available(), io.pool().capacity());
}

#[test]
fn two_workers_bounce_frames_until_they_have_drained_and_lose_none() {
    for sleep in [false, true] {
        let (a, b) = SimIo::pair(128, 2048, 64);
        let control = Control::new(2);
        let options = RunOptions { sleep, ..RunOptions::default() };
        let parts = vec![(client(5000), a), (Bouncer::default(), b)];
        let running = start(parts, Clock::start(), &options, &control).unwrap();
        control.drain();
        let mut ends = running.join().unwrap();
        assert_eq!((ends[0].engine.sent, ends[0].engine.back), (5000, 5000));
        assert_eq!(ends[1].engine.back, 5000);
        let total = control.total();
        assert_eq!(total.counters.count(Event::FramesIn), 10_000);
        // What was said at the goodbye may come in time, or is still on its way to the peer.
        let heard = ends.iter().map(|end| u64::from(end.engine.heard_goodbye)).sum::<u64>();
        assert_eq!(total.io.rx_frames, 10_000 + heard);
        assert!(total.time.busy_turns > 0 && total.time.turns >= total.time.busy_turns);
        assert!(ends.iter().all(|end| end.engine.said_goodbye == 2));
        let mut late = Vec::with_capacity(8);
        ends.iter_mut().for_each(|end| {
            end.io.rx_burst(&mut late);
            late.drain(..).for_each(|f| end.io.pool().free(f));
        });
        ends.iter_mut().for_each(|end| assert_whole(&mut end.io));
    }
}

#[test]
fn the_stop_flag_and_the_mailbox_end_workers_that_sleep() {
    for by_flag in [true, false] {
        let (a, _b) = SimIo::pair(16, 2048, 64);
        let control = Control::new(1);
        let running = start(vec![(Bouncer::default(), a)], Clock::start(), &sleepy(), &control).unwrap();
        if by_flag {
            control.stop_flag().store(true, std::sync::atomic::Ordering::Relaxed);
        } else {
            assert!(control.send(0, Command::Stop));
        }
        assert_eq!(running.join().unwrap().len(), 1);
    }
}

#[test]
fn a_sleeper_wakes_for_its_deadline_and_spins_but_a_little() {
    let (a, _b) = SimIo::pair(16, 2048, 64);
    let (control, clock) = (Control::new(1), Clock::start());
    let deadline = clock.now() + Duration::from_millis(200);
    let engine = Bouncer { deadline: Some(deadline), ..Bouncer::default() };
    let running = start(vec![(engine, a)], clock, &sleepy(), &control).unwrap();
    wait_until(|| control.snapshot(0).counters.count(Event::DelayedAcks) > 0);
    assert!(clock.now() >= deadline);
    control.stop();
    let ends = running.join().unwrap();
    // Polling for 50 µs at a time takes some hundred turns; spinning would have taken a million.
    assert!(ends[0].engine.turns < 20_000, "{} turns", ends[0].engine.turns);
}

#[test]
fn numbers_are_published_while_the_run_goes_on() {
    let (a, b) = SimIo::pair(64, 2048, 64);
    let control = Control::new(2);
    let parts = vec![(client(u32::MAX), a), (Bouncer::default(), b)];
    let running = start(parts, Clock::start(), &sleepy(), &control).unwrap();
    let frames = |worker| control.snapshot(worker).counters.count(Event::FramesIn);
    wait_until(|| frames(0) > 100 && frames(1) > 100);
    let before = frames(0);
    wait_until(|| frames(0) > before);
    assert!(!running.is_ending());
    control.stop();
    let ends = running.join().unwrap();
    assert_eq!(frames(0), u64::from(ends[0].engine.back));
    let spent = control.snapshot(0).time;
    assert!(spent.share(Stage::Shard).is_some_and(|share| share > 0.0 && share < 1.0), "{spent:?}");
}

#[test]
fn a_panic_stops_the_run_and_is_reported_with_its_worker() {
    let (a, b) = SimIo::pair(64, 2048, 64);
    let control = Control::new(2);
    let dying = Bouncer { panic_after: Some(99), ..Bouncer::default() };
    let parts = vec![(client(u32::MAX), a), (dying, b)];
    let running = start(parts, Clock::start(), &sleepy(), &control).unwrap();
    let error = running.join().map(|_| ()).unwrap_err();
    assert_eq!(error, RunError::Panicked { worker: 1, message: "frame 100 was one too many".to_owned() });
}

#[test]
fn impossible_runs_are_refused_with_a_sentence() {
    let begin = |workers: u32, cores: Vec<usize>| {
        let parts: Vec<_> = (0..workers).map(|_| (Bouncer::default(), SimIo::pair(4, 2048, 4).0)).collect();
        let control = Control::new(parts.len());
        let options = RunOptions { cores, ..RunOptions::default() };
        start(parts, Clock::start(), &options, &control).map(|_| ()).unwrap_err().to_string()
    };
    assert!(begin(0, vec![]).contains("no worker to run"));
    assert!(begin(2, vec![0]).contains("2 workers need 2 cores, but 1 were named"));
    assert!(begin(1, vec![9999]).contains("core 9999 is not there"));
}

#[test]
fn faults_around_the_device_show_in_the_published_numbers() {
    let (a, b) = SimIo::pair(128, 2048, 64);
    let clock = Clock::start();
    let faulty = Fault::new(b, "rx.loss=0.5".parse().unwrap(), 1, clock.for_tap());
    let control = Control::new(2);
    let parts: Vec<(_, Box<dyn PacketIo + Send>)> =
        vec![(client(20), Box::new(a)), (Bouncer::default(), Box::new(faulty))];
    let running = start(parts, clock, &sleepy(), &control).unwrap();
    let lost = || control.snapshot(1).counters.dropped(DropReason::FaultInjected);
    wait_until(|| lost() + control.snapshot(1).counters.count(Event::FramesIn) == 20);
    control.stop();
    running.join().unwrap();
    assert!((1..20).contains(&lost()), "{}", lost());
}

/// Sends SYNs with all ports of a range to queue 0 of the peer, or records the ports it gets.
#[derive(Default)]
struct Ports {
    to_send: std::collections::VecDeque<u16>,
    got: Vec<u16>,
    /// Turns that were told of more than they were given.
    behind: u32,
    counters: Counters,
}

fn addr(last: u8) -> Addr {
    Addr::v4([198, 18, 0, last])
}

impl Engine for Ports {
    fn ingest(&mut self, rx: &mut Vec<Frame>, cx: &mut Cx<'_>) {
        self.behind += u32::from(cx.backlog > Backlog::None);
        for frame in rx.drain(..) {
            self.got.extend(peek_tuple(frame.bytes()).map(|t| t.2));
            self.counters.event(Event::SegmentsIn);
            cx.pool.free(frame);
        }
    }

    fn expire(&mut self, _cx: &mut Cx<'_>) {}

    fn poll_app(&mut self, _cx: &mut Cx<'_>) {}

    fn emit(&mut self, cx: &mut Cx<'_>) {
        let link = LinkOut { src: Mac([2; 6]), dst: Mac([4; 6]), vlan: VlanTags::default() };
        while cx.tx.len() < cx.tx.capacity() {
            let Some(&src_port) = self.to_send.front() else { break };
            let Some(mut frame) = cx.pool.alloc() else { break };
            let segment = SegmentOut {
                src: addr(1),
                dst: addr(2),
                src_port,
                dst_port: 80,
                seq: Seq(0),
                ack: Seq(0),
                flags: TcpFlags::SYN,
                window: 0,
                options: OptionsOut::Any(&TcpOptions::default()),
                payload_len: 0,
                ip: IpFields::default(),
                checksum: ChecksumMode::Full,
            };
            assert!(tcp(&mut frame, &link, &segment, |_| {}));
            self.to_send.pop_front();
            cx.tx.push(frame);
        }
    }

    fn next_deadline(&self, _now: Instant) -> Option<Instant> {
        (!self.to_send.is_empty()).then_some(Instant::ZERO)
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }
}

#[test]
fn segments_that_arrive_on_one_queue_are_spread_over_the_workers_that_own_them() {
    const SEGMENTS: u16 = 2000;
    for shared in [true, false] {
        let pools = match shared {
            true => FramePool::split(Arena::heap(2048, 4096), 2),
            false => vec![FramePool::heap(2048, 2048), FramePool::heap(2048, 2048)],
        };
        let (mut sender, receivers) = SimIo::devices(vec![FramePool::heap(512, 2048)], pools, 512);
        let control = Control::new(2);
        let options = RunOptions { steering: Some(Policy::Hash), ..sleepy() };
        let parts = receivers.into_iter().map(|io| (Ports::default(), io)).collect();
        let running = start(parts, Clock::start(), &options, &control).unwrap();
        let sending = Ports { to_send: (1..=SEGMENTS).collect(), ..Ports::default() };
        let other = Control::new(1);
        let run = start(vec![(sending, sender.remove(0))], Clock::start(), &sleepy(), &other).unwrap();
        wait_until(|| control.total().counters.count(Event::SegmentsIn) == u64::from(SEGMENTS));
        other.stop();
        control.stop();
        let mut ends = running.join().unwrap();
        for (worker, end) in ends.iter().enumerate() {
            let owner = |&port: &u16| steering::owner(&addr(1), port, &addr(2), 80, 2) == worker;
            let want: Vec<u16> = (1..=SEGMENTS).filter(owner).collect();
            assert_eq!(end.engine.got, want);
        }
        let handed = ends[1].engine.got.len() as u64;
        let counters = [0, 1].map(|worker| control.snapshot(worker).counters);
        assert_eq!(counters[0].count(Event::HandoffOut), handed);
        assert_eq!(counters[1].count(Event::HandoffIn), handed);
        ends.iter_mut().for_each(|end| assert_whole(&mut end.io));
        run.join().unwrap().iter_mut().for_each(|end| assert_whole(&mut end.io));
    }
}

#[test]
fn worker_is_told_of_what_waits_though_all_that_came_was_for_others() {
    let (mut sender, receivers) =
        SimIo::devices(vec![FramePool::heap(512, 2048)], FramePool::split(Arena::heap(2048, 1024), 2), 512);
    let of_the_second = |&port: &u16| steering::owner(&addr(1), port, &addr(2), 80, 2) == 1;
    let mut sending = Ports { to_send: (1..).filter(of_the_second).take(500).collect(), ..Ports::default() };
    let mut tx = Vec::with_capacity(500);
    sending.emit(&mut Cx { now: Instant::ZERO, backlog: Backlog::None, pool: sender[0].pool(), tx: &mut tx });
    assert_eq!(sender[0].tx_burst(&mut tx), 500);
    let control = Control::new(2);
    let options = RunOptions { steering: Some(Policy::Hash), ..sleepy() };
    let parts = receivers.into_iter().map(|io| (Ports::default(), io)).collect();
    let running = start(parts, Clock::start(), &options, &control).unwrap();
    wait_until(|| control.total().counters.count(Event::SegmentsIn) == 500);
    control.stop();
    let ends = running.join().unwrap();
    assert!(ends[0].engine.got.is_empty() && ends[0].engine.behind > 0);
}
