//! The four rings that a socket shares with the kernel, and their arithmetic.
//!
//! A ring is a power-of-two array with two counters, the producer's and the consumer's. Both run freely through
//! all 32 bits and wrap; a slot is the counter's low bits. Each side owns one counter and reads the other's
//! (Documentation/networking/af_xdp.rst).
//!
//! Ordering: the writer of entries publishes its counter with release after the entries, the reader loads it with
//! acquire before them; the reader hands slots back with release after it has read them, and the writer loads that
//! counter with acquire before it overwrites them. A side caches the other's counter and looks again only when
//! what it knows is not enough, since that cache line usually belongs to another core.
//!
//! Entries are pushed and popped one by one but published in bulk: one shared store per burst.
//! Never does: own frames, or check what an entry says.

use std::any::Any;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Both counters of a ring as one side knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    producer: u32,
    consumer: u32,
    size: u32,
}

impl Cursor {
    /// An empty ring of `size` slots (a power of two, at most 2^31) whose counters stand at `start`.
    pub fn new(size: u32, start: u32) -> Cursor {
        assert!(size.is_power_of_two(), "ring sizes are powers of two");
        Cursor { producer: start, consumer: start, size }
    }

    /// Entries that wait to be read. Never above the size, whatever the other side claims.
    #[inline(always)]
    pub fn filled(&self) -> u32 {
        self.producer.wrapping_sub(self.consumer).min(self.size)
    }

    /// Slots that may be written.
    #[inline(always)]
    pub fn free(&self) -> u32 {
        self.size - self.filled()
    }

    /// The slot to be written next, if there is one; the producer then stands behind it.
    #[inline(always)]
    pub fn produce(&mut self) -> Option<usize> {
        if self.free() == 0 {
            return None;
        }
        let slot = self.producer & (self.size - 1);
        self.producer = self.producer.wrapping_add(1);
        Some(slot as usize)
    }

    /// The slot to be read next, if there is one; the consumer then stands behind it.
    #[inline(always)]
    pub fn consume(&mut self) -> Option<usize> {
        if self.filled() == 0 {
            return None;
        }
        let slot = self.consumer & (self.size - 1);
        self.consumer = self.consumer.wrapping_add(1);
        Some(slot as usize)
    }
}

/// The shared parts of a ring, wherever they lie.
pub(super) struct RingMemory<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    slots: NonNull<T>,
    /// Keeps the memory alive; unmapped or freed with the ring.
    _owner: Box<dyn Any + Send>,
}

// SAFETY: the pointers lead into memory that `_owner` keeps alive and that is meant to be shared: the counters are
// atomics, and the ring protocol gives each slot to one side at a time.
unsafe impl<T: Send> Send for RingMemory<T> {}

impl<T: Copy> RingMemory<T> {
    /// # Safety
    /// The pointers must lead into memory that lives as long as `owner`, aligned for their types, with as many
    /// slots as the cursor of the side built on it; the other side must keep to the ring protocol.
    pub unsafe fn new(
        producer: NonNull<AtomicU32>,
        consumer: NonNull<AtomicU32>,
        flags: NonNull<AtomicU32>,
        slots: NonNull<T>,
        owner: Box<dyn Any + Send>,
    ) -> RingMemory<T> {
        RingMemory { producer, consumer, flags, slots, _owner: owner }
    }

    #[inline(always)]
    fn producer(&self) -> &AtomicU32 {
        // SAFETY: valid and aligned for the life of `self`, by the promise made to `new`.
        unsafe { self.producer.as_ref() }
    }

    #[inline(always)]
    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as in `producer`.
        unsafe { self.consumer.as_ref() }
    }

    #[inline(always)]
    fn flags(&self) -> &AtomicU32 {
        // SAFETY: as in `producer`.
        unsafe { self.flags.as_ref() }
    }
}

/// The writing end of a ring: FILL and TX.
pub(super) struct Producer<T> {
    cursor: Cursor,
    memory: RingMemory<T>,
}

