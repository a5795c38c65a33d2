use super::*;

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
            let mut wheel = Wheel::new(start);
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
    let mut wheel = Wheel::new(Tick(1000));
    wheel.arm(0, Tick(1000));
    wheel.arm(1, Tick(10));
    assert_eq!(wheel.next_deadline(), Some(Tick(1000)));
    assert_eq!(drain(&mut wheel, Tick(1000)), [0, 1]);
}

#[test]
fn a_cancelled_timer_does_not_expire() {
    let mut wheel = Wheel::new(Tick(0));
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
    let mut wheel = Wheel::new(Tick(0));
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
