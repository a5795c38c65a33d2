//! How large segments the path takes. They become smaller when a router says so (RFC 1191, RFC 8201), or when full ones are
//! lost again and again without a word (a black hole, RFC 4821 7.7). Later probes find out whether larger ones get through
//! again (RFC 4821 7.3, RFC 8899): one segment of a larger size, with a few of the ordinary size behind it, so that its
//! loss shows at once. A probe that is lost says nothing about congestion; what was sent since goes out anew.
//!
//! Probes need records of what is under way, and so SACK: without it a connection stays with the smaller size.

use super::acked::{Progress, after_detection};
use super::records::Chunks;
use super::{Block, Phase, rewind};
use crate::base::time::{Tick, ticks_for_nanos};
use crate::base::{Counters, Event};
use crate::tcp::State;
use crate::tcp::env::{Clock, Common, Env};
use crate::tcp::options::TIMESTAMP_BYTES;
use crate::tcp::tcb::{NONE, Tcb, flag};
use crate::wire::Seq;

/// The least that is believed of an IPv4 path, and what every IPv6 path carries (RFC 8200 section 5).
const FLOOR_V4: u32 = 552;
const FLOOR_V6: u32 = 1_280;
/// What most IPv4 paths carry, however many tunnels they go through (RFC 8899 5.1.2).
const BASE_V4: u32 = 1_200;
/// Sizes of IPv4 paths (RFC 1191 section 7), for routers that do not tell theirs.
const PLATEAUS: [u32; 9] = [65_535, 32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, FLOOR_V4];
/// Time-outs in a row after which full segments are suspected of being too large, and then even those of `BASE_V4`.
const SUSPICIOUS: u8 = 3;
const VERY_SUSPICIOUS: u8 = 6;
/// The search ends when no more than so many bytes can be gained.
const PRECISION: u16 = 32;
/// Segments behind a probe: as many must be there to be sent, and no more may be.
const BEHIND_MIN: u32 = 4;
const BEHIND_MAX: u32 = 8;
/// From one probe to the next after a failure, and until a search that has ended begins anew (RFC 1191 6.3).
const PAUSE_TICKS: u32 = ticks_for_nanos(1_000_000_000);
pub(super) const REST_TICKS: u32 = ticks_for_nanos(600_000_000_000);

/// What is known of a path that turned out to be narrower than both ends had hoped.
#[derive(Clone, Copy, Default, Debug)]
pub struct PathMtu {
    /// What the ends agreed on; 0: nothing has shown that the path takes less.
    ceiling: u16,
    /// Segments of this size and beyond do not get through.
    too_big: u16,
    /// Size of the next probe, and when it may be sent.
    next: u16,
    next_at: Tick,
    /// The probe that is under way: its number, and the one after it.
    probe: Option<(Seq, Seq)>,
}

impl PathMtu {
    pub fn is_plain(&self) -> bool {
        self.ceiling == 0
    }

    /// What the ends agreed on, where the path turned out to take less.
    pub fn ceiling(&self) -> Option<u16> {
        (self.ceiling > 0).then_some(self.ceiling)
    }

    pub fn is_probing(&self) -> bool {
        self.probe.is_some()
    }

    pub fn sent(&mut self, start: Seq, end: Seq) {
        self.probe = Some((start, end));
    }

    /// The probe is the first of what is under way.
    pub fn is_first(&self, una: Seq) -> bool {
        self.probe.is_some_and(|(start, _)| start == una)
    }

    pub fn forget_probe(&mut self) {
        self.probe = None;
    }

    /// Bytes that may follow a probe.
    pub fn room_behind(&self, nxt: Seq, mss: u16) -> u32 {
        self.probe.map_or(u32::MAX, |(_, end)| (BEHIND_MAX * u32::from(mss)).saturating_sub(nxt.since(end)))
    }

    /// Chooses the next size to try, halfway between what is known to get through and what is known not to.
    fn aim(&mut self, mss: u16, clock: &Clock) {
        let gap = self.too_big.saturating_sub(mss);
        let wait = if gap > PRECISION {
            self.next = mss + gap / 2;
            PAUSE_TICKS
        } else {
            (self.too_big, self.next) = (self.ceiling.saturating_add(1), self.ceiling);
            REST_TICKS
        };
        self.next_at = clock.tick.plus(wait);
    }
}

/// Headers of a segment with data.
fn header_bytes(t: &Tcb) -> u32 {
    let options = if t.has(flag::TIMESTAMPS) { u32::from(TIMESTAMP_BYTES) } else { 0 };
    options + if t.key.remote.is_v4() { 40 } else { 60 }
}

fn mss_for(t: &Tcb, mtu: u32) -> u16 {
    mtu.saturating_sub(header_bytes(t)).min(u32::from(u16::MAX)) as u16
}

