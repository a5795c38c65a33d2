//! Round-trip time and retransmission time-out (RFC 6298). One segment is timed at a time and never a
//! retransmitted one (Karn); with timestamps, an ACK of a retransmitted segment gives a sample too.

use super::env::Times;
use super::tcb::{Tcb, flag};
use crate::base::time::TICK_SHIFT;

/// Ticks are 2^17 ns, our microseconds 2^10 ns.
const US_PER_TICK_SHIFT: u32 = TICK_SHIFT - 10;

/// Ticks that cover `us`, and one for the rest of the present one.
pub fn ticks(us: u32) -> u32 {
    (us >> US_PER_TICK_SHIFT) + 2
}

pub fn us(ticks: u32) -> u32 {
    ticks.saturating_mul(1 << US_PER_TICK_SHIFT)
}

/// Takes a measurement in units of 1024 ns (RFC 6298 2.2 and 2.3).
#[inline(always)]
pub fn sample(t: &mut Tcb, rtt_us: u32) {
    let r = rtt_us.min(1 << 28);
    let r = r + u32::from(r == 0);
    // Only a measurement ends the back-off (RFC 6298 section 5, Karn).
    t.backoff = 0;
    if t.has(flag::RTT_VALID) {
        let delta = t.srtt_us.abs_diff(r);
        t.rttvar_us = t.rttvar_us - (t.rttvar_us >> 2) + (delta >> 2);
        t.srtt_us = t.srtt_us - (t.srtt_us >> 3) + (r >> 3);
    } else {
        t.srtt_us = r;
        t.rttvar_us = r >> 1;
        t.set(flag::RTT_VALID);
    }
}

/// The current time-out in ticks, back-off included (RFC 6298 2.3, 2.4, 2.5, 5.5), and no longer than the user timeout
/// leaves time for.
#[inline(always)]
pub fn rto_ticks(t: &Tcb, times: &Times) -> u32 {
    let base = base_ticks(t, times);
    if u32::from(t.backoff) | times.user_timeout == 0 { base } else { backed_off(base, t, times) }
}

#[inline(never)]
fn backed_off(base: u32, t: &Tcb, times: &Times) -> u32 {
    let rto = (u64::from(base) << t.backoff.min(20)).min(u64::from(times.rto_max)) as u32;
    match times.user_timeout {
        0 => rto,
        limit => rto.min(limit.saturating_sub(waited_ticks(t, times)).max(1)),
    }
}

/// The time-out without back-off.
#[inline(always)]
fn base_ticks(t: &Tcb, times: &Times) -> u32 {
    if t.has(flag::RTT_VALID) {
        let margin = (u64::from(t.rttvar_us) << 2).max(times.rto_margin_min_us.into());
        let us = u64::from(t.srtt_us) + margin;
        // One tick of granularity, rounded up.
        ((us >> US_PER_TICK_SHIFT) as u32 + 2).max(times.rto_min).min(times.rto_max)
    } else if t.has(flag::SYN_LOST) {
        times.rto_syn_lost
    } else {
        times.rto_initial
    }
}

/// How long the time-outs since the last sign of life have taken together: what the back-off says, so that no connection
/// has to remember when they began.
#[inline(never)]
pub fn waited_ticks(t: &Tcb, times: &Times) -> u32 {
    let first = base_ticks(t, times);
    let each = |n: u8| (u64::from(first) << n.min(20)).min(u64::from(times.rto_max)) as u32;
    // A probe that came instead of the first time-out did not back off.
    let probes = t.retries.saturating_sub(t.backoff);
    (0..t.retries).fold(0, |sum: u32, n| sum.saturating_add(each(n.saturating_sub(probes))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::TcpConfig;
    use core::time::Duration;

    fn times() -> Times {
        Times::new(&TcpConfig { rto_min: Duration::ZERO, ..TcpConfig::default() })
    }

    #[test]
    fn samples_are_weighed_as_rfc_6298_says() {
        let mut t = Tcb::default();
        sample(&mut t, 8_000);
        assert_eq!((t.srtt_us, t.rttvar_us), (8_000, 4_000));
        // The deviation is that from the old average: 8000, not 7000.
        sample(&mut t, 16_000);
        assert_eq!((t.srtt_us, t.rttvar_us), (9_000, 5_000));
        sample(&mut t, 1_000);
        assert_eq!((t.srtt_us, t.rttvar_us), (8_000, 5_750));
        let exact_us = 8_000 + 4 * 5_750;
        let rto_us = us(rto_ticks(&t, &times()));
        assert!((exact_us..=exact_us + us(2)).contains(&rto_us), "{rto_us} for {exact_us}");
    }

    #[test]
    fn steady_round_trips_leave_a_tick_of_variance() {
        let mut t = Tcb::default();
        for _ in 0..200 {
            sample(&mut t, 10_000);
        }
        assert_eq!(t.srtt_us, 10_000);
        assert!(4 * t.rttvar_us < us(1), "hardly any variance");
        assert!(us(rto_ticks(&t, &times())) >= t.srtt_us + us(1));
    }
}
