use super::super::zeroed::{Zeroed, ZeroedExtent};
use super::*;
use proptest::prelude::*;
use std::rc::Rc;

/// Large enough that a few thousand of them lie on huge pages.
type Record = [u32; 256];

fn record(n: u32) -> Record {
    [n; 256]
}

#[test]
fn elements_keep_their_address_while_it_grows() {
    let mut e = Extent::with_limit(20_000);
    e.push(record(7));
    let first: *const Record = e.get(0).unwrap();
    (1..20_000).for_each(|n| assert!(e.push(record(n))));
    assert!(core::ptr::eq(first, e.get(0).unwrap()));
    assert_eq!((e.get(19_999), e.get(20_000), e.get(u32::MAX)), (Some(&record(19_999)), None, None));
}

#[test]
fn stops_at_its_limit() {
    for limit in [0, 1, 3, 1000] {
        let mut e = Extent::with_limit(limit);
        (0..limit).for_each(|n| assert!(e.push(n)));
        assert!(!e.push(7) && !e.put(limit, 7, || 0) && !e.put(limit + 5, 7, || 0));
        assert_eq!((e.len(), e.get(limit)), (limit, None));
    }
}

#[test]
fn more_addresses_than_there_are_cannot_be_set_aside() {
    assert!(Extent::<[u8; 1 << 20]>::try_with_limit(u32::MAX).is_none());
    assert!(Extent::<[u8; 1 << 10]>::try_with_limit(u32::MAX).is_some(), "4 TiB cost nothing");
}

#[test]
fn where_every_writable_page_counts_it_is_opened_bit_by_bit() {
    const RECORDS: u32 = 10_000;
    let memory = Reservation::closed(RECORDS as usize * size_of::<Record>()).unwrap();
    let mut e = Extent::on(memory, RECORDS);
    for _ in 0..2 {
        (0..RECORDS).for_each(|n| assert!(e.push(record(n))));
        assert!((0..RECORDS).all(|n| e.get(n) == Some(&record(n))));
        e.truncate(0);
    }
}

#[test]
fn memory_comes_back_but_for_a_little_and_what_is_left_stays() {
    const RECORDS: u32 = 40_000;
    let mut e = Extent::with_limit(RECORDS);
    (0..RECORDS).for_each(|n| assert!(e.push(record(n))));
    let full = resident_pages(&e);
    for left in (0..RECORDS).step_by(1000).rev() {
        e.truncate(left);
        assert!(left == 0 || e.get(left - 1) == Some(&record(left - 1)));
        assert!(e.memory_bytes() <= left as usize * size_of::<Record>() + (4 << 20));
    }
    assert!(full >= RECORDS as usize * size_of::<Record>() / 4096);
    assert!(resident_pages(&e) <= 32, "{} pages are left", resident_pages(&e));
    assert!(e.push(record(1)));
    assert_eq!((e.len(), e.get(0)), (1, Some(&record(1))));
}

#[test]
fn memory_that_was_asked_for_and_comes_late_goes_back_the_next_time() {
    const RECORDS: u32 = 40_000;
    let mut e = Extent::with_limit(RECORDS);
    // Beyond this one the next huge page is asked for.
    (0..30_000).for_each(|n| assert!(e.push(record(n))));
    let asked = e.touched_bytes - (2 << 20);
    e.truncate(20_000);
    super::super::pages::provide_huge(e.base.as_ptr() as usize + asked);
    e.truncate(0);
    assert!(resident_pages(&e) <= 32, "{} pages are left", resident_pages(&e));
}

fn resident_pages<T>(e: &Extent<T>) -> usize {
    let bytes = (e.limit * size_of::<T>()).next_multiple_of(2 << 20);
    let mut pages = vec![0u8; bytes / 4096];
    // SAFETY: the range is mapped, and there is a byte for each of its pages.
    assert_eq!(unsafe { libc::mincore(e.base.as_ptr().cast(), bytes, pages.as_mut_ptr()) }, 0);
    pages.iter().filter(|page| **page & 1 == 1).count()
}

