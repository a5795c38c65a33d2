//! The machine, for the 'environment' section of reports: a figure without it is worth little.

/// What a measurement ran on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// e.g. `Linux 6.18.0 x86_64`.
    pub kernel: String,
    /// The processor's model name, or `unknown`.
    pub cpu: String,
    /// Processors that this process may run on.
    pub cpus: usize,
    /// Main memory, bytes; 0 if unknown.
    pub memory_bytes: u64,
    /// The processor says that it runs under a hypervisor.
    pub virtual_machine: bool,
}

impl std::fmt::Display for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Environment { kernel, cpu, cpus, memory_bytes, virtual_machine } = self;
        let gib = *memory_bytes as f64 / f64::from(1 << 30);
        write!(f, "{kernel}, {cpus} x {cpu}, {gib:.1} GiB")?;
        if *virtual_machine { f.write_str(", virtual machine") } else { Ok(()) }
    }
}

/// Describes the machine. Never fails: what cannot be read is `unknown` or 0.
pub fn environment() -> Environment {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    Environment {
        kernel: kernel(),
        cpu: cpu_model(&cpuinfo),
        cpus: std::thread::available_parallelism().map_or(1, |n| n.get()),
        memory_bytes: memory_bytes(&meminfo),
        virtual_machine: field(&cpuinfo, "flags").is_some_and(|f| f.split(' ').any(|w| w == "hypervisor")),
    }
}

/// Kernel release as (major, minor), for features that depend on it; (0, 0) if unknown.
pub fn kernel_version() -> (u32, u32) {
    parse_version(&uname().1)
}

fn kernel() -> String {
    let (system, release, machine) = uname();
    format!("{system} {release} {machine}")
}

/// System, release and machine of uname(2).
fn uname() -> (String, String, String) {
    // SAFETY: utsname is plain character arrays, for which zero is a value.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: `name` is live and writable.
    if unsafe { libc::uname(&mut name) } != 0 {
        return ("Linux".into(), "unknown".into(), String::new());
    }
    (text(&name.sysname), text(&name.release), text(&name.machine))
}

fn text(field: &[libc::c_char]) -> String {
    let bytes: Vec<u8> = field.iter().take_while(|&&c| c != 0).map(|&c| c as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn parse_version(release: &str) -> (u32, u32) {
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|p| p.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// The value of the first line `name : value`.
fn field<'a>(table: &'a str, name: &str) -> Option<&'a str> {
    table.lines().find_map(|l| {
        let (key, value) = l.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

fn cpu_model(cpuinfo: &str) -> String {
    // x86, then what several other architectures call it.
    let model = ["model name", "cpu model", "cpu", "Processor"].iter().find_map(|n| field(cpuinfo, n));
    model.unwrap_or("unknown").to_string()
}

fn memory_bytes(meminfo: &str) -> u64 {
    let kib = field(meminfo, "MemTotal").and_then(|v| v.split(' ').next()).and_then(|v| v.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described_in_one_line() {
        let e = environment();
        assert!(e.kernel.starts_with("Linux ") && e.cpus > 0 && e.memory_bytes > 0, "{e:?}");
        assert!(!e.to_string().contains('\n'));
        assert!(kernel_version() > (3, 0));
    }

    #[test]
    fn tables_of_proc_are_read_and_odd_ones_survived() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n"), "Some CPU @ 3 GHz");
        assert_eq!(cpu_model(""), "unknown");
        assert_eq!(memory_bytes("MemTotal:       2048 kB\n"), 2 << 20);
        assert_eq!(memory_bytes("MemTotal: lots\n"), 0);
        assert_eq!(parse_version("6.18.44-generic"), (6, 18));
        assert_eq!(parse_version("weird"), (0, 0));
    }
}
