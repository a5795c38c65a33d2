//! The flow table: from the keyed hash of a [`FlowKey`] to a [`FlowRef`].
//!
//! It is an array of small hash tables. The lower 32 bits of the hash choose one; the upper 32 bits, the *tag*, are kept
//! beside each reference, and serve the chosen table both as its hash and as a filter: a record is
//! looked at only when all 32 bits agree, which for a wrong record happens once in about a million
//! lookups. Because the tag is in the entry, growing reads no record; because the tables are small and grow one at
//! a time, the longest pause is the rehash of a thousand entries (some microseconds), however
//! many millions there are in all.
//!
//! It does not bound itself: it holds one entry for each record, and the slabs that hold the records have limits.
//! TIME-WAIT records are not in it: they bring a table of their own ([`super::AgingTable`]).

use super::FlowKey;
use crate::base::hash::SipKey;
use crate::base::prefetch::prefetch;
use crate::base::tuple_hash::TupleHasher;
use hashbrown::HashTable;

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

#[derive(Clone, Copy)]
struct Entry {
    tag: u32,
    flow: FlowRef,
}

/// Entries that a sub-table holds on average at the expected maximum. hashbrown puts 896 into 1024 buckets; this is 2.6
/// standard deviations below, so that at the expected maximum hardly any sub-table needs 2048 buckets.
const SUB_TABLE_ENTRIES: u32 = 820;

/// See the module's essay.
pub struct FlowTable {
    hasher: TupleHasher,
    /// At least one.
    tables: Box<[HashTable<Entry>]>,
    len: usize,
}

