use super::*;
use crate::cli::values::{Ports, address, address_range};
use crate::load::dialer::fake::FakeNet;
use crate::load::latency::Measure;
use crate::load::protocol::Http;
use crate::load::request::Request;
use crate::load::tally::FailReason;

const MS: u64 = 1_000_000;
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const ALONE: Share = Share { worker: 0, workers: 1 };

/// A holder and a network whose peer answers within the turn.
struct Rig {
    holder: Holder<Http>,
    net: FakeNet<HeldConn>,
    signals: Arc<Signals>,
    /// What the peer does.
    accepts: bool,
    answers: bool,
    closes: bool,
}

impl Rig {
    fn new(connections: u64, ports: u16, change: impl FnOnce(&mut HoldConfig)) -> Rig {
        let mut config = HoldConfig {
            connections,
            share: ALONE,
            pace: Pace::new(None, 0, ALONE),
            at_a_time: 32,
            hold_ns: 100 * MS,
            requests: Some(Pace::new(Some(1000), 0, ALONE)),
            max_lateness_ns: 10 * MS,
            timeout_ns: 50 * MS,
            failures_max: 0,
            close: CloseMode::Fin,
            seed: 1,
        };
        change(&mut config);
        let targets = [(address("198.18.0.2").unwrap(), 80)];
        let sources = [address_range("198.18.0.1/24").unwrap()];
        let tuples = Tuples::new(&targets, &sources, Ports { first: 1, last: ports }, 1);
        let signals = Arc::new(Signals::default());
        let protocol = Http::new(&Request::get("/"), &["a".into()], None);
        let holder = Holder::new(protocol, config, tuples, None, Arc::default(), signals.clone());
        Rig { holder, net: FakeNet::default(), signals, accepts: true, answers: true, closes: true }
    }

    /// Turns at steps of a millisecond up to (not including) `ms`, or until the run is over.
    fn run_to(&mut self, ms: u64) {
        while self.net.now < Instant::from_nanos(ms * MS) && self.signals.finished() == 0 {
            self.holder.turn(&mut self.net);
            (0..self.net.conns.len()).for_each(|slot| self.peer(slot));
            self.net.now = self.net.now.plus_nanos(MS);
        }
    }

    fn peer(&mut self, slot: usize) {
        let d = &mut self.holder.dialogue;
        let Some(mut pipe) = self.net.conn(ConnId { slot: slot as u32, generation: 0 }) else { return };
        if pipe.calls.contains(&"abort") {
            return self.end(slot, CloseReason::Aborted);
        }
        if pipe.user.stage == Stage::Handshake && self.accepts {
            d.connected(&mut pipe);
        }
        if !pipe.take_sent().is_empty() && self.answers {
            d.data(&mut pipe, OK);
        }
        if pipe.calls.contains(&"close") && self.closes {
            self.end(slot, CloseReason::Graceful);
        }
    }

    fn end(&mut self, slot: usize, why: CloseReason) {
        let pipe = self.net.conns[slot].take().expect("a connection");
        self.holder.dialogue.closed(pipe.user, why, self.net.now);
    }

    fn failed(&self, reason: FailReason) -> u64 {
        self.holder.dialogue.tally.failed[reason as usize]
    }
}

#[test]
fn all_are_opened_held_asked_at_random_and_closed() {
    let mut rig = Rig::new(1000, 60_000, |_| {});
    rig.run_to(10_000);
    assert_eq!(rig.signals.finished(), 1);
    assert_eq!(rig.holder.due(), None);
    let asked: Vec<bool> = rig.net.conns.iter().map(Option::is_none).collect();
    assert_eq!(asked.len(), 1000);
    let o = rig.holder.into_outcome();
    let t = &o.tally;
    assert_eq!((t.started, t.established, t.completed, t.failed_total()), (1000, 1000, 1000, 0));
    assert_eq!((o.held_peak, o.broken, o.requests_missed, t.requests, t.responses[2]), (1000, 0, 0, 100, 100));
    // 32 at a time, and a turn for each handshake and close.
    assert_eq!((o.durations.opening_ns, o.durations.holding_ns, o.durations.closing_ns), (31 * MS, 100 * MS, 32 * MS));
    assert_eq!(o.latencies.of(Measure::Close).len(), 1000);
}

