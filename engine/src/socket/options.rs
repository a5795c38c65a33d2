//! `setsockopt` and `getsockopt`: options of a socket, and the configuration of its connection that follows from them.

use super::table::{Role, Socket, errno};
use super::{Errno, Fd, Sockets, fast_open, info};
use crate::shard::ConnInfo;
use crate::tcp::congestion::Algorithm;
use crate::tcp::{FastOpenKeys, Keepalive, Pacing, TcpConfig};
use core::time::Duration;
use libc::{IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, SOL_SOCKET};

/// Congestion controls, under Linux's names for them.
const CONGESTION: [(&[u8], Algorithm); 2] = [(b"cubic", Algorithm::Cubic), (b"reno", Algorithm::NewReno)];
/// TCP_CA_NAME_MAX.
const CONGESTION_BYTES: usize = 16;
/// What TCP_MAXSEG says before there is a connection, as on Linux.
const DEFAULT_MSS: i32 = 536;

/// Options of one socket; those that it accepts start with its own.
#[derive(Clone, Debug)]
pub struct Options {
    pub reuse_address: bool,
    /// SO_LINGER with a time.
    pub linger: Option<Duration>,
    pub keepalive: bool,
    pub keepalive_idle_s: u32,
    pub keepalive_interval_s: u32,
    pub keepalive_probes: u8,
    /// `None`: as the shard has it.
    pub receive_buffer_bytes: Option<u32>,
    pub send_buffer_bytes: u32,
    pub receive_low_water: u32,
    /// SO_RCVTIMEO and SO_SNDTIMEO, for calls that wait.
    pub receive_timeout: Option<Duration>,
    pub send_timeout: Option<Duration>,
    pub nodelay: bool,
    pub cork: bool,
    /// SO_ZEROCOPY: calls with MSG_ZEROCOPY are told of.
    pub zero_copy: bool,
    /// TCP_MAXSEG; 0: what the link carries.
    pub mss: u16,
    /// TCP_SYNCNT; 0: as the shard has it.
    pub syn_retries: u8,
    /// TCP_USER_TIMEOUT; 0: none.
    pub user_timeout_ms: u32,
    /// TCP_LINGER2: how long FIN-WAIT-2 may last; `None`: as the shard has it.
    pub fin_wait_2: Option<Duration>,
    /// TCP_NOTSENT_LOWAT; 0: as sockets have it that do not say.
    pub unsent_low_water: u32,
    /// What those have; 0: none.
    pub unsent_low_water_default: u32,
    /// TCP_INQ: `recvmsg` tells how many bytes are left.
    pub tell_unread: bool,
    /// IP_FREEBIND: addresses that are not ours can be bound to.
    pub free_bind: bool,
    /// TCP_FASTOPEN: connections whose SYN brought data and whose handshake is not complete; `None`: as the shard has it.
    pub fast_open_pending_max: Option<u32>,
    /// TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE, TCP_FASTOPEN_KEY.
    pub fast_open_connect: bool,
    pub fast_open_without_cookie: bool,
    pub fast_open_keys: Option<FastOpenKeys>,
    /// IP_TOS, IPV6_TCLASS; 0: as the shard has it.
    pub tos: u8,
    /// IP_TTL, IPV6_UNICAST_HOPS; 0: as the shard has it.
    pub ttl: u8,
    /// TCP_CONGESTION; `None`: as the shard has it.
    pub congestion: Option<Algorithm>,
    /// SO_MAX_PACING_RATE in bytes per second.
    pub max_pacing_rate: Option<u64>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            reuse_address: false,
            linger: None,
            keepalive: false,
            keepalive_idle_s: 7_200,
            keepalive_interval_s: 75,
            keepalive_probes: 9,
            receive_buffer_bytes: None,
            send_buffer_bytes: 256 * 1024,
            receive_low_water: 1,
            receive_timeout: None,
            send_timeout: None,
            nodelay: false,
            cork: false,
            zero_copy: false,
            mss: 0,
            syn_retries: 0,
            user_timeout_ms: 0,
            fin_wait_2: None,
            unsent_low_water: 0,
            unsent_low_water_default: 0,
            tell_unread: false,
            free_bind: false,
            fast_open_pending_max: None,
            fast_open_connect: false,
            fast_open_without_cookie: false,
            fast_open_keys: None,
            tos: 0,
            ttl: 0,
            congestion: None,
            max_pacing_rate: None,
        }
    }
}

