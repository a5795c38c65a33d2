//! Bulk transfers over an impaired link, in virtual time: how fast they are next to what the path allows, and that two
//! flows share it. `SYNFIN_GOODPUT_MB` sets the size of each transfer; with 100, the table is worth reading:
//! `SYNFIN_GOODPUT_MB=100 cargo test --release -p synfin-tests --test goodput -- --nocapture --test-threads 1`.

use std::time::Duration;
use synfin_engine::base::Event;
use synfin_engine::io::sim::Impairment;
use synfin_engine::tcp::congestion::Algorithm;
use synfin_tests::bulk::{Receiver, Sender, Transfer};
use synfin_tests::pair::{ADDR_A, ADDR_B, Pair, configs};

const MSS: f64 = 1448.0;
/// Ethernet, IPv4 and TCP headers with timestamps: what the link's rate has to carry besides.
const FRAME_BYTES: f64 = MSS + 66.0;

#[derive(Clone, Copy)]
struct Path {
    rate_mbit_s: u64,
    rtt_ms: u64,
    loss: f64,
    reorder: f64,
}

impl Path {
    fn name(&self) -> String {
        let Path { rate_mbit_s, rtt_ms, loss, reorder } = self;
        format!("{rate_mbit_s:>5} Mbit/s {rtt_ms:>3} ms loss {:>3.1} % reorder {:.0} %", loss * 100.0, reorder * 100.0)
    }

    fn bdp_bytes(&self) -> u64 {
        self.rate_mbit_s * 1_000_000 / 8 * self.rtt_ms / 1000
    }

    /// Enough for the receiver to keep all that can be under way.
    fn frames(&self) -> u32 {
        20_000 + (self.bdp_bytes() * 3 / 1448) as u32
    }

    fn impairments(&self) -> [Impairment; 2] {
        let back = Impairment {
            delay: Duration::from_micros(self.rtt_ms * 500),
            in_flight_frames: self.frames() as usize,
            ..Impairment::default()
        };
        let there = Impairment {
            loss: self.loss,
            reorder: self.reorder,
            reorder_frames: 10,
            reorder_delay: Duration::from_millis(5),
            rate_bits_per_s: self.rate_mbit_s * 1_000_000,
            // One bandwidth-delay product of queue.
            queue_bytes: self.bdp_bytes().max(64 * 1514),
            ..back
        };
        [there, back]
    }

    /// Bytes per second that a controller of this kind can reach: the link's rate, or what the square root of the
    /// loss leaves (Reno: 1.22 / sqrt(p) segments; CUBIC: the larger of that and 1.05 (RTT / p)^3/4).
    fn possible(&self, algorithm: Algorithm) -> f64 {
        let rate = self.rate_mbit_s as f64 * 125_000.0 * MSS / FRAME_BYTES;
        if self.loss == 0.0 {
            return rate;
        }
        let rtt_s = self.rtt_ms as f64 / 1000.0;
        let reno = 1.22 / self.loss.sqrt();
        let cubic = 1.054 * (rtt_s / self.loss).powf(0.75);
        let window = if algorithm == Algorithm::Cubic { reno.max(cubic) } else { reno };
        rate.min(window * MSS / rtt_s)
    }
}

fn pair(path: &Path, transfers: Vec<Transfer>, seed: u64) -> Pair<Sender, Receiver> {
    let (mut a, mut b) = configs();
    for c in [&mut a, &mut b] {
        let window = (4 * path.bdp_bytes()).clamp(1 << 20, 1 << 29);
        c.tcp.receive_buffer_bytes = window as u32;
        c.limits.held_frames = path.frames() - 1000;
        c.tcp.time_wait = Duration::from_millis(1);
    }
    let sender = Sender::new(ADDR_A, ADDR_B, transfers);
    let mut pair = Pair::with_frames((a, b), (sender, Receiver::default()), seed, path.impairments(), path.frames());
    pair.b.shard.listen(80);
    pair
}

fn size() -> u64 {
    std::env::var("SYNFIN_GOODPUT_MB").ok().map_or(2, |n| n.parse().expect("SYNFIN_GOODPUT_MB is a number")) * 1_000_000
}

