//! The XDP program on a device.
//!
//! [`XdpLink`] owns the program, its XSKMAP and the BPF link that holds it to the device. The link is a file
//! descriptor: the kernel takes the program off when the descriptor goes, by drop, exit or kill -9.
//!
//! It never replaces another program: one that is there already is named in the error and left alone.

use super::{asm::Insn, filter::FilterSpec, program, syscalls};
use crate::io::IoError;
use crate::io::sys::netlink::{self, Interface};
use crate::io::xsk::MTU_MAX;
use std::fmt;
use std::io::Error;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// A program whose process has just been killed may hold the device a moment longer.
const OCCUPIED_PATIENCE: Duration = Duration::from_millis(300);
const OCCUPIED_PAUSE: Duration = Duration::from_millis(10);

/// Where the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver, before a socket buffer is made.
    Native,
    /// In the kernel's generic receive path: any driver, one copy more, and on veth everything on queue 0.
    Skb,
}

impl XdpMode {
    /// UAPI if_link.h: `XDP_FLAGS_DRV_MODE`, `XDP_FLAGS_SKB_MODE`.
    fn flags(self) -> u32 {
        match self {
            XdpMode::Native => 4,
            XdpMode::Skb => 2,
        }
    }
}

impl fmt::Display for XdpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            XdpMode::Native => "native",
            XdpMode::Skb => "skb",
        })
    }
}

/// The attached program. Dropping it takes the program off the device.
pub struct XdpLink {
    link: OwnedFd,
    _program: OwnedFd,
    map: OwnedFd,
    mode: XdpMode,
    queues: u32,
    interface: String,
    note: String,
}

impl XdpLink {
    /// Attaches `spec`'s program to the interface in the given mode, with a place for `queues` sockets.
    ///
    /// Until [`XdpLink::set_socket`] gives a queue its socket, that queue's frames go on to the kernel.
    pub fn attach(ifindex: u32, mode: XdpMode, spec: &FilterSpec, queues: u32) -> Result<XdpLink, IoError> {
        Loaded::new(spec, queues, ifindex)?.attach(ifindex, mode)
    }

    /// As [`XdpLink::attach_auto`], with a program that takes every frame.
    pub fn attach_auto_for_all(ifindex: u32, queues: u32) -> Result<XdpLink, IoError> {
        Loaded::for_all(queues, ifindex)?.attach_auto(ifindex)
    }

    /// Attaches in native mode if the device can, else in SKB mode; [`XdpLink::note`] says what was got and why.
    pub fn attach_auto(ifindex: u32, spec: &FilterSpec, queues: u32) -> Result<XdpLink, IoError> {
        Loaded::new(spec, queues, ifindex)?.attach_auto(ifindex)
    }

    /// Gives the frames of `queue` to the AF_XDP socket `fd`, which must be bound to this queue.
    pub fn set_socket(&self, queue: u32, fd: RawFd) -> Result<(), IoError> {
        let value = u32::try_from(fd).map_err(|_| IoError::new(format!("socket {fd} is closed"), ""))?;
        syscalls::update_map(&self.map, queue, value).map_err(|e| {
            let hint = if queue >= self.queues { "name a queue that the device has" } else { "" };
            IoError::os(
                format!("cannot give queue {queue} of {} (of {}) its socket", self.interface, self.queues),
                &e,
                hint,
            )
        })
    }

    pub fn mode(&self) -> XdpMode {
        self.mode
    }

    /// How the program came to be attached the way it is; empty when that was asked for.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// The XSKMAP, for backends that fill it themselves.
    pub fn map_fd(&self) -> RawFd {
        self.map.as_raw_fd()
    }
}

impl fmt::Debug for XdpLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "XdpLink({} {})", self.interface, self.mode)
    }
}

impl Drop for XdpLink {
    fn drop(&mut self) {
        // Closing would do, but for a child process that is just being started: until its exec it has a copy.
        // It fails when the device has gone, and the program with it.
        let _gone = syscalls::detach_link(&self.link);
    }
}

/// A program and its map, not on a device yet.
struct Loaded {
    program: OwnedFd,
    map: OwnedFd,
    queues: u32,
}

impl Loaded {
    fn new(spec: &FilterSpec, queues: u32, ifindex: u32) -> Result<Loaded, IoError> {
        Loaded::compiled(queues, ifindex, |map| program::compile(spec, map))
    }

    fn for_all(queues: u32, ifindex: u32) -> Result<Loaded, IoError> {
        Loaded::compiled(queues, ifindex, program::compile_all)
    }

    /// Made for a device: where its frames may be too large for a page, native mode asks for a program that takes them
    /// in pieces. `compile` makes it for a map's descriptor.
    fn compiled(
        queues: u32,
        ifindex: u32,
        compile: impl FnOnce(RawFd) -> Result<Vec<Insn>, IoError>,
    ) -> Result<Loaded, IoError> {
        let queues = queues.max(1);
        let map = syscalls::create_xskmap(queues).map_err(|e| {
            let hint = if refused(&e) { IoError::privilege_hint() } else { String::new() };
            IoError::os("cannot create the XSKMAP", &e, hint)
        })?;
        let insns = compile(map.as_raw_fd())?;
        let large_frames = netlink::interface_by_index(ifindex).is_ok_and(|device| device.mtu > MTU_MAX);
        let program =
            syscalls::load_program(&insns, large_frames).map_err(|failed| explain_load(insns.len(), failed))?;
        Ok(Loaded { program, map, queues })
    }

