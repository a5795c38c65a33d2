//! The flow table: from the keyed hash of a [`FlowKey`] to a [`FlowRef`].
//!
//! An `Index` under the upper 32 bits of the hash, the *tag*: a record is looked at only when all 32 bits agree. Since
//! the tag also says where in the index an entry lies, less than that tells entries apart; even among ten million
//! a look-up touches a wrong record less than once in two hundred times. Growing reads no record.
//!
//! It holds one entry for each record, and the slabs that hold the records have limits: so has the table.
//! TIME-WAIT records are not in it: they bring a table of their own ([`super::AgingTable`]).

use super::{FlowKey, Index};
use crate::base::hash::SipKey;
use crate::base::tuple_hash::TupleHasher;

/// Which kind of record a [`FlowRef`] leads to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum FlowKind {
    /// A connection with a control block.
    Conn = 0,
    /// A handshake that a listener has answered.
    HalfOpen = 1,
}

/// A record's kind and index in four bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlowRef(u32);

const INDEX_BITS: u32 = 31;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;

impl FlowRef {
    /// `index` is below 2^31; higher bits are cut off.
    #[inline(always)]
    pub const fn new(kind: FlowKind, index: u32) -> FlowRef {
        FlowRef((kind as u32) << INDEX_BITS | index & INDEX_MASK)
    }

    #[inline(always)]
    pub const fn kind(self) -> FlowKind {
        match self.0 >> INDEX_BITS {
            0 => FlowKind::Conn,
            _ => FlowKind::HalfOpen,
        }
    }

    #[inline(always)]
    pub const fn index(self) -> u32 {
        self.0 & INDEX_MASK
    }
}

/// See the module's essay.
pub struct FlowTable {
    hasher: TupleHasher,
    index: Index,
}

/// The upper half of the hash.
#[inline(always)]
const fn tag_of(hash: u64) -> u32 {
    (hash >> 32) as u32
}

impl FlowTable {
    /// A table for at most `limit` entries.
    pub fn new(key: SipKey, limit: u32) -> FlowTable {
        FlowTable { hasher: TupleHasher::new(key), index: Index::new(limit as usize) }
    }

    /// Takes at once all the memory that the table may ever need, and keeps it.
    pub fn prepare(&mut self) {
        self.index.prepare();
    }

    #[inline(always)]
    pub fn hash(&self, key: &FlowKey) -> u64 {
        self.hasher.hash(key.words())
    }

