use super::*;
use crate::cli::values::{Ports, address, address_range};
use crate::load::conn::Stage;
use crate::load::dialer::fake::FakeNet;
use crate::load::protocol::{Http, HttpState};
use crate::load::request::Request;

const MS: u64 = 1_000_000;
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

struct Rig {
    client: Client<Http>,
    net: FakeNet<ClientConn<HttpState>>,
    signals: Arc<Signals>,
    board: Arc<Board>,
}

impl Rig {
    fn new(plan: Plan, ports: u16, change: impl FnOnce(&mut ClientConfig)) -> Rig {
        let mut config = ClientConfig {
            plan,
            share: Share { worker: 0, workers: 1 },
            launches_max: u64::MAX,
            duration_ns: Some(100 * MS),
            warmup_ns: 0,
            drain_ns: 50 * MS,
            max_lateness_ns: 10 * MS,
            timeout_ns: 1000 * MS,
            requests_per_connection: 1,
            fast_open: false,
            close: CloseMode::Fin,
            seed: 1,
        };
        change(&mut config);
        let targets = [(address("198.18.0.2").unwrap(), 80)];
        let sources = [address_range("198.18.0.1/24").unwrap()];
        let tuples = Tuples::new(&targets, &sources, Ports { first: 1, last: ports }, 1);
        let (board, signals) = (Arc::new(Board::default()), Arc::new(Signals::default()));
        let protocol = Http::new(&Request::get("/"), &["a".into()], None);
        let client = Client::new(protocol, config, tuples, None, board.clone(), signals.clone());
        Rig { client, net: FakeNet::default(), signals, board }
    }

    fn open_loop(rate: u64, ports: u16) -> Rig {
        Rig::new(Plan::Open(OpenLoop::new(rate, 0, Share { worker: 0, workers: 1 })), ports, |_| {})
    }

    fn behind(mut self) -> Rig {
        self.net.is_behind = true;
        self
    }

    /// Turns at steps of a millisecond up to (not including) `ms`.
    fn run_to(&mut self, ms: u64, serve: bool) {
        while self.net.now < Instant::from_nanos(ms * MS) {
            self.client.turn(&mut self.net);
            if serve {
                self.serve();
            }
            self.reap();
            self.net.now = self.net.now.plus_nanos(MS);
        }
    }

    /// Every connection gets its handshake, its response and its close.
    fn serve(&mut self) {
        for slot in 0..self.net.conns.len() as u32 {
            let Some(pipe) = self.net.conn(ConnId { slot, generation: 0 }) else { continue };
            self.client.dialogue.connected(pipe);
            self.client.dialogue.data(pipe, OK);
            self.client.dialogue.peer_closed(pipe);
            let pipe = self.net.conns[slot as usize].take().unwrap();
            self.client.dialogue.closed(&pipe.user, CloseReason::Graceful, self.net.now);
        }
    }

    /// As `run_to`; the peer answers each request within the turn, and closes when it is closed to.
    fn talk_to(&mut self, ms: u64) {
        while self.net.now < Instant::from_nanos(ms * MS) {
            self.client.turn(&mut self.net);
            (0..self.net.conns.len() as u32).for_each(|slot| self.answer(slot));
            self.reap();
            self.net.now = self.net.now.plus_nanos(MS);
        }
    }

    fn answer(&mut self, slot: u32) {
        let d = &mut self.client.dialogue;
        let Some(pipe) = self.net.conn(ConnId { slot, generation: 0 }) else { return };
        if pipe.user.stage == Stage::Handshake {
            d.connected(pipe);
        }
        if !pipe.take_sent().is_empty() {
            d.data(pipe, OK);
        }
        if pipe.calls.contains(&"close") {
            d.peer_closed(pipe);
            let pipe = self.net.conns[slot as usize].take().expect("a connection");
            self.client.dialogue.closed(&pipe.user, CloseReason::Graceful, self.net.now);
        }
    }

    /// What was aborted is gone.
    fn reap(&mut self) {
        for conn in &mut self.net.conns {
            if conn.as_ref().is_some_and(|c| c.calls.contains(&"abort")) {
                let pipe = conn.take().unwrap();
                self.client.dialogue.closed(&pipe.user, CloseReason::Aborted, self.net.now);
            }
        }
    }

