//! SYN cookies (RFC 4987 3.6): while strangers' SYNs threaten to fill the half-open table, the answer to a SYN itself
//! carries what a record would hold, and nothing is kept.
//!
//! The initial sequence number is
//!
//! ```text
//!    31                  20 19                4    3    2   0
//!   | seal of the handshake | seal of the IRS | count | MSS |   plus a keyed hash of the 4-tuple
//! ```
//!
//! The seals are keyed hashes of 4-tuple, options and count, the second of the peer's initial number as well. A later
//! segment of the peer, come before the one that completes the handshake, has the first right and the second
//! wrong: it is dropped, not reset, and the peer sends both again.
//!
//! `count` is a clock of 69 s whose last bit is carried: a cookie is taken in the count in which it was baked and in
//! the next. MSS is the index of the largest entry of a table that is not above what the peer can take. Window
//! scale and SACK-permitted travel in the low five bits of our timestamp, which the peer echoes: the timestamp goes
//! back by less than 34 ms for it, so those that follow are never below. Without timestamps both are given up.
//! Our own shift count is only sealed: it is one of the few that went out with cookies.
//!
//! Of 2^32 guesses 16 are right at a time, for each of them. Given up as well: the peer's window until its ACK tells it, the round-trip
//! time of the handshake, and the repetition of a lost SYN,ACK (the peer repeats its SYN).

use super::env::Clock;
use super::options::{self, TIMESTAMP_BYTES};
use super::{SynCookies, TcpConfig};
use crate::base::hash::{SipKey, siphash13};
use crate::base::{DropReason, Instant};
use crate::table::FlowKey;
use crate::wire::{Seq, TcpOptions, TcpSegment};

/// What MSS a cookie can carry; one more value stands for our own.
const MSS_TABLE: [u16; 7] = [48, 536, 1220, 1360, 1400, 1440, 1460];
const OWN_MSS: u32 = MSS_TABLE.len() as u32;
const MSS_BITS: u32 = 3;
const COUNT_BIT: u32 = 1 << MSS_BITS;
const IRS_SHIFT: u32 = MSS_BITS + 1;
const HANDSHAKE_SHIFT: u32 = IRS_SHIFT + 16;
/// From nanoseconds to the count: 2^36 ns are 69 s.
const COUNT_SHIFT: u32 = 36;
/// Where our own shift count stands in what is sealed.
const SCALE_SHIFT: u32 = 12;
/// In the timestamp: the window scale in four bits, or 15 for none, and above it SACK-permitted.
const NOTE_MASK: u32 = 31;
const NO_SCALE: u32 = 15;
const SACK_NOTE: u32 = 16;

/// Bakes cookies and knows them again, and decides when.
#[derive(Debug)]
pub struct CookieJar {
    key: SipKey,
    when: SynCookies,
    /// The half-open table was nearly full and has not emptied since.
    pressed: bool,
    /// The count in which a cookie was baked last.
    last: Option<u64>,
    /// The shift counts that went out with cookies since they were last needed, as a set: mostly one, and another when the
    /// listener's buffer is changed meanwhile.
    scales: u16,
}

/// The answer to a SYN.
#[derive(Clone, Copy, Debug)]
pub struct Cookie {
    pub iss: Seq,
    /// Our timestamp, before the connection's offset.
    pub ts: u32,
    /// The SYN's options, as far as they are remembered.
    pub options: TcpOptions,
}

impl CookieJar {
    pub fn new(secret: [u64; 2], when: SynCookies) -> CookieJar {
        CookieJar { key: SipKey { k0: secret[0], k1: secret[1] }, when, pressed: false, last: None, scales: 0 }
    }

    /// Whether the next SYN gets a cookie, with `half_open` records held of at most `limit`. The last quarter of the
    /// table is left to those whose SYN a cookie cannot answer (RFC 6191).
    pub fn wanted(&mut self, half_open: u32, limit: u32) -> bool {
        self.pressed = half_open >= limit - limit / 4 || (self.pressed && half_open > limit / 2);
        match self.when {
            SynCookies::Off => false,
            SynCookies::Auto => self.pressed,
            SynCookies::Always => true,
        }
    }

    /// Cookies may be baked when there is room for nothing else.
    pub fn allowed(&self) -> bool {
        self.when != SynCookies::Off
    }

