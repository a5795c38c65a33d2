//! AF_XDP sockets on a real device: both ends of a veth pair, native and SKB mode, and a kernel peer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use synfin_engine::base::Frame;
use synfin_engine::io::PacketIo;
use synfin_engine::io::bpf::XdpMode;
use synfin_engine::io::sys::netlink;
use synfin_engine::io::xsk::{BindMode, XskConfig, XskIo, XskSet};
use synfin_tests::veth::{self, End, mark_of, marked_frame};

const MODES: [XdpMode; 2] = [XdpMode::Native, XdpMode::Skb];

/// A run that makes no progress for this long has failed; on a busy machine it may take seconds.
const STUCK: Duration = Duration::from_secs(20);

/// A frame of the pool with these bytes.
fn frame(io: &mut XskIo, bytes: &[u8]) -> Frame {
    let mut frame = io.pool().alloc().expect("a free frame");
    assert!(frame.set_len(bytes.len()));
    frame.bytes_mut().copy_from_slice(bytes);
    frame
}

/// Sends all of `tx`, however many rounds it takes.
fn send(io: &mut XskIo, tx: &mut Vec<Frame>) {
    let start = Instant::now();
    while !tx.is_empty() {
        io.tx_burst(tx);
        io.kick();
        io.reclaim();
        assert!(start.elapsed() < STUCK, "cannot send: {:?}", io.stats());
    }
}

fn send_marks(io: &mut XskIo, marks: impl Iterator<Item = u64>) {
    let mut tx: Vec<Frame> = marks.map(|m| frame(io, &marked_frame(m))).collect();
    send(io, &mut tx);
}

/// Waits for `count` marked frames and gives their marks, the frames going back to the pool.
fn receive_marks(io: &mut XskIo, count: usize) -> Vec<u64> {
    receive(io, count).into_iter().map(|f| take_mark(io, f)).collect()
}

fn take_mark(io: &mut XskIo, frame: Frame) -> u64 {
    let mark = mark_of(frame.bytes()).expect("a frame of this test");
    io.pool().free(frame);
    mark
}

fn receive(io: &mut XskIo, count: usize) -> Vec<Frame> {
    let (mut all, mut rx) = (Vec::new(), Vec::with_capacity(64));
    let start = Instant::now();
    while all.len() < count {
        if io.rx_burst(&mut rx) == 0 {
            io.wait(Duration::from_millis(20));
        }
        all.append(&mut rx);
        io.reclaim();
        io.kick();
        assert!(start.elapsed() < STUCK, "{} of {count} came: {:?}", all.len(), io.stats());
    }
    all
}

#[test]
fn frames_cross_both_ways_unchanged_and_in_order_in_native_and_skb_mode() {
    for mode in MODES {
        veth::in_new_namespace(|| {
            veth::pair(1);
            let mut a = End::open("va", mode, 1).unwrap();
            let mut b = End::open("vb", mode, 1).unwrap();
            send_marks(&mut a.queues[0], 0..500);
            assert_eq!(receive_marks(&mut b.queues[0], 500), (0..500).collect::<Vec<_>>());
            send_marks(&mut b.queues[0], 500..1000);
            assert_eq!(receive_marks(&mut a.queues[0], 500), (500..1000).collect::<Vec<_>>());
            let text = a.queues[0].describe();
            for word in ["va#0", &mode.to_string(), " copy ", "need-wakeup", "rx 8192", "checksum offload off"] {
                assert!(text.contains(word), "{text}");
            }
        });
    }
}

#[test]
fn one_kick_sends_a_whole_burst() {
    veth::in_new_namespace(|| {
        veth::pair(1);
        let (mut a, mut b) =
            (End::open("va", XdpMode::Native, 1).unwrap(), End::open("vb", XdpMode::Native, 1).unwrap());
        let io = &mut a.queues[0];
        let mut tx: Vec<Frame> = (0..250).map(|m| frame(io, &marked_frame(m))).collect();
        assert_eq!(io.tx_burst(&mut tx), 250);
        io.kick();
        // One system call where the kernel takes a budget, one for each 32 frames where it does not.
        assert!(io.stats().kicks <= 250 / 32 + 2, "{:?}", io.stats());
        assert_eq!(receive_marks(&mut b.queues[0], 250).len(), 250);
        io.kick();
        let kicks = io.stats().kicks;
        io.kick();
        assert_eq!(io.stats().kicks, kicks, "nothing to send, nothing to wake up");
    });
}

