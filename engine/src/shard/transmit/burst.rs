//! Where PSH stands in what a connection sends in one go.

use crate::shard::core::Core;
use crate::tcp::burst;
use crate::tcp::output::Plan;
use crate::wire::TcpFlags;

/// The segments that left since the last one that ended a burst.
#[derive(Default)]
pub(super) struct Burst {
    segments: u32,
    /// So many are a burst.
    limit: u32,
}

impl Core {
    /// `plan` goes out next: does it end a burst? No PSH if the application has said that more will follow.
    pub(super) fn push_burst(&mut self, slot: u32, plan: &mut Plan, burst: &mut Burst) {
        let Some(t) = self.conns.get(slot) else { return };
        burst.segments += 1;
        if burst.segments == 1 && !plan.is_last {
            burst.limit = burst::segments(t, &self.proto.env_of(slot, t.flags));
        }
        if plan.flags.has(TcpFlags::PSH) && self.send.is_unfinished(t.send, plan.seq + plan.len) {
            plan.flags = plan.flags.without(TcpFlags::PSH);
        }
        let ends = plan.is_last || burst.segments >= burst.limit;
        plan.burst = if ends { std::mem::take(&mut burst.segments) } else { 0 };
    }
}
