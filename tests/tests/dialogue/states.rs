//! Every state, every combination of SYN, FIN, RST and ACK, with and without data, everywhere around the window, with
//! acceptable and unacceptable acknowledgements: the answer is RFC 9293's.

use crate::rfc9293::{Answer, Effect, Machine};
use crate::{closed, in_state, numbers};
use synfin_engine::tcp::State;
use synfin_engine::wire::TcpFlags;
use synfin_tests::host::{Host, Seg, plain_config, seg};

/// A host in a state, and the same as the RFC sees it.
fn begin(state: State, passive: bool) -> (Host, Machine) {
    let (snd_nxt, rcv_nxt) = numbers(state);
    let outstanding = match state {
        State::SynSent | State::SynReceived | State::FinWait1 | State::Closing | State::LastAck => 1,
        _ => 0,
    };
    // The FIN has taken a number of the window that was offered before.
    let window = if matches!(state, State::CloseWait | State::Closing | State::LastAck) { 65_534 } else { 65_535 };
    let snd_una = snd_nxt - outstanding;
    let machine = Machine { state, passive, snd_una, snd_nxt, rcv_nxt, rcv_wnd: window, ts_recent: None };
    let host = match state {
        State::Closed => Host::new(plain_config()),
        State::Listen => Host::server(plain_config()),
        State::SynReceived if passive => {
            let mut host = Host::server(plain_config());
            host.send(seg("S", 500, 0).mss(1460));
            host.expect("S.", 300, 501);
            host
        }
        _ => in_state(state),
    };
    (host, machine)
}

/// Numbers of a new connection lie beyond those of the old one (RFC 6191).
fn is_iss(seq: u32, machine: &Machine) -> bool {
    if machine.state == State::TimeWait { seq > machine.snd_nxt } else { seq == 300 }
}

/// What the host made of it. More than one answer is never right.
fn effect(host: &mut Host, machine: &Machine, s: &Seg) -> Option<Effect> {
    let (told, bytes) = (host.told().len(), host.shard.app().bytes().len());
    host.send(s.clone());
    let answer = match host.out.pop_front() {
        None => Answer::Nothing,
        Some(sent) => {
            let (seq, ack) = (sent.seg.seq.0, sent.seg.ack.0);
            match sent.seg.flags {
                TcpFlags::RST => Answer::Reset(seq),
                f if f == TcpFlags::RST | TcpFlags::ACK && seq == 0 => Answer::ResetAck(ack),
                f if f == TcpFlags::SYN | TcpFlags::ACK && is_iss(seq, machine) => Answer::SynAck,
                TcpFlags::ACK if seq == machine.snd_nxt => Answer::Ack,
                _ => return None,
            }
        }
    };
    if !host.out.is_empty() {
        return None;
    }
    let closed = closed(host).filter(|_| host.told().len() > told);
    let bytes = (host.shard.app().bytes().len() - bytes) as u32;
    // A listener has no record: it is as it was.
    let listens = machine.passive || machine.state == State::Listen;
    let state = if host.state() == State::Closed && listens { State::Listen } else { host.state() };
    Some(Effect { answer, state, closed, bytes })
}

/// Everything that can be sent to it.
fn segments(machine: &Machine) -> Vec<Seg> {
    let mut all = Vec::new();
    for flags in 0..16u8 {
        let bits = [TcpFlags::FIN, TcpFlags::SYN, TcpFlags::RST, TcpFlags::ACK];
        let flags = bits.iter().enumerate().filter(|(i, _)| flags & 1 << i != 0).fold(TcpFlags(0), |f, (_, &b)| f | b);
        for from_next in [-70_000, -9, -1, 0, 9, 65_534, 65_535, 70_000i32] {
            for from_sent in [-70_000, -1, 0, 1i32] {
                for len in [0, 3] {
                    let seq = machine.rcv_nxt.wrapping_add_signed(from_next);
                    let ack = if flags.ack() { machine.snd_nxt.wrapping_add_signed(from_sent) } else { 0 };
                    let mut s = seg("", seq, ack).data(vec![b'x'; len]);
                    s.flags = flags;
                    all.push(s);
                }
            }
        }
    }
    all
}

/// Whatever comes where `begin` leads to, each segment as `alter` makes it, the host does as the RFC says.
#[track_caller]
pub fn agree(begin: impl Fn() -> (Host, Machine), alter: impl Fn(Seg) -> Seg) {
    let (_, machine) = begin();
    let all: Vec<Seg> = segments(&machine).into_iter().map(alter).collect();
    let mut wrong = Vec::new();
    for s in &all {
        let (mut host, machine) = begin();
        let expected = machine.arrives(s);
        let found = effect(&mut host, &machine, s);
        if found != Some(expected) {
            let Seg { flags, seq, ack, .. } = s;
            wrong.push(format!("{flags:?} seq {seq} ack {ack} len {}: {found:?}, not {expected:?}", s.data.len()));
        }
    }
    assert!(wrong.is_empty(), "{}: {} of {}:\n{}", machine.state, wrong.len(), all.len(), wrong.join("\n"));
}

#[track_caller]
fn is_as_the_rfc_says(state: State, passive: bool) {
    agree(|| begin(state, passive), |s| s);
}

#[test]
fn closed_refuses_everything_but_resets() {
    is_as_the_rfc_says(State::Closed, false);
}

#[test]
fn listen_takes_syns_and_refuses_acks() {
    is_as_the_rfc_says(State::Listen, false);
}

#[test]
fn syn_sent_takes_only_what_answers_its_syn() {
    is_as_the_rfc_says(State::SynSent, false);
}

#[test]
fn syn_received_from_listen_returns_to_it() {
    is_as_the_rfc_says(State::SynReceived, true);
}

#[test]
fn syn_received_from_syn_sent_is_refused() {
    is_as_the_rfc_says(State::SynReceived, false);
}

#[test]
fn established_takes_what_lies_in_the_window() {
    is_as_the_rfc_says(State::Established, false);
}

#[test]
fn fin_wait_1_goes_three_ways() {
    is_as_the_rfc_says(State::FinWait1, false);
}

#[test]
fn fin_wait_2_waits_for_the_fin() {
    is_as_the_rfc_says(State::FinWait2, false);
}

#[test]
fn close_wait_takes_no_more_text() {
    is_as_the_rfc_says(State::CloseWait, false);
}

#[test]
fn closing_waits_for_the_ack_of_its_fin() {
    is_as_the_rfc_says(State::Closing, false);
}

#[test]
fn last_ack_ends_with_the_ack_of_its_fin() {
    is_as_the_rfc_says(State::LastAck, false);
}

#[test]
fn time_wait_answers_and_is_not_ended() {
    is_as_the_rfc_says(State::TimeWait, false);
}
