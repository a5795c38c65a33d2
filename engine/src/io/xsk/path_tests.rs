use super::super::ring::plain_ring;
use super::*;
use crate::base::frame::Arena;
use proptest::prelude::*;
use std::collections::HashSet;
use std::sync::Arc;

const CHUNK: u64 = 2048;

/// The kernel's ends of a queue's rings, on plain memory.
struct Kernel {
    fill: Consumer<u64>,
    completion: Producer<u64>,
    rx: Producer<xdp_desc>,
    tx: Consumer<xdp_desc>,
    arena: Arc<Arena>,
    sending: Vec<u64>,
}

impl Kernel {
    fn chunk(&self, address: u64, len: usize) -> *mut u8 {
        assert!(address as usize + len <= self.arena.total_bytes());
        // SAFETY: in bounds (asserted).
        unsafe { self.arena.base().as_ptr().add(address as usize) }
    }

    fn read(&self, address: u64, len: usize) -> Vec<u8> {
        // SAFETY: `len` bytes lie there; the chunk is the kernel's by the ring protocol while a test reads it.
        unsafe { std::slice::from_raw_parts(self.chunk(address, len), len).to_vec() }
    }

    fn write(&self, address: u64, len: usize, byte: u8) {
        // SAFETY: as in `read`.
        unsafe { self.chunk(address, len).write_bytes(byte, len) }
    }

    /// Receives one frame in as many pieces as lengths are given, as a copying kernel does. False without buffers.
    fn receive(&mut self, pieces: &[u32], byte: u8) -> bool {
        let wanted = pieces.len() as u32;
        if self.rx.room(wanted) < wanted || self.fill.waiting(wanted) < wanted {
            return false;
        }
        for (i, &len) in pieces.iter().enumerate() {
            let addr = self.fill.pop().unwrap() + 256;
            self.write(addr, len as usize, byte);
            let options = if i + 1 < pieces.len() { libc::XDP_PKT_CONTD } else { 0 };
            assert!(self.rx.push(xdp_desc { addr, len, options }));
        }
        self.fill.release();
        self.rx.publish();
        true
    }

    /// Takes all that waits for sending; it stays with the kernel until `complete`.
    fn send(&mut self) -> Vec<xdp_desc> {
        self.tx.waiting(u32::MAX);
        let all: Vec<_> = std::iter::from_fn(|| self.tx.pop()).collect();
        self.tx.release();
        self.sending.extend(all.iter().map(|d| d.addr));
        all
    }

    /// Reports up to `count` frames as sent, as many as the ring has room for.
    fn complete(&mut self, count: usize) {
        let count = count.min(self.sending.len()).min(self.completion.room(count as u32) as usize);
        for address in self.sending.drain(..count) {
            assert!(self.completion.push(address));
        }
        self.completion.publish();
    }
}

/// A queue over 64 chunks with rings of 16, the fill ring aside, whose counters begin near their wrap.
fn queue(frames: u32) -> (XskPath, Kernel) {
    let config = XskConfig { fill_size: 64, frames_per_queue: frames, ..XskConfig::new("test0", 1, 1) };
    let start = u32::MAX - 20;
    let (fill, kernel_fill) = plain_ring(64, start);
    let (kernel_completion, completion) = plain_ring(16, start);
    let (kernel_rx, rx) = plain_ring(16, start);
    let (tx, kernel_tx) = plain_ring(16, start);
    let arena = Arena::heap(CHUNK as u32, frames);
    let path = XskPath::new(&config, Rings { fill, completion, rx, tx }, FramePool::new(arena.clone()));
    let (fill, completion, rx, tx) = (kernel_fill, kernel_completion, kernel_rx, kernel_tx);
    (path, Kernel { fill, completion, rx, tx, arena, sending: Vec::new() })
}

