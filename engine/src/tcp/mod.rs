//! F2: the state machine (RFC 9293). No clock, no I/O, no allocation; it neither knows frames nor applications.
//!
//! One job a file: [`open`] and [`half_open`] the handshake, [`receive`] (with [`dispatch`] and `ack`) what a segment
//! does, [`acknowledge`] when to say so, [`output`] (with [`boundaries`] and [`burst`]) what to send next, [`timers`] what a deadline does, [`timewait`] what is
//! left afterwards, [`rtt`], [`congestion`] and [`recovery`] when, how much and what again, [`cookie`], [`ecn`],
//! [`fast_open`], [`isn`], [`options`], [`reset`]
//! what their names say. Segment
//! processing returns an [`receive::Outcome`]; one `transition()` writes the state.
//!
//! Left out here on purpose: buffers. Send queues and reassembly are the shard's, since they hold frames and
//! references to the application's bytes.

mod ack;
pub mod acknowledge;
pub mod boundaries;
pub mod burst;
pub mod config;
pub mod congestion;
pub mod cookie;
pub mod dispatch;
pub mod ecn;
pub mod env;
pub mod expected;
pub mod fast_open;
pub mod half_open;
pub mod isn;
pub mod open;
pub mod options;
pub mod output;
pub mod receive;
pub mod recovery;
pub mod reset;
pub mod rtt;
pub mod state;
pub mod tcb;
pub mod timers;
pub mod timewait;

pub use boundaries::Boundaries;
pub use config::{Keepalive, Pacing, SynCookies, TcpConfig};
pub use cookie::CookieJar;
pub use ecn::Ecn;
pub use env::{ChallengeLimiter, Clock, Common, Env, Times};
pub use fast_open::{FastOpen, FastOpenKeys};
pub use half_open::{HalfOpen, HalfVerdict};
pub use isn::IsnGenerator;
pub use state::State;
pub use tcb::{NONE, Tcb, flag};
pub use timewait::TimeWait;
