//! Which ranges of the stream have been received beyond the next number, and in which order SACK reports them.

use crate::wire::Seq;
use crate::wire::segment::SackBlock;
use std::collections::VecDeque;

/// As many as a segment can report.
const RECENT: usize = 4;

#[derive(Default)]
pub struct Ranges {
    /// In order, none touching another.
    islands: VecDeque<SackBlock>,
    /// A number in each of the islands that grew last, the latest first.
    recent: [Seq; RECENT],
    recent_len: usize,
}

impl Ranges {
    /// Index of the first island that ends at or after `seq`.
    fn at(&self, seq: Seq) -> usize {
        self.islands.partition_point(|i| i.end.before(seq))
    }

    /// The island in which `seq` lies.
    fn find(&self, seq: Seq) -> Option<SackBlock> {
        let island = *self.islands.get(self.islands.partition_point(|i| i.end.at_or_before(seq)))?;
        island.start.at_or_before(seq).then_some(island)
    }

    /// The first range within `start..end` that has come.
    pub fn first_overlap(&self, start: Seq, end: Seq) -> Option<SackBlock> {
        let island = self.islands.get(self.islands.partition_point(|i| i.end.at_or_before(start)))?;
        let (start, end) = (island.start.max(start), island.end.min(end));
        start.before(end).then_some(SackBlock { start, end })
    }

    /// Bytes `start..end` have come.
    pub fn add(&mut self, start: Seq, end: Seq) {
        let at = self.at(start);
        let mut grown = SackBlock { start, end };
        let mut touched = 0;
        while let Some(island) = self.islands.get(at + touched).filter(|i| i.start.at_or_before(end)) {
            grown = SackBlock { start: grown.start.min(island.start), end: grown.end.max(island.end) };
            touched += 1;
        }
        match touched {
            0 => self.islands.insert(at, grown),
            _ => {
                self.islands.drain(at + 1..at + touched);
                if let Some(island) = self.islands.get_mut(at) {
                    *island = grown;
                }
            }
        }
        let is_elsewhere = |s: &Seq| s.before(grown.start) || s.at_or_after(grown.end);
        let (old, len) = (self.recent, self.recent_len);
        self.recent[0] = start;
        self.recent_len = 1;
        for seq in old[..len].iter().copied().filter(is_elsewhere).take(RECENT - 1) {
            self.recent[self.recent_len] = seq;
            self.recent_len += 1;
        }
    }

    /// Forgets what lies before `rcv_nxt`.
    pub fn pass(&mut self, rcv_nxt: Seq) {
        while self.islands.front().is_some_and(|i| i.end.at_or_before(rcv_nxt)) {
            self.islands.pop_front();
        }
    }

    /// The number after the last byte that follows `rcv_nxt` without a gap.
    pub fn contiguous_from(&self, rcv_nxt: Seq) -> Seq {
        self.find(rcv_nxt).map_or(rcv_nxt, |i| i.end)
    }

    /// Fills `out` with blocks beyond `rcv_nxt`: those that grew last first (RFC 2018 section 4), then others in
    /// order. Returns how many.
    pub fn report(&self, rcv_nxt: Seq, out: &mut [SackBlock]) -> usize {
        let mut count = 0;
        let recent = self.recent.iter().take(self.recent_len).filter_map(|&seq| self.find(seq));
        for island in recent.chain(self.islands.iter().copied()) {
            if count == out.len() {
                break;
            }
            if island.start.after(rcv_nxt) && !out[..count].contains(&island) {
                out[count] = island;
                count += 1;
            }
        }
        count
    }

    pub fn clear(&mut self) {
        self.islands.clear();
        self.recent_len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;

    #[test]
    fn agrees_with_a_set_of_bytes() {
        let mut rng = Rng::new(5);
        for round in 0..200u32 {
            // Near the wrap of the numbers.
            let base = Seq(u32::MAX - 300 + round);
            let (mut ranges, mut bytes) = (Ranges::default(), [false; 700]);
            let mut rcv_nxt = 0;
            for _ in 0..100 {
                let start = rcv_nxt + rng.below(600 - rcv_nxt as u64) as usize;
                let end = (start + 1 + rng.below(30) as usize).min(700);
                ranges.add(base + start as u32, base + end as u32);
                bytes[start..end].fill(true);
                let edge = (rcv_nxt..700).find(|&i| !bytes[i]).unwrap_or(700);
                assert_eq!(ranges.contiguous_from(base + rcv_nxt as u32), base + edge as u32);
                rcv_nxt = edge.min(599);
                ranges.pass(base + rcv_nxt as u32);
                let mut out = [SackBlock::default(); 4];
                let count = ranges.report(base + rcv_nxt as u32, &mut out);
                for block in &out[..count] {
                    let (from, to) = (block.start.since(base) as usize, block.end.since(base) as usize);
                    assert!(bytes[from..to].iter().all(|&b| b), "all of a block has come");
                    assert!(!bytes[from - 1] && (to == 700 || !bytes[to]), "and nothing that touches it");
                }
                if start > rcv_nxt {
                    assert!((base + start as u32).within(out[0].start, out[0].end.since(out[0].start)));
                }
            }
        }
    }

    #[test]
    fn blocks_are_reported_in_the_order_in_which_they_grew_last() {
        let mut r = Ranges::default();
        for start in [10, 50, 30, 70, 90] {
            r.add(Seq(start), Seq(start + 5));
        }
        r.add(Seq(55), Seq(56));
        let mut out = [SackBlock::default(); 4];
        assert_eq!(r.report(Seq(0), &mut out), 4);
        assert_eq!(out.map(|b| b.start.0), [50, 90, 70, 30]);
        r.pass(Seq(75));
        assert_eq!(r.report(Seq(75), &mut out), 1);
        assert_eq!(out[0].start.0, 90);
    }
}
