//! The interface, and which of our addresses on it the kernel has as well.

use crate::cli::NetArgs;
use crate::cli::values::AddressRange;
use crate::failure::Failure;
use synfin_engine::io::sys::{self, Capabilities, Interface};
use synfin_engine::wire::Addr;

/// Addresses of ours that are all shared with the kernel, or all ours alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnRange {
    pub range: AddressRange,
    /// The kernel does not have them.
    pub exclusive: bool,
}

/// Where a run takes place.
#[derive(Clone, Debug)]
pub struct Site {
    pub interface: Interface,
    pub own: Vec<OwnRange>,
    pub gateway_v4: Option<Addr>,
    pub gateway_v6: Option<Addr>,
    /// Asked for, or the interface's. [`Device::mtu`](super::Device) is what of it can be had.
    pub mtu: u16,
}

impl Site {
    /// Looks at the machine. Changes nothing.
    pub fn survey(args: &NetArgs) -> Result<Site, Failure> {
        let interface = sys::interface(&args.interface)?;
        Capabilities::current().require()?;
        usable(&interface)?;
        let mtu = mtu(args.mtu, &interface)?;
        let own = args.address.iter().flat_map(|range| split(range, &interface.addresses)).collect();
        let gateways = if args.gateway.is_empty() {
            sys::default_gateways(interface.ifindex).unwrap_or_default()
        } else {
            args.gateway.clone()
        };
        let on_link = |g: &Addr| args.address.iter().any(|a| g.in_prefix(&a.first, a.prefix_len));
        let gateway = |v4: bool| gateways.iter().copied().find(|g| g.is_v4() == v4 && on_link(g));
        Ok(Site { own, gateway_v4: gateway(true), gateway_v6: gateway(false), mtu, interface })
    }

    pub fn shared(&self) -> impl Iterator<Item = &AddressRange> {
        self.own.iter().filter(|o| !o.exclusive).map(|o| &o.range)
    }

    pub fn gateway(&self, v4: bool) -> Option<Addr> {
        if v4 { self.gateway_v4 } else { self.gateway_v6 }
    }
}

pub fn usable(interface: &Interface) -> Result<(), Failure> {
    let name = &interface.name;
    if interface.loopback {
        return Err(Failure::new(
            format!("{name} is the loopback interface, where frames never reach a device"),
            "Use a network card or one end of a veth pair; scripts/lab makes one to try.",
        ));
    }
    if !interface.up {
        return Err(Failure::new(format!("{name} is down"), format!("Switch it on: ip link set dev {name} up")));
    }
    if !interface.running {
        return Err(Failure::new(
            format!("{name} has no carrier"),
            "Plug in the cable, or switch on the other end of the veth pair.",
        ));
    }
    Ok(())
}

fn mtu(asked: Option<u16>, interface: &Interface) -> Result<u16, Failure> {
    let name = &interface.name;
    match asked {
        Some(mtu) if u32::from(mtu) > interface.mtu => Err(Failure::new(
            format!("--mtu {mtu} is larger than the MTU of {name}, {}", interface.mtu),
            format!("Lower --mtu, or raise the interface's: ip link set dev {name} mtu {mtu}"),
        )),
        Some(mtu) => Ok(mtu),
        None => Ok(u16::try_from(interface.mtu).unwrap_or(u16::MAX)),
    }
}

/// Cuts a range wherever the kernel has an address in it.
fn split(range: &AddressRange, kernel: &[(Addr, u8)]) -> Vec<OwnRange> {
    let mut taken: Vec<u32> =
        kernel.iter().filter(|(a, _)| range.contains(*a)).map(|(a, _)| offset(range.first, *a)).collect();
    taken.sort_unstable();
    taken.dedup();
    let piece = |from: u32, count: u32, exclusive: bool| OwnRange {
        range: AddressRange { first: range.first.plus(from), count, prefix_len: range.prefix_len },
        exclusive,
    };
    let (mut out, mut at) = (Vec::new(), 0);
    for t in taken {
        if t > at {
            out.push(piece(at, t - at, true));
        }
        out.push(piece(t, 1, false));
        at = t + 1;
    }
    if at < range.count {
        out.push(piece(at, range.count - at, true));
    }
    out
}

/// How far `addr` lies behind `first`; both are in one range, so it fits.
fn offset(first: Addr, addr: Addr) -> u32 {
    (u128::from_be_bytes(addr.0) - u128::from_be_bytes(first.0)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::values::{address, address_range};

    fn pieces(range: &str, kernel: &[&str]) -> Vec<String> {
        let kernel: Vec<(Addr, u8)> = kernel.iter().map(|a| (address(a).unwrap(), 24)).collect();
        let name = |o: OwnRange| format!("{}{}", o.range, if o.exclusive { "" } else { " shared" });
        split(&address_range(range).unwrap(), &kernel).into_iter().map(name).collect()
    }

    #[test]
    fn a_range_is_cut_at_every_address_that_the_kernel_has() {
        assert_eq!(pieces("198.18.0.1/24", &[]), ["198.18.0.1/24"]);
        assert_eq!(pieces("198.18.0.1/24", &["198.18.0.1"]), ["198.18.0.1/24 shared"]);
        let cut = pieces("198.18.0.1-198.18.0.9/24", &["198.18.0.5", "198.18.0.1", "198.18.0.77", "2001:2::1"]);
        let want =
            ["198.18.0.1/24 shared", "198.18.0.2-198.18.0.4/24", "198.18.0.5/24 shared", "198.18.0.6-198.18.0.9/24"];
        assert_eq!(cut, want);
        assert_eq!(pieces("2001:2::1-2001:2::2/64", &["2001:2::2"]), ["2001:2::1/64", "2001:2::2/64 shared"]);
    }
}
