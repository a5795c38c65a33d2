use super::*;
use crate::steering::toeplitz::MICROSOFT_KEY;
use crate::steering::{self, Rss};
use crate::wire::emit::{ChecksumMode, IpFields, LinkOut, OptionsOut, SegmentOut, tcp};
use crate::wire::parse::VlanTags;
use crate::wire::{Addr, Mac, Seq, TcpFlags, TcpOptions, emit};

const US: Mac = Mac([2, 0, 0, 0, 0, 1]);
const PEER: Mac = Mac([2, 0, 0, 0, 0, 2]);

fn link() -> LinkOut {
    LinkOut { src: PEER, dst: US, vlan: VlanTags::default() }
}

fn addr(last: u8) -> Addr {
    Addr::v4([198, 18, 0, last])
}

fn segment(pool: &mut FramePool, src_port: u16) -> Frame {
    let mut frame = pool.alloc().unwrap();
    let options = TcpOptions::default();
    let segment = SegmentOut {
        src: addr(2),
        dst: addr(1),
        src_port,
        dst_port: 80,
        seq: Seq(1),
        ack: Seq(0),
        flags: TcpFlags::SYN,
        window: 1000,
        options: OptionsOut::Any(&options),
        payload_len: 0,
        ip: IpFields::default(),
        checksum: ChecksumMode::Full,
    };
    assert!(tcp(&mut frame, &link(), &segment, |_| {}));
    frame
}

fn owner_of(src_port: u16, workers: usize) -> usize {
    steering::owner(&addr(2), src_port, &addr(1), 80, workers)
}

fn port_of(frame: &Frame) -> u16 {
    peek_tuple(frame.bytes()).unwrap().2
}

/// Pools of `n` workers: of one memory, or each of its own.
fn pools(n: usize, shared: bool, frames: u32) -> Vec<FramePool> {
    match shared {
        true => FramePool::split(Arena::heap(2048, frames * n as u32), n),
        false => (0..n).map(|_| FramePool::heap(frames, 2048)).collect(),
    }
}

struct Rig {
    pools: Vec<FramePool>,
    ends: Vec<Handoff>,
    counters: Vec<Counters>,
}

impl Rig {
    fn new(n: usize, shared: bool, inbox_frames: usize) -> Rig {
        Rig::with(&Policy::Hash, n, shared, inbox_frames)
    }

    fn with(policy: &Policy, n: usize, shared: bool, inbox_frames: usize) -> Rig {
        let pools = pools(n, shared, 64);
        let arenas: Vec<_> = pools.iter().map(|p| p.arena().clone()).collect();
        Rig { ends: Handoff::connect(&arenas, policy, 64, inbox_frames), counters: vec![Counters::default(); n], pools }
    }

    fn sort(&mut self, worker: usize, rx: &mut Vec<Frame>, first: usize) {
        self.ends[worker].sort(rx, first, &mut self.pools[worker], &mut self.counters[worker]);
    }

    fn collect(&mut self, worker: usize, room: usize) -> Vec<Frame> {
        let mut rx = Vec::with_capacity(room);
        self.ends[worker].collect(&mut rx, &mut self.pools[worker], &mut self.counters[worker]);
        rx
    }

    fn free(&mut self, worker: usize, frames: Vec<Frame>) {
        frames.into_iter().for_each(|f| self.pools[worker].free(f));
    }

    fn assert_no_frame_is_missing(&mut self) {
        for _ in 0..2 {
            for (end, pool) in self.ends.iter_mut().zip(&mut self.pools) {
                end.clear(pool);
                pool.collect_returns();
            }
        }
        let missing: Vec<_> = self.pools.iter().map(|p| (p.capacity() - p.available(), p.foreign_frames)).collect();
        assert!(missing.iter().all(|&m| m == (0, 0)), "{missing:?}");
    }
}

