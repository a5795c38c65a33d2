//! What a TCP segment says, apart from where it lies in memory.

use super::{Addr, Seq};

/// The flag byte of the TCP header, bit for bit (RFC 9293 3.1; ECE and CWR from RFC 3168).
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
#[repr(transparent)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    pub const FIN: TcpFlags = TcpFlags(0x01);
    pub const SYN: TcpFlags = TcpFlags(0x02);
    pub const RST: TcpFlags = TcpFlags(0x04);
    pub const PSH: TcpFlags = TcpFlags(0x08);
    pub const ACK: TcpFlags = TcpFlags(0x10);
    pub const URG: TcpFlags = TcpFlags(0x20);
    pub const ECE: TcpFlags = TcpFlags(0x40);
    pub const CWR: TcpFlags = TcpFlags(0x80);

    #[inline(always)]
    pub const fn has(self, f: TcpFlags) -> bool {
        self.0 & f.0 != 0
    }

    #[inline(always)]
    pub const fn syn(self) -> bool {
        self.has(Self::SYN)
    }

    #[inline(always)]
    pub const fn ack(self) -> bool {
        self.has(Self::ACK)
    }

    #[inline(always)]
    pub const fn fin(self) -> bool {
        self.has(Self::FIN)
    }

    #[inline(always)]
    pub const fn rst(self) -> bool {
        self.has(Self::RST)
    }

    /// These flags, but not `f`.
    #[inline(always)]
    #[must_use]
    pub const fn without(self, f: TcpFlags) -> TcpFlags {
        TcpFlags(self.0 & !f.0)
    }

    /// A SYN that is nothing else: it asks for a connection.
    #[inline(always)]
    pub const fn is_bare_syn(self) -> bool {
        self.syn() && !self.ack() && !self.rst() && !self.fin()
    }
}

impl core::ops::BitOr for TcpFlags {
    type Output = TcpFlags;
    fn bitor(self, o: TcpFlags) -> TcpFlags {
        TcpFlags(self.0 | o.0)
    }
}

impl core::ops::BitOrAssign for TcpFlags {
    fn bitor_assign(&mut self, o: TcpFlags) {
        self.0 |= o.0;
    }
}

/// tcpdump's letters: `[S.]`, `[F.]`, `[P.]`, `[.]`, `[R]` …
impl core::fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let letters = [
            (Self::FIN, 'F'),
            (Self::SYN, 'S'),
            (Self::RST, 'R'),
            (Self::PSH, 'P'),
            (Self::URG, 'U'),
            (Self::ECE, 'E'),
            (Self::CWR, 'W'),
            (Self::ACK, '.'),
        ];
        f.write_str("[")?;
        for (bit, c) in letters {
            if self.has(bit) {
                write!(f, "{c}")?;
            }
        }
        f.write_str("]")
    }
}

/// A SACK block: bytes `start..end` have arrived (RFC 2018).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SackBlock {
    pub start: Seq,
    pub end: Seq,
}

/// A cookie of TCP Fast Open (RFC 7413), or, with no bytes in it, the request for one.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FastOpenCookie {
    bytes: [u8; 16],
    len: u8,
    /// In the option number of the time before the RFC.
    pub experimental: bool,
}

impl FastOpenCookie {
    pub const fn request(experimental: bool) -> FastOpenCookie {
        FastOpenCookie { bytes: [0; 16], len: 0, experimental }
    }

    /// `None`: a length that no cookie has (RFC 7413 4.1.1).
    pub fn new(cookie: &[u8], experimental: bool) -> Option<FastOpenCookie> {
        let len = cookie.len();
        let mut bytes = [0; 16];
        bytes.get_mut(..len)?.copy_from_slice(cookie);
        (len == 0 || (len >= 4 && len.is_multiple_of(2))).then_some(FastOpenCookie {
            bytes,
            len: len as u8,
            experimental,
        })
    }

    pub fn is_request(&self) -> bool {
        self.len == 0
    }

    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

/// The options the engine understands. Unknown and malformed ones are skipped; an impossible length ends them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
// Fields in this order, so that the parser clears the blocks in two stores.
#[repr(C)]
pub struct TcpOptions {
    /// Timestamps: (TSval, TSecr).
    pub timestamp: Option<(u32, u32)>,
    /// SACK blocks, `sack[..sack_len]`.
    pub sack: [SackBlock; 4],
    /// Maximum segment size in bytes; only on SYN.
    pub mss: Option<u16>,
    /// Window scale shift, as received (the receiver clips it to 14, RFC 7323 2.3); only on SYN.
    pub window_scale: Option<u8>,
    /// SACK-permitted; only on SYN.
    pub sack_permitted: bool,
    pub sack_len: u8,
    /// Fast Open; only on SYN.
    pub fast_open: Option<FastOpenCookie>,
}

impl TcpOptions {
    /// No options at all; the same as the default.
    pub const NONE: TcpOptions = TcpOptions {
        mss: None,
        window_scale: None,
        sack_permitted: false,
        timestamp: None,
        sack: [SackBlock { start: Seq(0), end: Seq(0) }; 4],
        sack_len: 0,
        fast_open: None,
    };

    pub fn sack_blocks(&self) -> &[SackBlock] {
        &self.sack[..usize::from(self.sack_len.min(4))]
    }
}

/// One received segment: header fields, and where the payload lies in its frame.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TcpSegment {
    pub src: Addr,
    pub dst: Addr,
    pub src_port: u16,
    pub dst_port: u16,
    pub seq: Seq,
    pub ack: Seq,
    pub flags: TcpFlags,
    /// The window field as it stands in the header, not scaled.
    pub window: u16,
    pub options: TcpOptions,
    /// Payload bytes in the frame: `frame.bytes()[payload_start..][..payload_len]`.
    pub payload_start: u16,
    pub payload_len: u16,
    /// The two ECN bits of the IP header.
    pub ecn: u8,
}

impl TcpSegment {
    /// SEG.LEN of RFC 9293: payload plus one each for SYN and FIN.
    #[inline(always)]
    pub fn seq_len(&self) -> u32 {
        u32::from(self.payload_len) + u32::from(self.flags.syn()) + u32::from(self.flags.fin())
    }

    /// The sequence number after the segment's last.
    #[inline(always)]
    pub fn end(&self) -> Seq {
        self.seq + self.seq_len()
    }

    /// Its first number or its last lies in the window of `len` numbers from `from` on (RFC 9293 3.10.7.4, table 6).
    #[inline]
    pub fn touches(&self, from: Seq, len: u32) -> bool {
        self.seq.within(from, len) || (self.seq_len() > 0 && (self.end() - 1).within(from, len))
    }
}
