//! Topics: making, removing, widening them.

use std::{collections::BTreeMap, rc::Rc};

use model::{LaneId, Offset, PartitionIndex, TopicId, TopicName};
use state::{
    catalog::{Catalog, CatalogCommand, CatalogError, CatalogEvent, StreamProperties, Topic},
    configs,
};

use crate::{
    Broker, BrokerError, CreatedTopic, NewPartitions, NewTopic, Outcome, TopicSelector,
    catalog_change::CATALOG_CORE, reshard::ShardChange,
};

impl Broker {
    /// Makes topics, or only says whether it would. The answers stand in the order given.
    pub async fn create_topics(
        self: &Rc<Self>,
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Vec<Outcome<CreatedTopic>> {
        let count = topics.len();
        self.cores
            .call(CATALOG_CORE, move |broker: Rc<Broker>| async move {
                let mut outcomes = Vec::with_capacity(count);
                for topic in topics {
                    let plain = StreamProperties::default();
                    outcomes.push(broker.create_topic(topic, plain, validate_only).await);
                }
                outcomes
            })
            .await
            .unwrap_or_else(|_| vec![Err(BrokerError::Stopping); count])
    }

    /// Makes a topic that has these properties as a stream from its first moment.
    pub async fn create_stream(
        self: &Rc<Self>,
        topic: NewTopic,
        stream: StreamProperties,
    ) -> Outcome<CreatedTopic> {
        self.cores
            .call(CATALOG_CORE, move |broker: Rc<Broker>| async move {
                broker.create_topic(topic, stream, false).await
            })
            .await?
    }

    async fn create_topic(
        self: &Rc<Self>,
        topic: NewTopic,
        stream: StreamProperties,
        validate_only: bool,
    ) -> Outcome<CreatedTopic> {
        let validated = {
            let catalog = self.catalog.borrow();
            self.validate_topic(&catalog, &topic)?
        };
        let created = |id, configs| CreatedTopic {
            id,
            name: validated.name.clone(),
            partitions: validated.partitions,
            replication_factor: 1,
            configs,
        };
        if validate_only {
            let configs = self.catalog.borrow().described(&validated.configs);
            return Ok(created(TopicId::NONE, configs));
        }
        if self.is_storage_full() {
            return Err(BrokerError::StorageFull(
                "The disk is full: no topic can be made until space is freed.".to_owned(),
            ));
        }
        let id = TopicId::from_random(runtime::random_u128());
        let event = self
            .change_catalog(|catalog| {
                // Once more, now that no other change can come between.
                let validated = self.validate_topic(catalog, &topic)?;
                let (name, configs) = (validated.name, validated.configs);
                let partitions = self.place(catalog, validated.partitions);
                if stream == StreamProperties::default() {
                    return Ok(CatalogCommand::CreateTopic { name, id, partitions, configs });
                }
                let stream = Box::new(stream);
                Ok(CatalogCommand::CreateStream { name, id, partitions, configs, stream })
            })
            .await?;
        debug_assert!(matches!(event, CatalogEvent::TopicCreated { .. }));
        let catalog = self.catalog.borrow();
        let configs = catalog.topic_by_id(id).map(|topic| catalog.topic_entries(topic));
        Ok(created(id, configs.unwrap_or_default()))
    }

    fn validate_topic(
        &self,
        catalog: &Catalog,
        topic: &NewTopic,
    ) -> Outcome<state::catalog::ValidatedTopic> {
        catalog
            .validate_create(&state::catalog::TopicRequest {
                name: &topic.name,
                partitions: topic.partitions,
                replication_factor: topic.replication_factor,
                assignments: topic.assignments.as_deref(),
                configs: &topic.configs,
                node_id: self.node_id(),
            })
            .map_err(catalog_error)
    }

    /// Spreads partitions over the lanes, going on where the last topic left off.
    pub(crate) fn place(&self, catalog: &Catalog, count: u32) -> Vec<LaneId> {
        // Lane 0 is the catalog's alone, so that a busy partition never delays it.
        let lanes = self.meta.get().map_or(1, |meta| meta.lanes.saturating_sub(1)).max(1);
        let first = catalog.partition_count();
        (0..count as usize)
            .map(|index| (first + index) % usize::from(lanes))
            .map(|lane| LaneId(u16::try_from(lane).unwrap_or(0) + 1))
            .collect()
    }

    /// Removes topics with all their data. The answers stand in the order given.
    pub async fn delete_topics(
        self: &Rc<Self>,
        topics: Vec<TopicSelector>,
    ) -> Vec<Outcome<(TopicName, TopicId)>> {
        let count = topics.len();
        self.cores
            .call(CATALOG_CORE, move |broker: Rc<Broker>| async move {
                let mut outcomes = Vec::with_capacity(count);
                for topic in topics {
                    outcomes.push(broker.delete_topic(topic).await);
                }
                outcomes
            })
            .await
            .unwrap_or_else(|_| vec![Err(BrokerError::Stopping); count])
    }

    async fn delete_topic(self: &Rc<Self>, topic: TopicSelector) -> Outcome<(TopicName, TopicId)> {
        let enabled = self.catalog.borrow().broker_flag(configs::DELETE_TOPIC_ENABLE);
        if enabled == Some(false) {
            return Err(BrokerError::TopicDeletionDisabled);
        }
        let mut found = None;
        self.change_catalog(|catalog| {
            let topic = match &topic {
                TopicSelector::Name(name) => find_by_name(catalog, name)?,
                TopicSelector::Id(id) => {
                    catalog.topic_by_id(*id).ok_or(BrokerError::UnknownTopicId)?
                }
            };
            found = Some((topic.name.clone(), topic.id));
            Ok(CatalogCommand::DeleteTopic { id: topic.id })
        })
        .await?;
        found.ok_or(BrokerError::UnknownTopicOrPartition)
    }

    /// Gives topics more partitions, or only says whether it would. The answers stand in the
    /// order given.
    pub async fn create_partitions(
        self: &Rc<Self>,
        topics: Vec<NewPartitions>,
        validate_only: bool,
    ) -> Vec<Outcome<()>> {
        let count = topics.len();
        self.cores
            .call(CATALOG_CORE, move |broker: Rc<Broker>| async move {
                let mut outcomes = Vec::with_capacity(count);
                for topic in topics {
                    outcomes.push(broker.add_partitions_to(topic, validate_only).await);
                }
                outcomes
            })
            .await
            .unwrap_or_else(|_| vec![Err(BrokerError::Stopping); count])
    }

    async fn add_partitions_to(
        self: &Rc<Self>,
        wanted: NewPartitions,
        validate_only: bool,
    ) -> Outcome<()> {
        let assignments = wanted.assignments.as_deref();
        let validate = |catalog: &Catalog| -> Outcome<(TopicId, usize)> {
            let topic = find_by_name(catalog, &wanted.topic)?;
            catalog
                .validate_partitions(topic, wanted.count, assignments, self.node_id())
                .map_err(catalog_error)?;
            Ok((topic.id, topic.partitions.len()))
        };
        if validate_only {
            return validate(&self.catalog.borrow()).map(drop);
        }
        self.change_shards(|catalog| {
            let (id, partitions) = validate(catalog)?;
            let more = usize::try_from(wanted.count).unwrap_or(0).saturating_sub(partitions);
            let more = u32::try_from(more).unwrap_or(u32::MAX);
            let topic = catalog.topic_by_id(id).ok_or(BrokerError::UnknownTopicId)?;
            let closing = topic.shards.closing_partitions(more).map_err(catalog_error)?;
            let closing = closing.into_iter().collect();
            let lanes = self.place(catalog, more);
            let command = move |ends: &BTreeMap<PartitionIndex, Offset>| {
                let end = |index| ends.get(&PartitionIndex(index)).copied().unwrap_or(Offset::ZERO);
                let partitions = u32::try_from(partitions).unwrap_or(u32::MAX);
                // The ends of partitions whose shards go on are not looked at.
                let closing_offsets = (0..partitions).map(end).collect();
                CatalogCommand::AddPartitions { id, lanes, closing_offsets }
            };
            Ok(ShardChange {
                topic: id,
                closing,
                sealed: Default::default(),
                command: Box::new(command),
            })
        })
        .await
    }
}

/// A topic by a name as a client wrote it.
pub(crate) fn find_by_name<'a>(catalog: &'a Catalog, name: &str) -> Outcome<&'a Topic> {
    TopicName::new(name)
        .ok()
        .and_then(|name| catalog.topic(&name))
        .ok_or(BrokerError::UnknownTopicOrPartition)
}