    /// Fetches what a look-up under `hash` needs, for one that comes soon; returns where [`FlowTable::candidate_at`] finds it.
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) -> u32 {
        self.index.prefetch(tag_of(hash))
    }

    /// The entry under `hash` that `is_it` accepts; `is_it` compares the record's key and is called only for
    /// entries whose tag agrees.
    #[inline]
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(FlowRef) -> bool) -> Option<FlowRef> {
        self.index.find(tag_of(hash), |value| is_it(FlowRef(value))).map(FlowRef)
    }

    /// The first entry whose tag agrees: almost surely the right one, to be prefetched.
    #[inline]
    pub fn candidate(&self, hash: u64) -> Option<FlowRef> {
        self.find(hash, |_| true)
    }

    /// As [`FlowTable::candidate`], from where [`FlowTable::prefetch`] has said. Should the table have changed since, it may miss
    /// what is there.
    #[inline(always)]
    pub fn candidate_at(&self, line: u32, hash: u64) -> Option<FlowRef> {
        self.index.first_at(line, tag_of(hash)).map(FlowRef)
    }

    /// Adds an entry. The caller has made sure that there is none for the same key. False when the table is full.
    #[must_use]
    pub fn insert(&mut self, hash: u64, flow: FlowRef) -> bool {
        self.index.insert(tag_of(hash), flow.0)
    }

    /// Takes the entry away; false when there was none.
    pub fn remove(&mut self, hash: u64, flow: FlowRef) -> bool {
        self.index.remove(tag_of(hash), flow.0)
    }

    /// Lets the entry lead to another record (a handshake that completed); false when there was none.
    pub fn replace(&mut self, hash: u64, old: FlowRef, new: FlowRef) -> bool {
        self.index.replace(tag_of(hash), old.0, new.0)
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.index.memory_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use crate::wire::Addr;

    const KEY: SipKey = SipKey { k0: 11, k1: 22 };

    fn key(n: u32) -> FlowKey {
        FlowKey {
            remote: Addr::v4([198, 18, (n >> 24) as u8, (n >> 16) as u8]),
            remote_port: n as u16,
            local_port: 80,
            local: 0,
            reserved: 0,
        }
    }

    #[test]
    fn a_reference_keeps_kind_and_index() {
        for kind in [FlowKind::Conn, FlowKind::HalfOpen] {
            for index in [0, 1, 77, (1 << 31) - 1] {
                let flow = FlowRef::new(kind, index);
                assert_eq!((flow.kind(), flow.index()), (kind, index));
            }
        }
    }

    #[test]
    fn finds_what_was_inserted_and_nothing_else() {
        let mut table = FlowTable::new(KEY, 100_000);
        for n in 0..100_000 {
            let hash = table.hash(&key(n));
            assert_eq!(table.find(hash, |f| f.index() == n), None);
            assert!(table.insert(hash, FlowRef::new(FlowKind::Conn, n)));
        }
        assert_eq!(table.len(), 100_000);
        for n in 0..200_000 {
            let hash = table.hash(&key(n));
            let found = table.find(hash, |f| key(f.index()) == key(n));
            assert_eq!(found.map(FlowRef::index), (n < 100_000).then_some(n));
        }
    }

    #[test]
    fn a_wrong_record_is_hardly_ever_looked_at() {
        let mut table = FlowTable::new(KEY, 100_000);
        for n in 0..100_000 {
            assert!(table.insert(table.hash(&key(n)), FlowRef::new(FlowKind::Conn, n)));
        }
        let mut looked_at = 0;
        for n in 100_000..300_000 {
            table.find(table.hash(&key(n)), |_| {
                looked_at += 1;
                false
            });
        }
        assert!(looked_at < 10, "{looked_at} of 200,000 lookups touched a record in vain");
    }

    #[test]
    fn replace_keeps_the_key_and_remove_works_once() {
        let mut table = FlowTable::new(KEY, 10);
        let hash = table.hash(&key(5));
        let (old, new) = (FlowRef::new(FlowKind::HalfOpen, 1), FlowRef::new(FlowKind::Conn, 9));
        assert!(!table.replace(hash, old, new));
        assert!(table.insert(hash, old));
        assert!(table.replace(hash, old, new));
        assert_eq!(table.candidate(hash), Some(new));
        assert!(!table.remove(hash, old));
        assert!(table.remove(hash, new));
        assert!(!table.remove(hash, new));
        assert!(table.is_empty());
    }

    #[test]
    fn agrees_with_a_map_under_random_changes() {
        let mut rng = Rng::new(8);
        let mut table = FlowTable::new(KEY, 20_000);
        let mut oracle = std::collections::BTreeMap::new();
        for step in 0..300_000u32 {
            let n = rng.below(20_000) as u32;
            let hash = table.hash(&key(n));
            let flow = FlowRef::new(FlowKind::Conn, step);
            let known = oracle.get(&n).copied();
            assert_eq!(table.find(hash, |f| Some(f) == known), known);
            match (known, rng.below(3)) {
                (None, _) => {
                    assert!(table.insert(hash, flow));
                    oracle.insert(n, flow);
                }
                (Some(old), 0) => {
                    assert!(table.replace(hash, old, flow));
                    oracle.insert(n, flow);
                }
                (Some(old), _) => {
                    assert!(table.remove(hash, old));
                    oracle.remove(&n);
                }
            }
            assert_eq!(table.len(), oracle.len());
        }
    }
}