impl Options {
    /// Unsent bytes with which a socket is not writable; 0: it does not matter.
    pub(super) fn low_water(&self) -> u32 {
        if self.unsent_low_water > 0 { self.unsent_low_water } else { self.unsent_low_water_default }
    }

    /// The configuration of a connection with these options, on a shard configured as `base`.
    pub fn config(&self, base: &TcpConfig) -> TcpConfig {
        let mut c = *base;
        if self.keepalive {
            c.keepalive = Some(Keepalive {
                idle: Duration::from_secs(self.keepalive_idle_s.into()),
                interval: Duration::from_secs(self.keepalive_interval_s.into()),
                probes: self.keepalive_probes,
            });
        }
        c.nodelay = self.nodelay;
        c.congestion = self.congestion.unwrap_or(base.congestion);
        if let Some(max_bytes_per_s) = self.max_pacing_rate {
            c.pacing = Some(Pacing { max_bytes_per_s });
        }
        if let Some(bytes) = self.receive_buffer_bytes {
            // What the program asks for stays.
            c = c.with_fixed_receive_buffer(bytes);
        }
        c.fin_wait_2 = self.fin_wait_2.unwrap_or(base.fin_wait_2);
        let fast_open = &mut c.fast_open;
        fast_open.server_pending_max = self.fast_open_pending_max.unwrap_or(fast_open.server_pending_max);
        fast_open.server_without_cookie |= self.fast_open_without_cookie;
        fast_open.keys = self.fast_open_keys.or(fast_open.keys);
        if self.mss > 0 {
            c.mss_max = self.mss;
        }
        if self.syn_retries > 0 {
            c.syn_retries = self.syn_retries;
        }
        if self.user_timeout_ms > 0 {
            c.user_timeout = Some(Duration::from_millis(self.user_timeout_ms.into()));
        }
        if self.tos > 0 {
            c.ip.diffserv = self.tos;
        }
        if self.ttl > 0 {
            c.ip.hop_limit = self.ttl;
        }
        c
    }
}

/// An option that is one `int`.
struct IntOption {
    level: i32,
    name: i32,
    get: fn(&Options) -> i32,
    set: fn(&mut Options, i32) -> Result<(), Errno>,
}

/// `value` if Linux takes it.
fn within(value: i32, low: i32, high: i32) -> Result<i32, Errno> {
    if (low..=high).contains(&value) { Ok(value) } else { Err(Errno::INVAL) }
}

macro_rules! int_option {
    ($level:ident, $name:ident, $get:expr, $set:expr) => {
        IntOption { level: $level, name: libc::$name, get: $get, set: $set }
    };
    ($level:ident, $name:ident, switch $field:ident) => {
        int_option!($level, $name, |o| o.$field.into(), |o, v| {
            o.$field = v != 0;
            Ok(())
        })
    };
    ($level:ident, $name:ident, $field:ident in $low:literal..=$high:expr) => {
        int_option!($level, $name, |o| o.$field as i32, |o, v| {
            o.$field = within(v, $low, $high)? as _;
            Ok(())
        })
    };
}

/// Linux doubles what is asked for, to have room for its bookkeeping, and says so.
const BUFFER_MAX: i32 = 1 << 29;

