//! Compiles a [`FilterSpec`] into the XDP program.
//!
//! Every kind of frame that can be the engine's is first brought to one question: *this address of ours, and this
//! TCP port of it, or none*. Then one look-up answers it: a binary search over the address ranges, with the
//! addresses as immediates, ends either at "everything of it is ours" (redirect), at a set of ports (redirect if
//! the port is in it), or nowhere (pass).
//!
//! | frame                                    | address asked for | port asked for                           |
//! | ---------------------------------------- | ----------------- | ---------------------------------------- |
//! | TCP, no fragment                         | destination       | destination port                         |
//! | ICMP 3, 11, 12; ICMPv6 1 to 4 (errors)   | destination       | source port of the quoted TCP segment, if the quote is from this address, else none |
//! | echo request                             | destination       | none                                     |
//! | ARP request or reply                     | target            | none                                     |
//! | neighbour solicitation                   | target            | none                                     |
//! | neighbour advertisement                  | destination       | none                                     |
//!
//! "No port" lies outside every port set, so only exclusive addresses match it. Everything that is not in the
//! table, is cut short, or has options this program does not know, passes to the kernel: IP fragments, IPv6
//! routing headers, more than two VLAN tags, more than one hop-by-hop or destination options header, or a long one.
//!
//! Redirecting names the socket of the queue the frame came in on; without one the frame passes as well.
//!
//! Needs Linux 5.9 or newer (32-bit jumps 5.1, the fallback of `bpf_redirect_map` 5.3, links on XDP 5.9).

use super::asm::{Asm, AsmError, Cond, Insn, Label, Reg, Size};
use super::filter::{Claim, FilterSpec, Range, Tables};
use crate::io::IoError;

/// What the program returns to the kernel (UAPI bpf.h, `enum xdp_action`).
pub const XDP_PASS: u32 = 2;
pub const XDP_REDIRECT: u32 = 4;

const HELPER_REDIRECT_MAP: i32 = 51;
/// Offsets into `struct xdp_md`.
const MD_DATA: i16 = 0;
const MD_DATA_END: i16 = 4;
const MD_RX_QUEUE_INDEX: i16 = 16;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// 802.1Q, 802.1ad, and the QinQ type from before 802.1ad.
const ETHERTYPES_VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
const VLAN_TAGS_MAX: usize = 2;

const PROTO_HOP_BY_HOP: i32 = 0;
const PROTO_ICMP: i32 = 1;
const PROTO_TCP: i32 = 6;
const PROTO_ICMPV6: i32 = 58;
const PROTO_DEST_OPTIONS: i32 = 60;

/// Longest hop-by-hop or destination options header that is skipped.
const OPTIONS_BYTES_MAX: i32 = 64;

/// Larger than any port: in no port set.
const NO_PORT: i32 = 0x1_0000;

/// `struct xdp_md *`, all the way.
const CTX: Reg = Reg::R6;
/// End of the packet, all the way.
const END: Reg = Reg::R8;
/// Where parsing stands.
const AT: Reg = Reg::R9;
/// The address asked for: 32 bits of IPv4, or the upper 64 bits of IPv6, in host order.
const ADDR: Reg = Reg::R7;
/// The lower 64 bits of IPv6, in host order.
const ADDR_LOW: Reg = Reg::R4;
/// The port asked for, or [`NO_PORT`].
const PORT: Reg = Reg::R5;

/// The program that gives `spec`'s frames to the sockets in the XSKMAP `xsks_map_fd`.
pub fn compile(spec: &FilterSpec, xsks_map_fd: i32) -> Result<Vec<Insn>, IoError> {
    let tables = spec.tables()?;
    let ranges = tables.v4.len() + tables.v6.len();
    let mut c = Compiler::new();
    c.parse_link(&tables);
    c.lookups(&tables);
    c.verdicts(xsks_map_fd);
    c.asm.finish().map_err(|e| match e {
        AsmError::JumpTooFar => IoError::new(
            format!("{ranges} address ranges make too long an XDP program"),
            "use fewer ranges, or ranges that join up: a whole prefix costs as much as one address",
        ),
        AsmError::LabelUnbound => IoError::new("the XDP program jumps nowhere", "this is a bug; please report it"),
    })
}

