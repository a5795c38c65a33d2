//! The one error type of everything that touches a device.
//!
//! Setting up AF_XDP fails in many ways that are the machine's, not the program's: a missing capability, a busy
//! queue, a driver without zero-copy. So an error here is written for the person at the keyboard: `what` happened
//! and where, and a `hint` that mends it. Errors arise at set-up only; on the packet path things are counted.
//! Left out on purpose: a taxonomy of kinds. Nobody branches on them; whoever must (rebinding) looks at the errno
//! before it becomes an `IoError`.

use std::fmt;

/// What went wrong, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoError {
    /// One clause: what failed, on which interface and queue, with the system's reason.
    pub what: String,
    /// One sentence that mends it; empty when there is nothing to advise.
    pub hint: String,
}

impl IoError {
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> IoError {
        IoError { what: what.into(), hint: hint.into() }
    }

    /// An error of the system call that has just failed: `what` gets the text of `errno` appended.
    pub fn last_os(what: impl fmt::Display, hint: impl Into<String>) -> IoError {
        IoError::os(what, &std::io::Error::last_os_error(), hint)
    }

    /// As [`IoError::last_os`], with an error that was kept.
    pub fn os(what: impl fmt::Display, error: &std::io::Error, hint: impl Into<String>) -> IoError {
        IoError { what: format!("{what}: {error}"), hint: hint.into() }
    }

    /// The advice for a refused privilege (EPERM, EACCES): how to run this very program with what AF_XDP needs.
    pub fn privilege_hint() -> String {
        let program = std::env::current_exe().map_or_else(|_| "PROGRAM".into(), |p| p.display().to_string());
        format!(
            "run it as root (sudo {program} …), or grant it the capabilities once: \
             sudo setcap cap_net_raw,cap_net_admin,cap_bpf,cap_ipc_lock+ep {program}"
        )
    }
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for IoError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_text_has_what_failed_then_the_reason_then_the_hint() {
        let e = IoError::os("bind eth0#3", &std::io::Error::from_raw_os_error(libc::EBUSY), "stop the other program");
        let text = e.to_string();
        assert!(text.starts_with("bind eth0#3: "), "{text}");
        assert!(text.ends_with("(stop the other program)"), "{text}");
        assert_eq!(IoError::new("no such queue", "").to_string(), "no such queue");
    }

    #[test]
    fn privilege_hint_names_this_program_and_every_capability() {
        let hint = IoError::privilege_hint();
        for word in ["sudo", "setcap", "cap_net_raw", "cap_net_admin", "cap_bpf", "cap_ipc_lock"] {
            assert!(hint.contains(word), "{hint}");
        }
        assert!(hint.contains("synfin"), "{hint}");
    }
}
