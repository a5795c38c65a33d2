//! The scoreboard (RFC 6675 section 3): one record for each segment between SND.UNA and SND.NXT.
//!
//! A record is in exactly one place. Those in flight stand in a list in the order in which they were sent last, which
//! is the order in which RACK judges them; those taken for lost stand in another, in the order in which they are to be
//! sent again; those reported as received stand in none, but lead to the next one that is not, so that a block which
//! grows with every ACK is not walked again each time. An ACK thus costs what is new in it, whatever the window.
//!
//! A segment counts as received once a block covers all of it.

use super::records::{Chunks, Marks, NIL, Place, Record, Records, after};
use crate::wire::Seq;

/// A segment that an ACK has just reported as received, for the first time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivered {
    pub end: Seq,
    pub len: u32,
    pub sent_us: u32,
    pub retransmitted: bool,
}

#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    tail: u32,
}

impl List {
    const EMPTY: List = List { head: NIL, tail: NIL };
}

#[derive(Debug)]
pub struct Scoreboard {
    records: Records,
    flight: List,
    lost: List,
    /// The last of those at the front of `lost` that were lost more than once: they hold up the most.
    urgent: u32,
    flight_bytes: u32,
    lost_bytes: u32,
    sacked_segments: u32,
}

impl Default for Scoreboard {
    fn default() -> Self {
        let (records, flight, lost) = (Records::default(), List::EMPTY, List::EMPTY);
        Scoreboard { records, flight, lost, urgent: NIL, flight_bytes: 0, lost_bytes: 0, sacked_segments: 0 }
    }
}

impl Scoreboard {
    /// Segments that are SACKed; those that were sent again and are under way; those that are to be sent again.
    pub fn counts(&self, store: &Chunks) -> (u32, u32, u32) {
        let all = (0..self.records.len()).filter_map(|i| self.records.get(store, self.records.nth(i)));
        let (mut resent, mut lost) = (0, 0);
        for record in all {
            resent += u32::from(record.place == Place::Flight && record.marks.is_resent());
            lost += u32::from(record.place == Place::Lost);
        }
        (self.sacked_segments, resent, lost)
    }

    /// Bytes believed to be on their way (RFC 6675: pipe).
    pub fn flight_bytes(&self) -> u32 {
        self.flight_bytes
    }

    pub fn lost_bytes(&self) -> u32 {
        self.lost_bytes
    }

    pub fn has_lost(&self) -> bool {
        self.lost.head != NIL
    }

    pub fn sacked_segments(&self) -> u32 {
        self.sacked_segments
    }

    pub fn segments(&self) -> u32 {
        self.records.len()
    }

    /// A segment with the next sequence numbers was sent. False: no room to remember it.
    pub fn push(&mut self, store: &mut Chunks, seq: Seq, len: u16, now_us: u32, marks: Marks) -> bool {
        let record = Record { seq, len, sent_us: now_us, marks, ..Record::default() };
        let Some(number) = self.records.push(store, record) else { return false };
        self.append(store, number, Place::Flight);
        true
    }

    /// All before `una` is acknowledged. Tells `each` what had not been reported as received before; returns how many
    /// bytes that were.
    pub fn acknowledge(&mut self, store: &mut Chunks, una: Seq, mut each: impl FnMut(Delivered)) -> u32 {
        let mut bytes = 0;
        while let Some(&record) = self.records.get(store, self.records.first()).filter(|_| !self.records.is_empty()) {
            if record.end().after(una) {
                bytes += self.trim(store, record, una);
                break;
            }
            if record.place == Place::Sacked {
                self.sacked_segments -= 1;
            } else {
                self.detach(store, self.records.first());
                bytes += u32::from(record.len);
                each(delivered(&record));
            }
            self.records.pop(store);
        }
        bytes
    }

    /// The acknowledgement ends inside the first record.
    fn trim(&mut self, store: &mut Chunks, record: Record, una: Seq) -> u32 {
        if !una.after(record.seq) {
            return 0;
        }
        let cut = una.since(record.seq);
        if let Some(r) = self.records.get_mut(store, self.records.first()) {
            r.seq = una;
            r.len -= cut as u16;
        }
        match record.place {
            Place::Flight => self.flight_bytes -= cut,
            Place::Lost => self.lost_bytes -= cut,
            Place::Sacked => return 0,
        }
        cut
    }

