//! CUBIC (RFC 9438). Windows in segments, times in seconds, as the RFC has them.

/// Scaling of the cubic function, in segments per second cubed.
const C: f32 = 0.4;
/// Multiplicative decrease.
const BETA: f32 = 0.7;
/// Additive increase that makes Reno of β = 0.5 and AIMD of β = 0.7 equally strong (4.3).
const ALPHA: f32 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
/// Seconds in the unit of our clock.
const UNIT_S: f32 = 1.024e-6;

#[derive(Clone, Copy, Default, Debug)]
pub struct Cubic {
    /// Window at the last congestion event; 0: there was none since the start or the last time-out.
    w_max: f32,
    /// Window when ssthresh was set last.
    prior: f32,
    /// Time from the beginning of the stage to the plateau.
    k_s: f32,
    /// What Reno would have. An ACK adds less than a 32-bit number of this size can take.
    w_est: f64,
    /// Grown by less than a byte.
    fraction: f32,
    /// Beginning of the present stage of congestion avoidance, and the last time it moved on.
    epoch_us: u32,
    last_us: u32,
    in_epoch: bool,
}

impl Cubic {
    /// No congestion event has left anything to remember.
    pub fn is_plain(&self) -> bool {
        self.w_max == 0.0
    }

    /// Bytes to add for `acked` bytes in congestion avoidance.
    pub fn step(&mut self, cwnd: u32, mss: u32, acked: u32, srtt_us: u32, now_us: u32) -> u32 {
        let (mss, acked) = (mss.max(1) as f32, acked as f32 / mss.max(1) as f32);
        let segments = cwnd as f32 / mss;
        self.keep_time(segments, srtt_us, now_us);
        let rtt_s = srtt_us as f32 * UNIT_S;
        let t_s = now_us.wrapping_sub(self.epoch_us) as f32 * UNIT_S;
        let alpha = if (self.w_est as f32) < self.prior { ALPHA } else { 1.0 };
        self.w_est += f64::from(alpha * acked / segments);
        let w_est = self.w_est as f32;
        let wanted = if self.at(t_s) < w_est {
            (w_est - segments).max(0.0)
        } else {
            let target = self.at(t_s + rtt_s).clamp(segments, 1.5 * segments);
            (target - segments) / segments * acked
        };
        let bytes = wanted * mss + self.fraction;
        self.fraction = bytes.fract();
        bytes as u32
    }

    /// Begins a stage, or leaves out of it the time in which the window was not what limited us (5.8).
    fn keep_time(&mut self, segments: f32, srtt_us: u32, now_us: u32) {
        if !self.in_epoch {
            (self.in_epoch, self.epoch_us, self.w_est, self.fraction) = (true, now_us, segments.into(), 0.0);
            if segments < self.w_max {
                self.k_s = ((self.w_max - segments) / C).cbrt();
            } else {
                (self.k_s, self.w_max, self.prior) = (0.0, segments, self.prior.max(segments));
            }
        } else {
            let pause_us = now_us.wrapping_sub(self.last_us);
            if pause_us > srtt_us.saturating_mul(2) {
                self.epoch_us = self.epoch_us.wrapping_add(pause_us);
            }
        }
        self.last_us = now_us;
    }

    /// W_cubic (4.2).
    fn at(&self, t_s: f32) -> f32 {
        let d = t_s - self.k_s;
        C * d * d * d + self.w_max
    }

    /// A congestion event: the window to go down to (4.6), with fast convergence (4.7).
    pub fn reduce(&mut self, window: u32, mss: u32) -> u32 {
        let segments = window as f32 / mss.max(1) as f32;
        self.w_max = if segments < self.w_max { segments * (1.0 + BETA) / 2.0 } else { segments };
        self.prior = segments;
        self.in_epoch = false;
        (window as f32 * BETA) as u32
    }

    /// After a time-out the plateau is where congestion avoidance begins (4.8).
    pub fn on_timeout(&mut self) {
        (self.w_max, self.in_epoch) = (0.0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;
    const RTT_US: u32 = 97_656;

    /// The window after each of `rounds` round trips of 100 ms, from `cwnd` on.
    fn rounds(c: &mut Cubic, mut cwnd: u32, rounds: u32, start_us: u32) -> Vec<u32> {
        let mut windows = Vec::new();
        for round in 0..rounds {
            let now_us = start_us + round * RTT_US;
            let mut left = cwnd;
            while left > 0 {
                let acked = left.min(2 * MSS);
                cwnd += c.step(cwnd, MSS, acked, RTT_US, now_us);
                left -= acked;
            }
            windows.push(cwnd);
        }
        windows
    }

    #[test]
    fn window_comes_back_to_where_the_loss_was_after_k_and_then_beyond() {
        let mut c = Cubic::default();
        let from = c.reduce(1_000_000, MSS);
        assert_eq!(from, 700_000);
        // K = cbrt(300 / 0.4) = 9.1 s.
        let windows = rounds(&mut c, from, 150, 0);
        assert!(windows[50] > 900_000 && windows[50] < 1_000_000, "concave: {}", windows[50]);
        let near = windows[90].abs_diff(1_000_000);
        assert!(near < 10_000, "the plateau at K: {}", windows[90]);
        assert!(windows[149] > 1_050_000, "convex: {}", windows[149]);
    }

    #[test]
    fn small_windows_grow_at_least_as_renos() {
        let mut c = Cubic::default();
        let from = c.reduce(20_000, MSS);
        // Reno from 10 after halving 20 is back at 20 after ten rounds; CUBIC from 14 with its smaller step as well.
        let windows = rounds(&mut c, from, 12, 0);
        assert!(windows[11] >= 20_000, "{}", windows[11]);
    }

    #[test]
    fn second_loss_below_the_first_lowers_the_plateau() {
        let mut c = Cubic::default();
        c.reduce(1_000_000, MSS);
        c.reduce(800_000, MSS);
        assert!((c.w_max - 680.0).abs() < 0.1, "{}", c.w_max);
    }

    #[test]
    fn time_without_need_for_the_window_does_not_count() {
        let mut c = Cubic::default();
        let from = c.reduce(1_000_000, MSS);
        let before = rounds(&mut c, from, 20, 0);
        let pause = 100 * RTT_US;
        let after = rounds(&mut c, before[19], 1, 20 * RTT_US + pause);
        assert!(after[0] < before[19] * 11 / 10, "{} after {}", after[0], before[19]);
    }

    #[test]
    fn after_a_time_out_growth_starts_from_a_plateau_at_the_present_window() {
        let mut c = Cubic::default();
        c.reduce(1_000_000, MSS);
        c.on_timeout();
        let windows = rounds(&mut c, 300_000, 3, 0);
        assert!(windows[2] < 310_000, "{}", windows[2]);
    }
}