/// Keeps 64 frames under way until `total` have come back, each exactly once and in order.
fn ping(end: &mut End, total: u64) {
    let io = &mut end.queues[0];
    let (mut rx, mut tx) = (Vec::with_capacity(64), Vec::with_capacity(64));
    let (mut sent, mut back) = (0, 0);
    let mut progress = Instant::now();
    while back < total {
        if io.rx_burst(&mut rx) > 0 {
            progress = Instant::now();
        } else {
            assert!(progress.elapsed() < STUCK, "{back} of {total} came back: {:?}", io.stats());
            io.wait(Duration::from_millis(1));
        }
        for frame in rx.drain(..) {
            assert_eq!(mark_of(frame.bytes()), Some(back));
            back += 1;
            io.pool().free(frame);
        }
        while sent < total && sent - back < 64 && tx.len() < tx.capacity() {
            tx.push(frame(io, &marked_frame(sent)));
            sent += 1;
        }
        io.tx_burst(&mut tx);
        io.reclaim();
        io.kick();
    }
}

#[test]
fn a_million_frames_go_there_and_back_in_order_with_none_lost_and_none_leaked() {
    for mode in MODES {
        veth::in_new_namespace(|| {
            veth::pair(1);
            let (mut a, mut b) = (End::open("va", mode, 1).unwrap(), End::open("vb", mode, 1).unwrap());
            let stop = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| veth::pong(&mut b.queues[0], &stop));
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ping(&mut a, 1_000_000)));
                stop.store(true, Ordering::Relaxed);
                result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            });
            for end in [&mut a, &mut b] {
                assert_eq!(end.frames(0), end.capacity());
                let stats = end.queues[0].stats();
                assert_eq!((stats.rx_frames, stats.tx_frames), (1_000_000, 1_000_000), "{stats:?}");
                assert_eq!((stats.tx_refused, stats.io_errors, stats.kernel_tx_invalid), (0, 0, 0), "{stats:?}");
            }
        });
    }
}

#[test]
fn queues_that_share_memory_each_have_their_traffic_and_frames_change_queues_without_a_copy() {
    veth::in_new_namespace(|| {
        veth::pair(2);
        let (mut a, mut b) =
            (End::open("va", XdpMode::Native, 2).unwrap(), End::open("vb", XdpMode::Native, 2).unwrap());
        send_marks(&mut a.queues[0], 0..300);
        send_marks(&mut a.queues[1], 1000..1300);
        let handed = receive(&mut b.queues[0], 300);
        assert_eq!(receive_marks(&mut b.queues[1], 300), (1000..1300).collect::<Vec<_>>());
        // Received on queue 0, sent from queue 1: the same chunk, then home to its own pool.
        let mut handed: Vec<Frame> = handed;
        send(&mut b.queues[1], &mut handed);
        assert_eq!(receive_marks(&mut a.queues[1], 300), (0..300).collect::<Vec<_>>());
        for end in [&mut a, &mut b] {
            end.queues.iter_mut().for_each(PacketIo::reclaim);
            assert_eq!(end.frames(0), end.capacity());
            assert!(end.queues.iter_mut().all(|io| io.pool().foreign_frames == 0 && io.stats().tx_refused == 0));
        }
    });
}

#[test]
fn a_queue_can_be_taken_again_at_once_and_its_memory_is_given_back() {
    for mode in MODES {
        veth::in_new_namespace(|| {
            veth::pair(1);
            let mut b = End::open("vb", mode, 1).unwrap();
            for round in 0..10 {
                let mut a = End::open("va", mode, 1).unwrap();
                let memory = Arc::downgrade(a.queues[0].pool().arena());
                send_marks(&mut a.queues[0], round..round + 40);
                assert_eq!(receive_marks(&mut b.queues[0], 40)[0], round);
                send_marks(&mut b.queues[0], 0..10);
                drop(a);
                assert_eq!(memory.strong_count(), 0, "memory of round {round} is still mapped");
            }
        });
    }
}

#[test]
fn memory_shared_by_queues_goes_with_the_last_of_them_and_not_before() {
    veth::in_new_namespace(|| {
        veth::pair(2);
        let mut set = XskSet::open(&veth::config("va", 2).unwrap()).unwrap();
        let memory = Arc::downgrade(set[0].pool().arena());
        drop(set.remove(0));
        assert!(memory.strong_count() > 0);
        send_marks(&mut set[0], 0..100);
        drop(set);
        assert_eq!(memory.strong_count(), 0);
    });
}

