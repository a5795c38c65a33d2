//! For tests of this floor: threads in network namespaces of their own, which vanish with them.

use super::test_skip::skip;
use std::process::Command;

/// Runs `body` on a thread in a new network namespace. Without the privilege for that, says so and does nothing.
pub(crate) fn in_new_namespace(body: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter_new_namespace()?;
            body();
            Ok::<(), std::io::Error>(())
        });
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(e)) => skip(format_args!("cannot make a network namespace: {e}")),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
}

/// Moves this thread to a new namespace.
pub(crate) fn enter_new_namespace() -> std::io::Result<()> {
    // SAFETY: no pointers are involved; only the calling thread's namespace changes.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    ip("link set dev lo up");
    Ok(())
}

/// Runs `ip` with these words, in this thread's namespace; returns what it prints.
pub(crate) fn ip(words: &str) -> String {
    let out = Command::new("ip").args(words.split_whitespace()).output().expect("ip(8) of iproute2 is needed");
    assert!(out.status.success(), "ip {words}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// A veth pair `va` and `vb` of `queues` queues each, both up, in this thread's namespace.
pub(crate) fn veth_pair(queues: u32) {
    let n = format!("numrxqueues {queues} numtxqueues {queues}");
    ip(&format!("link add va {n} type veth peer name vb {n}"));
    ip("link set dev va up");
    ip("link set dev vb up");
}

/// Leaves this thread with these capabilities (bits of capabilities(7)) and no others.
pub(crate) fn keep_only_capabilities(bits: u64) {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let (low, high) = (bits as u32, (bits >> 32) as u32);
    // Effective, permitted, inheritable; the low halves first.
    let data = [low, low, 0, high, high, 0];
    // SAFETY: both structures are live and laid out as capset(2) says; only this thread is changed.
    let r = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
    assert_eq!(r, 0, "capset: {}", std::io::Error::last_os_error());
}
