//! Connections and listening ports with times and limits of their own: `setsockopt` and its like. They are kept beside
//! the control blocks, whose flag `TUNED` says that there is something to look up; all others cost one test of it.

use super::core::{Core, Protocol};
use crate::tcp::{Boundaries, Common, Env, Tcb, TcpConfig, Times, flag};
use crate::wire::Seq;
use crate::wire::emit::PlainIp;
use std::collections::HashMap;

/// A configuration with its durations in ticks.
#[derive(Clone, Copy)]
struct Tuning {
    config: TcpConfig,
    times: Times,
}

#[derive(Default)]
pub struct Tunings {
    /// By slot.
    conns: HashMap<u32, Tuning>,
    /// By listening port: connections that it accepts inherit it.
    ports: HashMap<u16, Tuning>,
    /// Connections that send urgent bytes, by slot: the number after the last of these (SND.UP).
    urgent: HashMap<u32, Seq>,
    /// Connections that part what they send, by slot.
    boundaries: HashMap<u32, Boundaries>,
}

impl Tunings {
    /// Connections that have one.
    #[cfg(test)]
    pub fn of_conns(&self) -> usize {
        self.conns.len()
    }
}

fn tuning(config: &TcpConfig) -> Tuning {
    Tuning { config: *config, times: Times::new(config) }
}

impl Protocol {
    /// The parts that segment processing needs, with the shard's own times and limits.
    #[inline(always)]
    pub fn env(&mut self) -> Env<'_> {
        Env { config: &self.config, times: &self.times, common: &mut self.common }
    }

    /// With those of connection `slot`.
    #[inline(always)]
    pub fn env_of(&mut self, slot: u32, flags: u32) -> Env<'_> {
        let Protocol { config, times, tunings, common, .. } = self;
        env_with(tunings.of_conn(slot, flags), config, times, common)
    }

    /// As [`Protocol::env_of`], and with the boundaries of what the connection sends, if there are any.
    #[inline(always)]
    pub fn sending_of(&mut self, slot: u32, flags: u32) -> (Env<'_>, Option<&Boundaries>) {
        let Protocol { config, times, tunings, common, .. } = self;
        let tuned = tunings.of_conn(slot, flags);
        (env_with(tuned, config, times, common), tunings.boundaries_of(slot, flags))
    }

    /// Boundaries in what was acknowledged are of no use any more. True: others are left.
    #[inline(always)]
    pub fn release_boundaries(&mut self, slot: u32, t: &Tcb) -> bool {
        t.flags & flag::TUNED != 0 && self.tunings.release_boundaries(slot, t)
    }

    /// With those of a listening port.
    #[inline(always)]
    pub fn env_at(&mut self, port: u16) -> Env<'_> {
        let Protocol { config, times, tunings, common, .. } = self;
        env_with(tunings.of_port(port), config, times, common)
    }

    #[inline(always)]
    pub fn config_of(&self, slot: u32, flags: u32) -> &TcpConfig {
        self.tunings.of_conn(slot, flags).map_or(&self.config, |tuned| &tuned.config)
    }

    /// What the urgent pointer of a segment of connection `slot` with number `seq` says: how far the urgent bytes reach from
    /// there, if it is not behind them.
    #[inline(always)]
    pub fn urgent_pointer(&mut self, slot: u32, t: &Tcb, seq: Seq) -> Option<u16> {
        if t.flags & flag::TUNED == 0 { None } else { self.tunings.urgent_pointer(slot, t, seq) }
    }

    #[inline(always)]
    pub fn config_at(&self, port: u16) -> &TcpConfig {
        self.tunings.of_port(port).map_or(&self.config, |tuned| &tuned.config)
    }
}

/// With what has been found of its own, else with what everybody has.
#[inline(always)]
fn env_with<'a>(tuned: Option<&'a Tuning>, config: &'a TcpConfig, times: &'a Times, common: &'a mut Common) -> Env<'a> {
    let (config, times) = tuned.map_or((config, times), |tuned| (&tuned.config, &tuned.times));
    Env { config, times, common }
}

impl Tunings {
    /// None, nearly always: connection `slot` has nothing of its own.
    #[inline(always)]
    fn of_conn(&self, slot: u32, flags: u32) -> Option<&Tuning> {
        if flags & flag::TUNED == 0 { None } else { self.find_conn(slot) }
    }

    /// As [`Tunings::of_conn`], for a listening port.
    #[inline(always)]
    fn of_port(&self, port: u16) -> Option<&Tuning> {
        if self.ports.is_empty() { None } else { self.find_port(port) }
    }

