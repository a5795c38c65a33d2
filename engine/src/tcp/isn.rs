//! Initial sequence numbers (RFC 6528) and timestamp offsets (RFC 7323 7.1).

use crate::base::Instant;
use crate::base::hash::{SipKey, siphash13};
use crate::table::FlowKey;
use crate::wire::Seq;

/// ISN = M + F(4-tuple, secret), M a clock of about 4 µs.
#[derive(Clone, Copy, Debug)]
pub struct IsnGenerator {
    key: SipKey,
    ts_key: SipKey,
    fixed: Option<u32>,
}

impl IsnGenerator {
    pub fn new(isn: [u64; 2], timestamp: [u64; 2], fixed: Option<u32>) -> Self {
        IsnGenerator {
            key: SipKey { k0: isn[0], k1: isn[1] },
            ts_key: SipKey { k0: timestamp[0], k1: timestamp[1] },
            fixed,
        }
    }

    pub fn iss(&self, key: &FlowKey, now: Instant) -> Seq {
        if let Some(iss) = self.fixed {
            return Seq(iss);
        }
        let m = (now.as_nanos() >> 12) as u32;
        Seq(m.wrapping_add(siphash13(self.key, key.words()) as u32))
    }

    /// The same for all connections between two hosts' 4-tuple in its life, so that PAWS works across
    /// incarnations (RFC 6191), and different between tuples.
    pub fn timestamp_offset(&self, key: &FlowKey) -> u32 {
        siphash13(self.ts_key, key.words()) as u32
    }
}
