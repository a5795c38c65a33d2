//! The short way from an interface to an application: one queue, one worker, one address.
//!
//! For programs that need no more than that, and as an example of how the parts fit together. Programs that want several
//! queues, gateways or taps put the parts together themselves, as the `synfin` program does.

use super::{Clock, RunError, RunOptions, Running, start_with};
use crate::control::Control;
use crate::io::bpf::{FilterAddr, FilterSpec, XdpLink, XdpMode};
use crate::io::sys::netlink::{self, Interface};
use crate::io::sys::route;
use crate::io::xsk::{MTU_MAX, XskConfig, XskIo, XskSet};
use crate::io::{IoError, PacketIo};
use crate::shard::{App, LocalNet, Secrets, Shard, ShardConfig};
use crate::wire::Addr;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;

/// An AF_XDP socket on queue 0 of an interface, fed with the traffic for one address.
///
/// Dropping it (or the process dying) takes the XDP program off the interface.
pub struct Endpoint {
    /// Change it before `run`: TCP settings, limits, MTU.
    pub config: ShardConfig,
    io: XskIo,
    link: XdpLink,
}

/// A running worker; the XDP program stays while this lives.
pub struct RunningEndpoint<A: App> {
    running: Running<Shard<A>, XskIo>,
    _link: XdpLink,
}

impl Endpoint {
    /// Opens queue 0 of `interface` for `address`, written as `198.18.0.1/24` or `2001:2::1/64`. If the kernel has the
    /// address as well, only TCP to `ports` is taken from it; otherwise the engine answers ARP, neighbour
    /// solicitations and pings for it.
    ///
    /// # Errors
    /// What is wrong with the interface, the address or the privileges, and how to mend it.
    pub fn open(interface: &str, address: &str, ports: &[u16]) -> Result<Endpoint, IoError> {
        let (addr, prefix_len) = parse(address)?;
        let device = netlink::interface(interface)?;
        let exclusive = !device.addresses.iter().any(|(a, _)| *a == addr);
        let claim = match exclusive {
            true => FilterAddr::exclusive(addr, 1),
            false => FilterAddr::shared(addr, 1, &ports.iter().map(|&p| (p, p)).collect::<Vec<_>>()),
        };
        let link = attach(&device, FilterSpec { addresses: vec![claim] })?;
        let mut xsk = XskConfig::new(interface, device.ifindex, 1);
        xsk.attach_mode = Some(link.mode());
        xsk.large_frames = device.mtu > MTU_MAX;
        let io = XskSet::open(&xsk)?.into_iter().next();
        let io = io.ok_or_else(|| IoError::new(format!("no queue was opened on {interface}"), ""))?;
        link.set_socket(io.queue(), io.fd())?;
        let net = LocalNet { first: addr, count: 1, prefix_len, exclusive };
        let mut config = ShardConfig::new(device.mac, vec![net]);
        config.mtu = usable_mtu(device.mtu, &io);
        for gateway in route::default_gateways(device.ifindex)? {
            let slot = if gateway.is_v4() { &mut config.gateway_v4 } else { &mut config.gateway_v6 };
            slot.get_or_insert(gateway);
        }
        config.secrets = Secrets::from_seed(random_seed()?);
        Ok(Endpoint { config, io, link })
    }

    /// Runs `app` in a thread of its own, listening on `ports`.
    ///
    /// # Errors
    /// The configuration contradicts itself, or the system refused the thread.
    pub fn run<A>(self, app: A, ports: &[u16]) -> Result<RunningEndpoint<A>, RunError>
    where
        A: App + Send + 'static,
        A::Conn: Send,
    {
        self.config.tcp.check().map_err(RunError::BadConfig)?;
        let clock = Clock::start();
        let (config, ports) = (self.config, ports.to_vec());
        let shard = move || {
            let mut shard = Shard::new(config, app, clock.now());
            ports.iter().for_each(|&port| shard.listen(port));
            shard
        };
        let options = RunOptions { sleep: true, ..RunOptions::default() };
        let running = start_with(vec![(shard, self.io)], clock, &options, &Control::new(1))?;
        Ok(RunningEndpoint { running, _link: self.link })
    }

    /// What was opened, for people.
    pub fn describe(&self) -> String {
        self.io.describe()
    }
}

impl<A: App> RunningEndpoint<A> {
    pub fn control(&self) -> &Control {
        self.running.control()
    }

    /// Waits until the worker ends: stopped through `control`, or by a bug.
    ///
    /// # Errors
    /// The worker panicked.
    pub fn join(self) -> Result<(), RunError> {
        self.running.join().map(drop)
    }
}

/// One socket must see everything: on a veth pair generic XDP brings the frames of all queues to queue 0; a device has
/// to be told to use one queue.
fn attach(device: &Interface, filter: FilterSpec) -> Result<XdpLink, IoError> {
    if device.rx_queues <= 1 {
        return XdpLink::attach_auto(device.ifindex, &filter, 1);
    }
    if device.kind.as_deref() == Some("veth") {
        return XdpLink::attach(device.ifindex, XdpMode::Skb, &filter, 1);
    }
    let (name, queues) = (&device.name, device.rx_queues);
    Err(IoError::new(
        format!("{name} spreads its traffic over {queues} queues, and this program serves one"),
        format!("ethtool -L {name} combined 1"),
    ))
}

fn parse(address: &str) -> Result<(Addr, u8), IoError> {
    let bad = || IoError::new(format!("{address:?} is no address with prefix length"), "write it like 198.18.0.1/24");
    let (ip, prefix_len) = address.split_once('/').ok_or_else(bad)?;
    let ip: IpAddr = ip.parse().map_err(|_| bad())?;
    let prefix_len: u8 = prefix_len.parse().map_err(|_| bad())?;
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    if prefix_len > longest { Err(bad()) } else { Ok((Addr::from(ip), prefix_len)) }
}

/// What of a device's MTU its frames can be taken of.
fn usable_mtu(device_mtu: u32, io: &impl PacketIo) -> u16 {
    device_mtu.min(io.mtu_max()).min(u16::MAX.into()) as u16
}

/// Seed of the keys for hashing and initial sequence numbers.
fn random_seed() -> Result<u64, IoError> {
    let mut seed = [0; 8];
    let read = File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut seed));
    read.map_err(|e| IoError::os("cannot read /dev/urandom", &e, ""))?;
    Ok(u64::from_le_bytes(seed))
}

#[cfg(test)]
mod tests {
    use super::{XskConfig, parse, usable_mtu};
    use crate::base::FramePool;
    use crate::io::sim::SimIo;

    #[test]
    fn whatever_the_device_takes_a_full_segment_fits_into_a_frame() {
        let (io, _) = SimIo::pair(1, 2048, 1);
        let mut pool = FramePool::heap(1, XskConfig::new("test0", 1, 1).chunk_bytes);
        let mut frame = pool.alloc().unwrap();
        for device_mtu in [1500, 9000, 65_536] {
            assert!(frame.set_len(14 + 8 + usize::from(usable_mtu(device_mtu, &io))), "{device_mtu}");
        }
        pool.free(frame);
    }

    #[test]
    fn an_address_needs_a_prefix_length_that_fits_its_family() {
        for bad in ["198.18.0.1", "198.18.0.1/33", "2001:2::1/129", "x/24", "198.18.0.1/", "/24", ""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("198.18.0.1/24").is_ok() && parse("2001:2::1/64").is_ok());
    }
}
