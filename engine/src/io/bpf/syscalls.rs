//! bpf(2) as this engine uses it: an XSKMAP, one XDP program, one link. Structures are those of UAPI bpf.h,
//! each cut off after the last field that is used (the kernel takes the rest as zero).

use super::asm::Insn;
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const MAP_CREATE: i32 = 0;
const MAP_UPDATE_ELEM: i32 = 2;
const PROG_LOAD: i32 = 5;
const PROG_TEST_RUN: i32 = 10;
const PROG_GET_FD_BY_ID: i32 = 13;
const OBJ_GET_INFO_BY_FD: i32 = 15;
const LINK_CREATE: i32 = 28;
const LINK_DETACH: i32 = 34;

/// `BPF_F_XDP_HAS_FRAGS` of PROG_LOAD (kernel 5.18).
const XDP_HAS_FRAGS: u32 = 1 << 5;

const MAP_TYPE_XSKMAP: u32 = 17;
const PROG_TYPE_XDP: u32 = 6;
const ATTACH_TYPE_XDP: u32 = 37;
const NAME_BYTES: usize = 16;
/// As often as libbpf asks.
const LOAD_TRIES: u32 = 5;
/// Enough for the end of what the verifier has to say.
const LOG_BYTES: usize = 1 << 20;

/// The program's name as `bpftool prog` and `ip link` show it.
pub const PROGRAM_NAME: &str = "synfin_filter";
/// The XSKMAP's name; the `afxdp` crate's libbpf finds the map of a program already attached by this very name.
pub const XSKMAP_NAME: &str = "xsks_map";

fn bpf<T>(command: i32, attr: &mut T) -> Result<i64> {
    // SAFETY: `attr` is a live, fully initialised `repr(C)` structure of the given size, laid out as the kernel's
    // bpf_attr for this command; pointers in it are to memory that its maker keeps alive during the call.
    let r = unsafe { libc::syscall(libc::SYS_bpf, command, attr as *mut T, size_of::<T>()) };
    if r < 0 { Err(Error::last_os_error()) } else { Ok(r) }
}

fn bpf_fd<T>(command: i32, attr: &mut T) -> Result<OwnedFd> {
    let fd = bpf(command, attr)?;
    // SAFETY: these commands return a new file descriptor (close-on-exec), which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn name(text: &str) -> [u8; NAME_BYTES] {
    let mut name = [0; NAME_BYTES];
    // The last byte stays zero.
    for (to, from) in name[..NAME_BYTES - 1].iter_mut().zip(text.bytes()) {
        *to = from;
    }
    name
}

/// An XSKMAP with a place for each of `queues` queues.
pub fn create_xskmap(queues: u32) -> Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        map_type: u32,
        key_bytes: u32,
        value_bytes: u32,
        max_entries: u32,
        flags: u32,
        inner_map_fd: u32,
        numa_node: u32,
        name: [u8; NAME_BYTES],
    }
    let mut attr = Attr {
        map_type: MAP_TYPE_XSKMAP,
        key_bytes: 4,
        value_bytes: 4,
        max_entries: queues.max(1),
        flags: 0,
        inner_map_fd: 0,
        numa_node: 0,
        name: name(XSKMAP_NAME),
    };
    bpf_fd(MAP_CREATE, &mut attr)
}

/// Puts the socket `value` at place `key` of an XSKMAP.
pub fn update_map(map: &OwnedFd, key: u32, value: u32) -> Result<()> {
    #[repr(C)]
    struct Attr {
        map_fd: u32,
        pad: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
    let mut attr = Attr {
        map_fd: map.as_raw_fd() as u32,
        pad: 0,
        key: &raw const key as u64,
        value: &raw const value as u64,
        flags: 0,
    };
    bpf(MAP_UPDATE_ELEM, &mut attr).map(drop)
}

/// Why a program was refused.
#[derive(Debug)]
pub struct LoadError {
    pub error: Error,
    /// The last lines of the verifier's log, if it came that far.
    pub log: String,
}

/// Loads an XDP program. `large_frames`: it may be given frames in several pieces, of which it sees the first (kernel
/// 5.18; where the kernel knows nothing of this, the program is loaded as an ordinary one).
pub fn load_program(insns: &[Insn], large_frames: bool) -> std::result::Result<OwnedFd, LoadError> {
    if large_frames && let Ok(program) = load_with_log(insns, XDP_HAS_FRAGS, &mut []) {
        return Ok(program);
    }
    // Without a log first: the verifier is a good deal faster, and on success nobody reads it.
    load_with_log(insns, 0, &mut []).or_else(|_| {
        let mut log = vec![0u8; LOG_BYTES];
        load_with_log(insns, 0, &mut log).map_err(|error| LoadError { error, log: log_tail(&log) })
    })
}

fn load_with_log(insns: &[Insn], flags: u32, log: &mut [u8]) -> Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        prog_type: u32,
        insn_count: u32,
        insns: u64,
        license: u64,
        log_level: u32,
        log_bytes: u32,
        log: u64,
        kernel_version: u32,
        flags: u32,
        name: [u8; NAME_BYTES],
        ifindex: u32,
        expected_attach_type: u32,
    }
    let wants_log = !log.is_empty();
    let mut attr = Attr {
        prog_type: PROG_TYPE_XDP,
        insn_count: insns.len() as u32,
        insns: insns.as_ptr() as u64,
        // None of the helpers used is for GPL programs only.
        license: c"Dual MIT/GPL".as_ptr() as u64,
        log_level: u32::from(wants_log),
        log_bytes: log.len() as u32,
        log: if wants_log { log.as_mut_ptr() as u64 } else { 0 },
        kernel_version: 0,
        flags,
        name: name(PROGRAM_NAME),
        ifindex: 0,
        expected_attach_type: ATTACH_TYPE_XDP,
    };
    let again = |e: &Error| matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR));
    let mut tries_left = LOAD_TRIES;
    loop {
        tries_left -= 1;
        match bpf_fd(PROG_LOAD, &mut attr) {
            // A signal stops the verifier in the midst of its work; it begins anew when asked again.
            Err(e) if again(&e) && tries_left > 0 => {}
            loaded => return loaded,
        }
    }
}

