//! One budget for requests being read and replies being written.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes per permit: a semaphore counts to 2^29 on 32-bit machines.
const GRAIN_BYTES: usize = 1024;

/// Memory that connections share. Requests wait for it in their order of arrival.
///
/// Half of it at most is for events: a slow reader holds one for as long as the connection's patience
/// lasts, and a request must not wait for that. So a request never asks for more than the other half.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    free: Arc<Semaphore>,
    free_for_events: Arc<Semaphore>,
    grains: u32,
}

impl Memory {
    /// So many bytes, at least two grains.
    pub fn new(bytes: usize) -> Memory {
        let grains = grains(bytes).max(2);
        Memory {
            free: Arc::new(Semaphore::new(grains as usize)),
            free_for_events: Arc::new(Semaphore::new(event_grains(grains) as usize)),
            grains,
        }
    }

    /// All there is, in bytes.
    pub fn max_bytes(&self) -> usize {
        self.grains as usize * GRAIN_BYTES
    }

    /// What is taken of it, in bytes.
    pub fn used_bytes(&self) -> usize {
        self.max_bytes().saturating_sub(self.free.available_permits() * GRAIN_BYTES)
    }

    /// Waits for `bytes`, or for all that events leave if that is less: a single request of any
    /// legal size gets through.
    pub async fn admit(&self, bytes: usize) -> Option<Share> {
        let grains = grains(bytes).min(self.grains - event_grains(self.grains)).max(1);
        let permit = Arc::clone(&self.free).acquire_many_owned(grains).await;
        // Only a closed semaphore refuses, and nobody closes it.
        Some(Share { permit: permit.ok()?, of_events: None })
    }

    /// The same for an event, or for half of all there is if that is less.
    pub async fn admit_event(&self, bytes: usize) -> Option<Share> {
        let grains = grains(bytes).min(event_grains(self.grains));
        let of_events = Arc::clone(&self.free_for_events).acquire_many_owned(grains).await.ok()?;
        let permit = Arc::clone(&self.free).acquire_many_owned(grains).await.ok()?;
        Some(Share { permit, of_events: Some(of_events) })
    }
}

/// The part that events may take.
fn event_grains(grains: u32) -> u32 {
    grains / 2
}

fn grains(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(GRAIN_BYTES)).unwrap_or(u32::MAX >> 3).max(1)
}

/// Admitted memory; free again when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    permit: OwnedSemaphorePermit,
    /// Of the half that events may take, as many.
    of_events: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// Gives back what is over `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        for permit in self.of_events.iter_mut().chain([&mut self.permit]) {
            let over = permit.num_permits().saturating_sub(grains(bytes) as usize);
            drop(permit.split(over));
        }
    }

    /// The bytes of a reply, which hold this share until the connection has written them.
    pub fn hold(mut self, bytes: Vec<u8>) -> Bytes {
        self.shrink(bytes.len());
        Bytes::from_owner(Held { bytes, _share: self })
    }
}

struct Held {
    bytes: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reply_holds_its_share_until_it_is_dropped() {
        let memory = Memory::new(20 * GRAIN_BYTES);
        let share = memory.admit(8 * GRAIN_BYTES).await.unwrap();
        assert_eq!(memory.free.available_permits(), 12);
        assert_eq!((memory.used_bytes(), memory.max_bytes()), (8 * GRAIN_BYTES, 20 * GRAIN_BYTES));
        let reply = share.hold(vec![7; 3 * GRAIN_BYTES]);
        assert_eq!(memory.free.available_permits(), 17);
        drop(reply);
        assert_eq!(memory.free.available_permits(), 20);
    }

    #[tokio::test]
    async fn events_that_nobody_takes_leave_half_of_it_to_requests() {
        let memory = Memory::new(10 * GRAIN_BYTES);
        let first = memory.admit_event(3 * GRAIN_BYTES).await.unwrap();
        let first = first.hold(vec![7; 2 * GRAIN_BYTES]);
        let second = memory.admit_event(3 * GRAIN_BYTES).await.unwrap();
        assert_eq!(memory.free.available_permits(), 5);
        let mut third = Box::pin(memory.admit_event(GRAIN_BYTES));
        assert!(futures_util::poll!(&mut third).is_pending());
        // However much it asks for.
        let request = memory.admit(1 << 30).await.unwrap();
        drop((first, request));
        assert!(futures_util::poll!(&mut third).is_ready());
        drop((second, third));
        assert_eq!(memory.free.available_permits(), 10);
        assert_eq!(memory.free_for_events.available_permits(), 5);
    }

    #[tokio::test]
    async fn what_is_larger_than_its_half_gets_all_of_that() {
        let memory = Memory::new(10 * GRAIN_BYTES);
        let share = memory.admit(1 << 30).await.unwrap();
        assert_eq!(memory.free.available_permits(), 5);
        let event = memory.admit_event(1 << 30).await.unwrap();
        assert_eq!(memory.free.available_permits(), 0);
        drop((share, event));
        assert_eq!(memory.free.available_permits(), 10);
    }
}
