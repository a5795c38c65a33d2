//! The kernel's view: its own traffic on the interface goes on undisturbed, and of a killed synfin nothing is left.

use crate::clients::fetch_many;
use crate::loss::with_kernel_echo;
use crate::{KERNEL_V4, KERNEL_V6, SERVE_V4, SERVE_V6, Stage};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use synfin_tests::netns::Side;
use synfin_tests::programs::{PATIENCE, Program, all_found, run};

/// Where the kernel's own session goes, as one of ssh's would go to port 22.
const KERNEL_PORT: u16 = 22;

/// What somebody would notice a change of.
fn settings(stage: &Stage) -> String {
    let of = |side: Side| {
        let dev = side.interface();
        let words = [
            format!("ip -d link show dev {dev}"),
            "ip addr show".into(),
            format!("ip maddr show dev {dev}"),
            "ip route show table all".into(),
            "ip -6 route show table all".into(),
            format!("ethtool -k {dev}"),
            format!("ethtool -l {dev}"),
        ];
        words.map(|w| format!("{side:?}: {w}\n{}", stage.lab.run(side, &w))).concat()
    };
    of(Side::A) + &of(Side::B)
}

/// AF_XDP sockets on side B. (`ss --xdp` says nothing where the kernel lacks a module for it.)
fn xdp_sockets(stage: &Stage) -> u64 {
    let text = stage.lab.run(Side::B, "cat /proc/net/protocols");
    let line = text.lines().find(|l| l.starts_with("XDP ")).expect("a kernel with AF_XDP");
    line.split_whitespace().nth(2).and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no number in {line}"))
}

/// The number of the XDP program on side B's interface.
fn xdp_program(stage: &Stage) -> Option<u64> {
    let link = stage.lab.run(Side::B, "ip -d link show dev veth-b");
    let (_, rest) = link.split_once("prog/xdp")?;
    rest.split_whitespace().skip_while(|w| *w != "id").nth(1)?.parse().ok()
}

fn is_loaded(program: u64) -> bool {
    let mut command = std::process::Command::new("bpftool");
    run(command.args(["prog", "show", "id", &program.to_string()]), PATIENCE).status.success()
}

/// Waits for what the kernel does in its own time.
#[track_caller]
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(20));
    }
}

/// Sessions of the kernels with each other: a short message there and back, again and again, until `over`.
fn converse(stage: &Stage, host: &str, exchanges: &AtomicU64, over: &AtomicBool) {
    let mut stream = stage
        .lab
        .inside(Side::A, || TcpStream::connect(format!("{host}:{KERNEL_PORT}")))
        .expect("the kernel's own server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    while !over.load(Ordering::Relaxed) {
        let n = exchanges.load(Ordering::Relaxed).to_be_bytes();
        let mut back = [0; 8];
        stream.write_all(&n).expect("the session stands");
        stream.read_exact(&mut back).expect("the session stands");
        assert_eq!(back, n);
        exchanges.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(2));
    }
}

/// Runs `body` beside sessions of the kernels over IPv4 and IPv6; `body` is given a way to count their exchanges.
fn beside_sessions(stage: &Stage, body: impl FnOnce(&dyn Fn() -> [u64; 2])) {
    /// Also when `body` panics: the sessions must end for the panic to get on.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (exchanges, over) = ([AtomicU64::new(0), AtomicU64::new(0)], AtomicBool::new(false));
    with_kernel_echo(stage, Side::B, KERNEL_PORT, || {
        thread::scope(|scope| {
            let sessions = [(KERNEL_V4, &exchanges[0]), (KERNEL_V6, &exchanges[1])]
                .map(|(host, n)| scope.spawn(|| converse(stage, host, n, &over)));
            {
                let _over = Over(&over);
                let counts = || exchanges.each_ref().map(|n| n.load(Ordering::Relaxed));
                eventually("the sessions begin", || counts().iter().all(|n| *n > 0));
                body(&counts);
            }
            for session in sessions {
                session.join().expect("the session stood to its end");
            }
        });
    });
}