fn log_tail(log: &[u8]) -> String {
    let text = log.split(|&b| b == 0).next().unwrap_or(&[]);
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(4)..].join(" | ")
}

/// Attaches `program` to the interface; it stays as long as the descriptor returned (kernel 5.9).
/// `flags`: `XDP_FLAGS_SKB_MODE` (2) or `XDP_FLAGS_DRV_MODE` (4) of UAPI if_link.h.
pub fn create_link(program: &OwnedFd, ifindex: u32, flags: u32) -> Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        program_fd: u32,
        ifindex: u32,
        attach_type: u32,
        flags: u32,
    }
    let mut attr = Attr { program_fd: program.as_raw_fd() as u32, ifindex, attach_type: ATTACH_TYPE_XDP, flags };
    bpf_fd(LINK_CREATE, &mut attr)
}

/// Takes the link's program off the device at once, whoever else may hold a copy of the descriptor (kernel 5.9).
pub fn detach_link(link: &OwnedFd) -> Result<()> {
    #[repr(C)]
    struct Attr {
        link_fd: u32,
    }
    bpf(LINK_DETACH, &mut Attr { link_fd: link.as_raw_fd() as u32 }).map(drop)
}

/// The name of the program with this id, if it can be had.
pub fn program_name(id: u32) -> Option<String> {
    #[repr(C)]
    struct ById {
        id: u32,
        next_id: u32,
        open_flags: u32,
    }
    /// `struct bpf_prog_info` up to its name.
    #[repr(C)]
    struct Info {
        prog_type: u32,
        id: u32,
        tag: [u8; 8],
        jited_len: u32,
        xlated_len: u32,
        jited: u64,
        xlated: u64,
        load_time_ns: u64,
        created_by_uid: u32,
        map_count: u32,
        map_ids: u64,
        name: [u8; NAME_BYTES],
    }
    #[repr(C)]
    struct Query {
        fd: u32,
        info_bytes: u32,
        info: u64,
    }
    let fd = bpf_fd(PROG_GET_FD_BY_ID, &mut ById { id, next_id: 0, open_flags: 0 }).ok()?;
    // SAFETY: all of its fields are integers, for which zero is a value.
    let mut info: Info = unsafe { std::mem::zeroed() };
    let mut query =
        Query { fd: fd.as_raw_fd() as u32, info_bytes: size_of::<Info>() as u32, info: &raw mut info as u64 };
    bpf(OBJ_GET_INFO_BY_FD, &mut query).ok()?;
    let end = info.name.iter().position(|&b| b == 0).unwrap_or(NAME_BYTES);
    Some(String::from_utf8_lossy(&info.name[..end]).into_owned()).filter(|n| !n.is_empty())
}

/// Runs the program once on `frame` as if it had come in on queue 0 of the loopback device; returns its verdict.
pub fn test_run(program: &OwnedFd, frame: &[u8]) -> Result<u32> {
    #[repr(C)]
    struct Attr {
        program_fd: u32,
        verdict: u32,
        bytes_in: u32,
        bytes_out: u32,
        data_in: u64,
        data_out: u64,
        repeat: u32,
        duration_ns: u32,
    }
    let mut attr = Attr {
        program_fd: program.as_raw_fd() as u32,
        verdict: 0,
        bytes_in: frame.len() as u32,
        bytes_out: 0,
        data_in: frame.as_ptr() as u64,
        data_out: 0,
        repeat: 1,
        duration_ns: 0,
    };
    bpf(PROG_TEST_RUN, &mut attr)?;
    Ok(attr.verdict)
}
