//! Every drop has one name, every event one counter, each declared once, here. The enum, the counter array,
//! the printed name and the explanation all come from the same line.

/// An enum whose variants have a name to print and a sentence for people, each declared once.
#[macro_export]
macro_rules! named_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal : $help:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum $name { $(#[doc = $help] $variant,)* }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];
            pub const COUNT: usize = Self::ALL.len();

            /// The name under which it is printed and exported.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// One sentence for people.
            pub const fn help(self) -> &'static str {
                match self { $($name::$variant => $help,)* }
            }
        }
    };
}

named_enum! {
    /// Why a received frame (or the segment in it) had no effect.
    DropReason {
        FrameTooShort = "frame_too_short": "shorter than its own headers say, or than an Ethernet header",
        EtherTypeUnknown = "ethertype_unknown": "neither ARP, IPv4 nor IPv6",
        VlanMismatch = "vlan_mismatch": "tagged with a VLAN that is not ours, or untagged where ours is tagged",
        NotOurMac = "not_our_mac": "sent to another station",
        PartsNotTcp = "parts_not_tcp": "larger than a chunk of packet memory, and not TCP",
        IpVersionBad = "ip_version_bad": "the version field contradicts the ethertype",
        IpHeaderBad = "ip_header_bad": "header length or total length impossible",
        IpChecksumBad = "ip_checksum_bad": "IPv4 header checksum wrong",
        IpFragment = "ip_fragment": "a fragment: the engine does not reassemble IP",
        IpSourceBad = "ip_source_bad": "multicast, broadcast or unspecified source address",
        IpNotForUs = "ip_not_for_us": "destination address is none of the engine's",
        IpProtocolUnknown = "ip_protocol_unknown": "neither TCP nor ICMP",
        Ipv6ExtensionBad = "ipv6_extension_bad": "extension headers malformed or too many",
        ArpBad = "arp_bad": "malformed ARP",
        ArpNotForUs = "arp_not_for_us": "ARP about an address that is none of the engine's",
        NdpBad = "ndp_bad": "malformed neighbour discovery, or hop limit not 255",
        IcmpBad = "icmp_bad": "malformed ICMP or wrong checksum",
        IcmpIgnored = "icmp_ignored": "an ICMP message that needs no action",
        IcmpStale = "icmp_stale": "an ICMP error about no live connection or outside its window",
        TcpHeaderBad = "tcp_header_bad": "data offset impossible or header cut off",
        TcpChecksumBad = "tcp_checksum_bad": "TCP checksum wrong",
        TcpFlagsBad = "tcp_flags_bad": "a flag combination that the state does not take",
        TcpPortZero = "tcp_port_zero": "source or destination port 0",
        PeerImpossible = "peer_impossible": "from one of our own addresses, or from the subnet's broadcast address",
        SynToClosedPort = "syn_to_closed_port": "SYN to a port nobody listens on (answered with RST, unless abandoned)",
        NoConnection = "no_connection": "belongs to no connection (answered with RST, unless abandoned)",
        RstNoConnection = "rst_no_connection": "RST for no connection",
        AckUnacceptable = "ack_unacceptable": "acknowledges what was never sent, or lies too far in the past",
        SeqOutOfWindow = "seq_out_of_window": "outside the receive window (answered with ACK)",
        PawsOld = "paws_old": "timestamp older than the last (PAWS, RFC 7323)",
        TimestampMissing = "timestamp_missing": "no timestamp although both sides agreed on them (RFC 7323 3.2)",
        RstOutOfWindow = "rst_out_of_window": "RST outside the window",
        RstChallenged = "rst_challenged": "RST in the window but not exact: answered with a challenge ACK (RFC 5961)",
        SynChallenged = "syn_challenged": "SYN on a synchronised connection: answered with a challenge ACK (RFC 5961)",
        ChallengeLimited = "challenge_limited": "would have been answered with a challenge ACK, but the limit was reached",
        DataAfterFin = "data_after_fin": "bytes beyond the peer's FIN",
        DataDuplicate = "data_duplicate": "bytes that had come before",
        DataAfterClose = "data_after_close": "bytes for an application that has closed (answered with RST)",
        ReassemblyFull = "reassembly_full": "no room to keep an out-of-order segment",
        WindowExceeded = "window_exceeded": "bytes beyond the offered window",
        SynShed = "syn_shed": "SYN to a listener while more had come than could be handled in time (the peer asks again)",
        BacklogFull = "backlog_full": "half-open table full",
        CookieAhead = "cookie_ahead": "came before the segment that completes a handshake by SYN cookie",
        CookieBad = "cookie_bad": "ACK to a listener without a valid SYN cookie, while some were out (answered with RST)",
        TableFull = "table_full": "connection table full",
        TimeWaitIgnored = "time_wait_ignored": "a segment for a connection in TIME-WAIT that needs no answer",
        NeighbourUnresolved = "neighbour_unresolved": "a reply had no link address to go to",
        NoFrame = "no_frame": "no free frame for a reply",
        TxFull = "tx_full": "the transmit queue was full",
        HandoffFull = "handoff_full": "the ring to the owning worker was full",
        FaultInjected = "fault_injected": "dropped on purpose by the fault layer",
    }
}

