//! The device behind an interface: driver, queues, rings, RSS, offloads; by the ethtool ioctl (UAPI ethtool.h).

use crate::io::IoError;
use std::io::{Error, Result as OsResult};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const SIOCETHTOOL: u64 = 0x8946;
const GDRVINFO: u32 = 0x03;
const GLINK: u32 = 0x0a;
const GRINGPARAM: u32 = 0x10;
const GCHANNELS: u32 = 0x3c;
const GRSSH: u32 = 0x46;
const GRXFH: u32 = 0x29;

/// How many queues a device has and could have. 0: it has none of that kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    pub rx: u32,
    pub tx: u32,
    pub combined: u32,
    pub rx_max: u32,
    pub tx_max: u32,
    pub combined_max: u32,
}

impl Channels {
    /// Receive queues in use: each one that a socket can be bound to.
    pub fn rx_queues(&self) -> u32 {
        self.rx + self.combined
    }
}

/// Descriptors in the device's rings, and the most it can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rings {
    pub rx: u32,
    pub tx: u32,
    pub rx_max: u32,
    pub tx_max: u32,
}

/// Receive-side scaling: which queue a flow arrives on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rss {
    /// Toeplitz key.
    pub key: Vec<u8>,
    /// Queue for each value of the hash, modulo the table's length.
    pub indirection: Vec<u32>,
    /// Bits of ethtool's hash functions: [`TOEPLITZ`] is one. 0: the driver does not say.
    pub hash_function: u8,
    /// What is done to the fields before they are hashed (made symmetric). 0: nothing.
    pub input_transform: u8,
}

/// The bit of the Toeplitz hash among ethtool's hash functions.
pub const TOEPLITZ: u8 = 1;

/// What of a TCP segment is hashed: bits of ethtool's flow hash options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashFields(pub u64);

impl HashFields {
    /// Both addresses and both ports, and nothing else.
    pub const FOUR_TUPLE: HashFields = HashFields(0xf0);
}

/// Offloads that can be read and set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    TxChecksum,
    RxChecksum,
    Tso,
    Gso,
    Gro,
}

impl Feature {
    fn get_command(self) -> u32 {
        match self {
            Feature::RxChecksum => 0x14,
            Feature::TxChecksum => 0x16,
            Feature::Tso => 0x1e,
            Feature::Gso => 0x23,
            Feature::Gro => 0x2b,
        }
    }

    /// Every `set` command follows its `get`.
    fn set_command(self) -> u32 {
        self.get_command() + 1
    }

    /// The name that `ethtool -K` takes.
    pub fn name(self) -> &'static str {
        match self {
            Feature::TxChecksum => "tx",
            Feature::RxChecksum => "rx",
            Feature::Tso => "tso",
            Feature::Gso => "gso",
            Feature::Gro => "gro",
        }
    }
}