/// A queue with the rings of the defaults.
fn large_queue() -> (XskPath, Kernel) {
    let config = XskConfig::new("test0", 1, 1);
    let (fill, kernel_fill) = plain_ring(config.fill_size, 0);
    let (kernel_completion, completion) = plain_ring(16, 0);
    let (kernel_rx, rx) = plain_ring(config.rx_size, 0);
    let (tx, kernel_tx) = plain_ring(16, 0);
    let arena = Arena::heap(CHUNK as u32, config.frames_per_queue);
    let path = XskPath::new(&config, Rings { fill, completion, rx, tx }, FramePool::new(arena.clone()));
    let (fill, completion, rx, tx) = (kernel_fill, kernel_completion, kernel_rx, kernel_tx);
    (path, Kernel { fill, completion, rx, tx, arena, sending: Vec::new() })
}

fn burst() -> Vec<Frame> {
    Vec::with_capacity(8)
}

#[test]
fn a_received_frame_holds_what_the_kernel_wrote_and_can_be_sent_from_the_same_chunk() {
    let (mut path, mut kernel) = queue(64);
    path.reclaim();
    assert!(kernel.receive(&[60], 7));
    let mut frames = burst();
    assert_eq!(path.receive(&mut frames), 1);
    assert_eq!((frames[0].start(), frames[0].bytes()), (256, [7u8; 60].as_slice()));
    frames[0].bytes_mut()[0] = 9;
    assert_eq!((path.send(&mut frames), frames.len()), (1, 0));
    let sent = kernel.send();
    assert_eq!((sent.len(), sent[0].len, sent[0].options), (1, 60, 0));
    assert_eq!(kernel.read(sent[0].addr, 60)[..2], [9, 7]);
    assert_eq!((path.counts.rx_frames, path.counts.tx_frames), (1, 1));
}

#[test]
fn what_a_burst_leaves_is_told_however_few_packets_it_has_brought() {
    let (mut path, mut kernel) = queue(64);
    path.reclaim();
    (0..5).for_each(|byte| assert!(kernel.receive(&[1700, 1700, 100], byte)));
    let mut frames = Vec::with_capacity(1);
    assert_eq!((path.receive(&mut frames), path.backlog()), (0, Backlog::Deep));
    let mut frames = Vec::with_capacity(4);
    assert_eq!((path.receive(&mut frames), path.backlog()), (1, Backlog::Some));
    let mut rest = Vec::with_capacity(16);
    assert_eq!((path.receive(&mut rest), path.backlog()), (4, Backlog::None));
    frames.drain(..).chain(rest).for_each(|frame| path.pool.free(frame));
}

#[test]
fn a_pool_of_another_memory_gets_none_of_the_queues_frames() {
    let (mut path, mut kernel) = queue(64);
    path.reclaim();
    assert!(kernel.receive(&[60], 7));
    let own = std::mem::replace(&mut path.pool, FramePool::heap(64, CHUNK as u32));
    let mut frames = burst();
    path.reclaim();
    assert_eq!((path.receive(&mut frames), path.pool.available()), (0, 64));
    let mut foreign = path.pool.alloc().unwrap();
    assert!(foreign.set_len(60));
    path.send(&mut vec![foreign]);
    assert_eq!((path.counts.tx_refused, kernel.send().len()), (1, 0));
    path.pool = own;
    assert_eq!(path.receive(&mut frames), 1);
    assert_eq!(frames[0].bytes(), [7; 60]);
    path.pool.free(frames.remove(0));
}

#[test]
fn the_more_of_the_waiting_frames_were_used_up_at_once_the_more_wait_from_then_on() {
    // Share of the frames that come while we are away, and how many wait afterwards.
    for (used, waiting) in [(0.4, FILL_START_FRAMES), (0.6, 2 * FILL_START_FRAMES), (1.0, 8192)] {
        let (mut path, mut kernel) = large_queue();
        path.reclaim();
        assert_eq!(path.receiving(), FILL_START_FRAMES);
        (0..(f64::from(FILL_START_FRAMES) * used) as u32).for_each(|_| assert!(kernel.receive(&[60], 1)));
        path.reclaim();
        assert_eq!(path.receiving(), waiting, "{used}");
    }
}

