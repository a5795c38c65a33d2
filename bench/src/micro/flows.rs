//! Hash and look-up of connections, one by one and in bursts, among few and among millions.

use super::{Case, Work, measured, repeat};
use std::hint::black_box;
use synfin_engine::base::Rng;
use synfin_engine::base::hash::SipKey;
use synfin_engine::base::prefetch::prefetch;
use synfin_engine::shard::BURST;
use synfin_engine::table::{FlowKey, FlowKind, FlowRef, FlowTable};
use synfin_engine::wire::Addr;

const SIZES: [(&str, u32, Option<u64>); 3] =
    [("10 k", 10_000, Some(200)), ("1 M", 1_000_000, Some(200)), ("10 M", 10_000_000, None)];
const KEY: SipKey = SipKey { k0: 0x0123_4567_89ab_cdef, k1: 0xfedc_ba98_7654_3210 };
/// Look-ups drawn in advance, so that drawing them is not measured.
const DRAWN: usize = 1 << 20;

pub fn cases() -> Vec<Case> {
    let hash = Case::new("flow table", "hash", || {
        let table = FlowTable::new(KEY, 1);
        let key = key(77);
        repeat(move || table.hash(black_box(&key)))
    });
    let look_ups = SIZES.into_iter().flat_map(|(name, entries, counted)| {
        let case = |how: &str, burst: fn(&Connections, &[u32]) -> u64| {
            let build = move || random_bursts(entries, burst);
            Case::new("flow table", format!("{how} {name}"), build).of(BURST as u64).counted(counted)
        };
        [case("look-up", one_by_one), case("look-up with prefetch", prefetched)]
    });
    std::iter::once(hash).chain(look_ups).collect()
}

/// As large as a control block, with the key in front.
struct Record {
    key: FlowKey,
    rest: [u64; 13],
}

struct Connections {
    table: FlowTable,
    records: Vec<Record>,
}

/// The key of record `n`, without looking at the record.
fn key(n: u32) -> FlowKey {
    FlowKey {
        remote: Addr::v4([198, 18 + (n >> 24) as u8, (n >> 16) as u8, (n >> 8) as u8]),
        remote_port: 1024 + (n & 0xff) as u16,
        local_port: 80,
        local: 0,
        reserved: 0,
    }
}

fn connections(entries: u32) -> Connections {
    let mut table = FlowTable::new(KEY, entries);
    let records = (0..entries).map(|n| Record { key: key(n), rest: [u64::from(n); 13] }).collect();
    for n in 0..entries {
        assert!(table.insert(table.hash(&key(n)), FlowRef::new(FlowKind::Conn, n)), "there is room for all");
    }
    Connections { table, records }
}

fn random_bursts(entries: u32, burst: fn(&Connections, &[u32]) -> u64) -> Work {
    let connections = connections(entries);
    let mut rng = Rng::new(u64::from(entries));
    let drawn: Vec<u32> = (0..DRAWN).map(|_| rng.below(u64::from(entries)) as u32).collect();
    let mut at = 0;
    Box::new(move |iterations| {
        measured(&mut || {
            for _ in 0..iterations {
                black_box(burst(&connections, &drawn[at..at + BURST]));
                at = (at + BURST) % DRAWN;
            }
        })
    })
}

/// Each packet looked up when its turn comes. Returns something that depends on every record.
fn one_by_one(c: &Connections, burst: &[u32]) -> u64 {
    let mut sum = 0;
    for &n in burst {
        let key = key(n);
        sum += found(c, c.table.hash(&key), &key);
    }
    sum
}

/// As a shard does it: first all hashes and candidates, whose records are fetched meanwhile; then one by one.
fn prefetched(c: &Connections, burst: &[u32]) -> u64 {
    let mut hashes = [0; BURST];
    for (hash, &n) in hashes.iter_mut().zip(burst) {
        *hash = c.table.hash(&key(n));
    }
    for hash in hashes {
        if let Some(flow) = c.table.candidate(hash) {
            c.records.get(flow.index() as usize).map(prefetch);
        }
    }
    let mut sum = 0;
    for (hash, &n) in hashes.into_iter().zip(burst) {
        sum += found(c, hash, &key(n));
    }
    sum
}

fn found(c: &Connections, hash: u64, key: &FlowKey) -> u64 {
    let record = |flow: FlowRef| &c.records[flow.index() as usize];
    c.table.find(hash, |flow| record(flow).key == *key).map_or(0, |flow| record(flow).rest[12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_every_record() {
        let connections = connections(1_000);
        let burst: Vec<u32> = (0..BURST as u32).map(|i| i * 15).collect();
        let sum = burst.iter().map(|&n| u64::from(n)).sum();
        assert_eq!(one_by_one(&connections, &burst), sum);
        assert_eq!(prefetched(&connections, &burst), sum);
    }
}
