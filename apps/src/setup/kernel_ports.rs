//! Which TCP ports the kernel uses on addresses that we share with it: those stay the kernel's.

use crate::cli::values::Ports;
use crate::failure::Failure;
use std::collections::BTreeSet;

/// Where well-known ports end; we never take them for connections of our own.
const FIRST_FREE: u16 = 1024;
/// The kernel's first ephemeral port unless it says otherwise (ip_local_port_range).
const FIRST_EPHEMERAL: u16 = 32_768;

/// Local ports of all TCP sockets of the kernel in this network namespace, listening or connected.
pub fn in_use() -> BTreeSet<u16> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/net/{name}")).unwrap_or_default();
    ["tcp", "tcp6"].iter().flat_map(|name| local_ports(&read(name))).collect()
}

/// Local ports of a table as /proc/net/tcp has it.
fn local_ports(table: &str) -> Vec<u16> {
    let port = |line: &str| {
        let local = line.split_whitespace().nth(1)?;
        u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()
    };
    table.lines().skip(1).filter_map(port).collect()
}

fn first_ephemeral() -> u16 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    text.split_whitespace().next().and_then(|t| t.parse().ok()).unwrap_or(FIRST_EPHEMERAL)
}

/// Ports for connections of our own from an address that the kernel has too: the largest stretch below the kernel's
/// ephemeral ports in which it uses none.
pub fn free_ports() -> Result<Ports, Failure> {
    let last = first_ephemeral().saturating_sub(1);
    largest_gap(&in_use(), FIRST_FREE, last).filter(|p| p.count() >= 16).ok_or_else(|| {
        Failure::new(
            format!("the kernel leaves no source ports between {FIRST_FREE} and {last} on an address that it has too"),
            "Name ports that it does not use with --source-ports, or use an --address that the kernel does not have.",
        )
    })
}

fn largest_gap(used: &BTreeSet<u16>, first: u16, last: u16) -> Option<Ports> {
    let (mut best, mut from): (Option<Ports>, u32) = (None, u32::from(first));
    let ends = used.iter().copied().filter(|p| (first..=last).contains(p)).map(u32::from);
    for end in ends.chain([u32::from(last) + 1]) {
        if end > from {
            let gap = Ports { first: from as u16, last: (end - 1) as u16 };
            if best.is_none_or(|b| gap.count() > b.count()) {
                best = Some(gap);
            }
        }
        from = from.max(end + 1);
    }
    best
}

/// Refuses ports that a socket of the kernel has.
pub fn check_unused(ports: &[Ports], option: &str) -> Result<(), Failure> {
    let used = in_use();
    let taken = ports.iter().find_map(|p| used.range(p.first..=p.last).next());
    match taken {
        None => Ok(()),
        Some(port) => Err(Failure::new(
            format!("port {port} is in use by a TCP socket of the kernel, on an address shared with it"),
            format!(
                "Choose another {option}, stop that program (ss -tlnp shows it), or use an --address that the kernel \
                 does not have."
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_from_the_kernels_table() {
        let table = "  sl  local_address rem_address   st\n   0: 00000000:0016 00000000:0000 0A\n   1: \
                     0100007F:1F90 0100007F:C001 01\n";
        assert_eq!(local_ports(table), [22, 8080]);
        assert!(local_ports("").is_empty());
    }

    #[test]
    fn the_largest_stretch_without_a_used_port_is_taken() {
        let gap = |used: &[u16]| largest_gap(&used.iter().copied().collect(), 1024, 2000).map(|p| (p.first, p.last));
        assert_eq!(gap(&[]), Some((1024, 2000)));
        assert_eq!(gap(&[22, 1100, 1101, 65_000]), Some((1102, 2000)));
        assert_eq!(gap(&[2000, 1024]), Some((1025, 1999)));
        assert_eq!(largest_gap(&(1..=u16::MAX).collect(), 1024, u16::MAX), None);
        assert_eq!(largest_gap(&BTreeSet::new(), 1024, u16::MAX).map(|p| p.last), Some(u16::MAX));
    }
}
