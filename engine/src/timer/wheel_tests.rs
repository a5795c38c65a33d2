use super::*;

/// More slots than any test arms.
fn wheel(now: Tick) -> Wheel {
    Wheel::new(now, 1 << 22)
}

fn drain(wheel: &mut Wheel, now: Tick) -> Vec<u32> {
    let mut out = Vec::new();
    while wheel.advance(now, 7, &mut out) {}
    out
}

#[test]
fn a_timer_expires_at_its_tick_and_not_before() {
    for start in [0, 1, 63, 64, 4095, 1 << 30, u32::MAX - 10, u32::MAX] {
        for delay in [1, 2, 63, 64, 65, 4_000, 5_000, 300_000, 20_000_000, 1 << 29, HORIZON_TICKS] {
            let start = Tick(start);
            let mut wheel = wheel(start);
            wheel.arm(3, start.plus(delay));
            assert_eq!(drain(&mut wheel, start.plus(delay - 1)), [], "{start:?} {delay}");
            assert_eq!(drain(&mut wheel, start.plus(delay)), [3], "{start:?} {delay}");
            assert!(wheel.is_empty());
            assert_eq!(wheel.next_deadline(), None);
        }
    }
}

#[test]
fn a_time_in_the_past_expires_with_the_next_advance() {
    let mut wheel = wheel(Tick(1000));
    wheel.arm(0, Tick(1000));
    wheel.arm(1, Tick(10));
    assert_eq!(wheel.next_deadline(), Some(Tick(1000)));
    assert_eq!(drain(&mut wheel, Tick(1000)), [0, 1]);
}

#[test]
fn a_cancelled_timer_does_not_expire() {
    let mut wheel = wheel(Tick(0));
    for slot in 0..10 {
        wheel.arm(slot, Tick(500));
    }
    for slot in [0, 4, 9] {
        wheel.cancel(slot);
        wheel.cancel(slot);
        assert_eq!(wheel.armed(slot), None);
    }
    assert_eq!(wheel.len(), 7);
    assert_eq!(drain(&mut wheel, Tick(500)), [1, 2, 3, 5, 6, 7, 8]);
}

#[test]
fn rearming_moves_a_timer_to_either_side() {
    let mut wheel = wheel(Tick(0));
    wheel.arm(1, Tick(1000));
    wheel.arm(2, Tick(1000));
    wheel.arm(1, Tick(50));
    wheel.arm(2, Tick(2000));
    assert_eq!((wheel.armed(1), wheel.armed(2)), (Some(Tick(50)), Some(Tick(2000))));
    assert_eq!(wheel.len(), 2);
    assert_eq!(drain(&mut wheel, Tick(50)), [1]);
    assert_eq!(drain(&mut wheel, Tick(1999)), []);
    assert_eq!(drain(&mut wheel, Tick(2000)), [2]);
}

#[test]
fn following_next_deadline_reaches_a_timer_in_at_most_one_step_per_level() {
    for start in [0, 12_345, (1 << 30) - 1, u32::MAX - 70] {
        for delay in [1, 63, 64, 100, 4_095, 4_097, 262_200, 17_000_000, HORIZON_TICKS] {
            let due = Tick(start).plus(delay);
            let mut wheel = wheel(Tick(start));
            wheel.arm(5, due);
            let mut out = Vec::new();
            let mut steps = 0;
            while let Some(deadline) = wheel.next_deadline() {
                assert!(due.since(deadline) >= 0);
                assert!(!wheel.advance(deadline, 10, &mut out));
                steps += 1;
            }
            assert_eq!(out, [5]);
            assert!(steps <= LEVELS, "{steps} steps from {start} over {delay}");
        }
    }
}

#[test]
fn a_timer_pushed_back_again_and_again_expires_once_at_its_last_time() {
    let mut wheel = wheel(Tick(0));
    let mut out = Vec::new();
    for now in 0..10_000 {
        wheel.arm(0, Tick(now + 1_500));
        assert!(!wheel.advance(Tick(now), 10, &mut out));
    }
    assert_eq!(out, []);
    assert_eq!(drain(&mut wheel, Tick(9_999 + 1_499)), []);
    assert_eq!(drain(&mut wheel, Tick(9_999 + 1_500)), [0]);
}

