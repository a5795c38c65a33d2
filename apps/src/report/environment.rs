//! What a run ran on: enough to understand a figure later, and nothing private.

use serde::Serialize;

pub const COMMIT: &str = env!("SYNFIN_COMMIT");
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
pub const LONG_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("SYNFIN_COMMIT"), ")");

/// Figures without their machine are worth nothing.
#[derive(Clone, Debug, Serialize)]
pub struct Environment {
    pub version: &'static str,
    pub commit: &'static str,
    pub kernel: String,
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    pub interface: String,
    pub driver: String,
    pub mtu: u16,
    pub backend: &'static str,
    /// What each queue got, in the backend's own words.
    pub queues: Vec<String>,
}

pub fn kernel() -> String {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    format!("{} {} {}", read("ostype").trim(), read("osrelease").trim(), std::env::consts::ARCH)
}

pub fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    cpu_model(&text).unwrap_or("unknown").to_owned()
}

fn cpu_model(cpuinfo: &str) -> Option<&str> {
    let value = |key: &str| {
        let line = cpuinfo.lines().find(|l| l.split(':').next().is_some_and(|k| k.trim() == key))?;
        line.split_once(':').map(|(_, v)| v.trim()).filter(|v| !v.is_empty())
    };
    value("model name").or_else(|| value("CPU part"))
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named_where_the_kernel_names_it() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz\n"), Some("Fast CPU @ 3 GHz"));
        assert_eq!(cpu_model("processor\t: 0\nCPU part\t: 0xd0c\n"), Some("0xd0c"));
        assert_eq!(cpu_model(""), None);
    }

    #[test]
    fn version_names_the_commit() {
        assert!(LONG_VERSION.starts_with(VERSION) && LONG_VERSION.contains(COMMIT));
    }
}
