//! Wrong command lines: each gets one clear sentence that says what is wrong and how to mend it, and its exit code. The
//! second table needs root, for a veth pair in namespaces of its own.

use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const SYNFIN: &str = env!("CARGO_BIN_EXE_synfin");

/// Options that are right for `load`, up to the ones under test.
const LOAD: &str = "load --interface lo --address 198.18.0.1/24 --target 198.18.0.2:80";
const SERVE: &str = "serve --interface lo --address 198.18.0.1/24";

/// A command line, and what its complaint has to say.
const USAGE: &[(&str, &str)] = &[
    ("", "Usage: synfin <COMMAND>"),
    ("frob", "unrecognized subcommand 'frob'"),
    ("load", "--interface <IF>"),
    ("LOAD", "<--rate <N>|--concurrency <N>>"),
    ("LOAD --rate 5 --concurrency 5", "cannot be used with"),
    ("LOAD --rate 0", "must be at least 1"),
    ("LOAD --rate abc", "not a number; write for example 5000 or 20k"),
    ("LOAD --concurrency 0", "must be at least 1"),
    ("LOAD --rate 5 --duration 0", "must be longer than zero"),
    ("LOAD --rate 5 --duration 5parsecs", "no unit of time; use us, ms, s, m or h"),
    ("LOAD --rate 5 --close maybe", "possible values: fin, rst, half-close"),
    ("LOAD --rate 5 --app gopher", "possible values: http, echo"),
    ("LOAD --rate 5 --workers 0", "not in 1..="),
    ("LOAD --rate 5 --requests-per-connection 0", "must be at least 1"),
    ("LOAD --rate 5 --source-ports 9-3", "the range ends before it begins"),
    ("LOAD --rate 5 --source-ports 0-5", "not a port (1 to 65535)"),
    ("LOAD --rate 5 --max-errors 200%", "not a percentage between 0% and 100%"),
    ("LOAD --rate 5 --path nope", "a path begins with '/'"),
    ("LOAD --rate 5 --vlan 5000", "not a VLAN id (1 to 4094)"),
    ("LOAD --rate 5 --mtu 10", "not in 576..="),
    ("LOAD --rate 5 --json /no/such/dir/x.json", "cannot write /no/such/dir/x.json"),
    ("LOAD --rate 5 --no-such-option", "unexpected argument '--no-such-option'"),
    ("load --interface lo --address 198.18.0.1 --target 198.18.0.2:80 --rate 5", "the prefix length is missing"),
    ("load --interface lo --address 198.18.0.1/40 --target 198.18.0.2:80 --rate 5", "between 1 and 32"),
    (
        "load --interface lo --address 999.1.1.1/24 --target 198.18.0.2:80 --rate 5",
        "neither an IPv4 nor an IPv6 address",
    ),
    ("load --interface lo --address 224.0.0.1/24 --target 198.18.0.2:80 --rate 5", "multicast, broadcast"),
    ("load --interface lo --address 198.18.0.9-198.18.0.2/24 --target 198.18.0.2:80 --rate 5", "ends before it begins"),
    ("load --interface lo --address 198.18.0.1/24 --target 198.18.0.2 --rate 5", "the port is missing"),
    ("load --interface lo --address 198.18.0.1/24 --target 198.18.0.2:0 --rate 5", "not a port"),
    ("load --interface lo --address 198.18.0.1/24 --target [2001:2::2]:80 --rate 5", "Add an IPv6 --address"),
    ("load --interface lo --address 198.18.0.1/24 --target 224.0.0.5:80 --rate 5", "not the address of a single host"),
    ("SERVE", "--listen <PORT>"),
    ("SERVE --listen 0", "not a port (1 to 65535)"),
    ("SERVE --listen 70000", "not a port (1 to 65535)"),
    ("SERVE --listen 80 --app ftp", "possible values: http, echo, discard, chargen"),
    ("SERVE --listen 80 --keepalive maybe", "possible values: on, off"),
    ("SERVE --listen 80 --body-bytes 9999999999999", "--body-bytes is larger than 1GiB"),
    ("SERVE --listen 80", "loopback interface"),
    ("serve --interface no-such-if0 --address 198.18.0.1/24 --listen 80", "there is no interface \"no-such-if0\""),
];

