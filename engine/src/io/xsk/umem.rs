//! The packet memory: one mapping for all queues of a set, registered with the kernel once.
//!
//! Owns the arena, and sees to its end. The kernel pins the pages itself, so unmapping can never pull them from
//! under a device; what must not happen is that a [`Frame`](crate::base::Frame) still points into unmapped memory.
//! So the pools of closed sockets are collected here, each with the number of chunks that its rings held. When the
//! last socket has gone and free chunks plus ring chunks make up the whole, no frame can be left outside: the ring
//! chunks are given back and the memory is unmapped. Otherwise it stays mapped for ever, as with every pool.

use super::config::XskConfig;
use super::sys::{self, XdpSocket};
use crate::base::frame::{Arena, FramePool};
use crate::io::IoError;
use crate::io::sys::capabilities::raise_memlock;
use std::io;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

/// Bytes in front of a packet that the kernel reads TX metadata from: its whole `struct xsk_tx_metadata`.
pub(super) const TX_METADATA_BYTES: u16 = 24;

const HUGE_PAGE_BYTES: usize = 2 << 20;

/// The arena of a set of sockets.
pub(super) struct Umem {
    arena: Arc<Arena>,
    pub hugetlb: bool,
    /// Pools of sockets that have gone, with the number of chunks their rings held.
    retired: Mutex<Vec<(FramePool, u32)>>,
}

impl Umem {
    /// Maps the memory and cuts it into one pool for each queue.
    pub fn create(config: &XskConfig) -> Result<(Arc<Umem>, Vec<FramePool>), IoError> {
        let chunks = config.frames_per_queue * config.queues;
        let bytes = chunks as usize * config.chunk_bytes as usize;
        raise_memlock();
        let huge = if config.huge_pages { map(bytes, true).ok() } else { None };
        let hugetlb = huge.is_some();
        let base = huge.map_or_else(|| map(bytes, false), Ok).map_err(|e| {
            let what = format!("{} MiB of packet memory for {}", bytes >> 20, config.interface);
            IoError::os(what, &e, "ask for fewer frames or queues")
        })?;
        let release = if hugetlb { release_hugetlb } else { release_pages };
        // SAFETY: a fresh mapping of at least `bytes` bytes, ours alone, unmapped by the matching function.
        let arena = unsafe { Arena::from_raw(base, config.chunk_bytes, chunks, release) };
        let pools = FramePool::split(arena.clone(), config.queues as usize);
        Ok((Arc::new(Umem { arena, hugetlb, retired: Mutex::default() }), pools))
    }

    /// Registers the memory with the first socket of a set. Returns whether packets may carry TX metadata
    /// ([`TX_METADATA_BYTES`] in front of them): false when it is not wanted or the kernel knows none.
    pub fn register(&self, socket: &XdpSocket, want_metadata: bool) -> io::Result<bool> {
        let plain = libc::xdp_umem_reg {
            addr: self.arena.base().as_ptr() as u64,
            len: self.arena.total_bytes() as u64,
            chunk_size: self.arena.chunk_bytes(),
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        };
        if want_metadata {
            let flags = libc::XDP_UMEM_TX_METADATA_LEN;
            let request = libc::xdp_umem_reg { flags, tx_metadata_len: TX_METADATA_BYTES.into(), ..plain };
            match socket.set(libc::SOL_XDP, libc::XDP_UMEM_REG, &request) {
                Ok(()) => return Ok(true),
                Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {}
                Err(e) => return Err(e),
            }
        }
        socket.set(libc::SOL_XDP, libc::XDP_UMEM_REG, &plain)?;
        Ok(false)
    }

    /// Takes the pool of a socket that is about to close, and the number of chunks its rings hold.
    /// A pool of another memory has nothing to do with ours: ours then stays mapped.
    pub fn retire(&self, pool: FramePool, in_rings: u32) {
        if Arc::ptr_eq(pool.arena(), &self.arena)
            && let Ok(mut retired) = self.retired.lock()
        {
            retired.push((pool, in_rings));
        }
    }
}

impl Drop for Umem {
    /// Runs after the last socket was closed: each holds an `Arc` of this and drops it last.
    fn drop(&mut self) {
        let Ok(retired) = self.retired.get_mut() else { return };
        let in_rings: usize = retired.iter().map(|(_, held)| *held as usize).sum();
        let mut pools: Vec<FramePool> = retired.drain(..).map(|(pool, _)| pool).collect();
        let owned: usize = pools.iter().map(FramePool::capacity).sum();
        let mut home = Vec::with_capacity(owned);
        for pool in &mut pools {
            pool.collect_returns();
            while let Some(index) = pool.take_index() {
                home.push(index);
            }
        }
        let complete = home.len() + in_rings == owned;
        let back = if complete { (0..owned as u32).collect() } else { home };
        for index in back {
            // SAFETY: either it was just taken off a free list, or all chunks are accounted for: those that are
            // on no free list were in rings whose sockets are closed, so nobody else has a right to them.
            unsafe { pools[0].give_index(index) };
        }
    }
}