/// The program that gives every frame to the sockets in the XSKMAP `xsks_map_fd`.
pub fn compile_all(xsks_map_fd: i32) -> Result<Vec<Insn>, IoError> {
    let mut c = Compiler::new();
    c.asm.mov(CTX, Reg::R1);
    c.redirect(xsks_map_fd);
    c.asm.finish().map_err(|_| IoError::new("the XDP program jumps nowhere", "this is a bug; please report it"))
}

struct Compiler {
    asm: Asm,
    pass: Label,
    redirect: Label,
    lookup_v4: Label,
    lookup_v6: Label,
}

/// As a load from the packet leaves it in a register, without turning it to host order.
fn as_loaded(network: u16) -> i32 {
    i32::from(network.to_be())
}

impl Compiler {
    fn new() -> Compiler {
        let mut asm = Asm::new();
        let [pass, redirect, lookup_v4, lookup_v6] = std::array::from_fn(|_| asm.label());
        Compiler { asm, pass, redirect, lookup_v4, lookup_v6 }
    }

    /// Jumps to `otherwise` unless `bytes` bytes from [`AT`] on are in the packet. Clobbers R1.
    fn need(&mut self, bytes: i32, otherwise: Label) {
        self.asm.mov(Reg::R1, AT);
        self.asm.add_imm(Reg::R1, bytes);
        self.asm.jump_if(Cond::Gt, Reg::R1, END, otherwise);
    }

    /// Ethernet and VLAN tags; leaves AT at the network header.
    fn parse_link(&mut self, tables: &Tables) {
        let network = self.asm.label();
        self.asm.mov(CTX, Reg::R1);
        self.asm.load(Size::U32, AT, CTX, MD_DATA);
        self.asm.load(Size::U32, END, CTX, MD_DATA_END);
        self.asm.add_imm(AT, 14);
        self.need(0, self.pass);
        self.asm.load(Size::U16, Reg::R2, AT, -2);
        for _ in 0..VLAN_TAGS_MAX {
            let tagged = self.asm.label();
            for ethertype in ETHERTYPES_VLAN {
                self.asm.jump_if_imm(Cond::Eq, Reg::R2, as_loaded(ethertype), tagged);
            }
            self.asm.jump(network);
            self.asm.bind(tagged);
            self.asm.add_imm(AT, 4);
            self.need(0, self.pass);
            self.asm.load(Size::U16, Reg::R2, AT, -2);
        }
        self.asm.bind(network);
        let [ipv4, ipv6, arp] = std::array::from_fn(|_| self.asm.label());
        self.asm.mov_imm(PORT, NO_PORT);
        if !tables.v4.is_empty() {
            self.asm.jump_if_imm(Cond::Eq, Reg::R2, as_loaded(ETHERTYPE_IPV4), ipv4);
            self.asm.jump_if_imm(Cond::Eq, Reg::R2, as_loaded(ETHERTYPE_ARP), arp);
        }
        if !tables.v6.is_empty() {
            self.asm.jump_if_imm(Cond::Eq, Reg::R2, as_loaded(ETHERTYPE_IPV6), ipv6);
        }
        self.asm.jump(self.pass);
        if !tables.v4.is_empty() {
            self.parse_ipv4(ipv4);
            self.parse_arp(arp);
        }
        if !tables.v6.is_empty() {
            self.parse_ipv6(ipv6);
        }
    }

    fn parse_ipv4(&mut self, here: Label) {
        self.asm.bind(here);
        let tcp = self.asm.label();
        self.need(20, self.pass);
        self.asm.load(Size::U16, Reg::R3, AT, 6);
        // More-fragments flag and fragment offset.
        self.asm.and_imm(Reg::R3, as_loaded(0x3fff));
        self.asm.jump_if_imm(Cond::Ne, Reg::R3, 0, self.pass);
        self.asm.load(Size::U32, ADDR, AT, 16);
        self.asm.network_to_host(ADDR, 32);
        self.asm.load(Size::U8, Reg::R3, AT, 9);
        self.skip_v4_header(self.pass);
        self.asm.jump_if_imm(Cond::Eq, Reg::R3, PROTO_TCP, tcp);
        self.asm.jump_if_imm(Cond::Ne, Reg::R3, PROTO_ICMP, self.pass);
        self.parse_icmpv4();
        self.asm.bind(tcp);
        self.load_tcp_destination();
        self.asm.jump(self.lookup_v4);
    }

