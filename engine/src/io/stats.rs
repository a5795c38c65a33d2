//! What devices count. Each number is declared once; the struct, the names and the order of publication come from
//! the same line.

macro_rules! declare {
    ($($(#[doc = $help:literal])* $field:ident,)*) => {
        /// Counted since the start. Kernel figures are those of XDP_STATISTICS.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct IoStats { $($(#[doc = $help])* pub $field: u64,)* }

        impl IoStats {
            /// The fields' names, in order.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($field),)*];
            /// How many numbers there are.
            pub const WORDS: usize = Self::NAMES.len();

            /// All numbers, in order: the form in which a worker publishes them.
            pub fn to_words(self) -> [u64; Self::WORDS] {
                [$(self.$field,)*]
            }

            /// The inverse of [`IoStats::to_words`].
            pub fn from_words(words: [u64; Self::WORDS]) -> IoStats {
                let [$($field,)*] = words;
                IoStats { $($field,)* }
            }
        }
    };
}

declare! {
    rx_frames,
    tx_frames,
    /// Wake-up system calls made.
    kicks,
    kernel_rx_dropped,
    kernel_rx_invalid,
    kernel_rx_ring_full,
    kernel_fill_ring_empty,
    kernel_tx_invalid,
    kernel_tx_ring_empty,
    /// Packets that came in more pieces than one may have, or with a piece lost.
    rx_fragmented,
    /// Frames given to `tx_burst` that cannot be sent (empty, of another arena, a checksum place outside).
    tx_refused,
    /// Failed wake-ups and waits (link down, interface gone) and ring entries that make no sense.
    io_errors,
}

impl IoStats {
    /// Takes over what the kernel has counted for a socket.
    pub(super) fn set_kernel(&mut self, kernel: &libc::xdp_statistics) {
        self.kernel_rx_dropped = kernel.rx_dropped;
        self.kernel_rx_invalid = kernel.rx_invalid_descs;
        self.kernel_rx_ring_full = kernel.rx_ring_full;
        self.kernel_fill_ring_empty = kernel.rx_fill_ring_empty_descs;
        self.kernel_tx_invalid = kernel.tx_invalid_descs;
        self.kernel_tx_ring_empty = kernel.tx_ring_empty_descs;
    }

    /// Adds another queue's numbers to these.
    pub fn merge(&mut self, other: &IoStats) {
        let (mut sum, other) = (self.to_words(), other.to_words());
        sum.iter_mut().zip(other).for_each(|(a, b)| *a += b);
        *self = IoStats::from_words(sum);
    }
}