    fn tally(&self) -> &Tally {
        &self.client.dialogue.tally
    }

    fn missed(&self, reason: MissReason) -> u64 {
        self.tally().missed[reason as usize]
    }
}

#[test]
fn open_loop_launches_what_is_due_and_ends_after_the_duration() {
    let mut rig = Rig::open_loop(2000, 60_000);
    rig.run_to(100, true);
    assert_eq!(rig.tally().started, 199);
    rig.run_to(110, true);
    assert_eq!((rig.tally().started, rig.tally().completed, rig.tally().missed_total()), (200, 200, 0));
    assert_eq!((rig.signals.finished(), rig.board.read().completed), (1, 200));
    assert_eq!(rig.client.due(), None);
    assert_eq!(rig.client.into_outcome().launching_ns, 100 * MS);
}

#[test]
fn nothing_is_launched_as_long_as_more_has_come_than_a_turn_takes_and_what_gets_too_late_is_missed() {
    let mut rig = Rig::open_loop(1000, 1000).behind();
    rig.run_to(15, true);
    assert_eq!(rig.net.connects.len(), 0);
    // Due at 0 to 15 ms; those more than 10 ms late were given up.
    let missed = rig.client.dialogue.tally.missed_total();
    assert!((4..=5).contains(&missed), "{missed}");
    rig.net.is_behind = false;
    rig.run_to(16, true);
    assert!(rig.net.connects.len() >= 10, "all others follow at once");
}

#[test]
fn a_stall_is_caught_up_within_the_lateness_allowed_and_the_rest_is_missed() {
    let mut rig = Rig::open_loop(1000, 60_000);
    rig.run_to(10, true);
    rig.net.now = Instant::from_nanos(50 * MS);
    rig.run_to(52, true);
    // Due at 10 to 50 ms; those at 40 and later are at most 10 ms late.
    assert_eq!(rig.missed(MissReason::Late), 30);
    assert_eq!(rig.tally().started + rig.tally().missed_total(), 52);
    // The lateness of those that were launched is in their handshakes.
    assert!(rig.client.dialogue.latencies.of(super::super::latency::Measure::Handshake).max() >= 10 * MS - MS);
}

#[test]
fn a_launch_without_a_free_tuple_is_missed_and_told_from_a_full_table() {
    let mut rig = Rig::open_loop(1000, 20);
    rig.run_to(40, false);
    assert_eq!((rig.tally().started, rig.missed(MissReason::NoTuple)), (20, 20));
    rig.net.full = true;
    rig.run_to(45, false);
    assert_eq!(rig.missed(MissReason::TableFull), 5);
    assert_eq!(rig.tally().started, 20);
}

#[test]
fn closed_loop_keeps_its_number_open_and_replaces_what_ends() {
    let mut rig = Rig::new(Plan::Closed(ClosedLoop::new(8, 0)), 60_000, |_| {});
    rig.run_to(5, false);
    assert_eq!((rig.tally().open(), rig.tally().started), (8, 8));
    rig.run_to(15, true);
    assert_eq!(rig.tally().started, 8 + 9 * 8);
}

#[test]
fn closed_loop_that_runs_out_of_tuples_says_for_how_long() {
    let mut rig = Rig::new(Plan::Closed(ClosedLoop::new(8, 0)), 4, |_| {});
    rig.run_to(20, false);
    assert_eq!((rig.tally().started, rig.tally().missed_total()), (4, 0));
    rig.net.tuples.clear();
    rig.run_to(30, false);
    assert_eq!(rig.tally().started, 8);
    assert_eq!(rig.client.into_outcome().starved_ns, 20 * MS);
}

#[test]
fn exactly_the_connections_asked_for_are_launched() {
    let closed = Plan::Closed(ClosedLoop::new(3, 0));
    let open = Plan::Open(OpenLoop::new(1000, 0, Share { worker: 0, workers: 1 }));
    for plan in [closed, open] {
        let mut rig = Rig::new(plan, 60_000, |c| {
            c.launches_max = 10;
            c.duration_ns = None;
        });
        rig.run_to(30, true);
        assert_eq!((rig.tally().started, rig.tally().completed, rig.signals.finished()), (10, 10, 1));
    }
}

