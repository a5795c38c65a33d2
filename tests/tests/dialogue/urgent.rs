//! Urgent data (RFC 9293 3.8.5): bytes stay where they are in the stream, the application is told how far they reach.

use crate::{closed, in_state, over, seconds};
use synfin_engine::shard::{CloseReason, Report};
use synfin_engine::tcp::State;
use synfin_engine::wire::TcpFlags;
use synfin_tests::altered::{TCP, urgent};
use synfin_tests::host::{Host, Seg, Sent, Told, plain_config, seg};

fn send_urgent(host: &mut Host, s: &Seg, pointer: u16) {
    let frame = urgent(host, s, pointer);
    host.send_raw(&frame);
}

#[test]
fn urgent_bytes_are_handed_on_in_line_and_reported() {
    let mut host = Host::accepted(plain_config());
    // The pointer names the byte after the urgent ones.
    send_urgent(&mut host, &seg("P.", 101, 301).data(*b"abcdef"), 3);
    assert_eq!(host.shard.app().bytes(), b"abcdef");
    assert_eq!(host.reports(), [Report::Urgent { bytes: 3 }]);
    host.send(seg(".", 107, 301).data(*b"ghi"));
    assert_eq!(host.shard.app().bytes(), b"abcdefghi");
    assert_eq!(host.reports().len(), 1);
    over(&mut host, 110);
}

#[test]
fn urgent_pointer_may_lie_beyond_its_segment_and_advance() {
    let mut host = Host::accepted(plain_config());
    send_urgent(&mut host, &seg(".", 101, 301).data(*b"abc"), 40_000);
    assert_eq!(host.reports(), [Report::Urgent { bytes: 40_000 }]);
    // Later it lies further on; then everything urgent has come.
    send_urgent(&mut host, &seg(".", 104, 301).data(*b"def"), 65_535);
    assert_eq!(host.reports().last(), Some(&Report::Urgent { bytes: 65_535 }));
    send_urgent(&mut host, &seg(".", 107, 301).data(*b"ghi"), 1);
    assert_eq!(host.reports().last(), Some(&Report::Urgent { bytes: 1 }));
    assert_eq!(host.shard.app().bytes(), b"abcdefghi");
    over(&mut host, 110);
}

#[test]
fn bytes_that_were_not_taken_yet_count_towards_the_urgent_ones() {
    let mut host = Host::accepted(plain_config());
    host.shard.app_mut().appetite = 2;
    host.send(seg(".", 101, 301).data(*b"abcdef"));
    // Four bytes wait, and two of these are urgent.
    send_urgent(&mut host, &seg(".", 107, 301).data(*b"ghi"), 2);
    assert_eq!(host.reports(), [Report::Urgent { bytes: 6 }]);
    over(&mut host, 110);
}

#[test]
fn urgent_pointer_to_nothing_new_is_not_reported() {
    let mut host = Host::accepted(plain_config());
    host.send(seg(".", 101, 301).data(*b"abc"));
    for s in [seg(".", 104, 301).data(*b"def"), seg(".", 101, 301).data(*b"abc"), seg(".", 1_000_000, 301)] {
        send_urgent(&mut host, &s, 0);
    }
    // Out of the window, or an old copy: whatever the pointer says.
    send_urgent(&mut host, &seg(".", 1_000_000, 301).data(*b"far"), 3);
    send_urgent(&mut host, &seg(".", 101, 301).data(*b"abc"), 60_000);
    // Without ACK a segment means nothing.
    send_urgent(&mut host, &seg("", 107, 0).data(*b"ghi"), 3);
    assert_eq!(host.reports(), []);
    assert_eq!(host.shard.app().bytes(), b"abcdef");
    over(&mut host, 107);
}

