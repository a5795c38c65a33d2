//! When a frame arrives: delay, jitter, rate limit, and the order of arrival.
//!
//! Two queues suffice. Frames in order arrive one after the other, since jitter never lets one overtake. Frames
//! held back are all held back by the same time and the same number of frames, so they too are released first in,
//! first out. Bounded by `in_flight_frames`; nothing is allocated once the queues have grown.

use super::impair::Impairment;
use crate::base::Instant;
use std::collections::VecDeque;

struct InFlight<T> {
    arrival: Instant,
    item: T,
}

struct Held<T> {
    /// The time it arrives at the latest.
    arrival: Instant,
    /// Its turn comes at once behind the frame with this number.
    behind: u64,
    item: T,
}

/// One direction's frames on their way.
pub struct Schedule<T> {
    in_order: VecDeque<InFlight<T>>,
    held: VecDeque<Held<T>>,
    /// Frames that took their place in order so far.
    passed: u64,
    last_arrival: Instant,
    /// When the rate limit has worked off what came so far.
    busy_until: Instant,
}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        let (last_arrival, busy_until) = (Instant::ZERO, Instant::ZERO);
        Schedule { in_order: VecDeque::new(), held: VecDeque::new(), passed: 0, last_arrival, busy_until }
    }
}

impl<T> Schedule<T> {
    /// Queues for this many frames without allocating later.
    pub fn with_capacity(frames: usize) -> Self {
        let (in_order, held) = (VecDeque::with_capacity(frames), VecDeque::with_capacity(frames));
        Schedule { in_order, held, ..Schedule::default() }
    }

    /// Frames on their way.
    pub fn len(&self) -> usize {
        self.in_order.len() + self.held.len()
    }

    pub fn is_empty(&self) -> bool {
        self.in_order.is_empty() && self.held.is_empty()
    }

    /// Sends off a frame of `len_bytes`. Times passed in must not run backwards.
    ///
    /// # Errors
    /// Gives the frame back when the queue is full.
    pub fn insert(
        &mut self,
        item: T,
        len_bytes: usize,
        now: Instant,
        spec: &Impairment,
        jitter_ns: u64,
        hold_back: bool,
    ) -> Result<(), T> {
        if self.len() >= spec.in_flight_frames {
            return Err(item);
        }
        let Some(departure) = self.depart(len_bytes, now, spec) else { return Err(item) };
        let arrival = (departure + spec.delay).plus_nanos(jitter_ns).max(self.last_arrival);
        if hold_back {
            let behind = match spec.reorder_frames {
                0 => u64::MAX,
                n => self.passed + u64::from(n),
            };
            let arrival = self.held.back().map_or(Instant::ZERO, |h| h.arrival).max(arrival + spec.reorder_delay);
            self.held.push_back(Held { arrival, behind, item });
            return Ok(());
        }
        self.last_arrival = arrival;
        self.passed += 1;
        self.in_order.push_back(InFlight { arrival, item });
        while self.held.front().is_some_and(|h| h.behind <= self.passed) {
            self.in_order.extend(self.held.pop_front().map(|h| InFlight { arrival, item: h.item }));
        }
        Ok(())
    }

    /// When the last bit of the frame leaves; `None` when it would have to wait behind more than the queue holds.
    fn depart(&mut self, len_bytes: usize, now: Instant, spec: &Impairment) -> Option<Instant> {
        let rate = u128::from(spec.rate_bits_per_s);
        if rate == 0 {
            return Some(now);
        }
        let waiting_bytes = u128::from(self.busy_until.nanos_since(now)) * rate / 8_000_000_000;
        // An idle link takes any frame, however small its queue.
        if waiting_bytes > 0 && waiting_bytes + len_bytes as u128 > u128::from(spec.queue_bytes) {
            return None;
        }
        let wire_ns = (len_bytes as u128 * 8_000_000_000).div_ceil(rate);
        self.busy_until = self.busy_until.max(now).plus_nanos(u64::try_from(wire_ns).unwrap_or(u64::MAX));
        Some(self.busy_until)
    }