#[test]
fn what_does_not_finish_in_the_drain_is_cut_and_counted_apart() {
    let mut rig = Rig::open_loop(1000, 60_000);
    rig.run_to(149, false);
    assert_eq!((rig.tally().started, rig.signals.finished()), (100, 0));
    rig.run_to(155, false);
    assert_eq!((rig.tally().unfinished, rig.tally().failed_total(), rig.signals.finished()), (100, 0, 1));
}

#[test]
fn rates_are_over_the_time_until_the_last_response_however_connections_end() {
    // Two connections of 50 requests each are launched in the first turn; a response takes a turn.
    for close in [CloseMode::Fin, CloseMode::Rst] {
        let mut rig = Rig::new(Plan::Closed(ClosedLoop::new(2, 0)), 60_000, |c| {
            (c.launches_max, c.requests_per_connection, c.close) = (2, 50, close);
            c.duration_ns = None;
        });
        rig.talk_to(200);
        assert_eq!((rig.tally().completed, rig.tally().requests, rig.signals.finished()), (2, 100, 1), "{close:?}");
        let outcome = rig.client.into_outcome();
        assert_eq!((outcome.launching_ns, outcome.active_ns, outcome.stopped), (0, 49 * MS, false), "{close:?}");
    }
}

#[test]
fn connections_that_are_all_launched_may_take_as_long_as_they_need() {
    let mut rig = Rig::new(Plan::Closed(ClosedLoop::new(2, 0)), 60_000, |c| {
        (c.launches_max, c.requests_per_connection, c.drain_ns) = (2, 300, 5 * MS);
        c.duration_ns = None;
    });
    rig.talk_to(1_000);
    assert_eq!((rig.tally().completed, rig.tally().requests, rig.tally().unfinished), (2, 600, 0));
}

#[test]
fn when_time_is_up_no_connection_goes_on_requesting() {
    let mut rig = Rig::new(Plan::Closed(ClosedLoop::new(5, 0)), 60_000, |c| c.requests_per_connection = 1_000_000);
    rig.talk_to(500);
    assert_eq!((rig.tally().completed, rig.tally().unfinished, rig.signals.finished()), (5, 0, 1));
    // A response each in every turn of the 100 ms and in the one after.
    assert_eq!(rig.tally().responses_total(), 5 * 101);
    let o = rig.client.into_outcome();
    assert_eq!((o.offered.responses_total(), o.active_ns), (5 * 100, 100 * MS));
}

#[test]
fn a_warm_up_is_left_out_of_what_is_measured() {
    let plan = Plan::Open(OpenLoop::new(1000, 0, Share { worker: 0, workers: 1 }));
    let mut rig = Rig::new(plan, 60_000, |c| c.warmup_ns = 40 * MS);
    rig.run_to(120, true);
    let o = rig.client.into_outcome();
    assert_eq!((o.tally.completed, o.measured.completed), (100, 60));
    let connections = o.latencies.of(crate::load::latency::Measure::Connection).len();
    assert_eq!((connections, o.active_ns), (60, 100 * MS));
}

#[test]
fn a_run_counts_as_stopped_only_if_it_was_stopped_before_its_end() {
    let stopped = |at: Option<u64>, launches_max: u64| {
        let mut rig = Rig::new(Plan::Closed(ClosedLoop::new(2, 0)), 60_000, |c| c.launches_max = launches_max);
        rig.run_to(at.unwrap_or(120), false);
        at.iter().for_each(|_| rig.signals.stop_launching());
        rig.run_to(170, false);
        assert_eq!((rig.tally().unfinished, rig.signals.finished()), (2, 1));
        rig.client.into_outcome().stopped
    };
    assert!(stopped(Some(50), u64::MAX) && stopped(Some(50), 2), "launching, or waiting for what was launched");
    assert!(!stopped(Some(120), u64::MAX) && !stopped(None, 2), "its time was up");
    let unborn = Rig::open_loop(1, 10);
    assert!(unborn.client.into_outcome().stopped, "ended before its first turn");
}