#[test]
fn reception_takes_no_more_than_the_burst_vector_holds() {
    let (mut path, mut kernel) = queue(64);
    path.reclaim();
    (0..12).for_each(|i| assert!(kernel.receive(&[60], i)));
    let mut frames = burst();
    assert_eq!((path.receive(&mut frames), path.receive(&mut frames)), (8, 0));
    frames.drain(..).for_each(|f| path.pool.free(f));
    assert_eq!(path.receive(&mut frames), 4);
    assert_eq!(frames.capacity(), 8);
    frames.drain(..).for_each(|f| path.pool.free(f));
}

#[test]
fn sending_takes_from_the_front_what_fits_and_leaves_the_rest_in_order() {
    let (mut path, mut kernel) = queue(64);
    let mut frames: Vec<Frame> = (0..20u8)
        .map(|i| {
            let mut f = path.pool.alloc().unwrap();
            assert!(f.set_len(60));
            f.bytes_mut().fill(i);
            f
        })
        .collect();
    assert_eq!((path.send(&mut frames), frames.len(), frames[0].bytes()[0]), (16, 4, 16));
    assert_eq!(path.send(&mut frames), 0);
    let first = kernel.send();
    assert!(first.iter().enumerate().all(|(i, d)| kernel.read(d.addr, 1)[0] == i as u8));
    assert_eq!(path.send(&mut frames), 4);
    kernel.complete(16);
    path.reclaim();
    assert_eq!(path.rings.tx.pushed().wrapping_sub(path.rings.completion.popped()), 4);
}

/// Lengths of a packet's parts, and the byte that fills them.
fn parts_of(packet: &Frame) -> (Vec<usize>, u8) {
    let byte = packet.bytes()[0];
    assert!(packet.parts().all(|part| part.bytes().iter().all(|b| *b == byte)));
    (packet.parts().map(Frame::len).collect(), byte)
}

#[test]
fn a_packet_in_pieces_comes_as_one_frame_with_others_behind_it() {
    let (mut path, mut kernel) = queue(64);
    path.reclaim();
    let before = path.pool.available();
    assert!(kernel.receive(&[1700, 1700, 50], 1) && kernel.receive(&[60], 2) && kernel.receive(&[1700, 9], 3));
    let mut frames = burst();
    assert_eq!(path.receive(&mut frames), 3);
    let got: Vec<_> = frames.iter().map(parts_of).collect();
    assert_eq!(got, [(vec![1700, 1700, 50], 1), (vec![60], 2), (vec![1700, 9], 3)]);
    frames.drain(..).for_each(|f| path.pool.free(f));
    assert_eq!((path.pool.available(), path.counts.rx_fragmented), (before + 6, 0));
}

#[test]
fn a_packet_in_too_many_pieces_or_with_one_lost_is_dropped_and_counted_once() {
    let (mut path, mut kernel) = queue(64);
    path.reclaim();
    let before = path.pool.available();
    assert!(kernel.receive(&[1700, 1700, 1700, 1700, 1700, 50], 1) && kernel.receive(&[60], 2));
    let mut frames = burst();
    assert_eq!((path.receive(&mut frames), frames[0].bytes()[0]), (1, 2));
    let (addr, options) = (u64::MAX, libc::XDP_PKT_CONTD);
    assert!(kernel.rx.push(xdp_desc { addr, len: 100, options }));
    assert!(kernel.receive(&[1700, 1700], 3) && kernel.receive(&[60], 4));
    assert_eq!((path.receive(&mut frames), frames[1].bytes()[0]), (1, 4));
    assert_eq!((path.counts.rx_fragmented, path.counts.strange_entries), (2, 1));
    frames.drain(..).for_each(|f| path.pool.free(f));
    assert_eq!(path.pool.available(), before + 10);
}