fn arguments(line: &str) -> Vec<String> {
    let line = line.replace("LOAD", LOAD).replace("SERVE", SERVE);
    line.split_whitespace().map(str::to_owned).collect()
}

#[track_caller]
fn check(line: &str, output: &Output, want: &str, code: i32) {
    let said = String::from_utf8_lossy(&output.stderr);
    let all = format!("{said}{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(code), "synfin {line}\n{all}");
    assert!(all.contains(want), "synfin {line}\nshould say: {want}\nbut said: {all}");
    assert!(!all.contains("panicked"), "synfin {line}\n{all}");
}

#[test]
fn wrong_usage_gets_one_clear_sentence_and_exit_code_2() {
    assert!(USAGE.len() >= 30);
    for (line, want) in USAGE {
        let output = Command::new(SYNFIN).args(arguments(line)).output().expect("synfin runs");
        check(line, &output, want, 2);
    }
}

/// Command lines for the veth pair: (line, sentence, exit code).
const SETUP: &[(&str, &str, i32)] = &[
    ("LOAD 198.18.0.77:80", "no answer to ARP for 198.18.0.77 on veth-a", 2),
    ("LOAD6 [2001:2::77]:80", "2001:2::77 on veth-a", 2),
    ("LOAD 203.0.113.5:80", "lies in the subnet of no --address, and there is no gateway", 2),
    ("LOAD 198.18.0.1:80", "target 198.18.0.1 is one of our own addresses", 2),
    ("LOAD 198.18.0.2:81", "refused: the target answered the SYN with RST", 1),
    ("LOAD 198.18.0.2:81 --max-errors 100%", "refused", 0),
    ("LOAD 198.18.0.2:80 --queue 7", "more queues than veth-a has (2 receive queues)", 2),
    ("LOAD 198.18.0.2:80 --workers 3", "more queues than veth-a has (2 receive queues)", 2),
    ("LOAD 198.18.0.2:80 --cores 99", "core 99 is not there", 2),
    ("LOAD 198.18.0.2:80 --gateway 10.0.0.1", "gateway 10.0.0.1 lies in the subnet of no --address", 2),
    ("LOAD 198.18.0.2:80 --bind zerocopy", "has no zero-copy: take copy mode, or auto", 2),
    ("LOAD 198.18.0.2:80 --mode skb --workers 2", "in SKB mode all frames of veth-a arrive on queue 0", 2),
    ("LOAD 198.18.0.2:80 --fault lose=1", "lose", 2),
    ("LOAD 198.18.0.2:80 --pcap /no/such/dir/x.pcap", "/no/such/dir/x.pcap", 2),
];

struct Lab(String);

impl Lab {
    fn up() -> Option<Lab> {
        static LABS: AtomicU32 = AtomicU32::new(0);
        // SAFETY: no argument, no memory involved.
        if unsafe { libc::geteuid() } != 0 {
            println!("skipped: needs root, to make network namespaces");
            return None;
        }
        let lab = Lab(format!("bad{}-{}", std::process::id() % 100_000, LABS.fetch_add(1, Ordering::Relaxed)));
        let up = lab.script("up", &[]);
        if !up.status.success() {
            println!("skipped: no lab: {}", String::from_utf8_lossy(&up.stderr));
            return None;
        }
        Some(lab)
    }

    fn script(&self, what: &str, rest: &[&str]) -> Output {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/lab");
        Command::new(script).args([what, "--prefix", &self.0]).args(rest).output().expect("scripts/lab runs")
    }

    fn run(&self, side: &str, command: &[&str]) -> Output {
        self.script("exec", &[&[side], command].concat())
    }

    fn synfin(&self, line: &str) -> Output {
        let line = line
            .replace("LOAD6", "load --rate 5 --duration 1s --interface veth-a --address 2001:2::1/64 --target")
            .replace("LOAD", "load --rate 5 --duration 1s --interface veth-a --address 198.18.0.1/24 --target")
            .replace("SERVE", "serve --duration 1s --interface veth-a --address 198.18.0.1/24 --listen");
        let args: Vec<&str> = std::iter::once(SYNFIN).chain(line.split_whitespace()).collect();
        self.run("a", &args)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.script("down", &[]);
    }
}

#[test]
fn what_cannot_be_set_up_is_said_with_the_next_step() {
    let Some(lab) = Lab::up() else { return };
    for (line, want, code) in SETUP {
        check(line, &lab.synfin(line), want, *code);
    }
    lab.run("a", &["ip", "link", "set", "veth-a", "down"]);
    check("veth-a down", &lab.synfin("LOAD 198.18.0.2:80"), "veth-a is down", 2);
    for (side, interface) in [("a", "veth-a"), ("b", "veth-b")] {
        lab.run(side, &["ip", "link", "set", interface, "up", "mtu", "9000"]);
    }
    let native = lab.synfin("LOAD 198.18.0.2:80 --mode native");
    check("--mode native, MTU 9000", &native, "MTU 9000 is too big for native mode", 2);
}

#[test]
fn a_port_of_the_kernel_and_an_interface_in_use_are_named() {
    let Some(lab) = Lab::up() else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/lab");
    let in_a = |command: &[&str]| {
        let mut c = Command::new(script);
        c.args(["exec", "--prefix", &lab.0, "a"]).args(command).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own, so that it can be ended with its children.
        c.process_group(0).spawn().expect("a program in the namespace")
    };
    let listen = "import socket,time; s=socket.socket(); s.bind(('198.18.0.1',8080)); s.listen(); time.sleep(60)";
    let mut kernel = in_a(&["python3", "-c", listen]);
    let mut serve = in_a(&[SYNFIN, "serve", "--interface", "veth-a", "--address", "198.18.0.1/24", "--listen", "80"]);
    std::thread::sleep(Duration::from_secs(2));
    let port = lab.synfin("SERVE 8080");
    let busy = lab.synfin("SERVE 81");
    for child in [&mut kernel, &mut serve] {
        // SAFETY: the process group that was made above, still unreaped.
        unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
        let _ = child.wait();
    }
    check("--listen 8080", &port, "port 8080 is in use by a TCP socket of the kernel", 2);
    check("a second synfin", &busy, "another XDP program holds veth-a", 2);
}

#[test]
fn missing_privileges_are_named_with_the_command_that_grants_them() {
    // SAFETY: no argument, no memory involved.
    let is_root = unsafe { libc::geteuid() } == 0;
    // A copy that anybody may run: the build directory may be private.
    let copy = std::env::temp_dir().join(format!("synfin-unprivileged-{}", std::process::id()));
    std::fs::copy(SYNFIN, &copy).expect("a copy of synfin");
    let interface = std::fs::read_dir("/sys/class/net").expect("sysfs").flatten();
    let mut names = interface.map(|e| e.file_name().to_string_lossy().into_owned()).filter(|n| n != "lo");
    let Some(name) = names.next() else {
        println!("skipped: no interface but lo");
        return;
    };
    let mut command = Command::new(&copy);
    command.args(["serve", "--interface", &name, "--address", "198.18.0.1/24", "--listen", "80"]);
    if is_root {
        command.uid(65_534).gid(65_534);
    }
    let output = command.output();
    let _ = std::fs::remove_file(&copy);
    let output = output.expect("synfin runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("is down") {
        println!("skipped: {name} is down");
        return;
    }
    check("as nobody", &output, "sudo setcap cap_net_raw,cap_net_admin,cap_bpf", 2);
}
