//! Receiving multicast that the kernel did not ask for: neighbour solicitations for addresses only the engine has
//! go to solicited-node groups (RFC 4291 2.7.1), and a network card drops the groups it was not told of.

use crate::io::IoError;
use crate::io::sys::netlink::name_of;
use crate::wire::{Addr, Mac};
use std::collections::BTreeSet;
use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Above this many groups the device is asked for all multicast: card filters are small and spill into that anyway.
const GROUPS_MAX: usize = 64;

const PACKET_MR_MULTICAST: u16 = 0;
const PACKET_MR_PROMISC: u16 = 1;
const PACKET_MR_ALLMULTI: u16 = 2;

/// Holds the memberships; they end with it, also when the process is killed.
#[derive(Debug)]
pub struct Membership {
    _socket: OwnedFd,
    /// All multicast is received, as there were too many groups.
    pub all: bool,
    /// Groups joined.
    pub groups: usize,
}

/// Makes the device receive the solicited-node groups of the IPv6 addresses among `ranges` (first, count).
/// `None` when there is no IPv6 address. Needs CAP_NET_RAW.
pub fn join_solicited_nodes(ifindex: u32, ranges: &[(Addr, u32)]) -> Result<Option<Membership>, IoError> {
    let groups = solicited_groups(ranges);
    if groups.is_empty() {
        return Ok(None);
    }
    let all = groups.len() > GROUPS_MAX;
    let joined = packet_socket().and_then(|socket| {
        if all {
            add(&socket, ifindex, PACKET_MR_ALLMULTI, Mac::ZERO)?;
        } else {
            groups.iter().try_for_each(|&mac| add(&socket, ifindex, PACKET_MR_MULTICAST, Mac(mac)))?;
        }
        Ok(Membership { _socket: socket, all, groups: groups.len().min(GROUPS_MAX) })
    });
    let what = || format!("cannot join the solicited-node groups on {}", name_of(ifindex));
    joined.map(Some).map_err(|e| refused(&e, what()))
}

/// Makes the device receive frames for whatever address, as a bridge needs it. Needs CAP_NET_RAW.
pub fn receive_all(ifindex: u32) -> Result<Membership, IoError> {
    let socket =
        packet_socket().and_then(|socket| add(&socket, ifindex, PACKET_MR_PROMISC, Mac::ZERO).map(|()| socket));
    match socket {
        Ok(socket) => Ok(Membership { _socket: socket, all: true, groups: 0 }),
        Err(e) => Err(refused(&e, format!("cannot make {} receive every frame", name_of(ifindex)))),
    }
}

fn refused(e: &Error, what: String) -> IoError {
    let refused = matches!(e.raw_os_error(), Some(libc::EPERM | libc::EACCES));
    IoError::os(what, e, if refused { IoError::privilege_hint() } else { String::new() })
}

/// Ethernet addresses of the groups (RFC 2464 7), at most one more than are joined one by one.
fn solicited_groups(ranges: &[(Addr, u32)]) -> BTreeSet<[u8; 6]> {
    let v6 = ranges.iter().filter(|(first, _)| !first.is_v4());
    // Only the low 24 bits count: more than 2^24 addresses repeat the same groups.
    let addresses = v6.flat_map(|&(first, count)| (0..count.min(1 << 24)).map(move |n| first.plus(n)));
    let mut groups = BTreeSet::new();
    for address in addresses {
        let b = address.0;
        groups.insert([0x33, 0x33, 0xff, b[13], b[14], b[15]]);
        if groups.len() > GROUPS_MAX {
            break;
        }
    }
    groups
}

/// A packet socket that receives nothing itself (protocol 0).
fn packet_socket() -> Result<OwnedFd, Error> {
    // SAFETY: no pointers are involved.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn add(socket: &OwnedFd, ifindex: u32, kind: u16, mac: Mac) -> Result<(), Error> {
    let mut address = [0; 8];
    address[..6].copy_from_slice(&mac.0);
    let request = libc::packet_mreq { mr_ifindex: ifindex as i32, mr_type: kind, mr_alen: 6, mr_address: address };
    // SAFETY: `request` is live and of the size given.
    let r = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const request).cast(),
            size_of::<libc::packet_mreq>() as u32,
        )
    };
    if r < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_equal_low_bits_share_a_group_and_ipv4_has_none() {
        let mut a = [0x20; 16];
        a[13..].copy_from_slice(&[1, 2, 3]);
        let mut b = a;
        b[7] = 9;
        let groups = solicited_groups(&[(Addr(a), 1), (Addr(b), 2), (Addr::v4([198, 18, 0, 1]), 9)]);
        let expected = [[0x33, 0x33, 0xff, 1, 2, 3], [0x33, 0x33, 0xff, 1, 2, 4]];
        assert_eq!(groups.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_large_range_does_not_take_long_and_asks_for_all_multicast() {
        assert_eq!(solicited_groups(&[(Addr([0x20; 16]), u32::MAX)]).len(), GROUPS_MAX + 1);
    }
}
