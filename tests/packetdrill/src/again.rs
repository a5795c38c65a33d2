//! packetdrill asks for TCP_INFO, and sends files, past its table of functions. So that [`preload`](crate::preload) can answer,
//! this library has to be preloaded; where it is not, the program is started once more, with `LD_PRELOAD` naming it, before it
//! has done anything.

use std::env;
use std::ffi::{CStr, OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const PRELOAD: &str = "LD_PRELOAD";

/// Starts the program once more unless this library is preloaded. Returns if it is, or cannot be.
pub fn start_preloaded() {
    let Some(library) = own_path() else { return };
    let named = env::var_os(PRELOAD).unwrap_or_default();
    let Some(value) = preloading(&named, &library) else { return };
    let (Ok(program), Ok(line)) = (fs::read_link("/proc/self/exe"), fs::read("/proc/self/cmdline")) else { return };
    if program == library {
        // Not a library: linked into the program.
        return;
    }
    let mut words = line.strip_suffix(&[0]).unwrap_or(&line).split(|&b| b == 0).map(OsStr::from_bytes);
    let Some(name) = words.next() else { return };
    // It returns only if it fails; then everything but TCP_INFO works all the same.
    let error = Command::new(program).arg0(name).args(words).env(PRELOAD, value).exec();
    eprintln!("synfin: TCP_INFO is not to be had: the program cannot be started with {PRELOAD}: {error}");
}

/// The file that this code was loaded from.
fn own_path() -> Option<PathBuf> {
    // SAFETY: all zeroes are a valid value of this plain structure.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    let here = start_preloaded as fn() as *const libc::c_void;
    // SAFETY: `info` has room for what is filled in, and any address may be asked for.
    let found = unsafe { libc::dladdr(here, &raw mut info) } != 0 && !info.dli_fname.is_null();
    // SAFETY: `dladdr` has found it: a C string that lives as long as the library is loaded, which is as long as this runs.
    let name = found.then(|| unsafe { CStr::from_ptr(info.dli_fname) })?;
    fs::canonicalize(OsStr::from_bytes(name.to_bytes())).ok()
}

/// The list `named` with `library` at its head; `None` if it is there already, or its name cannot stand in such a list.
fn preloading(named: &OsStr, library: &Path) -> Option<OsString> {
    let is_separator = |b: &u8| matches!(b, b' ' | b':');
    let is_it = |name: &[u8]| fs::canonicalize(OsStr::from_bytes(name)).is_ok_and(|path| path == library);
    let own = library.as_os_str().as_bytes();
    if own.iter().any(is_separator) || named.as_bytes().split(is_separator).any(is_it) {
        return None;
    }
    Some(OsString::from_vec([own, b":", named.as_bytes()].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_is_named_once_and_before_others() {
        let here = fs::canonicalize("/proc/self/exe").unwrap();
        let with = preloading(OsStr::new("/lib/other.so"), &here).unwrap();
        assert_eq!(with, OsString::from(format!("{}:/lib/other.so", here.display())));
        assert_eq!(preloading(&with, &here), None);
        assert_eq!(preloading(OsStr::new(""), Path::new("/with a space.so")), None);
    }

    #[test]
    fn program_that_the_code_is_linked_into_goes_on() {
        start_preloaded();
    }
}