    /// The next frame that has arrived by `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<T> {
        let next = self.next_arrival()?;
        if next > now {
            return None;
        }
        // A frame held back comes behind one in order that arrives at the same time.
        if self.in_order.front().is_some_and(|f| f.arrival == next) {
            self.in_order.pop_front().map(|f| f.item)
        } else {
            self.held.pop_front().map(|h| h.item)
        }
    }

    /// When the next frame arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        let in_order = self.in_order.front().map(|f| f.arrival);
        let held = self.held.front().map(|h| h.arrival);
        in_order.into_iter().chain(held).min()
    }

    /// Takes out everything, whenever it would have arrived.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.in_order.drain(..).map(|f| f.item).chain(self.held.drain(..).map(|h| h.item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn at(ns: u64) -> Instant {
        Instant::from_nanos(ns)
    }

    fn all(s: &mut Schedule<u32>, now: Instant) -> Vec<u32> {
        std::iter::from_fn(|| s.pop_due(now)).collect()
    }

    #[test]
    fn without_delay_frames_are_due_at_once_and_in_order() {
        let (spec, mut s) = (Impairment::default(), Schedule::default());
        (0..5).for_each(|i| s.insert(i, 60, at(9), &spec, 0, false).unwrap());
        assert_eq!(s.next_arrival(), Some(at(9)));
        assert_eq!(all(&mut s, at(9)), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn jitter_delays_but_never_overtakes() {
        let spec = Impairment { delay: Duration::from_nanos(100), ..Impairment::default() };
        let mut s = Schedule::default();
        s.insert(0, 60, at(0), &spec, 50, false).unwrap();
        s.insert(1, 60, at(1), &spec, 0, false).unwrap();
        assert_eq!(s.next_arrival(), Some(at(150)));
        assert_eq!(all(&mut s, at(149)), []);
        assert_eq!(all(&mut s, at(150)), [0, 1]);
    }

    #[test]
    fn a_frame_held_back_arrives_behind_the_wanted_number_of_frames() {
        let spec = Impairment { reorder_frames: 2, ..Impairment::default() };
        let mut s = Schedule::default();
        for i in 0..5 {
            s.insert(i, 60, at(u64::from(i)), &spec, 0, i == 1).unwrap();
        }
        assert_eq!(all(&mut s, at(10)), [0, 2, 3, 1, 4]);
    }

    #[test]
    fn a_frame_held_back_arrives_after_the_delay_when_nothing_follows() {
        let spec = Impairment { reorder_delay: Duration::from_nanos(500), ..Impairment::default() };
        let mut s = Schedule::default();
        s.insert(0, 60, at(10), &spec, 0, true).unwrap();
        assert_eq!(s.next_arrival(), Some(at(510)));
        assert_eq!(all(&mut s, at(509)), []);
        assert_eq!(all(&mut s, at(510)), [0]);
        assert!(s.is_empty());
    }

    #[test]
    fn the_rate_limit_spaces_frames_and_drops_at_the_tail() {
        // 1 Gbit/s: 125 bytes take 1 µs.
        let spec = Impairment { rate_bits_per_s: 1_000_000_000, queue_bytes: 375, ..Impairment::default() };
        let mut s = Schedule::default();
        let taken = (0..5).filter(|&i| s.insert(i, 125, at(0), &spec, 0, false).is_ok()).count();
        assert_eq!(taken, 3);
        assert_eq!(all(&mut s, at(999)), []);
        assert_eq!(all(&mut s, at(2000)), [0, 1]);
        assert!(s.insert(9, 125, at(2000), &spec, 0, false).is_ok());
        assert_eq!(all(&mut s, at(4000)), [2, 9]);
    }

    #[test]
    fn no_more_frames_are_on_their_way_than_allowed() {
        let spec = Impairment { in_flight_frames: 2, ..Impairment::default() };
        let mut s = Schedule::default();
        s.insert(0, 60, at(0), &spec, 0, true).unwrap();
        s.insert(1, 60, at(0), &spec, 0, false).unwrap();
        assert_eq!(s.insert(2, 60, at(0), &spec, 0, false), Err(2));
        assert_eq!(s.drain().collect::<Vec<_>>(), [1, 0]);
    }
}
