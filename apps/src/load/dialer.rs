//! The network as the load generator uses it: connections are begun and found by name. The engine's handle is one
//! implementation; tests have another.

use crate::pipe::Pipe;
use synfin_engine::base::Instant;
use synfin_engine::shard::app::{ConnId, Connect, ConnectError};
use synfin_engine::shard::conn::{Conn, Net};

pub trait Dialer<U> {
    type Pipe<'a>: Pipe<User = U>
    where
        Self: 'a;
    fn now(&self) -> Instant;
    fn connect(&mut self, to: Connect, user: U) -> Result<ConnId, ConnectError>;
    fn conn(&mut self, id: ConnId) -> Option<Self::Pipe<'_>>;
}

impl<U: Default> Dialer<U> for Net<'_, U> {
    type Pipe<'a>
        = Conn<'a, U>
    where
        Self: 'a;

    fn now(&self) -> Instant {
        Net::now(self)
    }

    fn connect(&mut self, to: Connect, user: U) -> Result<ConnId, ConnectError> {
        Net::connect(self, to, user)
    }

    fn conn(&mut self, id: ConnId) -> Option<Conn<'_, U>> {
        Net::conn(self, id)
    }
}
