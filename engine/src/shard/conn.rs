//! Handles through which an application reaches the shard during a callback.

use super::app::{ConnId, Connect, ConnectError, Payload, SendError};
use crate::base::Instant;
use crate::wire::Addr;

/// One connection during a callback.
pub struct Conn<'a, U> {
    /// The application's own data.
    pub user: &'a mut U,
}

impl<U> Conn<'_, U> {
    pub fn id(&self) -> ConnId {
        unimplemented!()
    }
    pub fn now(&self) -> Instant {
        unimplemented!()
    }
    pub fn local(&self) -> (Addr, u16) {
        unimplemented!()
    }
    pub fn remote(&self) -> (Addr, u16) {
        unimplemented!()
    }
    /// Queues bytes. Empty payloads are accepted and do nothing.
    pub fn send(&mut self, _payload: Payload) -> Result<(), SendError> {
        unimplemented!()
    }
    /// Copies bytes into pooled buffers and queues them; returns how many were taken (0 when full: `writable` follows).
    pub fn send_copy(&mut self, _bytes: &[u8]) -> Result<usize, SendError> {
        unimplemented!()
    }
    /// Bytes queued and not yet acknowledged.
    pub fn queued_bytes(&self) -> u32 {
        unimplemented!()
    }
    /// Asks for `writable` once fewer than 64 KiB are queued.
    pub fn want_writable(&mut self) {
        unimplemented!()
    }
    /// Closes our direction after what is queued (FIN); receiving goes on.
    pub fn shutdown(&mut self) {
        unimplemented!()
    }
    /// Closes our direction after what is queued, and takes no more data: what still arrives is answered with RST.
    pub fn close(&mut self) {
        unimplemented!()
    }
    /// RST now; `closed(Aborted)` follows.
    pub fn abort(&mut self) {
        unimplemented!()
    }
    /// Offers again what `data` left.
    pub fn resume_receive(&mut self) {
        unimplemented!()
    }
    /// Nagle's algorithm off (true, the default) or on.
    pub fn set_nodelay(&mut self, _on: bool) {
        unimplemented!()
    }
    /// Smoothed round-trip time in nanoseconds, once measured.
    pub fn srtt_ns(&self) -> Option<u64> {
        unimplemented!()
    }
}

/// The shard during `App::poll`.
pub struct Net<'a, U> {
    _marker: core::marker::PhantomData<&'a mut U>,
}

impl<U: Default> Net<'_, U> {
    pub fn now(&self) -> Instant {
        unimplemented!()
    }
    /// Begins a connection: SYN goes out with this turn's burst.
    pub fn connect(&mut self, _to: Connect, _user: U) -> Result<ConnId, ConnectError> {
        unimplemented!()
    }
    /// A live connection by its name.
    pub fn conn(&mut self, _id: ConnId) -> Option<Conn<'_, U>> {
        unimplemented!()
    }
    /// Connections that are not closed (half-open and TIME-WAIT not counted).
    pub fn live(&self) -> u32 {
        unimplemented!()
    }
}