/// A router says that a datagram of `datagram_len` bytes was too big for a link of `mtu` bytes (0: it does not say of how
/// many). True: the connection has to send again.
pub fn too_big(t: &mut Tcb, seq: Seq, mtu: u32, datagram_len: u16, env: &mut Env<'_>) -> bool {
    let v4 = t.key.remote.is_v4();
    let probe = env.recovery.get(t.recovery).filter(|b| b.path.probe.is_some_and(|(start, _)| start == seq));
    let sent = probe.map_or(t.mss, |b| b.path.next);
    let mtu = match mtu {
        0 if v4 => {
            // Some tell the length in a byte order of their own; it was no longer than what we send.
            let len = u32::from(datagram_len).min(u32::from(sent) + header_bytes(t));
            PLATEAUS.into_iter().find(|&p| p < len).unwrap_or(FLOOR_V4)
        }
        _ if v4 => mtu.max(FLOOR_V4),
        // RFC 8201 section 4: a link that carries less than every link must is a lie.
        _ if mtu < FLOOR_V6 => return false,
        _ => mtu,
    };
    let mss = mss_for(t, mtu);
    if mss >= sent {
        return false;
    }
    let now = env.clock.now;
    env.recovery.paths.learn(t.key.remote, mtu, now);
    if !t.state().is_synchronized() {
        t.mss = mss;
        // Only a SYN with data can be what was too big: it goes out again at once, without them. Otherwise it is the
        // handshake's outcome that has to mind the path.
        let had_data = t.state() == State::SynSent && t.flight() > 1;
        if had_data {
            t.snd_nxt = t.snd_una;
            t.clear(flag::RTT_TIMING);
        }
        return had_data;
    }
    narrow(t, mss, true, env);
    true
}

/// The connection has just become established: what another one to the same place was told of the path counts for it too.
#[inline(always)]
pub fn inherit(t: &mut Tcb, env: &mut Env<'_>) {
    if !env.recovery.paths.is_empty() {
        inherit_from(t, env);
    }
}

#[cold]
fn inherit_from(t: &mut Tcb, env: &mut Env<'_>) {
    let now = env.clock.now;
    let Some(mtu) = env.recovery.paths.mtu(&t.key.remote, now) else { return };
    let mss = mss_for(t, mtu);
    // Data behind the SYN,ACK are under way already: a router will tell of them.
    if mss < t.mss && !t.is_outstanding() {
        shrink(t, mss, true, env);
        if t.recovery != NONE {
            t.rest(env.clock.tick.plus(REST_TICKS));
        }
    }
}

/// From now on segments have `mss` bytes, and nothing that is under way counts as sent. `is_told`: by somebody who knows.
fn narrow(t: &mut Tcb, mss: u16, is_told: bool, env: &mut Env<'_>) {
    shrink(t, mss, is_told, env);
    env.recovery.go_back(t);
    env.counters.event(Event::PathNarrowed);
}

fn shrink(t: &mut Tcb, mss: u16, is_told: bool, env: &mut Env<'_>) {
    if t.recovery == NONE && t.has(flag::SACK) {
        // Without a block to remember what was, the size stays.
        env.open_recovery(t);
    }
    let Common { clock, recovery, .. } = &mut *env.common;
    if let Some((b, _)) = recovery.parts(t.recovery).filter(|_| t.has(flag::SACK)) {
        let path = &mut b.path;
        path.ceiling = path.ceiling.max(t.mss);
        if is_told {
            path.too_big = mss + 1;
            path.aim(mss, clock);
        } else {
            (path.too_big, path.next, path.next_at) = (path.ceiling.saturating_add(1), path.ceiling, clock.tick);
        }
    }
    t.mss = mss;
}

/// A time-out of more than the path takes, as another connection to the same place was told since this one has opened (RFC
/// 8201 5.2): routers do not tell each of many. False: nobody was.
pub fn share(t: &mut Tcb, env: &mut Env<'_>) -> bool {
    let now = env.clock.now;
    let Some(mtu) = env.recovery.paths.mtu(&t.key.remote, now) else { return false };
    let mss = mss_for(t, mtu);
    // Whoever has learnt something of the path by itself knows better.
    let is_plain = env.recovery.get(t.recovery).is_none_or(|b| b.path.is_plain());
    let is_news = is_plain && mss < t.mss && t.flight() > u32::from(mss);
    if is_news {
        narrow(t, mss, true, env);
    }
    is_news
}

/// The retransmission timer has run out, and what that means for recovery is done.
pub fn on_timeout(t: &mut Tcb, env: &mut Env<'_>) {
    if share(t, env) {
        t.cwnd = u32::from(t.mss);
        return;
    }
    let Common { clock, recovery, .. } = &mut *env.common;
    if let Some((b, chunks)) = recovery.parts(t.recovery)
        && b.path.is_probing()
    {
        let is_first = b.path.is_first(t.snd_una);
        return give_up(t, b, chunks, is_first, clock);
    }
    let mtu = match (t.key.remote.is_v4(), t.retries) {
        (true, SUSPICIOUS) => BASE_V4,
        (true, VERY_SUSPICIOUS) => FLOOR_V4,
        (false, SUSPICIOUS) => FLOOR_V6,
        _ => return,
    };
    let mss = mss_for(t, mtu);
    if mss < t.mss && t.flight() >= u32::from(t.mss) {
        narrow(t, mss, false, env);
        t.cwnd = u32::from(mss);
    }
}

