//! The queues of the device, with the XDP program that feeds them and the taps around them.

use super::Site;
use crate::cli::NetArgs;
use crate::cli::net::{AutoOnOff, Backend, Bind, MachineArgs, Mode, OutputArgs};
use crate::failure::Failure;
use crate::report::file;
use synfin_engine::io::PacketIo;
use synfin_engine::io::bpf::{FilterSpec, XdpLink, XdpMode};
use synfin_engine::io::sys::multicast::{Membership, join_solicited_nodes};
use synfin_engine::io::tap::{Fault, FaultSpec, Pcap, PcapSink};
use synfin_engine::io::xsk::{BindMode, MTU_MAX, XskConfig, XskSet};
use synfin_engine::wire::Addr;
use synfin_engine::worker::Clock;

pub type BoxIo = Box<dyn PacketIo + Send>;

/// A recording is cut off here.
pub const PCAP_BYTES_MAX: u64 = 64 << 30;

/// Open queues, ready for workers.
pub struct Device {
    /// One for each worker.
    pub queues: Vec<BoxIo>,
    pub guard: Guard,
    pub mode: XdpMode,
    /// What a person should know about how the device was opened.
    pub notes: Vec<String>,
    /// Sent checksums are left to the device.
    pub offload: bool,
    /// The site's MTU, as far as the queues can receive and send its frames.
    pub mtu: u16,
    pub pcap: Option<PcapSink>,
}

/// Held while the queues are in use. Dropping it takes the program off the device.
pub struct Guard {
    _link: XdpLink,
    _membership: Option<Membership>,
}

impl Device {
    pub fn open(
        args: &NetArgs,
        site: &Site,
        filter: &FilterSpec,
        clock: Clock,
        fault_seed: u64,
    ) -> Result<Device, Failure> {
        let machine = &args.machine;
        check_queues(machine, site)?;
        let pcap = open_pcap(&args.output)?;
        let fault = args.output.fault;
        let all_queues = site.interface.rx_queues.max(u32::from(machine.queue) + u32::from(machine.workers));
        let link = attach(machine, site, filter, all_queues)?;
        let sockets = open_sockets(machine, site, &link)?;
        let groups: Vec<(Addr, u32)> =
            site.own.iter().filter(|o| o.exclusive).map(|o| (o.range.first, o.range.count)).collect();
        let membership = join_solicited_nodes(site.interface.ifindex, &groups)?;
        let offload = sockets.iter().all(|io| io.checksum_offload());
        if machine.checksum_offload == AutoOnOff::On && !offload {
            return Err(Failure::new(
                format!("{} does not take over the checksums of sent segments", site.interface.name),
                "Leave out --checksum-offload on.",
            ));
        }
        let mtu = sockets.iter().map(|io| io.mtu_max()).min().map_or(site.mtu, |max| max.min(site.mtu.into()) as u16);
        let notes = notes(machine, site, &link, mtu);
        let mode = link.mode();
        let queues = sockets
            .into_iter()
            .zip(0u64..)
            .map(|(io, n)| with_taps(io, fault, fault_seed.wrapping_add(n), &pcap, clock))
            .collect();
        Ok(Device { queues, guard: Guard { _link: link, _membership: membership }, mode, notes, offload, mtu, pcap })
    }

    /// Says beforehand, on standard error, what a person should know; the report says it again at the end.
    pub fn tell_notes(&self) {
        self.notes.iter().for_each(|note| eprintln!("synfin: note: {note}"));
    }
}

fn check_queues(machine: &MachineArgs, site: &Site) -> Result<(), Failure> {
    let (first, workers, there) = (u32::from(machine.queue), u32::from(machine.workers), site.interface.rx_queues);
    let name = &site.interface.name;
    if first + workers > there.max(1) {
        let queues = if there == 1 { "one receive queue".to_owned() } else { format!("{there} receive queues") };
        return Err(Failure::new(
            format!("{workers} workers from queue {first} on need more queues than {name} has ({queues})"),
            format!("Use fewer --workers, or give it more queues: ethtool -L {name} combined N (veth: rx N tx N)"),
        ));
    }
    Ok(())
}

