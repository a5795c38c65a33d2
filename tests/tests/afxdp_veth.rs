//! The `afxdp` crate's backend on both ends of a veth pair (cargo feature `afxdp`). Without privileges each test
//! prints why it is skipped.
#![cfg(feature = "afxdp")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use synfin_engine::base::{Frame, FramePool};
use synfin_engine::io::afxdp::{AfxdpIo, AfxdpSet};
use synfin_engine::io::bpf::{FilterAddr, FilterSpec, XdpLink, XdpMode};
use synfin_engine::io::xsk::{BindMode, XskConfig};
use synfin_engine::io::{IoError, PacketIo};
use synfin_engine::wire::Addr;
use synfin_tests::veth::{self, FIRST_ADDRESS, mark_of, marked_frame};

const MODES: [XdpMode; 2] = [XdpMode::Native, XdpMode::Skb];

/// A run that makes no progress for this long has failed; on a busy machine it may take seconds.
const STUCK: Duration = Duration::from_secs(20);

struct End {
    queues: Vec<AfxdpIo>,
    _link: XdpLink,
}

fn open(interface: &str, mode: XdpMode, queues: u32) -> Result<End, IoError> {
    open_with(veth::config(interface, queues)?, mode)
}

fn open_with(config: XskConfig, mode: XdpMode) -> Result<End, IoError> {
    let ours = FilterSpec { addresses: vec![FilterAddr::exclusive(Addr::v4(FIRST_ADDRESS), 2)] };
    let link = XdpLink::attach(config.ifindex, mode, &ours, config.first_queue + config.queues)?;
    let queues = AfxdpSet::open(&config, &link)?;
    Ok(End { queues, _link: link })
}

fn frame(pool: &mut FramePool, bytes: &[u8]) -> Frame {
    let mut frame = pool.alloc().expect("a free frame");
    assert!(frame.set_len(bytes.len()));
    frame.bytes_mut().copy_from_slice(bytes);
    frame
}

fn send_marks(io: &mut AfxdpIo, marks: impl Iterator<Item = u64>) {
    let start = Instant::now();
    let mut tx: Vec<Frame> = marks.map(|m| frame(io.pool(), &marked_frame(m))).collect();
    while !tx.is_empty() {
        io.tx_burst(&mut tx);
        io.kick();
        io.reclaim();
        assert!(start.elapsed() < STUCK, "cannot send: {:?}", io.stats());
    }
}

fn receive(io: &mut AfxdpIo, count: usize) -> Vec<Frame> {
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

fn receive_marks(io: &mut AfxdpIo, count: usize) -> Vec<u64> {
    let frames = receive(io, count);
    let take = |frame: Frame| {
        let mark = mark_of(frame.bytes()).expect("a frame of this test");
        io.pool().free(frame);
        mark
    };
    frames.into_iter().map(take).collect()
}

/// Fails if a frame is neither in the pool nor in a ring.
fn assert_no_frame_lost(io: &mut AfxdpIo) {
    assert_eq!(io.pool().available() + io.frames_in_rings(), io.pool().capacity());
    let stats = io.stats();
    assert_eq!((stats.io_errors, stats.tx_refused, stats.kernel_tx_invalid), (0, 0, 0), "{stats:?}");
}

#[test]
fn frames_cross_both_ways_unchanged_and_in_order_in_native_and_skb_mode() {
    for mode in MODES {
        veth::in_new_namespace(|| {
            veth::pair(1);
            let (mut a, mut b) = (open("va", mode, 1).unwrap(), open("vb", mode, 1).unwrap());
            let (a, b) = (&mut a.queues[0], &mut b.queues[0]);
            for round in 0..20 {
                let marks = round * 1000..round * 1000 + 500;
                send_marks(a, marks.clone());
                assert_eq!(receive_marks(b, 500), marks.clone().collect::<Vec<_>>());
                send_marks(b, marks.clone());
                assert_eq!(receive_marks(a, 500), marks.collect::<Vec<_>>());
            }
            assert_no_frame_lost(a);
            assert_no_frame_lost(b);
            let text = a.describe();
            for word in ["afxdp va#0", &mode.to_string(), " copy ", "need-wakeup", "rx 8192"] {
                assert!(text.contains(word), "{text}");
            }
            assert_eq!((a.stats().tx_frames, a.stats().rx_frames), (10_000, 10_000));
        });
    }
}

#[test]
fn frames_of_every_size_arrive_whole_and_those_too_large_are_refused() {
    veth::in_new_namespace(|| {
        veth::pair(1);
        for end in ["va", "vb"] {
            veth::ip(&format!("link set {end} mtu 3500"));
        }
        let (mut a, mut b) = (open("va", XdpMode::Native, 1).unwrap(), open("vb", XdpMode::Native, 1).unwrap());
        let (a, b) = (&mut a.queues[0], &mut b.queues[0]);
        let mut bytes = marked_frame(0).to_vec();
        bytes.resize(3514, 0);
        (64..3514).for_each(|i| bytes[i] = i as u8);
        for len in (64..=3514).step_by(150) {
            let mut tx = vec![frame(a.pool(), &bytes[..len])];
            assert_eq!(a.tx_burst(&mut tx), 1);
            a.kick();
            let came = receive(b, 1).remove(0);
            assert_eq!(came.bytes(), &bytes[..len]);
            b.pool().free(came);
        }
        // A chunk of 4096 bytes, of which the crate sends what is behind the first 256.
        bytes.resize(3841, 0);
        let mut tx = vec![frame(a.pool(), &bytes), frame(a.pool(), &[])];
        assert_eq!(a.tx_burst(&mut tx), 2);
        assert_eq!(a.stats().tx_refused, 2);
        a.reclaim();
        assert_eq!(a.pool().available() + a.frames_in_rings(), a.pool().capacity());
    });
}

/// Keeps 64 frames under way until each of `rounds` marks has come back.
fn ping(io: &mut AfxdpIo, rounds: u64) {
    let (mut rx, mut tx) = (Vec::with_capacity(64), Vec::with_capacity(256));
    tx.extend((0..64).map(|m| frame(io.pool(), &marked_frame(m))));
    let (mut sum, mut count, mut next) = (0u64, 0, 64);
    let start = Instant::now();
    while count < rounds {
        io.tx_burst(&mut tx);
        io.kick();
        io.reclaim();
        if io.rx_burst(&mut rx) == 0 {
            io.wait(Duration::from_millis(1));
        }
        for mut f in rx.drain(..) {
            sum += mark_of(f.bytes()).expect("a frame of this test");
            count += 1;
            if next < rounds {
                f.bytes_mut()[54..62].copy_from_slice(&next.to_be_bytes());
                next += 1;
                tx.push(f);
            } else {
                io.pool().free(f);
            }
        }
        assert!(start.elapsed() < 3 * STUCK, "{count} of {rounds}: {:?}", io.stats());
    }
    assert_eq!(sum, (0..rounds).sum::<u64>());
}

#[test]
fn frames_come_back_in_the_frames_they_went_in_a_hundred_thousand_times_and_none_is_lost() {
    for mode in MODES {
        veth::in_new_namespace(|| {
            veth::pair(1);
            let (mut a, mut b) = (open("va", mode, 1).unwrap(), open("vb", mode, 1).unwrap());
            let (a, b, stop) = (&mut a.queues[0], &mut b.queues[0], AtomicBool::new(false));
            std::thread::scope(|scope| {
                scope.spawn(|| veth::pong(b, &stop));
                let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ping(a, 100_000)));
                stop.store(true, Ordering::Relaxed);
                ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            });
            assert_no_frame_lost(a);
            assert_no_frame_lost(b);
        });
    }
}