    /// Some cookie may still come back.
    #[inline]
    pub fn are_out(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| count_at(now).saturating_sub(last) <= 1)
    }

    /// The answer to `syn`.
    pub fn bake(&mut self, key: &FlowKey, syn: &TcpSegment, own_mss: u16, config: &TcpConfig, clock: &Clock) -> Cookie {
        let options = portable(config, &syn.options);
        let agreed = options::agree(config, options::own_scale(config), own_mss, key.remote.is_v4(), &options);
        let mss = agreed.mss + if agreed.timestamps { TIMESTAMP_BYTES } else { 0 };
        let notes = options.timestamp.map(|_| {
            let scale = options.window_scale.map_or(NO_SCALE, |s| u32::from(s.min(14)));
            scale | if options.sack_permitted { SACK_NOTE } else { 0 }
        });
        let count = count_at(clock.now);
        let own_scale = agreed.scales & 15;
        if !self.are_out(clock.now) {
            self.scales = 0;
        }
        if is_scaled(notes) {
            self.scales |= 1 << own_scale;
        }
        self.last = Some(count);
        let tuple = siphash13(self.key, key.words());
        let low = mss_index(mss, own_mss) | if count & 1 == 1 { COUNT_BIT } else { 0 };
        let said = Said { notes, own_scale, count, low };
        let iss = mask(tuple) + self.seal(tuple, syn.seq, &said);
        Cookie { iss, ts: notes.map_or(clock.ts, |n| annotated(clock.ts, n)), options }
    }

    /// What the SYN must have said to which `ack` is the third segment, and the shift count that the answer announced.
    ///
    /// # Errors
    /// `CookieAhead`: the cookie is good, but a segment before this one is missing. `CookieBad`: it is none, or too old.
    pub fn redeem(
        &self,
        key: &FlowKey,
        ack: &TcpSegment,
        ts_offset: u32,
        own_mss: u16,
        config: &TcpConfig,
        clock: &Clock,
    ) -> Result<(TcpOptions, u8), DropReason> {
        let timestamp = ack.options.timestamp.filter(|_| config.timestamps);
        let notes = timestamp.map(|(_, echo)| echo.wrapping_sub(ts_offset) & NOTE_MASK);
        let tuple = siphash13(self.key, key.words());
        let brought = (ack.ack - 1).since(mask(tuple));
        let low = brought & (COUNT_BIT | (COUNT_BIT - 1));
        let now = count_at(clock.now);
        let baked_before = (low & COUNT_BIT != 0) != (now & 1 == 1);
        let count = now.wrapping_sub(u64::from(baked_before));
        let scales = if is_scaled(notes) { self.scales } else { 1 };
        let wrong = |own_scale| brought ^ self.seal(tuple, ack.seq - 1, &Said { notes, own_scale, count, low });
        let sealed = (0..15).filter(|scale| scales & 1 << scale != 0).map(|scale| (scale, wrong(scale)));
        // Of several the one that is right, and not one whose first part looks right by chance.
        let (own_scale, wrong) = sealed.min_by_key(|&(_, wrong)| wrong).ok_or(DropReason::CookieBad)?;
        if wrong >> HANDSHAKE_SHIFT != 0 {
            return Err(DropReason::CookieBad);
        }
        if wrong != 0 {
            return Err(DropReason::CookieAhead);
        }
        let index = low & (COUNT_BIT - 1);
        let scale = notes.map_or(NO_SCALE, |n| n & NO_SCALE);
        let options = TcpOptions {
            mss: Some(MSS_TABLE.get(index as usize).copied().unwrap_or(own_mss)),
            window_scale: (scale != NO_SCALE).then_some(scale as u8),
            sack_permitted: notes.is_some_and(|n| n & SACK_NOTE != 0),
            timestamp,
            ..TcpOptions::default()
        };
        Ok((options, own_scale))
    }

    /// The number whose low bits are `said.low`, not yet hidden.
    fn seal(&self, tuple: u64, irs: Seq, said: &Said) -> u32 {
        let &Said { notes, own_scale, count, low } = said;
        let options = u64::from(notes.map_or(0, |n| n + 1)) << MSS_BITS | u64::from(low & (COUNT_BIT - 1));
        let said = count << 16 | u64::from(own_scale) << SCALE_SHIFT | options;
        let of_handshake = siphash13(self.key, [tuple, said, 0]) as u32;
        let of_irs = siphash13(self.key, [tuple, said, 1 << 32 | u64::from(irs.0)]) as u16;
        of_handshake << HANDSHAKE_SHIFT | u32::from(of_irs) << IRS_SHIFT | low
    }
}