    /// Everything from `start` to `end` was reported as received. As [`Scoreboard::acknowledge`].
    pub fn sack(&mut self, store: &mut Chunks, start: Seq, end: Seq, mut each: impl FnMut(Delivered)) -> u32 {
        let mut bytes = 0;
        let mut number = self.lower_bound(store, start);
        loop {
            number = self.first_unsacked(store, number);
            if number == self.records.end() {
                return bytes;
            }
            let Some(&record) = self.records.get(store, number) else { return bytes };
            if record.end().after(end) {
                return bytes;
            }
            self.detach(store, number);
            if let Some(r) = self.records.get_mut(store, number) {
                (r.place, r.next) = (Place::Sacked, after(number));
            }
            self.sacked_segments += 1;
            bytes += u32::from(record.len);
            each(delivered(&record));
        }
    }

    /// The first record that starts at or after `seq`.
    fn lower_bound(&self, store: &Chunks, seq: Seq) -> u32 {
        let (mut low, mut high) = (0, self.records.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let before = self.records.get(store, self.records.nth(middle)).is_some_and(|r| r.seq.before(seq));
            if before {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.records.nth(low)
    }

    /// The first record from `number` on that is not SACKed. Shortens the way for the next one who asks.
    fn first_unsacked(&mut self, store: &mut Chunks, mut number: u32) -> u32 {
        while number != self.records.end() {
            let Some(&record) = self.records.get(store, number) else { break };
            if record.place != Place::Sacked {
                break;
            }
            let mut next = record.next;
            if next != self.records.end()
                && let Some(&beyond) = self.records.get(store, next)
                && beyond.place == Place::Sacked
            {
                next = beyond.next;
                if let Some(r) = self.records.get_mut(store, number) {
                    r.next = next;
                }
            }
            number = next;
        }
        number
    }

    /// The segment in flight that was sent longest ago.
    pub fn oldest_in_flight(&self, store: &Chunks) -> Option<Record> {
        self.records.get(store, self.flight.head).copied().filter(|_| self.flight.head != NIL)
    }

    /// Takes that segment for lost. `has_turn`: if it was sent again already, before all that were not.
    pub fn lose_oldest(&mut self, store: &mut Chunks, has_turn: bool) {
        let number = self.flight.head;
        let Some(&record) = self.records.get(store, number).filter(|_| number != NIL) else { return };
        self.detach(store, number);
        if record.marks.is_resent() && has_turn {
            self.insert(store, number, Place::Lost, self.urgent);
            self.urgent = number;
        } else {
            self.append(store, number, Place::Lost);
        }
    }

    /// Takes the first segment for lost, whatever was believed about it, and puts it first in line: its time-out has come. What
    /// the peer said it had received is not believed any more if that was this one (RFC 2018 section 8).
    pub fn lose_first(&mut self, store: &mut Chunks) {
        let number = self.records.first();
        let Some(&record) = self.records.get(store, number).filter(|_| !self.records.is_empty()) else { return };
        if record.place == Place::Sacked {
            self.disbelieve_sack(store);
        }
        self.detach(store, number);
        self.insert(store, number, Place::Lost, NIL);
    }

    fn disbelieve_sack(&mut self, store: &mut Chunks) {
        for index in 0..self.records.len() {
            let number = self.records.nth(index);
            if self.records.get(store, number).is_some_and(|r| r.place == Place::Sacked) {
                self.append(store, number, Place::Lost);
            }
        }
        self.sacked_segments = 0;
    }

    /// Nothing was lost after all: whatever waits to be sent again counts as on its way.
    pub fn find_lost(&mut self, store: &mut Chunks) {
        // In front of the others: they were sent before them.
        while self.lost.tail != NIL {
            let number = self.lost.tail;
            self.detach(store, number);
            self.insert(store, number, Place::Flight, NIL);
        }
    }

    /// What has to be sent again first.
    pub fn next_lost<'a>(&self, store: &'a Chunks) -> Option<&'a Record> {
        self.records.get(store, self.lost.head).filter(|_| self.has_lost())
    }

