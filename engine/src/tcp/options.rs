//! What is agreed in the handshake: MSS, window scale, SACK, timestamps.

use super::TcpConfig;
use crate::wire::TcpOptions;

/// Default MSS when the peer names none (RFC 9293 3.7.1, MUST-15).
const DEFAULT_MSS_V4: u16 = 536;
const DEFAULT_MSS_V6: u16 = 1220;
/// A peer that asks for less gets this much all the same (guards against silly segment floods).
const MIN_MSS: u16 = 48;
/// NOP NOP TS.
pub const TIMESTAMP_BYTES: u16 = 12;

/// Shift count that lets the largest window be offered in 16 bits (RFC 7323 2.2), at most 14.
pub fn own_scale(c: &TcpConfig) -> u8 {
    let window = c.receive_window_max();
    let shift = (u32::BITS - window.leading_zeros()).saturating_sub(16);
    // Sixteen bits at this shift hold all but the last few windows of as many bits.
    let shift = if u64::from(window) > 0xffff_u64 << shift { shift + 1 } else { shift };
    shift.min(14) as u8
}

/// The MSS we announce: what fits into our link's MTU (RFC 9293 3.7.1; options are not counted, RFC 6691).
pub fn own_mss(mtu: u16, v4: bool) -> u16 {
    mtu.saturating_sub(if v4 { 40 } else { 60 }).max(MIN_MSS)
}

/// Options for a SYN.
pub fn for_syn(c: &TcpConfig, own_mss: u16, ts_val: u32) -> TcpOptions {
    TcpOptions {
        mss: Some(own_mss.min(c.mss_max)),
        window_scale: Some(own_scale(c)),
        sack_permitted: c.sack,
        timestamp: c.timestamps.then_some((ts_val, 0)),
        ..Default::default()
    }
}

/// Options for the answer to a SYN: only what that offered may be in it (RFC 7323 2.2 and 3.2, RFC 2018 section 2).
pub fn for_syn_ack(c: &TcpConfig, own_mss: u16, ts_val: u32, offered: &TcpOptions) -> TcpOptions {
    let mut o = for_syn(c, own_mss, ts_val);
    o.timestamp = o.timestamp.and(offered.timestamp).map(|(echo, _)| (ts_val, echo));
    o.sack_permitted &= offered.sack_permitted;
    o.window_scale = o.window_scale.filter(|_| offered.window_scale.is_some());
    o
}

/// What both sides' SYNs together mean.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Agreed {
    pub timestamps: bool,
    pub sack: bool,
    /// Peer's shift in the high nibble, ours in the low one; 0 unless both sent the option.
    pub scales: u8,
    /// Largest payload we may send, timestamps already taken off.
    pub mss: u16,
}

#[inline(always)]
pub fn agree(c: &TcpConfig, own_scale: u8, own_mss: u16, v4: bool, peer: &TcpOptions) -> Agreed {
    let timestamps = c.timestamps && peer.timestamp.is_some();
    let default_mss = if v4 { DEFAULT_MSS_V4 } else { DEFAULT_MSS_V6 };
    let mss = peer.mss.unwrap_or(default_mss).max(MIN_MSS).min(own_mss.min(c.mss_max));
    let scales = match peer.window_scale {
        Some(theirs) => (theirs.min(14) << 4) | own_scale,
        None => 0,
    };
    Agreed {
        timestamps,
        sack: c.sack && peer.sack_permitted,
        scales,
        mss: mss - if timestamps { TIMESTAMP_BYTES } else { 0 },
    }
}

/// The window field for `window` bytes: rounded up, so that the offered edge never moves left by rounding.
#[inline(always)]
pub fn window_field(window: u32, scale: u8) -> u16 {
    let unit = (1u64 << scale) - 1;
    ((u64::from(window) + unit) >> scale).min(0xffff) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shift_lets_the_buffer_be_offered_and_is_never_above_14() {
        for (buffer, shift) in [(0, 0), (65_535, 0), (65_536, 1), (262_144, 3), (1 << 30, 14), (u32::MAX, 14)] {
            let config = TcpConfig::default().with_fixed_receive_buffer(buffer);
            assert_eq!(own_scale(&config), shift, "{buffer} bytes");
        }
    }
}
