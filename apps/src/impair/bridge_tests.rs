//! The bridge between two virtual devices, on a real clock.

use super::Bridge;
use std::time::Duration;
use synfin_engine::base::Frame;
use synfin_engine::io::PacketIo;
use synfin_engine::io::sim::{End, Impairment, SimIo, SimLink};
use synfin_engine::worker::Clock;

const CHUNK_BYTES: u32 = 2048;

/// Two stations with a bridge between them.
struct Lab {
    a: SimIo,
    b: SimIo,
    bridge: Bridge<SimIo>,
    clock: Clock,
}

impl Lab {
    fn new(impairments: [Impairment; 2]) -> Lab {
        let (a, left) = SimIo::pair(1024, CHUNK_BYTES, 1024);
        let (b, right) = SimIo::pair(1024, CHUNK_BYTES, 1024);
        let bridge = Bridge::new(SimLink::new(7, impairments), vec![left], vec![right]);
        Lab { a, b, bridge, clock: Clock::start() }
    }

    /// Sends numbered packets from a and from b, and returns the numbers that arrive at b and at a.
    fn exchange(&mut self, count: u16) -> [Vec<u16>; 2] {
        let mut got = [Vec::new(), Vec::new()];
        for number in 0..count {
            send(&mut self.a, number);
            send(&mut self.b, number);
            self.bridge.round(&self.clock);
            self.collect(&mut got);
        }
        while self.bridge.round(&self.clock) || self.bridge.next_due().is_some() {
            self.collect(&mut got);
        }
        self.collect(&mut got);
        got
    }

    fn collect(&mut self, got: &mut [Vec<u16>; 2]) {
        got[0].extend(receive(&mut self.b));
        got[1].extend(receive(&mut self.a));
    }
}

fn send(io: &mut SimIo, number: u16) {
    io.reclaim();
    let mut frame = io.pool().alloc().expect("a free frame");
    assert!(frame.set_len(60));
    frame.bytes_mut().fill(0);
    frame.bytes_mut()[58..].copy_from_slice(&number.to_be_bytes());
    assert_eq!(io.tx_burst(&mut vec![frame]), 1);
    io.kick();
}

fn receive(io: &mut SimIo) -> Vec<u16> {
    let mut rx: Vec<Frame> = Vec::with_capacity(512);
    io.rx_burst(&mut rx);
    let number = |f: &Frame| u16::from_be_bytes([f.bytes()[58], f.bytes()[59]]);
    let numbers = rx.iter().map(number).collect();
    rx.drain(..).for_each(|f| io.pool().free(f));
    io.reclaim();
    numbers
}

#[test]
fn without_an_impairment_every_packet_passes_in_order_both_ways() {
    let mut lab = Lab::new([Impairment::default(); 2]);
    let all: Vec<u16> = (0..500).collect();
    assert_eq!(lab.exchange(500), [all.clone(), all]);
    for end in [End::A, End::B] {
        assert_eq!((lab.bridge.came_from(end).packets, lab.bridge.came_from(end).bytes), (500, 30_000));
        assert_eq!(lab.bridge.delivered_to(end), lab.bridge.came_from(end));
    }
}

#[test]
fn each_direction_suffers_what_was_asked_for_it_and_every_packet_is_accounted_for() {
    let there = Impairment { loss: 0.2, delay: Duration::from_micros(500), ..Impairment::default() };
    let back = Impairment { reorder: 0.2, reorder_frames: 2, duplicate: 0.1, ..Impairment::default() };
    let mut lab = Lab::new([there, back]);
    let [at_b, at_a] = lab.exchange(400);
    let (there, back) = (lab.bridge.fates(End::A), lab.bridge.fates(End::B));
    assert!(there.lost > 0 && at_b.is_sorted());
    assert_eq!(at_b.len() as u64, 400 - there.lost);
    assert!(back.reordered > 0 && back.duplicated > 0 && !at_a.is_sorted());
    assert_eq!(at_a.len() as u64, 400 + back.duplicated);
    assert_eq!(lab.bridge.delivered_to(End::B).packets, there.delivered);
    assert!(there.late_max_ns >= there.late_total_ns / there.delivered);
}

#[test]
fn more_packets_due_at_once_than_a_device_takes_wait_for_it() {
    let slow = Impairment { delay: Duration::from_millis(5), ..Impairment::default() };
    let mut lab = Lab::new([slow; 2]);
    // All are under way before the first is due, unless the machine pauses.
    let [at_b, at_a] = lab.exchange(900);
    let all: Vec<u16> = (0..900).collect();
    assert_eq!((&at_b, &at_a), (&all, &all));
    assert_eq!(lab.bridge.fates(End::A).no_frame + lab.bridge.fates(End::B).no_frame, 0);
}
