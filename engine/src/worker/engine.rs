//! What the poll loop drives. The shard is one such engine; tests have smaller ones.

use crate::base::{Counters, Frame, Instant};
use crate::shard::{App, Cx, Shard};

/// One core's work, turn by turn: `ingest`, `expire`, `poll_app`, `emit`, in this order.
pub trait Engine {
    /// Takes all frames out of `rx`.
    fn ingest(&mut self, rx: &mut Vec<Frame>, cx: &mut Cx<'_>);

    /// Does what is due by now, within a budget.
    fn expire(&mut self, cx: &mut Cx<'_>);

    /// The application's turn.
    fn poll_app(&mut self, cx: &mut Cx<'_>);

    /// Builds the frames that the turn has asked for, as many as `cx.tx` and the pool have room for.
    fn emit(&mut self, cx: &mut Cx<'_>);

    /// When `expire`, `poll_app` or `emit` next have something to do. Work left over from a turn (budget, full
    /// `tx`, empty pool) is due at once: then this is not later than `now`. `None`: only when a frame arrives.
    fn next_deadline(&self, now: Instant) -> Option<Instant>;

    fn counters(&self) -> &Counters;

    /// Begin nothing new from now on.
    fn begin_drain(&mut self) {}

    /// After `begin_drain`: nothing is left to do.
    fn is_drained(&self) -> bool {
        true
    }

    /// The run is over: say goodbye to whoever is still connected. Called until it returns true (or for too
    /// long), with the frames it asks for sent in between.
    fn shut_down(&mut self, _cx: &mut Cx<'_>) -> bool {
        true
    }
}

impl<A: App> Engine for Shard<A> {
    #[inline]
    fn ingest(&mut self, rx: &mut Vec<Frame>, cx: &mut Cx<'_>) {
        Shard::ingest(self, rx, cx);
    }

    #[inline]
    fn expire(&mut self, cx: &mut Cx<'_>) {
        Shard::expire(self, cx);
    }

    #[inline]
    fn poll_app(&mut self, cx: &mut Cx<'_>) {
        Shard::poll_app(self, cx);
    }

    #[inline]
    fn emit(&mut self, cx: &mut Cx<'_>) {
        Shard::emit(self, cx);
    }

    #[inline]
    fn next_deadline(&self, now: Instant) -> Option<Instant> {
        Shard::next_deadline(self, now)
    }

    fn counters(&self) -> &Counters {
        Shard::counters(self)
    }

    fn begin_drain(&mut self) {
        self.stop_listening();
    }

    /// TIME-WAIT records are not waited for: they only answer stragglers.
    fn is_drained(&self) -> bool {
        let (connections, half_open, _) = self.live();
        connections == 0 && half_open == 0
    }

    fn shut_down(&mut self, cx: &mut Cx<'_>) -> bool {
        self.abort_all(cx) == 0
    }
}