/// What a cookie is about, besides the 4-tuple and the peer's initial number.
struct Said {
    /// In the low bits of the timestamp.
    notes: Option<u32>,
    own_scale: u8,
    count: u64,
    /// In the low bits of the cookie.
    low: u32,
}

/// The SYN that was answered offered window scaling: otherwise our own shift count is 0.
fn is_scaled(notes: Option<u32>) -> bool {
    notes.is_some_and(|n| n & NO_SCALE != NO_SCALE)
}

/// Hides the low bits from others.
fn mask(tuple: u64) -> Seq {
    Seq((tuple >> 32) as u32)
}

fn count_at(now: Instant) -> u64 {
    now.as_nanos() >> COUNT_SHIFT
}

/// A SYN's options as far as a cookie carries them.
fn portable(config: &TcpConfig, offered: &TcpOptions) -> TcpOptions {
    let timestamp = offered.timestamp.filter(|_| config.timestamps);
    let more = timestamp.is_some();
    TcpOptions {
        mss: offered.mss,
        window_scale: offered.window_scale.filter(|_| more),
        sack_permitted: more && config.sack && offered.sack_permitted,
        timestamp,
        ..TcpOptions::default()
    }
}

fn mss_index(mss: u16, own_mss: u16) -> u32 {
    if mss >= own_mss {
        return OWN_MSS;
    }
    MSS_TABLE.iter().rposition(|&entry| entry <= mss).unwrap_or(0) as u32
}

