//! Links whose MTU is larger than a chunk of packet memory, against the kernel's TCP in both roles. Without privileges each
//! test says why it is skipped.

mod common;

use common::{Running, load, number};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use synfin_tests::netns::{Lab, Side};

const PATIENCE: Duration = Duration::from_secs(30);

/// Different at every place, so that nothing can change places unseen.
fn bytes(count: usize) -> Vec<u8> {
    (0..count as u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()).take(count).collect()
}

/// Sends everything and reads it back from an echo server at the same time.
fn echoed(mut stream: TcpStream, sent: &[u8]) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut writer = stream.try_clone().expect("a second handle");
    thread::scope(|scope| {
        scope.spawn(move || writer.write_all(sent).expect("sent"));
        let mut got = vec![0; sent.len()];
        stream.read_exact(&mut got).expect("all of it back");
        got
    })
}

/// The kernel's TCP against `serve` and against `load`, over IPv4 and IPv6. Returns the MTU that was used.
fn kernel_in_both_roles(lab: &Lab, how: &str) -> u64 {
    let sent = bytes(2_000_000);
    let server = Running::serve(lab, &format!("-a 198.18.0.20/24 -a 2001:2::20/64 --listen 7 --app echo {how}"));
    for address in ["198.18.0.20:7", "[2001:2::20]:7"] {
        let stream = lab.inside(Side::A, || TcpStream::connect(address)).expect("a connection");
        assert!(echoed(stream, &sent) == sent, "{how}, {address}");
    }
    let (code, report) = server.stop();
    assert_eq!((code, number(&report, "serve/accepted")), (0, 2), "{report:#}");

    let listener = lab.inside(Side::B, || TcpListener::bind("[::]:7")).expect("a free port");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut reader = stream.try_clone().expect("a second handle");
            thread::spawn(move || std::io::copy(&mut reader, &mut stream));
        }
    });
    for (own, target) in [("198.18.0.10/24", "198.18.0.2:7"), ("2001:2::10/64", "[2001:2::2]:7")] {
        let what = "--app echo --message-bytes 200000 --requests-per-connection 5 --concurrency 2 -n 4";
        let (code, report) = load(lab, &format!("-a {own} -t {target} {what} {how}"));
        assert_eq!(code, 0, "{how}: {report:#}");
        assert_eq!(number(&report, "load/received_bytes"), 4 * 5 * 200_000);
    }
    number(&report, "environment/mtu")
}

/// Whether the kernel has AF_XDP sockets for frames in several chunks (Linux 6.6).
fn kernel_takes_parts() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a kernel");
    let mut numbers = release.split('.').map_while(|n| n.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(6))
}

#[test]
fn any_mtu_works_against_the_kernel_in_each_mode() {
    for (mtu, in_parts) in [(3600, 3600), (9000, 9000), (65_535, 12_266)] {
        for mode in ["native", "skb"] {
            let Some(lab) = Lab::up_with(&["--queues", "1", "--mtu", &mtu.to_string()]) else { return };
            let used = kernel_in_both_roles(&lab, &format!("--mode {mode}"));
            assert_eq!(used, if kernel_takes_parts() { in_parts } else { 3498 });
        }
    }
}

#[test]
fn load_and_serve_understand_each_other_where_one_of_them_takes_single_chunks_only() {
    let Some(lab) = Lab::up_with(&["--queues", "1", "--mtu", "9000"]) else { return };
    let server = Running::serve(&lab, "-a 198.18.0.20/24 --listen 7 --app echo --mtu 3000");
    let what = "--app echo --message-bytes 200000 --requests-per-connection 5 --concurrency 2 -n 10";
    let (code, report) = load(&lab, &format!("-a 198.18.0.10/24 -t 198.18.0.20:7 {what}"));
    assert_eq!((code, number(&report, "load/received_bytes")), (0, 10 * 5 * 200_000));
    assert_eq!(server.stop().0, 0);
}

#[cfg(feature = "afxdp")]
#[test]
fn any_mtu_works_against_the_kernel_with_the_afxdp_backend() {
    for mode in ["native", "skb"] {
        let Some(lab) = Lab::up_with(&["--queues", "1", "--mtu", "9000"]) else { return };
        assert_eq!(kernel_in_both_roles(&lab, &format!("--mode {mode} --backend afxdp")), 3498);
    }
}
