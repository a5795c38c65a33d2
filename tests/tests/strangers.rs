//! What strangers send: floods of SYNs from forged addresses while real clients want to be served, and blind guesses at a
//! connection between others. `SYNFIN_FLOOD_SEGMENTS` and `SYNFIN_BLIND_SEGMENTS` make the runs longer.

use std::time::Duration;
use synfin_engine::base::{DropReason, Event, Frame, FramePool, Instant, Rng};
use synfin_engine::io::sim::Impairment;
use synfin_engine::tcp::State;
use synfin_engine::wire::emit::{self, ChecksumMode, IpFields, LinkOut, OptionsOut, SegmentOut};
use synfin_engine::wire::parse::VlanTags;
use synfin_engine::wire::{Addr, Mac, Seq, TcpFlags, TcpOptions};
use synfin_tests::host::{Host, OUR_MAC, OUR_PORT, OURS, PEER, PEER_MAC, PEER_PORT, Told, plain_config, seg};
use synfin_tests::pair::{ADDR_A, ADDR_B, MAC_A, MAC_B, Pair, configs};
use synfin_tests::streams::{Client, Server};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|s| s.parse().ok()).unwrap_or(default)
}

/// A forged segment.
struct Forged {
    macs: (Mac, Mac),
    src: (Addr, u16),
    dst: (Addr, u16),
    seq: u32,
    ack: u32,
    flags: TcpFlags,
    options: TcpOptions,
    payload: &'static [u8],
}

impl Forged {
    fn frame(&self, pool: &mut FramePool) -> Frame {
        let mut frame = pool.alloc().expect("a free frame");
        let link = LinkOut { src: self.macs.0, dst: self.macs.1, vlan: VlanTags::default() };
        let segment = SegmentOut {
            src: self.src.0,
            dst: self.dst.0,
            src_port: self.src.1,
            dst_port: self.dst.1,
            seq: Seq(self.seq),
            ack: Seq(self.ack),
            flags: self.flags,
            window: 1000,
            options: OptionsOut::Any(&self.options),
            payload_len: self.payload.len() as u16,
            ip: IpFields::default(),
            checksum: ChecksumMode::Full,
        };
        assert!(emit::tcp(&mut frame, &link, &segment, |out| out.copy_from_slice(self.payload)));
        frame
    }
}

/// SYNs, and now and then ACKs that might bring a cookie, from anywhere beyond the router.
fn flood(rng: &mut Rng) -> Forged {
    let from = Addr::v4([20 + rng.below(60) as u8, rng.next_u32() as u8, rng.next_u32() as u8, 1]);
    let syn = rng.below(10) > 0;
    let mut options = TcpOptions { mss: Some(1460), ..TcpOptions::default() };
    if rng.chance(0.5) {
        options.timestamp = Some((rng.next_u32(), 0));
    }
    Forged {
        macs: (MAC_A, MAC_B),
        src: (from, 1 + rng.below(65_535) as u16),
        dst: (ADDR_B, 80),
        seq: rng.next_u32(),
        ack: if syn { 0 } else { rng.next_u32() },
        flags: if syn { TcpFlags::SYN } else { TcpFlags::ACK },
        options: if syn { options } else { TcpOptions::default() },
        payload: b"",
    }
}

const CLIENTS: u64 = 2_000;
const HALF_OPEN: u32 = 1_024;

#[test]
fn every_client_is_served_without_delay_during_a_flood_of_a_million_syns() {
    let (mut a, mut b) = configs();
    a.locals[0].first = ADDR_A.plus(16);
    b.static_neighbours = vec![(ADDR_A, MAC_A), (ADDR_A.plus(16), MAC_A)];
    b.gateway_v4 = Some(ADDR_A);
    b.limits.half_open = HALF_OPEN;
    let delay = Impairment { delay: Duration::from_micros(200), ..Impairment::default() };
    let client = Client::new(7, CLIENTS, 64, 12, ADDR_A.plus(16), 1, ADDR_B);
    let mut pair = Pair::new((a, b), (client, Server::new(7)), 7, [delay, delay]);
    pair.b.shard.listen(80);
    let mut rng = Rng::new(7);
    let mut left = number("SYNFIN_FLOOD_SEGMENTS", 1_200_000);
    let mut at_once = 0;
    while left > 0 || pair.a.shard.app().side.tally.ended() < CLIENTS {
        let burst = left.min(240);
        left -= burst;
        pair.b.strangers((0..burst).map(|_| flood(&mut rng)), Forged::frame, pair.now);
        pair.turn();
        let (_, half_open, _) = pair.b.shard.live();
        assert!(half_open <= HALF_OPEN * 3 / 4 + 1, "{half_open} half-open records");
        at_once = at_once.max(pair.b.shard.live().0);
        pair.now = pair.now.plus_nanos(20_000);
    }
    assert!(at_once <= 128, "{at_once} connections, of which 64 are real at a time");
    let (client, counters) = (&pair.a.shard.app().side.tally, pair.b.shard.counters());
    assert_eq!((client.graceful, client.wrong_bytes, client.incomplete), (CLIENTS, 0, 0), "{:?}", client.failed);
    assert_eq!(pair.a.shard.counters().count(Event::SynRetransmits), 0, "nobody had to ask twice");
    assert!(counters.count(Event::SynCookiesAccepted) > CLIENTS / 2);
    println!(
        "{} cookies sent, {} accepted, {} bad",
        counters.count(Event::SynCookiesSent),
        counters.count(Event::SynCookiesAccepted),
        counters.dropped(DropReason::CookieBad)
    );
    // The strangers' handshakes time out, and cookies are needed no more.
    assert!(pair.run(Duration::from_secs(1_000)));
    pair.a.assert_clean();
    pair.b.assert_clean();
}