#[test]
fn requests_go_to_connections_all_over_the_hold() {
    let mut rig = Rig::new(100, 60_000, |_| {});
    rig.answers = false;
    rig.run_to(90);
    let busy: Vec<usize> =
        (0..100).filter(|n| rig.net.conns[*n].as_ref().is_some_and(|c| c.user.stage != Stage::Idle)).collect();
    assert!((40..=90).contains(&busy.len()), "{busy:?}");
    assert!(busy.windows(2).any(|w| w[1] - w[0] > 1) && busy[0] < 30 && busy[busy.len() - 1] > 70, "{busy:?}");
}

#[test]
fn no_more_than_the_bound_are_opening_or_closing() {
    let mut rig = Rig::new(500, 60_000, |c| (c.at_a_time, c.timeout_ns) = (7, 1_000 * MS));
    (rig.accepts, rig.closes) = (false, false);
    rig.run_to(20);
    assert_eq!(rig.net.conns.len(), 7);
    rig.accepts = true;
    rig.run_to(400);
    assert_eq!(rig.holder.phase, Phase::Closing);
    let closing = rig.net.conns.iter().flatten().filter(|c| c.calls.contains(&"close")).count();
    assert_eq!(closing, 7);
}

#[test]
fn a_rate_spreads_opening_and_closing() {
    let mut rig = Rig::new(50, 60_000, |c| c.pace = Pace::new(Some(500), 0, ALONE));
    rig.run_to(10_000);
    let d = rig.holder.into_outcome().durations;
    assert_eq!((d.opening_ns, d.closing_ns), (98 * MS, 98 * MS));
}

#[test]
fn the_last_free_tuples_are_found_without_a_search() {
    let mut rig = Rig::new(60_000, 60_000, |c| {
        c.at_a_time = 64;
        c.hold_ns = 0;
    });
    while rig.holder.phase == Phase::Opening {
        rig.run_to(rig.net.now.as_nanos() / MS + 1);
    }
    assert_eq!((rig.holder.dialogue.held, rig.net.tries), (60_000, 60_000));
}

#[test]
fn without_a_tuple_for_each_the_rest_are_missed_and_what_is_there_is_closed() {
    let mut rig = Rig::new(100, 40, |_| {});
    rig.run_to(10_000);
    let o = rig.holder.into_outcome();
    assert_eq!((o.held_peak, o.tally.missed[MissReason::NoTuple as usize], o.tally.completed), (40, 60, 40));
    assert_eq!(o.durations.holding_ns, 0, "there was nothing to hold");
}

#[test]
fn a_target_that_refuses_ends_the_opening_unless_errors_are_allowed() {
    for (allowed, peak) in [(0, 10), (5, 99)] {
        let mut rig = Rig::new(100, 60_000, |c| {
            c.at_a_time = 10;
            c.failures_max = allowed;
        });
        rig.accepts = false;
        rig.run_to(1);
        rig.end(3, CloseReason::Refused);
        rig.accepts = true;
        rig.run_to(10_000);
        assert_eq!(rig.failed(FailReason::Refused), 1);
        let o = rig.holder.into_outcome();
        assert!(o.held_peak <= peak && o.held_peak + 1 >= peak, "{allowed}: {}", o.held_peak);
        assert_eq!((o.tally.completed + 1, o.broken), (o.tally.started, 0));
    }
}

#[test]
fn connections_that_break_while_held_are_failures_and_no_more_asked() {
    let mut rig = Rig::new(100, 60_000, |_| {});
    rig.run_to(20);
    assert_eq!(rig.holder.phase, Phase::Holding);
    (0..60).for_each(|slot| rig.end(slot, CloseReason::Reset));
    for slot in 60..70 {
        let mut pipe = rig.net.conn(ConnId { slot, generation: 0 }).expect("held");
        rig.holder.dialogue.peer_closed(&mut pipe);
    }
    rig.run_to(10_000);
    assert_eq!((rig.failed(FailReason::Reset), rig.failed(FailReason::ClosedEarly)), (60, 10));
    let o = rig.holder.into_outcome();
    assert_eq!((o.held_peak, o.broken, o.tally.completed, o.requests_missed), (100, 70, 30, 0));
}

