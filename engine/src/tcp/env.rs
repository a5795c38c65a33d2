//! What segment processing needs to know of the world: the time, the configured times in ticks, the counters.

use super::TcpConfig;
use super::recovery::Pool;
use crate::base::time::{Instant, Tick, ticks_for_nanos};
use crate::base::{Counters, Rng};
use crate::table::FlowKey;
use core::ops::{Deref, DerefMut};
use core::time::Duration;

/// What follows from a [`TcpConfig`]: its durations in ticks, and the window scale.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub rto_initial: u32,
    /// First RTO of data after a lost SYN or SYN,ACK, at least 3 s (RFC 6298 5.7).
    pub rto_syn_lost: u32,
    pub rto_min: u32,
    pub rto_max: u32,
    /// In units of 1024 ns.
    pub rto_margin_min_us: u32,
    pub reorder_margin_us: u32,
    pub time_wait: u32,
    pub fin_wait_2: u32,
    /// 0: no limit.
    pub half_closed: u32,
    pub delayed_ack: u32,
    pub keepalive_idle: u32,
    pub keepalive_interval: u32,
    /// 0: none.
    pub user_timeout: u32,
    /// The shift count that our SYNs announce.
    pub own_scale: u8,
}

impl Times {
    pub fn new(c: &TcpConfig) -> Times {
        let ticks = |d: Duration| ticks_for_nanos(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX));
        // As long as the shortest, should they contradict each other (`TcpConfig::check`).
        let rto_max = ticks(c.rto_max.max(c.rto_min));
        Times {
            rto_initial: ticks(c.rto_initial).min(rto_max),
            rto_syn_lost: ticks(c.rto_initial.max(Duration::from_secs(3))).min(rto_max),
            rto_min: ticks(c.rto_min),
            rto_max,
            rto_margin_min_us: (c.rto_margin_min.as_nanos() >> 10) as u32,
            reorder_margin_us: (c.reorder_margin.as_nanos() >> 10) as u32,
            time_wait: ticks(c.time_wait),
            fin_wait_2: ticks(c.fin_wait_2),
            half_closed: c.half_closed.map_or(0, ticks),
            delayed_ack: ticks(c.delayed_ack),
            keepalive_idle: c.keepalive.map_or(0, |k| ticks(k.idle)),
            keepalive_interval: c.keepalive.map_or(0, |k| ticks(k.interval)),
            user_timeout: c.user_timeout.map_or(0, ticks),
            own_scale: super::options::own_scale(c),
        }
    }
}

/// What the connections of a shard have in common.
pub struct Common {
    pub clock: Clock,
    pub counters: Counters,
    pub challenge: ChallengeLimiter,
    pub recovery: Pool,
}

/// Borrowed parts of the shard, for the length of one call: few references, since it is made anew for every segment.
pub struct Env<'a> {
    pub config: &'a TcpConfig,
    pub times: &'a Times,
    pub common: &'a mut Common,
}

impl Deref for Env<'_> {
    type Target = Common;

    #[inline(always)]
    fn deref(&self) -> &Common {
        self.common
    }
}

impl DerefMut for Env<'_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Common {
        self.common
    }
}

impl Env<'_> {
    /// An ACK may answer a segment of this connection that has no effect.
    pub fn may_challenge(&mut self, key: &FlowKey) -> bool {
        let Common { clock, challenge, .. } = &mut *self.common;
        challenge.allow(clock.now, key)
    }
}

/// A unit of [`Clock::coarse`] in nanoseconds, as a power of two.
pub const COARSE_SHIFT: u32 = 38;

/// One reading of the clock in the units that TCP uses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    pub now: Instant,
    pub tick: Tick,
    /// In units of 1024 ns, modulo 2^32: round-trip times.
    pub us: u32,
    /// In units of 2^20 ns (1.05 ms), modulo 2^32: RFC 7323 timestamps, before the connection's offset.
    pub ts: u32,
    /// In units of 2^38 ns (4.6 minutes), modulo 2^16 (208 days): for spans that ticks are too short for.
    pub coarse: u16,
}

