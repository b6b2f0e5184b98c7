//! Changes of what Kinesis keeps of streams and of the account.

use std::rc::Rc;

use model::TopicId;
use state::catalog::{CatalogCommand, StreamChange};

use crate::{Broker, BrokerError, Outcome, catalog_change::CATALOG_CORE};

impl Broker {
    /// Changes a stream's properties. When this returns the change is durable, and every core
    /// knows it.
    pub async fn change_stream(self: &Rc<Self>, id: TopicId, change: StreamChange) -> Outcome<()> {
        self.change_properties(Some(id), CatalogCommand::ChangeStream { id, change }).await
    }

    /// Begins or ends the account's commitment to a minimum of throughput.
    pub async fn set_throughput_commitment(self: &Rc<Self>, is_enabled: bool) -> Outcome<()> {
        self.change_properties(None, CatalogCommand::SetThroughputCommitment { is_enabled }).await
    }

    async fn change_properties(
        self: &Rc<Self>,
        topic: Option<TopicId>,
        command: CatalogCommand,
    ) -> Outcome<()> {
        self.cores
            .call(CATALOG_CORE, move |broker: Rc<Broker>| async move {
                let change = broker.change_catalog(|catalog| match topic {
                    Some(id) if catalog.topic_by_id(id).is_none() => {
                        Err(BrokerError::UnknownTopicId)
                    }
                    _ => Ok(command),
                });
                change.await.map(drop)
            })
            .await?
    }
}