    /// The segment that has to be sent again after the first, if it is next to it and left together with it.
    pub fn next_lost_joined<'a>(&self, store: &'a Chunks) -> Option<&'a Record> {
        let first = self.next_lost(store).filter(|first| !first.marks.is_burst_end() && first.next != NIL)?;
        self.records.get(store, first.next).filter(|second| second.seq == first.end())
    }

    /// The last segment, for a probe.
    pub fn last<'a>(&self, store: &'a Chunks) -> Option<&'a Record> {
        let last = self.records.nth(self.records.len().checked_sub(1)?);
        self.records.get(store, last)
    }

    /// The segment starting at `seq` was sent again. False: there is no such segment.
    pub fn resent(&mut self, store: &mut Chunks, seq: Seq, now_us: u32) -> bool {
        let number = self.lower_bound(store, seq);
        let Some(&record) = self.records.get(store, number).filter(|r| r.seq == seq) else { return false };
        if number == self.records.end() || record.place == Place::Sacked {
            return false;
        }
        self.detach(store, number);
        if let Some(r) = self.records.get_mut(store, number) {
            r.sent_us = now_us;
            r.marks.set_resent();
        }
        self.append(store, number, Place::Flight);
        true
    }

    pub fn clear(&mut self, store: &mut Chunks) {
        self.records.clear(store);
        let records = core::mem::take(&mut self.records);
        *self = Scoreboard { records, ..Scoreboard::default() };
    }

    /// Takes a record out of the list of its place.
    fn detach(&mut self, store: &mut Chunks, number: u32) {
        let Some(&Record { prev, next, len, place, .. }) = self.records.get(store, number) else { return };
        let list = match place {
            Place::Flight => &mut self.flight,
            Place::Lost => &mut self.lost,
            Place::Sacked => return,
        };
        if list.head == number {
            list.head = next;
        }
        if list.tail == number {
            list.tail = prev;
        }
        if self.urgent == number {
            self.urgent = prev;
        }
        if let Some(r) = self.records.get_mut(store, prev).filter(|_| prev != NIL) {
            r.next = next;
        }
        if let Some(r) = self.records.get_mut(store, next).filter(|_| next != NIL) {
            r.prev = prev;
        }
        *self.bytes(place) -= u32::from(len);
    }

    fn bytes(&mut self, place: Place) -> &mut u32 {
        if place == Place::Lost { &mut self.lost_bytes } else { &mut self.flight_bytes }
    }

    /// Puts a record that is in no list at the end of one.
    fn append(&mut self, store: &mut Chunks, number: u32, place: Place) {
        let tail = if place == Place::Lost { self.lost.tail } else { self.flight.tail };
        self.insert(store, number, place, tail);
    }

    /// Puts a record that is in no list behind `prev` of one, or in front of all.
    fn insert(&mut self, store: &mut Chunks, number: u32, place: Place, prev: u32) {
        let list = if place == Place::Lost { &mut self.lost } else { &mut self.flight };
        let next = match self.records.get_mut(store, prev).filter(|_| prev != NIL) {
            Some(r) => core::mem::replace(&mut r.next, number),
            None => core::mem::replace(&mut list.head, number),
        };
        if next == NIL {
            list.tail = number;
        } else if let Some(r) = self.records.get_mut(store, next) {
            r.prev = number;
        }
        self.place(store, number, place, prev, next);
    }

    fn place(&mut self, store: &mut Chunks, number: u32, place: Place, prev: u32, next: u32) {
        let Some(r) = self.records.get_mut(store, number) else { return };
        (r.place, r.prev, r.next) = (place, prev, next);
        let len = u32::from(r.len);
        *self.bytes(place) += len;
    }
}

fn delivered(r: &Record) -> Delivered {
    Delivered { end: r.end(), len: u32::from(r.len), sent_us: r.sent_us, retransmitted: r.marks.is_resent() }
}
