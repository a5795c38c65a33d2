//! Bulk transfers over an impaired link, in virtual time: how fast they are next to an ideal sender that loses the same
//! segments (`synfin_tests::ideal`), and that two flows share the link. Each cell has a floor; hosts come to their turns
//! at once, or late and unevenly as on busy cores, so that they read bursts of ACKs.
//!
//! `SYNFIN_GOODPUT_MB` sets the size of each transfer; with 100, the table is worth reading:
//! `SYNFIN_GOODPUT_MB=100 cargo test --release -p synfin-tests --test goodput -- --nocapture --test-threads 1`.

use std::time::Duration;
use synfin_engine::base::Event;
use synfin_engine::io::sim::Impairment;
use synfin_engine::tcp::congestion::Algorithm;
use synfin_tests::bulk::{Receiver, Sender, Transfer};
use synfin_tests::ideal;
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
    nap: Duration,
}

impl Path {
    fn name(&self) -> String {
        let Path { rate_mbit_s, rtt_ms, loss, reorder, nap } = self;
        format!(
            "{rate_mbit_s:>5} Mbit/s {rtt_ms:>3} ms loss {:>3.1} % reorder {:.0} % nap {:>4} us",
            loss * 100.0,
            reorder * 100.0,
            nap.as_micros()
        )
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

    /// Bytes per second of an ideal sender.
    fn possible(&self, algorithm: Algorithm, bytes: u64, seed: u64) -> f64 {
        let segments_per_s = self.rate_mbit_s as f64 * 125_000.0 / FRAME_BYTES;
        let path = ideal::Path { segments_per_s, rtt_s: self.rtt_ms as f64 / 1000.0, loss: self.loss };
        bytes as f64 / path.seconds(bytes.div_ceil(MSS as u64), algorithm, seed)
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
    std::env::var("SYNFIN_GOODPUT_MB").ok().map_or(10, |n| n.parse().expect("SYNFIN_GOODPUT_MB is a number"))
        * 1_000_000
}

/// Runs one transfer and returns bytes per second, and what was counted.
fn transfer(path: &Path, algorithm: Algorithm, seed: u64) -> (f64, [u64; 5]) {
    let bytes = size();
    let plan = Transfer { bytes, starts_after: Duration::ZERO, algorithm };
    let mut pair = pair(path, vec![plan], seed);
    pair.doze(path.nap);
    let begin = pair.now;
    assert!(pair.run(Duration::from_secs(100_000)), "{}: does not end", path.name());
    let flow = pair.b.shard.app().flows[0];
    assert_eq!((flow.bytes, flow.wrong), (bytes, 0), "{}", path.name());
    assert_eq!(pair.a.shard.app().failed, 0);
    pair.a.assert_clean();
    pair.b.assert_clean();
    let seconds = flow.last.unwrap().nanos_since(begin) as f64 / 1e9;
    let c = pair.a.shard.counters();
    let counts =
        [Event::Retransmits, Event::FastRetransmits, Event::RtoExpiries, Event::LossProbes, Event::SpuriousRecoveries]
            .map(|e| c.count(e));
    (bytes as f64 / seconds, counts)
}

/// Recoveries of a path that reorders and loses only what its queue has no room for: one now and then.
const RECOVERIES_MAX: u64 = 30;

/// The share of what is possible, in the median of three runs.
fn judge(path: &Path) -> f64 {
    let algorithm = Algorithm::Cubic;
    let shares = SEEDS.map(|seed| {
        let (got, counts) = transfer(path, algorithm, seed);
        assert!(path.loss > 0.0 || counts[1] <= RECOVERIES_MAX, "{}: {} recoveries", path.name(), counts[1]);
        (got / path.possible(algorithm, size(), seed), got, counts)
    });
    let mut shares = shares.to_vec();
    shares.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (share, got, [again, fast, timeouts, probes, undone]) = shares[shares.len() / 2];
    println!(
        "{} {:>8.2} Mbit/s ({:>3.0} %) resent {again} recoveries {fast} time-outs {timeouts} probes {probes} undone {undone}",
        path.name(),
        got * 8e-6,
        100.0 * share
    );
    share
}

/// Every cell of the table has its floor: of each rate, each round trip, and hosts that are busy or not.
fn table(loss: f64, reorder: f64, floor: f64) {
    let mut too_slow = Vec::new();
    for rate_mbit_s in RATES {
        for rtt_ms in [10, 100] {
            for nap in [Duration::ZERO, NAP] {
                let path = Path { rate_mbit_s, rtt_ms, loss, reorder, nap };
                let share = judge(&path);
                if share < floor {
                    too_slow.push(format!("{}: {share:.2}", path.name()));
                }
            }
        }
    }
    assert!(too_slow.is_empty(), "less than {floor} of what is possible: {too_slow:#?}");
}

const SEEDS: [u64; 3] = [7, 8, 9];
const RATES: [u64; 3] = [100, 1_000, 10_000];
/// Busy hosts look after their connections at uneven times, up to so far apart.
const NAP: Duration = Duration::from_micros(500);

#[test]
fn loss_of_a_tenth_of_a_percent_leaves_what_the_controller_allows() {
    table(0.001, 0.0, 0.88);
}

#[test]
fn loss_of_one_percent_leaves_what_the_controller_allows() {
    table(0.01, 0.0, 0.85);
}

#[test]
fn loss_of_three_percent_leaves_what_the_controller_allows() {
    table(0.03, 0.0, 0.80);
}

#[test]
fn reordering_by_ten_packets_never_makes_the_window_collapse() {
    table(0.0, 0.01, 0.83);
}

#[test]
fn path_without_loss_is_filled() {
    table(0.0, 0.0, 0.86);
}

#[test]
fn two_flows_share_a_bottleneck() {
    for algorithm in [Algorithm::NewReno, Algorithm::Cubic] {
        let path = Path { rate_mbit_s: 100, rtt_ms: 10, loss: 0.0, reorder: 0.0, nap: Duration::ZERO };
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