static INT_OPTIONS: [IntOption; 31] = [
    int_option!(SOL_SOCKET, SO_REUSEADDR, switch reuse_address),
    int_option!(SOL_SOCKET, SO_KEEPALIVE, switch keepalive),
    int_option!(SOL_SOCKET, SO_SNDBUF, |o| o.send_buffer_bytes as i32, |o, v| {
        o.send_buffer_bytes = v.clamp(2_304, BUFFER_MAX) as u32 * 2;
        Ok(())
    }),
    int_option!(SOL_SOCKET, SO_RCVBUF, |o| o.receive_buffer_bytes.unwrap_or(0) as i32 * 2, |o, v| {
        o.receive_buffer_bytes = Some(v.clamp(1_152, BUFFER_MAX) as u32);
        Ok(())
    }),
    int_option!(SOL_SOCKET, SO_RCVLOWAT, |o| o.receive_low_water as i32, |o, v| {
        o.receive_low_water = if v <= 0 { 1 } else { v as u32 };
        Ok(())
    }),
    // Urgent bytes are bytes of the stream like all others (RFC 6093).
    int_option!(SOL_SOCKET, SO_OOBINLINE, |_| 1, |_, _| Ok(())),
    int_option!(SOL_SOCKET, SO_ZEROCOPY, |o| o.zero_copy.into(), |o, v| {
        o.zero_copy = within(v, 0, 1)? == 1;
        Ok(())
    }),
    // Without effect: every packet of a socket has the same rank, and none meets the host's filters and routing rules.
    int_option!(SOL_SOCKET, SO_PRIORITY, |_| 0, |_, _| Ok(())),
    int_option!(SOL_SOCKET, SO_MARK, |_| 0, |_, _| Ok(())),
    int_option!(IPPROTO_TCP, TCP_NODELAY, switch nodelay),
    int_option!(IPPROTO_TCP, TCP_CORK, switch cork),
    int_option!(IPPROTO_TCP, TCP_KEEPIDLE, keepalive_idle_s in 1..=32_767),
    int_option!(IPPROTO_TCP, TCP_KEEPINTVL, keepalive_interval_s in 1..=32_767),
    int_option!(IPPROTO_TCP, TCP_KEEPCNT, keepalive_probes in 1..=127),
    int_option!(IPPROTO_TCP, TCP_SYNCNT, syn_retries in 1..=127),
    int_option!(IPPROTO_TCP, TCP_USER_TIMEOUT, user_timeout_ms in 0..=i32::MAX),
    int_option!(IPPROTO_TCP, TCP_NOTSENT_LOWAT, |o| o.unsent_low_water as i32, |o, v| {
        o.unsent_low_water = v as u32;
        Ok(())
    }),
    int_option!(IPPROTO_TCP, TCP_LINGER2, |o| o.fin_wait_2.map_or(60, |d| d.as_secs() as i32), |o, v| {
        o.fin_wait_2 = if v < 0 { Some(Duration::ZERO) } else { Some(Duration::from_secs(v.min(120) as u64)) };
        Ok(())
    }),
    int_option!(IPPROTO_TCP, TCP_MAXSEG, |o| i32::from(o.mss), |o, v| {
        o.mss = if v == 0 { 0 } else { within(v, 88, 32_767)? as u16 };
        Ok(())
    }),
    int_option!(IPPROTO_TCP, TCP_FASTOPEN, |o| o.fast_open_pending_max.unwrap_or(0) as i32, |o, v| {
        o.fast_open_pending_max = Some(within(v, 0, i32::MAX)? as u32);
        Ok(())
    }),
    int_option!(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, |o| o.fast_open_connect.into(), |o, v| {
        o.fast_open_connect = within(v, 0, 1)? == 1;
        Ok(())
    }),
    int_option!(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, |o| o.fast_open_without_cookie.into(), |o, v| {
        o.fast_open_without_cookie = within(v, 0, 1)? == 1;
        Ok(())
    }),
    int_option!(IPPROTO_TCP, TCP_QUICKACK, |_| 1, |_, _| Ok(())),
    int_option!(IPPROTO_TCP, TCP_INQ, switch tell_unread),
    int_option!(IPPROTO_IP, IP_TOS, tos in 0..=255),
    int_option!(IPPROTO_IP, IP_TTL, ttl in 1..=255),
    int_option!(IPPROTO_IPV6, IPV6_TCLASS, tos in 0..=255),
    int_option!(IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl in 1..=255),
    int_option!(IPPROTO_IP, IP_FREEBIND, switch free_bind),
    // Packets are never fragmented, by us or on their way.
    int_option!(IPPROTO_IP, IP_MTU_DISCOVER, |_| libc::IP_PMTUDISC_DO, |_, v| {
        within(v, libc::IP_PMTUDISC_DONT, libc::IP_PMTUDISC_OMIT).map(|_| ())
    }),
    int_option!(IPPROTO_IPV6, IPV6_V6ONLY, |_| 0, |_, v| within(v, 0, 0).map(|_| ()).map_err(|_| Errno::NOPROTOOPT)),
];

