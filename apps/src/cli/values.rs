//! Values as people write them on a command line. Each parser returns what is wrong as one sentence.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;
use synfin_engine::io::tap::FaultSpec;
use synfin_engine::tcp::Pacing;
use synfin_engine::wire::Addr;

/// Addresses of one family with the prefix of their subnet: `198.18.0.1/24`, or `198.18.0.10-198.18.0.99/24`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressRange {
    pub first: Addr,
    /// At least 1.
    pub count: u32,
    pub prefix_len: u8,
}

/// More addresses than anybody has use for; a bound for tables built from ranges.
pub const RANGE_ADDRESSES_MAX: u32 = 65_536;

impl AddressRange {
    pub fn contains(&self, addr: Addr) -> bool {
        self.first.is_v4() == addr.is_v4() && distance(self.first, addr).is_some_and(|d| d < u128::from(self.count))
    }
}

impl std::fmt::Display for AddressRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.first)?;
        if self.count > 1 {
            write!(f, "-{}", self.first.plus(self.count - 1))?;
        }
        write!(f, "/{}", self.prefix_len)
    }
}

fn distance(from: Addr, to: Addr) -> Option<u128> {
    u128::from_be_bytes(to.0).checked_sub(u128::from_be_bytes(from.0))
}

pub fn address_range(text: &str) -> Result<AddressRange, String> {
    let Some((range, prefix)) = text.split_once('/') else {
        return Err(format!("the prefix length is missing; write for example {text}/24"));
    };
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (ip(first)?, ip(last)?);
    let bits = if first.is_ipv4() { 32 } else { 128 };
    let prefix_len = prefix
        .parse::<u8>()
        .ok()
        .filter(|&p| p >= 1 && p <= bits)
        .ok_or_else(|| format!("the prefix length must be between 1 and {bits}"))?;
    if first.is_ipv4() != last.is_ipv4() {
        return Err("both ends of a range must be of the same family".into());
    }
    let (first, last) = (Addr::from(first), Addr::from(last));
    if !first.is_unicast() || !last.is_unicast() {
        return Err("multicast, broadcast and unspecified addresses cannot be used".into());
    }
    if !last.in_prefix(&first, prefix_len) {
        return Err(format!("both ends of a range must lie in the same /{prefix_len}"));
    }
    let count = distance(first, last).ok_or("the range ends before it begins")? + 1;
    if count > u128::from(RANGE_ADDRESSES_MAX) {
        return Err(format!("a range may hold at most {RANGE_ADDRESSES_MAX} addresses"));
    }
    Ok(AddressRange { first, count: count as u32, prefix_len })
}

fn ip(text: &str) -> Result<IpAddr, String> {
    IpAddr::from_str(text).map_err(|_| format!("'{text}' is neither an IPv4 nor an IPv6 address"))
}

pub fn address(text: &str) -> Result<Addr, String> {
    let addr = Addr::from(ip(text)?);
    if addr.is_unicast() { Ok(addr) } else { Err("not the address of a single host".into()) }
}

/// Where to connect to: an address, or a name that is looked up when the run is set up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    pub host: Host,
    pub port: u16,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Host {
    Ip(IpAddr),
    Name(String),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(a)) => write!(f, "[{a}]:{}", self.port),
            Host::Ip(a) => write!(f, "{a}:{}", self.port),
            Host::Name(n) => write!(f, "{n}:{}", self.port),
        }
    }
}

pub fn target(text: &str) -> Result<Target, String> {
    let (host, port_text) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once("]:").ok_or("an IPv6 target is written [address]:port")?;
        let a = Ipv6Addr::from_str(host).map_err(|_| format!("'{host}' is not an IPv6 address"))?;
        (Host::Ip(a.into()), port)
    } else {
        let (host, port) =
            text.rsplit_once(':').ok_or_else(|| format!("the port is missing; write for example {text}:80"))?;
        if host.contains(':') {
            return Err("an IPv6 target is written [address]:port".into());
        }
        (named_host(host)?, port)
    };
    if let Host::Ip(a) = host
        && !Addr::from(a).is_unicast()
    {
        return Err(format!("{a} is not the address of a single host"));
    }
    Ok(Target { host, port: port(port_text)? })
}

