//! A worker's numbers where others can read them.
//!
//! One writer, any readers, no lock and no retry: every number is an atomic of its own and only grows, so a
//! reader that catches the worker in the middle of an update sees each number either as it was or as it is.

use crate::base::Counters;
use crate::io::IoStats;
use crossbeam::utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a worker's time goes into.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Stage {
    /// Taking frames from the device and from other workers.
    Rx,
    /// The stack: segments, timers, building frames; application callbacks on data are part of it.
    Shard,
    /// The application's own turn.
    App,
    /// Handing frames to the device.
    Tx,
    /// Waking the kernel up: system calls.
    Kick,
    /// Turns that found nothing to do, and sleeping.
    Idle,
}

impl Stage {
    pub const ALL: [Stage; 6] = [Stage::Rx, Stage::Shard, Stage::App, Stage::Tx, Stage::Kick, Stage::Idle];
    pub const COUNT: usize = Self::ALL.len();

    pub const fn name(self) -> &'static str {
        match self {
            Stage::Rx => "rx",
            Stage::Shard => "shard",
            Stage::App => "app",
            Stage::Tx => "tx",
            Stage::Kick => "kick",
            Stage::Idle => "idle",
        }
    }
}

/// How long a worker ran and what with. Busy and idle time are measured in every turn; how the busy time divides
/// is measured in a sample of the turns and scaled up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeSpent {
    pub turns: u64,
    /// Turns in which frames were received or sent.
    pub busy_turns: u64,
    pub busy_ns: u64,
    pub idle_ns: u64,
    /// Of the sample, by [`Stage`]; the entry of `Idle` stays 0.
    pub sampled_ns: [u64; Stage::COUNT],
}

impl TimeSpent {
    /// The share of the whole time that went into a stage, 0.0 to 1.0; `None` before anything was measured.
    pub fn share(&self, stage: Stage) -> Option<f64> {
        let total = self.busy_ns + self.idle_ns;
        if total == 0 {
            return None;
        }
        let busy = self.busy_ns as f64 / total as f64;
        if stage == Stage::Idle {
            return Some(1.0 - busy);
        }
        let sampled: u64 = self.sampled_ns.iter().sum();
        (sampled > 0).then(|| busy * self.sampled_ns[stage as usize] as f64 / sampled as f64)
    }

    const WORDS: usize = 4 + Stage::COUNT;

    fn to_words(self) -> [u64; Self::WORDS] {
        let TimeSpent { turns, busy_turns, busy_ns, idle_ns, sampled_ns: [a, b, c, d, e, f] } = self;
        [turns, busy_turns, busy_ns, idle_ns, a, b, c, d, e, f]
    }

    fn from_words([turns, busy_turns, busy_ns, idle_ns, a, b, c, d, e, f]: [u64; Self::WORDS]) -> TimeSpent {
        TimeSpent { turns, busy_turns, busy_ns, idle_ns, sampled_ns: [a, b, c, d, e, f] }
    }

    pub fn merge(&mut self, other: &TimeSpent) {
        let (mut sum, other) = (self.to_words(), other.to_words());
        sum.iter_mut().zip(other).for_each(|(a, b)| *a += b);
        *self = TimeSpent::from_words(sum);
    }
}

/// A copy of everything a worker publishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The shard's, the taps' and the worker's own counters together.
    pub counters: Counters,
    pub io: IoStats,
    pub time: TimeSpent,
}

impl Snapshot {
    /// Adds another worker's numbers to these.
    pub fn merge(&mut self, other: &Snapshot) {
        self.counters.merge(&other.counters);
        self.io.merge(&other.io);
        self.time.merge(&other.time);
    }
}

const WORDS: usize = Counters::WORDS + IoStats::WORDS + TimeSpent::WORDS;

/// The block that one worker writes. It begins and ends on cache lines of its own.
pub struct Published {
    words: Box<CachePadded<[AtomicU64; WORDS]>>,
}

