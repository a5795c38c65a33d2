use super::*;

const KEY: SipKey = SipKey { k0: 1, k1: 2 };
const MAC_A: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
const MAC_B: Mac = Mac([2, 0, 0, 0, 0, 0xb]);

fn addr(n: u32) -> Addr {
    Addr::v4([198, 18, 0, 1]).plus(n)
}

fn at_ms(ms: u64) -> Instant {
    // A start at which ticks are about to wrap.
    Instant::from_nanos((u64::from(u32::MAX - 20_000) << 17) + ms * 1_000_000)
}

fn table(limit: u32) -> NeighTable {
    NeighTable::new(limit, KEY, at_ms(0))
}

/// Polls each millisecond of `from..until`, and notes when which probe came.
fn probes(table: &mut NeighTable, from: u64, until: u64) -> Vec<(u64, Option<Mac>)> {
    let mut seen = Vec::new();
    for ms in from..until {
        table.poll(at_ms(ms), |probe| seen.push((ms, probe.unicast)));
    }
    seen
}

/// The probes came at these times, to within the millisecond of polling and the tick.
fn assert_times(seen: &[(u64, Option<Mac>)], want: &[(u64, Option<Mac>)]) {
    assert_eq!(seen.len(), want.len(), "{seen:?} instead of {want:?}");
    for (a, b) in seen.iter().zip(want) {
        assert!(a.1 == b.1 && a.0 >= b.0 && a.0 <= b.0 + 4, "{seen:?} instead of {want:?}");
    }
}

#[test]
fn a_new_neighbour_is_asked_for_three_times_and_then_failed() {
    let mut t = table(10);
    let id = t.lookup_or_create(addr(1), at_ms(0)).unwrap();
    assert_eq!(t.state(id), NeighState::Incomplete);
    assert!(t.wait(id, 77));
    assert_times(&probes(&mut t, 0, 2_990), &[(0, None), (1_000, None), (2_000, None)]);
    assert_eq!((t.state(id), t.mac(id), t.pop_failed()), (NeighState::Incomplete, None, None));
    let mut failed = Vec::new();
    for ms in 2_990..3_010 {
        t.poll(at_ms(ms), |p| panic!("asked again: {p:?}"));
        failed.extend(t.pop_failed());
    }
    assert_eq!(failed, [id]);
    assert_eq!(t.state(id), NeighState::Failed);
    let mut waiters = Vec::new();
    t.take_waiters(id, &mut waiters);
    assert_eq!(waiters, [77]);
}
