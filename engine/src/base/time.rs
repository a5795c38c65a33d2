//! Time as a value that is handed in. Nothing below `worker` asks the operating system what time it is:
//! a simulation runs on the same code with its own clock.

use core::time::Duration;

/// Nanoseconds since an arbitrary start that all parts of one run share (`CLOCK_MONOTONIC` in a worker,
/// zero in a simulation).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Instant(u64);

impl Instant {
    pub const ZERO: Instant = Instant(0);

    pub const fn from_nanos(ns: u64) -> Self {
        Instant(ns)
    }

    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Nanoseconds from `earlier` to `self`, zero when `earlier` is later.
    pub const fn nanos_since(self, earlier: Instant) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    pub const fn plus_nanos(self, ns: u64) -> Self {
        Instant(self.0.saturating_add(ns))
    }

    pub const fn tick(self) -> Tick {
        Tick((self.0 >> TICK_SHIFT) as u32)
    }
}

impl core::ops::Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, d: Duration) -> Instant {
        self.plus_nanos(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// One tick is 2^17 ns (about 131 µs): fine enough for loss-recovery timers, coarse enough that a 32-bit
/// tick lasts six days before it wraps.
pub const TICK_SHIFT: u32 = 17;

/// A point in time in ticks, modulo 2^32: compared by distance, never by value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Tick(pub u32);

impl Tick {
    /// Ticks from `earlier` to `self`; negative when `self` is before it.
    pub const fn since(self, earlier: Tick) -> i32 {
        self.0.wrapping_sub(earlier.0) as i32
    }

    pub const fn is_due(self, now: Tick) -> bool {
        now.since(self) >= 0
    }

    pub const fn plus(self, ticks: u32) -> Tick {
        Tick(self.0.wrapping_add(ticks))
    }

    /// The first tick that is not before `at`.
    pub const fn at_or_after(at: Instant) -> Tick {
        Tick(((at.0.saturating_add((1 << TICK_SHIFT) - 1)) >> TICK_SHIFT) as u32)
    }

    /// The first instant of this tick; of the many that a wrapped tick can mean, the one nearest to `near`.
    pub const fn to_instant(self, near: Instant) -> Instant {
        let ticks = (near.0 >> TICK_SHIFT).saturating_add_signed(self.since(near.tick()) as i64);
        Instant(ticks << TICK_SHIFT)
    }
}

/// Ticks that cover `ns` nanoseconds, rounded up, at least one.
pub const fn ticks_for_nanos(ns: u64) -> u32 {
    let t = (ns.saturating_add((1 << TICK_SHIFT) - 1)) >> TICK_SHIFT;
    if t == 0 {
        1
    } else if t > (i32::MAX as u64) {
        i32::MAX as u32
    } else {
        t as u32
    }
}
