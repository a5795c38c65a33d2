//! Transfers over long paths, simulated: the receiver's window follows the path without being told its length, and
//! pacing copes with short queues and keeps to a limit.

use std::time::Duration;
use synfin_engine::base::Event;
use synfin_engine::io::sim::Impairment;
use synfin_engine::tcp::Pacing;
use synfin_engine::tcp::congestion::Algorithm;
use synfin_tests::bulk::{Receiver, Sender, Transfer};
use synfin_tests::pair::{ADDR_A, ADDR_B, Pair, configs};

const FRAMES: u32 = 40_000;

/// Seconds that 40 MB take over 1 Gbit/s and a round trip of 40 ms, to a receiver whose window may grow this far.
fn transfer_seconds(max: u32) -> f64 {
    let bytes = 40_000_000;
    let (a, mut b) = configs();
    b.tcp.receive_buffer_max_bytes = max;
    b.limits.held_frames = FRAMES - 1_000;
    let back =
        Impairment { delay: Duration::from_millis(20), in_flight_frames: FRAMES as usize, ..Impairment::default() };
    let there = Impairment { rate_bits_per_s: 1_000_000_000, queue_bytes: 5_000_000, ..back };
    let plan = Transfer { bytes, starts_after: Duration::ZERO, algorithm: Algorithm::Cubic };
    let apps = (Sender::new(ADDR_A, ADDR_B, vec![plan]), Receiver::default());
    let mut pair = Pair::with_frames((a, b), apps, 3, [there, back], FRAMES);
    pair.b.shard.listen(80);
    let begin = pair.now;
    assert!(pair.run(Duration::from_secs(1_000)), "does not end");
    let flow = pair.b.shard.app().flows[0];
    assert_eq!((flow.bytes, flow.wrong), (bytes, 0));
    flow.last.expect("bytes").nanos_since(begin) as f64 / 1e9
}

#[test]
fn window_that_grows_makes_a_transfer_as_fast_as_the_path() {
    let [fixed, grown] = [0, 64 << 20].map(transfer_seconds);
    println!("40 MB: {fixed:.2} s with 256 KiB, {grown:.2} s with a window that grows");
    // 256 KiB in 40 ms are 6.5 MB/s. The path would take 0.33 s, and slow start some round trips.
    assert!(fixed > 6.0, "{fixed}");
    assert!(grown < 1.2, "{grown}");
}

/// Seconds that 4 MB take over 100 Mbit/s and a round trip of 20 ms with a queue of 40 KB, a sixth of what the path holds,
/// and segments sent again.
fn paced(pacing: Option<Pacing>) -> (f64, u64) {
    let bytes = 4_000_000;
    let (mut a, b) = configs();
    a.tcp.pacing = pacing;
    let back = Impairment { delay: Duration::from_millis(10), ..Impairment::default() };
    let there = Impairment { rate_bits_per_s: 100_000_000, queue_bytes: 40_000, ..back };
    let plan = Transfer { bytes, starts_after: Duration::ZERO, algorithm: Algorithm::Cubic };
    let apps = (Sender::new(ADDR_A, ADDR_B, vec![plan]), Receiver::default());
    let mut pair = Pair::new((a, b), apps, 3, [there, back]);
    pair.b.shard.listen(80);
    let begin = pair.now;
    assert!(pair.run(Duration::from_secs(1_000)), "does not end");
    let flow = pair.b.shard.app().flows[0];
    assert_eq!((flow.bytes, flow.wrong), (bytes, 0));
    pair.a.assert_clean();
    let seconds = flow.last.expect("bytes").nanos_since(begin) as f64 / 1e9;
    (seconds, pair.a.shard.counters().count(Event::Retransmits))
}

#[test]
fn paced_segments_get_through_a_short_queue_sooner() {
    let [burst, spread] = [None, Some(Pacing::UNLIMITED)].map(paced);
    println!(
        "4 MB: in bursts {:.2} s, {} sent again; paced {:.2} s, {} sent again",
        burst.0, burst.1, spread.0, spread.1
    );
    // Bursts overflow the queue long before the window is what the path holds, and slow start ends with that.
    assert!(spread.0 < burst.0 * 0.9, "{} and {}", spread.0, burst.0);
}

#[test]
fn connection_is_no_faster_than_its_limit_and_hardly_slower_and_fills_no_queue() {
    let (seconds, resent) = paced(Some(Pacing { max_bytes_per_s: 2_000_000 }));
    assert_eq!(resent, 0);
    assert!((1.95..2.2).contains(&seconds), "4 MB at 2 MB/s took {seconds} s");
}