impl Clock {
    pub fn at(now: Instant) -> Clock {
        let ns = now.as_nanos();
        Clock {
            now,
            tick: now.tick(),
            us: (ns >> 10) as u32,
            ts: (ns >> 20) as u32,
            coarse: (ns >> COARSE_SHIFT) as u16,
        }
    }
}

/// Bounds challenge ACKs (RFC 5961 section 7), so that a flood of forged segments does not become a flood of answers.
///
/// A second's budget is between half of the limit and the limit, anew each time: were it known, whoever has a connection
/// of his own could count on it how many others have caused. The share of one connection keeps him from
/// spending it all.
#[derive(Clone, Debug)]
pub struct ChallengeLimiter {
    per_second: u32,
    left: u32,
    second: u64,
    rng: Rng,
    /// How connections are spread over `spent`, anew each second.
    spread: u64,
    /// Answers in this second, of all connections that share a place.
    spent: [u8; PLACES],
}

/// Answers to one connection in a second.
const SHARE: u8 = 10;
const PLACES: usize = 256;

impl ChallengeLimiter {
    pub fn new(per_second: u32, seed: u64) -> Self {
        let mut limiter =
            ChallengeLimiter { per_second, left: 0, second: 0, rng: Rng::new(seed), spread: 1, spent: [0; PLACES] };
        limiter.refill();
        limiter
    }

    /// True when a segment of this connection may be answered now.
    pub fn allow(&mut self, now: Instant, key: &FlowKey) -> bool {
        let second = now.as_nanos() >> 30;
        if second != self.second {
            self.second = second;
            self.refill();
        }
        let [a, b, c] = key.words();
        let mixed = (a ^ b.rotate_left(21) ^ c.rotate_left(42)).wrapping_mul(self.spread);
        let Some(spent) = self.spent.get_mut((mixed >> 56) as usize % PLACES) else { return false };
        if self.left == 0 || *spent >= SHARE {
            return false;
        }
        *spent += 1;
        self.left -= 1;
        true
    }

    fn refill(&mut self) {
        self.left = self.per_second - self.rng.below(u64::from(self.per_second / 2) + 1) as u32;
        self.spread = self.rng.next_u64() | 1;
        self.spent = [0; PLACES];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::{Tcb, rtt};

    #[test]
    fn contradictory_time_outs_are_a_configuration_error_and_no_panic() {
        let config =
            TcpConfig { rto_min: Duration::from_secs(9), rto_max: Duration::from_secs(2), ..TcpConfig::default() };
        assert!(config.check().is_err_and(|why| why.contains("rto_min") && why.contains("rto_max")));
        let mut t = Tcb::default();
        rtt::sample(&mut t, 1_000);
        let times = Times::new(&config);
        assert_eq!(rtt::rto_ticks(&t, &times), times.rto_min);
    }

    fn key(port: u16) -> FlowKey {
        FlowKey { remote_port: port, ..FlowKey::default() }
    }

    /// Answers in each of `seconds` seconds, to `ports` connections that each ask as often as they can.
    fn answers(limit: u32, seconds: u64, ports: u16) -> Vec<u32> {
        let mut limiter = ChallengeLimiter::new(limit, 1);
        let in_second = |second: u64| {
            let now = Instant::from_nanos(second << 30);
            let mut asked = (0..40).flat_map(|_| 0..ports);
            asked.by_ref().filter(|p| limiter.allow(now, &key(*p))).count() as u32
        };
        (0..seconds).map(in_second).collect()
    }

    #[test]
    fn budget_is_between_half_and_the_limit_and_cannot_be_foreseen() {
        let seen = answers(100, 200, 500);
        assert!(seen.iter().all(|n| (50..=100).contains(n)), "{seen:?}");
        let different: std::collections::BTreeSet<_> = seen.iter().collect();
        assert!(different.len() > 25, "{different:?}");
    }

    #[test]
    fn limit_of_one_is_one_and_of_none_none() {
        assert_eq!(answers(1, 20, 5), [1; 20]);
        assert_eq!(answers(0, 20, 5), [0; 20]);
    }

    #[test]
    fn one_connection_leaves_most_of_the_budget_to_others() {
        assert_eq!(answers(1000, 50, 1), [u32::from(SHARE); 50]);
    }
}