/// Maps zeroed memory: reserved huge pages, or ordinary pages that the kernel may merge into huge ones.
fn map(bytes: usize, hugetlb: bool) -> io::Result<NonNull<u8>> {
    let huge_flag = if hugetlb { libc::MAP_HUGETLB } else { 0 };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | huge_flag;
    let length = if hugetlb { bytes.next_multiple_of(HUGE_PAGE_BYTES) } else { bytes };
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new anonymous mapping, nothing of ours is replaced.
    let raw = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
    let address = sys::mapped(raw)?;
    if !hugetlb {
        // SAFETY: advice on our own mapping; it may fail without harm.
        unsafe { libc::madvise(address.as_ptr(), length, libc::MADV_HUGEPAGE) };
    }
    Ok(address.cast())
}

fn release_pages(base: NonNull<u8>, bytes: usize) {
    // SAFETY: the mapping made by `map`, released once, by `Arena::drop`.
    unsafe { libc::munmap(base.as_ptr().cast(), bytes) };
}

fn release_hugetlb(base: NonNull<u8>, bytes: usize) {
    release_pages(base, bytes.next_multiple_of(HUGE_PAGE_BYTES));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn umem(queues: u32, huge_pages: bool) -> (Arc<Umem>, Vec<FramePool>) {
        let config = XskConfig { frames_per_queue: 64, huge_pages, ..XskConfig::new("test0", 1, queues) };
        Umem::create(&config).unwrap()
    }

    #[test]
    fn memory_is_writable_to_its_last_byte_with_and_without_huge_pages() {
        for huge in [false, true] {
            let (umem, mut pools) = umem(2, huge);
            assert_eq!(pools.len(), 2);
            for pool in &mut pools {
                let mut all: Vec<_> = std::iter::from_fn(|| pool.alloc()).collect();
                assert_eq!(all.len(), 64);
                for frame in &mut all {
                    assert!(frame.set_len(frame.room_bytes()));
                    frame.bytes_mut().fill(0xa5);
                }
                all.into_iter().for_each(|f| pool.free(f));
            }
            drop((umem, pools));
        }
    }

    /// An arena on the heap that tells when it is released.
    fn watched(queues: usize, released: &'static AtomicUsize) -> (Umem, Vec<FramePool>) {
        static RELEASED: Mutex<Vec<(usize, &'static AtomicUsize)>> = Mutex::new(Vec::new());
        fn release(base: NonNull<u8>, _: usize) {
            let known = RELEASED.lock().unwrap();
            let (_, counter) = known.iter().find(|(at, _)| *at == base.as_ptr() as usize).unwrap();
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let memory = Box::leak(vec![0u8; 8 * 2048].into_boxed_slice());
        let base = NonNull::new(memory.as_mut_ptr()).unwrap();
        RELEASED.lock().unwrap().push((base.as_ptr() as usize, released));
        // SAFETY: leaked memory of the right size, used by this arena alone.
        let arena = unsafe { Arena::from_raw(base, 2048, 8, release) };
        let pools = FramePool::split(arena.clone(), queues);
        (Umem { arena, hugetlb: false, retired: Mutex::default() }, pools)
    }

    #[test]
    fn memory_is_released_when_all_chunks_are_in_pools_or_closed_rings() {
        static RELEASED: AtomicUsize = AtomicUsize::new(0);
        let (umem, mut pools) = watched(2, &RELEASED);
        for mut pool in pools.drain(..) {
            let in_rings = std::iter::from_fn(|| pool.take_index()).take(3).count();
            umem.retire(pool, in_rings as u32);
        }
        drop(umem);
        assert_eq!(RELEASED.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn memory_stays_when_a_frame_is_still_outside() {
        static RELEASED: AtomicUsize = AtomicUsize::new(0);
        let (umem, mut pools) = watched(1, &RELEASED);
        let mut pool = pools.pop().unwrap();
        let mut outside = pool.alloc().unwrap();
        assert!(pool.take_index().is_some());
        umem.retire(pool, 1);
        drop(umem);
        assert_eq!(RELEASED.load(Ordering::Relaxed), 0);
        assert!(outside.set_len(100));
        outside.bytes_mut().fill(1);
    }
}