fn named_host(text: &str) -> Result<Host, String> {
    if let Ok(a) = Ipv4Addr::from_str(text) {
        return Ok(Host::Ip(a.into()));
    }
    let all_numeric = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let good = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if text.is_empty() || all_numeric || !good {
        return Err(format!("'{text}' is neither an address nor a host name"));
    }
    Ok(Host::Name(text.to_owned()))
}

pub fn port(text: &str) -> Result<u16, String> {
    text.parse::<u16>().ok().filter(|&p| p > 0).ok_or_else(|| format!("'{text}' is not a port (1 to 65535)"))
}

/// A range of ports, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports {
    pub first: u16,
    pub last: u16,
}

impl Ports {
    pub fn count(&self) -> u32 {
        u32::from(self.last) - u32::from(self.first) + 1
    }
}

impl std::fmt::Display for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

pub fn ports(text: &str) -> Result<Ports, String> {
    let (a, b) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(a)?, port(b)?);
    if first > last { Err("the range ends before it begins".into()) } else { Ok(Ports { first, last }) }
}

/// `500us`, `200ms`, `1.5s`, `2m`, `1h`; a plain number means seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "" | "s" => 1.0,
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("'{unit}' is no unit of time; use us, ms, s, m or h")),
    };
    let number: f64 = number.parse().map_err(|_| format!("'{text}' is not a time; write for example 10s"))?;
    Duration::try_from_secs_f64(number * scale)
        .ok()
        .filter(|d| *d <= Duration::from_secs(366 * 86_400))
        .ok_or_else(|| format!("'{text}' is too long"))
}

pub fn positive_duration(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|d| if d.is_zero() { Err("must be longer than zero".into()) } else { Ok(d) })
}

/// Shorter than this the main thread does not look, and rows would hold little.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

pub fn interval(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|d| if d < INTERVAL_MIN { Err("must be at least 100ms".into()) } else { Ok(d) })
}

/// `5000`, `20k`, `1.5M`: a whole number after scaling by thousands.
pub fn count(text: &str) -> Result<u64, String> {
    scaled(text, &[("k", 1e3), ("K", 1e3), ("M", 1e6), ("G", 1e9)])
}

pub fn positive_count(text: &str) -> Result<u64, String> {
    count(text).and_then(|n| if n == 0 { Err("must be at least 1".into()) } else { Ok(n) })
}

/// `200`, `10k` (10,000), `64KiB` (65,536), `1MiB`, `1GiB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    const KI: f64 = 1024.0;
    let units = [("KiB", KI), ("MiB", KI * KI), ("GiB", KI * KI * KI), ("k", 1e3), ("K", 1e3), ("M", 1e6), ("G", 1e9)];
    scaled(text.strip_suffix('B').filter(|t| !t.ends_with('i')).unwrap_or(text), &units)
}

/// A receive buffer: so small that a segment hardly fits makes no sense, nor does more than TCP can offer.
pub fn buffer_bytes(text: &str) -> Result<u32, String> {
    let n = bytes(text)?;
    u32::try_from(n)
        .ok()
        .filter(|n| (2_048..=1 << 30).contains(n))
        .ok_or_else(|| format!("'{text}' is not a size from 2KiB to 1GiB"))
}

/// Whether and how fast segments are paced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace(pub Option<Pacing>);

