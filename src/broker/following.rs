//! Following a partition: waiting for its next records, or for a change of the catalog that ends it.

use std::pin::pin;

use futures_util::future;
use model::{Offset, TopicPartition};
use state::catalog::Catalog;

use crate::Broker;

impl Broker {
    /// On the core that owns the partition `at`: resolves when its log end is above `beyond`, when it
    /// is gone, or when the catalog is such that `is_over`; at once, if that is so already. Dropping
    /// the future ends the wait. `is_over` is asked again after every change of the catalog, so it has
    /// to be quick.
    pub async fn follow(
        &self,
        at: TopicPartition,
        beyond: Offset,
        is_over: impl Fn(&Catalog) -> bool,
    ) {
        // A partition that is gone has nothing to wait for.
        let Ok((_, partition)) = self.local(at) else { return };
        let appended = pin!(partition.log.wait_for_append(beyond));
        let over = pin!(async {
            loop {
                // Made before the look, so that no change comes between.
                let changed = self.catalog_changed.notified();
                if is_over(&self.catalog.borrow()) {
                    return;
                }
                changed.await;
            }
        });
        future::select(appended, over).await;
    }
}
