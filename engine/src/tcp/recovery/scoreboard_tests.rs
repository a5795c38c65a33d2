//! The scoreboard against a list of segments that is walked from end to end each time.

use super::records::{Chunks, Marks, Place};
use super::scoreboard::{Delivered, Scoreboard};
use crate::base::Rng;
use crate::wire::Seq;

#[derive(Clone, Copy)]
struct Naive {
    seq: u64,
    len: u64,
    place: Place,
    retransmitted: bool,
    sent_us: u32,
    /// Order of the last transmission.
    turn: u64,
}

struct Model {
    base: u32,
    board: Scoreboard,
    store: Chunks,
    naive: Vec<Naive>,
    next: u64,
    una: u64,
    turn: u64,
}

impl Model {
    fn new(base: u32) -> Model {
        let (board, store) = (Scoreboard::default(), Chunks::new(100_000));
        Model { base, board, store, naive: Vec::new(), next: 0, una: 0, turn: 0 }
    }

    fn seq(&self, at: u64) -> Seq {
        Seq(self.base) + at as u32
    }

    fn push(&mut self, len: u64) {
        self.turn += 1;
        let (seq, sent_us, number) = (self.next, self.turn as u32, self.seq(self.next));
        assert!(self.board.push(&mut self.store, number, len as u16, sent_us, Marks::default()));
        self.naive.push(Naive { seq, len, place: Place::Flight, retransmitted: false, sent_us, turn: self.turn });
        self.next += len;
    }

    fn next_lost(&self) -> Option<(Seq, u32)> {
        self.board.next_lost(&self.store).map(|r| (r.seq, u32::from(r.len)))
    }

    fn acknowledge(&mut self, una: u64) {
        let (mut told, seq) = (Vec::new(), self.seq(una));
        let bytes = self.board.acknowledge(&mut self.store, seq, |d| told.push(d));
        let mut expected = 0;
        for n in &mut self.naive {
            let covered = una.saturating_sub(n.seq).min(n.len);
            expected += if n.place == Place::Sacked { 0 } else { covered };
            (n.seq, n.len) = (n.seq + covered, n.len - covered);
        }
        self.naive.retain(|n| n.len > 0);
        self.una = una;
        assert_eq!(u64::from(bytes), expected);
    }

    fn sack(&mut self, start: u64, end: u64) {
        let (mut told, from, to) = (Vec::<Delivered>::new(), self.seq(start), self.seq(end));
        let bytes = self.board.sack(&mut self.store, from, to, |d| told.push(d));
        let mut expected = Vec::new();
        for n in &mut self.naive {
            if n.seq >= start && n.seq + n.len <= end && n.place != Place::Sacked {
                n.place = Place::Sacked;
                expected.push((n.len, n.sent_us, n.retransmitted));
            }
        }
        let told: Vec<_> = told.iter().map(|d| (u64::from(d.len), d.sent_us, d.retransmitted)).collect();
        assert_eq!(told, expected);
        assert_eq!(u64::from(bytes), expected.iter().map(|e| e.0).sum::<u64>());
    }

    fn oldest(&self) -> Option<usize> {
        let flying = self.naive.iter().enumerate().filter(|(_, n)| n.place == Place::Flight);
        flying.min_by_key(|(_, n)| n.turn).map(|(i, _)| i)
    }

    fn lose_oldest(&mut self) {
        let expected = self.oldest();
        let told = self.board.oldest_in_flight(&self.store);
        assert_eq!(told.map(|r| r.seq), expected.map(|i| self.seq(self.naive[i].seq)));
        self.board.lose_oldest(&mut self.store, true);
        if let Some(i) = expected {
            self.naive[i].place = Place::Lost;
        }
    }

    fn resend(&mut self) {
        let Some((seq, len)) = self.next_lost() else { return };
        self.turn += 1;
        let at = u64::from(seq.since(self.seq(0)));
        let turn = self.turn;
        let n = self.naive.iter_mut().find(|n| n.seq == at).expect("only what is under way is sent again");
        assert_eq!((n.place, n.len), (Place::Lost, u64::from(len)), "nothing that was SACKed or not lost");
        (n.place, n.retransmitted, n.turn, n.sent_us) = (Place::Flight, true, turn, turn as u32);
        assert!(self.board.resent(&mut self.store, seq, turn as u32));
    }

    fn check(&self) {
        let bytes = |place| self.naive.iter().filter(|n| n.place == place).map(|n| n.len).sum::<u64>();
        assert_eq!(u64::from(self.board.flight_bytes()), bytes(Place::Flight));
        assert_eq!(u64::from(self.board.lost_bytes()), bytes(Place::Lost));
        assert_eq!(self.board.has_lost(), bytes(Place::Lost) > 0);
        assert_eq!(self.board.segments() as usize, self.naive.len());
        let sacked = self.naive.iter().filter(|n| n.place == Place::Sacked).count();
        assert_eq!(self.board.sacked_segments() as usize, sacked);
    }
}