/// The upper half of the hash.
#[inline(always)]
const fn tag_of(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// hashbrown takes the bucket from the low bits and its control byte from the top seven.
#[inline(always)]
const fn spread(tag: u32) -> u64 {
    (tag as u64) << 32 | tag as u64
}

impl FlowTable {
    /// A table for about `expected_max` entries. It takes more, but then grows in larger steps.
    pub fn new(key: SipKey, expected_max: u32) -> FlowTable {
        let tables = expected_max.div_ceil(SUB_TABLE_ENTRIES).max(1);
        FlowTable { hasher: TupleHasher::new(key), tables: (0..tables).map(|_| HashTable::new()).collect(), len: 0 }
    }

    #[inline(always)]
    pub fn hash(&self, key: &FlowKey) -> u64 {
        self.hasher.hash(key.words())
    }

    /// Which sub-table: the lower half of the hash, scaled to their number.
    #[inline(always)]
    fn place(&self, hash: u64) -> usize {
        ((u64::from(hash as u32) * self.tables.len() as u64) >> 32) as usize
    }

    #[inline(always)]
    fn table(&self, hash: u64) -> Option<&HashTable<Entry>> {
        self.tables.get(self.place(hash))
    }

    #[inline(always)]
    fn table_mut(&mut self, hash: u64) -> Option<&mut HashTable<Entry>> {
        let place = self.place(hash);
        self.tables.get_mut(place)
    }

    /// Fetches what a look-up under `hash` needs first, for one that comes soon.
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        if let Some(table) = self.table(hash) {
            prefetch(table);
        }
    }

    /// The entry under `hash` that `is_it` accepts; `is_it` compares the record's key and is called only for
    /// entries whose tag agrees.
    #[inline]
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(FlowRef) -> bool) -> Option<FlowRef> {
        let tag = tag_of(hash);
        self.table(hash)?.find(spread(tag), |e| e.tag == tag && is_it(e.flow)).map(|e| e.flow)
    }

    /// The first entry whose tag agrees: almost surely the right one, to be prefetched.
    #[inline]
    pub fn candidate(&self, hash: u64) -> Option<FlowRef> {
        self.find(hash, |_| true)
    }

    /// Adds an entry. The caller has made sure that there is none for the same key.
    pub fn insert(&mut self, hash: u64, flow: FlowRef) {
        let tag = tag_of(hash);
        if let Some(table) = self.table_mut(hash) {
            table.insert_unique(spread(tag), Entry { tag, flow }, |e| spread(e.tag));
            self.len += 1;
        }
    }

    /// Takes the entry away; false when there was none.
    pub fn remove(&mut self, hash: u64, flow: FlowRef) -> bool {
        let tag = tag_of(hash);
        let Some(table) = self.table_mut(hash) else { return false };
        match table.find_entry(spread(tag), |e| e.tag == tag && e.flow == flow) {
            Ok(entry) => {
                entry.remove();
                super::shrink_if_sparse(table, |e| spread(e.tag));
                self.len -= 1;
                true
            }
            Err(_) => false,
        }
    }

    /// Lets the entry lead to another record (a handshake that completed); false when there was none.
    pub fn replace(&mut self, hash: u64, old: FlowRef, new: FlowRef) -> bool {
        let tag = tag_of(hash);
        let entry = self.table_mut(hash).and_then(|t| t.find_mut(spread(tag), |e| e.tag == tag && e.flow == old));
        match entry {
            Some(entry) => {
                entry.flow = new;
                true
            }
            None => false,
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        let tables: usize = self.tables.iter().map(|t| t.allocation_size()).sum();
        tables + self.tables.len() * size_of::<HashTable<Entry>>()
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
        assert_eq!(size_of::<Option<Entry>>(), 12);
        assert_eq!(size_of::<Entry>(), 8);
    }

    #[test]
    fn finds_what_was_inserted_and_nothing_else() {
        let mut table = FlowTable::new(KEY, 100_000);
        for n in 0..100_000 {
            let hash = table.hash(&key(n));
            assert_eq!(table.find(hash, |f| f.index() == n), None);
            table.insert(hash, FlowRef::new(FlowKind::Conn, n));
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
            table.insert(table.hash(&key(n)), FlowRef::new(FlowKind::Conn, n));
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
    fn at_its_expected_size_it_is_evenly_and_well_filled() {
        const ENTRIES: u32 = 100_000;
        let mut table = FlowTable::new(KEY, ENTRIES);
        for n in 0..ENTRIES {
            table.insert(table.hash(&key(n)), FlowRef::new(FlowKind::Conn, n));
        }
        assert_eq!(table.tables.len(), 122);
        for t in &table.tables {
            assert!((700..940).contains(&t.len()), "{} entries", t.len());
        }
        let bytes = table.memory_bytes() as f64 / f64::from(ENTRIES);
        assert!(bytes < 12.0, "{bytes} bytes for each entry");
    }

    #[test]
    fn replace_keeps_the_key_and_remove_works_once() {
        let mut table = FlowTable::new(KEY, 10);
        let hash = table.hash(&key(5));
        let (old, new) = (FlowRef::new(FlowKind::HalfOpen, 1), FlowRef::new(FlowKind::Conn, 9));
        assert!(!table.replace(hash, old, new));
        table.insert(hash, old);
        assert!(table.replace(hash, old, new));
        assert_eq!(table.candidate(hash), Some(new));
        assert!(!table.remove(hash, old));
        assert!(table.remove(hash, new));
        assert!(!table.remove(hash, new));
        assert!(table.is_empty());
    }

    #[test]
    fn agrees_with_a_map_under_random_changes_beyond_the_expected_size() {
        let mut rng = Rng::new(8);
        let mut table = FlowTable::new(KEY, 100);
        let mut oracle = std::collections::BTreeMap::new();
        for step in 0..300_000u32 {
            let n = rng.below(20_000) as u32;
            let hash = table.hash(&key(n));
            let flow = FlowRef::new(FlowKind::Conn, step);
            let known = oracle.get(&n).copied();
            assert_eq!(table.find(hash, |f| Some(f) == known), known);
            match (known, rng.below(3)) {
                (None, _) => {
                    table.insert(hash, flow);
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
