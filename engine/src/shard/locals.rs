//! The engine's own addresses, numbered, and the way from each of them to the rest of the world.

use super::config::LocalNet;
use crate::wire::Addr;

struct Entry {
    net: LocalNet,
    first_id: u32,
    v4: bool,
    /// The first address: its first eight bytes, which all have in common, and the others as a number.
    prefix: [u8; 8],
    first: u64,
    subnet: Subnet,
}

impl Entry {
    /// All hosts of the subnet.
    #[inline(always)]
    fn is_broadcast(&self, remote: &Addr) -> bool {
        remote.is_subnet_broadcast(self.net.prefix_len) && self.subnet.has(remote)
    }
}

/// What addresses are compared with, in the order in which their bytes lie in memory.
struct Subnet {
    net: u128,
    mask: u128,
}

impl Subnet {
    fn of(net: &LocalNet) -> Subnet {
        let bits =
            if net.first.is_v4() { 96 + u32::from(net.prefix_len.min(32)) } else { net.prefix_len.min(128).into() };
        let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0).to_be();
        Subnet { net: u128::from_ne_bytes(net.first.0) & mask, mask }
    }

    #[inline(always)]
    fn has(&self, addr: &Addr) -> bool {
        u128::from_ne_bytes(addr.0) & self.mask == self.net
    }
}

pub struct Locals {
    entries: Vec<Entry>,
    /// All addresses, by their numbers.
    addrs: Vec<Addr>,
    gateway_v4: Option<Addr>,
    gateway_v6: Option<Addr>,
}

/// The first eight bytes, and the others as a number.
#[inline(always)]
fn halves(addr: &Addr) -> ([u8; 8], u64) {
    let [a, b, c, d, e, f, g, h, rest @ ..] = addr.0;
    ([a, b, c, d, e, f, g, h], u64::from_be_bytes(rest))
}

/// The range in two, where its addresses do not all have their first eight bytes in common.
fn within_halves(net: &LocalNet) -> impl Iterator<Item = LocalNet> {
    let (_, first) = halves(&net.first);
    let low = (u64::MAX - first).saturating_add(1).min(net.count.into()) as u32;
    let rest = LocalNet { first: net.first.plus(low), count: net.count - low, ..*net };
    [LocalNet { count: low, ..*net }, rest].into_iter().filter(|net| net.count > 0)
}

impl Locals {
    /// Ids are 16 bits: addresses beyond 65,536 are left out (the programs refuse such a configuration).
    pub fn new(nets: &[LocalNet], gateway_v4: Option<Addr>, gateway_v6: Option<Addr>) -> Locals {
        let mut first_id = 0u32;
        let mut entries = Vec::new();
        for net in nets.iter().flat_map(within_halves) {
            let net = LocalNet { count: net.count.min(65_536 - first_id), ..net };
            let (prefix, first) = halves(&net.first);
            entries.push(Entry { net, first_id, v4: net.first.is_v4(), prefix, first, subnet: Subnet::of(&net) });
            first_id += net.count;
        }
        let addrs = entries.iter().flat_map(|e| (0..e.net.count).map(|n| e.net.first.plus(n))).collect();
        Locals { entries, addrs, gateway_v4, gateway_v6 }
    }

    /// Number of an address of ours.
    #[inline]
    pub fn id_of(&self, addr: &Addr) -> Option<u16> {
        let (prefix, number) = halves(addr);
        for e in &self.entries {
            let offset = number.wrapping_sub(e.first);
            if prefix == e.prefix && offset < u64::from(e.net.count) {
                return Some((e.first_id + offset as u32) as u16);
            }
        }
        None
    }

    fn entry(&self, id: u16) -> Option<&Entry> {
        self.entries.iter().find(|e| u32::from(id).wrapping_sub(e.first_id) < e.net.count)
    }

    #[inline]
    pub fn addr(&self, id: u16) -> &Addr {
        self.addrs.get(usize::from(id)).unwrap_or(&Addr::UNSPECIFIED_V6)
    }

    /// Address `id` is the engine's alone.
    pub fn is_exclusive(&self, id: u16) -> bool {
        self.entry(id).is_some_and(|e| e.net.exclusive)
    }