/// On veth the generic path is faster for one worker, and it brings the frames of all queues to queue 0: with a kernel
/// on the other end, one socket then sees everything.
fn attach(machine: &MachineArgs, site: &Site, filter: &FilterSpec, queues: u32) -> Result<XdpLink, Failure> {
    let ifindex = site.interface.ifindex;
    let is_veth = site.interface.kind.as_deref() == Some("veth");
    let generic_suits = is_veth && machine.workers == 1 && machine.queue == 0;
    let link = match machine.mode {
        Mode::Native => XdpLink::attach(ifindex, XdpMode::Native, filter, queues),
        Mode::Skb => XdpLink::attach(ifindex, XdpMode::Skb, filter, queues),
        Mode::Auto if generic_suits => XdpLink::attach(ifindex, XdpMode::Skb, filter, queues),
        Mode::Auto => XdpLink::attach_auto(ifindex, filter, queues),
    }?;
    if link.mode() == XdpMode::Skb && is_veth && (machine.workers > 1 || machine.queue > 0) {
        return Err(Failure::new(
            format!("in SKB mode all frames of {} arrive on queue 0", site.interface.name),
            "Use one worker on queue 0, or --mode native.",
        ));
    }
    Ok(link)
}

fn open_sockets(machine: &MachineArgs, site: &Site, link: &XdpLink) -> Result<Vec<BoxIo>, Failure> {
    let mut config = XskConfig::new(&site.interface.name, site.interface.ifindex, u32::from(machine.workers));
    config.first_queue = u32::from(machine.queue);
    config.attach_mode = Some(link.mode());
    config.large_frames = u32::from(site.mtu) > MTU_MAX;
    config.bind = match machine.bind {
        Bind::Auto => BindMode::Auto,
        Bind::Zerocopy => BindMode::ZeroCopy,
        Bind::Copy => BindMode::Copy,
    };
    // No device fills checksums in on the way through a virtual interface, and a peer that verifies would refuse them.
    let is_hardware = site.interface.kind.is_none();
    config.checksum_offload = match machine.checksum_offload {
        AutoOnOff::On => true,
        AutoOnOff::Off => false,
        AutoOnOff::Auto => is_hardware,
    };
    match machine.backend {
        Backend::Xsk => open_xsk(&config, link),
        Backend::Afxdp => open_afxdp(&config, link),
    }
}

fn open_xsk(config: &XskConfig, link: &XdpLink) -> Result<Vec<BoxIo>, Failure> {
    let sockets = XskSet::open(config)?;
    for socket in &sockets {
        link.set_socket(socket.queue(), socket.fd())?;
    }
    Ok(sockets.into_iter().map(|io| Box::new(io) as BoxIo).collect())
}

#[cfg(feature = "afxdp")]
fn open_afxdp(config: &XskConfig, link: &XdpLink) -> Result<Vec<BoxIo>, Failure> {
    let sockets = synfin_engine::io::afxdp::AfxdpSet::open(config, link)?;
    Ok(sockets.into_iter().map(|io| Box::new(io) as BoxIo).collect())
}

#[cfg(not(feature = "afxdp"))]
fn open_afxdp(_config: &XskConfig, _link: &XdpLink) -> Result<Vec<BoxIo>, Failure> {
    Err(crate::cli::check::without_afxdp())
}

fn open_pcap(output: &OutputArgs) -> Result<Option<PcapSink>, Failure> {
    let open = |path: &std::path::PathBuf| {
        // A FIFO that is open already, and so has a reader, is opened without waiting for one.
        let fifo = file::open_fifo(path);
        let sink = fifo.and_then(|_fifo| PcapSink::create(path, PCAP_BYTES_MAX));
        sink.map_err(|e| file::cannot_write(path, "--pcap", &e))
    };
    output.pcap.as_ref().map(open).transpose()
}

/// The recording is the outermost layer: it shows what the engine sees and says.
fn with_taps(io: BoxIo, fault: Option<FaultSpec>, seed: u64, pcap: &Option<PcapSink>, clock: Clock) -> BoxIo {
    let io = match fault {
        Some(spec) => Box::new(Fault::new(io, spec, seed, clock.for_tap())),
        None => io,
    };
    match pcap {
        Some(sink) => Box::new(Pcap::new(io, sink.clone(), clock.for_tap(), clock.wall_offset_ns())),
        None => io,
    }
}

fn notes(machine: &MachineArgs, site: &Site, link: &XdpLink, mtu: u16) -> Vec<String> {
    let mut notes = Vec::new();
    if !link.note().is_empty() && link.mode() == XdpMode::Skb {
        notes.push(link.note().to_owned());
    }
    let (queues, workers, name) = (site.interface.rx_queues, u32::from(machine.workers), &site.interface.name);
    if link.mode() == XdpMode::Native && queues > workers {
        notes.push(format!(
            "{name} has {queues} receive queues, and {workers} with a worker: what the device puts on the others goes \
             to the kernel (ethtool -L {name} changes their number)"
        ));
    }
    if mtu < site.mtu {
        notes.push(format!(
            "frames of MTU {} cannot be taken from {name} here: segments are kept to an MTU of {mtu}, and peers are told so \
             (MSS option)",
            site.mtu
        ));
    }
    notes
}
