//! Where an interface's interrupts go.

use super::Finding;
use std::fs::{read_dir, read_to_string};

pub fn look(name: &str) -> Vec<Finding> {
    let table = read_to_string("/proc/interrupts").unwrap_or_default();
    let listed = read_dir(format!("/sys/class/net/{name}/device/msi_irqs"));
    let of_device = listed.into_iter().flatten().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    let mut numbers = named(&table, name);
    if numbers.is_empty() {
        numbers = of_device.collect();
        numbers.sort_unstable();
    }
    let places = numbers.iter().map(|irq| {
        let path = format!("/proc/irq/{irq}/smp_affinity_list");
        (*irq, read_to_string(path).unwrap_or_default().trim().to_owned())
    });
    let mut findings: Vec<Finding> = affinity(&places.collect::<Vec<_>>()).into_iter().collect();
    if !numbers.is_empty() && runs("irqbalance") {
        findings.push(Finding::warn(
            "irqbalance",
            "runs, and moves interrupts in the middle of a measurement",
            "systemctl stop irqbalance",
        ));
    }
    findings
}

/// Interrupts that carry the interface's name in /proc/interrupts: `eth0`, `eth0-rx-1`, `mlx5_comp0@…`.
fn named(table: &str, name: &str) -> Vec<u32> {
    let is_ours = |action: &str| action == name || action.starts_with(&format!("{name}-"));
    let number = |line: &str| line.trim_start().split_once(':').and_then(|(n, _)| n.parse().ok());
    table.lines().filter(|l| l.split_whitespace().next_back().is_some_and(is_ours)).filter_map(number).collect()
}

/// Each interrupt with the processors that it may go to.
fn affinity(places: &[(u32, String)]) -> Option<Finding> {
    let list: Vec<String> = places.iter().map(|(irq, cores)| format!("{irq} on {cores}")).collect();
    let is_loose = |cores: &str| cores.contains([',', '-']);
    let loose = places.iter().find(|(_, cores)| is_loose(cores));
    match (places.is_empty(), loose) {
        (true, _) => None,
        (_, None) => Some(Finding::ok("interrupts", list.join(" · "))),
        (_, Some((irq, cores))) => Some(Finding::warn(
            "interrupts",
            format!("{}: the kernel may move them between processors {cores}", list.join(" · ")),
            format!(
                "echo CORE > /proc/irq/{irq}/smp_affinity_list, the core of the worker on that queue, for each of them"
            ),
        )),
    }
}

/// Whether a program of this name runs.
fn runs(name: &str) -> bool {
    let entries = read_dir("/proc").into_iter().flatten().flatten();
    entries.map(|e| e.path().join("comm")).any(|p| read_to_string(p).is_ok_and(|comm| comm.trim() == name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn interrupts_are_found_by_the_interfaces_name_and_no_longer_one() {
        let table = "           CPU0  CPU1\n  24:  5  0  PCI-MSIX  eth0\n  25:  5  0  PCI-MSIX  eth0-rx-1\n  \
                     26:  0  0  PCI-MSIX  eth01\n NMI:  0  0  Non-maskable interrupts\n";
        assert_eq!(named(table, "eth0"), [24, 25]);
        assert_eq!(named("", "eth0"), [0u32; 0]);
    }

    #[test]
    fn interrupts_that_may_wander_are_warned_of() {
        let fixed = [(24, "0".to_owned()), (25, "1".to_owned())];
        assert_eq!(affinity(&fixed).map(|f| (f.level, f.what)), Some((Level::Ok, "24 on 0 · 25 on 1".to_owned())));
        let loose = [(24, "0-3".to_owned())];
        assert!(affinity(&loose).is_some_and(|f| f.level == Level::Warn && f.mend.contains("/proc/irq/24/")));
        assert_eq!(affinity(&[]), None);
    }
}