named_enum! {
    /// Things that happen and are worth a number.
    Event {
        FramesIn = "frames_in": "frames received",
        FramesOut = "frames_out": "frames sent",
        BytesIn = "bytes_in": "bytes received, link headers included",
        BytesOut = "bytes_out": "bytes sent, link headers included",
        SegmentsIn = "segments_in": "TCP segments received and well formed",
        SegmentsOut = "segments_out": "TCP segments sent",
        PayloadIn = "payload_in": "payload bytes delivered to applications",
        PayloadOut = "payload_out": "payload bytes sent for the first time",
        ActiveOpens = "active_opens": "connections begun by us",
        PassiveOpens = "passive_opens": "SYNs that a listener took up",
        SynCookiesSent = "syn_cookies_sent": "SYNs answered with a cookie (RFC 4987)",
        SynCookiesAccepted = "syn_cookies_accepted": "connections opened by a cookie that came back",
        Established = "established": "connections that became established",
        ClosedGraceful = "closed_graceful": "connections that both sides closed in order",
        ClosedReset = "closed_reset": "connections reset by the peer",
        ClosedRefused = "closed_refused": "connection attempts refused",
        ClosedTimeout = "closed_timeout": "connections given up after their retries",
        ClosedUnreachable = "closed_unreachable": "connections ended by an ICMP error or a missing neighbour",
        ClosedAborted = "closed_aborted": "connections we aborted",
        ClosedOrphan = "closed_orphan": "closed connections whose peer never closed (FIN-WAIT-2 limit)",
        HalfOpenExpired = "half_open_expired": "handshakes that the peer never finished",
        HalfOpenReset = "half_open_reset": "handshakes that the peer reset",
        TimeWaitEntered = "time_wait_entered": "connections that went into TIME-WAIT",
        TimeWaitExpired = "time_wait_expired": "TIME-WAIT records whose 2MSL passed",
        TimeWaitEvicted = "time_wait_evicted": "TIME-WAIT records that gave way before their time because the table was full",
        TimeWaitReused = "time_wait_reused": "TIME-WAIT records replaced early by a new connection (RFC 6191)",
        TimeWaitReacked = "time_wait_reacked": "FINs acknowledged again from TIME-WAIT",
        Retransmits = "retransmits": "data or FIN segments sent again",
        SynRetransmits = "syn_retransmits": "SYN or SYN-ACK segments sent again",
        FastRetransmits = "fast_retransmits": "recoveries begun because ACKs showed a loss",
        LossProbes = "loss_probes": "tail loss probes sent (RFC 8985)",
        SpuriousTimeouts = "spurious_timeouts": "time-outs that turned out to be too early, and were taken back",
        SpuriousRecoveries = "spurious_recoveries": "recoveries in which nothing had been lost, and which were taken back",
        DsacksIn = "dsacks_in": "ACKs that told of a segment received twice (RFC 2883)",
        DsacksOut = "dsacks_out": "ACKs in which we told of a segment received twice (RFC 2883)",
        RecoveryExhausted = "recovery_exhausted": "times there was no room to keep track of what is under way",
        BoundariesExhausted = "boundaries_exhausted": "times there was no room to remember another place that no segment may reach across (MSG_EOR)",
        RtoExpiries = "rto_expiries": "retransmission time-outs",
        PathNarrowed = "path_narrowed": "times a path took only smaller segments, by word of a router or for want of any",
        PathWidened = "path_widened": "times a path took larger segments than before",
        PathProbes = "path_probes": "segments sent to find out whether the path takes larger ones (RFC 4821)",
        ZeroWindowProbes = "zero_window_probes": "probes of a closed window",
        KeepaliveProbes = "keepalive_probes": "keepalive probes sent",
        DelayedAcks = "delayed_acks": "ACKs sent by the delayed-ACK timer",
        DuplicateAcksIn = "duplicate_acks_in": "duplicate ACKs received",
        OutOfOrderIn = "out_of_order_in": "segments kept for reassembly",
        ChallengeAcks = "challenge_acks": "challenge ACKs sent",
        ResetsIn = "resets_in": "RSTs that took effect",
        ResetsOut = "resets_out": "RSTs sent",
        FastOpensSent = "fast_opens_sent": "SYNs sent with data (RFC 7413)",
        FastOpensAcked = "fast_opens_acked": "of those, answered with an acknowledgement of all their data",
        FastOpensAccepted = "fast_opens_accepted": "connections opened by a SYN with a cookie, before the handshake was complete",
        FastOpensDeclined = "fast_opens_declined": "SYNs with a good cookie answered as ordinary ones: too many were pending",
        FastOpenCookiesSent = "fast_open_cookies_sent": "cookies given to clients",
        FastOpenCookiesBad = "fast_open_cookies_bad": "SYNs with a cookie that is wrong or too old",
        EcnAgreed = "ecn_agreed": "connections that agreed on explicit congestion notification (RFC 3168)",
        CongestionMarksIn = "congestion_marks_in": "segments that came with a congestion mark (CE)",
        CongestionEchoes = "congestion_echoes": "windows reduced because the peer echoed a congestion mark (ECE)",
        ArpIn = "arp_in": "ARP messages for us",
        ArpOut = "arp_out": "ARP messages sent",
        NdpIn = "ndp_in": "neighbour discovery messages for us",
        NdpOut = "ndp_out": "neighbour discovery messages sent",
        IcmpEchoRequests = "icmp_echo_requests": "pings for us",
        IcmpEchoReplies = "icmp_echo_replies": "pings answered",
        IcmpErrorsIn = "icmp_errors_in": "ICMP errors that reached a connection",
        IcmpErrorsForgotten = "icmp_errors_forgotten": "soft ICMP errors that there was no room to remember",
        HandoffIn = "handoff_in": "frames received from another worker",
        HandoffOut = "handoff_out": "frames handed to another worker",
        HandoffCopies = "handoff_copies": "of those, copies of what is of interest to all workers (answers about neighbours)",
    }
}

