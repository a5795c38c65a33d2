//! A shard as the worker drives it, with what a program adds: the first hops are resolved before the application
//! begins, and segments are printed if they are to be.

use crate::live::Signals;
use crate::report::model::Cost;
use crate::trace::Tracer;
use std::io::Write;
use std::sync::Arc;
use synfin_engine::base::{Counters, Frame, Instant};
use synfin_engine::neigh::NeighState;
use synfin_engine::shard::{App, Cx, Shard};
use synfin_engine::wire::Addr;
use synfin_engine::worker::Engine;

/// Own address and target whose next hop must be known before the application starts.
pub type FirstHop = (Addr, Addr);

pub struct Runner<A: App> {
    shard: Shard<A>,
    signals: Arc<Signals>,
    /// Still to be resolved.
    first_hops: Vec<FirstHop>,
    tracer: Option<Tracer>,
    /// When the current turn began.
    now: Instant,
    /// Of the worker's thread, known at its end.
    cost: Cost,
}

impl<A: App> Runner<A> {
    pub fn new(shard: Shard<A>, signals: Arc<Signals>, first_hops: Vec<FirstHop>) -> Runner<A> {
        let tracer = shard.config().trace.then(Tracer::default);
        Runner { shard, signals, first_hops, tracer, now: Instant::ZERO, cost: Cost::default() }
    }

    pub fn shard(&self) -> &Shard<A> {
        &self.shard
    }

    /// What the worker's thread has used; zero while it runs.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    pub fn into_app(self) -> A {
        self.shard.into_app()
    }

    #[cold]
    fn resolve_first_hops(&mut self) {
        let (shard, signals, now) = (&mut self.shard, &self.signals, self.now);
        self.first_hops.retain(|(local, remote)| match shard.resolve(local, remote, now) {
            Some((hop, NeighState::Failed)) => {
                signals.report_unanswered(hop);
                false
            }
            Some((_, state)) => !state.is_resolved(),
            // Without a route the application is told so when it connects.
            None => false,
        });
    }

    #[cold]
    fn print_trace(&mut self) {
        let Some(tracer) = &mut self.tracer else { return };
        let mut err = std::io::stderr().lock();
        for event in self.shard.take_trace() {
            // Nobody left to read it is no reason to end the run.
            let _ = writeln!(err, "{}", tracer.line(&event));
        }
    }
}

impl<A: App> Engine for Runner<A> {
    fn ingest(&mut self, rx: &mut Vec<Frame>, cx: &mut Cx<'_>) {
        self.now = cx.now;
        self.shard.ingest(rx, cx);
    }

    fn expire(&mut self, cx: &mut Cx<'_>) {
        self.shard.expire(cx);
    }

    fn poll_app(&mut self, cx: &mut Cx<'_>) {
        if !self.first_hops.is_empty() {
            self.resolve_first_hops();
        } else {
            self.shard.poll_app(cx);
        }
    }

    fn emit(&mut self, cx: &mut Cx<'_>) {
        self.shard.emit(cx);
        if self.tracer.is_some() {
            self.print_trace();
        }
    }

    fn next_deadline(&self, now: Instant) -> Option<Instant> {
        self.shard.next_deadline(now)
    }

    fn counters(&self) -> &Counters {
        self.shard.counters()
    }

    /// Connections and handshakes are over; TIME-WAIT is not waited for.
    fn is_drained(&self) -> bool {
        let (connections, half_open, _) = self.shard.live();
        connections == 0 && half_open == 0
    }

    fn shut_down(&mut self, cx: &mut Cx<'_>) -> bool {
        let left = self.shard.abort_all(cx);
        self.shard.emit(cx);
        if self.tracer.is_some() {
            self.print_trace();
        }
        self.cost = Cost::of_this_thread();
        left == 0
    }
}
