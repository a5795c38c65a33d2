//! The XDP program on a link with a kernel at the other end: it takes what is the engine's, leaves the rest to the
//! kernel, and goes with its process. Without privileges each test prints why it is skipped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use synfin_engine::io::bpf::{FilterAddr, FilterSpec, XdpLink, XdpMode};
use synfin_engine::io::sys::{interface, multicast};
use synfin_engine::io::xsk::{XskConfig, XskSet};
use synfin_engine::io::{IoError, PacketIo};
use synfin_engine::wire::Addr;
use synfin_tests::netns::{Lab, Side, script};

const SHARED: Addr = Addr::v4([198, 18, 0, 1]);
const EXCLUSIVE: Addr = Addr::v4([198, 18, 0, 10]);

fn exclusive_v6() -> Addr {
    Addr::from("2001:2::10".parse::<std::net::Ipv6Addr>().unwrap())
}

fn spec() -> FilterSpec {
    let addresses = vec![
        FilterAddr::exclusive(EXCLUSIVE, 1),
        FilterAddr::exclusive(exclusive_v6(), 1),
        FilterAddr::shared(SHARED, 1, &[(8000, 8999)]),
    ];
    FilterSpec { addresses }
}

/// Sockets on both queues of side A, behind the program.
fn open(mode: XdpMode) -> Result<(XdpLink, Vec<impl PacketIo>), IoError> {
    let device = interface(Side::A.interface())?;
    let link = XdpLink::attach(device.ifindex, mode, &spec(), device.rx_queues)?;
    let set = XskSet::open(&XskConfig::new(&device.name, device.ifindex, device.rx_queues))?;
    for io in &set {
        link.set_socket(io.queue(), io.fd())?;
    }
    Ok((link, set))
}

/// Frames that come in on any of the queues until `enough` says so, or for five seconds.
fn receive(set: &mut [impl PacketIo], mut enough: impl FnMut(&[u8]) -> bool) -> bool {
    let mut burst = Vec::with_capacity(64);
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        for io in set.iter_mut() {
            io.wait(Duration::from_millis(5));
            io.rx_burst(&mut burst);
            let found = burst.iter().any(|f| enough(f.bytes()));
            burst.drain(..).for_each(|f| io.pool().free(f));
            io.reclaim();
            io.kick();
            if found {
                return true;
            }
        }
    }
    false
}

fn both_modes(test: impl Fn(&Lab, XdpMode)) {
    for mode in [XdpMode::Native, XdpMode::Skb] {
        if let Some(lab) = Lab::up(2) {
            test(&lab, mode);
        }
    }
}

#[test]
fn the_kernels_ping_and_tcp_go_on_while_the_engine_holds_the_interface() {
    both_modes(|lab, mode| {
        let (_link, _set) = lab.inside(Side::A, || open(mode)).unwrap();
        lab.run(Side::B, "ping -c 3 -i 0.01 -W 2 198.18.0.1");
        lab.run(Side::B, "ping -c 3 -i 0.01 -W 2 2001:2::1");
        for address in ["198.18.0.1:22", "[2001:2::1]:22"] {
            let listener = lab.inside(Side::A, || TcpListener::bind(address)).unwrap();
            let mut client = lab.inside(Side::B, || TcpStream::connect(address)).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            client.write_all(&[7; 100_000][..]).unwrap();
            let mut got = vec![0; 100_000];
            server.read_exact(&mut got).unwrap();
            assert!(got.iter().all(|&b| b == 7));
        }
    });
}

#[test]
fn the_engine_gets_its_own_ports_of_a_shared_address_and_the_kernel_does_not_answer_there() {
    both_modes(|lab, mode| {
        let (_link, mut set) = lab.inside(Side::A, || open(mode)).unwrap();
        let address = "198.18.0.1:8080".parse().unwrap();
        std::thread::scope(|scope| {
            let client = scope.spawn(|| {
                lab.enter(Side::B);
                TcpStream::connect_timeout(&address, Duration::from_millis(500))
            });
            let is_syn = |f: &[u8]| f.len() >= 54 && f[36..38] == 8080u16.to_be_bytes() && f[47] & 0x12 == 0x02;
            assert!(receive(&mut set, is_syn), "no SYN");
            let e = client.join().unwrap().unwrap_err();
            assert_eq!(e.kind(), std::io::ErrorKind::TimedOut, "{e}");
        });
    });
}

