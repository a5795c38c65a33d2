//! Routes: by which interface, gateway and source address the kernel would reach a target.

use super::netlink::{name_of, request};
use crate::io::IoError;
use crate::wire::Addr;
use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::io::Error;

/// How the kernel would send to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub ifindex: u32,
    /// `None` when the target is on the link.
    pub gateway: Option<Addr>,
    /// The source address the kernel would take.
    pub source: Option<Addr>,
    /// The target is one of this machine's own addresses.
    pub local: bool,
}

/// Asks the kernel for its route to `target`. `source` narrows it to policy rules for that address; `ifindex` to
/// routes over that interface. A source that the kernel does not have (an engine's own) is disregarded.
pub fn route_get(target: Addr, source: Option<Addr>, ifindex: Option<u32>) -> Result<Route, IoError> {
    let with_source = ask(target, source, ifindex);
    let answer = match with_source {
        Err(e) if source.is_some() && foreign_source(&e) => ask(target, None, ifindex),
        other => other,
    };
    answer.map_err(|e| {
        let over = ifindex.map(|i| format!(" over {}", name_of(i))).unwrap_or_default();
        let hint = match e.raw_os_error() {
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH) => {
                format!("see ip route get {target}; give the interface an address in its network or a gateway")
            }
            Some(libc::ENODEV) => "see ip link".into(),
            _ => String::new(),
        };
        IoError::os(format!("there is no route to {target}{over}"), &e, hint)
    })
}

fn foreign_source(e: &Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EADDRNOTAVAIL))
}

fn family(addr: Addr) -> AddressFamily {
    if addr.is_v4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn to_netlink(addr: Addr) -> RouteAddress {
    match addr.to_ip() {
        std::net::IpAddr::V4(a) => RouteAddress::Inet(a),
        std::net::IpAddr::V6(a) => RouteAddress::Inet6(a),
    }
}

fn from_netlink(addr: &RouteAddress) -> Option<Addr> {
    match addr {
        RouteAddress::Inet(a) => Some(Addr::from(*a)),
        RouteAddress::Inet6(a) => Some(Addr::from(*a)),
        _ => None,
    }
}

fn ask(target: Addr, source: Option<Addr>, ifindex: Option<u32>) -> Result<Route, Error> {
    let bits = if target.is_v4() { 32 } else { 128 };
    let mut message = RouteMessage::default();
    message.header.address_family = family(target);
    message.header.destination_prefix_length = bits;
    message.attributes.push(RouteAttribute::Destination(to_netlink(target)));
    if let Some(source) = source.filter(|s| s.is_v4() == target.is_v4()) {
        message.header.source_prefix_length = bits;
        message.attributes.push(RouteAttribute::Source(to_netlink(source)));
    }
    if let Some(ifindex) = ifindex {
        message.attributes.push(RouteAttribute::Oif(ifindex));
    }
    let replies = request(RouteNetlinkMessage::GetRoute(message), 0)?;
    let route = replies.into_iter().find_map(|m| match m {
        RouteNetlinkMessage::NewRoute(route) => Some(route),
        _ => None,
    });
    let route = route.ok_or_else(|| Error::from_raw_os_error(libc::ENETUNREACH))?;
    let mut found = Route { ifindex: 0, gateway: None, source: None, local: route.header.kind == RouteType::Local };
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(ifindex) => found.ifindex = *ifindex,
            RouteAttribute::PrefSource(a) => found.source = from_netlink(a),
            other => found.gateway = gateway(other).or(found.gateway),
        }
    }
    Ok(found)
}

/// The next hop that an attribute names; it may be of the other family (RFC 5549 next hops).
fn gateway(attribute: &RouteAttribute) -> Option<Addr> {
    match attribute {
        RouteAttribute::Gateway(a) => from_netlink(a),
        RouteAttribute::Via(RouteVia::Inet(a)) => Some(Addr::from(*a)),
        RouteAttribute::Via(RouteVia::Inet6(a)) => Some(Addr::from(*a)),
        _ => None,
    }
}

/// Gateways of the default routes over this interface in the main table, both families, in the kernel's order.
pub fn default_gateways(ifindex: u32) -> Result<Vec<Addr>, IoError> {
    let mut gateways = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        let replies = request(RouteNetlinkMessage::GetRoute(message), NLM_F_DUMP)
            .map_err(|e| IoError::os("cannot read the routing table", &e, "see ip route"))?;
        let routes = replies.into_iter().filter_map(|m| match m {
            RouteNetlinkMessage::NewRoute(route) => Some(route),
            _ => None,
        });
        let over = |route: &RouteMessage| {
            route.header.destination_prefix_length == 0
                && route.header.kind == RouteType::Unicast
                && route.attributes.contains(&RouteAttribute::Oif(ifindex))
        };
        for route in routes.filter(over) {
            gateways.extend(route.attributes.iter().filter_map(gateway));
        }
    }
    Ok(gateways)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sys::netlink::interface;

    #[test]
    fn the_route_to_the_machine_itself_is_local() {
        let route = route_get(Addr::v4([127, 0, 0, 1]), None, None).unwrap();
        assert!(route.local && route.gateway.is_none(), "{route:?}");
        assert_eq!(route.ifindex, interface("lo").unwrap().ifindex);
    }

    #[test]
    fn an_unreachable_target_names_itself_and_the_interface() {
        let lo = interface("lo").unwrap().ifindex;
        let e = route_get(Addr::v4([240, 0, 0, 1]), None, Some(lo));
        if let Err(e) = e {
            assert!(e.what.contains("240.0.0.1") && e.what.contains("lo"), "{e}");
        }
        assert_eq!(default_gateways(lo).unwrap(), vec![]);
    }
}