fn find(level: i32, name: i32) -> Option<&'static IntOption> {
    INT_OPTIONS.iter().find(|o| o.level == level && o.name == name)
}

fn int(value: &[u8]) -> Result<i32, Errno> {
    let first = value.first_chunk::<4>().ok_or(Errno::INVAL)?;
    Ok(i32::from_ne_bytes(*first))
}

/// The 64-bit words of a `struct timeval`, or the 32-bit ones of a `struct linger`.
fn pair<const HALF: usize>(value: &[u8]) -> Result<[i64; 2], Errno> {
    let word = |at: usize| -> Result<i64, Errno> {
        let bytes = value.get(at * HALF..(at + 1) * HALF).ok_or(Errno::INVAL)?;
        match bytes.len() {
            4 => Ok(i64::from(int(bytes)?)),
            _ => Ok(i64::from_ne_bytes(bytes.try_into().map_err(|_| Errno::INVAL)?)),
        }
    };
    Ok([word(0)?, word(1)?])
}

fn timeout(value: &[u8]) -> Result<Option<Duration>, Errno> {
    let [s, us] = pair::<8>(value)?;
    let us = u64::try_from(us).ok().filter(|us| *us < 1_000_000).ok_or(Errno::INVAL)?;
    let d = Duration::from_secs(s.max(0) as u64) + Duration::from_micros(us);
    Ok((!d.is_zero()).then_some(d))
}

/// Bytes per second, in 32 or 64 bits; all ones: no limit.
fn pacing_rate(value: &[u8]) -> Result<Option<u64>, Errno> {
    if let Some(wide) = value.first_chunk::<8>() {
        return Ok(Some(u64::from_ne_bytes(*wide)).filter(|&rate| rate != u64::MAX));
    }
    let narrow = int(value)? as u32;
    Ok((narrow != u32::MAX).then_some(narrow.into()))
}

