//! Targets: names to addresses, and the next hop on the way to each.

use super::Site;
use crate::cli::NetArgs;
use crate::cli::check::reachable_in_form;
use crate::cli::values::{Host, Target};
use crate::failure::Failure;
use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;
use synfin_engine::io::sys;
use synfin_engine::wire::{Addr, Mac};

/// How long the kernel may take to find a neighbour: three ARP requests, a second apart.
const NEIGHBOUR_PATIENCE: Duration = Duration::from_millis(3500);

/// Targets as addresses; names are looked up.
pub fn targets(targets: &[Target], net: &NetArgs) -> Result<Vec<(Addr, u16)>, Failure> {
    targets.iter().map(|t| Ok((address(t, net)?, t.port))).collect()
}

fn address(target: &Target, net: &NetArgs) -> Result<Addr, Failure> {
    let name = match &target.host {
        Host::Ip(ip) => return Ok(Addr::from(*ip)),
        Host::Name(name) => name,
    };
    let found: Vec<IpAddr> = (name.as_str(), target.port)
        .to_socket_addrs()
        .map_err(|e| Failure::new(format!("cannot look up {name}: {e}"), "Give the target's address instead."))?
        .map(|s| s.ip())
        .collect();
    let usable = found.iter().find(|ip| reachable_in_form(**ip, net).is_ok());
    match (usable, found.first()) {
        (Some(ip), _) => Ok(Addr::from(*ip)),
        (None, Some(ip)) => reachable_in_form(*ip, net).map(|()| Addr::from(*ip)),
        (None, None) => Err(Failure::new(format!("{name} has no address"), "Give the target's address instead.")),
    }
}

/// A target, the own address that speaks to it first, and whom its frames are addressed to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    pub local: Addr,
    /// The kernel does not have `local`, so it cannot ask for it.
    pub exclusive: bool,
    pub remote: Addr,
    pub hop: Addr,
}

/// How each target is reached.
pub fn ways(targets: &[(Addr, u16)], site: &Site) -> Result<Vec<Way>, Failure> {
    let mut ways: Vec<Way> = Vec::new();
    for &(remote, _) in targets {
        let way = way(remote, site)?;
        if !ways.iter().any(|w| w.hop == way.hop) {
            ways.push(way);
        }
    }
    Ok(ways)
}

fn way(remote: Addr, site: &Site) -> Result<Way, Failure> {
    let own = || site.own.iter().filter(|o| o.range.first.is_v4() == remote.is_v4());
    if let Some(o) = own().find(|o| remote.in_prefix(&o.range.first, o.range.prefix_len)) {
        return Ok(Way { local: o.range.first, exclusive: o.exclusive, remote, hop: remote });
    }
    let hop = site.gateway(remote.is_v4()).ok_or_else(|| {
        Failure::new(
            format!("target {remote} lies in the subnet of no --address, and there is no gateway"),
            "Check the prefix length of --address, or name the router with --gateway.",
        )
    })?;
    let o = own().find(|o| hop.in_prefix(&o.range.first, o.range.prefix_len)).or_else(|| own().next());
    o.map(|o| Way { local: o.range.first, exclusive: o.exclusive, remote, hop })
        .ok_or_else(|| Failure::new(format!("no --address of the family of {remote}"), "Add one."))
}

/// What is said when nobody answers for a next hop.
pub fn unanswered(hop: Addr, interface: &str) -> Failure {
    let protocol = if hop.is_v4() { "ARP" } else { "neighbour solicitations" };
    Failure::new(
        format!("no answer to {protocol} for {hop} on {interface}"),
        "Check that the target is up and on this link (and in this VLAN), or name a router with --gateway.",
    )
}

/// Next hops towards which an address shared with the kernel speaks: the answers go to the kernel, so it is asked.
pub fn kernel_neighbours(ways: &[Way], site: &Site) -> Result<Vec<(Addr, Mac)>, Failure> {
    let shared = ways.iter().filter(|w| !w.exclusive);
    shared
        .map(|w| match sys::resolve_neighbour(site.interface.ifindex, w.hop, NEIGHBOUR_PATIENCE) {
            Ok(mac) => Ok((w.hop, mac)),
            Err(_) => Err(unanswered(w.hop, &site.interface.name)),
        })
        .collect()
}
