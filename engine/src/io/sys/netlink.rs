//! rtnetlink, synchronous: one socket per question. Here are the transport and the interfaces.

use crate::io::IoError;
use crate::io::sys::ethtool;
use crate::wire::{Addr, Mac};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload as Payload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::io::{Error, ErrorKind, Result as OsResult};

/// A network interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub ifindex: u32,
    pub mac: Mac,
    /// Largest IP packet, bytes.
    pub mtu: u32,
    /// Switched on by the administrator.
    pub up: bool,
    /// Has a carrier and can pass packets.
    pub running: bool,
    pub loopback: bool,
    /// Kind of a virtual interface, e.g. `veth`, `bond`, `vlan`; `None` for hardware.
    pub kind: Option<String>,
    /// Driver, as ethtool names it; `None` where there is none to name.
    pub driver: Option<String>,
    /// Queues that were made with it; a network card may have fewer in use, see [`Interface::queues_in_use`].
    pub rx_queues: u32,
    pub tx_queues: u32,
    /// The kernel's addresses on it, with their prefix lengths.
    pub addresses: Vec<(Addr, u8)>,
    /// Ids of the XDP programs on it.
    pub xdp_program_ids: Vec<u32>,
}

impl Interface {
    /// Queues that frames can arrive on, and sockets can be bound to: 0 up to this, exclusive.
    pub fn queues_in_use(&self) -> u32 {
        let told = ethtool::channels(&self.name).map_or(0, |c| c.rx_queues());
        if told > 0 { told } else { self.rx_queues.max(1) }
    }
}

/// The interface of this name.
pub fn interface(name: &str) -> Result<Interface, IoError> {
    let ask = |e: &Error| IoError::os(format!("cannot look up interface {name}"), e, "");
    let not_found = || IoError::new(format!("there is no interface {name:?}"), format!("there are: {}", names()));
    let c_name = std::ffi::CString::new(name).map_err(|_| not_found())?;
    // SAFETY: the name is a live, zero-terminated string.
    let ifindex = unsafe { libc::if_nametoindex(c_name.as_ptr()) };
    if ifindex == 0 {
        let e = Error::last_os_error();
        let missing = matches!(e.raw_os_error(), Some(libc::ENODEV | libc::ENXIO | libc::EINVAL));
        return Err(if missing { not_found() } else { ask(&e) });
    }
    interface_by_index(ifindex)
}

/// The interface of this index.
pub fn interface_by_index(ifindex: u32) -> Result<Interface, IoError> {
    let failed = |e: Error| IoError::os(format!("cannot look up interface {}", name_of(ifindex)), &e, "see ip link");
    let mut message = LinkMessage::default();
    message.header.index = ifindex;
    let replies = request(RouteNetlinkMessage::GetLink(message), 0).map_err(failed)?;
    let link = replies.into_iter().find_map(|m| match m {
        RouteNetlinkMessage::NewLink(link) if link.header.index == ifindex => Some(link),
        _ => None,
    });
    let link = link.ok_or_else(|| failed(Error::from_raw_os_error(libc::ENODEV)))?;
    let mut found = from_link(&link);
    found.addresses = addresses(ifindex).map_err(failed)?;
    found.driver = ethtool::driver(&found.name).ok().filter(|d| !d.is_empty());
    Ok(found)
}

