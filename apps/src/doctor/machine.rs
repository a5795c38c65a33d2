//! The machine apart from its network: kernel, privileges, memory, processors.

use super::Finding;
use crate::report::number::bytes;
use crate::run::memory;
use std::fs::read_to_string;
use std::time::Duration;
use synfin_engine::io::sys::environment::kernel_version;
use synfin_engine::io::sys::{self, Capabilities};
use synfin_engine::io::xsk::XskConfig;
use synfin_engine::worker::pin;

const CAP_IPC_LOCK: u32 = 14;
/// How long the hypervisor is watched.
const STEAL_WATCH: Duration = Duration::from_millis(250);

pub fn look(workers: u16) -> Vec<Finding> {
    let read = |path: &str| read_to_string(path).unwrap_or_default();
    let cores = pin::available_cores();
    let packets = packet_memory_bytes(workers);
    let privileges = match Capabilities::current().require() {
        Ok(()) => Finding::ok("privileges", "those that AF_XDP needs"),
        Err(e) => Finding::refused("privileges", e),
    };
    let stat = read("/proc/stat");
    std::thread::sleep(STEAL_WATCH);
    let findings = [
        Some(kernel(kernel_version(), &sys::environment().kernel)),
        Some(privileges),
        Some(locked_memory(&read("/proc/self/limits"), &read("/proc/thread-self/status"), packets)),
        Some(free_memory(memory::available_bytes(), packets)),
        jit(&read("/proc/sys/net/core/bpf_jit_enable")),
        Some(processors(cores.len(), workers)),
        smt(cores.iter().map(|c| read(&format!("/sys/devices/system/cpu/cpu{c}/topology/thread_siblings_list")))),
        governor(&cores, |core| read(&format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor"))),
        clock(&read("/sys/devices/system/clocksource/clocksource0/current_clocksource")),
        busy(&read("/proc/loadavg"), cores.len()),
        steal(&stat, &read("/proc/stat")),
    ];
    findings.into_iter().flatten().collect()
}

/// What workers' packets are kept in.
fn packet_memory_bytes(workers: u16) -> u64 {
    let config = XskConfig::new("", 0, u32::from(workers));
    u64::from(workers) * u64::from(config.frames_per_queue) * u64::from(config.chunk_bytes)
}

fn kernel(version: (u32, u32), name: &str) -> Finding {
    if version < (5, 9) {
        return Finding::fail(
            "kernel",
            format!("{name}: AF_XDP as synfin uses it came with 5.9"),
            "Install a newer kernel, for example your distribution's hardware enablement (HWE) or backports kernel.",
        );
    }
    Finding::ok("kernel", name)
}

/// `limits` is /proc/self/limits, `status` /proc/self/status.
fn locked_memory(limits: &str, status: &str, needed: u64) -> Finding {
    let effective = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
    let bits = effective.and_then(|l| u64::from_str_radix(l.trim(), 16).ok()).unwrap_or(0);
    if bits >> CAP_IPC_LOCK & 1 == 1 {
        return Finding::ok("locked memory", "no limit (CAP_IPC_LOCK)");
    }
    let line = limits.lines().find_map(|l| l.strip_prefix("Max locked memory"));
    // Soft and hard limit, and the unit; the hard one is what a process can raise itself to.
    let hard = line.and_then(|l| l.split_whitespace().nth(1)).and_then(|n| n.parse::<u64>().ok());
    match hard.filter(|limit| *limit < needed) {
        Some(limit) => Finding::fail(
            "locked memory",
            format!("at most {} (RLIMIT_MEMLOCK), and packets take {}", bytes(limit), bytes(needed)),
            "Run it as root, grant it CAP_IPC_LOCK (sudo setcap cap_net_raw,cap_net_admin,cap_bpf,cap_ipc_lock+ep SYNFIN), or \
             raise the limit: ulimit -l unlimited",
        ),
        None => Finding::ok("locked memory", "enough may be locked"),
    }
}

fn free_memory(available: Option<u64>, needed: u64) -> Finding {
    match available {
        Some(there) if there < needed => Finding::fail(
            "memory",
            format!("{} are available, and packets alone take {}", bytes(there), bytes(needed)),
            "Free memory, or use fewer --workers.",
        ),
        Some(there) => Finding::ok("memory", format!("{} available", bytes(there))),
        None => Finding::ok("memory", "the kernel does not tell what is available"),
    }
}

fn jit(enabled: &str) -> Option<Finding> {
    (enabled.trim() == "0").then(|| {
        Finding::warn(
            "BPF compiler",
            "XDP programs are interpreted, for every frame that arrives",
            "sysctl -w net.core.bpf_jit_enable=1",
        )
    })
}

fn processors(there: usize, workers: u16) -> Finding {
    let what = format!("{there} for {workers} polling {}", if workers == 1 { "worker" } else { "workers" });
    if there <= usize::from(workers) {
        let mend = "Use fewer --workers, or --sleep: polling leaves no core to the kernel and to the other side.";
        return Finding::warn("processors", what, mend);
    }
    Finding::ok("processors", what)
}

/// `siblings`: for each processor, those that share its core.
fn smt(siblings: impl Iterator<Item = String>) -> Option<Finding> {
    let mut cores: Vec<String> = siblings.map(|s| s.trim().to_owned()).filter(|s| s.contains([',', '-'])).collect();
    cores.dedup();
    (!cores.is_empty()).then(|| {
        Finding::warn(
            "hyperthreads",
            format!("processors {} share a core, and slow each other down", cores.join(" · ")),
            "Give --cores one processor of each core, and keep its twin free.",
        )
    })
}

fn governor(cores: &[usize], of: impl Fn(usize) -> String) -> Option<Finding> {
    let found: Vec<String> = cores.iter().map(|c| of(*c).trim().to_owned()).filter(|g| !g.is_empty()).collect();
    let slow = found.iter().find(|g| *g != "performance");
    match (found.is_empty(), slow) {
        (true, _) => None,
        (_, None) => Some(Finding::ok("governor", "performance")),
        (_, Some(slow)) => Some(Finding::warn(
            "governor",
            format!("{slow}: processors change their speed during a run"),
            "cpupower frequency-set -g performance",
        )),
    }
}

fn clock(source: &str) -> Option<Finding> {
    let source = source.trim();
    // Asked by a system call or over a slow bus, some thousand times as often as anything else.
    ["hpet", "acpi_pm", "jiffies", "refined-jiffies"].contains(&source).then(|| {
        Finding::warn(
            "clock",
            format!("{source}, which is slow to read and coarse"),
            "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource (if the kernel trusts it)",
        )
    })
}

/// `average` is /proc/loadavg.
fn busy(average: &str, processors: usize) -> Option<Finding> {
    let last_minute = average.split(' ').next().and_then(|n| n.parse::<f64>().ok())?;
    (last_minute > 0.5 * processors as f64).then(|| {
        Finding::warn(
            "other work",
            format!("{last_minute:.1} programs wanted to run in the last minute, on {processors} processors"),
            "Stop what else runs here (top shows it): figures of a busy machine vary by the half.",
        )
    })
}

/// Two looks at /proc/stat.
fn steal(before: &str, after: &str) -> Option<Finding> {
    // user nice system idle iowait irq softirq steal; what follows is contained in them.
    let times = |stat: &str| -> Option<(u64, u64)> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = line.split_whitespace().take(8).filter_map(|n| n.parse().ok()).collect();
        Some((*ticks.get(7)?, ticks.iter().sum()))
    };
    let ((stolen_before, all_before), (stolen, all)) = (times(before)?, times(after)?);
    let (stolen, all) = (stolen.saturating_sub(stolen_before), all.saturating_sub(all_before));
    let percent = 100.0 * stolen as f64 / all.max(1) as f64;
    (percent >= 2.0).then(|| {
        Finding::warn(
            "hypervisor",
            format!("takes {percent:.0} % of the processors' time for others (steal)"),
            "Use dedicated processors, or believe ratios inside one run only.",
        )
    })
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
