//! The `afxdp` crate as a backend: the same sockets as `xsk`, over libbpf. Behind the cargo feature `afxdp`.
//!
//! It shows that the engine stands on [`PacketIo`](crate::io::PacketIo) and not on one implementation, and lets the
//! two be compared on one machine. `xsk` is the default, for what this crate (0.4.0, with libbpf 0.3) lacks:
//! memory shared by several queues, huge pages that can be given back, checksum metadata, the choice between native and SKB mode, busy polling.
//!
//! What had to be worked around:
//! 1. Its own XDP program would take every frame of a queue and stay after the process has gone. So [`AfxdpSet::open`]
//!    asks for our [`XdpLink`](crate::io::bpf::XdpLink), attached: the crate finds that program's map by its name.
//!    (libbpf looks programs and maps up by id, for which the kernel asks CAP_SYS_ADMIN.)
//! 2. It makes errors of negative codes: turned round in `explain`.
//! 3. `try_send` wakes the kernel up once, which sends 32 frames or the budget, and never without frames: the budget
//!    is raised, and `kick` wakes it up for the rest.
//! 4. Dropping its halves in the natural order reads freed memory: `parts` takes them down in the one order that
//!    does not.
//! 5. A `BufMmap` cannot be made anew: `slots` keeps each one by its chunk while a [`Frame`](crate::base::Frame)
//!    has the right to that chunk.
//! 6. It hides its descriptor: `descriptor` finds it, for statistics, the budget, waking up and waiting.
//! 7. Its descriptor is inherited by child processes, which would keep the queue taken: closed on exec from here on.
//! 8. It panics when waking up fails with anything but a full queue or a link that is down, as when the interface is
//!    deleted. Nothing can be done about that here, nor about libbpf
//!    reading 15 bytes of an interface's name however short it is (harmless, as it stays within the memory of the allocator).
//!
//! Frames are lent without a copy, both ways. The crate sends from 256 bytes into a chunk, the engine from
//! [`TX_HEADROOM_BYTES`](crate::base::frame::TX_HEADROOM_BYTES): so the engine's chunks begin 192 bytes later than
//! the crate's, and each ends in the next one's headroom, which nobody writes to.

mod backend;
mod descriptor;
mod parts;
mod slots;

pub use backend::{AfxdpIo, AfxdpSet};
