//! One connection as the applications here use it. The engine's handle is one implementation; tests have another,
//! so that the applications' behaviour is tested without a network.

use synfin_engine::base::Instant;
use synfin_engine::shard::conn::Conn;
use synfin_engine::shard::{Payload, SendError};

/// What an application asks of a connection; each method as on the engine's `Conn`.
pub trait Pipe {
    type User;
    fn user(&mut self) -> &mut Self::User;
    fn now(&self) -> Instant;
    fn send(&mut self, payload: Payload) -> Result<(), SendError>;
    fn send_copy(&mut self, bytes: &[u8]) -> Result<usize, SendError>;
    fn queued_bytes(&self) -> u32;
    fn want_writable(&mut self);
    fn resume_receive(&mut self);
    fn shutdown(&mut self);
    fn close(&mut self);
    fn abort(&mut self);
}

impl<U> Pipe for Conn<'_, U> {
    type User = U;

    fn user(&mut self) -> &mut U {
        self.user
    }

    fn now(&self) -> Instant {
        Conn::now(self)
    }

    fn send(&mut self, payload: Payload) -> Result<(), SendError> {
        Conn::send(self, payload)
    }

    fn send_copy(&mut self, bytes: &[u8]) -> Result<usize, SendError> {
        Conn::send_copy(self, bytes)
    }

    fn queued_bytes(&self) -> u32 {
        Conn::queued_bytes(self)
    }

    fn want_writable(&mut self) {
        Conn::want_writable(self);
    }

    fn resume_receive(&mut self) {
        Conn::resume_receive(self);
    }

    fn shutdown(&mut self) {
        Conn::shutdown(self);
    }

    fn close(&mut self) {
        Conn::close(self);
    }

    fn abort(&mut self) {
        Conn::abort(self);
    }
}

#[cfg(test)]
pub mod fake {
    //! A connection without a peer: keeps what was asked of it.

    use super::*;

    pub struct FakePipe<U> {
        pub user: U,
        pub now: Instant,
        /// Bytes sent and not yet taken by the test.
        pub sent: Vec<u8>,
        /// Bytes of send queue; beyond it `send` answers `Full`, unless the queue is empty.
        pub room: usize,
        pub calls: Vec<&'static str>,
        pub wants_writable: bool,
    }

    impl<U: Default> Default for FakePipe<U> {
        fn default() -> Self {
            FakePipe {
                user: U::default(),
                now: Instant::ZERO,
                sent: Vec::new(),
                room: usize::MAX,
                calls: Vec::new(),
                wants_writable: false,
            }
        }
    }

    impl<U: Default> FakePipe<U> {
        pub fn new() -> Self {
            FakePipe::default()
        }

        pub fn take_sent(&mut self) -> Vec<u8> {
            std::mem::take(&mut self.sent)
        }

        pub fn advance(&mut self, ns: u64) {
            self.now = self.now.plus_nanos(ns);
        }

        fn is_shut(&self) -> bool {
            self.calls.iter().any(|c| ["shutdown", "close", "abort"].contains(c))
        }
    }

    impl<P: Pipe> Pipe for &mut P {
        type User = P::User;
        fn user(&mut self) -> &mut P::User {
            (**self).user()
        }
        fn now(&self) -> Instant {
            (**self).now()
        }
        fn send(&mut self, payload: Payload) -> Result<(), SendError> {
            (**self).send(payload)
        }
        fn send_copy(&mut self, bytes: &[u8]) -> Result<usize, SendError> {
            (**self).send_copy(bytes)
        }
        fn queued_bytes(&self) -> u32 {
            (**self).queued_bytes()
        }
        fn want_writable(&mut self) {
            (**self).want_writable();
        }
        fn resume_receive(&mut self) {
            (**self).resume_receive();
        }
        fn shutdown(&mut self) {
            (**self).shutdown();
        }
        fn close(&mut self) {
            (**self).close();
        }
        fn abort(&mut self) {
            (**self).abort();
        }
    }

    impl<U> Pipe for FakePipe<U>
    where
        U: Default,
    {
        type User = U;

        fn user(&mut self) -> &mut U {
            &mut self.user
        }

        fn now(&self) -> Instant {
            self.now
        }

        fn send(&mut self, payload: Payload) -> Result<(), SendError> {
            if self.is_shut() {
                return Err(SendError::Closed);
            }
            if !self.sent.is_empty() && self.sent.len() + payload.len() as usize > self.room {
                self.wants_writable = true;
                return Err(SendError::Full);
            }
            match payload {
                Payload::Static(b) => self.sent.extend_from_slice(b),
                Payload::Shared(b) => self.sent.extend_from_slice(&b),
                Payload::Generated(g) => {
                    // In segments of an odd size, as a connection would ask for them.
                    let mut segment = [0; 1447];
                    let mut at = 0;
                    while at < g.len {
                        let n = (g.len - at).min(1447) as usize;
                        (g.fill)(g.seed, at, &mut segment[..n]);
                        self.sent.extend_from_slice(&segment[..n]);
                        at += n as u64;
                    }
                }
            }
            Ok(())
        }

        fn send_copy(&mut self, bytes: &[u8]) -> Result<usize, SendError> {
            if self.is_shut() {
                return Err(SendError::Closed);
            }
            let n = bytes.len().min(self.room.saturating_sub(self.sent.len()));
            self.sent.extend_from_slice(&bytes[..n]);
            self.wants_writable |= n < bytes.len();
            Ok(n)
        }

        fn queued_bytes(&self) -> u32 {
            self.sent.len() as u32
        }

        fn want_writable(&mut self) {
            self.wants_writable = true;
        }

        fn resume_receive(&mut self) {
            self.calls.push("resume_receive");
        }

        fn shutdown(&mut self) {
            self.calls.push("shutdown");
        }

        fn close(&mut self) {
            self.calls.push("close");
        }

        fn abort(&mut self) {
            self.calls.push("abort");
        }
    }
}
