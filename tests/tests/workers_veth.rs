//! Workers on a real device: two queues of a veth pair, a shard on each, and the kernel's TCP as the peer. The kernel
//! chooses queues as it likes, so segments reach their owners only by handoff.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use synfin_engine::base::{DropReason, Event};
use synfin_engine::control::{Control, Stage};
use synfin_engine::io::bpf::{FilterAddr, FilterSpec, XdpLink, XdpMode};
use synfin_engine::io::sys::{interface, multicast};
use synfin_engine::io::tap::{Fault, Pcap, PcapSink, read};
use synfin_engine::io::xsk::{XskConfig, XskIo, XskSet};
use synfin_engine::shard::{App, Conn, LocalNet, Shard, ShardConfig};
use synfin_engine::steering::Policy;
use synfin_engine::wire::Addr;
use synfin_engine::worker::{Clock, RunOptions, Running, start};
use synfin_tests::netns::{Lab, Side};
use synfin_tests::skip::skip;

const PORT: u16 = 7;
const V4: Addr = Addr::v4([198, 18, 0, 10]);
const TARGETS: [&str; 2] = ["198.18.0.10:7", "[2001:2::10]:7"];

fn v6() -> Addr {
    Addr::from("2001:2::10".parse::<std::net::Ipv6Addr>().unwrap())
}

/// Sends back what comes, and closes when the peer does.
struct Echo;

impl App for Echo {
    type Conn = ();

    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        let taken = conn.send_copy(bytes).unwrap_or(0);
        if taken < bytes.len() {
            conn.want_writable();
        }
        taken
    }

    fn writable(&mut self, conn: &mut Conn<'_, ()>) {
        conn.resume_receive();
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, ()>) {
        conn.close();
    }
}

type Queue = Pcap<Fault<XskIo>>;

/// An echo server of two workers on side A. What must outlive the run comes with it.
struct Server {
    running: Running<Shard<Echo>, Queue>,
    control: Control,
    _link: XdpLink,
    _groups: Option<multicast::Membership>,
}

fn serve(mode: XdpMode, fault: &str, record: &Path) -> Server {
    let device = interface(Side::A.interface()).unwrap();
    let addresses = vec![FilterAddr::exclusive(V4, 1), FilterAddr::exclusive(v6(), 1)];
    let link = XdpLink::attach(device.ifindex, mode, &FilterSpec { addresses }, device.rx_queues).unwrap();
    let groups = multicast::join_solicited_nodes(device.ifindex, &[(v6(), 1)]).unwrap();
    let set = XskSet::open(&XskConfig { frames_per_queue: 6144, ..XskConfig::new(&device.name, device.ifindex, 2) });
    let local = |first, prefix_len| LocalNet { first, count: 1, prefix_len, exclusive: true };
    let (clock, sink) = (Clock::start(), PcapSink::create(record, 1 << 30).unwrap());
    let part = |io: XskIo| {
        link.set_socket(io.queue(), io.fd()).unwrap();
        let config = ShardConfig::new(device.mac, vec![local(V4, 24), local(v6(), 64)]);
        let mut shard = Shard::new(config, Echo, clock.now());
        shard.listen(PORT);
        let faulty = Fault::new(io, fault.parse().unwrap(), 1, clock.for_tap());
        (shard, Pcap::new(faulty, sink.clone(), clock.for_tap(), clock.wall_offset_ns()))
    };
    let parts: Vec<_> = set.unwrap().into_iter().map(part).collect();
    let control = Control::new(parts.len());
    let options = RunOptions { sleep: true, steering: Some(Policy::Hash), ..RunOptions::default() };
    let running = start(parts, clock, &options, &control).unwrap();
    Server { running, control, _link: link, _groups: groups }
}

/// One exchange over the kernel's TCP: `len` bytes out, the same back, then both ends close.
fn exchange(target: &str, len: usize) {
    let target: SocketAddr = target.parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&target, Duration::from_secs(20)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let sent: Vec<u8> = (0..len).map(|i| (i * 31 + (i >> 8)) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    let got = std::thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(&sent).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut got = Vec::with_capacity(len);
        stream.read_to_end(&mut got).unwrap();
        got
    });
    assert!(got == sent, "{} bytes came back of {len}, or not the same", got.len());
}

fn recording(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("synfin-workers-{}-{name}.pcap", std::process::id()))
}

#[test]
fn a_kernel_peer_is_served_by_two_workers_whatever_queue_it_sends_on() {
    for mode in [XdpMode::Native, XdpMode::Skb] {
        let Some(lab) = Lab::up(2) else { return };
        let record = recording(&mode.to_string());
        let server = lab.inside(Side::A, || serve(mode, "seed=1", &record));
        lab.inside(Side::B, || (0..200).for_each(|i| exchange(TARGETS[i % 2], 1 + i * 100)));
        server.control.drain();
        let ends = server.running.join().unwrap();
        assert!(ends.iter().all(|end| end.engine.live().0 == 0));
        let workers = [0, 1].map(|worker| server.control.snapshot(worker));
        let counts = |event| workers.each_ref().map(|w| w.counters.count(event));
        assert_eq!(counts(Event::PassiveOpens).iter().sum::<u64>(), 200);
        assert!(counts(Event::PassiveOpens).iter().all(|&n| n > 20), "{:?}", counts(Event::PassiveOpens));
        assert!(counts(Event::HandoffOut).iter().sum::<u64>() > 0);
        let total = server.control.total();
        assert_eq!(total.counters.dropped(DropReason::HandoffFull), 0);
        assert_eq!((total.io.tx_refused, total.io.io_errors), (0, 0), "{:?}", total.io);
        assert!(total.time.share(Stage::Shard).is_some_and(|share| share > 0.0));
        drop(ends);
        let frames = read(&record).unwrap().len() as u64;
        assert_eq!(frames, total.io.rx_frames + total.io.tx_frames);
        check_with_tshark(&record);
        std::fs::remove_file(&record).unwrap();
    }
}

#[test]
fn a_kernel_peer_is_served_through_losses_in_both_directions() {
    let Some(lab) = Lab::up(2) else { return };
    let record = recording("losses");
    let server = lab.inside(Side::A, || serve(XdpMode::Native, "loss=0.02,dup=0.01,reorder=0.02", &record));
    lab.inside(Side::B, || {
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let lab = &lab;
                scope.spawn(move || {
                    lab.enter(Side::B);
                    (0..10).for_each(|i| exchange(TARGETS[(worker + i) % 2], 10_000));
                });
            }
        });
    });
    server.control.stop();
    server.running.join().unwrap();
    let total = server.control.total().counters;
    assert!(total.dropped(DropReason::FaultInjected) > 0);
    assert!(total.count(Event::Retransmits) > 0);
    std::fs::remove_file(&record).unwrap();
}

/// Nothing in the recording may be malformed, and nothing of ours may carry a wrong checksum. (The kernel may send
/// 0xffff for 0, which is right by RFC 1071 and which tshark calls bad.)
fn check_with_tshark(record: &Path) {
    let filter = "_ws.malformed || ((ip.src == 198.18.0.10 || ipv6.src == 2001:2::10) && \
                  (tcp.checksum.status == Bad || ip.checksum.status == Bad))";
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(record).args(["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", filter]);
    match tshark.output() {
        Ok(out) => {
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            assert!(out.stdout.is_empty(), "{}", String::from_utf8_lossy(&out.stdout));
        }
        Err(_) => skip("the recording is not checked: no tshark on this machine"),
    }
}