    fn attach(self, ifindex: u32, mode: XdpMode) -> Result<XdpLink, IoError> {
        let link = self.link(ifindex, mode).map_err(|e| explain(ifindex, mode, &e))?;
        Ok(self.into_link(link, ifindex, mode, String::new()))
    }

    fn attach_auto(self, ifindex: u32) -> Result<XdpLink, IoError> {
        let refusal = match self.link(ifindex, XdpMode::Native) {
            Ok(link) => return Ok(self.into_link(link, ifindex, XdpMode::Native, "native XDP".into())),
            Err(e) => e,
        };
        let native = explain(ifindex, XdpMode::Native, &refusal);
        if !another_mode_may_help(&refusal) {
            return Err(native);
        }
        match self.link(ifindex, XdpMode::Skb) {
            Ok(link) => {
                let note = format!("SKB-mode XDP, as native mode was refused: {native}");
                Ok(self.into_link(link, ifindex, XdpMode::Skb, note))
            }
            Err(e) => {
                let skb = explain(ifindex, XdpMode::Skb, &e);
                Err(IoError::new(format!("{}; {}", native.what, skb.what), skb.hint))
            }
        }
    }

    fn link(&self, ifindex: u32, mode: XdpMode) -> Result<OwnedFd, Error> {
        let give_up = Instant::now() + OCCUPIED_PATIENCE;
        loop {
            match syscalls::create_link(&self.program, ifindex, mode.flags()) {
                Err(e) if occupied(&e) && Instant::now() < give_up => std::thread::sleep(OCCUPIED_PAUSE),
                result => return result,
            }
        }
    }

    fn into_link(self, link: OwnedFd, ifindex: u32, mode: XdpMode, note: String) -> XdpLink {
        let interface = netlink::name_of(ifindex);
        XdpLink { link, _program: self.program, map: self.map, mode, queues: self.queues, interface, note }
    }
}

fn refused(e: &Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EPERM | libc::EACCES))
}

fn occupied(e: &Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EBUSY | libc::EEXIST))
}

fn another_mode_may_help(e: &Error) -> bool {
    matches!(
        e.raw_os_error(),
        Some(libc::EOPNOTSUPP | libc::ERANGE | libc::ENOSPC | libc::EINVAL | libc::ENOMEM | libc::E2BIG)
    )
}

fn explain_load(insns: usize, failed: syscalls::LoadError) -> IoError {
    let what = format!("the kernel did not take the XDP program of {insns} instructions");
    match failed.error.raw_os_error() {
        Some(libc::EPERM) => IoError::os(what, &failed.error, IoError::privilege_hint()),
        Some(libc::E2BIG) => IoError::os(what, &failed.error, "use fewer address and port ranges"),
        _ => IoError::os(
            format!("{what} (the verifier says: {})", failed.log),
            &failed.error,
            "Linux 5.9 or newer is needed; if this kernel is, please report this",
        ),
    }
}

/// The sentence for a refused attachment.
fn explain(ifindex: u32, mode: XdpMode, e: &Error) -> IoError {
    let device = netlink::interface_by_index(ifindex).ok();
    let name = device.as_ref().map_or_else(|| netlink::name_of(ifindex), |d| d.name.clone());
    let what = format!("cannot attach the XDP program to {name} in {mode} mode");
    let hint = match e.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => IoError::privilege_hint(),
        Some(libc::EBUSY | libc::EEXIST) => occupant(&name, device.as_ref()),
        Some(libc::ERANGE) => mtu_too_big(&name, device.as_ref()),
        Some(libc::ENOSPC) => format!(
            "the device lacks queues: the peer of a veth must not have more TX queues than {name} has RX queues \
             (ip link add {name} numrxqueues N numtxqueues N type veth peer name PEER numrxqueues N numtxqueues N)"
        ),
        Some(libc::EOPNOTSUPP) => "the driver has no native XDP; use SKB mode".into(),
        Some(libc::ENODEV) => "the interface is gone; see ip link".into(),
        Some(libc::EINVAL) => {
            "the driver does not take it as it is set up now; dmesg may say why; SKB mode may do".into()
        }
        _ => String::new(),
    };
    IoError::os(what, e, hint)
}

fn occupant(name: &str, device: Option<&Interface>) -> String {
    let programs = device.map(|d| d.xdp_program_ids.as_slice()).unwrap_or_default();
    let named: Vec<String> = programs
        .iter()
        .map(|&id| match syscalls::program_name(id) {
            Some(program) => format!("id {id} '{program}'"),
            None => format!("id {id}"),
        })
        .collect();
    if named.is_empty() {
        return format!("another XDP program holds {name}: stop its owner (ip -details link show {name} names it)");
    }
    format!(
        "another XDP program holds {name}: {}; stop its owner, or, if it has none any more, ip link set dev {name} \
         xdp off",
        named.join(", ")
    )
}

fn mtu_too_big(name: &str, device: Option<&Interface>) -> String {
    let mtu = device.map_or_else(|| "its MTU".into(), |d| format!("MTU {}", d.mtu));
    format!(
        "{mtu} is too big for native mode of this driver and kernel, where a frame must fit into one page: \
         ip link set dev {name} mtu 1500, or use SKB mode"
    )
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