#[test]
fn a_mass_expiry_comes_in_portions_of_the_budget_without_loss_or_repetition() {
    const TIMERS: u32 = 100_000;
    const BUDGET: usize = 100;
    let mut wheel = wheel(Tick(0));
    for slot in 0..TIMERS {
        wheel.arm(slot, Tick(5_000_000));
    }
    let mut seen = vec![false; TIMERS as usize];
    let mut calls = 0;
    loop {
        let mut out = Vec::new();
        let more = wheel.advance(Tick(5_000_000), BUDGET, &mut out);
        calls += 1;
        assert!(out.len() <= BUDGET);
        for slot in out {
            assert!(!core::mem::replace(&mut seen[slot as usize], true), "slot {slot} came twice");
        }
        if !more {
            break;
        }
    }
    assert!(seen.iter().all(|s| *s));
    // Each timer is looked at no more than once per level.
    assert!(calls <= LEVELS * TIMERS as usize / BUDGET + 1, "{calls} calls");
}

#[test]
fn a_long_idle_stretch_costs_one_step_per_level_whatever_its_length() {
    let mut wheel = wheel(Tick(77));
    wheel.arm(1, Tick(77).plus(HORIZON_TICKS));
    let mut out = Vec::new();
    let mut steps = 0;
    while wheel.advance(Tick(77).plus(HORIZON_TICKS), 1, &mut out) {
        steps += 1;
    }
    assert_eq!(out, [1]);
    assert!(steps <= LEVELS);
}

#[test]
fn an_empty_wheel_keeps_up_with_a_clock_that_jumps_further_than_the_horizon() {
    let mut wheel = wheel(Tick(0));
    wheel.arm(0, Tick(1));
    assert_eq!(drain(&mut wheel, Tick(1)), [0]);
    let later = Tick(3_000_000_000);
    assert_eq!(drain(&mut wheel, later), []);
    wheel.arm(0, later.plus(10));
    assert_eq!(drain(&mut wheel, later.plus(9)), []);
    assert_eq!(drain(&mut wheel, later.plus(10)), [0]);
}

#[test]
fn a_clock_that_steps_back_expires_nothing_early_and_loses_nothing() {
    let mut wheel = wheel(Tick(4_000));
    wheel.arm(0, Tick(4_200));
    assert_eq!(drain(&mut wheel, Tick(4_098)), []);
    wheel.arm(1, Tick(4_100));
    assert_eq!(drain(&mut wheel, Tick(4_010)), []);
    assert_eq!(wheel.next_deadline(), Some(Tick(4_100)));
    assert_eq!(drain(&mut wheel, Tick(4_099)), []);
    assert_eq!(drain(&mut wheel, Tick(4_100)), [1]);
    assert_eq!(drain(&mut wheel, Tick(4_199)), []);
    assert_eq!(drain(&mut wheel, Tick(4_200)), [0]);
}

#[test]
fn a_slot_number_out_of_range_is_ignored() {
    let mut wheel = wheel(Tick(0));
    wheel.arm(1 << 31, Tick(5));
    wheel.cancel(u32::MAX);
    assert!(wheel.is_empty());
}