/// The interface's name, or `interface N` if it has gone.
pub fn name_of(ifindex: u32) -> String {
    let mut buffer = [0u8; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the IF_NAMESIZE bytes that the function asks for.
    let found = unsafe { libc::if_indextoname(ifindex, buffer.as_mut_ptr().cast()) };
    if found.is_null() {
        return format!("interface {ifindex}");
    }
    let end = buffer.iter().position(|&b| b == 0).unwrap_or(buffer.len());
    String::from_utf8_lossy(&buffer[..end]).into_owned()
}

/// The names of all interfaces, for people.
fn names() -> String {
    let links = request(RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_DUMP).unwrap_or_default();
    let names = links.iter().filter_map(|m| match m {
        RouteNetlinkMessage::NewLink(link) => Some(from_link(link).name),
        _ => None,
    });
    names.collect::<Vec<_>>().join(", ")
}

fn from_link(link: &LinkMessage) -> Interface {
    let flags = link.header.flags;
    let mut found = Interface {
        name: String::new(),
        ifindex: link.header.index,
        mac: Mac::ZERO,
        mtu: 0,
        up: flags.contains(LinkFlags::Up),
        running: flags.contains(LinkFlags::Running),
        loopback: flags.contains(LinkFlags::Loopback),
        kind: None,
        driver: None,
        rx_queues: 1,
        tx_queues: 1,
        addresses: Vec::new(),
        xdp_program_ids: Vec::new(),
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => found.name.clone_from(name),
            LinkAttribute::Address(mac) => {
                if let Ok(mac) = <[u8; 6]>::try_from(mac.as_slice()) {
                    found.mac = Mac(mac);
                }
            }
            LinkAttribute::Mtu(mtu) => found.mtu = *mtu,
            LinkAttribute::NumRxQueues(n) => found.rx_queues = *n,
            LinkAttribute::NumTxQueues(n) => found.tx_queues = *n,
            LinkAttribute::LinkInfo(info) => {
                found.kind = info.iter().find_map(|i| match i {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            LinkAttribute::Xdp(xdp) => found.xdp_program_ids = xdp_program_ids(xdp),
            _ => {}
        }
    }
    found
}

fn xdp_program_ids(attributes: &[LinkXdp]) -> Vec<u32> {
    let mut ids: Vec<u32> = attributes
        .iter()
        .filter_map(|a| match a {
            LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) | LinkXdp::HwProgId(id) => Some(*id),
            _ => None,
        })
        .filter(|&id| id != 0)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn addresses(ifindex: u32) -> OsResult<Vec<(Addr, u8)>> {
    let replies = request(RouteNetlinkMessage::GetAddress(AddressMessage::default()), NLM_F_DUMP)?;
    let own = replies.iter().filter_map(|m| match m {
        RouteNetlinkMessage::NewAddress(a) if a.header.index == ifindex => Some(a),
        _ => None,
    });
    Ok(own
        .filter_map(|a| {
            // On point-to-point links `Address` is the peer's; `Local`, where it is given, is always ours.
            let local = a.attributes.iter().find_map(|x| match x {
                AddressAttribute::Local(ip) => Some(*ip),
                _ => None,
            });
            let plain = a.attributes.iter().find_map(|x| match x {
                AddressAttribute::Address(ip) => Some(*ip),
                _ => None,
            });
            local.or(plain).map(|ip| (Addr::from(ip), a.header.prefix_len))
        })
        .collect())
}

/// Sends one request and collects the answers until the kernel says that is all. `flags` beyond NLM_F_REQUEST;
/// without NLM_F_DUMP an acknowledgement is asked for.
pub(super) fn request(message: RouteNetlinkMessage, flags: u16) -> OsResult<Vec<RouteNetlinkMessage>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    let dump = flags & NLM_F_DUMP == NLM_F_DUMP;
    header.flags = NLM_F_REQUEST | flags | if dump { 0 } else { NLM_F_ACK };
    header.sequence_number = 1;
    let mut packet = NetlinkMessage::new(header, Payload::from(message));
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let mut answers = Vec::new();
    loop {
        let (bytes, _) = socket.recv_from_full()?;
        if collect(&bytes, &mut answers)? {
            return Ok(answers);
        }
    }
}

/// Takes the messages of one datagram; true when the answer is complete.
fn collect(mut bytes: &[u8], answers: &mut Vec<RouteNetlinkMessage>) -> OsResult<bool> {
    const HEADER_BYTES: usize = 16;
    while bytes.len() >= HEADER_BYTES {
        let length = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
        if length < HEADER_BYTES || length > bytes.len() {
            return Err(Error::new(ErrorKind::InvalidData, "netlink message cut short"));
        }
        // A message that this library does not understand is left out, rather than the whole answer refused.
        if let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes[..length]) {
            match message.payload {
                Payload::Error(e) if e.code.is_none() => return Ok(true),
                Payload::Error(e) => return Err(Error::from_raw_os_error(e.raw_code().abs())),
                Payload::Done(_) => return Ok(true),
                Payload::InnerMessage(inner) => answers.push(inner),
                _ => {}
            }
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_found_and_described() {
        let lo = interface("lo").unwrap();
        assert!(lo.loopback && lo.ifindex > 0 && lo.mtu > 0, "{lo:?}");
        assert_eq!(interface_by_index(lo.ifindex).unwrap(), lo);
        assert_eq!(name_of(lo.ifindex), "lo");
    }

    #[test]
    fn an_unknown_interface_is_named_and_the_others_listed() {
        let e = interface("nosuch0").unwrap_err();
        assert!(e.what.contains("nosuch0") && e.hint.contains("lo"), "{e}");
        let e = interface("bad\0name").unwrap_err();
        assert!(e.what.contains("bad"), "{e}");
        assert!(interface_by_index(0x7fff_fff0).is_err());
    }

    #[test]
    fn a_netlink_answer_cut_short_is_an_error_and_not_a_panic() {
        let mut answers = Vec::new();
        let mut header = vec![0u8; 16];
        header[0] = 200;
        assert!(collect(&header, &mut answers).is_err());
        header[0] = 3;
        assert!(collect(&header, &mut answers).is_err());
        assert!(!collect(&header[..7], &mut answers).unwrap());
        assert!(answers.is_empty());
    }
}
