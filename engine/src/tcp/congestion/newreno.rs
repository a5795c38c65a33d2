//! Congestion avoidance of RFC 5681.

/// About one segment per window of acknowledged bytes.
pub fn step(cwnd: u32, mss: u32, acked: u32) -> u32 {
    let bytes = u64::from(acked.min(cwnd)) * u64::from(mss) / u64::from(cwnd.max(1));
    bytes.max(1) as u32
}

pub fn reduce(window: u32) -> u32 {
    window / 2
}