/// The driver's name; empty if it has none.
pub fn driver(interface: &str) -> OsResult<String> {
    const NAME_BYTES: usize = 32;
    // cmd, driver, version, firmware, bus, expansion ROM (32 each), 12 reserved, five counts.
    let mut info = [0u32; 49];
    info[0] = GDRVINFO;
    call(interface, &mut info)?;
    let bytes: Vec<u8> = info[1..].iter().flat_map(|w| w.to_ne_bytes()).take(NAME_BYTES).collect();
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(NAME_BYTES);
    Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

/// Whether the device has a link (carrier).
pub fn link_up(interface: &str) -> Result<bool, IoError> {
    value(interface, GLINK).map(|v| v != 0).map_err(|e| failed(interface, "the link state", &e))
}

pub fn channels(interface: &str) -> Result<Channels, IoError> {
    let mut c = [0u32; 9];
    c[0] = GCHANNELS;
    call(interface, &mut c).map_err(|e| failed(interface, "the queues", &e))?;
    Ok(Channels { rx_max: c[1], tx_max: c[2], combined_max: c[4], rx: c[5], tx: c[6], combined: c[8] })
}

pub fn rings(interface: &str) -> Result<Rings, IoError> {
    let mut r = [0u32; 9];
    r[0] = GRINGPARAM;
    call(interface, &mut r).map_err(|e| failed(interface, "the ring sizes", &e))?;
    Ok(Rings { rx_max: r[1], tx_max: r[4], rx: r[5], tx: r[8] })
}

/// RSS key and indirection table. Devices without RSS (veth) give an error, some (virtio) an empty key.
pub fn rss(interface: &str) -> Result<Rss, IoError> {
    const HEADER_WORDS: usize = 6;
    let ask = |e: Error| failed(interface, "the RSS key and table", &e);
    // cmd, context, indirection entries, key bytes, hash function and flags, reserved; then table and key.
    let mut sizes = [0u32; HEADER_WORDS];
    sizes[0] = GRSSH;
    call(interface, &mut sizes).map_err(ask)?;
    let (entries, key_bytes) = (sizes[2] as usize, sizes[3] as usize);
    let mut all = vec![0u32; HEADER_WORDS + entries + key_bytes.div_ceil(4)];
    all[..4].copy_from_slice(&[GRSSH, 0, sizes[2], sizes[3]]);
    call(interface, &mut all).map_err(ask)?;
    let indirection = all[HEADER_WORDS..HEADER_WORDS + entries].to_vec();
    let key = all[HEADER_WORDS + entries..].iter().flat_map(|w| w.to_ne_bytes()).take(key_bytes).collect();
    let [hash_function, input_transform, ..] = all[4].to_ne_bytes();
    Ok(Rss { key, indirection, hash_function, input_transform })
}

/// Which fields of TCP segments over IPv4 or IPv6 the device hashes. Not every driver tells.
pub fn tcp_hash_fields(interface: &str, v4: bool) -> Result<HashFields, IoError> {
    const TCP_V4_FLOW: u32 = 1;
    const TCP_V6_FLOW: u32 = 5;
    // cmd, flow type, 64 bits of answer; then a filter, its place and count, which this command does not use.
    let mut words = [0u32; 64];
    (words[0], words[1]) = (GRXFH, if v4 { TCP_V4_FLOW } else { TCP_V6_FLOW });
    call(interface, &mut words).map_err(|e| failed(interface, "which fields are hashed", &e))?;
    let [a, b, c, d] = words[2].to_ne_bytes();
    let [e, f, g, h] = words[3].to_ne_bytes();
    Ok(HashFields(u64::from_ne_bytes([a, b, c, d, e, f, g, h])))
}

/// Whether an offload is on.
pub fn feature(interface: &str, feature: Feature) -> Result<bool, IoError> {
    let what = format!("whether offload {} is on", feature.name());
    value(interface, feature.get_command()).map(|v| v != 0).map_err(|e| failed(interface, &what, &e))
}

/// Settings that were changed; dropping it sets them back. (A killed process cannot: prefer leaving them alone.)
#[derive(Debug)]
#[must_use = "dropping it undoes the change"]
pub struct Undo {
    interface: String,
    /// As they were before, in the order of the changes.
    before: Vec<(Feature, bool)>,
}

impl Undo {
    /// Settings that were not as asked for and have been changed.
    pub fn changed(&self) -> usize {
        self.before.len()
    }

    /// Leaves the new settings in place.
    pub fn keep(mut self) {
        self.before.clear();
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        for &(feature, on) in self.before.iter().rev() {
            // The interface may be gone, and its settings with it.
            let _ = set(&self.interface, feature, on);
        }
    }
}

/// Switches offloads on or off, where they are not so already. On an error, what was changed is set back.
/// Needs CAP_NET_ADMIN.
pub fn set_features(interface: &str, wanted: &[(Feature, bool)]) -> Result<Undo, IoError> {
    let mut undo = Undo { interface: interface.into(), before: Vec::new() };
    for &(which, on) in wanted {
        if feature(interface, which)? == on {
            continue;
        }
        set(interface, which, on).map_err(|e| {
            let word = if on { "on" } else { "off" };
            let hint = match e.raw_os_error() {
                Some(libc::EPERM) => IoError::privilege_hint(),
                _ => format!("try ethtool -K {interface} {} {word}", which.name()),
            };
            IoError::os(format!("cannot switch offload {} of {interface} {word}", which.name()), &e, hint)
        })?;
        undo.before.push((which, !on));
    }
    Ok(undo)
}

fn set(interface: &str, feature: Feature, on: bool) -> OsResult<()> {
    call(interface, &mut [feature.set_command(), u32::from(on)])
}

/// A command that answers with one number.
fn value(interface: &str, command: u32) -> OsResult<u32> {
    let mut words = [command, 0];
    call(interface, &mut words)?;
    Ok(words[1])
}

fn failed(interface: &str, what: &str, e: &Error) -> IoError {
    let hint = match e.raw_os_error() {
        Some(libc::ENODEV) => "see ip link",
        Some(libc::EOPNOTSUPP) => "the driver does not tell",
        _ => "",
    };
    IoError::os(format!("cannot read {what} of {interface}"), e, hint)
}

/// One ethtool command: `words` begins with its number and holds its whole structure.
fn call(interface: &str, words: &mut [u32]) -> OsResult<()> {
    let name = interface.as_bytes();
    if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains(&0) {
        return Err(Error::from_raw_os_error(libc::ENODEV));
    }
    // SAFETY: no pointers are involved.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: ifreq is made of integers and pointers, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, &from) in request.ifr_name.iter_mut().zip(name) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
    // SAFETY: `request` names a zero-terminated interface and points to `words`, which is as large as the
    // structure of the command in its first word; both live through the call.
    let r = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &mut request) };
    if r < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offloads_of_the_loopback_device_can_be_read() {
        assert!(feature("lo", Feature::TxChecksum).is_ok());
        assert!(link_up("lo").unwrap());
    }

    #[test]
    fn a_device_that_does_not_tell_says_so_and_one_that_is_not_there_too() {
        let e = rss("lo").unwrap_err();
        assert!(e.what.contains("RSS") && e.what.contains("lo"), "{e}");
        let e = tcp_hash_fields("lo", true).unwrap_err();
        assert!(e.what.contains("fields") && e.what.contains("lo"), "{e}");
        let e = channels("nosuch0").unwrap_err();
        assert!(e.what.contains("nosuch0") && e.hint.contains("ip link"), "{e}");
        assert!(driver("a-name-that-is-far-too-long").is_err());
        assert!(driver("").is_err());
    }
}
