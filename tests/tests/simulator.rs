//! The whole stack under a hostile network, in virtual time, from a seed. A failure prints the seed; running with
//! `SYNFIN_SIM_SEED=N` repeats it.

use std::time::Duration;
use synfin_engine::base::Event;
use synfin_engine::io::sim::Impairment;
use synfin_engine::shard::{Limits, ShardConfig, TraceEvent};
use synfin_engine::tcp::{Keepalive, SynCookies};
use synfin_tests::pair::{ADDR_A, ADDR_B, MAC_A, Pair, configs};
use synfin_tests::streams::{Client, Server};

const LOCALS: u32 = 8;

struct Run {
    connections: u64,
    concurrency: u32,
    size_bits: u64,
    loss: f64,
    hostile: bool,
    trace: bool,
    /// SYN cookies for all.
    cookies: bool,
}

fn seed() -> u64 {
    std::env::var("SYNFIN_SIM_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0x5eed_0001)
}

fn impairment(run: &Run) -> Impairment {
    let mut i = Impairment { loss: run.loss, delay: Duration::from_micros(200), ..Impairment::default() };
    if run.hostile {
        i.duplicate = 0.01;
        i.reorder = 0.02;
        i.reorder_delay = Duration::from_micros(300);
        i.jitter = Duration::from_micros(50);
        i.corrupt = 0.005;
        // One flipped bit never escapes the Internet checksum; two can.
        i.corrupt_bits_max = 1;
    }
    i
}

fn build(run: &Run, seed: u64) -> Pair<Client, Server> {
    build_with(run, seed, |_, _| {})
}

fn build_with(run: &Run, seed: u64, adjust: impl FnOnce(&mut ShardConfig, &mut ShardConfig)) -> Pair<Client, Server> {
    let (mut a, mut b) = configs();
    a.locals[0].first = ADDR_A.plus(16);
    a.locals[0].count = LOCALS;
    b.static_neighbours = (0..LOCALS).map(|i| (ADDR_A.plus(16 + i), MAC_A)).collect();
    for c in [&mut a, &mut b] {
        c.tcp.time_wait = Duration::from_secs(240);
        c.tcp.fin_wait_2 = Duration::from_secs(600);
        // A peer that has given up may have nothing more to say: its silence is noticed.
        c.tcp.keepalive =
            Some(Keepalive { idle: Duration::from_secs(7_200), interval: Duration::from_secs(75), probes: 9 });
        c.secrets = synfin_engine::shard::Secrets::from_seed(seed ^ u64::from(c.mac.0[5]));
        c.trace = run.trace;
        c.tcp.syn_cookies = if run.cookies { SynCookies::Always } else { SynCookies::Auto };
    }
    adjust(&mut a, &mut b);
    let client = Client::new(seed, run.connections, run.concurrency, run.size_bits, ADDR_A.plus(16), LOCALS, ADDR_B);
    let i = impairment(run);
    let mut pair = Pair::new((a, b), (client, Server::new(seed)), seed, [i, i]);
    pair.b.shard.listen(80);
    pair
}

fn simulate(run: &Run) -> Pair<Client, Server> {
    let seed = seed();
    println!("seed {seed} loss {} connections {}", run.loss, run.connections);
    let mut pair = build(run, seed);
    let over = pair.run(Duration::from_secs(1_000_000));
    assert!(over, "seed {seed}: something goes on for ever: {:?} {:?}", pair.a.shard.live(), pair.b.shard.live());
    check(&pair, run, seed);
    pair
}

fn check(pair: &Pair<Client, Server>, run: &Run, seed: u64) {
    let (client, server) = (pair.a.shard.app(), pair.b.shard.app());
    let (c, s) = (&client.side.tally, &server.side.tally);
    println!(
        "client {c:?}\nserver {s:?}\nretransmits {} + {}",
        pair.a.shard.counters().count(Event::Retransmits),
        pair.b.shard.counters().count(Event::Retransmits)
    );
    assert_eq!(client.started, run.connections, "seed {seed}");
    assert_eq!(c.ended(), client.started, "seed {seed}: each connection ends exactly once");
    assert_eq!(s.ended(), server.accepted, "seed {seed}: each accepted connection ends exactly once");
    assert_eq!((c.wrong_bytes, s.wrong_bytes), (0, 0), "seed {seed}: wrong bytes");
    assert_eq!((c.incomplete, s.incomplete), (0, 0), "seed {seed}: closed in order, but not all bytes had come");
    pair.a.assert_clean();
    pair.b.assert_clean();
    if run.loss == 0.0 {
        assert_eq!((c.graceful, s.graceful), (run.connections, run.connections), "seed {seed}");
    }
    // Retries are bounded, so under heavy loss a few end with an error; none may fail in another way.
    let allowed = if run.loss >= 0.2 { run.connections / 50 } else { 0 };
    let failures = run.connections - c.graceful;
    assert!(failures <= allowed, "seed {seed}: {failures} of {} failed: {:?}", run.connections, c.failed);
}

fn loss(loss: f64) {
    let run =
        Run { connections: 25_000, concurrency: 128, size_bits: 20, loss, hostile: true, trace: false, cookies: false };
    simulate(&run);
}

#[test]
fn every_stream_arrives_whole_over_a_perfect_link() {
    simulate(&Run {
        connections: 2_000,
        concurrency: 64,
        size_bits: 20,
        loss: 0.0,
        hostile: false,
        trace: false,
        cookies: false,
    });
}

#[test]
fn every_stream_arrives_whole_without_loss_but_with_everything_else() {
    loss(0.0);
}

#[test]
fn every_stream_arrives_whole_under_1_percent_loss() {
    loss(0.01);
}

#[test]
fn every_stream_arrives_whole_under_5_percent_loss() {
    loss(0.05);
}

#[test]
fn every_stream_arrives_whole_or_fails_once_under_20_percent_loss() {
    loss(0.20);
}

#[test]
fn every_stream_arrives_whole_when_cookies_open_all_connections_under_5_percent_loss() {
    let hostile = Run {
        connections: 5_000,
        concurrency: 128,
        size_bits: 16,
        loss: 0.05,
        hostile: true,
        trace: false,
        cookies: true,
    };
    let pair = simulate(&hostile);
    assert!(pair.b.shard.counters().count(Event::SynCookiesAccepted) >= 5_000);
}

#[test]
fn the_same_seed_gives_the_same_trace_bit_for_bit() {
    let run = Run {
        connections: 200,
        concurrency: 16,
        size_bits: 16,
        loss: 0.05,
        hostile: true,
        trace: true,
        cookies: false,
    };
    let traces = |()| -> (Vec<TraceEvent>, Vec<TraceEvent>) {
        let pair = simulate(&run);
        (pair.a.trace, pair.b.trace)
    };
    let (first, second) = (traces(()), traces(()));
    assert!(first.0.len() > 1_000, "a trace worth comparing");
    assert!(first == second, "two runs from one seed differ");
}

#[test]
fn every_stream_arrives_whole_although_there_is_hardly_room_for_anything() {
    let run = Run {
        connections: 3_000,
        concurrency: 48,
        size_bits: 18,
        loss: 0.01,
        hostile: true,
        trace: false,
        cookies: false,
    };
    let mut rng = synfin_engine::base::Rng::new(seed());
    for _ in 0..4 {
        let seed = rng.next_u64();
        let limits = |rng: &mut synfin_engine::base::Rng, connections| Limits {
            connections,
            half_open: 2 + rng.below(30) as u32,
            time_wait: 1_000,
            held_frames: 4 + rng.below(60) as u32,
            copy_buffers: 48,
            recovery_blocks: rng.below(24) as u32,
            tracked_segments: 64 * rng.below(12) as u32,
            ..Limits::default()
        };
        let mut pair = build_with(&run, seed, |a, b| {
            a.limits = limits(&mut rng, 48);
            b.limits = limits(&mut rng, 64);
        });
        // All SYNs come at once, and a SYN that finds no room for its answer is lost.
        pair.a.limit_burst(12 + rng.below(20) as usize);
        pair.b.limit_burst(12 + rng.below(20) as usize);
        let over = pair.run(Duration::from_secs(1_000_000));
        assert!(over, "seed {seed}: something goes on for ever: {:?} {:?}", pair.a.shard.live(), pair.b.shard.live());
        check(&pair, &run, seed);
    }
}
