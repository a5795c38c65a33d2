//! The timing wheel: arming, moving, cancelling, expiring one after the other and all at once.

use super::{Case, Work, each, measured};
use synfin_engine::base::Rng;
use synfin_engine::base::time::Tick;
use synfin_engine::timer::wheel::Wheel;

/// Timers of one iteration.
const TIMERS: u32 = 1 << 16;
const MANY_TIMERS: u32 = 1_000_000;
/// Timers looked at in one call, as in a worker's turn.
const BUDGET: usize = 256;
/// Ticks until a timer is due: about what retransmission timers have.
const FAR_TICKS: u64 = 20_000;
const NEAR_TICKS: u64 = 4_096;

pub fn cases() -> Vec<Case> {
    let case =
        |name: &str, build: fn() -> Work| Case::new("timer wheel", name, build).of(u64::from(TIMERS)).counted(Some(2));
    vec![
        case("arm", arm),
        case("move to later", move_to_later),
        case("cancel", cancel),
        case("expire", expire),
        Case::new("timer wheel", "mass expiry of 1 M", mass_expiry).of(u64::from(MANY_TIMERS)).counted(Some(1)),
    ]
}

/// A wheel, its time, and times to come in random order.
struct Rig {
    wheel: Wheel,
    now: Tick,
    after: Vec<u32>,
    due: Vec<u32>,
}

impl Rig {
    fn new(timers: u32, range_ticks: u64) -> Rig {
        let mut rng = Rng::new(7);
        let after = (0..timers).map(|_| 1 + rng.below(range_ticks) as u32).collect();
        Rig { wheel: Wheel::new(Tick(0), 1 << 24), now: Tick(0), after, due: Vec::with_capacity(BUDGET) }
    }

    fn arm_all(&mut self, later_ticks: u32) {
        for (slot, after) in self.after.iter().enumerate() {
            self.wheel.arm(slot as u32, self.now.plus(after + later_ticks));
        }
    }

    fn cancel_all(&mut self) {
        (0..self.after.len() as u32).for_each(|slot| self.wheel.cancel(slot));
    }

    /// Moves on to `now`; each slot that is due is forgotten again.
    fn advance(&mut self, now: Tick) {
        self.now = now;
        while self.wheel.advance(now, BUDGET, &mut self.due) {
            self.due.clear();
        }
        self.due.clear();
    }
}

fn arm() -> Work {
    let mut rig = Rig::new(TIMERS, FAR_TICKS);
    rig.arm_all(0);
    each(move || {
        rig.cancel_all();
        measured(&mut || rig.arm_all(0))
    })
}

fn cancel() -> Work {
    let mut rig = Rig::new(TIMERS, FAR_TICKS);
    each(move || {
        rig.arm_all(0);
        measured(&mut || rig.cancel_all())
    })
}

fn move_to_later() -> Work {
    let mut rig = Rig::new(TIMERS, FAR_TICKS);
    each(move || {
        rig.cancel_all();
        rig.arm_all(0);
        measured(&mut || rig.arm_all(100))
    })
}

/// Tick by tick, until the last one has expired.
fn expire() -> Work {
    let mut rig = Rig::new(TIMERS, NEAR_TICKS);
    each(move || {
        rig.arm_all(0);
        let took = measured(&mut || {
            for _ in 0..=NEAR_TICKS {
                rig.advance(rig.now.plus(1));
            }
        });
        assert!(rig.wheel.is_empty(), "every timer has expired");
        took
    })
}

/// All due at the same tick, taken in pieces of the budget.
fn mass_expiry() -> Work {
    let mut rig = Rig::new(MANY_TIMERS, 1);
    each(move || {
        rig.arm_all(0);
        let took = measured(&mut || rig.advance(rig.now.plus(1)));
        assert!(rig.wheel.is_empty(), "every timer has expired");
        took
    })
}
