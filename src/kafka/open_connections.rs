//! How many connections there are: of those that a core has accepted, and of those that it serves.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use broker::Broker;
use runtime::sync::Notify;
use state::configs::MAX_CONNECTIONS;

/// A number of connections, with somebody who waits until it falls. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct OpenConnections {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    count: AtomicUsize,
    closed: Notify,
}

impl OpenConnections {
    /// How many there are.
    pub fn count(&self) -> usize {
        // A number by itself: nothing is read on the strength of it.
        self.inner.count.load(Ordering::Relaxed)
    }

    /// Counts a connection while the result lives.
    pub fn add(&self) -> Counted {
        self.inner.count.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    /// Waits until these are less than a core's share of `max.connections`. It is shared out among the cores
    /// that accept, wherever a connection is served later.
    pub async fn wait_for_room(&self, broker: &Broker) {
        loop {
            let closed = self.inner.closed.notified();
            let max = broker.catalog().broker_number(MAX_CONNECTIONS);
            let max = max.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
            if self.count() < max.div_ceil(broker.cores().count().max(1)) {
                return;
            }
            closed.await;
        }
    }

    /// Waits until there is none.
    pub async fn wait_until_closed(&self) {
        loop {
            let closed = self.inner.closed.notified();
            if self.count() == 0 {
                return;
            }
            closed.await;
        }
    }
}

/// Counts a connection while it lives, from whichever core.
#[derive(Debug)]
pub struct Counted(OpenConnections);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.inner.count.fetch_sub(1, Ordering::Relaxed);
        self.0.inner.closed.notify_waiters();
    }
}
