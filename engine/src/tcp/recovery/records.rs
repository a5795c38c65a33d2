//! Where the scoreboards keep their records: chunks of a pool that all connections of a shard share, so that what is
//! under way costs memory only while it is, and no allocation per segment.

use crate::table::Recycler;
use crate::wire::Seq;
use std::collections::VecDeque;

/// Records in a chunk.
const CHUNK_RECORDS: u32 = 64;
/// Record numbers run modulo 2^31, so that [`NIL`] is none of them.
const NUMBER_MASK: u32 = (1 << 31) - 1;
/// "No record".
pub const NIL: u32 = u32::MAX;

/// What is believed about a segment that was sent and is not acknowledged yet.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Place {
    /// On its way.
    #[default]
    Flight,
    /// Taken for lost and not sent again so far.
    Lost,
    /// Reported as received by SACK.
    Sacked,
}

/// One segment: 20 bytes.
#[derive(Clone, Copy, Default, Debug)]
pub struct Record {
    pub seq: Seq,
    /// When it was sent last, in units of 1024 ns.
    pub sent_us: u32,
    /// Neighbours in the list of its place. For a SACKed record, `next` leads towards the next one that is not.
    pub prev: u32,
    pub next: u32,
    /// Sequence numbers taken, FIN included.
    pub len: u16,
    pub place: Place,
    pub marks: Marks,
}

/// What else there is to know about a segment.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Marks(u8);

impl Marks {
    const RESENT: u8 = 1;
    const PUSHED: u8 = 2;
    const BURST_END: u8 = 4;

    pub fn new(resent: bool, pushed: bool, burst_end: bool) -> Marks {
        let mark = |on: bool, mark: u8| u8::from(on) * mark;
        Marks(mark(resent, Marks::RESENT) | mark(pushed, Marks::PUSHED) | mark(burst_end, Marks::BURST_END))
    }

    /// It was sent more than once.
    pub fn is_resent(self) -> bool {
        self.0 & Marks::RESENT != 0
    }

    /// It is the last of those that left together.
    pub fn is_burst_end(self) -> bool {
        self.0 & Marks::BURST_END != 0
    }

    /// It has PSH because of its bytes.
    pub fn is_pushed(self) -> bool {
        self.0 & Marks::PUSHED != 0
    }

    pub fn set_resent(&mut self) {
        self.0 |= Marks::RESENT;
    }
}

impl Record {
    pub fn end(&self) -> Seq {
        self.seq + u32::from(self.len)
    }
}

pub struct Chunk([Record; CHUNK_RECORDS as usize]);

impl Default for Chunk {
    fn default() -> Self {
        Chunk([Record::default(); CHUNK_RECORDS as usize])
    }
}

/// The pool of chunks.
pub struct Chunks(Recycler<Chunk>);

impl Chunks {
    /// Room for this many records, rounded up to whole chunks.
    pub fn new(limit_records: u32) -> Chunks {
        Chunks(Recycler::with_limit(limit_records.div_ceil(CHUNK_RECORDS)))
    }

    pub fn in_use(&self) -> usize {
        self.0.in_use()
    }
}

/// The records of one connection, first in, first out, by number.
#[derive(Default, Debug)]
pub struct Records {
    chunks: VecDeque<u32>,
    first: u32,
    next: u32,
}

pub fn after(number: u32) -> u32 {
    number.wrapping_add(1) & NUMBER_MASK
}

impl Records {
    pub fn len(&self) -> u32 {
        self.next.wrapping_sub(self.first) & NUMBER_MASK
    }

    pub fn is_empty(&self) -> bool {
        self.first == self.next
    }

    /// Number of the oldest record, which is `end` when there is none.
    pub fn first(&self) -> u32 {
        self.first
    }

    /// The number that the next record will have.
    pub fn end(&self) -> u32 {
        self.next
    }

    /// The number of the `index`-th record.
    pub fn nth(&self, index: u32) -> u32 {
        self.first.wrapping_add(index) & NUMBER_MASK
    }

    fn chunk(&self, number: u32) -> Option<u32> {
        let base = self.first & !(CHUNK_RECORDS - 1);
        let offset = number.wrapping_sub(base) & NUMBER_MASK;
        self.chunks.get((offset / CHUNK_RECORDS) as usize).copied()
    }

    pub fn get<'a>(&self, store: &'a Chunks, number: u32) -> Option<&'a Record> {
        store.0.get(self.chunk(number)?)?.0.get((number % CHUNK_RECORDS) as usize)
    }

    pub fn get_mut<'a>(&self, store: &'a mut Chunks, number: u32) -> Option<&'a mut Record> {
        store.0.get_mut(self.chunk(number)?)?.0.get_mut((number % CHUNK_RECORDS) as usize)
    }

    /// Appends a record and returns its number; `None` when the pool is exhausted.
    pub fn push(&mut self, store: &mut Chunks, record: Record) -> Option<u32> {
        let number = self.next;
        if self.chunk(number).is_none() {
            self.chunks.push_back(store.0.take()?);
        }
        *self.get_mut(store, number)? = record;
        self.next = after(number);
        Some(number)
    }

    /// Lets go of the oldest record.
    pub fn pop(&mut self, store: &mut Chunks) {
        if self.is_empty() {
            return;
        }
        self.first = after(self.first);
        if self.first.is_multiple_of(CHUNK_RECORDS)
            && let Some(chunk) = self.chunks.pop_front()
        {
            store.0.give_back(chunk);
        }
        if self.is_empty() {
            self.clear(store);
        }
    }

    /// Lets go of all records.
    pub fn clear(&mut self, store: &mut Chunks) {
        for chunk in self.chunks.drain(..) {
            store.0.give_back(chunk);
        }
        (self.first, self.next) = (0, 0);
    }
}
