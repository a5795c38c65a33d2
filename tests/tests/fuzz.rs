//! Ten million random and mutated frames into a live shard: no panic, every frame accounted for, nothing left over.
//! `SYNFIN_FUZZ_SEED` and `SYNFIN_FUZZ_FRAMES` repeat or extend a run. The coverage-guided twin is tests/fuzz.

use std::time::Duration;
use synfin_engine::base::{Event, Rng};
use synfin_tests::frames::{Corpus, accounted, drops};
use synfin_tests::host::Host;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|s| s.parse().ok()).unwrap_or(default)
}

/// Feeds `frames` frames in bursts, then lets every timer run out.
fn feed(seed: u64, frames: u64, make: impl Fn(&Corpus, &mut Rng, &mut Vec<u8>)) {
    println!("seed {seed}");
    let mut rng = Rng::new(seed);
    let corpus = Corpus::new();
    let mut host = Corpus::target();
    let mut bytes = Vec::with_capacity(2048);
    let mut fed = 0;
    while fed < frames {
        let burst = rng.below(64) + 1;
        let batch = (0..burst).map(|_| {
            make(&corpus, &mut rng, &mut bytes);
            let mut frame = host.pool.alloc().expect("no frame is lost");
            assert!(frame.set_len(bytes.len()));
            frame.bytes_mut().copy_from_slice(&bytes);
            frame
        });
        let batch = batch.collect();
        host.turn_unchecked(batch);
        fed += burst;
        host.now = host.now.plus_nanos(rng.below(2_000_000));
    }
    let counters = host.shard.counters().clone();
    assert_eq!(counters.count(Event::FramesIn), fed, "seed {seed}: every frame is counted");
    println!("{fed} frames, {:?} live; {}", host.shard.live(), drops(&counters));
    assert_eq!(accounted(&counters), fed, "seed {seed}: each frame is taken or dropped for one reason");
    settle(&mut host, seed);
}

/// Whatever the frames have opened comes to its end by itself.
fn settle(host: &mut Host, seed: u64) {
    host.shard.app_mut().told.clear();
    for _ in 0..200 {
        if host.shard.is_empty() {
            break;
        }
        host.pass(Duration::from_secs(60));
        host.abort_all();
    }
    host.out.clear();
    host.other.clear();
    assert!(host.shard.is_empty(), "seed {seed}: left over {:?}", host.shard.live());
    host.assert_clean();
}

#[test]
fn two_million_random_frames_do_no_harm_and_are_all_counted() {
    let frames = number("SYNFIN_FUZZ_FRAMES", 2_000_000);
    feed(number("SYNFIN_FUZZ_SEED", 1), frames, |_, rng, out| Corpus::random(rng, out));
}

#[test]
fn four_million_mutated_frames_do_no_harm_and_are_all_counted() {
    let frames = number("SYNFIN_FUZZ_FRAMES", 4_000_000);
    feed(number("SYNFIN_FUZZ_SEED", 2), frames, |corpus, rng, out| corpus.mutated(rng, out));
}

#[test]
fn four_million_hostile_segments_with_right_checksums_do_no_harm_and_are_all_counted() {
    let frames = number("SYNFIN_FUZZ_FRAMES", 4_000_000);
    feed(number("SYNFIN_FUZZ_SEED", 3), frames, |corpus, rng, out| corpus.hostile(rng, out));
}
