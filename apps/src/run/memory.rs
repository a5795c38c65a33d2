//! Memory of this process that is resident, as the kernel counts it.

use std::fs;

/// Now; zero where there is no /proc.
pub fn resident_bytes() -> u64 {
    status("VmRSS:")
}

/// The most there has been.
pub fn resident_peak_bytes() -> u64 {
    status("VmHWM:")
}

/// What can still be had without swapping; `None` where there is no /proc.
pub fn available_bytes() -> Option<u64> {
    find(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

fn status(name: &str) -> u64 {
    fs::read_to_string("/proc/self/status").ok().and_then(|text| find(&text, name)).unwrap_or(0)
}

/// The value of a line such as `VmRSS:  1234 kB`, in bytes.
fn find(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_touched_becomes_resident() {
        let before = resident_bytes();
        let touched = std::hint::black_box(vec![1u8; 64 << 20]);
        let after = resident_bytes();
        assert!(after >= before + (32 << 20), "{before} {after} {}", touched.len());
        assert!(resident_peak_bytes() >= after && available_bytes() > Some(0));
    }

    #[test]
    fn a_line_is_found_by_its_whole_name() {
        let text = "VmRSSX: 1 kB\nVmRSS:\t  12 kB\n";
        assert_eq!((find(text, "VmRSS:"), find(text, "VmHWM:")), (Some(12 * 1024), None));
    }
}