    /// `remote` may be another host's, as seen from `id`: neither our own nor that of all hosts of the subnet.
    pub fn is_peer(&self, id: u16, remote: &Addr) -> bool {
        self.id_of(remote).is_none() && !self.entry(id).is_some_and(|e| e.is_broadcast(remote))
    }

    /// The station to which a packet from `id` to `remote` has to go first; `None`: no route.
    #[inline(always)]
    pub fn next_hop(&self, id: u16, remote: &Addr) -> Option<Addr> {
        self.next_hop_from(self.entry(id)?, remote)
    }

    #[inline(always)]
    fn next_hop_from(&self, e: &Entry, remote: &Addr) -> Option<Addr> {
        if e.v4 != remote.is_v4() {
            return None;
        }
        if e.subnet.has(remote) {
            return Some(*remote);
        }
        if e.v4 { self.gateway_v4 } else { self.gateway_v6 }
    }

    /// As [`Locals::next_hop`], if `remote` [is a peer](Locals::is_peer), and no group.
    pub fn route(&self, id: u16, remote: &Addr) -> Option<Addr> {
        let e = self.entry(id)?;
        let hop = self.next_hop_from(e, remote)?;
        (remote.is_unicast() && self.id_of(remote).is_none() && !e.is_broadcast(remote)).then_some(hop)
    }

    /// An address of ours in the subnet of `addr`, or any of its family: the sender of ARP and NDP requests.
    pub fn speaker_for(&self, addr: &Addr) -> Option<Addr> {
        let mut same_family = self.entries.iter().filter(|e| e.v4 == addr.is_v4());
        let on_link = same_family.clone().find(|e| e.subnet.has(addr));
        on_link.or_else(|| same_family.next()).map(|e| e.net.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;

    fn net(first: Addr, count: u32, prefix_len: u8) -> LocalNet {
        LocalNet { first, count, prefix_len, exclusive: true }
    }

    fn v6(last: u64) -> Addr {
        let [a, b, c, d, e, f, g, h] = last.to_be_bytes();
        Addr([0x20, 1, 0, 2, 0, 0, 0, 0, a, b, c, d, e, f, g, h])
    }

    #[test]
    fn every_address_of_ours_has_its_number_and_no_other_has_one() {
        // The last one goes beyond what its first eight bytes can name.
        let border = net(v6(u64::MAX - 3), 10, 60);
        let nets =
            [net(Addr::v4([198, 18, 0, 250]), 20, 24), net(v6(0xfffe), 300, 64), net(v6(1 << 40), 1, 64), border];
        let locals = Locals::new(&nets, None, None);
        let all = nets.iter().flat_map(|net| (0..net.count).map(|n| net.first.plus(n)));
        for (id, addr) in (0..).zip(all) {
            assert_eq!((locals.id_of(&addr), locals.addr(id)), (Some(id), &addr));
        }
        let others = [Addr::v4([198, 18, 0, 249]), Addr::v4([198, 18, 1, 14]), v6(0xfffd), v6(0x1012a), v6(1)];
        assert!(others.iter().all(|addr| locals.id_of(addr).is_none()));
        assert_eq!(locals.addr(331), &Addr::UNSPECIFIED_V6);
    }

    #[test]
    fn subnet_has_what_begins_with_its_prefix() {
        let mut rng = Rng::new(3);
        for round in 0..20_000u32 {
            let is_v4 = round % 2 == 0;
            let prefix_len = rng.below(if is_v4 { 33 } else { 129 }) as u8;
            let first = if is_v4 { Addr::v4((rng.next_u64() as u32).to_be_bytes()) } else { v6(rng.next_u64()) };
            let mut near = first;
            near.0[12 + rng.below(4) as usize] ^= 1 << rng.below(8);
            let subnet = Subnet::of(&net(first, 1, prefix_len));
            for addr in [first, near] {
                assert_eq!(subnet.has(&addr), addr.in_prefix(&first, prefix_len), "{addr} in {first}/{prefix_len}");
            }
        }
    }
}