impl Sockets<'_> {
    pub fn options(&mut self, fd: Fd) -> Result<&Options, Errno> {
        Ok(&self.table.socket(fd)?.options)
    }

    pub fn setsockopt(&mut self, fd: Fd, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        if level == IPPROTO_TCP && matches!(name, libc::TCP_FASTOPEN | libc::TCP_FASTOPEN_CONNECT) {
            self.may_set_fast_open(fd)?;
        }
        if (level, name) == (IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT) && !self.table.base.fast_open.client {
            return Err(Errno::OPNOTSUPP);
        }
        let s = self.table.socket(fd)?;
        match (level, name) {
            (SOL_SOCKET, libc::SO_LINGER) => {
                let [on, seconds] = pair::<4>(value)?;
                s.options.linger = (on != 0).then(|| Duration::from_secs(seconds.max(0) as u64));
            }
            (IPPROTO_TCP, libc::TCP_FASTOPEN_KEY) => s.options.fast_open_keys = Some(fast_open::keys(value)?),
            (IPPROTO_TCP, libc::TCP_QUICKACK) => {
                let on = int(value)? != 0;
                return self.set_quick_acks(fd, on);
            }
            (SOL_SOCKET, libc::SO_TIMESTAMPING) => {
                let bits = int(value)? as u32;
                return self.set_stamps(fd, bits);
            }
            (SOL_SOCKET, libc::SO_RCVTIMEO) => s.options.receive_timeout = timeout(value)?,
            (SOL_SOCKET, libc::SO_SNDTIMEO) => s.options.send_timeout = timeout(value)?,
            (IPPROTO_TCP, libc::TCP_CONGESTION) => {
                let name = value.split(|&b| b == 0).next().unwrap_or(&[]);
                let known = CONGESTION.iter().find(|c| c.0 == name).ok_or(Errno::NOENT)?;
                s.options.congestion = Some(known.1);
            }
            (SOL_SOCKET, libc::SO_MAX_PACING_RATE) => s.options.max_pacing_rate = pacing_rate(value)?,
            _ => {
                let option = find(level, name).ok_or(Errno::NOPROTOOPT)?;
                let value = match (level, value) {
                    // As Linux has it, a byte will do.
                    (IPPROTO_IP, &[byte]) => byte.into(),
                    _ => int(value)?,
                };
                (option.set)(&mut s.options, value)?;
            }
        }
        let pushes = matches!((level, name), (IPPROTO_TCP, libc::TCP_NODELAY | libc::TCP_CORK));
        if pushes {
            self.uncork(fd)?;
        }
        self.apply_options(fd)
    }

    /// Writes the option's value into `out` and returns its length. SO_ERROR is forgotten by being read.
    pub fn getsockopt(&mut self, fd: Fd, level: i32, name: i32, out: &mut [u8]) -> Result<usize, Errno> {
        let base = self.table.base;
        let s = self.table.socket(fd)?;
        let value: Vec<u8> = match (level, name) {
            (SOL_SOCKET, libc::SO_LINGER) => {
                let seconds = s.options.linger.map_or(0, |l| l.as_secs() as i32);
                [i32::from(s.options.linger.is_some()), seconds].iter().flat_map(|v| v.to_ne_bytes()).collect()
            }
            (IPPROTO_TCP, libc::TCP_FASTOPEN_KEY) => {
                fast_open::key_bytes(s.options.fast_open_keys.or(base.fast_open.keys).as_ref())
            }
            (SOL_SOCKET, libc::SO_RCVTIMEO) => timeval(s.options.receive_timeout),
            (SOL_SOCKET, libc::SO_SNDTIMEO) => timeval(s.options.send_timeout),
            (IPPROTO_TCP, libc::TCP_CONGESTION) => {
                let algorithm = s.options.congestion.unwrap_or(base.congestion);
                let name = CONGESTION.iter().find(|c| c.1 == algorithm).map_or(&[][..], |c| c.0);
                let mut padded = name.to_vec();
                padded.resize(CONGESTION_BYTES, 0);
                padded
            }
            (SOL_SOCKET, libc::SO_MAX_PACING_RATE) => {
                let rate = s.options.max_pacing_rate.unwrap_or(u64::MAX);
                match out.len() {
                    8.. => rate.to_ne_bytes().to_vec(),
                    _ => u32::try_from(rate).unwrap_or(u32::MAX).to_ne_bytes().to_vec(),
                }
            }
            // There is nothing to tell about either controller.
            (IPPROTO_TCP, libc::TCP_CC_INFO) => Vec::new(),
            (SOL_SOCKET, libc::SO_MEMINFO) => {
                let conn = s.conn().and_then(|id| self.net.conn(id));
                let (unread, queued) = conn.map_or((0, 0), |c| (c.unread(), c.queued_bytes()));
                let receive = s.options.receive_buffer_bytes.unwrap_or(base.receive_buffer_bytes);
                info::memory(unread, receive, queued, s.options.send_buffer_bytes)
            }
            (IPPROTO_TCP, libc::TCP_INFO) => {
                let conn = s.conn().and_then(|id| self.net.conn(id)).and_then(|c| c.info());
                let conn = conn.or_else(|| s.leftover.info.as_deref().copied());
                let streams = info::Streams { starts: s.starts, now: self.net.now() };
                info::encode(conn.as_ref(), &streams, matches!(s.role, Role::Listening { .. })).to_vec()
            }
            (SOL_SOCKET, libc::SO_ERROR) => {
                let soft = |id| self.net.conn(id).and_then(|mut c| c.take_soft_error()).and_then(errno);
                let error = s.error.take().or_else(|| s.conn().and_then(soft));
                error.map_or(0, |e| e.0).to_ne_bytes().to_vec()
            }
            _ => {
                let conn = s.conn().and_then(|id| self.net.conn(id)).and_then(|c| c.info());
                plain(s, level, name, conn.as_ref(), &base)?.to_ne_bytes().to_vec()
            }
        };
        let n = value.len().min(out.len());
        out[..n].copy_from_slice(&value[..n]);
        Ok(n)
    }

    /// Carries the options over to the connection, or to those that the listener will accept.
    pub(super) fn apply_options(&mut self, fd: Fd) -> Result<(), Errno> {
        let base = self.table.base;
        let s = self.table.socket(fd)?;
        let config = s.options.config(&base);
        let differs = config != TcpConfig { nodelay: config.nodelay, ..base };
        match s.role {
            Role::Listening { .. } => {
                let port = s.bound.map_or(0, |(_, port)| port);
                self.net.listen(port, differs.then_some(&config));
            }
            Role::Opening(id, _) | Role::Open(id) => {
                let (nodelay, congestion) = (s.options.nodelay, config.congestion);
                let Some(mut conn) = self.net.conn(id) else { return Ok(()) };
                conn.set_nodelay(nodelay);
                conn.set_congestion(congestion);
                if differs || conn.config() != base {
                    conn.tune(&config);
                }
            }
            Role::Fresh | Role::Deferred(..) | Role::Ended => {}
        }
        Ok(())
    }
}

