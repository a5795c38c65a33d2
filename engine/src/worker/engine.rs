//! What the poll loop drives. The shard is one such engine; tests have smaller ones.

use crate::base::{Counters, Frame, FramePool, Instant};

/// What an engine may use during a turn.
pub struct Cx<'a> {
    pub now: Instant,
    /// Frames come from here and go back here.
    pub pool: &'a mut FramePool,
    /// Frames to send, filled up to its capacity and never beyond.
    pub tx: &'a mut Vec<Frame>,
}

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
    /// `tx`, empty pool) is due at once: then this is not later than now. `None`: only when a frame arrives.
    fn next_deadline(&self) -> Option<Instant>;

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