#[test]
fn timeouts_are_named_after_what_was_waited_for() {
    let slow = |change: fn(&mut Rig)| {
        let mut rig = Rig::new(5, 60_000, |c| c.hold_ns = 60 * MS);
        change(&mut rig);
        rig.run_to(10_000);
        assert_eq!(rig.signals.finished(), 1);
        FailReason::ALL.iter().copied().filter(|r| rig.failed(*r) > 0).collect::<Vec<_>>()
    };
    assert_eq!(slow(|rig| rig.accepts = false), [FailReason::ConnectTimeout]);
    assert_eq!(slow(|rig| rig.answers = false), [FailReason::ResponseTimeout]);
    assert_eq!(slow(|rig| rig.closes = false), [FailReason::CloseTimeout]);
}

#[test]
fn requests_are_measured_from_when_they_were_due_and_missed_when_far_too_late() {
    let mut rig = Rig::new(200, 60_000, |c| c.at_a_time = 200);
    rig.run_to(20);
    let sent = rig.holder.dialogue.tally.requests;
    rig.net.now = Instant::from_nanos(60 * MS);
    rig.run_to(61);
    let o = rig.holder.into_outcome();
    // One a millisecond; those that are more than 10 ms late are not sent.
    assert_eq!((o.requests_missed, o.tally.requests - sent), (30, 11));
    assert!(o.latencies.of(Measure::Response).max() >= 9 * MS, "late by up to 10 ms, and answered in the same turn");
    assert_eq!(o.latencies.of(Measure::Request).max(), 0, "from when it was sent");
}

#[test]
fn every_request_that_was_due_in_the_hold_was_sent_or_missed() {
    let mut rig = Rig::new(10, 60_000, |_| {});
    rig.run_to(30);
    rig.net.now = Instant::from_nanos(5_000 * MS);
    rig.run_to(10_000);
    let o = rig.holder.into_outcome();
    assert_eq!(o.requests_missed + o.tally.requests, 100);
    assert!(o.tally.requests >= 20);
}

#[test]
fn a_stop_in_any_phase_closes_what_is_open_and_loses_no_number() {
    for at in [5, 15, 60, 140] {
        let mut rig = Rig::new(400, 60_000, |_| {});
        rig.run_to(at);
        rig.signals.stop_launching();
        rig.run_to(10_000);
        assert_eq!(rig.signals.finished(), 1, "{at}");
        let o = rig.holder.into_outcome();
        let t = &o.tally;
        assert_eq!((t.completed, t.unfinished, t.failed_total()), (t.started, 0, 0), "{at}");
        assert!(
            o.durations.closing_ns > 0 && o.durations.holding_ns < 100 * MS || at == 140,
            "{at}: {:?}",
            o.durations
        );
    }
}

#[test]
fn a_stop_does_not_wait_for_handshakes() {
    let mut rig = Rig::new(400, 60_000, |c| c.timeout_ns = 1_000_000 * MS);
    rig.accepts = false;
    rig.run_to(5);
    rig.signals.stop_launching();
    rig.run_to(20);
    assert_eq!((rig.signals.finished(), rig.holder.into_outcome().tally.unfinished), (1, 32));
}

#[test]
fn what_a_worker_still_holds_when_it_is_ended_is_unfinished() {
    let mut rig = Rig::new(40, 60_000, |_| {});
    rig.run_to(20);
    rig.end(0, CloseReason::Aborted);
    let o = rig.holder.into_outcome();
    assert_eq!((o.tally.unfinished, o.tally.failed_total(), o.broken), (40, 0, 0));
    assert!(o.durations.opening_ns > 0 && o.durations.holding_ns > 0);
}

#[test]
fn a_target_that_has_gone_is_not_waited_for_by_each_connection_in_turn() {
    let mut rig = Rig::new(1000, 60_000, |c| c.hold_ns = 0);
    rig.closes = false;
    rig.run_to(300);
    assert_eq!(rig.signals.finished(), 1);
    let o = rig.holder.into_outcome();
    assert_eq!((o.tally.failed[FailReason::CloseTimeout as usize], o.tally.completed), (32, 0));
    assert_eq!(o.tally.unfinished, 1000 - 32);
}

#[test]
fn launches_of_one_turn_are_prepared_together() {
    let mut rig = Rig::new(1000, 60_000, |c| c.hold_ns = 0);
    rig.run_to(10_000);
    assert_eq!((rig.net.tries, rig.net.expected, rig.net.prepared.len()), (1000, 1000, 0));
}

