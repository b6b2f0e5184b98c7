//! Which core a connection belongs on.
//!
//! A request for partitions that live on another core costs a message there and one back, and each
//! wakes a core that sleeps: about as much as everything else of a small request. The kernel
//! spreads connections over the cores without knowing what they will be used for. So a connection
//! that for some time has asked for partitions of one other core only, one request at a time, moves
//! there. One that keeps several requests under way stays where it is: it wakes nobody, and its
//! requests are parsed on one core while their batches are written on another.

use std::{cell::Cell, rc::Rc};

use model::CoreId;

/// Requests in a row, all for one other core, after which a connection moves for the first time.
const STREAK_FIRST: u32 = 16;
/// Each move makes the next one harder by this factor, so that a client whose requests go to and
/// fro between cores soon stays.
const STREAK_GROWTH: u32 = 8;
/// The longest streak that is asked for.
const STREAK_MAX: u32 = 1 << 16;

/// What the requests of one connection have asked for lately. Clones share it.
#[derive(Debug, Clone)]
pub struct Affinity {
    inner: Rc<Cell<Streak>>,
}

#[derive(Debug, Clone, Copy)]
struct Streak {
    here: CoreId,
    /// The core that all of the last `length` requests were for.
    core: CoreId,
    length: u32,
    /// How long it must be for a move.
    wanted: u32,
}

impl Affinity {
    /// Of a connection that serves on core `here`, and has moved `moves` times.
    pub fn new(here: CoreId, moves: u32) -> Affinity {
        let wanted = STREAK_FIRST.saturating_mul(STREAK_GROWTH.saturating_pow(moves));
        let streak = Streak { here, core: here, length: 0, wanted: wanted.min(STREAK_MAX) };
        Affinity { inner: Rc::new(Cell::new(streak)) }
    }

    /// A request was for partitions of these cores. None at all says nothing.
    pub fn note(&self, cores: impl IntoIterator<Item = CoreId>) {
        let mut cores = cores.into_iter();
        let Some(first) = cores.next() else { return };
        let is_one = cores.all(|core| core == first);
        let mut streak = self.inner.get();
        if is_one && first == streak.core {
            streak.length = streak.length.saturating_add(1);
        } else {
            (streak.core, streak.length) = (first, u32::from(is_one));
        }
        self.inner.set(streak);
    }

    /// Where the connection should rather be.
    pub fn elsewhere(&self) -> Option<CoreId> {
        let streak = self.inner.get();
        (streak.core != streak.here && streak.length >= streak.wanted).then_some(streak.core)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: CoreId = CoreId(0);
    const THERE: CoreId = CoreId(1);

    fn after(requests: impl IntoIterator<Item = Vec<CoreId>>, moves: u32) -> Option<CoreId> {
        let affinity = Affinity::new(HERE, moves);
        requests.into_iter().for_each(|cores| affinity.note(cores));
        affinity.elsewhere()
    }

    fn times(count: u32, cores: &[CoreId]) -> Vec<Vec<CoreId>> {
        vec![cores.to_vec(); count as usize]
    }

    #[test]
    fn a_connection_moves_after_a_streak_of_requests_for_one_other_core() {
        assert_eq!(after(times(STREAK_FIRST - 1, &[THERE]), 0), None);
        assert_eq!(after(times(STREAK_FIRST, &[THERE]), 0), Some(THERE));
        assert_eq!(after(times(STREAK_FIRST, &[THERE, THERE, THERE]), 0), Some(THERE));
        assert_eq!(after(times(1000, &[HERE]), 0), None);
    }

    #[test]
    fn a_request_for_another_core_or_for_several_begins_anew_and_one_for_none_does_not() {
        let almost = times(STREAK_FIRST - 1, &[THERE]);
        let last = times(1, &[THERE]);
        for (between, moves) in [
            (times(1, &[HERE]), None),
            (times(1, &[THERE, HERE]), None),
            (times(1, &[CoreId(2)]), None),
            (times(1, &[]), Some(THERE)),
        ] {
            let requests = almost.iter().chain(&between).chain(&last).cloned();
            assert_eq!(after(requests, 0), moves, "{between:?}");
        }
    }

    #[test]
    fn each_move_makes_the_next_one_harder() {
        assert_eq!(after(times(STREAK_FIRST * STREAK_GROWTH - 1, &[THERE]), 1), None);
        assert_eq!(after(times(STREAK_FIRST * STREAK_GROWTH, &[THERE]), 1), Some(THERE));
        assert_eq!(after(times(STREAK_MAX, &[THERE]), u32::MAX), Some(THERE));
    }
}