#[test]
fn every_segment_reaches_its_owner_in_order_and_no_other() {
    for shared in [true, false] {
        let mut rig = Rig::new(3, shared, 64);
        let mut rx: Vec<Frame> = (1000..1040).map(|port| segment(&mut rig.pools[0], port)).collect();
        rig.sort(0, &mut rx, 0);
        let mut seen = vec![rx];
        seen.extend([1, 2].map(|worker| rig.collect(worker, 128)));
        for (worker, frames) in seen.iter().enumerate() {
            let want: Vec<u16> = (1000..1040).filter(|&port| owner_of(port, 3) == worker).collect();
            assert_eq!(frames.iter().map(port_of).collect::<Vec<_>>(), want);
        }
        let (out, kept) = (rig.counters[0].count(Event::HandoffOut), seen[0].len() as u64);
        let into: u64 = rig.counters.iter().map(|c| c.count(Event::HandoffIn)).sum();
        assert_eq!((out, into), (40 - kept, 40 - kept));
        seen.into_iter().enumerate().for_each(|(worker, frames)| rig.free(worker, frames));
        rig.assert_no_frame_is_missing();
    }
}

#[test]
fn with_one_memory_the_token_moves_and_with_several_the_bytes() {
    for shared in [true, false] {
        let mut rig = Rig::new(2, shared, 64);
        let port = (1000..).find(|&port| owner_of(port, 2) == 1).unwrap();
        let mut rx = vec![segment(&mut rig.pools[0], port)];
        let chunk = rx[0].bytes().as_ptr();
        rig.sort(0, &mut rx, 0);
        let got = rig.collect(1, 8);
        assert_eq!(got[0].bytes().as_ptr() == chunk, shared);
        rig.free(1, got);
        rig.assert_no_frame_is_missing();
    }
}

#[test]
fn frames_that_came_from_the_inbox_are_not_sorted_again() {
    let mut rig = Rig::new(2, true, 64);
    let port = (1000..).find(|&port| owner_of(port, 2) == 1).unwrap();
    let mut rx = vec![segment(&mut rig.pools[0], port)];
    rig.sort(0, &mut rx, 1);
    assert_eq!(rx.len(), 1);
    rig.free(0, rx);
}

#[test]
fn a_full_inbox_drops_and_counts_and_the_frame_comes_back() {
    for shared in [true, false] {
        let mut rig = Rig::new(2, shared, 4);
        let ports: Vec<u16> = (1000..).filter(|&port| owner_of(port, 2) == 1).take(10).collect();
        let mut rx: Vec<Frame> = ports.iter().map(|&port| segment(&mut rig.pools[0], port)).collect();
        rig.sort(0, &mut rx, 0);
        assert!(rx.is_empty());
        let c = &rig.counters[0];
        assert_eq!((c.count(Event::HandoffOut), c.dropped(DropReason::HandoffFull)), (4, 6));
        rig.assert_no_frame_is_missing();
    }
}

#[test]
fn tokens_find_their_way_home_even_if_others_are_faster_than_the_burst_that_is_being_sorted() {
    let mut rig = Rig::new(2, false, 1);
    let port = (1000..).find(|&p| owner_of(p, 2) == 1).unwrap();
    for _ in 0..64 {
        let frame = segment(&mut rig.pools[0], port);
        rig.sort(0, &mut vec![frame], 0);
        for frame in rig.collect(1, 8) {
            rig.pools[1].free(frame);
        }
    }
    rig.collect(0, 8);
    assert_eq!((rig.pools[0].available(), rig.pools[1].available()), (64, 64));
}

#[test]
fn the_inbox_fills_at_most_half_of_a_burst() {
    let mut rig = Rig::new(2, true, 64);
    let ports: Vec<u16> = (1000..).filter(|&port| owner_of(port, 2) == 1).take(20).collect();
    let mut rx: Vec<Frame> = ports.iter().map(|&port| segment(&mut rig.pools[0], port)).collect();
    rig.sort(0, &mut rx, 0);
    let got = rig.collect(1, 16);
    assert_eq!(got.len(), got.capacity() / 2);
    rig.free(1, got);
    rig.assert_no_frame_is_missing();
}