#[test]
fn each_queue_has_a_socket_of_its_own() {
    veth::in_new_namespace(|| {
        veth::pair(2);
        let mut a = open("va", XdpMode::Native, 2).unwrap();
        let mut b = open("vb", XdpMode::Native, 2).unwrap();
        for queue in [1, 0] {
            send_marks(&mut a.queues[queue], 0..100);
            assert_eq!(receive_marks(&mut b.queues[queue], 100), (0..100).collect::<Vec<_>>());
        }
        assert_eq!(b.queues[0].stats().rx_frames, 100);
    });
}

#[test]
fn a_queue_can_be_taken_again_after_its_socket_has_gone() {
    veth::in_new_namespace(|| {
        veth::pair(1);
        for round in 0..5 {
            let (mut a, mut b) = (open("va", XdpMode::Skb, 1).unwrap(), open("vb", XdpMode::Skb, 1).unwrap());
            send_marks(&mut a.queues[0], round..round + 100);
            assert_eq!(receive_marks(&mut b.queues[0], 100), (round..round + 100).collect::<Vec<_>>());
        }
    });
}

#[test]
fn a_frame_outlives_its_socket() {
    veth::in_new_namespace(|| {
        veth::pair(1);
        let mut a = open("va", XdpMode::Native, 1).unwrap();
        let mut kept = frame(a.queues[0].pool(), &marked_frame(7));
        drop(a);
        kept.bytes_mut()[0] = 1;
        assert_eq!(mark_of(kept.bytes()), Some(7));
    });
}

#[test]
fn frames_of_another_pool_are_refused() {
    veth::in_new_namespace(|| {
        veth::pair(1);
        let mut a = open("va", XdpMode::Native, 1).unwrap();
        let a = &mut a.queues[0];
        let mut other = FramePool::heap(8, 4096);
        let mut tx = vec![frame(&mut other, &marked_frame(1))];
        assert_eq!(a.tx_burst(&mut tx), 1);
        assert_eq!((a.stats().tx_refused, a.stats().tx_frames, a.pool().foreign_frames), (1, 0, 1));
    });
}

#[test]
fn refusals_name_queue_interface_and_remedy() {
    veth::in_new_namespace(|| {
        veth::pair(1);
        let refused = |spoil: fn(&mut XskConfig)| {
            let mut config = veth::config("va", 1).unwrap();
            spoil(&mut config);
            open_with(config, XdpMode::Native).err().expect("refused")
        };
        let no_queue = refused(|c| c.first_queue = 7);
        assert!(no_queue.what.contains("va#7") && no_queue.hint.contains("ethtool -l"), "{no_queue}");
        let no_zero_copy = refused(|c| c.bind = BindMode::ZeroCopy);
        assert!(no_zero_copy.what.contains("va#0") && no_zero_copy.hint.contains("zero-copy"), "{no_zero_copy}");
        let odd_ring = refused(|c| c.rx_size = 1000);
        assert!(odd_ring.what.contains("RX ring"), "{odd_ring}");
        let first = open("va", XdpMode::Native, 1).unwrap();
        let taken = AfxdpSet::open(&veth::config("va", 1).unwrap(), &first._link).err().expect("refused");
        assert!(taken.what.contains("busy") && taken.hint.contains("ss --xdp"), "{taken}");
    });
}
