//! Set-up errors in words: what failed, on which queue, and what mends it.

use super::config::{BindMode, XskConfig};
use crate::io::IoError;
use std::io::Error;

pub(super) fn socket(place: &str, error: &Error) -> IoError {
    let hint = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => IoError::privilege_hint(),
        Some(libc::EAFNOSUPPORT) => "this kernel has no AF_XDP: it takes Linux 4.18 with CONFIG_XDP_SOCKETS".into(),
        Some(libc::EMFILE | libc::ENFILE) => "allow more open files: ulimit -n 65536".into(),
        _ => String::new(),
    };
    IoError::os(format_args!("AF_XDP socket for {place}"), error, hint)
}

pub(super) fn register(place: &str, error: &Error) -> IoError {
    let hint = match error.raw_os_error() {
        Some(libc::ENOBUFS | libc::ENOMEM) => {
            "lift the limit on locked memory (ulimit -l unlimited, or setcap cap_ipc_lock), or ask for fewer frames"
        }
        _ => "",
    };
    IoError::os(format_args!("packet memory for {place}"), error, hint)
}

pub(super) fn rings(place: &str, error: &Error) -> IoError {
    IoError::os(format_args!("rings for {place}"), error, "ask for smaller rings")
}

pub(super) fn bind(config: &XskConfig, queue: u32, error: &Error) -> IoError {
    let interface = &config.interface;
    let bind = format!("bind to queue {queue} of {interface}");
    match error.raw_os_error() {
        Some(libc::EBUSY) => IoError::new(
            format!("queue {queue} of {interface} is in use by another AF_XDP socket"),
            "stop that program (ss --xdp -p names it), or choose another queue",
        ),
        Some(libc::EPERM | libc::EACCES) => IoError::os(bind, error, IoError::privilege_hint()),
        Some(libc::ENODEV) => IoError::os(bind, error, "ip link shows the interfaces there are"),
        Some(libc::ENETDOWN) => IoError::os(bind, error, format!("ip link set {interface} up")),
        Some(libc::EOPNOTSUPP) if config.bind == BindMode::ZeroCopy => {
            IoError::os(bind, error, format!("the driver of {interface} has no zero-copy: take copy mode, or auto"))
        }
        Some(libc::EINVAL) => {
            IoError::os(bind, error, format!("ethtool -l {interface} shows how many queues it has, counted from 0"))
        }
        _ => IoError::os(bind, error, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_refusal_of_bind_names_queue_and_interface_and_a_remedy() {
        let config = XskConfig { bind: BindMode::ZeroCopy, ..XskConfig::new("eth7", 3, 1) };
        let usual = [libc::EBUSY, libc::EPERM, libc::ENODEV, libc::ENETDOWN, libc::EOPNOTSUPP, libc::EINVAL];
        for errno in usual {
            let e = bind(&config, 5, &Error::from_raw_os_error(errno));
            assert!(e.what.contains("queue 5 of eth7") && !e.hint.is_empty(), "{e}");
        }
    }

    #[test]
    fn a_missing_privilege_is_answered_with_the_commands_that_grant_it() {
        let e = socket("eth7#0", &Error::from_raw_os_error(libc::EPERM));
        assert!(e.hint.contains("sudo") && e.hint.contains("setcap"), "{e}");
    }
}