impl Default for Published {
    fn default() -> Self {
        Published { words: Box::new(CachePadded::new([const { AtomicU64::new(0) }; WORDS])) }
    }
}

impl Published {
    /// For the owning worker alone. The sets of counters are added up.
    pub fn publish<'a>(&self, counters: impl Iterator<Item = &'a Counters> + Clone, io: &IoStats, time: &TimeSpent) {
        let mut slots = self.words.iter();
        let mut put = |value: u64| {
            if let Some(slot) = slots.next() {
                slot.store(value, Ordering::Relaxed);
            }
        };
        let mut sum = Counters::default();
        counters.for_each(|c| sum.merge(c));
        sum.as_words().for_each(&mut put);
        io.to_words().into_iter().for_each(&mut put);
        time.to_words().into_iter().for_each(&mut put);
    }

    /// Where the numbers lie.
    #[cfg(test)]
    pub(super) fn address(&self) -> usize {
        self.words.as_ptr() as usize
    }

    /// For anyone.
    pub fn snapshot(&self) -> Snapshot {
        let mut words = self.words.iter().map(|slot| slot.load(Ordering::Relaxed));
        let mut counters = Counters::default();
        counters.as_words_mut().zip(words.by_ref()).for_each(|(to, from)| *to = from);
        let io = IoStats::from_words(std::array::from_fn(|_| words.next().unwrap_or(0)));
        let time = TimeSpent::from_words(std::array::from_fn(|_| words.next().unwrap_or(0)));
        Snapshot { counters, io, time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{DropReason, Event};

    fn snapshot_of(n: u64) -> Snapshot {
        let mut s = Snapshot::default();
        s.counters.as_words_mut().enumerate().for_each(|(i, word)| *word = n + i as u64);
        s.io = IoStats::from_words(std::array::from_fn(|i| n + 1000 + i as u64));
        s.time = TimeSpent::from_words(std::array::from_fn(|i| n + 2000 + i as u64));
        s
    }

    #[test]
    fn what_is_published_is_what_is_read_number_by_number() {
        let (block, s) = (Published::default(), snapshot_of(7));
        block.publish([&s.counters].into_iter(), &s.io, &s.time);
        assert_eq!(block.snapshot(), s);
    }

    #[test]
    fn sets_of_counters_are_added_up() {
        let (mut a, mut b) = (Counters::default(), Counters::default());
        a.add(Event::FramesIn, 5);
        b.add(Event::FramesIn, 6);
        b.drop(DropReason::FaultInjected);
        let block = Published::default();
        block.publish([&a, &b].into_iter(), &IoStats::default(), &TimeSpent::default());
        let read = block.snapshot().counters;
        assert_eq!((read.count(Event::FramesIn), read.dropped(DropReason::FaultInjected)), (11, 1));
    }

    #[test]
    fn a_reader_beside_the_writer_never_sees_a_number_shrink() {
        let block = Published::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..2000 {
                    let s = snapshot_of(n);
                    block.publish([&s.counters].into_iter(), &s.io, &s.time);
                }
            });
            let mut last = block.snapshot();
            while last != snapshot_of(1999) {
                let next = block.snapshot();
                assert!(next.counters.as_words().zip(last.counters.as_words()).all(|(new, old)| new >= old));
                assert!(next.io.to_words().iter().zip(last.io.to_words()).all(|(new, old)| *new >= old));
                last = next;
            }
        });
    }

    #[test]
    fn shares_of_all_stages_add_up_to_one() {
        let time = TimeSpent { turns: 10, busy_turns: 4, busy_ns: 300, idle_ns: 700, sampled_ns: [1, 2, 3, 4, 0, 0] };
        let sum: f64 = Stage::ALL.iter().filter_map(|&s| time.share(s)).sum();
        assert!((sum - 1.0).abs() < 1e-9);
        assert_eq!(time.share(Stage::Idle), Some(0.7));
        assert_eq!(time.share(Stage::App).map(|x| (x * 1000.0).round()), Some(90.0));
        assert_eq!(TimeSpent::default().share(Stage::Rx), None);
    }
}