#[test]
fn scoreboard_agrees_with_a_naive_one() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        // Near the wrap of the sequence numbers.
        let mut m = Model::new(u32::MAX - 20_000);
        for _ in 0..2_000 {
            let span = m.next - m.una;
            match rng.below(10) {
                0..=3 => m.push(1 + rng.below(100)),
                4 if span > 0 => m.acknowledge(m.una + rng.below(span + 1) / 4),
                5 | 6 if span > 0 => {
                    let start = m.una + rng.below(span);
                    m.sack(start, (start + rng.below(600)).min(m.next));
                }
                7 => m.lose_oldest(),
                8 | 9 => m.resend(),
                _ => {}
            }
            m.check();
        }
        m.acknowledge(m.next);
        m.check();
        assert_eq!(m.store.in_use(), 0, "all records are given back");
    }
}

#[test]
fn segments_lost_twice_are_sent_again_before_those_lost_once_and_in_order() {
    let mut m = Model::new(0);
    (0..10).for_each(|_| m.push(10));
    (0..3).for_each(|_| m.lose_oldest());
    (0..3).for_each(|_| m.resend());
    // What was sent after them, then themselves.
    (0..10).for_each(|_| m.lose_oldest());
    let mut order = Vec::new();
    while let Some((seq, _)) = m.next_lost() {
        order.push(seq.0 / 10);
        m.resend();
    }
    assert_eq!(order, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn time_out_of_a_segment_that_was_sacked_means_that_no_sack_can_be_believed() {
    let mut m = Model::new(0);
    (0..5).for_each(|_| m.push(10));
    m.sack(0, 10);
    m.sack(20, 40);
    m.board.lose_first(&mut m.store);
    assert_eq!(m.board.sacked_segments(), 0);
    assert_eq!((m.board.lost_bytes(), m.board.flight_bytes()), (30, 20));
    assert_eq!(m.next_lost(), Some((Seq(0), 10)));
}

#[test]
fn segment_at_the_left_edge_goes_first_when_no_sack_is_believed_any_more() {
    let mut m = Model::new(0);
    (0..6).for_each(|_| m.push(10));
    m.sack(0, 10);
    m.sack(30, 40);
    (0..3).for_each(|_| m.lose_oldest());
    m.board.lose_first(&mut m.store);
    let mut order = Vec::new();
    while let Some(r) = m.board.next_lost(&m.store).copied() {
        order.push(r.seq.0 / 10);
        assert!(m.board.resent(&mut m.store, r.seq, 100));
    }
    assert_eq!(order, [0, 1, 2, 4, 3]);
    assert_eq!((m.board.lost_bytes(), m.board.flight_bytes()), (0, 60));
}

#[test]
fn growing_block_costs_only_what_is_new() {
    // Quadratic work would take minutes here.
    let (mut board, mut store) = (Scoreboard::default(), Chunks::new(300_000));
    for i in 0..200_000u32 {
        assert!(board.push(&mut store, Seq(i * 10), 10, i, Marks::default()));
    }
    for i in 2..=200_000u32 {
        assert_eq!(board.sack(&mut store, Seq(10), Seq(i * 10), |_| {}), 10);
    }
    assert_eq!(board.flight_bytes(), 10);
}

#[test]
fn exhausted_pool_refuses_and_recovers() {
    let (mut board, mut store) = (Scoreboard::default(), Chunks::new(128));
    let taken = (0..200u32).take_while(|&i| board.push(&mut store, Seq(i), 1, 0, Marks::default())).count();
    assert_eq!(taken, 128);
    board.acknowledge(&mut store, Seq(64), |_| {});
    assert!(board.push(&mut store, Seq(128), 1, 0, Marks::default()));
    board.clear(&mut store);
    assert_eq!(store.in_use(), 0);
}

#[test]
fn first_segment_goes_first_after_a_time_out_whatever_was_sent_again_before() {
    let mut m = Model::new(0);
    (0..3).for_each(|_| m.push(10));
    // A probe: the last segment again.
    m.board.resent(&mut m.store, Seq(20), 50);
    (0..3).for_each(|_| m.board.lose_oldest(&mut m.store, true));
    m.board.lose_first(&mut m.store);
    assert_eq!(m.next_lost(), Some((Seq(0), 10)));
}

#[test]
fn what_was_lost_by_mistake_is_judged_first_again() {
    let mut m = Model::new(0);
    (0..4).for_each(|_| m.push(10));
    (0..2).for_each(|_| m.board.lose_oldest(&mut m.store, true));
    m.board.find_lost(&mut m.store);
    assert_eq!((m.board.lost_bytes(), m.board.flight_bytes()), (0, 40));
    let mut order = Vec::new();
    while let Some(r) = m.board.oldest_in_flight(&m.store) {
        order.push(r.seq.0);
        m.board.lose_oldest(&mut m.store, true);
    }
    assert_eq!(order, [0, 10, 20, 30]);
}