#[test]
fn answers_about_neighbours_reach_everyone_and_requests_stay() {
    for shared in [true, false] {
        let mut rig = Rig::new(3, shared, 8);
        let v6 = |last| Addr([0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        let pool = &mut rig.pools[0];
        let mut frames: Vec<Frame> = (0..4).filter_map(|_| pool.alloc()).collect();
        assert!(emit::arp_reply(&mut frames[0], &link(), addr(2), addr(1)));
        assert!(emit::arp_request(&mut frames[1], &link(), addr(2), addr(1)));
        assert!(emit::ndp_advertisement(&mut frames[2], &link(), v6(2), v6(1)));
        assert!(emit::ndp_solicitation(&mut frames[3], &link(), v6(2), v6(1)));
        let answers = [frames[0].bytes().to_vec(), frames[2].bytes().to_vec()];
        rig.sort(0, &mut frames, 0);
        assert_eq!(frames.len(), 4);
        for worker in [1, 2] {
            let got = rig.collect(worker, 8);
            assert_eq!(got.iter().map(|f| f.bytes().to_vec()).collect::<Vec<_>>(), answers);
            rig.free(worker, got);
        }
        assert_eq!(rig.counters[0].count(Event::HandoffOut), 4);
        rig.free(0, frames);
        rig.assert_no_frame_is_missing();
    }
}

#[test]
fn rubbish_stays_where_it_arrived() {
    let mut rig = Rig::new(2, true, 8);
    let mut rx: Vec<Frame> = (0..4).filter_map(|_| rig.pools[0].alloc()).collect();
    for (i, frame) in rx.iter_mut().enumerate() {
        assert!(frame.set_len(i * 20));
        frame.bytes_mut().fill(0xee);
    }
    rig.sort(0, &mut rx, 0);
    assert_eq!(rx.len(), 4);
    rig.free(0, rx);
    rig.assert_no_frame_is_missing();
}

/// An ICMP error from the peer about a segment of ours.
fn unreachable(pool: &mut FramePool) -> Frame {
    let about = segment(pool, 80);
    let mut frame = pool.alloc().unwrap();
    // The segment quoted is one that we have sent: from the address that receives, to the one that reports.
    let mut quoted = about.bytes()[14..].to_vec();
    quoted[12..16].copy_from_slice(&[198, 18, 0, 1]);
    quoted[16..20].copy_from_slice(&[198, 18, 0, 2]);
    let mut bytes = about.bytes()[..34].to_vec();
    bytes.extend([3, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(quoted);
    let length = (bytes.len() - 14) as u16;
    bytes[16..18].copy_from_slice(&length.to_be_bytes());
    bytes[23] = 1;
    fix_checksum(&mut bytes, 14..34, 24);
    let end = bytes.len();
    fix_checksum(&mut bytes, 34..end, 36);
    assert!(frame.set_len(bytes.len()));
    frame.bytes_mut().copy_from_slice(&bytes);
    pool.free(about);
    frame
}

/// The Internet checksum of a part of even or odd length, written at `at`.
fn fix_checksum(bytes: &mut [u8], part: std::ops::Range<usize>, at: usize) {
    bytes[at..at + 2].fill(0);
    let words = bytes[part].chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0)));
    let sum = words.sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    bytes[at..at + 2].copy_from_slice(&(!(sum + (sum >> 16)) as u16).to_be_bytes());
}

#[test]
fn by_queue_segments_stay_where_they_arrive_and_icmp_errors_reach_everyone() {
    let mut rig = Rig::with(&Policy::Queue, 3, false, 64);
    let mut rx: Vec<Frame> = (1000..1040).map(|port| segment(&mut rig.pools[0], port)).collect();
    rx.push(unreachable(&mut rig.pools[0]));
    rig.sort(0, &mut rx, 0);
    assert_eq!(rx.len(), 41);
    let counters = &rig.counters[0];
    assert_eq!((counters.count(Event::HandoffOut), counters.count(Event::HandoffCopies)), (2, 2));
    for worker in [1, 2] {
        let got = rig.collect(worker, 8);
        assert_eq!(got.len(), 1);
        rig.free(worker, got);
    }
    rig.free(0, rx);
    rig.assert_no_frame_is_missing();
}

#[test]
fn icmp_errors_go_to_the_owner_of_the_connection_where_a_hash_says_who_that_is() {
    let rss = Rss::new(&MICROSOFT_KEY, vec![2]).unwrap();
    for (policy, owner) in
        [(Policy::Rss { rss, first_queue: 1 }, 1), (Policy::Hash, steering::owner(&addr(1), 80, &addr(2), 80, 2))]
    {
        let mut rig = Rig::with(&policy, 2, false, 64);
        let mut rx = vec![unreachable(&mut rig.pools[1 - owner])];
        rig.sort(1 - owner, &mut rx, 0);
        assert!(rx.is_empty(), "{}", policy.name());
        let got = rig.collect(owner, 8);
        assert_eq!(got.len(), 1);
        assert_eq!(rig.counters[1 - owner].count(Event::HandoffCopies), 0);
        rig.free(owner, got);
        rig.assert_no_frame_is_missing();
    }
}
