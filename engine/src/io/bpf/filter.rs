//! What belongs to the engine: addresses and ports, checked and put in order.
//!
//! An address is either *exclusive* (the kernel does not have it: everything about it is ours, ARP and ping
//! included) or *shared* with the kernel (ours are only the named TCP ports; the kernel goes on answering ARP,
//! neighbour solicitations, pings and its own connections).
//!
//! Left out on purpose: priorities and exceptions. Ranges that contradict each other are an error.

use crate::io::IoError;
use crate::wire::Addr;

/// The addresses whose traffic the XDP program gives to the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterSpec {
    pub addresses: Vec<FilterAddr>,
}

/// A run of `count` addresses from `first` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterAddr {
    pub first: Addr,
    pub count: u32,
    /// The kernel does not have these addresses: every TCP port, ARP, NDP and echo requests are the engine's.
    pub exclusive: bool,
    /// For shared addresses: the engine's local TCP ports, as inclusive ranges. Ignored for exclusive ones.
    pub ports: Vec<(u16, u16)>,
}

impl FilterAddr {
    /// Addresses that only the engine has.
    pub fn exclusive(first: Addr, count: u32) -> FilterAddr {
        FilterAddr { first, count, exclusive: true, ports: Vec::new() }
    }

    /// Addresses that the kernel has as well; `ports` are the engine's.
    pub fn shared(first: Addr, count: u32, ports: &[(u16, u16)]) -> FilterAddr {
        FilterAddr { first, count, exclusive: false, ports: ports.to_vec() }
    }
}

/// What is done with a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Everything,
    /// Only the ports of `Tables::port_sets[n]`.
    Ports(usize),
}

/// Addresses `first..=last`, as numbers (IPv4: the 32 bits of the address).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub first: u128,
    pub last: u128,
    pub claim: Claim,
}

/// The checked form: disjoint, sorted, neighbours of the same claim joined.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tables {
    pub v4: Vec<Range>,
    pub v6: Vec<Range>,
    /// Each sorted and disjoint.
    pub port_sets: Vec<Vec<(u16, u16)>>,
}

impl FilterSpec {
    pub(super) fn tables(&self) -> Result<Tables, IoError> {
        if self.addresses.is_empty() {
            return Err(IoError::new("address filter: no address is the engine's", "name at least one address"));
        }
        let mut tables = Tables::default();
        for address in &self.addresses {
            let claim = if address.exclusive {
                Claim::Everything
            } else {
                let set = port_set(address)?;
                let known = tables.port_sets.iter().position(|s| *s == set);
                Claim::Ports(known.unwrap_or_else(|| {
                    tables.port_sets.push(set);
                    tables.port_sets.len() - 1
                }))
            };
            let (first, last) = bounds(address)?;
            let family = if address.first.is_v4() { &mut tables.v4 } else { &mut tables.v6 };
            family.push(Range { first, last, claim });
        }
        tables.v4 = joined(tables.v4, |n| Addr::v4((n as u32).to_be_bytes()))?;
        tables.v6 = joined(tables.v6, |n| Addr(n.to_be_bytes()))?;
        Ok(tables)
    }
}

fn bounds(address: &FilterAddr) -> Result<(u128, u128), IoError> {
    let FilterAddr { first, count, .. } = address;
    let (start, top) = if first.is_v4() {
        (u128::from(u32::from_be_bytes(first.v4_bytes())), u128::from(u32::MAX))
    } else {
        (u128::from_be_bytes(first.0), u128::MAX)
    };
    let Some(more) = count.checked_sub(1) else {
        return Err(IoError::new(format!("address filter: {first} with a count of 0"), "name at least one address"));
    };
    match start.checked_add(u128::from(more)) {
        Some(last) if last <= top => Ok((start, last)),
        _ => Err(IoError::new(
            format!("address filter: {count} addresses from {first} run past the end of the address space"),
            "name fewer addresses",
        )),
    }
}