mod against_an_oracle {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Copy, Debug)]
    enum Op {
        /// Relative to now, in ticks.
        Arm(u32, i32),
        Cancel(u32),
        Advance(u32, usize),
    }

    fn distance() -> impl Strategy<Value = u32> {
        prop_oneof![0..3u32, 0..70u32, 0..5_000u32, 0..400_000u32, 0..1u32 << 26, 0..1u32 << 29]
    }

    fn op() -> impl Strategy<Value = Op> {
        let slot = 0..40u32;
        prop_oneof![
            4 => (slot.clone(), distance()).prop_map(|(s, d)| Op::Arm(s, d as i32)),
            1 => (slot.clone(), 1..10_000i32).prop_map(|(s, d)| Op::Arm(s, -d)),
            2 => slot.prop_map(Op::Cancel),
            3 => (distance(), 0..8usize).prop_map(|(d, b)| Op::Advance(d, b)),
            1 => distance().prop_map(|d| Op::Advance(d, 1000)),
        ]
    }

    fn start() -> impl Strategy<Value = u32> {
        prop_oneof![any::<u32>(), (0..100_000u32).prop_map(|d| u32::MAX - d), (0..4u32).prop_map(|q| q << 30)]
    }

    /// Times of the oracle do not wrap: 64-bit ticks, whose low half the wheel sees.
    struct Pair {
        wheel: Wheel,
        now: u64,
        armed: BTreeMap<u32, u64>,
        /// Order of expiry.
        log: Vec<u32>,
        behind: bool,
    }

    impl Pair {
        fn run(start: u32, ops: &[Op]) -> Pair {
            let now = 1 << 40 | u64::from(start);
            let mut pair =
                Pair { wheel: wheel(Tick(start)), now, armed: BTreeMap::new(), log: Vec::new(), behind: false };
            for op in ops {
                pair.step(*op);
                pair.compare();
            }
            while pair.behind || !pair.armed.is_empty() {
                pair.step(Op::Advance(1 << 29, 5));
                pair.compare();
            }
            pair
        }

        fn step(&mut self, op: Op) {
            match op {
                Op::Arm(slot, distance) => {
                    let at = self.now.saturating_add_signed(i64::from(distance));
                    self.wheel.arm(slot, Tick(at as u32));
                    self.armed.insert(slot, at);
                }
                Op::Cancel(slot) => {
                    self.wheel.cancel(slot);
                    self.armed.remove(&slot);
                }
                Op::Advance(ticks, budget) => {
                    // A wheel that is behind must not be outrun by more than the horizon.
                    self.now += u64::from(if self.behind { ticks.min(1_000) } else { ticks });
                    let mut out = Vec::new();
                    self.behind = self.wheel.advance(Tick(self.now as u32), budget, &mut out);
                    assert!(out.len() <= budget);
                    for slot in &out {
                        let at = self.armed.remove(slot).expect("expired, but was not armed");
                        assert!(at <= self.now, "slot {slot} came early");
                    }
                    self.log.extend(out);
                    if !self.behind {
                        assert!(self.armed.values().all(|at| *at > self.now), "one was missed");
                    }
                }
            }
        }

        fn compare(&self) {
            assert_eq!(self.wheel.len() as usize, self.armed.len());
            for slot in 0..41 {
                assert_eq!(self.wheel.armed(slot), self.armed.get(&slot).map(|at| Tick(*at as u32)));
            }
            match (self.armed.values().min(), self.wheel.next_deadline()) {
                (None, deadline) => assert_eq!(deadline, None),
                (Some(first), deadline) => {
                    let early = Tick((*first).max(self.now) as u32).since(deadline.expect("a deadline"));
                    assert!(early >= 0, "the deadline is {} ticks late", -early);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn never_misses_repeats_or_hurries_a_timer_over_tick_wraps(
            start in start(),
            ops in prop::collection::vec(op(), 1..80),
        ) {
            Pair::run(start, &ops);
        }

        #[test]
        fn the_same_calls_give_the_same_order(start in start(), ops in prop::collection::vec(op(), 1..80)) {
            prop_assert_eq!(Pair::run(start, &ops).log, Pair::run(start, &ops).log);
        }

        #[test]
        fn timers_expire_in_the_order_of_their_times(
            start in start(),
            delays in prop::collection::vec(distance().prop_map(|d| d + 1), 1..60),
            budget in 1..9usize,
        ) {
            let mut wheel = wheel(Tick(start));
            for (slot, delay) in delays.iter().enumerate() {
                wheel.arm(slot as u32, Tick(start).plus(*delay));
            }
            let mut out = Vec::new();
            while wheel.advance(Tick(start).plus(HORIZON_TICKS), budget, &mut out) {}
            prop_assert_eq!(out.len(), delays.len());
            prop_assert!(out.windows(2).all(|w| delays[w[0] as usize] <= delays[w[1] as usize]));
        }
    }
}

#[test]
fn timers_of_slots_that_were_given_back_never_expire_and_the_slots_can_be_armed_again() {
    const LEFT: u32 = 20_000;
    let mut wheel = wheel(Tick(0));
    for slot in 0..3 * LEFT {
        wheel.arm(slot, Tick(1 + slot % 5000));
    }
    let full = wheel.memory_bytes();
    wheel.truncate(LEFT);
    assert!(wheel.memory_bytes() < full / 2, "{} of {full}", wheel.memory_bytes());
    assert_eq!(wheel.len(), LEFT);
    wheel.arm(LEFT + 7, Tick(6000));
    let mut due = Vec::new();
    while wheel.advance(Tick(5999), 1000, &mut due) {}
    assert!(due.iter().all(|slot| *slot < LEFT));
    assert_eq!(due.len(), LEFT as usize);
    due.clear();
    wheel.advance(Tick(6000), 10, &mut due);
    assert_eq!(due, [LEFT + 7]);
}
