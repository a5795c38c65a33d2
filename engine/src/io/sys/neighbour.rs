//! The kernel's neighbour table: link addresses of stations on a link, and a way to make the kernel find one.
//!
//! The engine resolves neighbours itself for addresses that only it has. For an address it shares with the kernel
//! the answers go to the kernel, and so the engine asks here.

use super::netlink::{name_of, request};
use crate::io::IoError;
use crate::wire::{Addr, Mac};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::io::Error;
use std::time::{Duration, Instant};

/// What the kernel knows of a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// Its link address; possibly not confirmed for a while.
    Known(Mac),
    /// Being looked for.
    Pending,
    /// Looked for, and nobody answered.
    Failed,
}

/// What the kernel knows of `addr` on the interface; `None` if nothing.
pub fn neighbour(ifindex: u32, addr: Addr) -> Result<Option<Neighbour>, IoError> {
    match request(RouteNetlinkMessage::GetNeighbour(message(ifindex, addr)), 0) {
        Ok(replies) => Ok(replies.iter().find_map(|m| match m {
            RouteNetlinkMessage::NewNeighbour(n) => Some(state_of(n)),
            _ => None,
        })),
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(e) => {
            let on = name_of(ifindex);
            Err(IoError::os(
                format!("cannot look up neighbour {addr} on {on}"),
                &e,
                format!("see ip neigh show dev {on}"),
            ))
        }
    }
}

/// The link address of `addr`; if the kernel does not know it, it is made to ask the link, and waited for.
/// Blocks for up to `timeout`. Needs CAP_NET_ADMIN.
pub fn resolve_neighbour(ifindex: u32, addr: Addr, timeout: Duration) -> Result<Mac, IoError> {
    const POLL: Duration = Duration::from_millis(5);
    if let Some(Neighbour::Known(mac)) = neighbour(ifindex, addr)? {
        return Ok(mac);
    }
    let deadline = Instant::now() + timeout;
    solicit(ifindex, addr)?;
    loop {
        match neighbour(ifindex, addr)? {
            Some(Neighbour::Known(mac)) => return Ok(mac),
            Some(Neighbour::Failed) => return Err(unanswered(ifindex, addr)),
            _ if Instant::now() >= deadline => return Err(unanswered(ifindex, addr)),
            _ => std::thread::sleep(POLL),
        }
    }
}

/// Makes the kernel send an ARP request or neighbour solicitation for `addr`, and returns at once. Needs CAP_NET_ADMIN.
pub fn solicit(ifindex: u32, addr: Addr) -> Result<(), IoError> {
    let mut message = message(ifindex, addr);
    message.header.flags = NeighbourFlags::Use;
    message.header.state = NeighbourState::None;
    request(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE).map(drop).map_err(|e| {
        let hint = match e.raw_os_error() {
            Some(libc::EPERM) => IoError::privilege_hint(),
            Some(libc::ENETDOWN) => format!("ip link set dev {} up", name_of(ifindex)),
            _ => String::new(),
        };
        IoError::os(format!("cannot have the kernel resolve {addr} on {}", name_of(ifindex)), &e, hint)
    })
}

fn unanswered(ifindex: u32, addr: Addr) -> IoError {
    let (asked, name) = (if addr.is_v4() { "ARP" } else { "neighbour discovery" }, name_of(ifindex));
    IoError::os(
        format!("{addr} does not answer {asked} on {name}"),
        &Error::from_raw_os_error(libc::EHOSTUNREACH),
        format!("is the host up and on this link? try ping -I {name} {addr}"),
    )
}

fn message(ifindex: u32, addr: Addr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.ifindex = ifindex;
    let destination = match addr.to_ip() {
        std::net::IpAddr::V4(a) => {
            message.header.family = AddressFamily::Inet;
            NeighbourAddress::Inet(a)
        }
        std::net::IpAddr::V6(a) => {
            message.header.family = AddressFamily::Inet6;
            NeighbourAddress::Inet6(a)
        }
    };
    message.attributes.push(NeighbourAttribute::Destination(destination));
    message
}

fn state_of(n: &NeighbourMessage) -> Neighbour {
    let mac = n.attributes.iter().find_map(|a| match a {
        NeighbourAttribute::LinkLayerAddress(mac) => <[u8; 6]>::try_from(mac.as_slice()).ok().map(Mac),
        _ => None,
    });
    match (n.header.state, mac) {
        (NeighbourState::Failed, _) => Neighbour::Failed,
        (NeighbourState::None | NeighbourState::Incomplete, _) | (_, None) => Neighbour::Pending,
        (_, Some(mac)) => Neighbour::Known(mac),
    }
}
