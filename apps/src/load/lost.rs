//! What was to be measured and never was, counted when a connection comes to its end. A connection owes as many requests as it
//! was to make: one that breaks after the third of ten leaves seven without a response.

use std::ops::AddAssign;

/// So much is missing from the latencies of each measure.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Lost {
    pub handshakes: u64,
    pub first_bytes: u64,
    pub requests: u64,
    /// First responses of connections; of a hold, all responses.
    pub responses: u64,
}

impl Lost {
    /// Number by number.
    pub fn add(&mut self, other: &Lost, sum: impl Fn(u64, u64) -> u64) {
        let pairs = [
            (&mut self.handshakes, other.handshakes),
            (&mut self.first_bytes, other.first_bytes),
            (&mut self.requests, other.requests),
            (&mut self.responses, other.responses),
        ];
        pairs.into_iter().for_each(|(a, b)| *a = sum(*a, b));
    }
}

impl AddAssign for Lost {
    fn add_assign(&mut self, other: Lost) {
        self.add(&other, |a, b| a + b);
    }
}