/// Runs one transfer and returns its share of what is possible.
fn transfer(path: &Path, algorithm: Algorithm) -> f64 {
    let bytes = size();
    let plan = Transfer { bytes, starts_after: Duration::ZERO, algorithm };
    let mut pair = pair(path, vec![plan], 7);
    let begin = pair.now;
    assert!(pair.run(Duration::from_secs(100_000)), "{}: does not end", path.name());
    let flow = pair.b.shard.app().flows[0];
    assert_eq!((flow.bytes, flow.wrong), (bytes, 0), "{}", path.name());
    assert_eq!(pair.a.shard.app().failed, 0);
    pair.a.assert_clean();
    pair.b.assert_clean();
    let seconds = flow.last.unwrap().nanos_since(begin) as f64 / 1e9;
    let (got, possible) = (bytes as f64 / seconds, path.possible(algorithm));
    let c = pair.a.shard.counters();
    let [again, fast, timeouts, probes, undone] =
        [Event::Retransmits, Event::FastRetransmits, Event::RtoExpiries, Event::LossProbes, Event::SpuriousRecoveries]
            .map(|e| c.count(e));
    println!(
        "{} {algorithm:<8?} {:>8.2} of {:>8.2} Mbit/s ({:>3.0} %) resent {again} recoveries {fast} time-outs {timeouts} \
         probes {probes} undone {undone}",
        path.name(),
        got * 8e-6,
        possible * 8e-6,
        100.0 * got / possible
    );
    got / possible
}

fn table(loss: f64, reorder: f64, rates: &[u64]) -> Vec<(Path, f64)> {
    let mut shares = Vec::new();
    for &rate_mbit_s in rates {
        for rtt_ms in [10, 100] {
            for algorithm in [Algorithm::NewReno, Algorithm::Cubic] {
                let path = Path { rate_mbit_s, rtt_ms, loss, reorder };
                shares.push((path, transfer(&path, algorithm)));
            }
        }
    }
    shares
}

const RATES: [u64; 3] = [100, 1_000, 10_000];

#[test]
fn transfers_complete_under_loss_of_a_tenth_of_a_percent() {
    table(0.001, 0.0, &RATES);
}

#[test]
fn transfers_under_loss_come_near_to_what_the_loss_allows() {
    for (path, share) in table(0.01, 0.0, &RATES).into_iter().chain(table(0.03, 0.0, &RATES)) {
        assert!(share > 0.5, "{}: {share}", path.name());
    }
}

#[test]
fn reordering_by_ten_packets_never_makes_the_window_collapse() {
    // With and without reordering: the same path, the same start.
    for rate_mbit_s in RATES {
        for rtt_ms in [10, 100] {
            for algorithm in [Algorithm::NewReno, Algorithm::Cubic] {
                let straight = Path { rate_mbit_s, rtt_ms, loss: 0.0, reorder: 0.0 };
                let [without, with] = [0.0, 0.01].map(|reorder| transfer(&Path { reorder, ..straight }, algorithm));
                assert!(with > 0.8 * without, "{}: {with} against {without}", straight.name());
            }
        }
    }
}

#[test]
fn two_flows_share_a_bottleneck() {
    for algorithm in [Algorithm::NewReno, Algorithm::Cubic] {
        let path = Path { rate_mbit_s: 100, rtt_ms: 10, loss: 0.0, reorder: 0.0 };
        let plan = Transfer { bytes: 1 << 40, starts_after: Duration::ZERO, algorithm };
        let late = Transfer { starts_after: Duration::from_millis(500), ..plan };
        let mut pair = pair(&path, vec![plan, late], 7);
        pair.run(Duration::from_secs(10));
        let before: Vec<u64> = pair.b.shard.app().flows.iter().map(|f| f.bytes).collect();
        pair.run(Duration::from_secs(30));
        let shares: Vec<u64> = pair.b.shard.app().flows.iter().zip(before).map(|(f, b)| f.bytes - b).collect();
        let total: u64 = shares.iter().sum();
        let share = shares[0] as f64 / total as f64;
        let rate = total as f64 * 8.0 / 30.0 / 1e6;
        println!("{algorithm:?}: two flows {shares:?}, {:.0} % to the first, {rate:.1} Mbit/s together", share * 100.0);
        assert!((0.4..=0.6).contains(&share), "{algorithm:?}: {share}");
        assert!(rate > 85.0, "{algorithm:?}: {rate} Mbit/s of 95.6");
    }
}
