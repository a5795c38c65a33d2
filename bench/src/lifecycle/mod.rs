//! A connection's whole life with a request of 100 bytes and a response of 200: what is run, in which form, and the
//! two applications that do it. How the two ends are joined is not decided here: in memory ([`rig`]), over a device
//! (`veth_pair`).

pub mod client;
pub mod rig;
pub mod server;

pub use client::Client;
pub use rig::{Rig, Run};
pub use server::Server;

use synfin_engine::shard::ConnId;

pub const REQUEST_BYTES: usize = 100;
pub const RESPONSE_BYTES: usize = 200;
pub const SERVER_PORT: u16 = 80;

pub static REQUEST: [u8; REQUEST_BYTES] = [b'q'; REQUEST_BYTES];
pub static RESPONSE: [u8; RESPONSE_BYTES] = [b'r'; RESPONSE_BYTES];

/// How many packets a connection takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// SYN · SYN,ACK · ACK+request · response+FIN · FIN · ACK: whatever can travel together does. The server closes
    /// first and keeps the TIME-WAIT record.
    Six,
    /// SYN · SYN,ACK · ACK · request · response · FIN · ACK · FIN · ACK: three to open, two for the data, four to close.
    /// The client closes first and keeps the TIME-WAIT record.
    Nine,
}

impl Form {
    pub const ALL: [Form; 2] = [Form::Six, Form::Nine];

    pub const fn name(self) -> &'static str {
        match self {
            Form::Six => "6-packet",
            Form::Nine => "9-packet",
        }
    }

    /// Packets of one connection: from the client, from the server.
    pub const fn packets(self) -> (u64, u64) {
        match self {
            Form::Six => (3, 3),
            Form::Nine => (5, 4),
        }
    }

    /// Turns of both ends that one connection takes, if a packet takes no time.
    pub const fn turns(self) -> u64 {
        match self {
            Form::Six => 3,
            Form::Nine => 5,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    pub const fn name(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }
}

/// Connections that wait for the next turn before they say more, so that what they have just asked for (an ACK)
/// travels alone.
#[derive(Default)]
struct NextTurn {
    noted: Vec<ConnId>,
    due: Vec<ConnId>,
}

impl NextTurn {
    fn note(&mut self, id: ConnId) {
        self.noted.push(id);
    }

    /// Acts on what was noted before the last turn's end.
    fn each(&mut self, mut act: impl FnMut(ConnId)) {
        if !self.due.is_empty() {
            self.due.drain(..).for_each(&mut act);
        }
        if !self.noted.is_empty() {
            std::mem::swap(&mut self.noted, &mut self.due);
        }
    }
}