impl<T: Copy> Producer<T> {
    /// # Safety
    /// `size` must be the number of slots in `memory`, whose counters stand at `start`, and this must be its only
    /// producer.
    pub unsafe fn new(memory: RingMemory<T>, size: u32, start: u32) -> Producer<T> {
        Producer { cursor: Cursor::new(size, start), memory }
    }

    /// How many entries can be pushed now; looks at the reader's counter when fewer than `want` are known of.
    #[inline]
    pub fn room(&mut self, want: u32) -> u32 {
        if self.cursor.free() < want {
            self.cursor.consumer = self.memory.consumer().load(Ordering::Acquire);
        }
        self.cursor.free()
    }

    /// Writes an entry behind the last, not yet visible to the reader. False when there is no room known of.
    #[inline(always)]
    #[must_use]
    pub fn push(&mut self, value: T) -> bool {
        let Some(slot) = self.cursor.produce() else { return false };
        // SAFETY: `slot < size`; the reader has released this slot (its counter was loaded with acquire) and does
        // not look at it again before `publish`.
        unsafe { self.memory.slots.as_ptr().add(slot).write(value) };
        true
    }

    /// Makes all pushed entries visible to the reader.
    #[inline]
    pub fn publish(&mut self) {
        self.memory.producer().store(self.cursor.producer, Ordering::Release);
    }

    /// Entries that the reader has not taken yet.
    #[inline]
    pub fn unread(&mut self) -> u32 {
        self.cursor.consumer = self.memory.consumer().load(Ordering::Acquire);
        self.cursor.filled()
    }

    /// Entries pushed since the ring was made, modulo 2^32.
    pub fn pushed(&self) -> u32 {
        self.cursor.producer
    }

    /// Whether the kernel asks to be woken up for this ring (XDP_RING_NEED_WAKEUP). A request that is just being
    /// made may be missed; the next call sees it.
    #[inline]
    pub fn needs_wakeup(&self) -> bool {
        self.memory.flags().load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

/// The reading end of a ring: RX and COMPLETION.
pub(super) struct Consumer<T> {
    cursor: Cursor,
    memory: RingMemory<T>,
}

impl<T: Copy> Consumer<T> {
    /// # Safety
    /// `size` must be the number of slots in `memory`, whose counters stand at `start`, and this must be its only
    /// consumer.
    pub unsafe fn new(memory: RingMemory<T>, size: u32, start: u32) -> Consumer<T> {
        Consumer { cursor: Cursor::new(size, start), memory }
    }

    /// How many entries can be popped now; looks at the writer's counter when fewer than `want` are known of.
    #[inline]
    pub fn waiting(&mut self, want: u32) -> u32 {
        if self.cursor.filled() < want {
            self.cursor.producer = self.memory.producer().load(Ordering::Acquire);
        }
        self.cursor.filled()
    }

    /// Slots of the ring.
    pub fn size(&self) -> u32 {
        self.cursor.size
    }

    /// Entries that were known of when [`Consumer::waiting`] was last asked, and not popped since.
    #[inline(always)]
    pub fn left(&self) -> u32 {
        self.cursor.filled()
    }

    /// Reads the next entry known of. Its slot stays ours until `release`.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<T> {
        let slot = self.cursor.consume()?;
        // SAFETY: `slot < size`; the writer has published this slot (its counter was loaded with acquire) and does
        // not touch it again before `release`.
        Some(unsafe { self.memory.slots.as_ptr().add(slot).read() })
    }

    /// Hands the slots of all popped entries back to the writer.
    #[inline]
    pub fn release(&mut self) {
        self.memory.consumer().store(self.cursor.consumer, Ordering::Release);
    }

    /// Entries popped since the ring was made, modulo 2^32.
    pub fn popped(&self) -> u32 {
        self.cursor.consumer
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;

#[cfg(test)]
pub(super) use tests::plain_ring;