#[test]
fn set_up_errors_say_what_where_and_what_to_do() {
    veth::in_new_namespace(|| {
        veth::pair(1);
        let config = veth::config("va", 1).unwrap();
        let _first = XskSet::open(&config).unwrap();
        let refusal = |config: &XskConfig| XskSet::open(config).err().expect("must be refused");
        let busy = refusal(&config);
        assert_eq!(busy.what, "queue 0 of va is in use by another AF_XDP socket");
        assert!(!busy.hint.is_empty());
        let beyond = refusal(&XskConfig { first_queue: 7, ..config.clone() });
        assert!(beyond.what.contains("queue 7 of va") && beyond.hint.contains("ethtool -l va"), "{beyond}");
        let peer = veth::config("vb", 1).unwrap();
        let zero_copy = refusal(&XskConfig { bind: BindMode::ZeroCopy, ..peer.clone() });
        assert!(zero_copy.hint.contains("no zero-copy"), "{zero_copy}");
        veth::ip("link del va");
        let gone = refusal(&peer);
        assert!(gone.what.contains("vb") && !gone.hint.is_empty(), "{gone}");
    });
}

#[test]
fn link_down_and_interface_gone_are_counted_and_survived() {
    veth::in_new_namespace(|| {
        veth::pair(1);
        let mut a = End::open("va", XdpMode::Native, 1).unwrap();
        let io = &mut a.queues[0];
        let try_to_send = |io: &mut XskIo| {
            let mut tx: Vec<Frame> = (0..10).map(|m| frame(io, &marked_frame(m))).collect();
            io.tx_burst(&mut tx);
            let errors = io.stats().io_errors;
            io.kick();
            io.wait(Duration::from_millis(1));
            io.reclaim();
            assert!(io.rx_burst(&mut Vec::with_capacity(8)) == 0);
            tx.drain(..).for_each(|f| io.pool().free(f));
            io.stats().io_errors - errors
        };
        veth::ip("link set va down");
        assert!(try_to_send(io) > 0, "{:?}", io.stats());
        veth::ip("link set va up");
        assert_eq!(try_to_send(io), 0, "{:?}", io.stats());
        veth::ip("link del va");
        assert!(try_to_send(io) > 0, "{:?}", io.stats());
        assert_eq!(a.frames(0), a.capacity());
    });
}

/// A UDP datagram from the first address to the second whose checksum field holds the pseudo-header sum only.
fn datagram(io: &mut XskIo, destination: [u8; 6], port: u16) -> Frame {
    let payload = b"checksum me";
    let udp_bytes = 8 + payload.len() as u16;
    let mut bytes = marked_frame(0)[..34].to_vec();
    bytes[..6].copy_from_slice(&destination);
    bytes[16..18].copy_from_slice(&(20 + udp_bytes).to_be_bytes());
    bytes[23] = 17;
    let header_sum = !sum(&bytes[14..34]);
    bytes[24..26].copy_from_slice(&header_sum.to_be_bytes());
    let pseudo = [&bytes[26..34], &[0, 17], &udp_bytes.to_be_bytes()].concat();
    bytes
        .extend([9u16.to_be_bytes(), port.to_be_bytes(), udp_bytes.to_be_bytes(), sum(&pseudo).to_be_bytes()].concat());
    bytes.extend(payload);
    let mut frame = frame(io, &bytes);
    frame.request_checksum(34, 6);
    frame
}

/// One's-complement sum (RFC 1071) of an even number of bytes.
fn sum(bytes: &[u8]) -> u16 {
    let total: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    ((total & 0xffff) + (total >> 16)) as u16
}

#[test]
fn a_kernel_peer_accepts_checksums_left_to_the_device_and_only_then() {
    veth::in_new_namespace(|| {
        veth::pair(1);
        veth::ip("link set dev lo up");
        veth::ip("addr add 198.18.0.2/24 dev vb");
        let destination = netlink::interface("vb").unwrap().mac.0;
        let peer = std::net::UdpSocket::bind("198.18.0.2:0").unwrap();
        let port = peer.local_addr().unwrap().port();
        for offload in [false, true] {
            let config = XskConfig { checksum_offload: offload, ..veth::config("va", 1).unwrap() };
            let io = &mut XskSet::open(&config).unwrap()[0];
            assert_eq!(io.checksum_offload(), offload, "{}", io.describe());
            let mut tx = vec![datagram(io, destination, port)];
            send(io, &mut tx);
            let patience = if offload { STUCK } else { Duration::from_millis(300) };
            peer.set_read_timeout(Some(patience)).unwrap();
            let mut buffer = [0; 100];
            let got = peer.recv(&mut buffer).map(|n| buffer[..n].to_vec());
            match offload {
                true => assert_eq!(got.unwrap(), b"checksum me"),
                false => assert!(got.is_err(), "the kernel took a datagram with half a checksum: {got:?}"),
            }
        }
    });
}
