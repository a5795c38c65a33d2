//! The shared object as packetdrill uses it: through its table of function pointers, with raw IP packets.

use std::ffi::{CStr, c_int, c_void};
use std::mem::MaybeUninit;
use std::time::Duration;
use synfin_engine::base::{Frame, FramePool};
use synfin_engine::wire::emit::{self, ChecksumMode, IpFields, LinkOut, OptionsOut, SegmentOut};
use synfin_engine::wire::parse::{Packet, ParseOptions, VlanTags, parse};
use synfin_engine::wire::{Addr, Mac, Seq, TcpFlags, TcpOptions, TcpSegment};
use synfin_packetdrill::interface::Interface;
use synfin_packetdrill::packetdrill_interface_init;

const LOCAL: Addr = Addr::v4([192, 168, 0, 2]);
const REMOTE: Addr = Addr::v4([192, 0, 2, 1]);
const PORT: u16 = 8_080;
const ETHERNET_BYTES: usize = 14;

/// The table, used from two threads as packetdrill does.
#[derive(Clone, Copy)]
struct Drill(Interface);

// SAFETY: the functions of the table may be called from any thread; only `userdata` makes the type think otherwise.
unsafe impl Send for Drill {}
// SAFETY: as above.
unsafe impl Sync for Drill {}

fn load(flags: &CStr) -> Drill {
    let mut interface = MaybeUninit::<Interface>::uninit();
    // SAFETY: a C string and room for the table, which the function fills in.
    Drill(unsafe {
        packetdrill_interface_init(flags.as_ptr(), interface.as_mut_ptr());
        interface.assume_init()
    })
}

fn errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn sockaddr(addr: Addr, port: u16) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as _,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(addr.v4_bytes()) },
        sin_zero: [0; 8],
    }
}

const SOCKADDR_BYTES: libc::socklen_t = size_of::<libc::sockaddr_in>() as libc::socklen_t;

/// A segment of the peer's or of the stack's.
struct Seg {
    head: TcpSegment,
    data: Vec<u8>,
    at_us: i64,
}

impl Drill {
    fn socket(&self) -> c_int {
        let fd = (self.0.socket)(self.0.userdata, libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_TCP);
        assert!(fd >= 0);
        fd
    }

    fn now_us(&self) -> i64 {
        let mut tv = libc::timeval { tv_sec: 0, tv_usec: 0 };
        assert_eq!((self.0.gettimeofday)(self.0.userdata, &mut tv, std::ptr::null_mut()), 0);
        tv.tv_sec * 1_000_000 + tv.tv_usec
    }

    fn sleep_ms(&self, ms: u32) {
        (self.0.usleep)(self.0.userdata, ms * 1_000);
    }

    /// The peer (with ISN 1000, so its first byte has number 1001) sends a segment.
    fn inject(&self, flags: TcpFlags, seq: u32, ack: u32, data: &[u8]) {
        let mut pool = FramePool::heap(1, 4_096);
        let mut frame: Frame = pool.alloc().expect("a frame");
        let mss = flags.syn().then_some(1_000);
        let out = SegmentOut {
            src: REMOTE,
            dst: LOCAL,
            src_port: PORT,
            dst_port: PORT,
            seq: Seq(seq),
            ack: Seq(ack),
            flags,
            window: 32_000,
            options: OptionsOut::Any(&TcpOptions { mss, ..TcpOptions::default() }),
            payload_len: data.len() as u16,
            ip: IpFields::default(),
            checksum: ChecksumMode::Full,
        };
        let link = LinkOut { src: Mac::ZERO, dst: Mac::ZERO, vlan: VlanTags::default() };
        assert!(emit::tcp(&mut frame, &link, &out, |to| to.copy_from_slice(data)));
        let packet = &frame.bytes()[ETHERNET_BYTES..];
        assert_eq!((self.0.netdev_send)(self.0.userdata, packet.as_ptr().cast(), packet.len()), 0);
        pool.free(frame);
    }

