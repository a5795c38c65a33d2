//! TCP Fast Open (RFC 7413): what a cookie is, and what a client remembers of servers.
//!
//! A cookie is a keyed hash of both addresses, made as Linux makes it, so that servers of both kinds can share a key.
//! Keys that nobody has set are drawn from the shard's secret and change every 2.4 hours; the one before is good for as
//! long again.

use crate::base::Instant;
use crate::base::hash::{SipKey, siphash13, siphash24};
use crate::wire::{Addr, FastOpenCookie};
use core::time::Duration;
use std::collections::{HashMap, VecDeque};

/// From nanoseconds to the periods of a key: 2^43 ns are 2.4 hours.
const PERIOD_SHIFT: u32 = 43;
/// Pairs of addresses that a client remembers.
const CACHE_LIMIT: usize = 65_536;
/// Of the data in a SYN: what TCP options can take.
const OPTION_BYTES_MAX: u16 = 40;
/// Failures after which a path is left alone, and for how long after the first of these; it doubles each time.
const FAILURES_MAX: u8 = 1;
const LEFT_ALONE: Duration = Duration::from_secs(120);
const LEFT_ALONE_SHIFT_MAX: u32 = 10;

/// Switches of Fast Open; by default it is off.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FastOpen {
    /// Connections that ask for it ([`connect_fast`](crate::shard::Net::connect_fast)) may send data with their SYN.
    pub client: bool,
    /// As a client, send data without a cookie: only where the server is known not to need one.
    pub client_without_cookie: bool,
    /// Connections of a listening port whose SYN brought data and whose handshake is not complete, at most. Beyond that
    /// SYNs are answered as ever. 0: all are.
    pub server_pending_max: u32,
    /// As a server, take data without a cookie: only where nobody can forge addresses.
    pub server_without_cookie: bool,
    /// `None`: the shard's own.
    pub keys: Option<FastOpenKeys>,
}

/// The key that cookies are made with, and one with which they were made before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FastOpenKeys {
    pub primary: [u8; 16],
    pub backup: Option<[u8; 16]>,
}

fn sip_key(bytes: &[u8; 16]) -> SipKey {
    let word = |at: usize| bytes.iter().skip(at).take(8).rev().fold(0, |w, b| w << 8 | u64::from(*b));
    SipKey { k0: word(0), k1: word(8) }
}

/// What a SYN brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Brought {
    Good,
    /// Made with the key before this one: the client needs a new one.
    Old,
    /// None, or one that is wrong.
    Nothing,
}

/// Makes cookies and knows them again.
#[derive(Debug)]
pub struct CookieBaker {
    secret: SipKey,
}

impl CookieBaker {
    pub fn new(secret: [u64; 2]) -> CookieBaker {
        CookieBaker { secret: SipKey { k0: secret[0], k1: secret[1] } }
    }

    /// The keys of now: the present one, and the one before.
    fn keys(&self, config: &FastOpen, now: Instant) -> (SipKey, Option<SipKey>) {
        if let Some(keys) = &config.keys {
            return (sip_key(&keys.primary), keys.backup.as_ref().map(sip_key));
        }
        let period = now.as_nanos() >> PERIOD_SHIFT;
        let key = |n: u64| SipKey { k0: siphash13(self.secret, [n, 0, 0]), k1: siphash13(self.secret, [n, 1, 0]) };
        (key(period), Some(key(period.wrapping_sub(1))))
    }

    pub fn bake(&self, config: &FastOpen, client: &Addr, server: &Addr, now: Instant) -> [u8; 8] {
        cookie(self.keys(config, now).0, client, server)
    }

    pub fn judge(&self, config: &FastOpen, brought: &[u8], client: &Addr, server: &Addr, now: Instant) -> Brought {
        let (primary, backup) = self.keys(config, now);
        if brought == cookie(primary, client, server) {
            Brought::Good
        } else if backup.is_some_and(|key| brought == cookie(key, client, server)) {
            Brought::Old
        } else {
            Brought::Nothing
        }
    }
}

fn cookie(key: SipKey, client: &Addr, server: &Addr) -> [u8; 8] {
    let hash = if client.is_v4() {
        let [low, high] = [client, server].map(|addr| u64::from(u32::from_le_bytes(addr.v4_bytes())));
        siphash24(key, &[low | high << 32])
    } else {
        let word = |addr: &Addr, at: usize| addr.0.as_chunks::<8>().0.get(at).map_or(0, |w| u64::from_le_bytes(*w));
        siphash24(key, &[word(client, 0), word(client, 1), word(server, 0), word(server, 1)])
    };
    hash.to_le_bytes()
}

