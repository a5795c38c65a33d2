//! F1: what is due when. Both kinds count in [`Tick`](crate::base::time::Tick)s that are handed in and may wrap.
//!
//! [`Wheel`] is for timers that are armed, moved and cancelled all the time (retransmission); [`Fifo`] for those that
//! all wait equally long (SYN,ACK retransmissions), where the first to come is the first to go.
//!
//! Neither calls anybody: what expired is handed out, a bounded number at a time.

pub mod fifo;
pub mod wheel;

pub use fifo::Fifo;
pub use wheel::Wheel;