#[test]
fn urgent_bit_does_no_harm_in_any_kind_of_segment() {
    // In the handshake, either way round.
    let mut host = Host::server(plain_config());
    send_urgent(&mut host, &seg("S", 100, 0), 7);
    host.expect("S.", 300, 101);
    send_urgent(&mut host, &seg(".", 101, 301), 0);
    assert_eq!(host.told(), [Told::Accepted]);
    // With a FIN, and with the RST that follows.
    send_urgent(&mut host, &seg("F.", 101, 301).data(*b"abc"), 4);
    host.expect(".", 301, 105);
    assert_eq!(host.state(), State::CloseWait);
    assert_eq!(host.shard.app().bytes(), b"abc");
    send_urgent(&mut host, &seg(".", 105, 301), 9);
    send_urgent(&mut host, &seg("R", 105, 0), 9);
    assert_eq!(closed(&host), Some(CloseReason::Reset));
    host.assert_clean();
    let mut host = in_state(State::SynSent);
    send_urgent(&mut host, &seg("S.", 500, 301), 7);
    host.expect(".", 301, 501);
    assert_eq!(host.told(), [Told::Connected]);
    assert_eq!(host.reports(), []);
    over(&mut host, 501);
    // While closing: the pointer counts as long as bytes are taken.
    for (state, next, reported) in [
        (State::FinWait1, 501, true),
        (State::FinWait2, 501, true),
        (State::CloseWait, 502, false),
        (State::Closing, 502, false),
        (State::LastAck, 502, false),
        (State::TimeWait, 502, false),
    ] {
        let mut host = in_state(state);
        let (ours, _) = crate::numbers(state);
        send_urgent(&mut host, &seg(".", next, if reported { ours } else { 301 }), 5);
        assert_eq!(!host.reports().is_empty(), reported, "{state}");
        host.out.clear();
    }
}

/// The urgent pointer of a segment that has URG.
fn pointer(sent: &Sent) -> Option<u16> {
    let bytes = sent.frame[TCP + 18..TCP + 20].try_into().expect("two bytes");
    sent.seg.flags.has(TcpFlags::URG).then_some(u16::from_be_bytes(bytes))
}

#[test]
fn segments_in_front_of_the_end_of_urgent_bytes_have_the_pointer() {
    let mut host = Host::accepted(plain_config());
    host.write(b"calm");
    assert_eq!(pointer(&host.next()), None);
    host.act(|c| assert_eq!(c.send_urgent(b"urgent!"), Ok(7)));
    let first = host.next();
    assert_eq!((first.seg.seq.0, first.data.as_slice(), pointer(&first)), (305, b"urgent!".as_slice(), Some(7)));
    host.write(b"calm again");
    assert_eq!(pointer(&host.next()), None);
    // Sent again, with what is urgent at the end of it or in the middle.
    host.pass_until_output(seconds(3));
    let again = host.next();
    assert_eq!((again.seg.seq.0, pointer(&again)), (301, Some(11)));
    host.out.clear();
    host.send(seg(".", 101, 322));
    host.write(b"over");
    assert_eq!(pointer(&host.next()), None);
    over(&mut host, 101);
}

#[test]
fn what_is_urgent_before_the_handshake_is_told_with_its_bytes_not_with_the_syn() {
    let mut host = in_state(State::SynSent);
    host.act(|c| assert_eq!(c.send_urgent(b"urgent!"), Ok(7)));
    host.pass_until_output(seconds(3));
    assert_eq!(pointer(&host.expect("S", 300, 0)), None);
    host.send(seg("S.", 500, 301));
    let sent = host.out.drain(..).find(|sent| !sent.data.is_empty()).expect("the bytes");
    assert_eq!((sent.seg.seq.0, sent.data.as_slice(), pointer(&sent)), (301, b"urgent!".as_slice(), Some(7)));
    over(&mut host, 501);
}

#[test]
fn pointer_goes_no_further_than_it_can_and_survives_a_closed_window() {
    let mut host = Host::accepted(plain_config());
    host.send(seg(".", 101, 301).window(0));
    host.write(&crate::BYTES);
    host.act(|c| assert_eq!(c.send_urgent(b"!"), Ok(1)));
    host.expect_nothing();
    host.pass_until_output(seconds(3));
    // The probe.
    let probe = host.next();
    assert_eq!((probe.data.len(), pointer(&probe)), (1, Some(65_535)));
    host.send(seg(".", 101, 302));
    let last = host.out.pop_back().expect("segments");
    assert_eq!(pointer(&last), Some((70_302 - last.seg.seq.0).min(65_535) as u16));
    over(&mut host, 101);
}
