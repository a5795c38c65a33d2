//! What a driver can, found out by doing it: an XDP program and a socket for each worker. The program is never told of the
//! sockets, so every frame goes on to the kernel.

use super::Finding;
use synfin_engine::io::bpf::{FilterAddr, FilterSpec, XdpLink, XdpMode};
use synfin_engine::io::sys::Interface;
use synfin_engine::io::xsk::{XskConfig, XskIo, XskSet};
use synfin_engine::io::{IoError, PacketIo};
use synfin_engine::wire::Addr;

/// A program has to look for some address: this one is nobody's (RFC 5737).
const NOBODY: Addr = Addr::v4([192, 0, 2, 1]);

/// Attaches, opens, and takes everything away again.
pub fn attach(interface: &Interface, workers: u16) -> Vec<Finding> {
    let queues = interface.queues_in_use();
    let filter = FilterSpec { addresses: vec![FilterAddr::exclusive(NOBODY, 1)] };
    let link = match XdpLink::attach_auto(interface.ifindex, &filter, queues) {
        Ok(link) => link,
        Err(e) => return vec![Finding::refused("XDP", e)],
    };
    let mode = mode(&link, interface.kind.is_none());
    match open(interface, workers, &link) {
        Ok(sockets) => {
            // Ring sizes and the like are the program's own.
            let short = |s: &XskIo| s.describe().split(", ").next().unwrap_or_default().to_owned();
            let described: Vec<String> = sockets.iter().map(short).collect();
            let copies = sockets.iter().any(|s| !s.zero_copy());
            vec![mode, binding(&described, copies && interface.kind.is_none())]
        }
        Err(e) => vec![mode, Finding::refused("sockets", e)],
    }
}

fn open(interface: &Interface, workers: u16, link: &XdpLink) -> Result<Vec<XskIo>, IoError> {
    let mut config = XskConfig::new(&interface.name, interface.ifindex, u32::from(workers));
    config.attach_mode = Some(link.mode());
    XskSet::open(&config)
}

fn mode(link: &XdpLink, is_hardware: bool) -> Finding {
    match link.mode() {
        XdpMode::Native => Finding::ok("XDP", "native: the program runs in the driver"),
        XdpMode::Skb if is_hardware => Finding::warn(
            "XDP",
            format!("SKB mode only: {}", link.note()),
            "Use a card whose driver has native XDP, or a newer kernel for this one.",
        ),
        XdpMode::Skb => Finding::ok("XDP", format!("SKB mode only: {}", link.note())),
    }
}

fn binding(described: &[String], could_be_better: bool) -> Finding {
    let what = described.join(" · ");
    match could_be_better {
        true => Finding::warn("sockets", what, "The kernel copies each frame: this driver has no zero-copy."),
        false => Finding::ok("sockets", what),
    }
}