    /// Moves AT behind the IPv4 header there; `otherwise` if that says it is none. Clobbers R2.
    fn skip_v4_header(&mut self, otherwise: Label) {
        self.asm.load(Size::U8, Reg::R2, AT, 0);
        // Version 4, header length in units of 4 bytes (RFC 791 3.1). The shortest first: it is nearly all there is.
        self.advance(Reg::R2, (5..=15).map(|words| (0x40 | words, 4 * words)), otherwise);
    }

    /// Moves AT by the bytes that belong to the value of `reg`; `otherwise` if there are none. One constant for each
    /// value, as adding a register to a packet pointer would take CAP_PERFMON besides.
    fn advance(&mut self, reg: Reg, by_value: impl Iterator<Item = (i32, i32)>, otherwise: Label) {
        let done = self.asm.label();
        for (value, bytes) in by_value {
            let next = self.asm.label();
            self.asm.jump_if_imm(Cond::Ne, reg, value, next);
            self.asm.add_imm(AT, bytes);
            self.asm.jump(done);
            self.asm.bind(next);
        }
        self.asm.jump(otherwise);
        self.asm.bind(done);
    }

    /// Destination port of the TCP header at AT.
    fn load_tcp_destination(&mut self) {
        self.need(20, self.pass);
        self.asm.load(Size::U16, PORT, AT, 2);
        self.asm.network_to_host(PORT, 16);
    }

    fn parse_icmpv4(&mut self) {
        let error = self.asm.label();
        self.need(8, self.pass);
        self.asm.load(Size::U8, Reg::R2, AT, 0);
        self.asm.jump_if_imm(Cond::Eq, Reg::R2, 8, self.lookup_v4);
        // Destination unreachable, time exceeded, parameter problem (RFC 792).
        for kind in [3, 11, 12] {
            self.asm.jump_if_imm(Cond::Eq, Reg::R2, kind, error);
        }
        self.asm.jump(self.pass);
        self.asm.bind(error);
        self.asm.add_imm(AT, 8);
        self.need(20, self.lookup_v4);
        self.asm.load(Size::U8, Reg::R3, AT, 9);
        self.asm.jump_if_imm(Cond::Ne, Reg::R3, PROTO_TCP, self.lookup_v4);
        self.asm.load(Size::U16, Reg::R3, AT, 6);
        self.asm.and_imm(Reg::R3, as_loaded(0x1fff));
        self.asm.jump_if_imm(Cond::Ne, Reg::R3, 0, self.lookup_v4);
        self.asm.load(Size::U32, Reg::R3, AT, 12);
        self.asm.network_to_host(Reg::R3, 32);
        self.asm.jump_if(Cond::Ne, Reg::R3, ADDR, self.lookup_v4);
        self.skip_v4_header(self.lookup_v4);
        self.load_quoted_source(0, self.lookup_v4);
        self.asm.jump(self.lookup_v4);
    }

    /// Source port of the quoted TCP header, `offset` bytes behind AT.
    fn load_quoted_source(&mut self, offset: i16, otherwise: Label) {
        self.need(i32::from(offset) + 4, otherwise);
        self.asm.load(Size::U16, PORT, AT, offset);
        self.asm.network_to_host(PORT, 16);
    }

    fn parse_arp(&mut self, here: Label) {
        let known = self.asm.label();
        self.asm.bind(here);
        self.need(28, self.pass);
        // Hardware type Ethernet, protocol IPv4, address lengths 6 and 4 (RFC 826).
        for (offset, value) in [(0, 1), (2, ETHERTYPE_IPV4), (4, 0x0604)] {
            self.asm.load(Size::U16, Reg::R2, AT, offset);
            self.asm.jump_if_imm(Cond::Ne, Reg::R2, as_loaded(value), self.pass);
        }
        self.asm.load(Size::U16, Reg::R2, AT, 6);
        self.asm.jump_if_imm(Cond::Eq, Reg::R2, as_loaded(1), known);
        self.asm.jump_if_imm(Cond::Ne, Reg::R2, as_loaded(2), self.pass);
        self.asm.bind(known);
        self.asm.load(Size::U32, ADDR, AT, 24);
        self.asm.network_to_host(ADDR, 32);
        self.asm.jump(self.lookup_v4);
    }

    /// ADDR and ADDR_LOW = the IPv6 address `offset` bytes behind AT.
    fn load_v6(&mut self, offset: i16) {
        self.asm.load(Size::U64, ADDR, AT, offset);
        self.asm.network_to_host(ADDR, 64);
        self.asm.load(Size::U64, ADDR_LOW, AT, offset + 8);
        self.asm.network_to_host(ADDR_LOW, 64);
    }