#[test]
fn pieces_of_one_packet_may_come_in_several_bursts() {
    let (mut path, mut kernel) = queue(64);
    path.reclaim();
    assert!(kernel.receive(&[1700, 1700, 50], 1) && kernel.receive(&[60], 2));
    let mut got = Vec::new();
    for _ in 0..4 {
        let mut one = Vec::with_capacity(1);
        path.receive(&mut one);
        assert_eq!(path.pool.available() + path.in_rings() as usize + one.iter().flat_map(Frame::parts).count(), 64);
        got.extend(one.iter().map(parts_of));
        one.drain(..).for_each(|f| path.pool.free(f));
    }
    assert_eq!(got, [(vec![1700, 1700, 50], 1), (vec![60], 2)]);
}

#[test]
fn a_packet_in_parts_is_sent_whole_or_not_at_all() {
    let (mut path, mut kernel) = queue(64);
    path.allow_parts();
    path.offload_checksums();
    path.reclaim();
    let mut out = burst();
    for byte in 0..6u8 {
        let mut frames: Vec<Frame> = std::iter::from_fn(|| path.pool.alloc()).take(3).collect();
        for frame in &mut frames {
            assert!(frame.set_len(100));
            frame.bytes_mut().fill(byte);
        }
        frames[0].request_checksum(34, 16);
        out.push(path.pool.chain(&mut frames).unwrap());
    }
    // Rings of 16.
    assert_eq!((path.send(&mut out), out.len()), (5, 1));
    let sent = kernel.send();
    let contd = libc::XDP_PKT_CONTD;
    let options: Vec<u32> = sent.iter().map(|d| d.options).collect();
    assert_eq!(options, [[contd | libc::XDP_TX_METADATA, contd, 0]; 5].concat());
    assert!(sent.iter().zip(0..).all(|(d, i)| kernel.read(d.addr, 100) == [i as u8 / 3; 100]));
    kernel.complete(15);
    path.reclaim();
    assert_eq!((path.send(&mut out), kernel.send().len()), (1, 3));
    assert_eq!((path.counts.tx_frames, path.counts.tx_refused), (6, 0));
}

#[test]
fn a_socket_without_parts_refuses_packets_that_have_them() {
    let (mut path, _kernel) = queue(64);
    let mut frames: Vec<Frame> = std::iter::from_fn(|| path.pool.alloc()).take(2).collect();
    frames.iter_mut().for_each(|frame| assert!(frame.set_len(100)));
    let mut out = vec![path.pool.chain(&mut frames).unwrap()];
    assert_eq!((path.send(&mut out), path.counts.tx_refused), (1, 1));
    assert_eq!(path.pool.available(), 64);
}

#[test]
fn a_checksum_request_becomes_metadata_in_front_of_the_packet_only_with_offload() {
    for offload in [false, true] {
        let (mut path, mut kernel) = queue(64);
        if offload {
            path.offload_checksums();
        }
        let mut frame = path.pool.alloc().unwrap();
        assert!(frame.set_len(54));
        frame.request_checksum(34, 16);
        assert_eq!(path.send(&mut vec![frame]), 1);
        let sent = kernel.send()[0];
        if offload {
            assert_eq!(sent.options, libc::XDP_TX_METADATA);
            let mut expected = [0u8; 24];
            expected[..8].copy_from_slice(&2u64.to_ne_bytes());
            expected[8..10].copy_from_slice(&34u16.to_ne_bytes());
            expected[10..12].copy_from_slice(&16u16.to_ne_bytes());
            assert_eq!(kernel.read(sent.addr - 24, 24), expected);
        } else {
            assert_eq!(sent.options, 0);
        }
    }
}

