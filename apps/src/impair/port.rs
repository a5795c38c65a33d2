//! An interface, all of whose packets are taken.

use crate::failure::Failure;
use crate::setup::site;
use synfin_engine::io::bpf::{XdpLink, XdpMode};
use synfin_engine::io::sys::multicast::{Membership, receive_all};
use synfin_engine::io::sys::{self, Capabilities, Interface};
use synfin_engine::io::xsk::{MTU_MAX, XskConfig, XskIo, XskSet};

/// An interface whose every receive queue has a socket.
pub struct Port {
    pub interface: Interface,
    pub queues: Vec<XskIo>,
    pub guard: Guard,
}

/// Held while the sockets are in use. Dropping it, or the end of the process, gives the interface back.
pub struct Guard {
    _link: XdpLink,
    _membership: Membership,
}

/// Room for what comes while others have the core: 200 ms of full segments at 10^9 bits a second, or half of it on each of several queues.
fn config(name: &str, ifindex: u32, count: u32, mode: XdpMode) -> XskConfig {
    let ring = if count == 1 { 16_384 } else { 8_192 };
    let frames_per_queue = ring / 2 * 3;
    let attach_mode = Some(mode);
    XskConfig { attach_mode, rx_size: ring, fill_size: ring, frames_per_queue, ..XskConfig::new(name, ifindex, count) }
}

impl Port {
    pub fn open(name: &str) -> Result<Port, Failure> {
        let interface = sys::interface(name)?;
        Capabilities::current().require()?;
        site::usable(&interface)?;
        if interface.mtu > MTU_MAX {
            return Err(Failure::new(
                format!("the MTU of {name}, {}, is larger than {MTU_MAX}", interface.mtu),
                format!("Lower it, and that of the other end: ip link set dev {name} mtu 1500"),
            ));
        }
        let membership = receive_all(interface.ifindex)?;
        let count = interface.rx_queues.max(1);
        let link = XdpLink::attach_auto_for_all(interface.ifindex, count)?;
        if link.mode() == XdpMode::Skb && interface.kind.as_deref() == Some("veth") {
            return Err(Failure::new(
                format!("on {name} the other end would keep its offloads, and send packets of 64 KiB: {}", link.note()),
                "Set the veth pair up so that native XDP is possible.",
            ));
        }
        let config = config(name, interface.ifindex, count, link.mode());
        let queues = XskSet::open(&config)?;
        for socket in &queues {
            link.set_socket(socket.queue(), socket.fd())?;
        }
        Ok(Port { interface, queues, guard: Guard { _link: link, _membership: membership } })
    }
}