/// One worker's counters: plain numbers, written by that worker alone. `worker` publishes copies for readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    drops: [u64; DropReason::COUNT],
    events: [u64; Event::COUNT],
}

impl Default for Counters {
    fn default() -> Self {
        Counters { drops: [0; DropReason::COUNT], events: [0; Event::COUNT] }
    }
}

impl Counters {
    #[inline(always)]
    pub fn drop(&mut self, reason: DropReason) {
        self.drops[reason as usize] += 1;
    }

    #[inline(always)]
    pub fn event(&mut self, event: Event) {
        self.events[event as usize] += 1;
    }

    #[inline(always)]
    pub fn add(&mut self, event: Event, n: u64) {
        self.events[event as usize] += n;
    }

    /// So many of what was just counted did not happen after all.
    pub fn take_back(&mut self, event: Event, n: u64) {
        self.events[event as usize] = self.events[event as usize].saturating_sub(n);
    }

    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }

    pub fn count(&self, event: Event) -> u64 {
        self.events[event as usize]
    }

    pub fn dropped_total(&self) -> u64 {
        self.drops.iter().sum()
    }

    /// Adds another worker's counters to these.
    pub fn merge(&mut self, other: &Counters) {
        self.as_words_mut().zip(other.as_words()).for_each(|(a, b)| *a += b);
    }

    /// All numbers in declaration order, drops first: the form in which they are published.
    pub fn as_words(&self) -> impl Iterator<Item = u64> + '_ {
        self.drops.iter().chain(self.events.iter()).copied()
    }

    pub fn as_words_mut(&mut self) -> impl Iterator<Item = &mut u64> + '_ {
        self.drops.iter_mut().chain(self.events.iter_mut())
    }

    /// How many numbers [`Counters::as_words`] yields.
    pub const WORDS: usize = DropReason::COUNT + Event::COUNT;
}
