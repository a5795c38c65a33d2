//! `--so_flags`: `key=value` pairs with commas between them.

use std::net::IpAddr;
use std::path::PathBuf;
use synfin_engine::tcp::{Ecn, FastOpen, FastOpenKeys};
use synfin_engine::wire::Addr;

/// Without `local=`: any address in the range from which packetdrill draws its IPv4 ones, and its IPv6 one.
const DEFAULT_LOCALS: [(Addr, u32); 2] = [
    (Addr::v4([192, 168, 0, 0]), 65_536),
    (Addr([0xfd, 0x3d, 0x0a, 0x0b, 0x17, 0xd6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), 1),
];

/// What can be set, with the meaning that `help` gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `local=`: an address of the stack; may be repeated.
    pub locals: Vec<(Addr, u32)>,
    /// `mtu=`: of the link, in bytes.
    pub mtu: u16,
    /// `rcvbuf=`: receive buffer in bytes; decides the window scale.
    pub receive_buffer_bytes: u32,
    /// `sndbuf=`: send buffer in bytes.
    pub send_buffer_bytes: u32,
    /// `timestamps=0`, `sack=0`: do not offer them.
    pub timestamps: bool,
    pub sack: bool,
    /// `unstamped=0`: drop segments without the timestamp that was agreed on, which Linux takes.
    pub unstamped: bool,
    /// `ecn=`: as Linux numbers `net.ipv4.tcp_ecn`: 0 off, 1 on, 2 if the peer asks.
    pub ecn: Ecn,
    /// `fastopen=`: as Linux numbers `net.ipv4.tcp_fastopen`: 1 as a client, 2 as a server, 4 and 512 the same without
    /// cookies, 1024 all listeners. By default 1027.
    /// `fastopen-key=`: as in `net.ipv4.tcp_fastopen_key`.
    pub fast_open: FastOpen,
    /// `quick_acks=`: segments that are acknowledged at once when a connection is young; 0: ACKs are delayed from the start.
    pub quick_acks: u8,
    /// `idle-restart=`: whether the congestion window starts anew after a pause (`net.ipv4.tcp_slow_start_after_idle`).
    pub restarts_after_idle: bool,
    /// `min-burst=`: segments that leave in one go, at least (`net.ipv4.tcp_min_tso_segs`).
    pub burst_segments_min: u8,
    /// `syn-retries=`: of a SYN or SYN,ACK.
    pub syn_retries: u8,
    /// `notsent-lowat=`: unsent bytes beyond which a socket takes no more (`net.ipv4.tcp_notsent_lowat`); 0: no such limit.
    pub unsent_low_water: u32,
    /// `sysctls=`: a directory with settings under Linux's names, which are read again before each call, or `off`.
    pub sysctls: Option<PathBuf>,
}

/// Listeners that TCP_FASTOPEN says nothing about have so many pending ones at most.
const FAST_OPEN_PENDING_MAX: u32 = 128;

/// As scripts for Linux set them: a client, and listeners that need not ask for it.
const FAST_OPEN: u32 = 0x403;
/// The key with which scripts for Linux compute their cookies.
pub(crate) const FAST_OPEN_KEY: &str = "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4";

impl Default for Settings {
    fn default() -> Settings {
        let mut fast_open = FastOpen { keys: fast_open_key(FAST_OPEN_KEY).ok(), ..FastOpen::default() };
        set_fast_open(&mut fast_open, FAST_OPEN);
        Settings {
            locals: Vec::new(),
            mtu: 1500,
            // A window scale of 8, which is what most scripts expect.
            receive_buffer_bytes: 15 * 1024 * 1024,
            send_buffer_bytes: 256 * 1024,
            timestamps: true,
            sack: true,
            unstamped: true,
            ecn: Ecn::Off,
            fast_open,
            quick_acks: 16,
            // As most scripts set it.
            restarts_after_idle: false,
            burst_segments_min: 2,
            syn_retries: 5,
            unsent_low_water: 0,
            sysctls: Some(PathBuf::from("/proc/sys/net/ipv4")),
        }
    }
}

