//! What is not TCP: ARP, neighbour discovery, pings. What ICMP has to say about our segments goes on to
//! `icmp_errors`.

use super::core::{Core, Cx};
use super::icmp_errors;
use crate::base::{DropReason, Event, Frame};
use crate::neigh::Probe;
use crate::wire::emit::{self, LinkOut};
use crate::wire::parse::{Arp, LinkInfo, Ndp, Packet};
use crate::wire::{Addr, Mac};

/// Handles one frame that is not a TCP segment. `resolved` receives the slots that waited for a neighbour.
#[cold]
pub(super) fn other_packet(
    core: &mut Core,
    frame: Frame,
    link: &LinkInfo,
    packet: &Packet,
    cx: &mut Cx<'_>,
    resolved: &mut Vec<u32>,
) {
    let used = match packet {
        Packet::Arp(a) => take_arp(core, a, cx, resolved).map(|reply| (reply, arp_answer as Answer)),
        Packet::Ndp(n) => take_ndp(core, n, cx, resolved).map(|reply| (reply, ndp_answer as Answer)),
        Packet::EchoRequest { dst, .. } => take_echo(core, dst).map(|reply| (reply, echo_answer as Answer)),
        Packet::IcmpError(e) => icmp_errors::take(core, e).map(|reply| (reply, echo_answer as Answer)),
        Packet::Other(reason) => Err(*reason),
        Packet::Tcp(_) => Err(DropReason::IcmpIgnored),
    };
    match used {
        Ok((true, answer)) => answer(core, frame, link, packet, cx),
        Ok((false, _)) => cx.pool.free(frame),
        Err(reason) => {
            core.proto.counters.drop(reason);
            cx.pool.free(frame);
        }
    }
}

type Answer = fn(&mut Core, Frame, &LinkInfo, &Packet, &mut Cx<'_>);

/// `Ok(true)`: it has to be answered.
type Taken = Result<bool, DropReason>;

fn answers_for(core: &Core, addr: &Addr) -> bool {
    core.locals.id_of(addr).is_some_and(|id| core.locals.is_exclusive(id))
}

fn take_arp(core: &mut Core, a: &Arp, cx: &mut Cx<'_>, resolved: &mut Vec<u32>) -> Taken {
    let for_us = core.locals.id_of(&a.target).is_some();
    // RFC 826: an entry that exists is updated by anything; a new one only by what is meant for us.
    if let Some(id) = core.neigh.learn(a.sender, a.sender_mac, cx.now, for_us && a.is_request) {
        core.neigh.take_waiters(id, resolved);
    }
    if !for_us {
        return Err(DropReason::ArpNotForUs);
    }
    core.proto.counters.event(Event::ArpIn);
    Ok(a.is_request && answers_for(core, &a.target))
}

fn arp_answer(core: &mut Core, mut frame: Frame, _: &LinkInfo, _: &Packet, cx: &mut Cx<'_>) {
    let written = emit::arp_reply_in_place(&mut frame, core.config.mac);
    core.send_answer(frame, written, Event::ArpOut, cx);
}

fn take_ndp(core: &mut Core, n: &Ndp, cx: &mut Cx<'_>, resolved: &mut Vec<u32>) -> Taken {
    let for_us = core.locals.id_of(&n.target).is_some();
    let woken = match (n.is_solicitation, n.link_addr) {
        (true, Some(mac)) => core.neigh.learn(n.src, mac, cx.now, for_us),
        (false, Some(mac)) => core.neigh.advertised(n.target, mac, n.solicited, n.override_flag, cx.now),
        (_, None) => None,
    };
    if let Some(id) = woken {
        core.neigh.take_waiters(id, resolved);
    }
    if n.is_solicitation && !for_us {
        return Err(DropReason::ArpNotForUs);
    }
    core.proto.counters.event(Event::NdpIn);
    Ok(n.is_solicitation && answers_for(core, &n.target))
}

fn ndp_answer(core: &mut Core, mut frame: Frame, link: &LinkInfo, packet: &Packet, cx: &mut Cx<'_>) {
    let Packet::Ndp(solicitation) = packet else { return cx.pool.free(frame) };
    let written = emit::ndp_reply(&mut frame, link, core.config.mac, solicitation);
    core.send_answer(frame, written, Event::NdpOut, cx);
}

fn take_echo(core: &mut Core, dst: &Addr) -> Taken {
    if !answers_for(core, dst) {
        return Err(DropReason::IpNotForUs);
    }
    core.proto.counters.event(Event::IcmpEchoRequests);
    Ok(true)
}

fn echo_answer(core: &mut Core, mut frame: Frame, _: &LinkInfo, _: &Packet, cx: &mut Cx<'_>) {
    let written = emit::echo_reply_in_place(&mut frame);
    core.send_answer(frame, written, Event::IcmpEchoReplies, cx);
}

/// Sends the questions that the neighbour table wants asked.
#[inline]
pub(super) fn ask_neighbours(core: &mut Core, cx: &mut Cx<'_>) {
    core.neigh.poll(cx.now, |probe| core.probes.push(probe));
    if !core.probes.is_empty() {
        ask_all(core, cx);
    }
}

#[inline(never)]
fn ask_all(core: &mut Core, cx: &mut Cx<'_>) {
    let mut probes = std::mem::take(&mut core.probes);
    for probe in probes.drain(..) {
        ask(core, &probe, cx);
    }
    core.probes = probes;
}

fn ask(core: &mut Core, probe: &Probe, cx: &mut Cx<'_>) {
    let Some(speaker) = core.locals.speaker_for(&probe.addr) else { return };
    if cx.tx.len() == cx.tx.capacity() {
        return;
    }
    let Some(mut frame) = cx.pool.alloc() else { return };
    let (src, vlan) = (core.config.mac, core.config.vlan);
    if probe.addr.is_v4() {
        let dst = probe.unicast.unwrap_or(Mac::BROADCAST);
        let written = emit::arp_request(&mut frame, &LinkOut { src, dst, vlan }, speaker, probe.addr);
        core.send_answer(frame, written, Event::ArpOut, cx);
    } else {
        let link = match probe.unicast {
            Some(dst) => LinkOut { src, dst, vlan },
            None => LinkOut::solicited_node(src, vlan, &probe.addr),
        };
        let written = emit::ndp_solicitation(&mut frame, &link, speaker, probe.addr);
        core.send_answer(frame, written, Event::NdpOut, cx);
    }
}

impl Core {
    fn send_answer(&mut self, frame: Frame, written: bool, event: Event, cx: &mut Cx<'_>) {
        if !written || cx.tx.len() == cx.tx.capacity() {
            self.proto.counters.drop(if written { DropReason::TxFull } else { DropReason::NoFrame });
            return cx.pool.free(frame);
        }
        self.proto.counters.event(event);
        self.sender().push_frame(frame, cx);
    }
}