/// The size of the next segment of new data: larger than the others if it is to be a probe.
#[inline]
pub fn size_of_next(t: &Tcb, waiting: u32, env: &Env<'_>) -> u32 {
    let mss = u32::from(t.mss);
    let Some(b) = env.recovery.get(t.recovery).filter(|b| !b.path.is_plain()) else { return mss };
    let size = u32::from(b.path.next);
    let is_due = b.path.next_at.is_due(env.clock.tick) && !b.path.is_probing() && t.snd_nxt == t.snd_max;
    // A tail loss probe asks for one thing only.
    let is_calm = b.phase == Phase::Open && b.is_tracking && !b.board.has_lost() && !b.is_forced;
    // ACKs will make room for all of them, one after the other.
    let fits = waiting.min(t.cwnd).min(t.snd_wnd) >= size + BEHIND_MIN * mss;
    if is_due && is_calm && fits { size } else { mss }
}

/// SND.UNA has moved: a probe that was never taken for lost and lies below it got through.
pub fn on_ack(t: &mut Tcb, b: &mut Block, clock: &Clock, counters: &mut Counters) {
    if b.path.probe.is_none_or(|(_, end)| t.snd_una.before(end)) {
        return;
    }
    b.path.forget_probe();
    t.mss = b.path.next;
    t.cwnd = t.cwnd.max(u32::from(t.mss));
    counters.event(Event::PathWidened);
    if t.mss == b.path.ceiling {
        b.path = PathMtu::default();
    } else {
        b.path.aim(t.mss, clock);
        b.path.next_at = clock.tick;
    }
}

/// Something is lost while a probe is under way, which ends with that. False: no probe is.
pub fn on_loss(t: &mut Tcb, b: &mut Block, chunks: &mut Chunks, clock: &Clock, counters: &mut Counters) -> bool {
    let Some((start, end)) = b.path.probe.filter(|_| b.board.has_lost()) else { return false };
    let is_alone = t.snd_una == start && b.board.lost_bytes() == end.since(start);
    if !is_alone {
        after_detection(t, b, Progress::default(), counters);
    }
    give_up(t, b, chunks, is_alone, clock);
    true
}

/// A probe did not get through (`is_certain`: that was its size), and everything from the first unacknowledged byte on is
/// sent anew.
pub fn give_up(t: &mut Tcb, b: &mut Block, chunks: &mut Chunks, is_certain: bool, clock: &Clock) {
    if is_certain {
        b.path.too_big = b.path.next;
        b.path.aim(t.mss, clock);
    } else {
        b.path.next_at = clock.tick.plus(PAUSE_TICKS);
    }
    rewind(t, b, chunks);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Instant;
    use crate::tcp::recovery::Pool;
    use crate::tcp::{ChallengeLimiter, State, TcpConfig, Times};
    use crate::wire::Addr;

    /// The segment size after a router's word about a segment of 1460 bytes (IPv6: 1440) that is under way.
    fn after(remote: Addr, mtu: u32, datagram_len: u16) -> u16 {
        let config = TcpConfig::default();
        let mut common = Common {
            clock: Clock::at(Instant::from_nanos(1 << 40)),
            counters: Counters::default(),
            challenge: ChallengeLimiter::new(1, 1),
            recovery: Pool::new(1, 64),
        };
        let mut env = Env { config: &config, times: &Times::new(&config), common: &mut common };
        let mss = if remote.is_v4() { 1460 } else { 1440 };
        let mut t = Tcb { mss, snd_max: Seq(1000), snd_nxt: Seq(1000), snd_end: Seq(1000), ..Tcb::default() };
        t.key.remote = remote;
        t.write_state(State::Established);
        let again = too_big(&mut t, Seq(0), mtu, datagram_len, &mut env);
        assert_eq!(again, t.mss < mss, "{mtu}");
        assert_eq!(again, t.snd_nxt == Seq(0), "{mtu}");
        t.mss
    }

    #[test]
    fn sizes_follow_what_routers_say_within_reason() {
        let (v4, v6) = (Addr::v4([198, 18, 0, 2]), Addr([0x20; 16]));
        let table = [
            (v4, 1400, 1500, 1360),
            // No less than the least.
            (v4, 68, 1500, 512),
            (v4, 1, 1500, 512),
            // Not told: the next plateau below what was sent, whatever is quoted.
            (v4, 0, 1500, 1452),
            (v4, 0, 1400, 966),
            (v4, 0, 65_535, 1452),
            (v4, 0, 700, 512),
            // No news.
            (v4, 1500, 1500, 1460),
            (v4, 9_000, 1500, 1460),
            (v6, 1400, 1500, 1340),
            (v6, 1280, 1500, 1220),
            // RFC 8201: to be discarded.
            (v6, 1279, 1500, 1440),
            (v6, 0, 1500, 1440),
        ];
        for (remote, mtu, datagram_len, mss) in table {
            assert_eq!(after(remote, mtu, datagram_len), mss, "{remote} {mtu} {datagram_len}");
        }
    }
}
