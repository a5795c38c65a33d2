//! Epoll instances: sets of sockets with the events that a program waits for, level- or edge-triggered.

use super::ready::bits;
use super::table::Entry;
use super::{Errno, Fd, Sockets};
use std::collections::BTreeMap;

const EDGE: u32 = libc::EPOLLET as u32;
const ONE_SHOT: u32 = libc::EPOLLONESHOT as u32;
const EXCLUSIVE: u32 = libc::EPOLLEXCLUSIVE as u32;

/// What is waited for, or what has happened, with the program's own word for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpollEvent {
    pub events: u32,
    pub data: u64,
}

/// `epoll_ctl`'s operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    Add(EpollEvent),
    Modify(EpollEvent),
    Delete,
}

struct Interest {
    event: EpollEvent,
    /// Something has happened since the last report (edge-triggered).
    woken: bool,
    /// One-shot, and it was reported.
    disarmed: bool,
}

#[derive(Default)]
pub struct Epoll {
    interests: BTreeMap<Fd, Interest>,
    /// Where the next report begins, so that a short list leaves nobody out.
    next: Fd,
}

impl Epoll {
    pub fn wake(&mut self, fd: Fd) {
        if let Some(i) = self.interests.get_mut(&fd) {
            i.woken = true;
        }
    }
}

impl Sockets<'_> {
    pub fn epoll_create(&mut self) -> Fd {
        self.table.insert(Entry::Epoll(Epoll::default()))
    }

    pub fn epoll_ctl(&mut self, epoll: Fd, fd: Fd, control: Control) -> Result<(), Errno> {
        self.table.socket(fd).map_err(|e| if e == Errno::NOTSOCK { Errno::INVAL } else { e })?;
        let set = &mut self.table.epoll(epoll)?.interests;
        match control {
            Control::Add(_) if set.contains_key(&fd) => return Err(Errno::EXIST),
            Control::Modify(_) | Control::Delete if !set.contains_key(&fd) => return Err(Errno::NOENT),
            Control::Modify(e) if e.events & EXCLUSIVE != 0 => return Err(Errno::INVAL),
            Control::Add(event) | Control::Modify(event) => {
                // It may be ready already: the next report finds out.
                set.insert(fd, Interest { event, woken: true, disarmed: false });
            }
            Control::Delete => {
                set.remove(&fd);
            }
        }
        let watchers = &mut self.table.socket(fd)?.watchers;
        watchers.retain(|&w| w != epoll);
        if control != Control::Delete {
            watchers.push(epoll);
        }
        Ok(())
    }

    /// What has happened, at most `limit` events of it.
    pub fn epoll_wait(&mut self, epoll: Fd, limit: usize) -> Result<Vec<EpollEvent>, Errno> {
        if limit == 0 {
            return Err(Errno::INVAL);
        }
        let set = self.table.epoll(epoll)?;
        let (before, after) = (set.interests.range(..set.next), set.interests.range(set.next..));
        let fds: Vec<Fd> = after.chain(before).map(|(&fd, _)| fd).collect();
        let mut out = Vec::new();
        for fd in fds {
            let mask = self.table.mask(fd, &mut self.net)?;
            let set = self.table.epoll(epoll)?;
            let Some(i) = set.interests.get_mut(&fd) else { continue };
            let events = mask & (i.event.events | bits::ERR | bits::HUP);
            let edge = i.event.events & EDGE != 0;
            if events == 0 || i.disarmed || (edge && !i.woken) {
                continue;
            }
            i.woken = false;
            i.disarmed = i.event.events & ONE_SHOT != 0;
            out.push(EpollEvent { events, data: i.event.data });
            if out.len() == limit {
                set.next = fd + 1;
                break;
            }
        }
        Ok(out)
    }

    /// `fd` is being closed: no epoll instance watches it any more.
    pub(super) fn stop_watching(&mut self, fd: Fd) {
        let Ok(s) = self.table.socket(fd) else { return };
        for epoll in std::mem::take(&mut s.watchers) {
            if let Ok(e) = self.table.epoll(epoll) {
                e.interests.remove(&fd);
            }
        }
    }
}