#[test]
fn the_engine_is_asked_for_its_exclusive_addresses_by_arp_and_neighbour_discovery() {
    both_modes(|lab, mode| {
        let groups = lab.inside(Side::A, || {
            let ifindex = interface(Side::A.interface()).unwrap().ifindex;
            multicast::join_solicited_nodes(ifindex, &[(exclusive_v6(), 1)]).unwrap().unwrap()
        });
        let (_link, mut set) = lab.inside(Side::A, || open(mode)).unwrap();
        let asks = [
            ("198.18.0.10", [0x08, 0x06], 38..42, EXCLUSIVE.v4_bytes().to_vec()),
            ("2001:2::10", [0x86, 0xdd], 62..78, exclusive_v6().0.to_vec()),
        ];
        for (address, ethertype, place, target) in asks {
            let mut ping = lab.command(Side::B, &format!("ping -c 1 -W 1 {address}"));
            let mut ping = ping.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let asked =
                receive(&mut set, |f| f.get(12..14) == Some(&ethertype) && f.get(place.clone()) == Some(&target));
            ping.kill().unwrap();
            ping.wait().unwrap();
            assert!(asked, "{address} in {mode} mode");
        }
        drop(groups);
    });
}

/// Not a test of its own: the process that the next test kills.
#[test]
#[ignore = "started by the kill -9 test"]
fn hold_the_interface_until_killed() {
    let (_link, _set) = open(XdpMode::Native).unwrap();
    println!("holding");
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn after_kill_9_no_program_is_left_and_the_interface_can_be_taken_at_once() {
    let Some(lab) = Lab::up(2) else { return };
    for _ in 0..3 {
        let this = std::env::current_exe().unwrap();
        let mut command = lab.command(Side::A, "");
        command.arg(this).args(["--exact", "hold_the_interface_until_killed", "--ignored", "--nocapture"]);
        let mut holder = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
        assert!(lines.any(|l| l.unwrap().contains("holding")), "the holder did not start");
        let programs = || lab.inside(Side::A, || interface(Side::A.interface()).unwrap().xdp_program_ids);
        assert_eq!(programs().len(), 1);
        // `ip netns exec` replaces itself by the program, so this is the holder's own id.
        holder.kill().unwrap();
        holder.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while !programs().is_empty() {
            assert!(Instant::now() < deadline, "the program is still there");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    drop(lab.inside(Side::A, || open(XdpMode::Native)).unwrap());
}

#[test]
fn the_lab_can_be_made_twice_and_removed_twice() {
    let Some(lab) = Lab::up_with(&["--queues", "3", "--mtu", "1400"]) else { return };
    let device = lab.inside(Side::B, || interface(Side::B.interface())).unwrap();
    assert_eq!((device.rx_queues, device.tx_queues, device.mtu), (3, 3, 1400));
    assert!(script("up", lab.prefix(), &[]).status.success());
    let device = lab.inside(Side::B, || interface(Side::B.interface())).unwrap();
    assert_eq!((device.rx_queues, device.mtu), (2, 1500));
    assert!(script("status", lab.prefix(), &[]).status.success());
    for _ in 0..2 {
        assert!(script("down", lab.prefix(), &[]).status.success());
        assert_eq!(script("status", lab.prefix(), &[]).status.code(), Some(1));
    }
}

#[test]
fn the_lab_script_refuses_nonsense_with_exit_code_2_and_a_sentence() {
    let nonsense: [(&str, &str, &[&str]); 7] = [
        ("up", "x", &["--queues", "none"]),
        ("up", "x", &["--mtu", "0"]),
        ("up", "much-too-long-a-name", &[]),
        ("up", "x/y", &[]),
        ("up", "x", &["--colour", "red"]),
        ("sideways", "x", &[]),
        ("exec", "x", &["c", "true"]),
    ];
    for (command, prefix, options) in nonsense {
        let out = script(command, prefix, options);
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{command} {prefix} {options:?}: {said}");
        assert!(said.starts_with("lab: "), "{said}");
    }
    let help = Command::new("bash").args(["-n", concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/lab")]).status();
    assert!(help.unwrap().success());
}
