//! Every combination of the eight flag bits in every state, with several numbers: nothing panics, nothing is silent,
//! and whatever happens the peer's reset or time brings everything to an end.

use crate::{STATES, in_state, ms, numbers, seconds, times_told_closed};
use synfin_engine::base::{Event, Rng};
use synfin_engine::tcp::State;
use synfin_engine::wire::TcpFlags;
use synfin_tests::host::{Host, Seg, Told, plain_config, seg};

fn host_in(state: State, passive: bool) -> Host {
    match state {
        State::Closed => Host::new(plain_config()),
        State::Listen => Host::server(plain_config()),
        State::SynReceived if passive => {
            let mut host = Host::server(plain_config());
            host.send(seg("S", 500, 0));
            host.expect("S.", 300, 501);
            host
        }
        _ => in_state(state),
    }
}

fn segment(flags: u8, seq: u32, ack: u32, len: usize) -> Seg {
    let mut s = seg("", seq, ack).data(vec![b'x'; len]);
    s.flags = TcpFlags(flags);
    s
}

/// What anybody could see of the host: records, states, what was told, what was sent, what was counted.
fn visible(host: &mut Host) -> (State, usize, u64, u64, usize) {
    let c = host.shard.counters();
    let (drops, challenges) = (c.dropped_total(), c.count(Event::ChallengeAcks));
    (host.state(), host.told().len(), drops, challenges, host.out.len())
}

#[test]
fn every_flag_combination_in_every_state_is_taken_or_counted() {
    for state in STATES {
        for passive in [false, true] {
            if passive && state != State::SynReceived {
                continue;
            }
            let (ours, theirs) = numbers(state);
            for flags in 0..=255u8 {
                for (seq, ack, len) in [(theirs, ours, 0), (theirs, ours, 3), (theirs + 9, ours, 3), (theirs - 1, 5, 0)]
                {
                    let mut host = host_in(state, passive);
                    let before = visible(&mut host);
                    host.send(segment(flags, seq, ack, len));
                    let after = visible(&mut host);
                    // A bare ACK that says nothing new is the one segment that may leave no mark.
                    let f = TcpFlags(flags);
                    let bare_ack = f.ack() && !f.syn() && !f.fin() && !f.rst() && len == 0 && seq == theirs;
                    assert!(before != after || bare_ack, "{state} {f:?} seq {seq} len {len} left no mark");
                    finish(&mut host);
                }
            }
        }
    }
}

/// Long after, with a peer that says nothing, no record is left but that of a connection at rest, which may stay.
fn finish(host: &mut Host) {
    host.out.clear();
    if matches!(host.state(), State::Established | State::CloseWait | State::FinWait2) {
        host.act(|c| c.abort());
    }
    host.pass(seconds(1300));
    host.assert_clean();
}

/// One step of a conversation in which nothing makes sense: a segment near the right numbers, something the application
/// does, or time.
fn any_step(host: &mut Host, rng: &mut Rng) {
    let mut pick = |n: u64| rng.next_u64() % n;
    match pick(10) {
        0 => host.pass(ms(pick(3000))),
        1 => host.shard.app_mut().appetite = pick(12) as usize,
        2 => {
            let what = pick(12);
            host.shard.with_net(host.now, |app, net| {
                let Some(mut conn) = app.conn.and_then(|id| net.conn(id)) else { return };
                match what {
                    0 => conn.abort(),
                    1 => conn.close(),
                    2 => conn.shutdown(),
                    3..=6 => conn.resume_receive(),
                    _ => drop(conn.send_copy(b"some bytes")),
                }
            });
            host.turn(Vec::new());
        }
        _ => {
            // Mostly ACKs, now and then any flags at all.
            let flags = match pick(8) {
                0 => pick(256) as u8,
                1 => 0x11,
                2 => 0x12,
                _ => 0x10,
            };
            let (seq, ack) = (495 + pick(40) as u32, 296 + pick(40) as u32);
            let len = pick(12) as usize;
            host.send(segment(flags, seq, ack, len).window([0, 5, 40, 65_535][pick(4) as usize]));
        }
    }
}

#[test]
fn any_conversation_at_all_ends_with_nothing_left() {
    for seed in 0..4000u64 {
        let mut rng = Rng::new(seed);
        let state = STATES[(seed % 11) as usize];
        let mut host = host_in(state, seed % 2 == 0);
        for _ in 0..60 {
            any_step(&mut host, &mut rng);
        }
        host.shard.with_net(host.now, |app, net| {
            if let Some(mut conn) = app.conn.and_then(|id| net.conn(id)) {
                // Either is enough, even if the peer never says a word again.
                if seed % 3 == 0 { conn.abort() } else { conn.close() }
            }
        });
        host.turn(Vec::new());
        host.pass(seconds(1300));
        host.assert_clean();
        let begun = host.told().iter().filter(|t| matches!(t, Told::Accepted)).count();
        let ours = usize::from(
            !(matches!(state, State::Closed | State::Listen) || state == State::SynReceived && seed % 2 == 0),
        );
        assert_eq!(times_told_closed(&host), begun + ours, "seed {seed}: each connection ends once");
    }
}