#[test]
fn a_stop_ends_launching_at_once_but_lets_connections_finish() {
    for plan in
        [Plan::Open(OpenLoop::new(1000, 0, Share { worker: 0, workers: 1 })), Plan::Closed(ClosedLoop::new(30, 0))]
    {
        let mut rig = Rig::new(plan, 60_000, |_| {});
        rig.run_to(30, false);
        rig.signals.stop_launching();
        rig.run_to(40, false);
        let started = rig.tally().started;
        assert!((30..=31).contains(&started), "{started}");
        rig.run_to(42, true);
        assert_eq!((rig.tally().completed, rig.signals.finished()), (started, 1));
    }
}

#[test]
fn connections_that_take_too_long_are_given_up() {
    let mut rig = Rig::new(Plan::Closed(ClosedLoop::new(5, 0)), 60_000, |c| {
        c.timeout_ns = 16 * MS;
        c.launches_max = 5;
    });
    rig.run_to(40, false);
    let reason = crate::load::FailReason::ConnectTimeout;
    assert_eq!((rig.tally().failed[reason as usize], rig.signals.finished()), (5, 1));
}

#[test]
fn tuples_of_other_workers_are_left_alone() {
    let mut rig = Rig::open_loop(1000, 60_000);
    rig.client.steer = Some(Box::new(|c| c.local_port.is_multiple_of(2)));
    rig.run_to(100, true);
    assert!(rig.tally().started >= 99);
    assert!(rig.net.connects.iter().all(|(_, c)| c.local_port % 2 == 0));
}

#[test]
fn a_sleeping_worker_is_told_when_the_next_launch_or_timeout_is_due() {
    let mut rig = Rig::open_loop(100, 60_000);
    assert_eq!(rig.client.due(), Some(Instant::ZERO));
    rig.run_to(1, true);
    assert_eq!(rig.client.due(), Some(Instant::from_nanos(10 * MS)));
    let mut rig = Rig::new(Plan::Closed(ClosedLoop::new(2, 0)), 60_000, |c| c.timeout_ns = 100_000 * MS);
    rig.run_to(1, false);
    assert_eq!(rig.client.due(), Some(Instant::from_nanos(100 * MS)));
}

#[test]
fn a_connection_that_lags_behind_all_others_is_in_no_rate() {
    let plans =
        [Plan::Open(OpenLoop::new(1000, 0, Share { worker: 0, workers: 1 })), Plan::Closed(ClosedLoop::new(30, 0))];
    for plan in plans {
        let mut rig = Rig::new(plan, 60_000, |c| (c.launches_max, c.duration_ns) = (100, None));
        while rig.net.now < Instant::from_nanos(150 * MS) {
            rig.client.turn(&mut rig.net);
            // All but the tenth are answered at once.
            (0..rig.net.conns.len() as u32).filter(|slot| *slot != 10).for_each(|slot| rig.answer(slot));
            rig.net.now = rig.net.now.plus_nanos(MS);
        }
        let lag = 900 * MS;
        rig.net.now = Instant::from_nanos(lag);
        rig.talk_to(950);
        assert_eq!((rig.tally().completed, rig.signals.finished()), (100, 1));
        let o = rig.client.into_outcome();
        assert!(o.active_ns < 150 * MS && (95..100).contains(&o.offered.completed), "{:?}", o.offered);
        assert_eq!((o.measured.completed, o.whole_ns), (100, lag), "it is in counts and latencies");
    }
}

#[test]
fn what_is_answered_after_the_time_is_up_is_in_no_rate() {
    let mut rig = Rig::open_loop(1000, 60_000);
    rig.run_to(50, true);
    // The target falls silent, and answers everything at last.
    rig.run_to(120, false);
    rig.run_to(130, true);
    let o = rig.client.into_outcome();
    assert_eq!((o.tally.completed, o.offered.completed, o.active_ns), (100, 50, 100 * MS));
    assert_eq!(o.whole_ns, 120 * MS);
}

#[test]
fn few_connections_offer_load_until_the_last_of_them_is_over() {
    let mut rig = Rig::new(Plan::Closed(ClosedLoop::new(2, 0)), 60_000, |c| {
        (c.launches_max, c.requests_per_connection, c.duration_ns) = (2, 50, None);
    });
    rig.talk_to(200);
    let o = rig.client.into_outcome();
    assert_eq!((o.offered.requests, o.active_ns), (100, 49 * MS));
}
