//! What bulk transfers can reach on a path: a model of a sender with an ideal recovery. It knows of each loss one round trip
//! after it sent the segment, repairs it at once, and has the window of its controller under way at all times, in whole
//! segments; nothing else ever holds it up. Losses of what was under way when a recovery began belong to it, as they do for
//! any sender.

use synfin_engine::io::sim::Impairment;
use synfin_engine::io::sim::impair::Impairer;
use synfin_engine::tcp::congestion::Algorithm;

/// Segments in the first window (RFC 6928).
const INITIAL_WINDOW: f64 = 10.0;
/// CUBIC (RFC 9438): the scaling of its function and its decrease.
const C: f64 = 0.4;
const BETA: f64 = 0.7;
/// While slow start lasts, windows double in a round trip: so many segments leave in one, per segment of the window.
const DOUBLING: f64 = 2.0 * std::f64::consts::LN_2;

/// A path, in segments and seconds.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    pub segments_per_s: f64,
    pub rtt_s: f64,
    /// Share of segments that vanish.
    pub loss: f64,
}

/// The controller's window, in segments.
struct Window {
    algorithm: Algorithm,
    now: f64,
    slow_start: bool,
    /// When this stage of congestion avoidance began, the window that CUBIC comes back to, when it does, and Reno's window.
    epoch_s: f64,
    w_max: f64,
    k_s: f64,
    w_est: f64,
}

impl Window {
    fn new(algorithm: Algorithm) -> Window {
        let (now, no) = (INITIAL_WINDOW, 0.0);
        Window { algorithm, now, slow_start: true, epoch_s: no, w_max: no, k_s: no, w_est: no }
    }

    fn grow(&mut self, now_s: f64, rtt_s: f64) {
        if self.slow_start {
            // Half of what leaves in slow start answers an ACK, the other half is growth.
            self.now += 0.5;
            return;
        }
        if self.algorithm == Algorithm::NewReno {
            self.now += 1.0 / self.now;
            return;
        }
        let alpha = if self.w_est < self.w_max { 3.0 * (1.0 - BETA) / (1.0 + BETA) } else { 1.0 };
        self.w_est += alpha / self.now;
        let d = now_s + rtt_s - self.epoch_s - self.k_s;
        let cubic = (self.w_max + C * d * d * d).min(1.5 * self.now);
        self.now = self.w_est.max(self.now + (cubic - self.now).max(0.0) / self.now);
    }

    fn reduce(&mut self, now_s: f64) {
        let beta = if self.algorithm == Algorithm::NewReno { 0.5 } else { BETA };
        // Fast convergence (4.7).
        self.w_max = if self.now < self.w_max { self.now * (1.0 + BETA) / 2.0 } else { self.now };
        self.now = (self.now * beta).max(2.0);
        self.begin_stage(now_s);
    }

    fn begin_stage(&mut self, now_s: f64) {
        self.slow_start = false;
        (self.epoch_s, self.w_est) = (now_s, self.now);
        self.w_max = self.w_max.max(self.now);
        self.k_s = ((self.w_max - self.now) / C).cbrt();
    }
}

impl Path {
    /// Seconds from the first SYN to the arrival of the last of so many segments. The dice are those of a simulated link's first
    /// direction: as long as both send the same, they lose the same.
    pub fn seconds(&self, segments: u64, algorithm: Algorithm, seed: u64) -> f64 {
        let &Path { segments_per_s, rtt_s, loss } = self;
        let mut dice = Impairer::new(Impairment { loss, ..Impairment::default() }, seed, 0);
        // The handshake.
        (0..2).for_each(|_| _ = dice.roll());
        let mut window = Window::new(algorithm);
        // Its round trip, and the way of the last segment.
        let mut now_s = 1.5 * rtt_s;
        let (mut sent, mut arrived) = (0u64, 0);
        // With the arrival of these ACKs, counted by what is sent then, a loss shows, and a recovery is over.
        let (mut shows_at, mut recovered_at) = (None, 0);
        while arrived < segments {
            let per_rtt = if window.slow_start { DOUBLING } else { 1.0 } * window.now.floor();
            now_s += (rtt_s / per_rtt).max(1.0 / segments_per_s);
            let is_lost = dice.roll().lost;
            arrived += u64::from(!is_lost);
            if is_lost && shows_at.is_none() {
                shows_at = Some((sent + per_rtt as u64).max(recovered_at));
            }
            if shows_at.is_some_and(|at| sent >= at) {
                window.reduce(now_s);
                shows_at = None;
                recovered_at = sent + window.now as u64;
            } else if sent >= recovered_at && !is_lost {
                window.grow(now_s, rtt_s);
            }
            if window.slow_start && window.now >= segments_per_s * rtt_s {
                // The path is full: slow start ends before its queue is.
                window.begin_stage(now_s);
            }
            sent += 1;
        }
        now_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_window(loss: f64, rtt_s: f64, algorithm: Algorithm) -> f64 {
        let path = Path { segments_per_s: 1e9, rtt_s, loss };
        let segments = 200_000;
        segments as f64 * rtt_s / path.seconds(segments, algorithm, 1)
    }

    #[test]
    fn windows_come_to_what_the_response_functions_say() {
        // Reno (RFC 5681): 1.22 / sqrt(p), and somewhat more where losses come at random instead of at regular intervals.
        let reno = mean_window(0.001, 0.01, Algorithm::NewReno) / (1.22 / 0.001f64.sqrt());
        assert!((0.9..1.25).contains(&reno), "{reno}");
        // CUBIC (RFC 9438 5.1): 1.054 (RTT / p)^3/4.
        let cubic = mean_window(0.0001, 0.1, Algorithm::Cubic) / (1.054 * 1000f64.powf(0.75));
        assert!((0.8..1.3).contains(&cubic), "{cubic}");
    }

    #[test]
    fn path_without_loss_is_full_once_slow_start_is_over() {
        let path = Path { segments_per_s: 10_000.0, rtt_s: 0.1, loss: 0.0 };
        // Seven round trips until the window is a thousand segments, after the handshake.
        let seconds = path.seconds(100_000, Algorithm::Cubic, 1);
        assert!((10.5..11.0).contains(&seconds), "{seconds}");
    }
}
