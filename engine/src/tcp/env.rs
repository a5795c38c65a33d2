//! What segment processing needs to know of the world: the time, the configured times in ticks, the counters.

use super::TcpConfig;
use crate::base::Counters;
use crate::base::time::{Instant, Tick, ticks_for_nanos};
use core::time::Duration;

/// [`TcpConfig`] with its durations in ticks.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub rto_initial: u32,
    /// First RTO of data after a lost SYN or SYN,ACK, at least 3 s (RFC 6298 5.7).
    pub rto_syn_lost: u32,
    pub rto_min: u32,
    pub rto_max: u32,
    pub time_wait: u32,
    pub fin_wait_2: u32,
    pub delayed_ack: u32,
    pub keepalive_idle: u32,
    pub keepalive_interval: u32,
    /// 0: none.
    pub user_timeout: u32,
}

impl Times {
    pub fn new(c: &TcpConfig) -> Times {
        let ticks = |d: Duration| ticks_for_nanos(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX));
        Times {
            rto_initial: ticks(c.rto_initial),
            rto_syn_lost: ticks(c.rto_initial.max(Duration::from_secs(3))),
            rto_min: ticks(c.rto_min),
            rto_max: ticks(c.rto_max),
            time_wait: ticks(c.time_wait),
            fin_wait_2: ticks(c.fin_wait_2),
            delayed_ack: ticks(c.delayed_ack),
            keepalive_idle: c.keepalive.map_or(0, |k| ticks(k.idle)),
            keepalive_interval: c.keepalive.map_or(0, |k| ticks(k.interval)),
            user_timeout: c.user_timeout.map_or(0, ticks),
        }
    }
}

/// The moment in which a segment or a timer is handled.
pub struct Env<'a> {
    pub clock: Clock,
    pub config: &'a TcpConfig,
    pub times: &'a Times,
    pub counters: &'a mut Counters,
    pub challenge: &'a mut ChallengeLimiter,
}

/// One reading of the clock in the units that TCP uses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    pub now: Instant,
    pub tick: Tick,
    /// In units of 1024 ns, modulo 2^32: round-trip times.
    pub us: u32,
    /// In units of 2^20 ns (1.05 ms), modulo 2^32: RFC 7323 timestamps, before the connection's offset.
    pub ts: u32,
    /// In units of 2^30 ns (1.07 s), modulo 2^32: for spans that ticks are too short for.
    pub coarse: u32,
}

impl Clock {
    pub fn at(now: Instant) -> Clock {
        let ns = now.as_nanos();
        Clock { now, tick: now.tick(), us: (ns >> 10) as u32, ts: (ns >> 20) as u32, coarse: (ns >> 30) as u32 }
    }
}

/// Bounds challenge ACKs per shard and second (RFC 5961 section 7), so that a flood of forged segments does not
/// become a flood of answers.
#[derive(Clone, Copy, Debug)]
pub struct ChallengeLimiter {
    per_second: u32,
    left: u32,
    second: u64,
}

impl ChallengeLimiter {
    pub fn new(per_second: u32) -> Self {
        ChallengeLimiter { per_second, left: per_second, second: 0 }
    }

    /// True when one may be sent now.
    pub fn allow(&mut self, now: Instant) -> bool {
        let second = now.as_nanos() >> 30;
        if second != self.second {
            self.second = second;
            self.left = self.per_second;
        }
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }
}