/// Starts a server on the kernel's own addresses and on others.
fn serve_shared(stage: &Stage, options: &str) -> Program {
    let words = "-a 198.18.0.2/24 -a 2001:2::2/64 -a 198.18.0.20/24 -a 2001:2::20/64 --listen 80";
    stage.serve(&format!("{words} {options}"))
}

fn serves(stage: &Stage) {
    for host in [KERNEL_V4, KERNEL_V6, SERVE_V4, SERVE_V6] {
        fetch_many(stage, host, 20_000, 20, "--max-time 60");
    }
}

#[test]
fn pings_and_sessions_of_the_kernel_go_on_while_synfin_serves_on_the_same_address() {
    let Some(stage) = Stage::up(2, &["ping", "curl"]) else { return };
    beside_sessions(&stage, |exchanges| {
        for options in ["--mode skb", "--mode native --workers 2"] {
            let before = exchanges();
            let server = serve_shared(&stage, options);
            let pings = [KERNEL_V4, "2001:2::2"].map(|host| {
                let words = format!("ping -n -q -i 0.02 -c 100 -W 10 {host}");
                Program::start(&mut stage.lab.command(Side::A, &words))
            });
            serves(&stage);
            for ping in pings {
                let printed = ping.wait(PATIENCE).ok();
                assert!(printed.contains(" 0% packet loss"), "{options}: {printed}");
            }
            let during = exchanges();
            eventually("the sessions go on", || exchanges().iter().zip(during).all(|(now, then)| *now > then));
            assert!(during.iter().zip(before).all(|(now, then)| *now > then), "{options}");
            crate::stop(server);
        }
    });
}

#[test]
fn killed_synfin_leaves_no_program_no_socket_and_no_setting_and_starts_again_at_once() {
    let Some(stage) = Stage::up(2, &["curl"]) else { return };
    let before = settings(&stage);
    let can_tell = all_found(&["bpftool"]);
    beside_sessions(&stage, |_| {
        for options in ["--mode skb", "--mode native --workers 2"] {
            for _ in 0..3 {
                let server = serve_shared(&stage, options);
                let program = xdp_program(&stage).expect("a program is attached while it serves");
                assert!(xdp_sockets(&stage) > 0, "sockets are there while it serves");
                assert!(!can_tell || is_loaded(program));
                let ended = server.stop(libc::SIGKILL);
                assert_eq!(ended.status.code(), None, "killed, not ended");
                assert_eq!(xdp_program(&stage), None, "{options}");
                // At once, with the old one's queue perhaps not yet given back.
                let server = serve_shared(&stage, options);
                assert!(!can_tell || !is_loaded(program), "{options}");
                serves(&stage);
                server.stop(libc::SIGKILL);
            }
        }
    });
    assert_eq!(xdp_program(&stage), None);
    eventually("no socket is left", || xdp_sockets(&stage) == 0);
    eventually(&format!("settings as before: {before}, but: {}", settings(&stage)), || settings(&stage) == before);
}

#[test]
fn ctrl_c_ends_a_load_with_its_report() {
    let Some(stage) = Stage::up(1, &[]) else { return };
    let _server = stage.serve_own("");
    let words = format!(
        "load -i veth-a --sleep --progress plain -a 198.18.0.10-198.18.0.19/24 -t {SERVE_V4}:80 --rate 200 --duration 10m \
         --max-missed 100%"
    );
    let mut load = Program::start(&mut stage.synfin(Side::A, &words));
    load.until("progress", |p| p.stderr().lines().count() > 2);
    let ended = load.stop(libc::SIGINT);
    let text = ended.ok();
    for want in ["connections   started ", "· failed 0 ·", "latency ", "ok: stopped early; "] {
        assert!(text.contains(want), "{want:?} is missing in {text}");
    }
}
