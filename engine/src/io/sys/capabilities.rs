//! Which privileges this process has, and the sentence for those it lacks.
//!
//! CAP_IPC_LOCK is not asked for here, as a limit on locked memory that is high enough does as well; the hint grants it.

use crate::io::IoError;

/// The capabilities that AF_XDP needs (capabilities(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Attaching an XDP program, resolving neighbours through the kernel.
    pub net_admin: bool,
    /// AF_XDP and packet sockets.
    pub net_raw: bool,
    /// Loading programs and maps (or CAP_SYS_ADMIN, which kernels before 5.8 ask for).
    pub bpf: bool,
}

const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_BPF: u32 = 39;

impl Capabilities {
    /// Those in effect for the calling thread. None of them if /proc cannot be read.
    pub fn current() -> Capabilities {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        Capabilities::of_status(&status)
    }

    fn of_status(status: &str) -> Capabilities {
        let line = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
        let bits = line.and_then(|l| u64::from_str_radix(l.trim(), 16).ok()).unwrap_or(0);
        let has = |bit: u32| bits >> bit & 1 == 1;
        Capabilities {
            net_admin: has(CAP_NET_ADMIN),
            net_raw: has(CAP_NET_RAW),
            bpf: has(CAP_BPF) || has(CAP_SYS_ADMIN),
        }
    }

    /// An error that names what is missing and the commands that grant it; `Ok` when all are there.
    pub fn require(self) -> Result<(), IoError> {
        let missing: Vec<&str> =
            [(self.net_admin, "CAP_NET_ADMIN"), (self.net_raw, "CAP_NET_RAW"), (self.bpf, "CAP_BPF")]
                .into_iter()
                .filter_map(|(has, name)| (!has).then_some(name))
                .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(IoError::new(
            format!("AF_XDP needs privileges that this process lacks: {}", missing.join(", ")),
            IoError::privilege_hint(),
        ))
    }
}

/// Lifts the limit on locked memory (RLIMIT_MEMLOCK), as far as this process may: packet memory counts against it,
/// and on kernels before 5.11 maps and programs do as well. Too low a limit shows when those are made.
pub fn raise_memlock() {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the structure is live and writable through the calls.
    unsafe {
        let unlimited = libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) == 0;
        if !unlimited && libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_capabilities_are_read_bit_by_bit() {
        let of = |eff: u64| Capabilities::of_status(&format!("CapInh:\t0\nCapEff:\t{eff:016x}\nCapBnd:\tff\n"));
        assert!(of(0x1ff_ffff_ffff).require().is_ok());
        assert_eq!(of(1 << 12), Capabilities { net_admin: true, net_raw: false, bpf: false });
        assert_eq!(of(1 << 21), Capabilities { net_admin: false, net_raw: false, bpf: true });
        assert_eq!(of(1 << 39 | 1 << 13), Capabilities { net_admin: false, net_raw: true, bpf: true });
    }

    #[test]
    fn what_is_missing_is_named_with_the_commands_that_grant_it() {
        let e = Capabilities { net_admin: true, net_raw: false, bpf: false }.require().unwrap_err();
        assert!(e.what.contains("CAP_NET_RAW, CAP_BPF") && !e.what.contains("NET_ADMIN"), "{e}");
        assert!(e.hint.contains("setcap") && e.hint.contains("sudo"), "{e}");
    }

    #[test]
    fn an_unreadable_status_means_no_capability() {
        assert!(Capabilities::of_status("nonsense").require().is_err());
    }
}
