//! Pacing: data segments of a connection leave at a rate, a little above what the congestion window comes to in a round
//! trip, or at the rate that the application has set, if that is lower. The timer wheel tells when the next one may go;
//! since it turns in ticks, whatever has become due since then leaves together.

use super::core::{Core, Protocol};
use crate::base::time::Tick;
use crate::base::{Instant, Segmented};
use crate::tcp::{Pacing, Tcb, flag};

/// What was not sent in time may follow within this time: turns of the poll loop are not even.
const SLACK_NANOS: u64 = 1 << 20;

/// When the next segment of each paced connection may go, by slot.
#[derive(Default)]
pub(super) struct Pacer(Segmented<Instant>);

/// Nanoseconds until the next segment after one of `len` bytes. The window goes out in five sixths of a round trip, so that
/// pacing is not what holds it back, and in slow start in half of one, so that it can double.
fn gap_nanos(t: &Tcb, pacing: Pacing, len: u32) -> u64 {
    let len = u64::from(len);
    let by_limit = len.saturating_mul(1_000_000_000) / pacing.max_bytes_per_s.max(1);
    if !t.has(flag::RTT_VALID) {
        return by_limit;
    }
    let srtt_nanos = u64::from(t.srtt_us) << 10;
    let (part, of) = if t.cwnd < t.ssthresh / 2 { (1, 2) } else { (5, 6) };
    let by_window = len.saturating_mul(srtt_nanos) / u64::from(t.cwnd.max(1)) * part / of;
    by_limit.max(by_window)
}

impl Protocol {
    #[inline(always)]
    pub fn pacing_of(&self, slot: u32, flags: u32) -> Option<Pacing> {
        self.config_of(slot, flags).pacing
    }
}

impl Core {
    /// The connection, a paced one, has to wait before it sends more data; it will be asked again when the time has come.
    #[inline(never)]
    pub(super) fn is_held_back(&mut self, slot: u32) -> bool {
        if !self.conns.get(slot).is_some_and(|t| t.state().is_synchronized()) {
            return false;
        }
        let Some(&at) = self.pacer.0.get(slot).filter(|&&at| at > self.proto.clock.now) else { return false };
        self.wheel.arm_by(slot, Tick::at_or_after(at));
        true
    }

    /// `len` bytes of data of a paced connection have left.
    #[inline(never)]
    pub(super) fn pace(&mut self, slot: u32, len: u32) {
        let Some(t) = self.conns.get(slot) else { return };
        if let Some(pacing) = self.proto.pacing_of(slot, t.flags).filter(|_| len > 0) {
            let gap = gap_nanos(t, pacing, len);
            let now = self.proto.clock.now;
            let due = self.pacer.0.get(slot).copied().unwrap_or_default();
            let earliest = Instant::from_nanos(now.as_nanos().saturating_sub(SLACK_NANOS));
            self.pacer.0.put(slot, due.max(earliest).plus_nanos(gap), Instant::default);
        }
    }

    /// The connection is over: its slot's next tenant waits for nothing.
    #[inline(always)]
    pub(super) fn forget_pacing(&mut self, slot: u32) {
        if let Some(due) = self.pacer.0.get_mut(slot) {
            *due = Instant::default();
        }
    }

    /// No connection is left in the slots from `left` on.
    pub(super) fn truncate_pacing(&mut self, left: u32) {
        self.pacer.0.truncate(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_leaves_within_the_round_trip_and_no_faster_than_the_limit() {
        let mut t = Tcb::default();
        (t.cwnd, t.ssthresh, t.srtt_us) = (120_000, 100_000, 9_766);
        t.set(flag::RTT_VALID);
        let segments = 120;
        let whole = segments * gap_nanos(&t, Pacing::UNLIMITED, 1_000);
        assert!((8_200_000..8_400_000).contains(&whole), "five sixths of 10 ms, not {whole} ns");
        t.ssthresh = u32::MAX;
        assert!(segments * gap_nanos(&t, Pacing::UNLIMITED, 1_000) < 5_100_000);
        let limit = Pacing { max_bytes_per_s: 1_000_000 };
        assert_eq!(gap_nanos(&t, limit, 1_000), 1_000_000);
    }
}
