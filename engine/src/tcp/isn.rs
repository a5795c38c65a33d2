//! Initial sequence numbers (RFC 6528) and timestamp offsets (RFC 7323 7.1).

use crate::base::Instant;
use crate::base::hash::SipKey;
use crate::base::tuple_hash::TupleHasher;
use crate::table::FlowKey;
use crate::wire::Seq;

/// Both come from one keyed hash of the 4-tuple: the lower half goes into the sequence number, the upper half is the
/// offset, so that knowing the one tells nothing about the other.
#[derive(Clone, Debug)]
pub struct IsnGenerator {
    hasher: TupleHasher,
    fixed: Option<u32>,
}

/// Where the numbers of a new connection start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Start {
    pub iss: Seq,
    /// The same for a 4-tuple at all times, so that PAWS works across incarnations (RFC 6191), and different between
    /// tuples.
    pub ts_offset: u32,
}

impl IsnGenerator {
    pub fn new(secret: [u64; 2], fixed: Option<u32>) -> Self {
        IsnGenerator { hasher: TupleHasher::new(SipKey { k0: secret[0], k1: secret[1] }), fixed }
    }

    /// ISN = M + F(4-tuple, secret), M a clock of about 4 µs.
    #[inline(always)]
    pub fn start(&self, key: &FlowKey, now: Instant) -> Start {
        let hash = self.hasher.strong(key.words());
        let m = (now.as_nanos() >> 12) as u32;
        let iss = self.fixed.unwrap_or(m.wrapping_add(hash as u32));
        Start { iss: Seq(iss), ts_offset: (hash >> 32) as u32 }
    }

    /// [`Start::ts_offset`] alone, for records that do not keep it.
    pub fn ts_offset(&self, key: &FlowKey) -> u32 {
        self.start(key, Instant::ZERO).ts_offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Addr;

    fn key(port: u16) -> FlowKey {
        let remote = Addr::v4([198, 18, 0, 1]);
        FlowKey { remote, remote_port: port, local_port: 80, local: 0, reserved: 0 }
    }

    #[test]
    fn numbers_go_on_with_the_clock_and_the_timestamp_offset_stays() {
        let isn = IsnGenerator::new([1, 2], None);
        let (now, later) = (Instant::from_nanos(1 << 40), Instant::from_nanos((1 << 40) + (1 << 30)));
        let (first, second) = (isn.start(&key(1), now), isn.start(&key(1), later));
        assert_eq!(second.iss.since(first.iss), 1 << 18, "one for each 4096 ns");
        assert_eq!(second.ts_offset, first.ts_offset);
    }

    #[test]
    fn both_depend_on_the_tuple_and_on_the_secret() {
        let start = |secret, port| IsnGenerator::new(secret, None).start(&key(port), Instant::ZERO);
        let one = start([1, 2], 1);
        for other in [start([1, 2], 2), start([1, 3], 1), start([3, 2], 1)] {
            assert_ne!(other.iss, one.iss);
            assert_ne!(other.ts_offset, one.ts_offset);
        }
    }
}
