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
    /// The machine in one line.
    pub machine: String,
    pub kernel: String,
    pub cpu: String,
    /// Processors that this process may use.
    pub cpus: usize,
    pub memory_bytes: u64,
    pub virtual_machine: bool,
    pub interface: String,
    pub driver: String,
    pub mtu: u16,
    pub backend: &'static str,
    /// `native` or `skb`.
    pub mode: String,
}

impl Environment {
    pub fn new(interface: String, driver: String, mtu: u16, backend: &'static str, mode: String) -> Environment {
        let machine = synfin_engine::io::sys::environment();
        Environment {
            version: VERSION,
            commit: COMMIT,
            machine: machine.to_string(),
            kernel: machine.kernel,
            cpu: machine.cpu,
            cpus: machine.cpus,
            memory_bytes: machine.memory_bytes,
            virtual_machine: machine.virtual_machine,
            interface,
            driver,
            mtu,
            backend,
            mode,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_names_the_commit() {
        assert!(LONG_VERSION.starts_with(VERSION) && LONG_VERSION.contains(COMMIT));
    }
}
