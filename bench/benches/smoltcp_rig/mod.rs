//! *lifecycle* through smoltcp: two interfaces joined in memory, in virtual time, driven like our own two shards.
//!
//! As favourable to smoltcp as it gets: the six-packet form (the application acts between ingress and egress, so data
//! and FIN ride on ACKs that are due anyway), no delayed ACK, no Nagle, no timestamps, no congestion control, small
//! buffers, sockets reused as soon as TIME-WAIT begins, no reassembly compiled in, and the busy socket first in the set
//! that is searched linearly. Like our side it speaks Ethernet and computes and verifies checksums.

mod device;

use device::Device;
use smoltcp::iface::{Config, Interface, PollIngressSingleResult, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, IpEndpoint};
use synfin_bench::lifecycle::{REQUEST, REQUEST_BYTES, RESPONSE, RESPONSE_BYTES, SERVER_PORT};

/// For request or response, whichever is larger.
const BUFFER_BYTES: usize = 256;
const FIRST_PORT: u16 = 1024;
const US_PER_TURN: i64 = 3;
const TURNS_MAX_WITHOUT_PROGRESS: u32 = 10_000;

struct Host {
    interface: Interface,
    device: Device,
    sockets: SocketSet<'static>,
    /// The one that is at work.
    busy: SocketHandle,
    /// Of the stream that is being received.
    received: usize,
}

impl Host {
    fn new(number: u8) -> Host {
        let mut device = Device::default();
        let mac = HardwareAddress::Ethernet(EthernetAddress([2, 0, 0, 0, 0, number]));
        let mut interface = Interface::new(Config::new(mac), &mut device, Instant::ZERO);
        interface.update_ip_addrs(|list| {
            list.push(IpCidr::new(address(number), 24)).expect("there is room for one address");
        });
        let mut sockets = SocketSet::new(Vec::new());
        let busy = sockets.add(socket());
        Host { interface, device, sockets, busy, received: 0 }
    }

    fn ingress(&mut self, now: Instant) {
        while self.interface.poll_ingress_single(now, &mut self.device, &mut self.sockets)
            != PollIngressSingleResult::None
        {}
    }

    fn egress(&mut self, now: Instant) {
        self.interface.poll_egress(now, &mut self.device, &mut self.sockets);
    }
}

fn address(number: u8) -> IpAddress {
    IpAddress::v4(198, 18, 0, number)
}

fn socket() -> Socket<'static> {
    let buffer = || SocketBuffer::new(vec![0; BUFFER_BYTES]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_ack_delay(None);
    socket.set_nagle_enabled(false);
    socket
}

/// Takes all that has come; returns how many bytes.
fn take(socket: &mut Socket<'_>) -> usize {
    let mut received = 0;
    while socket.can_recv() {
        received += socket.recv(|bytes| (bytes.len(), bytes.len())).unwrap_or(0);
    }
    received
}

pub struct SmoltcpRig {
    client: Host,
    server: Host,
    now_us: i64,
    next_port: u16,
    /// Idle connections have those below.
    first_port: u16,
    asked: bool,
    is_idle: bool,
    limit: u64,
    begun: u64,
    pub completed: u64,
    pub failed: u64,
}

