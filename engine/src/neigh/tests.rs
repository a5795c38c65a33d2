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

/// The probes came at these times, or a few milliseconds (of polling, and of ticks) later.
fn assert_times(seen: &[(u64, Option<Mac>)], want: &[(u64, Option<Mac>)]) {
    assert_eq!(seen.len(), want.len(), "{seen:?} instead of {want:?}");
    for (a, b) in seen.iter().zip(want) {
        assert!(a.1 == b.1 && a.0 >= b.0 && a.0 <= b.0 + 10, "{seen:?} instead of {want:?}");
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

#[test]
fn a_failure_that_nobody_asks_about_is_forgotten_with_the_next_poll() {
    let mut t = table(10);
    let id = t.lookup_or_create(addr(1), at_ms(0)).unwrap();
    assert!(t.wait(id, 77));
    probes(&mut t, 0, 4_000);
    assert_eq!((t.state(id), t.pop_failed()), (NeighState::Failed, None));
}

#[test]
fn a_failed_neighbour_is_left_alone_for_a_while_and_then_asked_again_on_demand() {
    for by_waiting in [false, true] {
        let mut t = table(10);
        let id = t.lookup_or_create(addr(1), at_ms(0)).unwrap();
        probes(&mut t, 0, 3_010);
        assert_eq!(t.state(id), NeighState::Failed);
        assert!(!t.wait(id, 5), "too early to wait");
        assert_eq!(t.lookup_or_create(addr(1), at_ms(5_900)), Some(id));
        assert_times(&probes(&mut t, 5_900, 10_000), &[]);
        if by_waiting {
            assert!(t.wait(id, 5));
        } else {
            t.lookup_or_create(addr(1), at_ms(10_000));
        }
        assert_eq!(t.state(id), NeighState::Incomplete);
        assert_times(&probes(&mut t, 10_000, 11_500), &[(10_000, None), (11_000, None)]);
    }
}

#[test]
fn an_answer_resolves_and_hands_out_the_waiters_in_order() {
    let mut t = table(10);
    let id = t.lookup_or_create(addr(1), at_ms(0)).unwrap();
    for slot in [3, 1, 2] {
        assert!(t.wait(id, slot));
    }
    assert_eq!(t.learn(addr(1), MAC_A, at_ms(5), false), Some(id));
    assert_eq!((t.mac(id), t.state(id)), (Some(MAC_A), NeighState::Reachable));
    let mut waiters = vec![9];
    t.take_waiters(id, &mut waiters);
    t.take_waiters(id, &mut waiters);
    assert_eq!(waiters, [9, 3, 1, 2]);
    assert!(!t.wait(id, 4), "nothing to wait for");
    assert_eq!(t.learn(addr(1), MAC_A, at_ms(6), false), None, "it was resolved already");
    assert_times(&probes(&mut t, 6, 5_000), &[]);
}

#[test]
fn an_unknown_neighbour_is_learnt_only_when_the_message_was_for_us() {
    let mut t = table(10);
    assert_eq!(t.learn(addr(1), MAC_A, at_ms(0), false), None);
    assert!(t.is_empty());
    let id = t.learn(addr(1), MAC_A, at_ms(0), true).unwrap();
    assert_eq!((t.mac(id), t.addr(id)), (Some(MAC_A), Some(addr(1))));
}

#[test]
fn impossible_addresses_are_not_learnt() {
    let mut t = table(10);
    let v6_group = Addr([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    for (a, mac) in [
        (addr(1), Mac::BROADCAST),
        (addr(1), Mac::ZERO),
        (addr(1), Mac([0x33, 0x33, 0, 0, 0, 1])),
        (Addr::v4([224, 0, 0, 1]), MAC_A),
        (Addr::v4([0; 4]), MAC_A),
        (Addr::UNSPECIFIED_V6, MAC_A),
        (v6_group, MAC_A),
    ] {
        assert_eq!(t.learn(a, mac, at_ms(0), true), None, "{a} is at {mac}");
    }
    assert!(t.is_empty());
    let id = t.lookup_or_create(addr(1), at_ms(0)).unwrap();
    assert_eq!(t.advertised(addr(1), Mac::BROADCAST, true, true, at_ms(0)), None);
    assert_eq!(t.mac(id), None);
}

#[test]
fn an_unused_neighbour_becomes_stale_and_is_not_asked() {
    let mut t = table(10);
    let id = t.learn(addr(1), MAC_A, at_ms(0), true).unwrap();
    assert_times(&probes(&mut t, 0, 29_990), &[]);
    assert_eq!(t.state(id), NeighState::Reachable);
    assert_times(&probes(&mut t, 29_990, 60_000), &[]);
    assert_eq!(t.state(id), NeighState::Stale);
    assert_eq!(t.next_deadline(), None);
}

#[test]
fn a_doubted_neighbour_is_used_on_and_asked_soon() {
    let mut t = table(10);
    let id = t.learn(addr(1), MAC_A, at_ms(0), true).unwrap();
    t.doubt(id, at_ms(1_000));
    assert_eq!(t.state(id), NeighState::Stale);
    assert_times(&probes(&mut t, 1_000, 10_000), &[]);
    assert_eq!(t.mac(id), Some(MAC_A));
    // Doubting it again changes nothing.
    t.doubt(id, at_ms(12_000));
    assert_times(&probes(&mut t, 12_000, 15_500), &[(15_000, Some(MAC_A))]);
    let fixed = t.add_static(addr(2), MAC_B).unwrap();
    t.doubt(fixed, at_ms(16_000));
    assert_eq!(t.state(fixed), NeighState::Static);
}

#[test]
fn a_stale_neighbour_in_use_is_asked_by_unicast_then_by_everybody_and_then_failed() {
    let mut t = table(10);
    let id = t.learn(addr(1), MAC_A, at_ms(0), true).unwrap();
    probes(&mut t, 0, 40_000);
    assert_eq!(t.mac(id), Some(MAC_A));
    let seen = probes(&mut t, 40_000, 48_000);
    assert_times(&seen, &[(45_000, Some(MAC_A)), (46_000, Some(MAC_A)), (47_000, Some(MAC_A))]);
    assert_eq!(t.mac(id), Some(MAC_A), "still in use while it is asked");
    let seen = probes(&mut t, 48_000, 52_000);
    assert_times(&seen, &[(48_000, None), (49_000, None), (50_000, None)]);
    assert_eq!((t.state(id), t.mac(id)), (NeighState::Failed, None));
    assert_eq!(t.pop_failed(), None, "nobody waited");
}

#[test]
fn progress_of_tcp_confirms_a_neighbour_without_asking() {
    let mut t = table(10);
    let id = t.learn(addr(1), MAC_A, at_ms(0), true).unwrap();
    for second in 0..100 {
        t.confirm(id, at_ms(second * 1_000));
        assert_times(&probes(&mut t, second * 1_000, second * 1_000 + 1_000), &[]);
        assert_eq!(t.state(id), NeighState::Reachable);
    }
    assert_times(&probes(&mut t, 100_000, 140_000), &[]);
    assert_eq!(t.mac(id), Some(MAC_A));
    assert_eq!(t.state(id), NeighState::Stale);
    assert_times(&probes(&mut t, 140_000, 143_000), &[]);
    t.confirm(id, at_ms(143_000));
    assert_eq!(t.state(id), NeighState::Reachable);
    assert_times(&probes(&mut t, 143_000, 160_000), &[]);
}

#[test]
fn confirming_what_is_not_resolved_changes_nothing() {
    let mut t = table(10);
    let id = t.lookup_or_create(addr(1), at_ms(0)).unwrap();
    t.confirm(id, at_ms(1));
    t.confirm(99, at_ms(1));
    assert_eq!(
        (t.state(id), t.state(99), t.mac(99), t.addr(99)),
        (NeighState::Incomplete, NeighState::Failed, None, None)
    );
}

#[test]
fn a_newer_arp_message_moves_a_neighbour_to_another_link_address() {
    let mut t = table(10);
    let id = t.learn(addr(1), MAC_A, at_ms(0), true).unwrap();
    assert_eq!(t.learn(addr(1), MAC_B, at_ms(10), false), None);
    assert_eq!((t.mac(id), t.state(id)), (Some(MAC_B), NeighState::Reachable));
}

/// RFC 4861 7.2.5, line by line: state before, address changed, Solicited, Override, state and address after.
#[test]
fn advertisements_follow_the_rules_of_rfc_4861() {
    use NeighState::{Failed, Incomplete, Reachable, Stale};
    for (before, changed, solicited, overrides, after, moved) in [
        (Incomplete, true, true, false, Reachable, true),
        (Incomplete, true, false, false, Stale, true),
        (Incomplete, true, false, true, Stale, true),
        (Failed, true, true, true, Reachable, true),
        (Reachable, true, true, false, Stale, false),
        (Reachable, true, false, false, Stale, false),
        (Reachable, true, true, true, Reachable, true),
        (Reachable, true, false, true, Stale, true),
        (Reachable, false, false, false, Reachable, false),
        (Reachable, false, true, false, Reachable, false),
        (Stale, true, true, false, Stale, false),
        (Stale, true, false, true, Stale, true),
        (Stale, true, true, true, Reachable, true),
        (Stale, false, true, false, Reachable, false),
        (Stale, false, false, true, Stale, false),
    ] {
        let mut t = table(10);
        let id = t.lookup_or_create(addr(1), at_ms(0)).unwrap();
        match before {
            Reachable | Stale => assert_eq!(t.learn(addr(1), MAC_A, at_ms(0), false), Some(id)),
            Failed => drop(probes(&mut t, 0, 4_000)),
            _ => {}
        }
        if before == Stale {
            probes(&mut t, 0, 31_000);
        }
        assert_eq!(t.state(id), before);
        let mac = if changed { MAC_B } else { MAC_A };
        let resolved = t.advertised(addr(1), mac, solicited, overrides, at_ms(31_000));
        let row = (before, changed, solicited, overrides);
        assert_eq!(resolved.is_some(), !before.is_resolved(), "{row:?}");
        assert_eq!(t.state(id), after, "{row:?}");
        assert_eq!(t.mac(id), Some(if moved { MAC_B } else { MAC_A }), "{row:?}");
    }
}

#[test]
fn an_advertisement_from_a_stranger_creates_nothing() {
    let mut t = table(10);
    assert_eq!(t.advertised(addr(1), MAC_A, true, true, at_ms(0)), None);
    assert!(t.is_empty());
}

#[test]
fn a_static_neighbour_is_neither_asked_nor_changed() {
    let mut t = table(10);
    t.lookup_or_create(addr(1), at_ms(0));
    let id = t.add_static(addr(1), MAC_A).unwrap();
    assert_eq!(t.learn(addr(1), MAC_B, at_ms(1), true), None);
    assert_eq!(t.advertised(addr(1), MAC_B, true, true, at_ms(1)), None);
    t.confirm(id, at_ms(1));
    assert_times(&probes(&mut t, 0, 100_000), &[]);
    assert_eq!((t.mac(id), t.state(id)), (Some(MAC_A), NeighState::Static));
    assert_eq!(t.next_deadline(), None);
}

#[test]
fn strangers_cannot_take_the_room_kept_for_those_we_ask() {
    let mut t = table(8);
    let learnt = (0..20).filter(|n| t.learn(addr(*n), MAC_A, at_ms(0), true).is_some()).count();
    assert_eq!(learnt, 6);
    assert!(t.lookup_or_create(addr(100), at_ms(0)).is_some());
    assert!(t.lookup_or_create(addr(101), at_ms(0)).is_some());
    assert_eq!(t.lookup_or_create(addr(102), at_ms(0)), None);
    assert_eq!(t.add_static(addr(103), MAC_B), None);
    assert_eq!(t.lookup_or_create(addr(3), at_ms(0)), Some(3), "those that are known are found");
    assert_eq!(t.len(), 8);
}

#[test]
fn waiting_is_bounded() {
    let mut t = table(8);
    let id = t.lookup_or_create(addr(1), at_ms(0)).unwrap();
    let taken = (0..2_000).filter(|slot| t.wait(id, *slot)).count();
    assert_eq!(taken, WAITERS_MAX);
    assert!(!t.wait(99, 1));
}

#[test]
fn polling_at_each_deadline_is_as_good_as_polling_all_the_time() {
    let mut t = table(10);
    t.lookup_or_create(addr(1), at_ms(0));
    let mut seen = 0;
    let mut polls = 0;
    while let Some(deadline) = t.next_deadline() {
        t.poll(deadline.max(at_ms(0)), |_| seen += 1);
        polls += 1;
        assert!(polls < 30, "the deadlines lead nowhere");
    }
    assert_eq!(seen, 3);
    assert_eq!(t.state(0), NeighState::Failed);
}

#[test]
fn many_neighbours_are_all_asked_though_one_poll_is_bounded() {
    let mut t = table(1_000);
    for n in 0..1_000 {
        t.lookup_or_create(addr(n), at_ms(0));
    }
    let mut asked = std::collections::BTreeSet::new();
    for ms in 0..20 {
        let before = asked.len();
        t.poll(at_ms(ms), |p| assert!(asked.insert(p.id) && p.addr == addr(p.id)));
        assert!(asked.len() - before <= POLL_BUDGET);
    }
    assert_eq!(asked.len(), 1_000);
}

#[test]
fn full_table_forgets_neighbours_that_nobody_uses_and_no_others() {
    let mut t = table(8);
    let ids: Vec<_> = (0..6).map(|n| t.learn(addr(n), MAC_A, at_ms(0), true).unwrap()).collect();
    let fixed = t.add_static(addr(6), MAC_A).unwrap();
    let unanswered = t.lookup_or_create(addr(7), at_ms(0)).unwrap();
    assert!(t.wait(unanswered, 5));
    t.confirm(ids[0], at_ms(20_000));
    probes(&mut t, 0, 31_000);
    assert_eq!(t.mac(ids[1]), Some(MAC_A), "stale and in use from now on");
    // Four are stale and unused. Strangers get their places, and then no more.
    let new: Vec<_> = (10..20).filter_map(|n| t.learn(addr(n), MAC_B, at_ms(31_000), true)).collect();
    assert_eq!(new.len(), 4);
    assert_eq!(t.len(), 8);
    let known = |t: &NeighTable, ids: &[NeighId]| ids.iter().map(|id| t.is_known(*id)).collect::<Vec<_>>();
    assert_eq!(known(&t, &ids), [true, true, false, false, false, false]);
    assert_eq!(known(&t, &[fixed, unanswered]), [true, true]);
    assert_eq!((t.mac(ids[2]), t.addr(ids[2]), t.state(ids[2])), (None, None, NeighState::Failed));
    t.confirm(ids[2], at_ms(31_000));
    assert!(!t.wait(ids[2], 7));
    assert!(new.iter().all(|id| t.mac(*id) == Some(MAC_B) && !ids.contains(id)));
    // One that was forgotten is a new one when it comes back.
    assert_eq!(t.learn(addr(2), MAC_A, at_ms(31_000), false), None);
    probes(&mut t, 31_000, 65_000);
    let back = t.lookup_or_create(addr(2), at_ms(65_000)).unwrap();
    assert_eq!(t.state(back), NeighState::Incomplete);
}

#[test]
fn neighbour_that_failed_is_forgotten_once_nobody_waits_and_its_time_is_over() {
    let mut t = table(1);
    let id = t.lookup_or_create(addr(1), at_ms(0)).unwrap();
    assert!(t.wait(id, 7));
    let mut waiters = Vec::new();
    for ms in 0..4_000 {
        t.poll(at_ms(ms), |_| {});
        if let Some(failed) = t.pop_failed() {
            assert_eq!(t.lookup_or_create(addr(2), at_ms(ms)), None, "somebody waits");
            t.take_waiters(failed, &mut waiters);
        }
    }
    assert_eq!(waiters, [7]);
    assert_eq!(t.lookup_or_create(addr(2), at_ms(5_000)), None, "it failed a moment ago");
    assert!(t.lookup_or_create(addr(2), at_ms(7_000)).is_some());
    assert!(!t.is_known(id));
}

#[test]
fn caller_who_has_proven_to_be_there_gets_of_the_room_that_strangers_do_not() {
    let mut t = table(8);
    let mut call = |n, proven| t.caller(addr(n), MAC_A, at_ms(0), proven).is_some();
    assert_eq!((0..8).filter(|n| call(*n, false)).count(), 6);
    assert_eq!((8..16).filter(|n| call(*n, true)).count(), 2);
}

#[test]
fn ids_stay_apart_however_often_a_place_changes_hands() {
    let mut t = table(1);
    let mut last = None;
    for round in 0..70_000u32 {
        let now = at_ms(u64::from(round) * 31_000);
        t.poll(now, |_| {});
        let id = t.caller(addr(round), MAC_A, now, true).unwrap();
        assert_eq!(t.addr(id), Some(addr(round)));
        assert!(last.is_none_or(|last| last != id && !t.is_known(last)));
        last = Some(id);
    }
    assert_eq!(t.len(), 1);
}