/// Guesses of somebody who knows the 4-tuple and where the window is, but neither RCV.NXT nor what we have sent: a number
/// in the window that is not the next (of 2^32 guesses one is), an ACK number outside of what RFC 5961 5.2 takes
/// (of 65,536 guesses one is inside, for each that hits the window).
fn blind(rng: &mut Rng, rcv_nxt: u32, snd_nxt: u32) -> Forged {
    let in_window = rcv_nxt.wrapping_add(1 + rng.below(65_534) as u32);
    let anything = rng.next_u32();
    let wrong_ack = snd_nxt.wrapping_add(1 + rng.below((1 << 32) - (1 << 17)) as u32);
    let (flags, seq, ack, payload): (_, _, _, &[u8]) = match rng.below(8) {
        0 => (TcpFlags::RST, in_window, 0, b""),
        1 => (TcpFlags::RST | TcpFlags::ACK, in_window, wrong_ack, b""),
        2 => (TcpFlags::SYN, anything, 0, b""),
        3 => (TcpFlags::SYN, in_window, 0, b""),
        4 => (TcpFlags::SYN | TcpFlags::ACK, in_window, wrong_ack, b""),
        5 => (TcpFlags::ACK, in_window, wrong_ack, b"forged"),
        6 => (TcpFlags::ACK | TcpFlags::FIN, in_window, wrong_ack, b""),
        _ => (TcpFlags::ACK, anything, rng.next_u32(), b"forged"),
    };
    let (macs, options) = ((PEER_MAC, OUR_MAC), TcpOptions::default());
    Forged { macs, src: (PEER, PEER_PORT), dst: (OURS, OUR_PORT), seq, ack, flags, options, payload }
}

#[test]
fn blind_guesses_break_no_connection_and_challenge_acks_stay_within_their_limit() {
    const LIMIT: u32 = 100;
    const TALK_EVERY: u64 = 64 * 500;
    let segments = number("SYNFIN_BLIND_SEGMENTS", 4_000_000);
    let mut config = plain_config();
    config.tcp.challenge_acks_per_s = LIMIT;
    let mut host = Host::accepted(config);
    let start: Instant = host.now;
    let mut rng = Rng::new(11);
    let (mut rcv_nxt, mut snd_nxt, mut said) = (101u32, 301u32, 0u64);
    for sent in (0..segments).step_by(64) {
        let frames = (0..64).map(|_| blind(&mut rng, rcv_nxt, snd_nxt).frame(&mut host.pool)).collect();
        host.turn_unchecked(frames);
        // A million a second.
        host.now = host.now.plus_nanos(64_000);
        if sent % TALK_EVERY == 0 {
            said += 1;
            host.send(seg("P.", rcv_nxt, snd_nxt).data(*b"hello"));
            assert_eq!(host.told(), [Told::Data(b"hello".to_vec())], "after {sent} forged segments");
            rcv_nxt = rcv_nxt.wrapping_add(5);
            host.out.clear();
            host.write(b"world");
            host.expect_data(snd_nxt, rcv_nxt, b"world");
            snd_nxt = snd_nxt.wrapping_add(5);
            host.send(seg(".", rcv_nxt, snd_nxt));
            host.out.clear();
        }
    }
    assert_eq!(host.state(), State::Established);
    let seconds = host.now.nanos_since(start) / (1 << 30) + 2;
    let counters = host.shard.counters();
    let (challenges, out) = (counters.count(Event::ChallengeAcks), counters.count(Event::SegmentsOut));
    println!("{segments} forged segments in {seconds} s: {challenges} challenge ACKs, {out} segments sent");
    assert!(challenges <= u64::from(LIMIT) * seconds);
    // Whatever went out: limited answers, a few to guesses right below the window, and the talk itself.
    let lucky = segments / 1_000;
    assert!(out <= u64::from(LIMIT) * seconds + lucky + 4 * said, "{out} segments sent");
    assert!(counters.dropped(DropReason::ChallengeLimited) > segments / 2);
}
