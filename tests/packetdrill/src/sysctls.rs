//! Settings that scripts make with `sysctl`: those of the network namespace in which packetdrill runs.
//!
//! A namespace that nobody has set up says what its kernel happens to have by default, which is not what scripts
//! expect: there only what differs from that counts. One that has the key for Fast Open cookies has been set up by a
//! script, and everything in it is meant.

use crate::settings::{FAST_OPEN_KEY, Settings, fast_open_key, set_fast_open};
use std::path::PathBuf;
use synfin_engine::tcp::Ecn;

/// What is read.
struct Sysctl {
    name: &'static str,
    /// What kernels have when nobody sets it; `None`: that depends on the machine.
    by_default: Option<&'static str>,
    apply: fn(&mut Settings, &str) -> Option<()>,
}

const fn sysctl(
    name: &'static str,
    by_default: Option<&'static str>,
    apply: fn(&mut Settings, &str) -> Option<()>,
) -> Sysctl {
    Sysctl { name, by_default, apply }
}

fn number(value: &str) -> Option<u32> {
    let value = value.trim();
    match value.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => value.parse().ok(),
    }
}

/// The `nth` of several numbers.
fn nth(value: &str, nth: usize) -> Option<u32> {
    number(value.split_whitespace().nth(nth)?).map(|n| n.min(1 << 30))
}

const KEY: &str = "tcp_fastopen_key";

static SYSCTLS: [Sysctl; 11] = [
    sysctl("tcp_timestamps", Some("1"), |s, v| number(v).map(|n| s.timestamps = n > 0)),
    sysctl("tcp_sack", Some("1"), |s, v| number(v).map(|n| s.sack = n > 0)),
    sysctl("tcp_ecn", Some("2"), |s, v| Ecn::from_number(number(v)?).map(|ecn| s.ecn = ecn)),
    sysctl("tcp_fastopen", Some("1"), |s, v| number(v).map(|bits| set_fast_open(&mut s.fast_open, bits))),
    sysctl(KEY, None, |s, v| fast_open_key(v.trim()).ok().map(|key| s.fast_open.keys = Some(key))),
    sysctl("tcp_rmem", None, |s, v| nth(v, 2).map(|n| s.receive_buffer_bytes = n)),
    sysctl("tcp_wmem", None, |s, v| nth(v, 1).map(|n| s.send_buffer_bytes = n)),
    sysctl("tcp_slow_start_after_idle", Some("1"), |s, v| number(v).map(|n| s.restarts_after_idle = n > 0)),
    sysctl("tcp_min_tso_segs", Some("2"), |s, v| number(v).map(|n| s.burst_segments_min = n.clamp(1, 255) as u8)),
    sysctl("tcp_syn_retries", Some("6"), |s, v| number(v).map(|n| s.syn_retries = n.clamp(1, 127) as u8)),
    sysctl("tcp_notsent_lowat", Some("4294967295"), |s, v| {
        number(v).map(|n| s.unsent_low_water = if n == u32::MAX { 0 } else { n })
    }),
];

pub struct Sysctls {
    directory: Option<PathBuf>,
    /// What was given to us, which counts more.
    flags: String,
    /// What they said last, in the order of `SYSCTLS`.
    seen: Vec<String>,
}

impl Sysctls {
    pub fn new(directory: Option<PathBuf>, flags: &str) -> Sysctls {
        Sysctls { directory, flags: flags.to_owned(), seen: Vec::new() }
    }

    /// The settings that result, if there are new ones.
    pub fn changes(&mut self) -> Option<Settings> {
        let directory = self.directory.as_ref()?;
        let read = |s: &Sysctl| std::fs::read_to_string(directory.join(s.name)).unwrap_or_default().trim().to_owned();
        let now: Vec<String> = SYSCTLS.iter().map(read).collect();
        if now == self.seen {
            return None;
        }
        let is_set_up = SYSCTLS.iter().zip(&now).any(|(s, value)| s.name == KEY && is_key(value));
        let mut settings = Settings::default();
        for (at, (sysctl, value)) in SYSCTLS.iter().zip(&now).enumerate() {
            let was_changed = self.seen.get(at).is_some_and(|before| before != value);
            let is_meant = sysctl.by_default.is_some_and(|by_default| by_default != value);
            if !value.is_empty() && (is_set_up || was_changed || is_meant) {
                // What cannot be read stays as it is.
                (sysctl.apply)(&mut settings, value);
            }
        }
        self.seen = now;
        settings.with(&self.flags).ok()
    }
}

/// Somebody has set it.
fn is_key(value: &str) -> bool {
    let is_ours = value == FAST_OPEN_KEY;
    is_ours || (fast_open_key(value).is_ok() && value.bytes().any(|b| b != b'0' && b != b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str, values: &[(&str, &str)]) -> PathBuf {
        let at = std::env::temp_dir().join(format!("synfin-sysctls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&at).unwrap();
        for (name, value) in values {
            std::fs::write(at.join(name), format!("{value}\n")).unwrap();
        }
        at
    }

    #[test]
    fn untouched_namespace_says_only_what_was_set_in_it() {
        let at = directory("plain", &[("tcp_timestamps", "0"), ("tcp_ecn", "2"), ("tcp_rmem", "4096 131072 6291456")]);
        let mut sysctls = Sysctls::new(Some(at.clone()), "sack=0");
        let s = sysctls.changes().unwrap();
        assert_eq!(s, Settings::parse("timestamps=0,sack=0").unwrap());
        assert!(sysctls.changes().is_none(), "nothing new");
        std::fs::write(at.join("tcp_sack"), "1\n").unwrap();
        assert!(!sysctls.changes().unwrap().sack, "what the flags say stays");
        std::fs::remove_dir_all(at).unwrap();
    }

    #[test]
    fn namespace_that_was_set_up_says_everything() {
        let set = [(KEY, FAST_OPEN_KEY), ("tcp_ecn", "2"), ("tcp_rmem", "4096 540000 6291456"), ("tcp_fastopen", "1")];
        let at = directory("set-up", &set);
        let s = Sysctls::new(Some(at.clone()), "").changes().unwrap();
        assert_eq!((s.ecn, s.receive_buffer_bytes), (Ecn::Accept, 6_291_456));
        assert_eq!((s.fast_open.client, s.fast_open.server_pending_max), (true, 0));
        std::fs::remove_dir_all(at).unwrap();
    }
}
