//! Segments that leave in one go, as a sender with segmentation offload hands them down: the last of several is pushed, so
//! that a receiver that gathers segments passes on what it has (RFC 9293 3.9.1.2 leaves it to us where else than at the end
//! of what is queued PSH stands).

use super::env::Env;
use super::tcb::{Tcb, flag};
use super::{congestion, recovery};

/// Datagrams are no larger.
const BYTES_MAX: u64 = 65_535;
/// A burst lasts 2^20 ns at the rate at which the window leaves.
const SPAN_SHIFT: u32 = 20;
/// For each 0.5 ms of the round trip, half as many bytes go along on top of that: short paths are left in large bursts.
const NEAR_SHIFT: u32 = 9;

/// How many segments make a burst: what leaves in a millisecond, but not more than half of either window.
pub fn segments(t: &Tcb, env: &Env<'_>) -> u32 {
    let mss = u64::from(t.mss).max(1);
    let by_rate = if t.has(flag::RTT_VALID) { by_rate(t, recovery::rtts_us(t, &env.recovery)) } else { BYTES_MAX };
    let by_rate = by_rate.min(BYTES_MAX).max(u64::from(env.config.burst_segments_min) * mss);
    let by_windows = u64::from(t.cwnd.min(t.max_snd_wnd()) / 2);
    (by_rate.min(by_windows) / mss).max(1) as u32
}

fn by_rate(t: &Tcb, (min_rtt_us, last_rtt_us): (u32, u32)) -> u64 {
    // Where ACKs come late, the window leaves late.
    let rtt_nanos = (u64::from(t.srtt_us.max(last_rtt_us)) << 10).max(1);
    let near = BYTES_MAX.checked_shr(min_rtt_us >> NEAR_SHIFT).unwrap_or(0);
    congestion::rate_bytes(t, 1 << SPAN_SHIFT, rtt_nanos) + near
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_are_as_long_as_a_millisecond_at_the_windows_rate() {
        let mut t = Tcb { mss: 1000, cwnd: 100_000, ssthresh: u32::MAX, ..Tcb::default() };
        t.set(flag::RTT_VALID);
        // Slow start: twice the window in a round trip of 100 and of 10 ms.
        for (srtt_us, bytes) in [(97_656, 2_097), (9_766, 20_971)] {
            t.srtt_us = srtt_us;
            let got = by_rate(&t, (srtt_us, srtt_us));
            assert!(got.abs_diff(bytes) < 5, "{got}");
        }
        assert!(by_rate(&t, (100, 100)) >= BYTES_MAX, "a neighbour gets all at once");
    }
}