/// The latest timestamp that is not after `ts` and whose low bits are `notes`.
fn annotated(ts: u32, notes: u32) -> u32 {
    ts.wrapping_sub(ts.wrapping_sub(notes) & NOTE_MASK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use crate::wire::{Addr, TcpFlags};

    const OWN: u16 = 1460;
    const OFFSET: u32 = 0xfeed_f00d;

    fn key(port: u16) -> FlowKey {
        let remote = Addr::v4([198, 18, 0, 2]);
        FlowKey { remote, remote_port: port, local_port: 80, local: 0, reserved: 0 }
    }

    fn jar() -> CookieJar {
        CookieJar::new([3, 4], SynCookies::Always)
    }

    fn at(seconds: u64) -> Clock {
        Clock::at(Instant::from_nanos(seconds * 1_000_000_000))
    }

    fn syn(options: TcpOptions) -> TcpSegment {
        TcpSegment { seq: Seq(77), flags: TcpFlags::SYN, options, ..TcpSegment::default() }
    }

    /// The third segment of the handshake that `syn` and `cookie` began.
    fn ack(syn: &TcpSegment, cookie: &Cookie) -> TcpSegment {
        let timestamp = syn.options.timestamp.map(|(val, _)| (val + 1, cookie.ts.wrapping_add(OFFSET)));
        let options = TcpOptions { timestamp, ..TcpOptions::default() };
        TcpSegment { seq: syn.seq + 1, ack: cookie.iss + 1, flags: TcpFlags::ACK, options, ..TcpSegment::default() }
    }

    fn redeem(jar: &CookieJar, ack: &TcpSegment, seconds: u64) -> Result<TcpOptions, DropReason> {
        jar.redeem(&key(1), ack, OFFSET, OWN, &TcpConfig::default(), &at(seconds)).map(|(options, _)| options)
    }

    fn round_trip(offered: TcpOptions) -> Result<TcpOptions, DropReason> {
        let mut jar = jar();
        let syn = syn(offered);
        let cookie = jar.bake(&key(1), &syn, OWN, &TcpConfig::default(), &at(1_000));
        redeem(&jar, &ack(&syn, &cookie), 1_003)
    }

    #[test]
    fn with_timestamps_every_option_comes_back() {
        for scale in (0..=14).map(Some).chain([None]) {
            for sack_permitted in [false, true] {
                let timestamp = Some((5, 0));
                let offered =
                    TcpOptions { mss: Some(1440), window_scale: scale, sack_permitted, timestamp, ..TcpOptions::NONE };
                let back = round_trip(offered).expect("a good cookie");
                assert_eq!((back.mss, back.window_scale), (Some(1440), scale));
                assert_eq!(back.sack_permitted, sack_permitted);
                assert_eq!(back.timestamp.map(|(val, _)| val), Some(6));
            }
        }
    }

    #[test]
    fn without_timestamps_only_the_mss_comes_back() {
        let offered =
            TcpOptions { mss: Some(1460), window_scale: Some(7), sack_permitted: true, ..TcpOptions::default() };
        let back = round_trip(offered).expect("a good cookie");
        assert_eq!(back, TcpOptions { mss: Some(1460), ..TcpOptions::default() });
    }

    #[test]
    fn mss_that_comes_back_is_never_above_and_not_far_below() {
        for mss in 48..=9000u16 {
            let back = round_trip(TcpOptions { mss: Some(mss), ..TcpOptions::default() }).unwrap().mss.unwrap();
            assert!(back <= mss, "{mss} became {back}");
            let share = f64::from(back) / f64::from(mss.min(OWN));
            assert!(mss < 1220 || share > 0.89, "{mss} became {back}");
        }
        let unnamed = round_trip(TcpOptions::default()).unwrap();
        assert_eq!(unnamed.mss, Some(536));
    }

    #[test]
    fn own_mss_comes_back_exactly_whatever_it_is() {
        for own in [1440, 1460, 4056, 8960] {
            let mut jar = jar();
            let syn = syn(TcpOptions { mss: Some(own), ..TcpOptions::default() });
            let cookie = jar.bake(&key(1), &syn, own, &TcpConfig::default(), &at(5));
            let back = jar.redeem(&key(1), &ack(&syn, &cookie), OFFSET, own, &TcpConfig::default(), &at(5));
            assert_eq!(back.unwrap().0.mss, Some(own));
        }
    }

    #[test]
    fn cookie_is_good_for_one_to_two_counts_of_69_seconds() {
        for baked in [1_000, 1_030, 1_060, 1_090] {
            let mut jar = jar();
            let syn = syn(TcpOptions { timestamp: Some((5, 0)), ..TcpOptions::default() });
            let cookie = jar.bake(&key(1), &syn, OWN, &TcpConfig::default(), &at(baked));
            let ack = ack(&syn, &cookie);
            for age in [0, 1, 68] {
                assert!(redeem(&jar, &ack, baked + age).is_ok(), "baked at {baked}, {age} s old");
                assert!(jar.are_out(at(baked + age).now));
            }
            for age in [138, 200, 275, 10_000] {
                assert!(redeem(&jar, &ack, baked + age).is_err(), "baked at {baked}, {age} s old");
                assert!(!jar.are_out(at(baked + age).now));
            }
        }
    }

    #[test]
    fn cookie_of_another_connection_secret_or_number_is_refused() {
        let mut jar = jar();
        let syn = syn(TcpOptions { timestamp: Some((5, 0)), ..TcpOptions::default() });
        let cookie = jar.bake(&key(1), &syn, OWN, &TcpConfig::default(), &at(5));
        let good = ack(&syn, &cookie);
        let config = TcpConfig::default();
        assert!(redeem(&jar, &good, 5).is_ok());
        assert!(jar.redeem(&key(2), &good, OFFSET, OWN, &config, &at(5)).is_err());
        assert!(redeem(&CookieJar::new([3, 5], SynCookies::Always), &good, 5).is_err());
        for bit in 0..32 {
            let mut wrong = good;
            wrong.seq.0 ^= 1 << bit;
            assert!(redeem(&jar, &wrong, 5).is_err(), "bit {bit} of SEQ");
            let mut wrong = good;
            wrong.ack = Seq((good.ack - 1).0 ^ 1 << bit) + 1;
            assert!(redeem(&jar, &wrong, 5).is_err(), "bit {bit} of the cookie");
        }
        // What the timestamp says is covered too, and so is that there is one.
        let mut wrong = good;
        wrong.options.timestamp = good.options.timestamp.map(|(val, echo)| (val, echo ^ 1));
        assert!(redeem(&jar, &wrong, 5).is_err());
        wrong.options.timestamp = None;
        assert!(redeem(&jar, &wrong, 5).is_err());
    }

    #[test]
    fn later_segment_of_the_handshake_is_told_from_a_stranger() {
        let mut jar = jar();
        let syn = syn(TcpOptions { timestamp: Some((5, 0)), ..TcpOptions::default() });
        let cookie = jar.bake(&key(1), &syn, OWN, &TcpConfig::default(), &at(5));
        for ahead in 1..5_000 {
            let mut later = ack(&syn, &cookie);
            later.seq += ahead;
            assert_eq!(redeem(&jar, &later, 6), Err(DropReason::CookieAhead));
            later.ack += 1 << HANDSHAKE_SHIFT;
            assert_eq!(redeem(&jar, &later, 6), Err(DropReason::CookieBad));
        }
    }

    #[test]
    fn own_shift_count_is_that_of_the_answer_whatever_is_configured_since() {
        let mut jar = jar();
        let buffers = [0xffff, 1 << 20, 1 << 24].map(|bytes| TcpConfig::default().with_fixed_receive_buffer(bytes));
        let syn = syn(TcpOptions { timestamp: Some((5, 0)), window_scale: Some(7), ..TcpOptions::default() });
        let cookies = buffers.each_ref().map(|c| jar.bake(&key(1), &syn, OWN, c, &at(5)));
        for (cookie, baked_with) in cookies.iter().zip(&buffers) {
            for config in &buffers {
                let back = jar.redeem(&key(1), &ack(&syn, cookie), OFFSET, OWN, config, &at(6));
                assert_eq!(back.map(|(_, scale)| scale), Ok(options::own_scale(baked_with)));
            }
        }
        // With another count, the first part looks right for one in 4,096.
        for port in 1..=20_000 {
            let cookie = jar.bake(&key(port), &syn, OWN, &buffers[2], &at(5));
            let back = jar.redeem(&key(port), &ack(&syn, &cookie), OFFSET, OWN, &buffers[2], &at(6));
            assert_eq!(back.map(|(_, scale)| scale), Ok(options::own_scale(&buffers[2])));
        }
        // Once no cookie of theirs is out, they count no more.
        jar.bake(&key(2), &syn, OWN, &buffers[0], &at(500));
        assert_eq!(jar.scales, 1);
    }

    #[test]
    fn guessing_hardly_ever_succeeds() {
        let mut jar = jar();
        jar.bake(&key(2), &syn(TcpOptions::default()), OWN, &TcpConfig::default(), &at(5));
        let mut rng = Rng::new(6);
        let guess = |rng: &mut Rng| TcpSegment {
            seq: Seq(rng.next_u32()),
            ack: Seq(rng.next_u32()),
            flags: TcpFlags::ACK,
            ..TcpSegment::default()
        };
        let right = (0..1 << 22).filter(|_| redeem(&jar, &guess(&mut rng), 5).is_ok()).count();
        assert!(right <= 1, "{right} of 4 million; 1 in 268 million is to be expected");
    }

    #[test]
    fn numbers_look_random() {
        let mut jar = jar();
        let mut ones = [0u32; 32];
        for port in 0..4096 {
            let iss = jar.bake(&key(port), &syn(TcpOptions::default()), OWN, &TcpConfig::default(), &at(5)).iss;
            ones.iter_mut().enumerate().for_each(|(bit, n)| *n += iss.0 >> bit & 1);
        }
        assert!(ones.iter().all(|n| (1_800..2_300).contains(n)), "{ones:?}");
    }

    #[test]
    fn annotated_timestamps_lag_by_less_than_32_and_never_go_back() {
        for notes in 0..32 {
            let mut last = annotated(u32::MAX - 100, notes);
            for step in 1..300u32 {
                let ts = (u32::MAX - 100).wrapping_add(step);
                let now = annotated(ts, notes);
                assert_eq!(now & NOTE_MASK, notes);
                assert!(ts.wrapping_sub(now) < 32);
                assert!(now.wrapping_sub(last) as i32 >= 0);
                last = now;
            }
        }
    }

    #[test]
    fn pressure_begins_at_three_quarters_and_ends_at_one_half() {
        let mut jar = CookieJar::new([3, 4], SynCookies::Auto);
        let seen = [0, 74, 75, 100, 60, 51, 50, 60, 74, 75].map(|held| jar.wanted(held, 100));
        assert_eq!(seen, [false, false, true, true, true, true, false, false, false, true]);
        assert!([0, 0, 0].iter().all(|held| jar.wanted(*held, 0)), "a table for none is always full");
        assert_eq!([1, 0, 1].map(|held| jar.wanted(held, 1)), [true, false, true]);
    }

    #[test]
    fn switch_decides_before_pressure() {
        let (mut off, mut always) = (CookieJar::new([3, 4], SynCookies::Off), jar());
        assert!(!off.wanted(100, 100) && !off.allowed());
        assert!(always.wanted(0, 100) && always.allowed());
    }
}
