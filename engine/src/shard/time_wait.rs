//! TIME-WAIT records: kept for 2MSL, answered for, and let go.

use super::core::{Core, Cx};
use super::ingest::Item;
use crate::base::{DropReason, Event};
use crate::table::Kept;
use crate::tcp::State;
use crate::tcp::timewait::{self, Agreed, TimeWait, TimeWaitVerdict};

/// TIME-WAIT begins anew when at least this fraction of it is over, as a power of two: 1/128 (of 60 s: half a second).
const RESTART_SHIFT: u32 = 7;

impl Core {
    pub(super) fn time_wait_segment(&mut self, place: u32, item: &mut Item, cx: &mut Cx<'_>) {
        let Some((w, own)) = self.time_wait.get(place) else { return };
        let agreed = Agreed(own);
        let verdict = timewait::receive(&w, agreed, &item.key, &item.seg, &mut self.proto.env());
        if self.trace.is_on() {
            self.trace_in(&item.seg, State::TimeWait, State::TimeWait);
        }
        match verdict {
            TimeWaitVerdict::Ignore(reason) => self.proto.counters.drop(reason),
            TimeWaitVerdict::Ack(reason) => {
                self.proto.counters.drop(reason);
                self.time_wait_ack(&w, agreed, item, cx);
            }
            TimeWaitVerdict::AckAndRestart => {
                self.restart_time_wait(place, item.hash, w, agreed);
                if !self.time_wait_ack(&w, agreed, item, cx) {
                    self.proto.counters.drop(DropReason::TxFull);
                }
            }
            TimeWaitVerdict::Reopen if self.is_listening(item.key.local_port) => {
                // Until there is room for the new connection, the old one's peer may still need its answers.
                if self.conns.len() == self.conns.limit() {
                    self.proto.counters.drop(DropReason::TableFull);
                } else if self.open_half(item, Some(w.snd_nxt), cx) {
                    self.proto.counters.event(Event::TimeWaitReused);
                    self.time_wait.remove(place);
                }
            }
            TimeWaitVerdict::Reopen => {
                self.proto.counters.drop(DropReason::SynChallenged);
                self.time_wait_ack(&w, agreed, item, cx);
            }
        }
    }

    /// 2MSL begins anew: the record goes to the end. One that has hardly begun stays where it is, since each move leaves
    /// an empty place behind: a peer that repeats its FIN for ever must not fill the table with them.
    fn restart_time_wait(&mut self, place: u32, hash: u64, w: TimeWait, agreed: Agreed) {
        let now = self.proto.clock.tick;
        let hardly = (self.proto.times.time_wait >> RESTART_SHIFT) as i32;
        if self.time_wait.since(place).is_some_and(|since| now.since(since) > hardly) {
            let kept = self.time_wait.insert(hash, w, agreed.0, now);
            if kept == Kept::InsteadOfTheOldest {
                self.proto.counters.event(Event::TimeWaitEvicted);
            }
        }
    }

    /// The record of a connection that is over and no longer in the flow table.
    pub(super) fn keep_time_wait(&mut self, hash: u64, record: TimeWait, agreed: Agreed) {
        // A connection never has its 4-tuple while a record has it.
        let kept = self.time_wait.insert_new(hash, record, agreed.0, self.proto.clock.tick);
        if kept == Kept::InsteadOfTheOldest {
            self.proto.counters.event(Event::TimeWaitEvicted);
        }
        if kept != Kept::Not {
            self.proto.counters.event(Event::TimeWaitEntered);
        }
    }

    /// Lets records go whose 2MSL is over, as many as `budget`.
    #[inline]
    pub(super) fn expire_time_wait(&mut self, budget: usize) {
        let now = self.proto.clock.tick;
        if self.time_wait.next_deadline().is_some_and(|at| at.is_due(now)) {
            let (_, records) = self.time_wait.pop_expired(budget, now);
            self.proto.counters.add(Event::TimeWaitExpired, records as u64);
        }
    }
}
