//! TCP_INFO, in the layout of Linux's `struct tcp_info`. What the engine does not count is 0.

use crate::shard::ConnInfo;
use crate::tcp::State;

/// Up to and with `tcpi_min_rtt`.
pub const BYTES: usize = 152;

/// The number under which Linux knows a state.
fn state_number(state: State) -> u8 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Listen => 10,
        State::Closing => 11,
    }
}

/// TCP_CA_Open, TCP_CA_Recovery, TCP_CA_Loss.
fn congestion_state(i: &ConnInfo) -> u8 {
    match i {
        _ if i.retries > 0 => 4,
        _ if i.in_recovery => 3,
        _ => 0,
    }
}

/// Bits of `tcpi_options`.
fn options(i: &ConnInfo) -> u8 {
    let scaled = i.send_scale | i.receive_scale != 0;
    u8::from(i.timestamps)
        | u8::from(i.sack) << 1
        | u8::from(scaled) << 2
        | u8::from(i.ecn) << 3
        | u8::from(i.syn_data) << 5
}

pub fn encode(info: Option<&ConnInfo>, listening: bool) -> [u8; BYTES] {
    let mut out = [0; BYTES];
    let Some(i) = info else {
        out[0] = state_number(if listening { State::Listen } else { State::Closed });
        return out;
    };
    let mss = u32::from(i.mss).max(1);
    let us = |ns: u64| (ns / 1_000) as u32;
    let segments = |bytes: u32| bytes.div_ceil(mss);
    out[..7].copy_from_slice(&[
        state_number(i.state),
        congestion_state(i),
        i.retries,
        i.keepalive_probes,
        i.backoff,
        options(i),
        i.send_scale | i.receive_scale << 4,
    ]);
    let mut word = |at: usize, value: u32| out[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    word(8, us(i.rto_ns));
    word(16, mss);
    word(24, segments(i.flight_bytes));
    word(68, us(i.srtt_ns));
    word(72, us(i.rttvar_ns));
    word(76, if i.ssthresh == u32::MAX { 0x7fff_ffff } else { i.ssthresh / mss });
    word(80, i.cwnd / mss);
    word(96, i.receive_window);
    word(144, i.unsent_bytes);
    out
}