impl SmoltcpRig {
    /// Two hosts with `idle` established connections between them.
    pub fn new(idle: u16) -> SmoltcpRig {
        let mut rig = SmoltcpRig {
            client: Host::new(1),
            server: Host::new(2),
            now_us: 1_000_000,
            next_port: FIRST_PORT,
            first_port: FIRST_PORT + idle,
            asked: false,
            is_idle: true,
            limit: 0,
            begun: 0,
            completed: 0,
            failed: 0,
        };
        let pairs: Vec<[Socket<'static>; 2]> = (0..idle).map(|_| rig.open_idle()).collect();
        for [client, server] in pairs {
            rig.client.sockets.add(client);
            rig.server.sockets.add(server);
        }
        rig.listen();
        rig
    }

    fn listen(&mut self) {
        let socket = self.server.sockets.get_mut::<Socket<'_>>(self.server.busy);
        socket.listen(SERVER_PORT).expect("the socket is free");
        self.server.received = 0;
    }

    /// Connects the two busy sockets and takes them out; new ones take their places, the first in the sets.
    fn open_idle(&mut self) -> [Socket<'static>; 2] {
        self.listen();
        self.connect();
        for _ in 0..TURNS_MAX_WITHOUT_PROGRESS {
            self.turn(false);
            let is_established = |host: &Host| host.sockets.get::<Socket<'_>>(host.busy).state() == State::Established;
            if is_established(&self.client) && is_established(&self.server) {
                break;
            }
        }
        [&mut self.client, &mut self.server].map(|host| {
            let busy = host.sockets.get_mut::<Socket<'_>>(host.busy);
            assert_eq!(busy.state(), State::Established);
            std::mem::replace(busy, socket())
        })
    }

    fn connect(&mut self) {
        let Host { interface, sockets, busy, received, .. } = &mut self.client;
        let socket = sockets.get_mut::<Socket<'_>>(*busy);
        let target = IpEndpoint::new(address(2), SERVER_PORT);
        socket.connect(interface.context(), target, self.next_port).expect("the socket is free");
        self.next_port = if self.next_port == u16::MAX { self.first_port } else { self.next_port + 1 };
        (*received, self.asked) = (0, false);
    }

    /// Packets that the client and the server have sent.
    pub fn packets(&self) -> (u64, u64) {
        (self.client.device.sent, self.server.device.sent)
    }

    /// Runs `connections` more, one after the other.
    ///
    /// # Panics
    /// When a connection does not complete.
    pub fn complete(&mut self, connections: u64) {
        self.limit += connections;
        let mut turns_without_progress = 0;
        while self.completed + self.failed < self.limit || !self.is_idle {
            let before = self.completed;
            self.turn(true);
            turns_without_progress = if self.completed > before { 0 } else { turns_without_progress + 1 };
            assert!(turns_without_progress < TURNS_MAX_WITHOUT_PROGRESS, "smoltcp came to a halt");
        }
    }

    /// One turn of both hosts.
    fn turn(&mut self, at_work: bool) {
        self.now_us += US_PER_TURN;
        let now = Instant::from_micros(self.now_us);
        self.client.ingress(now);
        if at_work {
            self.client_acts();
        }
        self.client.egress(now);
        self.server.device.take_from(&mut self.client.device);

        self.server.ingress(now);
        if at_work {
            self.server_acts();
        }
        self.server.egress(now);
        self.client.device.take_from(&mut self.server.device);
        if at_work && self.server.sockets.get::<Socket<'_>>(self.server.busy).state() == State::TimeWait {
            // Its last ACK is sent: the next connection may come.
            self.listen();
        }
    }

    /// Asks when connected, closes when the server has, begins anew when all is over.
    fn client_acts(&mut self) {
        let Host { sockets, busy, received, .. } = &mut self.client;
        let socket = sockets.get_mut::<Socket<'_>>(*busy);
        if !socket.is_open() {
            if !self.is_idle {
                self.is_idle = true;
                let whole = self.asked && *received == RESPONSE_BYTES;
                (self.completed, self.failed) =
                    if whole { (self.completed + 1, self.failed) } else { (self.completed, self.failed + 1) };
            }
            if self.begun < self.limit {
                self.begun += 1;
                self.is_idle = false;
                self.connect();
            }
            return;
        }
        if !self.asked && socket.may_send() {
            self.asked = socket.send_slice(&REQUEST) == Ok(REQUEST_BYTES);
        }
        *received += take(socket);
        if socket.state() == State::CloseWait {
            socket.close();
        }
    }

    /// Answers the whole request and closes.
    fn server_acts(&mut self) {
        let Host { sockets, busy, received, .. } = &mut self.server;
        let socket = sockets.get_mut::<Socket<'_>>(*busy);
        if *received == REQUEST_BYTES {
            return;
        }
        *received += take(socket);
        if *received == REQUEST_BYTES {
            // A response that cannot be queued shows as a connection that fails.
            let _ = socket.send_slice(&RESPONSE);
            socket.close();
        }
    }

    /// Whether every connection took six packets (and ARP two in all, before the first); else what is wrong.
    pub fn check(&self, since: (u64, u64), connections: u64) -> Result<(), String> {
        let (client, server) = self.packets();
        let sent = (client - since.0, server - since.1);
        if self.failed > 0 || sent != (3 * connections, 3 * connections) {
            return Err(format!("smoltcp: {} failed, {sent:?} packets for {connections} connections", self.failed));
        }
        Ok(())
    }
}