    fn parse_ipv6(&mut self, here: Label) {
        self.asm.bind(here);
        let [tcp, options, transport] = std::array::from_fn(|_| self.asm.label());
        self.need(40, self.pass);
        self.asm.load(Size::U8, Reg::R2, AT, 0);
        self.asm.and_imm(Reg::R2, 0xf0);
        self.asm.jump_if_imm(Cond::Ne, Reg::R2, 0x60, self.pass);
        self.load_v6(24);
        self.asm.load(Size::U8, Reg::R2, AT, 6);
        self.asm.add_imm(AT, 40);
        self.asm.jump_if_imm(Cond::Eq, Reg::R2, PROTO_HOP_BY_HOP, options);
        self.asm.jump_if_imm(Cond::Ne, Reg::R2, PROTO_DEST_OPTIONS, transport);
        self.asm.bind(options);
        // Next header, then the length in units of 8 bytes beyond the first 8 (RFC 8200 4.3).
        self.need(8, self.pass);
        self.asm.load(Size::U8, Reg::R2, AT, 0);
        self.asm.load(Size::U8, Reg::R3, AT, 1);
        self.advance(Reg::R3, (0..OPTIONS_BYTES_MAX / 8).map(|units| (units, 8 * (units + 1))), self.pass);
        self.asm.bind(transport);
        self.asm.jump_if_imm(Cond::Eq, Reg::R2, PROTO_TCP, tcp);
        self.asm.jump_if_imm(Cond::Ne, Reg::R2, PROTO_ICMPV6, self.pass);
        self.parse_icmpv6();
        self.asm.bind(tcp);
        self.load_tcp_destination();
        self.asm.jump(self.lookup_v6);
    }

    fn parse_icmpv6(&mut self) {
        let [error, solicitation] = std::array::from_fn(|_| self.asm.label());
        self.need(8, self.pass);
        self.asm.load(Size::U8, Reg::R2, AT, 0);
        // Echo request (RFC 4443 4.1), neighbour advertisement and solicitation (RFC 4861 4.3, 4.4).
        self.asm.jump_if_imm(Cond::Eq, Reg::R2, 128, self.lookup_v6);
        self.asm.jump_if_imm(Cond::Eq, Reg::R2, 136, self.lookup_v6);
        self.asm.jump_if_imm(Cond::Eq, Reg::R2, 135, solicitation);
        // Errors: unreachable, too big, time exceeded, parameter problem (RFC 4443 3). Type 0 is reserved.
        self.asm.jump_if_imm(Cond::Eq, Reg::R2, 0, self.pass);
        self.asm.jump_if_imm(Cond::Le, Reg::R2, 4, error);
        self.asm.jump(self.pass);

        self.asm.bind(solicitation);
        self.need(24, self.pass);
        self.load_v6(8);
        self.asm.jump(self.lookup_v6);

        self.asm.bind(error);
        self.asm.add_imm(AT, 8);
        self.need(40, self.lookup_v6);
        self.asm.load(Size::U8, Reg::R2, AT, 0);
        self.asm.and_imm(Reg::R2, 0xf0);
        self.asm.jump_if_imm(Cond::Ne, Reg::R2, 0x60, self.lookup_v6);
        self.asm.load(Size::U8, Reg::R2, AT, 6);
        self.asm.jump_if_imm(Cond::Ne, Reg::R2, PROTO_TCP, self.lookup_v6);
        for (offset, part) in [(8, ADDR), (16, ADDR_LOW)] {
            self.asm.load(Size::U64, Reg::R2, AT, offset);
            self.asm.network_to_host(Reg::R2, 64);
            self.asm.jump_if(Cond::Ne, Reg::R2, part, self.lookup_v6);
        }
        self.load_quoted_source(40, self.lookup_v6);
        self.asm.jump(self.lookup_v6);
    }

