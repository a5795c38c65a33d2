//! The network as the load generator uses it: connections are begun and found by name. The engine's handle is one
//! implementation; tests have another.

use super::client::Steer;
use super::tuples::Tuples;
use crate::pipe::Pipe;
use synfin_engine::base::Instant;
use synfin_engine::shard::app::{ConnId, Connect, ConnectError};
use synfin_engine::shard::conn::{Conn, Net};

pub trait Dialer<U> {
    type Pipe<'a>: Pipe<User = U>
    where
        Self: 'a;
    fn now(&self) -> Instant;
    /// More has come than one turn takes.
    fn is_behind(&self) -> bool;
    /// `connect` to the same place comes soon.
    fn prepare(&mut self, to: &Connect);
    fn connect(&mut self, to: Connect, user: U) -> Result<ConnId, ConnectError>;
    /// As `connect`; what is sent in this turn may go with the SYN.
    fn connect_fast(&mut self, to: Connect, user: U) -> Result<ConnId, ConnectError>;
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

    fn is_behind(&self) -> bool {
        Net::is_behind(self)
    }

    fn prepare(&mut self, to: &Connect) {
        Net::prepare(self, to);
    }

    fn connect(&mut self, to: Connect, user: U) -> Result<ConnId, ConnectError> {
        Net::connect(self, to, user)
    }

    fn connect_fast(&mut self, to: Connect, user: U) -> Result<ConnId, ConnectError> {
        Net::connect_fast(self, to, user)
    }

    fn conn(&mut self, id: ConnId) -> Option<Conn<'_, U>> {
        Net::conn(self, id)
    }
}

/// Among many connections, fetching what a launch needs takes as long as everything else: those of one turn fetch it
/// together. `tries`: tuples that may be somebody else's, one after the other.
pub fn prepare<U>(net: &mut impl Dialer<U>, tuples: &Tuples, steer: Option<&Steer>, launches: u64, tries: u32) {
    if launches < 2 {
        return;
    }
    tuples.upcoming(launches, tries, |to| {
        let is_mine = steer.is_none_or(|is_mine| is_mine(to));
        if is_mine {
            net.prepare(to);
        }
        is_mine
    });
}

#[cfg(test)]
pub mod fake {
    //! A network in which the test decides what happens to each connection.

    use super::*;
    use crate::pipe::fake::FakePipe;
    use std::collections::HashSet;
    use synfin_engine::wire::Addr;

    pub struct FakeNet<U> {
        pub now: Instant,
        pub is_behind: bool,
        /// By slot; gone when over.
        pub conns: Vec<Option<FakePipe<U>>>,
        pub tuples: HashSet<(Addr, u16)>,
        pub connects: Vec<(Instant, Connect)>,
        /// Tuples that were asked for, those in use included.
        pub tries: usize,
        /// Tuples that were prepared and not tried since.
        pub prepared: HashSet<(Addr, u16)>,
        /// Of those that were tried, how many had been prepared.
        pub expected: usize,
        pub full: bool,
    }

    impl<U> Default for FakeNet<U> {
        fn default() -> Self {
            let (conns, connects) = (Vec::new(), Vec::new());
            let (tuples, prepared) = (HashSet::new(), HashSet::new());
            let (now, is_behind) = (Instant::ZERO, false);
            FakeNet { now, is_behind, conns, tuples, connects, tries: 0, prepared, expected: 0, full: false }
        }
    }

    impl<U: Default> Dialer<U> for FakeNet<U> {
        type Pipe<'a>
            = &'a mut FakePipe<U>
        where
            U: 'a;

        fn now(&self) -> Instant {
            self.now
        }

        fn is_behind(&self) -> bool {
            self.is_behind
        }

        fn prepare(&mut self, to: &Connect) {
            self.prepared.insert((to.local, to.local_port));
        }

        fn connect(&mut self, to: Connect, user: U) -> Result<ConnId, ConnectError> {
            self.tries += 1;
            self.expected += usize::from(self.prepared.remove(&(to.local, to.local_port)));
            if self.full {
                return Err(ConnectError::TableFull);
            }
            if !self.tuples.insert((to.local, to.local_port)) {
                return Err(ConnectError::AddressInUse);
            }
            self.connects.push((self.now, to));
            let mut pipe = FakePipe::new();
            pipe.user = user;
            self.conns.push(Some(pipe));
            Ok(ConnId { slot: self.conns.len() as u32 - 1, generation: 0 })
        }

        fn connect_fast(&mut self, to: Connect, user: U) -> Result<ConnId, ConnectError> {
            self.connect(to, user)
        }

        fn conn(&mut self, id: ConnId) -> Option<&mut FakePipe<U>> {
            let now = self.now;
            let conn = self.conns.get_mut(id.slot as usize)?.as_mut()?;
            conn.now = now;
            Some(conn)
        }
    }
}
