//! How much has come that nobody has looked at yet.
//!
//! It is all that tells a worker of overload before frames are lost: who knows of it can choose what to leave undone.

/// What waits at one place; what waits at several is the greatest of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub enum Backlog {
    /// Nothing that is known of.
    #[default]
    None,
    /// More than one turn took.
    Some,
    /// So much that the next stall will cost frames, whatever they are.
    Deep,
}

impl Backlog {
    /// `waiting` frames at a place where `room` can wait. Three quarters are deep: what is left takes a few milliseconds of
    /// frames, which is how long a worker may be away, and peers of whom each waits for our answer seldom fill that much.
    #[inline]
    pub const fn of(waiting: usize, room: usize) -> Backlog {
        if waiting == 0 {
            Backlog::None
        } else if waiting > room - room / 4 {
            Backlog::Deep
        } else {
            Backlog::Some
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_a_matter_of_what_there_is_room_for() {
        let at = |waiting| Backlog::of(waiting, 8192);
        assert_eq!([0, 1, 6144, 6145, 8192].map(at), {
            use Backlog::{Deep, None, Some};
            [None, Some, Some, Deep, Deep]
        });
        assert_eq!(Backlog::of(1, 1), Backlog::Some);
        assert_eq!(Backlog::Some.max(Backlog::Deep), Backlog::Deep);
    }
}