    /// The next packet of the stack, whose checksums must be right; `None` when nothing comes.
    fn sniff(&self) -> Option<Seg> {
        let (mut buffer, mut at_us) = ([0_u8; 4_096], 0);
        let (packet, ethernet) = (&mut buffer[ETHERNET_BYTES..], ETHERNET_BYTES);
        let mut count = packet.len();
        let got = (self.0.netdev_receive)(self.0.userdata, packet.as_mut_ptr().cast(), &mut count, &mut at_us);
        assert_eq!(got, 0);
        if count == 0 {
            return None;
        }
        buffer[12..14].copy_from_slice(&[8, 0]);
        let frame = &buffer[..ethernet + count];
        let Ok((_, Packet::Tcp(head))) = parse(frame, ParseOptions { verify_checksums: true }) else {
            panic!("not a TCP segment")
        };
        let start = usize::from(head.payload_start);
        let data = frame[start..start + usize::from(head.payload_len)].to_vec();
        Some(Seg { head, data, at_us })
    }

    #[track_caller]
    fn expect(&self, flags: TcpFlags, seq: u32, ack: u32) -> Seg {
        let s = self.sniff().expect("a segment");
        let got = (s.head.flags.0, s.head.seq.0, s.head.ack.0);
        assert_eq!(got, (flags.0, seq, ack), "flags, number, acknowledged");
        s
    }

    fn listener(&self) -> c_int {
        let fd = self.socket();
        let addr = sockaddr(LOCAL, PORT);
        assert_eq!((self.0.bind)(self.0.userdata, fd, (&raw const addr).cast(), SOCKADDR_BYTES), 0);
        assert_eq!((self.0.listen)(self.0.userdata, fd, 1), 0);
        fd
    }

    /// A connection that the peer opens: (listener, connection, our first number).
    fn accepted(&self) -> (c_int, c_int, u32) {
        let listener = self.listener();
        self.inject(TcpFlags::SYN, 1_000, 0, &[]);
        let offer = self.sniff().expect("SYN,ACK");
        assert_eq!(offer.head.flags, TcpFlags::SYN | TcpFlags::ACK);
        let first = offer.head.seq.0.wrapping_add(1);
        self.inject(TcpFlags::ACK, 1_001, first, &[]);
        let (mut peer, mut len) = (sockaddr(Addr::v4([0; 4]), 0), SOCKADDR_BYTES);
        let fd = (self.0.accept)(self.0.userdata, listener, (&raw mut peer).cast(), &mut len);
        assert!(fd >= 0);
        assert_eq!((peer.sin_port.to_be(), peer.sin_addr.s_addr.to_ne_bytes()), (PORT, REMOTE.v4_bytes()));
        (listener, fd, first)
    }

    fn read(&self, fd: c_int, len: usize) -> isize {
        let mut buffer = vec![0_u8; len];
        (self.0.read)(self.0.userdata, fd, buffer.as_mut_ptr().cast(), len)
    }

    fn write(&self, fd: c_int, bytes: &[u8]) -> isize {
        (self.0.write)(self.0.userdata, fd, bytes.as_ptr().cast::<c_void>(), bytes.len())
    }

    fn close(&self, fd: c_int) -> c_int {
        (self.0.close)(self.0.userdata, fd)
    }
}

impl Drill {
    fn free(self) {
        (self.0.free)(self.0.userdata);
    }
}

const ACK: TcpFlags = TcpFlags::ACK;
const PSH: TcpFlags = TcpFlags(TcpFlags::PSH.0 | TcpFlags::ACK.0);
const FIN: TcpFlags = TcpFlags(TcpFlags::FIN.0 | TcpFlags::ACK.0);

#[test]
fn the_shared_object_exports_what_packetdrill_looks_for() {
    // Cargo puts it beside the test program.
    let program = std::env::current_exe().expect("a path");
    let path = program.with_file_name("libsynfin_packetdrill.so").into_os_string().into_encoded_bytes();
    let path = std::ffi::CString::new(path).expect("no NUL in it");
    // SAFETY: C strings; loading the object runs no code of ours.
    let symbol = unsafe {
        let object = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL | libc::RTLD_NODELETE);
        assert!(!object.is_null(), "{path:?} cannot be loaded");
        libc::dlsym(object, c"packetdrill_interface_init".as_ptr())
    };
    assert!(!symbol.is_null());
}