    /// The one look-up of each family, and the port sets it leads to.
    fn lookups(&mut self, tables: &Tables) {
        let sets: Vec<Label> = tables.port_sets.iter().map(|_| self.asm.label()).collect();
        let redirect = self.redirect;
        let target = |claim: Claim| match claim {
            Claim::Everything => redirect,
            Claim::Ports(set) => sets[set],
        };
        if !tables.v4.is_empty() {
            self.asm.bind(self.lookup_v4);
            let steps: Vec<Step> = tables
                .v4
                .iter()
                .map(|r| Step { first: r.first as u64, last: r.last as u64, to: target(r.claim) })
                .collect();
            self.search(ADDR, Width::W32, &steps);
        }
        if !tables.v6.is_empty() {
            self.asm.bind(self.lookup_v6);
            self.lookup_v6(&tables.v6, target);
        }
        for (set, label) in tables.port_sets.iter().zip(&sets) {
            self.asm.bind(*label);
            let steps: Vec<Step> =
                set.iter().map(|&(low, high)| Step { first: low.into(), last: high.into(), to: redirect }).collect();
            self.search(PORT, Width::W32, &steps);
        }
    }

    /// First by the upper 64 bits, then, within each of their values, by the lower.
    fn lookup_v6(&mut self, ranges: &[Range], target: impl Fn(Claim) -> Label) {
        let mut networks: Vec<(Step, Vec<Step>)> = Vec::new();
        for r in ranges {
            for (upper, first, last) in by_upper_half(r) {
                if networks.last().is_none_or(|(n, _)| n.first != upper) {
                    networks.push((Step { first: upper, last: upper, to: self.asm.label() }, Vec::new()));
                }
                if let Some((_, hosts)) = networks.last_mut() {
                    hosts.push(Step { first, last, to: target(r.claim) });
                }
            }
        }
        let steps: Vec<Step> = networks.iter().map(|(n, _)| *n).collect();
        self.search(ADDR, Width::W64, &steps);
        for (network, hosts) in &networks {
            self.asm.bind(network.to);
            self.search(ADDR_LOW, Width::W64, hosts);
        }
    }

    /// Binary search: goes to the step whose range holds `reg`, or to pass. Steps are sorted and disjoint.
    fn search(&mut self, reg: Reg, width: Width, steps: &[Step]) {
        let middle = steps.len() / 2;
        let Some(step) = steps.get(middle) else {
            return self.asm.jump(self.pass);
        };
        let below = if middle == 0 { self.pass } else { self.asm.label() };
        self.compare(Cond::Lt, reg, width, step.first, below);
        self.compare(Cond::Le, reg, width, step.last, step.to);
        self.search(reg, width, &steps[middle + 1..]);
        if middle > 0 {
            self.asm.bind(below);
            self.search(reg, width, &steps[..middle]);
        }
    }

    fn compare(&mut self, cond: Cond, reg: Reg, width: Width, value: u64, to: Label) {
        match width {
            Width::W32 => self.asm.jump_if_imm32(cond, reg, value as u32, to),
            Width::W64 => {
                self.asm.mov_imm64(Reg::R1, value);
                self.asm.jump_if(cond, reg, Reg::R1, to);
            }
        }
    }

    fn verdicts(&mut self, xsks_map_fd: i32) {
        self.asm.bind(self.redirect);
        self.redirect(xsks_map_fd);
        self.asm.bind(self.pass);
        self.asm.mov_imm(Reg::R0, XDP_PASS as i32);
        self.asm.exit();
    }

    fn redirect(&mut self, xsks_map_fd: i32) {
        self.asm.load(Size::U32, Reg::R2, CTX, MD_RX_QUEUE_INDEX);
        self.asm.mov_map(Reg::R1, xsks_map_fd);
        // The third argument is what it returns when the queue has no socket.
        self.asm.mov_imm(Reg::R3, XDP_PASS as i32);
        self.asm.call(HELPER_REDIRECT_MAP);
        self.asm.exit();
    }
}

/// One range of a search and where it leads.
#[derive(Clone, Copy)]
struct Step {
    first: u64,
    last: u64,
    to: Label,
}

#[derive(Clone, Copy)]
enum Width {
    W32,
    W64,
}

/// A range of IPv6 addresses as (upper half, first and last lower half); a range is at most 2^32 long before
/// neighbours are joined, so these are few.
fn by_upper_half(r: &Range) -> impl Iterator<Item = (u64, u64, u64)> {
    let (low_upper, high_upper) = ((r.first >> 64) as u64, (r.last >> 64) as u64);
    let (first, last) = (r.first as u64, r.last as u64);
    (low_upper..=high_upper).map(move |upper| {
        let from = if upper == low_upper { first } else { 0 };
        let to = if upper == high_upper { last } else { u64::MAX };
        (upper, from, to)
    })
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
