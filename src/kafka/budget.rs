//! The memory that requests of one core may take together.
//!
//! A frame is admitted before a byte of it is read into memory of its own, and its share is given
//! back when its reply has been written. A connection whose frame finds no room waits, and TCP
//! makes its client wait. A part is kept for small frames, so that clients whose large frames come
//! slowly do not hold up everybody's metadata and heartbeats.

use std::{pin::pin, sync::Arc};

use futures_util::future::select;
use runtime::sync::{OwnedSemaphorePermit, Semaphore};

/// Shares are counted in pieces of this size, because a semaphore's request is 32 bits wide.
const PIECE_BYTES: usize = 256;

/// What a decoded element (array entry, tagged field) is taken to cost, in bytes.
const ELEMENT_BYTES: usize = 160;

/// Frames up to this size are small.
const SMALL_FRAME_BYTES: usize = 64 << 10;

/// One part in so many of the budget is kept for small frames.
const RESERVE_PART: usize = 8;

/// One core's budget; clones share it.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    pieces: Arc<Semaphore>,
    pieces_max: usize,
    /// For small frames that find no room in `pieces`.
    reserve: Arc<Semaphore>,
    reserve_max: usize,
    /// At most one request at a time may decode beyond the budget, see [`MemoryBudget::admit_beyond`].
    overdraft: Arc<Semaphore>,
}

/// A share of the budget, given back when dropped.
#[derive(Debug)]
pub struct Admission {
    _permit: OwnedSemaphorePermit,
}

impl MemoryBudget {
    /// A budget of `bytes`.
    pub fn new(bytes: usize) -> MemoryBudget {
        let all = (bytes / PIECE_BYTES).clamp(2, u32::MAX as usize >> 3);
        let reserve_max = (all / RESERVE_PART).max(1);
        let pieces_max = all - reserve_max;
        MemoryBudget {
            pieces: Arc::new(Semaphore::new(pieces_max)),
            pieces_max,
            reserve: Arc::new(Semaphore::new(reserve_max)),
            reserve_max,
            overdraft: Arc::new(Semaphore::new(1)),
        }
    }

    /// Waits until `bytes` are free. One that exceeds the whole budget waits for all of it, but
    /// for what is kept for small ones.
    pub async fn admit(&self, bytes: usize) -> Admission {
        let pieces = self.pieces_of(bytes);
        if let Ok(permit) = self.pieces.clone().try_acquire_many_owned(pieces) {
            return Admission { _permit: permit };
        }
        let fits_reserve = bytes.div_ceil(PIECE_BYTES) <= self.reserve_max;
        if bytes <= SMALL_FRAME_BYTES && fits_reserve {
            let room = Arc::clone(&self.pieces).acquire_many_owned(pieces);
            let reserved = Arc::clone(&self.reserve).acquire_many_owned(pieces);
            return match select(pin!(room), pin!(reserved)).await.factor_first().0 {
                Ok(permit) => Admission { _permit: permit },
                Err(_) => std::future::pending().await,
            };
        }
        match self.pieces.clone().acquire_many_owned(pieces).await {
            Ok(permit) => Admission { _permit: permit },
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// Room for a request's decoded form, whose frame was admitted already.
    pub async fn admit_decoded(&self, elements: usize) -> Admission {
        self.admit_beyond(elements.saturating_mul(ELEMENT_BYTES)).await
    }

    /// More room for a request whose frame was admitted already. It must not wait for the budget
    /// while it holds a share of it: all might. So what finds no room goes on nevertheless, but
    /// only one such request at a time.
    pub async fn admit_beyond(&self, bytes: usize) -> Admission {
        let pieces = self.pieces_of(bytes);
        if let Ok(permit) = self.pieces.clone().try_acquire_many_owned(pieces) {
            return Admission { _permit: permit };
        }
        match Arc::clone(&self.overdraft).acquire_owned().await {
            Ok(permit) => Admission { _permit: permit },
            Err(_) => std::future::pending().await,
        }
    }

    fn pieces_of(&self, bytes: usize) -> u32 {
        let pieces = bytes.div_ceil(PIECE_BYTES).min(self.pieces_max);
        u32::try_from(pieces).unwrap_or(u32::MAX)
    }

    /// Bytes that there are in all.
    pub fn max_bytes(&self) -> usize {
        (self.pieces_max + self.reserve_max) * PIECE_BYTES
    }

    /// Bytes not given out.
    pub fn free_bytes(&self) -> usize {
        (self.pieces.available_permits() + self.reserve.available_permits()) * PIECE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// A budget with a reserve for one small frame of 64 KiB.
    fn budget() -> MemoryBudget {
        MemoryBudget::new(512 << 10)
    }

    #[test]
    fn a_frame_waits_for_room_and_a_decoded_form_takes_the_overdraft_once() {
        let budget = budget();
        let first = budget.admit(448 << 10).now_or_never().expect("there is room");
        // No room is left: a second frame waits, until the first gives its share back.
        let mut second = pin!(budget.admit(65 << 10));
        assert!(second.as_mut().now_or_never().is_none());
        // What was admitted goes on, but only one at a time.
        let beyond = budget.admit_beyond(1).now_or_never();
        assert!(beyond.is_some());
        assert!(budget.admit_beyond(1).now_or_never().is_none());
        drop(beyond);
        drop(first);
        assert!(second.now_or_never().is_some());
    }

    #[test]
    fn a_frame_larger_than_the_budget_takes_all_of_it_but_the_reserve() {
        let budget = budget();
        let all = budget.admit(1 << 30).now_or_never();
        assert!(all.is_some());
        assert_eq!(budget.free_bytes(), 64 << 10);
    }

    #[test]
    fn small_frames_go_on_while_large_ones_hold_the_rest() {
        let budget = budget();
        let large = budget.admit(448 << 10).now_or_never().expect("there is room");
        let small = budget.admit(60 << 10).now_or_never();
        assert!(small.is_some());
        // The reserve is used up as well: the next small one takes what is free first.
        let mut next = pin!(budget.admit(60 << 10));
        assert!(next.as_mut().now_or_never().is_none());
        drop(large);
        assert!(next.now_or_never().is_some());
    }
}