    #[inline(always)]
    fn boundaries_of(&self, slot: u32, flags: u32) -> Option<&Boundaries> {
        if flags & flag::TUNED == 0 { None } else { self.find_boundaries(slot) }
    }

    #[cold]
    #[inline(never)]
    fn find_boundaries(&self, slot: u32) -> Option<&Boundaries> {
        self.boundaries.get(&slot)
    }

    #[cold]
    fn release_boundaries(&mut self, slot: u32, t: &Tcb) -> bool {
        self.boundaries.get_mut(&slot).is_some_and(|boundaries| boundaries.release(t.snd_una))
    }

    #[cold]
    #[inline(never)]
    fn find_conn(&self, slot: u32) -> Option<&Tuning> {
        self.conns.get(&slot)
    }

    #[cold]
    #[inline(never)]
    fn find_port(&self, port: u16) -> Option<&Tuning> {
        self.ports.get(&port)
    }

    #[cold]
    fn urgent_pointer(&mut self, slot: u32, t: &Tcb, seq: Seq) -> Option<u16> {
        let &end = self.urgent.get(&slot)?;
        if t.snd_una.at_or_after(end) {
            self.urgent.remove(&slot);
        }
        end.after(seq).then(|| end.since(seq).min(0xffff) as u16)
    }
}

impl Core {
    /// What everybody has who has nothing of his own.
    pub(super) fn configure(&mut self, tcp: TcpConfig) {
        self.provide_half_timers(tcp.syn_retries);
        (self.proto.config, self.proto.times, self.config.tcp) = (tcp, Times::new(&tcp), tcp);
        self.proto.plain_ip = PlainIp::new(tcp.ip.with_ecn(0));
    }

    /// All that is queued on connection `slot` is urgent (RFC 9293 3.9.1.2).
    pub(super) fn urge(&mut self, slot: u32) {
        if let Some(t) = self.conns.get_mut(slot) {
            t.set(flag::TUNED);
            self.proto.tunings.urgent.insert(slot, t.snd_end);
        }
    }

    /// Boundaries in what connection `slot` has queued.
    pub(super) fn boundaries(&self, slot: u32) -> usize {
        let Some(t) = self.conns.get(slot) else { return 0 };
        self.proto.tunings.boundaries_of(slot, t.flags).map_or(0, |b| b.count(t.snd_una))
    }

    /// What is queued on connection `slot` shares no segment with what will be.
    pub(super) fn part(&mut self, slot: u32) {
        let Some(t) = self.conns.get_mut(slot) else { return };
        t.set(flag::TUNED);
        let boundaries = self.proto.tunings.boundaries.entry(slot).or_default();
        boundaries.release(t.snd_una);
        boundaries.push(t.snd_end);
    }

    pub(super) fn tune(&mut self, slot: u32, config: &TcpConfig) {
        let Some(t) = self.conns.get_mut(slot) else { return };
        t.set(flag::TUNED);
        let flags = t.flags;
        if config.receive_buffer_bytes != self.proto.config_of(slot, flags).receive_buffer_bytes {
            self.forget_window(slot, flags);
        }
        self.proto.tunings.conns.insert(slot, tuning(config));
    }

    /// `None`: the shard's own.
    pub(super) fn tune_port(&mut self, port: u16, config: Option<&TcpConfig>) {
        self.provide_half_timers(config.map_or(0, |c| c.syn_retries));
        match config {
            Some(config) => self.proto.tunings.ports.insert(port, tuning(config)),
            None => self.proto.tunings.ports.remove(&port),
        };
    }

    /// A connection that came in on `port` is tuned as the port is.
    #[inline(always)]
    pub(super) fn inherit_tuning(&mut self, slot: u32, port: u16) {
        if !self.proto.tunings.ports.is_empty() {
            self.tune_as_port(slot, port);
        }
    }

    #[cold]
    fn tune_as_port(&mut self, slot: u32, port: u16) {
        if let Some(&tuned) = self.proto.tunings.ports.get(&port)
            && let Some(t) = self.conns.get_mut(slot)
        {
            t.set(flag::TUNED);
            self.proto.tunings.conns.insert(slot, tuned);
        }
    }

    #[inline(always)]
    pub(super) fn forget_tuning(&mut self, slot: u32, flags: u32) {
        if flags & flag::TUNED != 0 {
            self.proto.tunings.conns.remove(&slot);
            self.proto.tunings.urgent.remove(&slot);
            self.proto.tunings.boundaries.remove(&slot);
        }
    }
}
