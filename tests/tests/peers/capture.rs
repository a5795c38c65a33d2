//! What Wireshark's dissectors think of recorded runs.

use crate::nginx::Nginx;
use crate::{KERNEL_V4, KERNEL_V6, SERVE_V4, SERVE_V6, Stage, all_completed};
use std::collections::BTreeMap;
use synfin_tests::programs::PATIENCE;

const CONNECTIONS: u64 = 1_000;
const FIELDS: [&str; 13] = [
    "frame.number",
    "_ws.malformed",
    "ip.checksum.status",
    "tcp.checksum.status",
    "tcp.checksum",
    "tcp.analysis.lost_segment",
    "tcp.stream",
    "tcp.srcport",
    "tcp.flags",
    "tcp.seq",
    "tcp.ack",
    "tcp.len",
    "ip.version",
];
const FIN: u64 = 1;
const SYN: u64 = 2;
const RST: u64 = 4;
const ACK: u64 = 16;

/// One direction of a stream. Numbers count from its SYN, which has 0.
#[derive(Default, Debug)]
struct Direction {
    syn: bool,
    syn_ack: bool,
    /// What an ACK of the FIN says.
    after_fin: Option<u64>,
    acked_by_peer: u64,
}

/// Both directions of one connection, by source port.
type Stream = BTreeMap<u64, Direction>;

/// Looks at every frame; returns the streams. `by_kernel`: what comes from port 80 is the kernel's work.
fn dissect(stage: &Stage, pcap: &str, by_kernel: bool) -> BTreeMap<u64, Stream> {
    // Checksums are verified, also those that Wireshark would take for left to a device.
    let checks = ["tcp.check_checksum:TRUE", "ip.check_checksum:TRUE", "tcp.relative_sequence_numbers:TRUE"];
    let mut words = vec!["tshark", "-n", "-r", pcap, "-T", "fields", "-E", "occurrence=f"];
    words.extend(checks.iter().flat_map(|c| ["-o", c]));
    words.extend(FIELDS.iter().flat_map(|f| ["-e", f]));
    let printed = stage.run(&words, 4 * PATIENCE).ok();
    let mut streams: BTreeMap<u64, Stream> = BTreeMap::new();
    for (i, line) in printed.lines().enumerate() {
        let column = |name: &str| {
            let at = FIELDS.iter().position(|f| *f == name).expect("a known field");
            line.split('\t').nth(at).unwrap_or_else(|| panic!("tshark printed {line}"))
        };
        for bad in ["_ws.malformed", "tcp.analysis.lost_segment"] {
            let story = || story(&printed, column("tcp.stream"), i);
            assert_eq!(column(bad), "", "{bad}, at the end of\n{}\n{}", FIELDS.join(" "), story());
        }
        let is_tcp = !column("tcp.stream").is_empty();
        if !is_tcp {
            continue;
        }
        let number = |name| decimal_or_hex(column(name)).unwrap_or_else(|| panic!("{name} in {line}"));
        let (flags, port) = (number("tcp.flags"), number("tcp.srcport"));
        // 1: good. IPv6 has no checksum of its own. Linux writes a sum of zero as 0xffff, which is right as well, though
        // not for Wireshark.
        let ip = if column("ip.version") == "4" { "1" } else { "" };
        let zero = by_kernel && port == 80 && column("tcp.checksum") == "0xffff";
        let tcp = if zero { column("tcp.checksum.status") } else { "1" };
        assert_eq!((column("ip.checksum.status"), column("tcp.checksum.status")), (ip, tcp), "{line}");
        assert_eq!(flags & RST, 0, "{line}");
        let stream = streams.entry(number("tcp.stream")).or_default();
        let one = stream.entry(port).or_default();
        one.syn |= flags & (SYN | ACK) == SYN;
        one.syn_ack |= flags & (SYN | ACK) == SYN | ACK;
        if flags & FIN != 0 {
            one.after_fin = Some(number("tcp.seq") + number("tcp.len") + 1);
        }
        if flags & ACK != 0 {
            let acked = number("tcp.ack");
            stream
                .iter_mut()
                .filter(|(p, _)| **p != port)
                .for_each(|(_, d)| d.acked_by_peer = d.acked_by_peer.max(acked));
        }
    }
    streams
}

/// The lines of one stream up to this one.
fn story(printed: &str, stream: &str, end: usize) -> String {
    let at = FIELDS.iter().position(|f| *f == "tcp.stream").expect("a known field");
    let own = printed.lines().take(end + 1).filter(|l| l.split('\t').nth(at) == Some(stream));
    own.collect::<Vec<_>>().join("\n")
}

fn decimal_or_hex(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[track_caller]
fn opened_and_closed_in_full(streams: &BTreeMap<u64, Stream>) {
    assert_eq!(streams.len() as u64, CONNECTIONS);
    for (number, stream) in streams {
        let what = format!("stream {number}: {stream:?}");
        let [server, client] = stream.values().collect::<Vec<_>>().try_into().unwrap_or_else(|_| panic!("{what}"));
        assert!(client.syn && server.syn_ack && !client.syn_ack && !server.syn, "{what}");
        for one in [client, server] {
            assert_eq!(one.after_fin, Some(one.acked_by_peer), "{what}");
        }
    }
}

/// Port 80 sorts before those of the clients, 1024 and more.
fn a_recording_is_in_order(stage: &Stage, v4: &str, v6: &str, path: &str, by_kernel: bool) {
    let pcap = stage.dir.path("run.pcap");
    let report = stage.load(&format!(
        "-a 198.18.0.10/24 -a 2001:2::10/64 -t {v4}:80 -t {v6}:80 --path {path} --concurrency 20 -n {CONNECTIONS} --pcap {}",
        pcap.display()
    ));
    all_completed(&report, CONNECTIONS);
    opened_and_closed_in_full(&dissect(stage, &pcap.to_string_lossy(), by_kernel));
}

#[test]
fn tshark_finds_nothing_wrong_in_a_thousand_connections_to_synfin() {
    let Some(stage) = Stage::up(1, &["tshark"]) else { return };
    let _server = stage.serve_own("");
    a_recording_is_in_order(&stage, SERVE_V4, SERVE_V6, "/bytes/10000", false);
}

#[test]
fn tshark_finds_nothing_wrong_in_a_thousand_connections_to_nginx() {
    let Some(stage) = Stage::up(1, &["tshark", "nginx"]) else { return };
    let _nginx = Nginx::start(&stage);
    a_recording_is_in_order(&stage, KERNEL_V4, KERNEL_V6, "/small", true);
}
