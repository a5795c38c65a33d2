//! TCP headers as they may come from anywhere: options of every shape, reserved bits, wrong checksums. And the options
//! that we send.

use crate::{BYTES, closed, drops, in_state, over};
use synfin_engine::base::DropReason;
use synfin_engine::shard::CloseReason;
use synfin_engine::tcp::State;
use synfin_engine::wire::TcpOptions;
use synfin_tests::altered::{IP, TCP, altered, options_in, with_options};
use synfin_tests::host::{Host, Seg, Sent, Told, plain_config, seg};

fn send_with(host: &mut Host, s: &Seg, options: &[u8]) {
    let frame = with_options(host, s, options);
    host.send_raw(&frame);
}

/// A whole conversation of a server in which each segment of the peer has `options`.
fn conversation_with(options: &[u8]) {
    let mut host = Host::server(plain_config());
    send_with(&mut host, &seg("S", 100, 0), options);
    host.expect("S.", 300, 101);
    send_with(&mut host, &seg(".", 101, 301), options);
    assert_eq!(host.told(), [Told::Accepted]);
    send_with(&mut host, &seg(".", 101, 301).data(*b"abc"), options);
    assert_eq!(host.shard.app().bytes(), b"abc");
    host.write(b"xyz");
    host.expect_data(301, 104, b"xyz");
    send_with(&mut host, &seg("F.", 104, 304), options);
    host.expect(".", 304, 105);
    assert_eq!(host.state(), State::CloseWait);
    send_with(&mut host, &seg("R.", 105, 304), options);
    assert_eq!(closed(&host), Some(CloseReason::Reset), "{options:?}");
    host.expect_nothing();
    assert_eq!(host.shard.counters().dropped_total(), 0);
    host.assert_clean();
}

/// As [`conversation_with`], opened by the host.
fn opening_with(options: &[u8]) {
    let mut host = in_state(State::SynSent);
    send_with(&mut host, &seg("S.", 500, 301), options);
    host.expect(".", 301, 501);
    assert_eq!(host.told(), [Told::Connected], "{options:?}");
    over(&mut host, 501);
}

#[test]
fn unknown_options_are_skipped_wherever_they_stand() {
    // Kinds that nobody has, of odd lengths, at odd places.
    let unknown = [253, 5, 1, 2, 3, 1, 30, 3, 9, 77, 2, 0];
    conversation_with(&unknown);
    opening_with(&unknown);
    // The one that counts stands at an odd place between them.
    let mut host = Host::server(plain_config());
    send_with(&mut host, &seg("S", 100, 0), &[253, 3, 0, 2, 4, 3, 232, 254, 5, 1, 2, 3]);
    host.expect("S.", 300, 101);
    send_with(&mut host, &seg(".", 101, 301), &unknown);
    host.write(&BYTES[..1500]);
    host.expect_data(301, 101, &BYTES[..1000]);
    host.expect_data(1301, 101, &BYTES[1000..1500]);
    over(&mut host, 101);
}

#[test]
fn options_may_come_in_any_segment() {
    // MSS 100, window scale 14 and SACK-permitted, which only a SYN can mean.
    let opening = [2, 4, 0, 100, 3, 3, 14, 1, 4, 2, 1, 1];
    conversation_with(&opening);
    let mut host = Host::accepted(plain_config());
    send_with(&mut host, &seg(".", 101, 301).window(1460), &opening);
    host.write(&BYTES[..3000]);
    // Neither smaller segments nor a larger window came of it.
    host.expect_data(301, 101, &BYTES[..1460]);
    host.expect_nothing();
    host.send(seg(".", 111, 1761).data(*b"gap"));
    assert!(host.next().seg.options.sack_blocks().is_empty());
    over(&mut host, 101);
}

#[test]
fn impossible_option_lengths_do_no_harm() {
    for options in [
        [77, 0, 2, 4, 5, 180, 1, 1],
        [2, 0, 5, 180, 0, 0, 0, 0],
        [1, 77, 1, 2, 4, 5, 180, 0],
        [1, 1, 77, 200, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 1, 77],
        [2, 3, 5, 3, 9, 1, 1, 8],
    ] {
        conversation_with(&options);
        opening_with(&options);
    }
}

