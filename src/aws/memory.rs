//! One budget for requests being read and replies being written.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes per permit: a semaphore counts to 2^29 on 32-bit machines.
const GRAIN_BYTES: usize = 1024;

/// Memory that connections share. Requests wait for it in their order of arrival.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    free: Arc<Semaphore>,
    grains: u32,
}

impl Memory {
    /// So many bytes, at least one grain.
    pub fn new(bytes: usize) -> Memory {
        let grains = grains(bytes);
        Memory { free: Arc::new(Semaphore::new(grains as usize)), grains }
    }

    /// All there is, in bytes.
    pub fn max_bytes(&self) -> usize {
        self.grains as usize * GRAIN_BYTES
    }

    /// What is taken of it, in bytes.
    pub fn used_bytes(&self) -> usize {
        self.max_bytes().saturating_sub(self.free.available_permits() * GRAIN_BYTES)
    }

    /// Waits for `bytes`, or for all there is if that is less: a single request of any legal
    /// size gets through.
    pub async fn admit(&self, bytes: usize) -> Option<Share> {
        let grains = grains(bytes).min(self.grains);
        let permit = Arc::clone(&self.free).acquire_many_owned(grains).await;
        // Only a closed semaphore refuses, and nobody closes it.
        permit.ok().map(Share)
    }
}

fn grains(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(GRAIN_BYTES)).unwrap_or(u32::MAX >> 3).max(1)
}

/// Admitted memory; free again when dropped.
#[derive(Debug)]
pub(crate) struct Share(OwnedSemaphorePermit);

impl Share {
    /// Gives back what is over `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        let over = self.0.num_permits().saturating_sub(grains(bytes) as usize);
        drop(self.0.split(over));
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
        let memory = Memory::new(10 * GRAIN_BYTES);
        let share = memory.admit(8 * GRAIN_BYTES).await.unwrap();
        assert_eq!(memory.free.available_permits(), 2);
        assert_eq!((memory.used_bytes(), memory.max_bytes()), (8 * GRAIN_BYTES, 10 * GRAIN_BYTES));
        let reply = share.hold(vec![7; 3 * GRAIN_BYTES]);
        assert_eq!(memory.free.available_permits(), 7);
        drop(reply);
        assert_eq!(memory.free.available_permits(), 10);
    }

    #[tokio::test]
    async fn a_request_over_the_whole_budget_gets_all_of_it() {
        let memory = Memory::new(10 * GRAIN_BYTES);
        let share = memory.admit(1 << 30).await.unwrap();
        assert_eq!(memory.free.available_permits(), 0);
        drop(share);
        assert_eq!(memory.free.available_permits(), 10);
    }
}
