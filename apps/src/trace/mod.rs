//! `--trace`: one line per segment, for people who know tcpdump, with the state before and after.

use std::collections::HashMap;
use std::fmt::Write;
use synfin_engine::shard::TraceEvent;
use synfin_engine::wire::{Addr, Seq};

/// Directions whose first sequence number is remembered; beyond it numbers are printed as they are.
const DIRECTIONS_MAX: usize = 200_000;

type Direction = (Addr, u16, Addr, u16);

/// Formats events; remembers where each direction's numbers began.
#[derive(Default)]
pub struct Tracer {
    first: HashMap<Direction, Seq>,
}

impl Tracer {
    /// The line for an event, without line end.
    pub fn line(&mut self, e: &TraceEvent) -> String {
        let there = (e.src, e.src_port, e.dst, e.dst_port);
        let back = (e.dst, e.dst_port, e.src, e.src_port);
        if e.flags.syn() && (self.first.len() < DIRECTIONS_MAX || self.first.contains_key(&there)) {
            self.first.insert(there, e.seq);
        }
        let mut out = String::with_capacity(160);
        let ns = e.at.as_nanos();
        let arrow = if e.outgoing { '>' } else { '<' };
        // Writing into a String cannot fail.
        let _ = write!(out, "{:>4}.{:06} {arrow} ", ns / 1_000_000_000, ns / 1_000 % 1_000_000);
        let _ = write!(out, "{} > {}: Flags {:?}", end(e.src, e.src_port), end(e.dst, e.dst_port), e.flags);
        self.numbers(&mut out, e, &there, &back);
        options(&mut out, e);
        let _ = write!(out, ", length {}  ", e.payload_len);
        if e.before == e.after {
            out.push_str(e.after.name());
        } else {
            let _ = write!(out, "{} -> {}", e.before.name(), e.after.name());
        }
        out
    }

    /// Sequence number (as it is on SYN, relative otherwise), acknowledgement, window.
    fn numbers(&self, out: &mut String, e: &TraceEvent, there: &Direction, back: &Direction) {
        let relative = |seq: Seq, direction| self.first.get(direction).map_or(seq.0, |first| seq.since(*first));
        let seq = if e.flags.syn() { e.seq.0 } else { relative(e.seq, there) };
        let _ = match e.payload_len {
            0 => write!(out, ", seq {seq}"),
            n => write!(out, ", seq {seq}:{}", seq.wrapping_add(u32::from(n))),
        };
        if e.flags.ack() {
            let _ = write!(out, ", ack {}", relative(e.ack, back));
        }
        let _ = write!(out, ", win {}", e.window);
    }
}

fn end(addr: Addr, port: u16) -> String {
    format!("{addr}.{port}")
}

fn options(out: &mut String, e: &TraceEvent) {
    let o = &e.options;
    let mut words: Vec<String> = Vec::new();
    words.extend(o.mss.map(|mss| format!("mss {mss}")));
    words.extend(o.sack_permitted.then(|| "sackOK".to_owned()));
    words.extend(o.timestamp.map(|(val, ecr)| format!("TS val {val} ecr {ecr}")));
    words.extend(o.window_scale.map(|shift| format!("wscale {shift}")));
    words.extend(o.sack_blocks().iter().map(|b| format!("sack {}:{}", b.start.0, b.end.0)));
    if !words.is_empty() {
        let _ = write!(out, ", options [{}]", words.join(","));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use synfin_engine::base::Instant;
    use synfin_engine::tcp::State;
    use synfin_engine::wire::{TcpFlags, TcpOptions};

    fn event(outgoing: bool, flags: TcpFlags, seq: u32, ack: u32, len: u16) -> TraceEvent {
        let (a, b) = (Addr::v4([198, 18, 0, 1]), Addr::v4([198, 18, 0, 2]));
        let ((src, src_port), (dst, dst_port)) = if outgoing { ((a, 1024), (b, 80)) } else { ((b, 80), (a, 1024)) };
        TraceEvent {
            at: Instant::from_nanos(1_002_003_000),
            outgoing,
            src,
            dst,
            src_port,
            dst_port,
            seq: Seq(seq),
            ack: Seq(ack),
            flags,
            window: 512,
            options: TcpOptions::default(),
            payload_len: len,
            before: State::Established,
            after: State::Established,
        }
    }

    #[test]
    fn numbers_are_relative_after_the_syn_and_states_are_told() {
        let mut t = Tracer::default();
        let mut syn = event(true, TcpFlags::SYN, 100, 0, 0);
        (syn.before, syn.after) = (State::Closed, State::SynSent);
        syn.options =
            TcpOptions { mss: Some(1460), window_scale: Some(7), sack_permitted: true, ..TcpOptions::default() };
        assert_eq!(
            t.line(&syn),
            "   1.002003 > 198.18.0.1.1024 > 198.18.0.2.80: Flags [S], seq 100, win 512, \
             options [mss 1460,sackOK,wscale 7], length 0  CLOSED -> SYN-SENT"
        );
        t.line(&event(false, TcpFlags::SYN | TcpFlags::ACK, u32::MAX, 101, 0));
        let data = t.line(&event(true, TcpFlags::PSH | TcpFlags::ACK, 101, 0, 50));
        assert!(data.contains("[P.], seq 1:51, ack 1, win 512, length 50  ESTABLISHED"), "{data}");
    }

    #[test]
    fn a_segment_of_an_unknown_connection_keeps_its_numbers() {
        let line = Tracer::default().line(&event(false, TcpFlags::RST, 7777, 0, 0));
        assert!(line.contains("< 198.18.0.2.80 > 198.18.0.1.1024: Flags [R], seq 7777, win"), "{line}");
    }
}
