//! HyStart++ (RFC 9406): slow start ends when round trips grow longer, before the queue overflows. First the growth
//! is slowed down for some rounds; should the round trips shorten again, it was a false alarm.

use super::CWND_MAX;
use crate::wire::Seq;

/// Bounds of the increase that counts, in units of 1024 ns: 4 and 16 ms.
const INCREASE_MIN_US: u32 = 3_906;
const INCREASE_MAX_US: u32 = 15_625;
const INCREASE_DIVISOR: u32 = 8;
/// Measurements that a round needs for a judgement.
const SAMPLES: u8 = 8;
/// Conservative slow start grows by this fraction, for this many rounds.
const GROWTH_DIVISOR: u32 = 4;
const ROUNDS: u8 = 5;

#[derive(Clone, Copy, Debug)]
pub struct HyStart {
    /// The round ends when this is acknowledged.
    round_end: Seq,
    is_running: bool,
    samples: u8,
    /// Rounds of conservative slow start so far.
    rounds: u8,
    last_min_us: u32,
    min_us: u32,
    /// Smallest round trip when conservative slow start began; `None`: ordinary slow start.
    baseline_us: Option<u32>,
}

impl Default for HyStart {
    fn default() -> Self {
        HyStart {
            round_end: Seq(0),
            is_running: false,
            samples: 0,
            rounds: 0,
            last_min_us: u32::MAX,
            min_us: u32::MAX,
            baseline_us: None,
        }
    }
}

impl HyStart {
    /// What slow start's step becomes.
    pub fn step(&self, step: u32) -> u32 {
        if self.baseline_us.is_some() { step / GROWTH_DIVISOR } else { step }
    }

    /// An ACK of slow start with the round trip that it measured. Returns the new ssthresh when slow start is over.
    pub fn on_ack(&mut self, una: Seq, nxt: Seq, rtt_us: Option<u32>, cwnd: u32) -> Option<u32> {
        if !self.is_running || una.at_or_after(self.round_end) {
            let rounds = self.rounds + u8::from(self.baseline_us.is_some());
            (self.last_min_us, self.min_us, self.samples) = (self.min_us, u32::MAX, 0);
            (self.round_end, self.is_running, self.rounds) = (nxt, true, rounds);
            if rounds >= ROUNDS {
                *self = HyStart::default();
                return Some(cwnd.min(CWND_MAX));
            }
        }
        self.min_us = self.min_us.min(rtt_us?);
        self.samples = self.samples.saturating_add(1);
        if self.samples < SAMPLES {
            return None;
        }
        match self.baseline_us {
            Some(baseline) if self.min_us < baseline => (self.baseline_us, self.rounds) = (None, 0),
            None if self.last_min_us != u32::MAX => {
                let increase = (self.last_min_us / INCREASE_DIVISOR).clamp(INCREASE_MIN_US, INCREASE_MAX_US);
                if self.min_us >= self.last_min_us.saturating_add(increase) {
                    self.baseline_us = Some(self.min_us);
                }
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A round of ten ACKs, each measuring `rtt_us`; the numbers of round `n` run from 1000 n on.
    fn round(h: &mut HyStart, n: u32, rtt_us: u32) -> Option<u32> {
        (1..=10).find_map(|i| h.on_ack(Seq(1000 * n + i * 100), Seq(1000 * (n + 2)), Some(rtt_us), 50_000))
    }

    #[test]
    fn steady_round_trips_leave_slow_start_alone() {
        let mut h = HyStart::default();
        assert!((0..20).all(|n| round(&mut h, n, 100_000 + n % 3 * 1_000).is_none()));
        assert_eq!(h.step(1000), 1000);
    }

    #[test]
    fn longer_round_trips_slow_the_growth_down_and_end_it_after_five_rounds() {
        let mut h = HyStart::default();
        (0..4).for_each(|n| assert_eq!(round(&mut h, n, 100_000), None));
        assert_eq!((4..8).find_map(|n| round(&mut h, n, 120_000)), None);
        assert_eq!(h.step(1000), 250);
        assert_eq!((8..20).find_map(|n| round(&mut h, n, 120_000)), Some(50_000));
    }

    #[test]
    fn shorter_round_trips_show_a_false_alarm() {
        let mut h = HyStart::default();
        (0..4).for_each(|n| assert_eq!(round(&mut h, n, 100_000), None));
        (4..7).for_each(|n| assert_eq!(round(&mut h, n, 120_000), None));
        assert_eq!(h.step(1000), 250);
        (7..10).for_each(|n| assert_eq!(round(&mut h, n, 101_000), None));
        assert_eq!(h.step(1000), 1000);
    }
}
