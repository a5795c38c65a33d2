//! TCP options: RFC 9293 3.2 (MSS), RFC 7323 (window scale, timestamps), RFC 2018 (SACK), RFC 7413 (Fast Open).
//!
//! Every option that the engine sends fits 32-bit words with NOPs in front, in the order in which Linux sends
//! them, so a writer adds words to the header and to its checksum in one go.

use super::checksum::Sum;
use super::emit::OptionsOut;
use super::field::u32_at;
use super::segment::SackBlock;
use super::{FastOpenCookie, Seq, TcpOptions};

/// What timestamps alone take, with their padding.
pub(super) const TIMESTAMP_BYTES: usize = 12;
/// The data offset leaves room for this much.
pub(super) const LEN_MAX: usize = 40;

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMP: u8 = 8;
const FAST_OPEN: u8 = 34;
/// Of RFC 4727, with the number that Fast Open had before it got one of its own.
const EXPERIMENTAL: u8 = 254;
const EXPERIMENTAL_FAST_OPEN: [u8; 2] = [0xf9, 0x89];

/// NOP NOP TIMESTAMP 10, as nearly every segment of a connection with timestamps begins its options.
pub(super) const TIMESTAMP_WORD: u32 = 0x0101_080a;

/// The timestamps of options that are nothing else (in the layout that everyone sends), or no options at all.
/// `None`: other options.
#[inline(always)]
pub(super) fn only_timestamp(bytes: &[u8]) -> Option<Option<(u32, u32)>> {
    match <&[u8; 12]>::try_from(bytes) {
        Ok(h) if u32_at::<0, _>(h) == TIMESTAMP_WORD => Some(Some((u32_at::<4, _>(h), u32_at::<8, _>(h)))),
        _ if bytes.is_empty() => Some(None),
        _ => None,
    }
}

const MSS_WORD: u32 = (MSS as u32) << 24 | 4 << 16;
const PERMITTED_AND_TIMESTAMP: u32 = (SACK_PERMITTED as u32) << 24 | 2 << 16 | (TIMESTAMP_WORD & 0xffff);
const SCALE_WORD: u32 = (NOP as u32) << 24 | (WINDOW_SCALE as u32) << 16 | 3 << 8;

/// The options of a SYN as Linux and this engine lay them out: MSS, SACK-permitted, timestamps, NOP, window scale.
/// `None`: others, or laid out otherwise.
#[inline(always)]
pub(super) fn of_usual_syn(h: &[u8; 20]) -> Option<UsualSyn> {
    let (first, second, last) = (u32_at::<0, _>(h), u32_at::<4, _>(h), u32_at::<16, _>(h));
    let usual = first >> 16 == MSS_WORD >> 16 && second == PERMITTED_AND_TIMESTAMP && last >> 8 == SCALE_WORD >> 8;
    let timestamps = (u32_at::<8, _>(h), u32_at::<12, _>(h));
    usual.then_some(UsualSyn { mss: first as u16, timestamps, window_scale: last as u8 })
}

/// The options of an ordinary SYN, in the layout of Linux: these and SACK-permitted.
#[derive(Clone, Copy, Debug)]
pub struct UsualSyn {
    pub mss: u16,
    /// TSval and TSecr.
    pub timestamps: (u32, u32),
    pub window_scale: u8,
}

impl UsualSyn {
    /// `None`: one is missing, or there are others.
    #[inline(always)]
    pub(super) fn of(options: &TcpOptions) -> Option<UsualSyn> {
        let &TcpOptions { mss, window_scale, sack_permitted, timestamp, sack_len, fast_open, .. } = options;
        let usual = sack_permitted && sack_len == 0 && fast_open.is_none();
        let ((mss, window_scale), timestamps) = (mss.zip(window_scale)?, timestamp?);
        usual.then_some(UsualSyn { mss, timestamps, window_scale })
    }