#[test]
fn every_element_is_dropped_once() {
    let witness = Rc::new(());
    let mut e = Extent::with_limit(10);
    (0..15).for_each(|_| _ = e.push(Rc::clone(&witness)));
    assert_eq!(Rc::strong_count(&witness), 11);
    e.truncate(4);
    assert_eq!(Rc::strong_count(&witness), 5);
    e.put(7, Rc::new(()), || Rc::clone(&witness));
    assert_eq!((e.len(), Rc::strong_count(&witness)), (8, 8));
    drop(e);
    assert_eq!(Rc::strong_count(&witness), 1);
}

#[test]
fn elements_of_no_size_need_no_memory() {
    let mut e = Extent::with_limit(u32::MAX);
    assert!(e.put(100_000, (), || ()));
    e.truncate(50_000);
    assert_eq!((e.len(), e.memory_bytes(), e.get(49_999), e.get(50_000)), (50_000, 0, Some(&()), None));
}

#[derive(Clone, Debug)]
enum Step {
    Push(u32),
    Put(u32, u32),
    Change(u32, u32),
    Truncate(u32),
}

const LIMIT: u32 = 9_000;

fn step() -> impl Strategy<Value = Step> {
    let index = 0..LIMIT + 100;
    prop_oneof![
        4 => (1..500u32).prop_map(Step::Push),
        2 => (index.clone(), any::<u32>()).prop_map(|(at, n)| Step::Put(at, n)),
        2 => (index.clone(), any::<u32>()).prop_map(|(at, n)| Step::Change(at, n)),
        1 => index.prop_map(Step::Truncate),
    ]
}

impl Zeroed for Record {
    const ZERO: Record = [0; 256];
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn both_kinds_agree_with_a_vector(steps in prop::collection::vec(step(), 1..60)) {
        let (mut filled, mut zeroed) = (Extent::with_limit(LIMIT), ZeroedExtent::with_limit(LIMIT));
        let mut oracle: Vec<u32> = Vec::new();
        for step in steps {
            match step {
                Step::Push(count) => for n in 0..count {
                    let at = oracle.len() as u32;
                    prop_assert_eq!(filled.push(record(n)), at < LIMIT);
                    prop_assert_eq!(zeroed.reach(at).map(|element| *element = record(n)).is_some(), at < LIMIT);
                    if at < LIMIT {
                        oracle.push(n);
                    }
                },
                Step::Put(at, n) => {
                    prop_assert_eq!(filled.put(at, record(n), || record(0)), at < LIMIT);
                    prop_assert_eq!(zeroed.reach(at).map(|element| *element = record(n)).is_some(), at < LIMIT);
                    if at < LIMIT {
                        oracle.resize(oracle.len().max(at as usize + 1), 0);
                        oracle[at as usize] = n;
                    }
                }
                Step::Change(at, n) => {
                    let there = oracle.get_mut(at as usize).map(|element| *element = n).is_some();
                    prop_assert_eq!(filled.get_mut(at).map(|element| *element = record(n)).is_some(), there);
                    prop_assert_eq!(zeroed.get_mut(at).map(|element| *element = record(n)).is_some(), there);
                }
                Step::Truncate(len) => {
                    filled.truncate(len);
                    zeroed.truncate(len);
                    oracle.truncate(len as usize);
                }
            }
            prop_assert_eq!((filled.len(), zeroed.len()), (oracle.len() as u32, oracle.len() as u32));
        }
        for (at, n) in oracle.iter().enumerate() {
            prop_assert_eq!(filled.get(at as u32), Some(&record(*n)));
            prop_assert_eq!(zeroed.get(at as u32), Some(&record(*n)));
        }
        prop_assert_eq!(filled.tail(oracle.len() as u32 / 2).len(), oracle.len() - oracle.len() / 2);
        prop_assert_eq!((filled.get(oracle.len() as u32), zeroed.get(oracle.len() as u32)), (None, None));
    }
}
