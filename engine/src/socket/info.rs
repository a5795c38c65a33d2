//! TCP_INFO, in the layout of Linux's `struct tcp_info`. What the engine does not count is 0.

use super::table::Starts;
use crate::base::Instant;
use crate::shard::ConnInfo;
use crate::tcp::State;

/// What Linux 6.18 has, in full.
pub const BYTES: usize = 280;

/// `tcpi_reordering`: segments that one may come in late without being taken for lost, where nothing better is known.
const REORDERING: u32 = 3;

/// What the socket knows beyond its connection.
#[derive(Clone, Copy, Default)]
pub struct Streams {
    pub starts: Starts,
    pub now: Instant,
}

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

/// TCP_CA_Open, TCP_CA_Disorder, TCP_CA_CWR, TCP_CA_Recovery, TCP_CA_Loss.
fn congestion_state(i: &ConnInfo) -> u8 {
    match i {
        _ if i.retries > 0 || i.in_timeout => 4,
        _ if i.in_recovery => 3,
        _ if i.in_reduction => 2,
        _ if i.sacked_segments > 0 => 1,
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

pub fn encode(info: Option<&ConnInfo>, streams: &Streams, listening: bool) -> [u8; BYTES] {
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
    word(20, i.own_mss.min(i.mss).into());
    word(24, segments(i.flight_bytes));
    word(28, i.sacked_segments);
    // Linux counts what was lost until its copy has arrived.
    word(32, i.lost_segments + i.resent_segments);
    word(36, i.resent_segments);
    word(68, us(i.srtt_ns));
    word(72, us(i.rttvar_ns));
    word(76, if i.ssthresh == u32::MAX { 0x7fff_ffff } else { i.ssthresh / mss });
    word(80, i.cwnd / mss);
    word(96, i.receive_window);
    word(84, i.own_mss.into());
    word(88, REORDERING.max(segments(i.reordering_bytes)));
    let (acked, received) = (i.positions.0.since(streams.starts.send), i.positions.1.since(streams.starts.receive));
    // The SYN is the first segment that arrives.
    word(192, 1 + segments(acked) + i.sacked_segments);
    let silence_ns = streams.starts.last_data_at.map_or(0, |at| streams.now.nanos_since(at));
    word(52, (silence_ns / 1_000_000) as u32);
    word(144, i.unsent_bytes);
    word(220, i.reordered_segments);
    word(228, i.send_window);
    word(232, i.receive_window);
    out[128..136].copy_from_slice(&u64::from(received).to_ne_bytes());
    out
}

/// SO_MEMINFO, in the order of Linux's `SK_MEMINFO_*`: bytes in use and allowed, received and to send; the rest is not
/// counted apart.
pub fn memory(unread: u32, receive: u32, queued: u32, send: u32) -> Vec<u8> {
    [unread, receive, queued, send, 0, queued, 0, 0, 0].iter().flat_map(|v| v.to_ne_bytes()).collect()
}
