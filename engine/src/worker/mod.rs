//! F5: the poll loop. One thread, one queue, one engine; nothing on the packet path is shared.
//!
//! `Worker::run` is the loop, on one screen. Around it: the clock ([`clock`]), where the time goes ([`watch`]),
//! frames that belong to other workers ([`handoff`]), threads, cores and panics ([`run`]). The loop never
//! allocates, never locks, and enters the kernel only in `kick`, once a millisecond for the device's statistics, and,
//! when it may sleep, in `wait`.

pub mod clock;
pub mod endpoint;
pub mod engine;
pub mod handoff;
pub mod pin;
pub mod run;
pub mod watch;

pub use clock::Clock;
pub use endpoint::Endpoint;
pub use engine::Engine;
pub use run::{Finished, RunError, RunOptions, Running, start, start_with};

use crate::base::{Backlog, Counters, Frame, Instant};
use crate::control::{Command, Control, Stage};
use crate::io::PacketIo;
use crate::shard::Cx;
use core::time::Duration;
use handoff::Handoff;
use watch::Watch;

/// Numbers are published this often.
const PUBLISH_NS: u64 = 1_000_000;
/// Who may sleep polls on for so long after the last frame, and so long before something is due: falling asleep, being
/// woken up, and the slack that the kernel gives timers (50 µs) cost more than that.
const AWAKE_NS: u64 = 50_000;
/// No sleep is longer: commands and the stop flag are looked at this often at least.
const SLEEP_NS_MAX: u64 = 100_000_000;
/// With other workers, whose frames do not wake a sleeper up, no sleep is longer than this.
const SLEEP_NS_MAX_WITH_INBOX: u64 = 1_000_000;
/// How long the engine may take at the end of a run to say goodbye.
const SHUT_DOWN_NS_MAX: u64 = 2_000_000_000;

/// One worker, made and run in a thread of its own.
pub(crate) struct Worker<E, I> {
    index: usize,
    engine: E,
    io: I,
    clock: Clock,
    control: Control,
    handoff: Option<Handoff>,
    sleep: bool,
    rx: Vec<Frame>,
    tx: Vec<Frame>,
    /// The worker's own events; the engine and the taps have theirs.
    counters: Counters,
    watch: Watch,
    /// When frames last came or went.
    last_busy: Instant,
    last_publish: Instant,
    draining: bool,
    reported_drained: bool,
}

impl<E: Engine, I: PacketIo> Worker<E, I> {
    pub(crate) fn run(mut self) -> Finished<E, I> {
        let mut now = self.clock.now();
        while !self.is_over() {
            let busy = self.turn(now);
            if busy {
                self.last_busy = now;
            } else if self.sleep {
                self.rest(now);
            }
            let next = self.clock.now();
            self.watch.end(busy, next.nanos_since(now));
            now = next;
            if now.nanos_since(self.last_publish) >= PUBLISH_NS {
                self.publish(now);
            }
        }
        self.shut_down();
        Finished { engine: self.engine, io: self.io, handoff: self.handoff }
    }

    /// One turn. Returns whether frames came or went.
    #[inline]
    fn turn(&mut self, now: Instant) -> bool {
        self.watch.begin(now);
        self.io.reclaim();
        let came = self.receive();
        let inbox = self.handoff.as_ref().map_or(Backlog::None, Handoff::backlog);
        let backlog = self.io.backlog().max(inbox);
        self.watch.lap(Stage::Rx);

        let mut cx = Cx { now, backlog, pool: self.io.pool(), tx: &mut self.tx };
        self.engine.ingest(&mut self.rx, &mut cx);
        self.engine.expire(&mut cx);
        self.watch.lap(Stage::Shard);
        self.engine.poll_app(&mut cx);
        self.watch.lap(Stage::App);
        self.engine.emit(&mut cx);
        self.watch.lap(Stage::Shard);

        let sent = self.io.tx_burst(&mut self.tx);
        self.watch.lap(Stage::Tx);
        self.io.kick();
        self.watch.lap(Stage::Kick);
        came + sent > 0
    }

    /// Frames from other workers, then from the device; those of other workers go on to them.
    #[inline]
    fn receive(&mut self) -> usize {
        let Some(handoff) = &mut self.handoff else { return self.io.rx_burst(&mut self.rx) };
        let handed = handoff.collect(&mut self.rx, self.io.pool(), &mut self.counters);
        let first = self.rx.len();
        let came = self.io.rx_burst(&mut self.rx);
        handoff.sort(&mut self.rx, first, self.io.pool(), &mut self.counters);
        handed + came
    }

    /// Sleeps until a frame comes or something is due. Never while frames still wait to be sent.
    fn rest(&mut self, now: Instant) {
        if !self.tx.is_empty() || now.nanos_since(self.last_busy) < AWAKE_NS {
            return;
        }
        let longest_ns = if self.handoff.is_some() { SLEEP_NS_MAX_WITH_INBOX } else { SLEEP_NS_MAX };
        let due_ns = self.engine.next_deadline(now).map_or(u64::MAX, |at| at.nanos_since(now));
        let rest_ns = due_ns.saturating_sub(AWAKE_NS).min(longest_ns);
        if rest_ns > 0 {
            self.publish(now);
            self.io.wait(Duration::from_nanos(rest_ns));
        }
    }

    /// The run is over: stopped, or drained together with all other workers.
    fn is_over(&mut self) -> bool {
        while let Some(command) = self.control.next_command(self.index) {
            match command {
                Command::Stop => return true,
                Command::Drain if self.draining => {}
                Command::Drain => {
                    self.draining = true;
                    self.engine.begin_drain();
                }
            }
        }
        if self.draining && !self.reported_drained && self.tx.is_empty() && self.engine.is_drained() {
            self.reported_drained = true;
            self.control.report_drained();
        }
        self.control.is_stopped() || (self.reported_drained && self.control.all_drained())
    }

    fn publish(&mut self, now: Instant) {
        self.last_publish = now;
        if let Some(block) = self.control.published(self.index) {
            let sets = [Some(self.engine.counters()), self.io.tap_counters(), Some(&self.counters)];
            block.publish(sets.into_iter().flatten(), &self.io.stats(), &self.watch.time);
        }
    }

    /// Lets the engine say goodbye, sends what is left, and gives back what could not be sent.
    fn shut_down(&mut self) {
        let begun = self.clock.now();
        let mut now = begun;
        while now.nanos_since(begun) < SHUT_DOWN_NS_MAX {
            self.io.reclaim();
            let mut cx = Cx { now, backlog: Backlog::None, pool: self.io.pool(), tx: &mut self.tx };
            let done = self.engine.shut_down(&mut cx);
            self.io.tx_burst(&mut self.tx);
            self.io.kick();
            now = self.clock.now();
            if done && self.tx.is_empty() {
                break;
            }
        }
        self.io.reclaim();
        let pool = self.io.pool();
        self.tx.drain(..).for_each(|frame| pool.free(frame));
        self.publish(now);
    }
}

#[cfg(test)]
mod shard_tests;
#[cfg(test)]
mod tests;