/// `off`, `on`, or a rate in bits per second as `100mbit`.
pub fn pace(text: &str) -> Result<Pace, String> {
    match text {
        "off" => return Ok(Pace(None)),
        "on" => return Ok(Pace(Some(Pacing::UNLIMITED))),
        _ => {}
    }
    let bits = text.strip_suffix("bit").and_then(|n| scaled(n, &[("k", 1e3), ("m", 1e6), ("g", 1e9)]).ok());
    let max_bytes_per_s = bits.map(|bits| bits / 8).filter(|&n| n > 0);
    max_bytes_per_s
        .map(|max_bytes_per_s| Pace(Some(Pacing { max_bytes_per_s })))
        .ok_or_else(|| format!("'{text}' is neither on, off nor a rate; write for example 100mbit"))
}

fn scaled(text: &str, units: &[(&str, f64)]) -> Result<u64, String> {
    let (number, scale) = units.iter().find_map(|(u, s)| text.strip_suffix(u).map(|n| (n, *s))).unwrap_or((text, 1.0));
    let bad = || format!("'{text}' is not a number; write for example 5000 or 20k");
    let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'_');
    let value: f64 = Some(number.replace('_', "")).filter(|_| plain).and_then(|n| n.parse().ok()).ok_or_else(bad)?;
    let value = value * scale;
    if value.fract() != 0.0 {
        return Err(format!("'{text}' is not a whole number"));
    }
    if value > 1e15 { Err(format!("'{text}' is too large")) } else { Ok(value as u64) }
}

/// How many errors a run may have: a number, or a share of all attempts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Allowance {
    Number(u64),
    Percent(f64),
}

impl Allowance {
    /// The largest number that is permitted.
    pub fn out_of(self, of: u64) -> u64 {
        match self {
            Allowance::Number(n) => n,
            Allowance::Percent(p) => (of as f64 * p / 100.0) as u64,
        }
    }

    pub fn permits(self, errors: u64, of: u64) -> bool {
        match self {
            Allowance::Number(n) => errors <= n,
            Allowance::Percent(p) => errors as f64 <= of as f64 * p / 100.0,
        }
    }
}

impl std::fmt::Display for Allowance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Allowance::Number(n) => write!(f, "{n}"),
            Allowance::Percent(p) => write!(f, "{p}%"),
        }
    }
}

pub fn allowance(text: &str) -> Result<Allowance, String> {
    let Some(percent) = text.strip_suffix('%') else { return count(text).map(Allowance::Number) };
    percent
        .parse::<f64>()
        .ok()
        .filter(|p| (0.0..=100.0).contains(p))
        .map(Allowance::Percent)
        .ok_or_else(|| format!("'{text}' is not a percentage between 0% and 100%"))
}

pub fn vlan_id(text: &str) -> Result<u16, String> {
    text.parse::<u16>()
        .ok()
        .filter(|id| (1..=4094).contains(id))
        .ok_or_else(|| format!("'{text}' is not a VLAN id (1 to 4094)"))
}

/// `0,2-3`: processor cores in the order in which workers take them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cores(pub Vec<usize>);

pub fn cores(text: &str) -> Result<Cores, String> {
    let mut list = Vec::new();
    for part in text.split(',') {
        let (a, b) = part.split_once('-').unwrap_or((part, part));
        let number = |t: &str| t.parse::<usize>().ok().filter(|&n| n < 4096);
        match (number(a), number(b)) {
            (Some(a), Some(b)) if a <= b => list.extend(a..=b),
            _ => return Err(format!("'{part}' is not a core or a range of cores; write for example 0,2-3")),
        }
    }
    Ok(Cores(list))
}

/// What harm is to be done to the traffic.
pub fn fault(text: &str) -> Result<FaultSpec, String> {
    text.parse().map_err(|e: synfin_engine::io::tap::fault_spec::FaultSpecError| e.to_string())
}

/// The path of a request: what goes between the method and the version.
pub fn path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("a path begins with '/'".into());
    }
    if text.bytes().any(|b| b <= b' ' || b >= 0x7f) {
        return Err("spaces, control and non-ASCII characters must be percent-encoded".into());
    }
    if text.len() > 4096 { Err("longer than 4096 bytes".into()) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