/// Refuses what cannot be a topic's name.
pub(crate) fn check_name(name: &str) -> Outcome<()> {
    TopicName::new(name).map(drop).map_err(|error| BrokerError::InvalidTopic(error.to_string()))
}

/// The catalog's refusals in the broker's words.
pub(crate) fn catalog_error(error: impl Into<CatalogError>) -> BrokerError {
    let error = error.into();
    let text = error.to_string();
    match error {
        CatalogError::InvalidTopic(_) => BrokerError::InvalidTopic(text),
        CatalogError::TopicAlreadyExists(name) => BrokerError::TopicAlreadyExists(name),
        CatalogError::UnknownTopic(_) => BrokerError::UnknownTopicOrPartition,
        CatalogError::InvalidPartitions(_) => BrokerError::InvalidPartitions(text),
        CatalogError::InvalidReplicationFactor(_) => BrokerError::InvalidReplicationFactor(text),
        CatalogError::InvalidReplicaAssignment(_) => BrokerError::InvalidReplicaAssignment(text),
        CatalogError::InvalidConfig(_) => BrokerError::InvalidConfig(text),
        CatalogError::InvalidRequest(_) => BrokerError::InvalidRequest(text),
        CatalogError::Stream(error) => BrokerError::Stream(error),
        CatalogError::Reshard(error) => BrokerError::Reshard(error),
    }
}