/// Which option number to ask with: a server that does not answer the one is asked once with the other.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Tried {
    #[default]
    Nothing,
    Standard,
    Both,
}

/// What is known of the way between two addresses.
#[derive(Clone, Copy, Default, Debug)]
struct Known {
    cookie: Option<FastOpenCookie>,
    /// The server's.
    mss: Option<u16>,
    tried: Tried,
    failures: u8,
    left_alone_until: Instant,
}

/// What a SYN may carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opening {
    /// A cookie, the request for one, or nothing.
    pub option: Option<FastOpenCookie>,
    /// Bytes of data; 0: none.
    pub room: u16,
}

/// How the server answered the SYN of an [`Opening`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    pub cookie: Option<FastOpenCookie>,
    pub mss: Option<u16>,
    /// The SYN carried data; all of them were acknowledged.
    pub had_data: bool,
    pub acknowledged: bool,
    /// The SYN was sent again, without data and option.
    pub was_repeated: bool,
}

/// A client's memory: cookies, and paths on which SYNs with data get lost.
#[derive(Default, Debug)]
pub struct CookieCache {
    known: HashMap<(Addr, Addr), Known>,
    /// In the order in which they came, for the limit.
    order: VecDeque<(Addr, Addr)>,
}

impl CookieCache {
    /// What the SYN from `client` to `server` may carry now, `mss` being our own. `None`: nothing at all.
    pub fn opening(&self, config: &FastOpen, client: Addr, server: Addr, mss: u16, now: Instant) -> Option<Opening> {
        let known = self.known.get(&(client, server)).copied().unwrap_or_default();
        if !config.client || (known.failures > FAILURES_MAX && now < known.left_alone_until) {
            return None;
        }
        let room = known.mss.unwrap_or(mss).min(mss).saturating_sub(OPTION_BYTES_MAX);
        if config.client_without_cookie {
            return Some(Opening { option: None, room });
        }
        let request = FastOpenCookie::request(known.tried == Tried::Standard);
        Some(match known.cookie {
            Some(cookie) => Opening { option: Some(cookie), room },
            None => Opening { option: Some(request), room: 0 },
        })
    }

    /// The handshake that `opening` began is complete.
    pub fn learn(&mut self, client: Addr, server: Addr, opening: &Opening, answer: &Answer, now: Instant) {
        let known = self.entry(client, server);
        known.mss = answer.mss.or(known.mss);
        let granted = answer.cookie.filter(|c| !c.is_request() && opening.option.is_some());
        known.cookie = granted.or(known.cookie);
        if granted.is_some() || answer.acknowledged {
            known.failures = 0;
        } else if answer.was_repeated && answer.had_data {
            fail(known, now);
        }
        let asked_in_vain = granted.is_none() && !answer.was_repeated && !answer.had_data;
        if let Some(option) = opening.option.filter(|o| asked_in_vain && o.is_request()) {
            known.tried = if option.experimental { Tried::Both } else { known.tried.max_standard() };
        }
    }

    /// Not one of the SYNs was answered.
    pub fn unanswered(&mut self, client: Addr, server: Addr, now: Instant) {
        fail(self.entry(client, server), now);
    }

    fn entry(&mut self, client: Addr, server: Addr) -> &mut Known {
        let pair = (client, server);
        if !self.known.contains_key(&pair) {
            if self.order.len() >= CACHE_LIMIT
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.order.push_back(pair);
        }
        self.known.entry(pair).or_default()
    }
}

impl Tried {
    fn max_standard(self) -> Tried {
        if self == Tried::Nothing { Tried::Standard } else { Tried::Both }
    }
}

fn fail(known: &mut Known, now: Instant) {
    known.failures = known.failures.saturating_add(1);
    let doublings = u32::from(known.failures.saturating_sub(FAILURES_MAX + 1)).min(LEFT_ALONE_SHIFT_MAX);
    known.left_alone_until = now + LEFT_ALONE * (1 << doublings);
}

#[cfg(test)]
#[path = "fast_open_tests.rs"]
mod tests;
