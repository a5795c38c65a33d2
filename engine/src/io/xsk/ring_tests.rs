use super::*;
use proptest::prelude::*;
use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::sync::Arc;

/// A ring on plain memory.
struct Plain<T> {
    producer: AtomicU32,
    consumer: AtomicU32,
    flags: AtomicU32,
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
}

// SAFETY: the counters are atomics and the ring protocol gives each slot to one end at a time.
unsafe impl<T: Send> Send for Plain<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Plain<T> {}

/// Both ends of a ring on plain memory whose counters begin at `start`.
pub fn plain_ring<T: Copy + Send + 'static>(size: u32, start: u32) -> (Producer<T>, Consumer<T>) {
    let ring = Arc::new(Plain {
        producer: AtomicU32::new(start),
        consumer: AtomicU32::new(start),
        flags: AtomicU32::new(0),
        slots: (0..size).map(|_| UnsafeCell::new(MaybeUninit::<T>::uninit())).collect(),
    });
    let end = || {
        let slots = NonNull::new(ring.slots.as_ptr() as *mut T).unwrap();
        // SAFETY: the pointers lead into `ring`, which the owner keeps alive, and there are `size` slots.
        unsafe {
            RingMemory::new(
                NonNull::from(&ring.producer),
                NonNull::from(&ring.consumer),
                NonNull::from(&ring.flags),
                slots,
                Box::new(ring.clone()),
            )
        }
    };
    // SAFETY: memory of `size` slots with its counters at `start`; one producer and one consumer are made.
    unsafe { (Producer::new(end(), size, start), Consumer::new(end(), size, start)) }
}

#[test]
fn a_new_ring_is_empty_and_has_room_for_its_size() {
    let (mut p, mut c) = plain_ring::<u64>(8, 0);
    assert_eq!((p.room(1), p.unread(), c.waiting(1)), (8, 0, 0));
    assert_eq!(c.pop(), None);
}

#[test]
fn entries_are_invisible_until_published_and_slots_taken_until_released() {
    let (mut p, mut c) = plain_ring::<u64>(2, 0);
    assert!(p.push(1) && p.push(2));
    assert_eq!((c.waiting(1), c.pop()), (0, None));
    p.publish();
    assert_eq!((c.waiting(2), c.pop(), c.pop()), (2, Some(1), Some(2)));
    assert_eq!((p.room(1), p.push(3)), (0, false));
    c.release();
    assert_eq!((p.room(1), p.push(3)), (2, true));
}

#[test]
fn counters_wrap_at_two_to_the_32_without_losing_or_reordering_entries() {
    let (mut p, mut c) = plain_ring::<u64>(4, u32::MAX - 5);
    for round in 0..20u64 {
        assert_eq!(p.room(3), 4);
        (0..3).for_each(|i| assert!(p.push(round * 3 + i)));
        p.publish();
        assert_eq!((p.unread(), c.waiting(3)), (3, 3));
        (0..3).for_each(|i| assert_eq!(c.pop(), Some(round * 3 + i)));
        c.release();
    }
    assert!(p.pushed() < 100 && p.pushed() == c.popped());
}

#[test]
fn a_lying_counter_of_the_other_side_never_leads_out_of_the_ring() {
    for lie in [9, 1000, u32::MAX, 1 << 31] {
        let cursor = Cursor { producer: lie, consumer: 0, size: 8 };
        assert_eq!((cursor.filled(), cursor.free()), (8, 0));
    }
}

#[test]
fn the_wakeup_flag_is_seen() {
    let (p, c) = plain_ring::<u64>(2, 0);
    assert!(!p.needs_wakeup());
    c.memory.flags().store(libc::XDP_RING_NEED_WAKEUP, Ordering::Relaxed);
    assert!(p.needs_wakeup());
}

#[test]
fn two_threads_pass_every_entry_once_and_in_order() {
    let entries = if cfg!(miri) { 300 } else { 300_000u64 };
    let (mut p, mut c) = plain_ring::<u64>(16, u32::MAX - 100);
    let writer = std::thread::spawn(move || {
        let mut next = 0;
        while next < entries {
            let burst = u64::from(p.room(5)).min(5).min(entries - next);
            (0..burst).for_each(|i| assert!(p.push(next + i)));
            next += burst;
            p.publish();
            if burst == 0 {
                std::thread::yield_now();
            }
        }
    });
    let mut expected = 0;
    while expected < entries {
        if c.waiting(7) == 0 {
            std::thread::yield_now();
        }
        while let Some(v) = c.pop() {
            assert_eq!(v, expected);
            expected += 1;
        }
        c.release();
    }
    writer.join().unwrap();
}

#[derive(Clone, Debug)]
enum Op {
    Push(u8),
    Publish,
    Pop(u8),
    Release,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![(0..12u8).prop_map(Op::Push), Just(Op::Publish), (0..12u8).prop_map(Op::Pop), Just(Op::Release)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 1000 }, failure_persistence: None, ..ProptestConfig::default() })]

    /// Against an oracle of queues: what is staged, what is visible, what is read but not handed back.
    #[test]
    fn a_ring_behaves_as_a_bounded_queue(
        log_size in 0u32..5,
        start in prop_oneof![Just(0u32), Just(u32::MAX), Just(u32::MAX - 7), any::<u32>()],
        ops in prop::collection::vec(op(), 1..200),
    ) {
        let size = 1 << log_size;
        let (mut p, mut c) = plain_ring::<u64>(size, start);
        let (mut staged, mut visible, mut unreleased) = (VecDeque::new(), VecDeque::new(), 0);
        let mut next = 0u64;
        for op in ops {
            match op {
                Op::Push(n) => for _ in 0..n {
                    let used = staged.len() + visible.len() + unreleased;
                    prop_assert_eq!(p.room(1) > 0, used < size as usize);
                    prop_assert_eq!(p.push(next), used < size as usize);
                    if used < size as usize {
                        staged.push_back(next);
                        next += 1;
                    }
                },
                Op::Publish => {
                    p.publish();
                    visible.append(&mut staged);
                }
                Op::Pop(n) => for _ in 0..n {
                    prop_assert_eq!(c.waiting(u32::MAX) as usize, visible.len());
                    let expected = visible.pop_front();
                    unreleased += usize::from(expected.is_some());
                    prop_assert_eq!(c.pop(), expected);
                },
                Op::Release => {
                    c.release();
                    unreleased = 0;
                }
            }
            prop_assert_eq!(p.unread() as usize, staged.len() + visible.len() + unreleased);
        }
        prop_assert_eq!(u64::from(p.pushed().wrapping_sub(start)), next);
    }
}
