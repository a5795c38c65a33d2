//! The engine's sockets as a shared object for packetdrill:
//!
//! ```text
//! packetdrill --so_filename=target/release/libsynfin_packetdrill.so --so_flags=local=192.168.0.2 \
//!     --local_ip=192.168.0.2 --ip_version=ipv4 script.pkt
//! ```
//!
//! Time is virtual: it stands still except where packetdrill waits, and a script that lasts a minute takes no time. The
//! address in `local=` has to be the one that packetdrill is told; see [`settings`] for the other flags.
//!
//! Scripts with blocks of Python (`%{ assert tcpi_... }%`) ask for TCP_INFO with `getsockopt` itself, past the table; since this
//! library is preloaded, or has the program started once more to be so (`again`), they are answered (`preload`).
//!
//! One job a file: [`interface`] the table of function pointers, `calls` what they do, `convert` C structures,
//! `sysctls` settings that scripts make,
//! `machine` the stack with its clock and its packets, `adapter` two threads that share it.

mod adapter;
mod again;
mod calls;
mod convert;
mod error_queue;
mod fast_open;
pub mod interface;
mod machine;
mod preload;
pub mod settings;
mod sysctls;

use adapter::Adapter;
use interface::Interface;
use settings::Settings;
use std::ffi::{CStr, c_char};

/// What packetdrill looks for: fills in the table. `flags` is what stands in `--so_flags`, or null.
///
/// # Safety
/// `flags` must be null or a C string, `interface` must point to room for an [`Interface`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn packetdrill_interface_init(flags: *const c_char, interface: *mut Interface) {
    let flags = match flags.is_null() {
        true => String::new(),
        // SAFETY: not null, so a C string by the caller's promise.
        false => unsafe { CStr::from_ptr(flags) }.to_string_lossy().into_owned(),
    };
    again::start_preloaded();
    let settings = Settings::parse(&flags).unwrap_or_else(|error| {
        eprintln!("synfin: --so_flags: {error}");
        std::process::exit(2);
    });
    let adapter = Box::into_raw(Box::new(Adapter::new(settings, &flags)));
    preload::serve(adapter.cast());
    let table = calls::table(adapter.cast());
    // SAFETY: the caller promises room for it.
    unsafe { interface.write(table) };
}