    #[inline(always)]
    pub fn words(&self) -> [u32; 5] {
        let (value, echo) = self.timestamps;
        let scale = SCALE_WORD | u32::from(self.window_scale);
        [MSS_WORD | u32::from(self.mss), PERMITTED_AND_TIMESTAMP, value, echo, scale]
    }
}

/// Reads any options. MSS, window scale and SACK-permitted count on a SYN only, and are skipped elsewhere. A length that
/// is impossible ends the options, and one that is not that of its kind has the option skipped: neither is a reason
/// to lose the segment (RFC 9293 3.1).
#[inline(never)]
pub(super) fn parse(bytes: &[u8], syn: bool) -> TcpOptions {
    let mut options = TcpOptions::default();
    let mut rest = bytes;
    while let Some((&kind, behind)) = rest.split_first() {
        match kind {
            END => break,
            NOP => rest = behind,
            _ => {
                let Some((body, behind)) = split_body(behind) else { break };
                take(&mut options, kind, body, syn);
                rest = behind;
            }
        }
    }
    options
}

/// What an option says, and what is behind it; `behind_kind` starts with its length.
fn split_body(behind_kind: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = behind_kind.split_first()?;
    rest.split_at_checked(usize::from(len).checked_sub(2)?)
}

/// Takes over one option.
fn take(options: &mut TcpOptions, kind: u8, body: &[u8], syn: bool) {
    match (kind, body) {
        (MSS, &[high, low]) if syn => options.mss = Some(u16::from_be_bytes([high, low])),
        (WINDOW_SCALE, &[shift]) if syn => options.window_scale = Some(shift),
        (SACK_PERMITTED, []) if syn => options.sack_permitted = true,
        (TIMESTAMP, _) => {
            if let Ok(body) = <&[u8; 8]>::try_from(body) {
                options.timestamp = Some((u32_at::<0, _>(body), u32_at::<4, _>(body)));
            }
        }
        (SACK, _) => take_sack(options, body),
        // A cookie of a length that none has is none.
        (FAST_OPEN, _) if syn => options.fast_open = FastOpenCookie::new(body, false).or(options.fast_open),
        (EXPERIMENTAL, _) if syn => {
            if let Some(cookie) = body.strip_prefix(&EXPERIMENTAL_FAST_OPEN) {
                options.fast_open = FastOpenCookie::new(cookie, true).or(options.fast_open);
            }
        }
        _ => {}
    }
}

fn take_sack(options: &mut TcpOptions, body: &[u8]) {
    let (blocks, odd) = body.as_chunks::<8>();
    if !odd.is_empty() {
        return;
    }
    // 40 bytes of options hold at most four blocks, so nothing is cut off here.
    for (to, from) in options.sack.iter_mut().zip(blocks) {
        *to = SackBlock { start: Seq(u32_at::<0, _>(from)), end: Seq(u32_at::<4, _>(from)) };
    }
    options.sack_len = blocks.len().min(options.sack.len()) as u8;
}

/// Bytes that the options in front of SACK take.
#[inline(always)]
fn fixed_len(options: &TcpOptions) -> usize {
    let timestamp_or_permitted = match (options.timestamp, options.sack_permitted) {
        (Some(_), _) => 12,
        (None, true) => 4,
        (None, false) => 0,
    };
    let fast_open = options.fast_open.as_ref().map_or(0, fast_open_len);
    let mss_and_scale = usize::from(options.mss.is_some()) + usize::from(options.window_scale.is_some());
    4 * mss_and_scale + timestamp_or_permitted + fast_open
}

/// Padding included.
fn fast_open_len(cookie: &FastOpenCookie) -> usize {
    let head = if cookie.experimental { 4 } else { 2 };
    (head + cookie.bytes().len()).next_multiple_of(4)
}

/// How many SACK blocks there is room for behind the other options.
#[inline(always)]
fn sack_count(options: &TcpOptions) -> usize {
    (LEN_MAX - 4).saturating_sub(fixed_len(options)) / 8
}

