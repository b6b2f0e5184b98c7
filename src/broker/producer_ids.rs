//! Producer ids: each core draws from a block that the catalog reserved for it.

use std::rc::Rc;

use model::{ProducerEpoch, ProducerId};
use state::catalog::{CatalogCommand, CatalogEvent};

use crate::{Broker, BrokerError, Outcome, catalog_change::CATALOG_CORE};

/// Ids per block, as Kafka's `ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`.
const BLOCK: u32 = 1000;

impl Broker {
    /// A producer id that was never given out before, with epoch 0.
    pub async fn allocate_producer_id(self: &Rc<Self>) -> Outcome<(ProducerId, ProducerEpoch)> {
        // The semaphore is never closed, so acquiring cannot fail.
        let _turn = self.producer_id_reservation.acquire().await;
        let (mut next, mut end) = self.producer_ids.get();
        if next >= end {
            let reserve = |broker: Rc<Broker>| async move { broker.reserve_producer_ids().await };
            (next, end) = self.cores.call(CATALOG_CORE, reserve).await??;
        }
        self.producer_ids.set((next + 1, end));
        Ok((ProducerId(next), ProducerEpoch(0)))
    }

    async fn reserve_producer_ids(self: &Rc<Self>) -> Outcome<(i64, i64)> {
        let reserve =
            |_: &state::catalog::Catalog| Ok(CatalogCommand::ReserveProducerIds { count: BLOCK });
        match self.change_catalog(reserve).await? {
            CatalogEvent::ProducerIdsReserved { first, count } => {
                Ok((first.0, first.0 + i64::from(count)))
            }
            other => Err(BrokerError::Storage(format!(
                "reserving producer ids gave {other:?}, which is a defect of thalweg"
            ))),
        }
    }
}