#[test]
fn frames_that_no_kernel_would_take_are_counted_and_go_back_to_the_pool() {
    let (mut path, mut kernel) = queue(64);
    path.offload_checksums();
    let mut other = FramePool::heap(1, CHUNK as u32);
    let empty = path.pool.alloc().unwrap();
    let mut outside = path.pool.alloc().unwrap();
    assert!(outside.set_len(54));
    outside.request_checksum(34, 19);
    let mut foreign = other.alloc().unwrap();
    assert!(foreign.set_len(60));
    let mut good = path.pool.alloc().unwrap();
    assert!(good.set_len(60));
    let index = good.index();
    let mut frames = vec![empty, outside, foreign, good];
    assert_eq!((path.send(&mut frames), path.counts.tx_refused, path.counts.tx_frames), (4, 3, 1));
    let sent = kernel.send();
    assert_eq!((sent.len(), sent[0].addr / CHUNK), (1, index.into()));
    assert_eq!((path.pool.available(), path.pool.foreign_frames), (63, 1));
}

#[test]
fn addresses_outside_the_memory_are_counted_and_skipped() {
    let (mut path, mut kernel) = queue(64);
    assert!(kernel.rx.push(xdp_desc { addr: 64 * CHUNK, len: 60, options: 0 }));
    kernel.rx.publish();
    assert!(kernel.completion.push(u64::MAX));
    kernel.completion.publish();
    let mut frames = burst();
    path.reclaim();
    assert_eq!((path.receive(&mut frames), path.counts.strange_entries), (0, 2));
}

#[test]
fn restocking_leaves_frames_for_sending() {
    let (mut path, _kernel) = queue(64);
    path.reclaim();
    assert_eq!(path.in_rings(), 43);
    let mut held: Vec<Frame> = std::iter::from_fn(|| path.pool.alloc()).collect();
    assert_eq!(held.len(), 21);
    held.drain(..).for_each(|f| path.pool.free(f));
}

#[derive(Clone, Debug)]
enum Op {
    Receive(Vec<u32>),
    Burst,
    Echo(u8),
    Free(u8),
    Send,
    KernelSend,
    Complete(u8),
    Reclaim,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => prop::collection::vec(1u32..1700, 1..6).prop_map(Op::Receive),
        2 => Just(Op::Burst),
        2 => (0..8u8).prop_map(Op::Echo),
        1 => (0..8u8).prop_map(Op::Free),
        2 => Just(Op::Send),
        2 => Just(Op::KernelSend),
        2 => (0..16u8).prop_map(Op::Complete),
        2 => Just(Op::Reclaim),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 500 }, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn every_chunk_is_at_one_place_whatever_happens(ops in prop::collection::vec(op(), 1..300)) {
        let (mut path, mut kernel) = queue(96);
        path.allow_parts();
        let (mut held, mut out) = (Vec::with_capacity(32), Vec::with_capacity(64));
        for op in ops {
            match op {
                Op::Receive(pieces) => drop(kernel.receive(&pieces, 1)),
                Op::Burst => drop(path.receive(&mut held)),
                Op::Echo(n) => {
                    let n = usize::from(n).min(held.len()).min(out.capacity() - out.len());
                    out.extend(held.drain(..n));
                }
                Op::Free(n) => held.drain(..usize::from(n).min(held.len())).for_each(|f| path.pool.free(f)),
                Op::Send => drop(path.send(&mut out)),
                Op::KernelSend => drop(kernel.send()),
                Op::Complete(n) => kernel.complete(n.into()),
                Op::Reclaim => path.reclaim(),
            }
            let outside = held.iter().chain(&out).flat_map(Frame::parts).count();
            prop_assert_eq!(path.pool.available() + path.in_rings() as usize + outside, 96);
        }
        let distinct: HashSet<u32> = held.iter().chain(&out).flat_map(Frame::parts).map(Frame::index).collect();
        prop_assert_eq!(distinct.len(), held.iter().chain(&out).flat_map(Frame::parts).count());
        let free: HashSet<u32> = std::iter::from_fn(|| path.pool.take_index()).collect();
        prop_assert!(free.is_disjoint(&distinct));
        prop_assert_eq!(free.len() + distinct.len() + path.in_rings() as usize, 96);
        prop_assert_eq!(path.counts.tx_refused + path.counts.strange_entries, 0);
    }
}