impl Settings {
    /// # Errors
    /// One sentence that says which flag is wrong.
    pub fn parse(flags: &str) -> Result<Settings, String> {
        Settings::default().with(flags)
    }

    /// The same, as far as `flags` say nothing else.
    ///
    /// # Errors
    /// As [`Settings::parse`].
    pub fn with(self, flags: &str) -> Result<Settings, String> {
        let mut s = self;
        for flag in flags.split(',').map(str::trim).filter(|f| !f.is_empty()) {
            let (key, value) = flag.split_once('=').ok_or(format!("'{flag}' is not of the form key=value"))?;
            match key {
                "local" => {
                    let ip: IpAddr = value.parse().map_err(|_| format!("'{value}' is not an IP address"))?;
                    s.locals.push((Addr::from(ip), 1));
                }
                "mtu" => s.mtu = number(key, value, 576, 9_000)? as u16,
                "rcvbuf" => s.receive_buffer_bytes = number(key, value, 1, 1 << 30)?,
                "sndbuf" => s.send_buffer_bytes = number(key, value, 1, 1 << 30)?,
                "timestamps" => s.timestamps = number(key, value, 0, 1)? == 1,
                "unstamped" => s.unstamped = number(key, value, 0, 1)? == 1,
                "quick_acks" => s.quick_acks = number(key, value, 0, 255)? as u8,
                "idle-restart" => s.restarts_after_idle = number(key, value, 0, 1)? == 1,
                "min-burst" => s.burst_segments_min = number(key, value, 1, 255)? as u8,
                "syn-retries" => s.syn_retries = number(key, value, 1, 127)? as u8,
                "notsent-lowat" => s.unsent_low_water = number(key, value, 0, u32::MAX)?,
                "sysctls" => s.sysctls = Some(PathBuf::from(value)).filter(|_| value != "off"),
                "sack" => s.sack = number(key, value, 0, 1)? == 1,
                "fastopen" => set_fast_open(&mut s.fast_open, number(key, value, 0, u32::MAX)?),
                "fastopen-key" => s.fast_open.keys = Some(fast_open_key(value)?),
                "ecn" => s.ecn = Ecn::from_number(number(key, value, 0, 2)?).unwrap_or_default(),
                _ => return Err(format!("there is no flag '{key}'")),
            }
        }
        if s.locals.is_empty() {
            s.locals.extend(DEFAULT_LOCALS);
        }
        Ok(s)
    }
}

pub(crate) fn set_fast_open(f: &mut FastOpen, bits: u32) {
    f.client = bits & 1 != 0;
    f.client_without_cookie = bits & 4 != 0;
    f.server_pending_max = if bits & 2 != 0 && bits & 0x400 != 0 { FAST_OPEN_PENDING_MAX } else { 0 };
    f.server_without_cookie = bits & 0x200 != 0;
}

/// Four words of eight hexadecimal digits with dashes between them.
pub(crate) fn fast_open_key(value: &str) -> Result<FastOpenKeys, String> {
    let words: Option<Vec<u32>> = value.split('-').map(|word| u32::from_str_radix(word, 16).ok()).collect();
    let bytes: Vec<u8> = words.unwrap_or_default().iter().flat_map(|word| word.to_le_bytes()).collect();
    let primary = bytes.try_into().map_err(|_| format!("'{value}' is no key: four hexadecimal words with dashes"))?;
    Ok(FastOpenKeys { primary, backup: None })
}

fn number(key: &str, value: &str, low: u32, high: u32) -> Result<u32, String> {
    let n = value.parse().ok().filter(|n| (low..=high).contains(n));
    n.ok_or(format!("{key} is a number from {low} to {high}, not '{value}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_and_wrong_ones_named() {
        let s = Settings::parse("local=192.168.1.1, local=fd3d::1,mtu=1400,sack=0").unwrap();
        assert_eq!((s.locals.len(), s.mtu, s.sack, s.timestamps), (2, 1400, false, true));
        for (flags, part) in [("mtu", "form"), ("mtu=9", "576"), ("local=here", "'here'"), ("speed=1", "'speed'")] {
            assert!(Settings::parse(flags).unwrap_err().contains(part), "{flags}");
        }
    }
}