#[test]
fn a_script_of_a_whole_connection_plays() {
    let d = load(c"local=192.168.0.2");
    let (listener, fd, first) = d.accepted();
    d.sleep_ms(10);
    d.inject(PSH, 1_001, first, b"hello");
    assert_eq!(d.read(fd, 99), 5);
    d.expect(ACK, first, 1_006);
    assert_eq!(d.write(fd, &[7; 2_000]), 2_000);
    assert_eq!(d.expect(ACK, first, 1_006).data.len(), 1_000);
    assert_eq!(d.expect(PSH, first + 1_000, 1_006).data, [7; 1_000]);
    d.inject(ACK, 1_006, first + 2_000, &[]);
    assert_eq!(d.close(fd), 0);
    d.expect(FIN, first + 2_000, 1_006);
    d.inject(FIN, 1_006, first + 2_001, &[]);
    d.expect(ACK, first + 2_001, 1_007);
    assert!(d.sniff().is_none(), "TIME-WAIT says nothing");
    assert_eq!(d.close(listener), 0);
    assert_eq!((d.close(listener), errno()), (-1, libc::EBADF));
    d.free();
}

#[test]
fn the_clock_is_virtual_and_never_stands_still_when_asked() {
    let d = load(c"local=192.168.0.2");
    let real = std::time::Instant::now();
    let start = d.now_us();
    assert_eq!(d.now_us(), start + 1);
    d.sleep_ms(3_600_000);
    assert_eq!(d.now_us(), start + 3_600_000_002);
    assert!(real.elapsed() < Duration::from_secs(60), "an hour passes in no time");
    d.free();
}

#[test]
fn packets_bear_the_time_at_which_they_were_sent() {
    let d = load(c"local=192.168.0.2");
    let (_, fd, first) = d.accepted();
    let start = d.now_us();
    assert_eq!(d.write(fd, b"x"), 1);
    d.sleep_ms(10_000);
    let times: Vec<i64> = (0..4).map(|_| d.expect(PSH, first, 1_001).at_us - start).collect();
    let gaps: Vec<i64> = times.windows(2).map(|w| w[1] - w[0]).collect();
    assert_eq!(times[0], 0, "sent at once, though looked at only after ten seconds");
    assert!(gaps.windows(2).all(|w| w[1] >= 2 * w[0] - 1_000), "the time-out doubles: {gaps:?}");
    d.free();
}

#[test]
fn a_call_that_waits_returns_at_the_moment_at_which_it_can() {
    let d = load(c"local=192.168.0.2");
    let (_, fd, first) = d.accepted();
    let start = d.now_us();
    let reader = std::thread::spawn(move || {
        let n = d.read(fd, 99);
        (n, d.now_us())
    });
    // As packetdrill does: on with the script once the other thread sleeps.
    std::thread::sleep(Duration::from_millis(50));
    d.sleep_ms(100);
    d.inject(PSH, 1_001, first, b"hello");
    d.sleep_ms(100);
    let (n, at) = reader.join().expect("the reader's result");
    assert_eq!(n, 5);
    assert_eq!(at - start, 100_000, "not at the end of the second sleep");
    d.free();
}

#[test]
fn a_connection_that_we_open_begins_at_the_given_address() {
    let d = load(c"local=192.168.0.2,mtu=1400,timestamps=0");
    let fd = d.socket();
    (d.0.fcntl)(d.0.userdata, fd, libc::F_SETFL, libc::O_NONBLOCK as usize);
    let to = sockaddr(REMOTE, PORT);
    let connect = || (d.0.connect)(d.0.userdata, fd, (&raw const to).cast(), SOCKADDR_BYTES);
    assert_eq!((connect(), errno()), (-1, libc::EINPROGRESS));
    let syn = d.sniff().expect("SYN");
    assert_eq!((syn.head.src, syn.head.dst, syn.head.dst_port), (LOCAL, REMOTE, PORT));
    assert_eq!((syn.head.options.mss, syn.head.options.timestamp), (Some(1_360), None));
    assert_eq!(d.close(fd), 0);
    d.free();
}

#[test]
fn descriptors_are_the_kernels_and_pointers_may_be_null() {
    let d = load(c"");
    let fd = d.socket();
    // SAFETY: no pointers.
    assert!(unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0, "packetdrill could close it");
    assert_eq!(((d.0.bind)(d.0.userdata, fd, std::ptr::null(), 16), errno()), (-1, libc::EFAULT));
    assert_eq!(((d.0.write)(d.0.userdata, fd, std::ptr::null(), 5), errno()), (-1, libc::EFAULT));
    assert_eq!(((d.0.recvmsg)(d.0.userdata, fd, std::ptr::null_mut(), 0), errno()), (-1, libc::EFAULT));
    assert_eq!(((d.0.read)(d.0.userdata, 9_999, std::ptr::null_mut(), 0), errno()), (-1, libc::EBADF));
    d.free();
}
