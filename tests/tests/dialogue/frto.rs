//! Time-outs without timestamps: was anything lost, or was the path only slow?

use crate::{BYTES, events, ms};
use synfin_engine::base::Event;
use synfin_engine::wire::segment::SackBlock;
use synfin_engine::wire::{Seq, TcpOptions};
use synfin_tests::host::{Host, Seg, plain_config, seg};

/// Ten segments of 1000 bytes from number 301 on are under way, with SACK after them a tail loss probe, the eleventh; then the
/// time-out sent the first of them again, and the rest of 20,000 bytes waits. The window is as it was before.
fn timed_out(sack: bool) -> (Host, u32) {
    let mut config = plain_config();
    config.tcp.sack = sack;
    let mut host = Host::server(config);
    let options = TcpOptions { mss: Some(1000), sack_permitted: sack, ..TcpOptions::default() };
    host.send(seg("S", 100, 0).options(options));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
    host.write(&BYTES[..20_000]);
    let before = cwnd(&mut host);
    for i in 0..10 {
        host.expect(".", 301 + i * 1000, 101);
    }
    if sack {
        host.pass(ms(50));
        host.expect(".", 10_301, 101);
        host.pass(ms(400));
    } else {
        host.pass(ms(300));
    }
    host.expect(".", 301, 101);
    host.expect_nothing();
    (host, before)
}

/// Two ACKs of what was never sent again take the time-out back. `next`: the first number that was not sent by then; ACKs up to
/// `last` follow.
fn two_acks_take_the_time_out_back(sack: bool, next: u32, last: u32) {
    let (mut host, before) = timed_out(sack);
    // New segments instead of old ones.
    host.send(seg(".", 101, 1301));
    host.expect(".", next, 101);
    host.expect(".", next + 1000, 101);
    host.expect_nothing();
    host.send(seg(".", 101, 2301));
    assert_eq!(events(&host, Event::SpuriousTimeouts), 1);
    assert!(cwnd(&mut host) >= before, "{} after {before}", cwnd(&mut host));
    for ack in (3301..=last).step_by(1000) {
        host.send(seg(".", 101, ack));
    }
    assert!(host.out.iter().all(|s| s.seg.seq.0 >= next + 2000), "nothing goes out again: {:?}", host.out);
    assert_eq!(events(&host, Event::Retransmits), 1);
}

fn cwnd(host: &mut Host) -> u32 {
    let mut cwnd = 0;
    host.act(|c| cwnd = c.info().map_or(0, |i| i.cwnd));
    cwnd
}

fn sacking(ack: u32, start: u32, end: u32) -> Seg {
    let mut options = TcpOptions { sack_len: 1, ..TcpOptions::default() };
    options.sack[0] = SackBlock { start: Seq(start), end: Seq(end) };
    seg(".", 101, ack).options(options)
}

#[test]
fn acks_of_what_was_never_sent_again_take_a_time_out_back() {
    two_acks_take_the_time_out_back(true, 11_301, 9_301);
}

#[test]
fn duplicate_after_the_new_segments_shows_that_the_loss_was_real() {
    let (mut host, _) = timed_out(true);
    host.send(seg(".", 101, 1301));
    host.expect(".", 11_301, 101);
    host.expect(".", 12_301, 101);
    host.send(sacking(1301, 11_301, 12_301));
    host.expect(".", 1301, 101);
    assert_eq!(events(&host, Event::SpuriousTimeouts), 0);
}

#[test]
fn duplicate_right_after_the_time_out_goes_on_with_what_is_lost() {
    let (mut host, _) = timed_out(true);
    host.send(sacking(301, 10_301, 11_301));
    host.send(seg(".", 101, 1301));
    host.expect(".", 1301, 101);
    assert_eq!(events(&host, Event::SpuriousTimeouts), 0);
}

#[test]
fn without_sack_two_acks_that_move_on_take_a_time_out_back() {
    two_acks_take_the_time_out_back(false, 10_301, 12_301);
}

#[test]
fn without_sack_a_duplicate_after_the_new_segments_goes_back_to_what_is_lost() {
    let (mut host, _) = timed_out(false);
    host.send(seg(".", 101, 1301));
    host.expect(".", 10_301, 101);
    host.expect(".", 11_301, 101);
    host.send(seg(".", 101, 1301));
    assert_eq!(host.next().seg.seq.0, 1301);
    assert_eq!(events(&host, Event::SpuriousTimeouts), 0);
    // All of it comes in the end.
    host.out.clear();
    host.send(seg(".", 101, 12_301));
    let next: Vec<u32> = host.out.drain(..).map(|s| s.seg.seq.0).collect();
    assert!(next.first() == Some(&12_301) && next.len() > 1, "{next:?}");
}

#[test]
fn new_segments_that_are_sent_again_measure_nothing() {
    let (mut host, _) = timed_out(false);
    host.send(seg(".", 101, 1301));
    host.expect(".", 10_301, 101);
    host.expect(".", 11_301, 101);
    let before = srtt_ns(&mut host);
    host.pass(ms(40));
    // Back to what is lost, and on through all that was sent.
    host.send(seg(".", 101, 1301));
    for ack in [3301, 6301, 10_301] {
        host.pass(ms(40));
        host.send(seg(".", 101, ack));
    }
    assert_eq!(host.out.iter().filter(|s| s.seg.seq.0 == 10_301).count(), 1);
    host.pass(ms(40));
    host.send(seg(".", 101, 12_301));
    assert_eq!(srtt_ns(&mut host), before);
}

fn srtt_ns(host: &mut Host) -> Option<u64> {
    let mut srtt_ns = None;
    host.act(|c| srtt_ns = c.srtt_ns());
    srtt_ns
}

#[test]
fn ack_of_a_part_of_what_the_time_out_sent_again_goes_on_with_what_is_lost() {
    for (mut host, _) in [timed_out(true), timed_out(false)] {
        host.send(seg(".", 101, 801));
        host.expect(".", 1301, 101);
        assert!(host.out.iter().all(|s| s.seg.seq.0 < 10_301), "nothing new: {:?}", host.out);
        assert_eq!(events(&host, Event::SpuriousTimeouts), 0);
    }
}

#[test]
fn without_sack_and_without_anything_new_to_say_what_is_lost_goes_out_again() {
    let mut host = Host::server(plain_config());
    host.send(seg("S", 100, 0).mss(1000));
    host.expect("S.", 300, 101);
    host.send(seg(".", 101, 301));
    host.write(&BYTES[..10_000]);
    host.out.clear();
    host.pass(ms(300));
    host.expect(".", 301, 101);
    host.send(seg(".", 101, 1301));
    host.expect(".", 1301, 101);
    host.expect(".", 2301, 101);
    host.expect_nothing();
    assert_eq!(events(&host, Event::SpuriousTimeouts), 0);
}