/// Bytes that `options` take in a TCP header, padding included (a multiple of 4, at most 40). SACK blocks that
/// find no room are left out, last first.
#[inline(never)]
pub fn options_len(options: &TcpOptions) -> usize {
    match options.sack_blocks().len().min(sack_count(options)) {
        0 => fixed_len(options),
        blocks => fixed_len(options) + 4 + 8 * blocks,
    }
}

/// Writes options to the front of `out`, and returns the rest and what the options sum up to. `None` if they do not
/// fit.
#[inline(always)]
pub(super) fn write<'a>(out: &'a mut [u8], options: OptionsOut<'_>) -> Option<(&'a mut [u8], Sum)> {
    let mut words = Words { out, sum: Sum::ZERO };
    match options {
        OptionsOut::None => {}
        OptionsOut::Timestamp(val, echo) => words.push([TIMESTAMP_WORD, val, echo])?,
        OptionsOut::Any(options) => words = write_any(words, options)?,
    }
    Some((words.out, words.sum))
}

#[inline(never)]
fn write_any<'a>(mut words: Words<'a>, options: &TcpOptions) -> Option<Words<'a>> {
    if let Some(mss) = options.mss {
        words.push([u32::from(MSS) << 24 | 4 << 16 | u32::from(mss)])?;
    }
    match options.timestamp {
        Some((value, echo)) => {
            let permitted = u32::from(SACK_PERMITTED) << 24 | 2 << 16 | (TIMESTAMP_WORD & 0xffff);
            words.push([if options.sack_permitted { permitted } else { TIMESTAMP_WORD }, value, echo])?;
        }
        None if options.sack_permitted => words.push([0x0101_0000 | u32::from(SACK_PERMITTED) << 8 | 2])?,
        None => {}
    }
    if let Some(shift) = options.window_scale {
        words.push([u32::from(NOP) << 24 | u32::from(WINDOW_SCALE) << 16 | 3 << 8 | u32::from(shift)])?;
    }
    if let Some(cookie) = &options.fast_open {
        words = write_fast_open(words, cookie)?;
    }
    let blocks = options.sack_blocks();
    let blocks = blocks.get(..sack_count(options)).unwrap_or(blocks);
    if !blocks.is_empty() {
        words.push([0x0101_0000 | u32::from(SACK) << 8 | (2 + 8 * blocks.len() as u32)])?;
    }
    for block in blocks {
        words.push([block.start.0, block.end.0])?;
    }
    Some(words)
}

/// Linux puts the padding of this one behind it.
fn write_fast_open<'a>(mut words: Words<'a>, cookie: &FastOpenCookie) -> Option<Words<'a>> {
    let mut bytes = [NOP; 20];
    let len = cookie.bytes().len() as u8;
    let head: &[u8] = match cookie.experimental {
        true => &[EXPERIMENTAL, 4 + len, EXPERIMENTAL_FAST_OPEN[0], EXPERIMENTAL_FAST_OPEN[1]],
        false => &[FAST_OPEN, 2 + len],
    };
    let written = head.iter().chain(cookie.bytes());
    bytes.iter_mut().zip(written).for_each(|(to, from)| *to = *from);
    for word in bytes.as_chunks::<4>().0.iter().take(fast_open_len(cookie) / 4) {
        words.push([u32::from_be_bytes(*word)])?;
    }
    Some(words)
}

/// Words in network order, written and summed.
struct Words<'a> {
    out: &'a mut [u8],
    sum: Sum,
}

impl Words<'_> {
    #[inline(always)]
    fn push<const N: usize>(&mut self, words: [u32; N]) -> Option<()> {
        let (to, rest) = core::mem::take(&mut self.out).split_at_mut_checked(4 * N)?;
        for (to, word) in to.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *to = word.to_be_bytes();
            self.sum = self.sum.u32(word);
        }
        self.out = rest;
        Some(())
    }
}
