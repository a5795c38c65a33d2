//! Sequence numbers (RFC 9293 3.4): 32 bits that wrap. `Seq` has no `Ord` on purpose: two sequence numbers
//! only have a distance, so the comparisons are named.

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct Seq(pub u32);

impl Seq {
    /// `self` < `other` in the sense of RFC 9293: less than 2^31 behind it.
    #[inline(always)]
    pub const fn before(self, other: Seq) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    #[inline(always)]
    pub const fn after(self, other: Seq) -> bool {
        (self.0.wrapping_sub(other.0) as i32) > 0
    }

    #[inline(always)]
    pub const fn at_or_before(self, other: Seq) -> bool {
        !self.after(other)
    }

    #[inline(always)]
    pub const fn at_or_after(self, other: Seq) -> bool {
        !self.before(other)
    }

    /// Bytes from `earlier` to `self`, modulo 2^32.
    #[inline(always)]
    pub const fn since(self, earlier: Seq) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// `self` lies in `start .. start + len` (never for `len` 0).
    #[inline(always)]
    pub const fn within(self, start: Seq, len: u32) -> bool {
        self.since(start) < len
    }

    #[inline(always)]
    pub const fn max(self, other: Seq) -> Seq {
        if self.before(other) { other } else { self }
    }

    #[inline(always)]
    pub const fn min(self, other: Seq) -> Seq {
        if self.after(other) { other } else { self }
    }
}

impl core::ops::Add<u32> for Seq {
    type Output = Seq;
    #[inline(always)]
    fn add(self, n: u32) -> Seq {
        Seq(self.0.wrapping_add(n))
    }
}

impl core::ops::Sub<u32> for Seq {
    type Output = Seq;
    #[inline(always)]
    fn sub(self, n: u32) -> Seq {
        Seq(self.0.wrapping_sub(n))
    }
}

impl core::ops::AddAssign<u32> for Seq {
    #[inline(always)]
    fn add_assign(&mut self, n: u32) {
        *self = *self + n;
    }
}

impl core::fmt::Debug for Seq {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.0)
    }
}