fn port_set(address: &FilterAddr) -> Result<Vec<(u16, u16)>, IoError> {
    let first = address.first;
    if address.ports.is_empty() {
        return Err(IoError::new(
            format!("address filter: {first} is shared with the kernel, but no TCP port of it is the engine's"),
            "name its ports, or use an address that the kernel does not have",
        ));
    }
    if let Some((low, high)) = address.ports.iter().find(|(low, high)| low > high) {
        return Err(IoError::new(
            format!("address filter: port range {low}-{high} of {first} is backwards"),
            "write the lower port first",
        ));
    }
    let mut sorted = address.ports.clone();
    sorted.sort_unstable();
    let mut set: Vec<(u16, u16)> = Vec::with_capacity(sorted.len());
    for (low, high) in sorted {
        match set.last_mut() {
            Some(last) if u32::from(low) <= u32::from(last.1) + 1 => last.1 = last.1.max(high),
            _ => set.push((low, high)),
        }
    }
    Ok(set)
}

/// Sorts, refuses contradictions, and joins neighbours of the same claim.
fn joined(mut ranges: Vec<Range>, show: fn(u128) -> Addr) -> Result<Vec<Range>, IoError> {
    ranges.sort_unstable_by_key(|r| (r.first, r.last));
    let mut out: Vec<Range> = Vec::with_capacity(ranges.len());
    for r in ranges {
        match out.last_mut() {
            Some(last) if last.claim == r.claim && r.first <= last.last.saturating_add(1) => {
                last.last = last.last.max(r.last);
            }
            Some(last) if r.first <= last.last => {
                return Err(IoError::new(
                    format!("address filter: {} is named twice, with different ports", show(r.first)),
                    "name each address once, with all of its ports",
                ));
            }
            _ => out.push(r),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(d: u8) -> Addr {
        Addr::v4([198, 18, 0, d])
    }

    #[test]
    fn neighbours_of_the_same_claim_become_one_range() {
        let addresses = (0..=255).rev().map(|d| FilterAddr::exclusive(v4(d), 1)).collect();
        let tables = FilterSpec { addresses }.tables().unwrap();
        let first = u128::from(u32::from_be_bytes([198, 18, 0, 0]));
        assert_eq!(tables.v4, vec![Range { first, last: first + 255, claim: Claim::Everything }]);
    }

    #[test]
    fn equal_port_sets_are_kept_once_sorted_and_joined() {
        let a = FilterAddr::shared(v4(1), 1, &[(90, 99), (80, 89), (7, 7)]);
        let b = FilterAddr::shared(v4(9), 1, &[(7, 7), (80, 99)]);
        let tables = FilterSpec { addresses: vec![a, b] }.tables().unwrap();
        assert_eq!(tables.port_sets, vec![vec![(7, 7), (80, 99)]]);
        assert_eq!(tables.v4.len(), 2);
    }

    #[test]
    fn contradictions_and_nonsense_are_refused_with_the_address_named() {
        let refused = |addresses: Vec<FilterAddr>, word: &str| {
            let e = FilterSpec { addresses }.tables().unwrap_err();
            assert!(e.what.contains(word) && !e.hint.is_empty(), "{e}");
        };
        refused(vec![FilterAddr::exclusive(v4(0), 9), FilterAddr::shared(v4(3), 1, &[(1, 2)])], "198.18.0.3");
        refused(vec![], "no address");
        refused(vec![FilterAddr::exclusive(v4(0), 0)], "count of 0");
        refused(vec![FilterAddr::exclusive(Addr::v4([255, 255, 255, 255]), 2)], "past the end");
        refused(vec![FilterAddr::exclusive(Addr([0xff; 16]), 2)], "past the end");
        refused(vec![FilterAddr::shared(v4(1), 1, &[])], "no TCP port");
        refused(vec![FilterAddr::shared(v4(1), 1, &[(9, 8)])], "backwards");
    }

    #[test]
    fn the_last_address_of_each_family_is_usable() {
        let addresses = vec![FilterAddr::exclusive(Addr::v4([255; 4]), 1), FilterAddr::exclusive(Addr([0xff; 16]), 1)];
        let tables = FilterSpec { addresses }.tables().unwrap();
        assert_eq!((tables.v4[0].last, tables.v6[0].last), (u128::from(u32::MAX), u128::MAX));
    }
}
