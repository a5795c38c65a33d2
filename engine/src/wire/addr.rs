//! Link and network addresses.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A 48-bit Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    pub const BROADCAST: Mac = Mac([0xff; 6]);
    pub const ZERO: Mac = Mac([0; 6]);

    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// 33:33 and the last four bytes: where a datagram to an IPv6 group goes (RFC 2464 7).
    pub const fn for_ipv6_group(group: &Addr) -> Mac {
        let b = &group.0;
        Mac([0x33, 0x33, b[12], b[13], b[14], b[15]])
    }
}

impl core::fmt::Debug for Mac {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

impl core::fmt::Display for Mac {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let m = self.0;
        write!(f, "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", m[0], m[1], m[2], m[3], m[4], m[5])
    }
}

/// An IPv6 address, or an IPv4 address in v4-mapped form (`::ffff:a.b.c.d`). 16 bytes, network order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Addr(pub [u8; 16]);

const V4_PREFIX: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

impl Addr {
    pub const UNSPECIFIED_V6: Addr = Addr([0; 16]);

    #[inline(always)]
    pub const fn v4(b: [u8; 4]) -> Addr {
        Addr([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, b[0], b[1], b[2], b[3]])
    }

    #[inline(always)]
    pub fn is_v4(&self) -> bool {
        self.0[..12] == V4_PREFIX
    }

    /// The last four bytes: the IPv4 address when [`Addr::is_v4`].
    #[inline(always)]
    pub fn v4_bytes(&self) -> [u8; 4] {
        [self.0[12], self.0[13], self.0[14], self.0[15]]
    }

    pub fn to_ip(self) -> IpAddr {
        if self.is_v4() { IpAddr::V4(Ipv4Addr::from(self.v4_bytes())) } else { IpAddr::V6(Ipv6Addr::from(self.0)) }
    }

    /// Neither multicast nor broadcast, unspecified nor loopback: what a TCP peer on a link can have (RFC 9293 3.9.2.3).
    pub fn is_unicast(&self) -> bool {
        if self.is_v4() {
            let first = self.v4_bytes()[0];
            (1..224).contains(&first) && first != 127
        } else {
            u128::from_be_bytes(self.0) > 1 && self.0[0] != 0xff
        }
    }

    /// The address `n` further on (wrapping in the low 64 bits): how ranges are counted.
    pub fn plus(self, n: u32) -> Addr {
        if self.is_v4() {
            return Addr::v4(u32::from_be_bytes(self.v4_bytes()).wrapping_add(n).to_be_bytes());
        }
        let v = u128::from_be_bytes(self.0).wrapping_add(u128::from(n));
        Addr(v.to_be_bytes())
    }

    /// The first `prefix_len` bits equal those of `net`. For IPv4 the prefix length is the IPv4 one (0 to 32).
    pub fn in_prefix(&self, net: &Addr, prefix_len: u8) -> bool {
        if self.is_v4() != net.is_v4() {
            return false;
        }
        let bits = if net.is_v4() { 96 + u32::from(prefix_len.min(32)) } else { u32::from(prefix_len.min(128)) };
        let mask = if bits == 0 { 0 } else { u128::MAX << (128 - bits) };
        (u128::from_be_bytes(self.0) ^ u128::from_be_bytes(net.0)) & mask == 0
    }

    /// All host bits are ones in an IPv4 subnet of this prefix length: it means all of that subnet's hosts (RFC 1122
    /// 3.2.1.3). Subnets of one or two hosts have no such address (RFC 3021).
    pub fn is_subnet_broadcast(&self, prefix_len: u8) -> bool {
        let host_bits = u32::MAX.checked_shr(u32::from(prefix_len)).unwrap_or(0);
        prefix_len < 31 && self.is_v4() && u32::from_be_bytes(self.v4_bytes()) & host_bits == host_bits
    }

    /// ff02::1:ffXX:XXXX, where neighbour solicitations for this address go (RFC 4861 2.3, RFC 4291 2.7.1).
    pub fn solicited_node(&self) -> Addr {
        let b = self.0;
        Addr([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, b[13], b[14], b[15]])
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Addr {
        match ip {
            IpAddr::V4(a) => Addr::v4(a.octets()),
            IpAddr::V6(a) => Addr(a.octets()),
        }
    }
}

impl From<Ipv4Addr> for Addr {
    fn from(a: Ipv4Addr) -> Addr {
        Addr::v4(a.octets())
    }
}

impl From<Ipv6Addr> for Addr {
    fn from(a: Ipv6Addr) -> Addr {
        Addr(a.octets())
    }
}

impl core::fmt::Debug for Addr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(&self.to_ip(), f)
    }
}

impl core::fmt::Display for Addr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(&self.to_ip(), f)
    }
}
