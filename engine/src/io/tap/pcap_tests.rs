use super::*;
use crate::io::copy::complete_checksum;
use crate::io::sim::SimIo;
use crate::io::tap::pcap_format::{PcapRecord, read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file of its own for each test, removed at the end.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str) -> TempFile {
        TempFile(std::env::temp_dir().join(format!("synfin-{}-{name}.pcap", std::process::id())))
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const WALL_NS: u64 = 1_700_000_000_000_000_000;

fn clock_at(time: &Arc<AtomicU64>) -> ClockFn {
    let time = time.clone();
    Box::new(move || Instant::from_nanos(time.load(Ordering::Relaxed)))
}

/// An ARP request, padded with `fill`: something that dissectors accept.
fn arp(pool: &mut FramePool, fill: u8) -> Frame {
    let mut f = pool.alloc().unwrap();
    assert!(f.set_len(60));
    let b = f.bytes_mut();
    b.fill(fill);
    b[..6].fill(0xff);
    b[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    b[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    b[22..42].copy_from_slice(&[2, 0, 0, 0, 0, 1, 198, 18, 0, 1, 0, 0, 0, 0, 0, 0, 198, 18, 0, 2]);
    f
}

fn record(wall_ns: u64, frame: &Frame) -> PcapRecord {
    PcapRecord { wall_ns, wire_bytes: frame.len() as u32, bytes: frame.bytes().to_vec() }
}

#[test]
fn received_and_sent_frames_are_recorded_with_their_times_and_nothing_twice() {
    let file = TempFile::new("both-ways");
    let (a, mut b) = SimIo::pair(16, 2048, 2);
    let time = Arc::new(AtomicU64::new(5));
    let sink = PcapSink::create(&file.0, u64::MAX).unwrap();
    let mut a = Pcap::new(a, sink, clock_at(&time), WALL_NS);
    let mut want = Vec::new();
    // The device takes two of four; the other two are recorded when they go.
    let mut tx: Vec<Frame> = (0..4).map(|i| arp(a.pool(), i)).collect();
    for (at, taken) in [(5, 2), (7, 0), (9, 2)] {
        time.store(at, Ordering::Relaxed);
        want.extend(tx.iter().take(taken).map(|f| record(WALL_NS + at, f)));
        assert_eq!(a.tx_burst(&mut tx), taken);
        if at == 7 {
            let mut rx = Vec::with_capacity(4);
            b.rx_burst(&mut rx);
            rx.drain(..).for_each(|f| b.pool().free(f));
        }
    }
    time.store(11, Ordering::Relaxed);
    let mut back = vec![arp(b.pool(), 9)];
    want.push(record(WALL_NS + 11, &back[0]));
    b.tx_burst(&mut back);
    let mut rx = Vec::with_capacity(4);
    assert_eq!(a.rx_burst(&mut rx), 1);
    rx.drain(..).for_each(|f| a.pool().free(f));
    drop(a);
    assert_eq!(read(&file.0).unwrap(), want);
}

#[test]
fn an_offloaded_checksum_is_right_in_the_file_and_untouched_in_the_frame() {
    let file = TempFile::new("offload");
    let (a, _b) = SimIo::pair(4, 2048, 4);
    let sink = PcapSink::create(&file.0, u64::MAX).unwrap();
    let mut a = Pcap::new(a.with_checksum_offload(), sink, Box::new(|| Instant::ZERO), WALL_NS);
    let mut frame = arp(a.pool(), 3);
    frame.request_checksum(14, 20);
    let mut want = frame.bytes().to_vec();
    complete_checksum(&mut want, 14, 20);
    assert_ne!(want, frame.bytes());
    a.tx_burst(&mut vec![frame]);
    drop(a);
    assert_eq!(read(&file.0).unwrap()[0].bytes, want);
}

#[test]
fn the_file_is_complete_up_to_a_second_ago_while_the_run_goes_on() {
    let file = TempFile::new("interval");
    let (a, _b) = SimIo::pair(4, 2048, 4);
    let time = Arc::new(AtomicU64::new(0));
    let sink = PcapSink::create(&file.0, u64::MAX).unwrap();
    let mut a = Pcap::new(a, sink, clock_at(&time), WALL_NS);
    let mut tx = vec![arp(a.pool(), 1)];
    a.tx_burst(&mut tx);
    assert_eq!(read(&file.0).unwrap().len(), 0);
    time.store(FLUSH_INTERVAL_NS, Ordering::Relaxed);
    assert_eq!(a.rx_burst(&mut Vec::with_capacity(1)), 0);
    assert_eq!(read(&file.0).unwrap().len(), 1);
}

#[test]
fn a_file_at_its_limit_stays_whole_and_missing_frames_are_counted() {
    let file = TempFile::new("limit");
    let (a, mut b) = SimIo::pair(4, 2048, 4);
    let sink = PcapSink::create(&file.0, 24 + 2 * 76 + 75).unwrap();
    let mut a = Pcap::new(a, sink.clone(), Box::new(|| Instant::ZERO), WALL_NS);
    for _ in 0..3 {
        let mut tx = vec![arp(a.pool(), 1)];
        a.tx_burst(&mut tx);
        a.flush();
        let mut rx = Vec::with_capacity(4);
        b.rx_burst(&mut rx);
        rx.drain(..).for_each(|f| b.pool().free(f));
        a.reclaim();
    }
    assert_eq!((read(&file.0).unwrap().len(), sink.missing_frames(), sink.error()), (2, 1, None));
}

#[test]
fn a_full_disk_does_not_stop_the_run_and_is_reported() {
    // /dev/full takes the open and refuses every write.
    let file = File::options().write(true).open("/dev/full").unwrap();
    let shared = Shared { file, left_bytes: u64::MAX, missing_frames: 0, error: None };
    let sink = PcapSink { shared: Arc::new(Mutex::new(shared)) };
    let (a, mut b) = SimIo::pair(4, 2048, 4);
    let mut a = Pcap::new(a, sink.clone(), Box::new(|| Instant::ZERO), WALL_NS);
    for _ in 0..2 {
        let mut tx = vec![arp(a.pool(), 1)];
        assert_eq!(a.tx_burst(&mut tx), 1);
        a.flush();
    }
    assert_eq!(b.rx_burst(&mut Vec::with_capacity(4)), 2);
    assert_eq!(sink.missing_frames(), 2);
    assert!(sink.error().unwrap().contains("No space left"));
}

#[test]
fn workers_share_one_file_and_blocks_never_mix() {
    let file = TempFile::new("shared");
    let sink = PcapSink::create(&file.0, u64::MAX).unwrap();
    std::thread::scope(|scope| {
        for worker in 0..2u8 {
            let sink = sink.clone();
            scope.spawn(move || {
                let (a, mut b) = SimIo::pair(8, 2048, 8);
                let mut a = Pcap::new(a, sink, Box::new(|| Instant::ZERO), WALL_NS);
                for i in 0..500 {
                    let mut tx = vec![arp(a.pool(), worker)];
                    a.tx_burst(&mut tx);
                    if i % 7 == 0 {
                        a.flush();
                    }
                    let mut rx = Vec::with_capacity(4);
                    b.rx_burst(&mut rx);
                    rx.drain(..).for_each(|f| b.pool().free(f));
                    a.reclaim();
                }
            });
        }
    });
    let records = read(&file.0).unwrap();
    let of = |worker| records.iter().filter(|r| r.bytes[59] == worker).count();
    assert_eq!((records.len(), of(0), of(1)), (1000, 500, 500));
}

#[test]
fn wiresharks_tools_accept_the_file() {
    let file = TempFile::new("capinfos");
    let (a, _b) = SimIo::pair(4, 2048, 4);
    let sink = PcapSink::create(&file.0, u64::MAX).unwrap();
    let mut a = Pcap::new(a, sink, Box::new(|| Instant::from_nanos(7)), WALL_NS);
    let mut tx: Vec<Frame> = (0..3).map(|_| arp(a.pool(), 0)).collect();
    a.tx_burst(&mut tx);
    drop(a);
    let Ok(out) = std::process::Command::new("tshark").arg("-r").arg(&file.0).output() else {
        crate::io::test_skip::skip("no tshark on this machine");
        return;
    };
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(text.matches("Who has 198.18.0.2? Tell 198.18.0.1").count(), 3, "{text}");
}
