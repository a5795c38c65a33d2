//! Times, limits and switches of TCP. Defaults are those of the RFCs unless a comment says otherwise.

use super::congestion::Algorithm;
use super::ecn::Ecn;
use super::fast_open::FastOpen;
use crate::wire::emit::IpFields;
use core::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TcpConfig {
    /// Offer (and accept) timestamps, RFC 7323.
    pub timestamps: bool,
    /// Take segments without the timestamp that was agreed on, as Linux does; RFC 7323 3.2 has them dropped.
    pub takes_unstamped: bool,
    /// Offer (and accept) SACK, RFC 2018.
    pub sack: bool,
    /// Explicit congestion notification, RFC 3168.
    pub ecn: Ecn,
    /// Data in SYNs, RFC 7413.
    pub fast_open: FastOpen,
    /// Receive buffer in bytes: the largest window offered, at first.
    pub receive_buffer_bytes: u32,
    /// How far the buffer may grow with what the application takes in a round trip; not larger than
    /// `receive_buffer_bytes`: it stays as it is. The larger of the two decides the window scale.
    pub receive_buffer_max_bytes: u32,
    /// First RTO (RFC 6298: 1 s), its bounds, and the bound of back-off.
    pub rto_initial: Duration,
    /// RFC 6298 says 1 s; like Linux, 200 ms, since delayed ACKs stay far below it.
    pub rto_min: Duration,
    pub rto_max: Duration,
    /// What is added to the round trip on account of its variance is at least this (RFC 6298 leaves it to the clock).
    pub rto_margin_min: Duration,
    /// How much later than it may RACK's reordering timer runs, where timers are coarse.
    pub reorder_margin: Duration,
    /// SYN or SYN-ACK retransmissions (of the latter 15 at most) before giving up. Seven last for three minutes, as RFC 9293 3.8.3 wants it.
    pub syn_retries: u8,
    /// Retransmissions of data or FIN, and zero-window probes without answer, before giving up.
    pub data_retries: u8,
    /// How long sent bytes may stay unacknowledged, or a window closed, before giving up (RFC 5482); `None`: as long as
    /// `data_retries` last.
    pub user_timeout: Option<Duration>,
    /// The MSS announced is no larger than this, whatever the link carries.
    pub mss_max: u16,
    /// 2MSL.
    pub time_wait: Duration,
    /// How long FIN-WAIT-2 may last after `close`, when nobody is left who could give up.
    pub fin_wait_2: Duration,
    /// How long FIN-WAIT-2 may last after `shutdown` without any traffic; `None`: as long as the application likes.
    pub half_closed: Option<Duration>,
    pub delayed_ack: Duration,
    /// Diffserv field and TTL of what is sent.
    pub ip: IpFields,
    /// The first segments with data, so many, are acknowledged without delay, until the application answers.
    pub quick_acks: u8,
    /// Of those, smaller ones are delayed after all, and end this: who sends so little does not wait for ACKs to open a window.
    pub quick_ack_bytes_min: u16,
    /// The ACK of a FIN behind data may be delayed as that of data (RFC 9293 3.8.6.3), if the application closes soon.
    pub delays_fin_acks: bool,
    /// New connections start with Nagle off.
    pub nodelay: bool,
    /// Idle time before keepalive probes, their interval and number; `None`: off (RFC 9293 3.8.4).
    pub keepalive: Option<Keepalive>,
    /// Initial congestion window in segments (RFC 6928: 10).
    pub initial_window_segments: u8,
    /// After a time-out's length without transmissions the congestion window starts anew (RFC 5681 4.1).
    pub restarts_after_idle: bool,
    /// So many segments leave in one go, whatever the rate.
    pub burst_segments_min: u8,
    /// Congestion control of new connections.
    pub congestion: Algorithm,
    /// Segments are spread over the round trip instead of following ACKs in bursts; `None`: they are not.
    pub pacing: Option<Pacing>,
    /// Challenge ACKs per second and shard, at most (RFC 5961 section 7).
    pub challenge_acks_per_s: u32,
    /// When a SYN is answered without keeping anything (RFC 4987).
    pub syn_cookies: SynCookies,
    /// Fixed initial sequence number, for tests that pin exact numbers. Never set it on a real network.
    pub fixed_iss: Option<u32>,
}

/// How fast segments may follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// Payload bytes per second at most, whatever the congestion window has room for.
    pub max_bytes_per_s: u64,
}

impl Pacing {
    /// At the congestion window's rate.
    pub const UNLIMITED: Pacing = Pacing { max_bytes_per_s: u64::MAX };
}

/// When a SYN is answered with a cookie instead of a half-open record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SynCookies {
    Off,
    /// From three quarters of the half-open table on, until it is half empty.
    Auto,
    Always,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keepalive {
    pub idle: Duration,
    pub interval: Duration,
    pub probes: u8,
}

impl TcpConfig {
    /// Whether the settings go together.
    ///
    /// # Errors
    /// Which do not, as a sentence.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.rto_min > self.rto_max {
            return Err("the shortest retransmission time-out (rto_min) is longer than the longest (rto_max)");
        }
        Ok(())
    }

    /// The largest window that a connection may ever offer.
    pub fn receive_window_max(&self) -> u32 {
        self.receive_buffer_bytes.max(self.receive_buffer_max_bytes)
    }

    /// The same, with a receive buffer that stays as it is.
    pub fn with_fixed_receive_buffer(self, bytes: u32) -> TcpConfig {
        TcpConfig { receive_buffer_bytes: bytes, receive_buffer_max_bytes: bytes, ..self }
    }
}

impl Default for TcpConfig {
    fn default() -> Self {
        TcpConfig {
            timestamps: true,
            takes_unstamped: false,
            sack: true,
            ecn: Ecn::Off,
            fast_open: FastOpen::default(),
            receive_buffer_bytes: 256 * 1024,
            receive_buffer_max_bytes: 6 * 1024 * 1024,
            rto_initial: Duration::from_secs(1),
            rto_min: Duration::from_millis(200),
            rto_max: Duration::from_secs(60),
            rto_margin_min: Duration::ZERO,
            reorder_margin: Duration::ZERO,
            syn_retries: 7,
            data_retries: 15,
            user_timeout: None,
            mss_max: u16::MAX,
            time_wait: Duration::from_secs(60),
            fin_wait_2: Duration::from_secs(60),
            half_closed: None,
            delayed_ack: Duration::from_millis(40),
            ip: IpFields::default(),
            quick_acks: 16,
            // Less than any full segment (RFC 9293 3.7.1).
            quick_ack_bytes_min: 536,
            delays_fin_acks: false,
            nodelay: true,
            keepalive: None,
            initial_window_segments: 10,
            restarts_after_idle: true,
            burst_segments_min: 2,
            congestion: Algorithm::default(),
            pacing: None,
            challenge_acks_per_s: 1000,
            syn_cookies: SynCookies::Auto,
            fixed_iss: None,
        }
    }
}