#[test]
fn closes_that_had_to_wait_for_their_turn_are_not_late_because_of_it() {
    // 1000 closes are due within 100 ms, and the peer takes 32 in 40 ms.
    let mut rig = Rig::new(1000, 60_000, |c| {
        c.hold_ns = 0;
        c.pace = Pace::new(Some(10_000), 0, ALONE);
    });
    while rig.holder.phase != Phase::Closing {
        rig.run_to(rig.net.now.as_nanos() / MS + 1);
    }
    rig.closes = false;
    while rig.signals.finished() == 0 {
        rig.run_to(rig.net.now.as_nanos() / MS + 40);
        rig.closes = true;
        rig.run_to(rig.net.now.as_nanos() / MS + 1);
        rig.closes = false;
    }
    let o = rig.holder.into_outcome();
    assert_eq!((o.tally.failed_total(), o.tally.completed, o.tally.unfinished), (0, 1000, 0));
}

#[test]
fn handshakes_that_had_to_wait_for_their_turn_are_not_late_because_of_it() {
    let mut rig = Rig::new(1000, 60_000, |c| {
        c.hold_ns = 0;
        c.pace = Pace::new(Some(10_000), 0, ALONE);
    });
    while rig.holder.phase == Phase::Opening {
        rig.accepts = false;
        rig.run_to(rig.net.now.as_nanos() / MS + 40);
        rig.accepts = true;
        rig.run_to(rig.net.now.as_nanos() / MS + 1);
    }
    rig.run_to(100_000);
    let o = rig.holder.into_outcome();
    assert_eq!((o.tally.failed_total(), o.tally.completed, o.tally.unfinished), (0, 1000, 0));
}

#[test]
fn closes_further_apart_than_the_timeout_are_all_made() {
    let mut rig = Rig::new(20, 60_000, |c| {
        c.hold_ns = 0;
        c.pace = Pace::new(Some(10), 0, ALONE);
    });
    rig.run_to(100_000);
    let o = rig.holder.into_outcome();
    assert_eq!((o.tally.failed_total(), o.tally.completed, o.tally.unfinished), (0, 20, 0));
}

#[test]
fn nobody_begins_to_hold_before_all_workers_have_opened() {
    let mut rig = Rig::new(10, 60_000, |c| c.share = Share { worker: 0, workers: 2 });
    rig.run_to(50);
    assert_eq!((rig.holder.phase, rig.holder.dialogue.tally.requests), (Phase::Opened, 0));
    rig.signals.report_opened();
    rig.run_to(60);
    assert_eq!(rig.holder.phase, Phase::Holding);
}

#[test]
fn a_worker_that_may_sleep_is_woken_for_every_step() {
    let mut rig = Rig::new(200, 60_000, |c| c.pace = Pace::new(Some(100), 0, ALONE));
    let mut turns = 0;
    while rig.signals.finished() == 0 {
        rig.run_to(rig.net.now.as_nanos() / MS + 1);
        let due = rig.holder.due().unwrap_or(rig.net.now);
        rig.net.now = rig.net.now.max(Instant::from_nanos(due.as_nanos().div_ceil(MS) * MS));
        turns += 1;
        assert!(turns < 2_000, "turns without anything to do in {:?}", rig.holder.phase);
    }
    let o = rig.holder.into_outcome();
    assert_eq!((o.tally.completed, o.tally.requests), (200, 100));
}

#[test]
fn every_request_of_a_hold_is_answered_missed_or_lost() {
    for (stopped, silent_at) in [(false, 40), (true, 40), (false, 95), (true, 0)] {
        let mut rig = Rig::new(100, 1000, |c| c.failures_max = 100);
        rig.run_to(silent_at);
        rig.answers = false;
        rig.run_to(60);
        if stopped {
            rig.signals.stop_launching();
            rig.run_to(70);
        } else {
            rig.run_to(1_000);
        }
        let o = rig.holder.into_outcome();
        let (t, lost) = (&o.tally, o.tally.lost.requests + o.tally.cut.requests);
        assert_eq!(t.requests, t.responses_total() + lost, "{stopped} {silent_at}");
        assert!(lost > 0 && (t.cut.requests > 0) == stopped, "{stopped} {silent_at}: {:?} {:?}", t.lost, t.cut);
        assert_eq!(t.started, t.established + t.lost.handshakes + t.cut.handshakes);
    }
}