/// An option that is one `int`.
fn plain(s: &Socket, level: i32, name: i32, conn: Option<&ConnInfo>, base: &TcpConfig) -> Result<i32, Errno> {
    Ok(match (level, name) {
        (SOL_SOCKET, libc::SO_TYPE) => libc::SOCK_STREAM,
        (SOL_SOCKET, libc::SO_PROTOCOL) => IPPROTO_TCP,
        (SOL_SOCKET, libc::SO_DOMAIN) => [libc::AF_INET, libc::AF_INET6][usize::from(s.v6)],
        (SOL_SOCKET, libc::SO_ACCEPTCONN) => matches!(s.role, Role::Listening { .. }).into(),
        (SOL_SOCKET, libc::SO_RCVBUF) => {
            let asked = s.options.receive_buffer_bytes.unwrap_or(base.receive_buffer_bytes);
            conn.map_or(asked, |c| c.receive_buffer_bytes).min(BUFFER_MAX as u32) as i32 * 2
        }
        (IPPROTO_TCP, libc::TCP_MAXSEG) => match (conn, s.options.mss) {
            (Some(conn), _) => conn.mss.into(),
            (None, 0) => DEFAULT_MSS,
            (None, mss) => mss.into(),
        },
        (IPPROTO_IP, libc::IP_TOS) | (IPPROTO_IPV6, libc::IPV6_TCLASS) => s.options.config(base).ip.diffserv.into(),
        (IPPROTO_IP, libc::IP_TTL) | (IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS) => {
            s.options.config(base).ip.hop_limit.into()
        }
        (SOL_SOCKET, libc::SO_TIMESTAMPING) => s.stamps.bits() as i32,
        (IPPROTO_TCP, libc::TCP_SYNCNT) if s.options.syn_retries == 0 => base.syn_retries.into(),
        _ => (find(level, name).ok_or(Errno::NOPROTOOPT)?.get)(&s.options),
    })
}

fn timeval(d: Option<Duration>) -> Vec<u8> {
    let d = d.unwrap_or_default();
    [d.as_secs() as i64, i64::from(d.subsec_micros())].iter().flat_map(|v| v.to_ne_bytes()).collect()
}