#[test]
fn reserved_bits_are_ignored_and_sent_as_zero() {
    let mut host = Host::server(plain_config());
    for s in [seg("S", 100, 0), seg(".", 101, 301), seg(".", 101, 301).data(*b"abc"), seg("F.", 104, 301)] {
        let frame = altered(&mut host, &s, |b| b[TCP + 12] |= 0x0f);
        host.send_raw(&frame);
    }
    assert_eq!(host.told(), [Told::Accepted, Told::Data(b"abc".to_vec()), Told::PeerClosed]);
    assert_eq!(host.shard.counters().dropped_total(), 0);
    assert!(!host.out.is_empty());
    assert!(host.out.iter().all(|sent| sent.frame[TCP + 12] & 0x0f == 0));
    over(&mut host, 105);
}

#[test]
fn segment_with_a_wrong_checksum_is_dropped_silently() {
    let mut host = Host::accepted(plain_config());
    for s in [seg(".", 101, 301).data(*b"abc"), seg("R", 101, 0), seg("S", 101, 0), seg("F.", 101, 301)] {
        let mut frame = host.bytes_of(&s);
        frame[TCP + 16] ^= 0x20;
        host.send_raw(&frame);
    }
    host.expect_nothing();
    assert_eq!(drops(&host, DropReason::TcpChecksumBad), 4);
    assert_eq!(host.told(), [Told::Accepted]);
    over(&mut host, 101);
}

#[test]
fn ip_options_are_ignored() {
    let mut host = Host::server(plain_config());
    // A loose source route that was followed to its end.
    let route = [131, 7, 8, 198, 18, 0, 9, 0];
    for s in [seg("S", 100, 0), seg(".", 101, 301), seg(".", 101, 301).data(*b"abc")] {
        let frame = altered(&mut host, &s, |b| {
            b[IP] = 0x47;
            b.splice(IP + 20..IP + 20, route);
        });
        host.send_raw(&frame);
    }
    let answer = host.expect("S.", 300, 101);
    assert_eq!(answer.frame[IP], 0x45, "sent without a route");
    assert_eq!(answer.seg.dst, host.remote.0);
    assert_eq!(host.shard.app().bytes(), b"abc");
    over(&mut host, 104);
}

/// The kinds of the options in a frame, each checked for its length.
fn kinds(frame: &[u8]) -> Vec<u8> {
    let (mut kinds, mut rest) = (Vec::new(), options_in(frame));
    while let Some((&kind, behind)) = rest.split_first() {
        match kind {
            0 => {
                assert!(behind.iter().all(|&b| b == 0), "zeros behind the end: {rest:?}");
                return kinds;
            }
            1 => rest = behind,
            _ => {
                let len = usize::from(*behind.first().expect("a length"));
                assert!(len >= 2, "option {kind} says that it has {len} bytes");
                rest = rest.get(len..).expect("the option ends with the header");
                kinds.push(kind);
            }
        }
    }
    kinds
}

#[test]
fn options_that_are_sent_have_lengths_and_fill_their_header() {
    let mut config = plain_config();
    (config.tcp.timestamps, config.tcp.sack) = (true, true);
    let offer = TcpOptions {
        mss: Some(1000),
        window_scale: Some(2),
        sack_permitted: true,
        timestamp: Some((1, 0)),
        ..TcpOptions::default()
    };
    let mut host = Host::client(config.clone());
    let mut sent: Vec<Sent> = vec![host.expect("S", 300, 0)];
    host.act(|c| c.abort());
    let mut host = Host::server(config);
    host.send(seg("S", 100, 0).options(offer));
    host.send(seg(".", 101, 301).ts(1, 0));
    host.write(&BYTES[..2500]);
    for at in [110, 130, 150, 170] {
        host.send(seg(".", at, 301).data(*b"gap").ts(1, 0));
    }
    host.act(|c| c.shutdown());
    host.pass(crate::seconds(3));
    host.act(|c| c.abort());
    sent.extend(host.out.drain(..));
    let mut seen: Vec<u8> = Vec::new();
    for s in &sent {
        let kinds = kinds(&s.frame);
        // MSS, window scale, SACK-permitted: in SYNs alone.
        assert_eq!(kinds.iter().any(|kind| [2, 3, 4].contains(kind)), s.seg.flags.syn(), "{:?}", s.seg.flags);
        seen.extend(kinds);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [2, 3, 4, 5, 8]);
    for what in ["S", "S.", ".", "F.", "R."] {
        let flags = seg(what, 0, 0).flags;
        assert!(sent.iter().any(|s| s.seg.flags.0 & !8 == flags.0), "a segment with {what} was looked at");
    }
    host.assert_clean();
}
