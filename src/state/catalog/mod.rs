//! Topics, where their partitions live, settings, producer-id blocks: the state of lane 0, of
//! which every core holds a replica.

mod broker_configs;
mod command;
mod error;
mod snapshot;
mod stream;
mod topic;
mod validation;

use std::{collections::BTreeMap, rc::Rc};

use model::{LaneId, ProducerId, Timestamp, TopicConfig, TopicId, TopicName};

pub use self::{
    command::{CatalogCommand, CatalogEvent, OverrideChange},
    error::CatalogError,
    stream::{
        AccountSettings, CONSUMERS_MAX, StreamChange, StreamConsumer, StreamError,
        StreamProperties, TAGS_MAX, Tags, ThroughputCommitment,
    },
    topic::{PartitionState, Topic},
    validation::{TopicRequest, ValidatedTopic},
};
use crate::{
    configs::{BrokerLayers, Overrides, resolve_topic},
    shards::Shards,
};

/// The most partitions of all topics together, unless [`Catalog::set_partitions_max`] says else.
pub const PARTITIONS_MAX: usize = 100_000;

/// What the broker knows of its topics. The fold of its commands, plus this process's static
/// settings, which are not journaled.
#[derive(Debug, Clone)]
pub struct Catalog {
    topics: BTreeMap<TopicId, Topic>,
    names: BTreeMap<TopicName, TopicId>,
    /// Names with `.` and `_` made one, because Kafka lets no two topics differ in these only.
    collision_forms: BTreeMap<String, TopicId>,
    partition_count: usize,
    next_producer_id: ProducerId,
    account: AccountSettings,
    broker: BrokerLayers,
    /// The effective settings of every topic that has none of its own; shared, because most are.
    unaltered: Rc<TopicConfig>,
    partitions_max: usize,
    /// How many commands were applied; not part of the state.
    version: u64,
}

impl Default for Catalog {
    fn default() -> Self {
        Catalog {
            topics: BTreeMap::new(),
            names: BTreeMap::new(),
            collision_forms: BTreeMap::new(),
            partition_count: 0,
            next_producer_id: ProducerId(0),
            account: AccountSettings::default(),
            broker: BrokerLayers::default(),
            unaltered: Rc::default(),
            partitions_max: PARTITIONS_MAX,
            version: 0,
        }
    }
}

impl Catalog {
    /// The topic of a name.
    pub fn topic(&self, name: &TopicName) -> Option<&Topic> {
        self.names.get(name).and_then(|id| self.topics.get(id))
    }

    /// The topic of an id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(&id)
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// All topics, in the order of their names.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.names.values().filter_map(|id| self.topics.get(id))
    }

    /// How many partitions all topics have together.
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// What Kinesis keeps of the account.
    pub fn account(&self) -> AccountSettings {
        self.account
    }

    /// The bound on the number of partitions of all topics together.
    pub fn partitions_max(&self) -> usize {
        self.partitions_max
    }

    /// Moves up whenever anything here changes; comparable only within one process.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Bounds the number of partitions of all topics together; what exists already stays.
    pub fn set_partitions_max(&mut self, partitions_max: usize) {
        self.partitions_max = partitions_max;
    }

    /// Applies a journaled command that was decided at `at`. The same commands give the same
    /// state everywhere. An error means that the command was not validated against this state,
    /// and that nothing was changed.
    pub fn apply(
        &mut self,
        command: &CatalogCommand,
        at: Timestamp,
    ) -> Result<CatalogEvent, CatalogError> {
        self.version += 1;
        match command {
            CatalogCommand::CreateTopic { name, id, partitions, configs } => {
                self.create_topic(name, *id, partitions, configs, StreamProperties::default(), at)
            }
            CatalogCommand::CreateStream { name, id, partitions, configs, stream } => {
                self.create_topic(name, *id, partitions, configs, (**stream).clone(), at)
            }
            CatalogCommand::ChangeStream { id, change } => {
                let topic = self.topics.get_mut(id).ok_or_else(|| CatalogError::unknown_id(*id))?;
                topic.stream.apply(change, at)?;
                Ok(CatalogEvent::PropertiesChanged)
            }
            CatalogCommand::Reshard { id, steps, lanes, closing_offsets } => {
                let topic = self.topics.get(id).ok_or_else(|| CatalogError::unknown_id(*id))?;
                let shards = topic.shards_resharded(steps, lanes, closing_offsets, at)?;
                self.join(*id, lanes, shards)
            }
            CatalogCommand::SetThroughputCommitment { is_enabled } => {
                self.account.throughput_commitment.set(*is_enabled, at);
                Ok(CatalogEvent::PropertiesChanged)
            }
            CatalogCommand::DeleteTopic { id } => self.delete_topic(*id),
            CatalogCommand::AddPartitions { id, lanes, closing_offsets } => {
                let topic = self.topics.get(id).ok_or_else(|| CatalogError::unknown_id(*id))?;
                let shards = topic.shards_after(lanes, closing_offsets, at)?;
                self.join(*id, lanes, shards)
            }
            CatalogCommand::AlterTopicConfigs { id, change } => {
                let Catalog { topics, broker, unaltered, .. } = self;
                let topic = topics.get_mut(id).ok_or_else(|| CatalogError::unknown_id(*id))?;
                change.apply(&mut topic.overrides);
                topic.effective = resolve(&topic.overrides, broker, unaltered);
                Ok(CatalogEvent::TopicConfigsChanged { id: *id })
            }
            CatalogCommand::AlterBrokerConfigs { broker, change } => {
                change.apply(self.broker.dynamic_mut(*broker));
                self.resolve_all();
                Ok(CatalogEvent::BrokerConfigsChanged)
            }
            CatalogCommand::ReserveProducerIds { count } => {
                let next = self.producer_id_after(*count)?;
                let first = std::mem::replace(&mut self.next_producer_id, next);
                Ok(CatalogEvent::ProducerIdsReserved { first, count: *count })
            }
        }
    }

    /// Whether [`Catalog::apply`] would take the command. To be asked before it is journaled: a
    /// journaled command that cannot be applied would end the broker, now and at every start.
    pub fn validate(&self, command: &CatalogCommand, at: Timestamp) -> Result<(), CatalogError> {
        let of = |id| self.topics.get(id).ok_or_else(|| CatalogError::unknown_id(*id));
        match command {
            CatalogCommand::CreateTopic { name, id, partitions, .. } => {
                self.check_new_topic(name, *id, partitions)
            }
            CatalogCommand::CreateStream { name, id, partitions, stream, .. } => {
                check_properties(stream)?;
                self.check_new_topic(name, *id, partitions)
            }
            CatalogCommand::ChangeStream { id, change } => Ok(of(id)?.stream.validate(change)?),
            CatalogCommand::Reshard { id, steps, lanes, closing_offsets } => {
                of(id)?.shards_resharded(steps, lanes, closing_offsets, at).map(drop)
            }
            CatalogCommand::SetThroughputCommitment { .. } => Ok(()),
            CatalogCommand::DeleteTopic { id } | CatalogCommand::AlterTopicConfigs { id, .. } => {
                of(id).map(drop)
            }
            CatalogCommand::AddPartitions { id, lanes, closing_offsets } => {
                of(id)?.shards_after(lanes, closing_offsets, at).map(drop)
            }
            CatalogCommand::AlterBrokerConfigs { .. } => Ok(()),
            CatalogCommand::ReserveProducerIds { count } => {
                self.producer_id_after(*count).map(drop)
            }
        }
    }

    fn check_new_topic(
        &self,
        name: &TopicName,
        id: TopicId,
        lanes: &[LaneId],
    ) -> Result<(), CatalogError> {
        self.check_name_is_free(name)?;
        if id == TopicId::NONE || self.topics.contains_key(&id) {
            return Err(CatalogError::InvalidRequest(format!("The topic id {id} is in use.")));
        }
        if lanes.is_empty() { Err(CatalogError::no_partitions()) } else { Ok(()) }
    }

    fn producer_id_after(&self, count: u32) -> Result<ProducerId, CatalogError> {
        let next = self.next_producer_id.0.checked_add(i64::from(count)).map(ProducerId);
        next.ok_or_else(|| {
            CatalogError::InvalidRequest("There are no more producer ids.".to_owned())
        })
    }

    fn create_topic(
        &mut self,
        name: &TopicName,
        id: TopicId,
        lanes: &[LaneId],
        configs: &Overrides,
        stream: StreamProperties,
        at: Timestamp,
    ) -> Result<CatalogEvent, CatalogError> {
        check_properties(&stream)?;
        self.check_new_topic(name, id, lanes)?;
        let count = u32::try_from(lanes.len()).unwrap_or(u32::MAX);
        let topic = Topic {
            id,
            name: name.clone(),
            created: at,
            partitions: lanes.iter().copied().map(PartitionState::open).collect(),
            overrides: configs.clone(),
            effective: resolve(configs, &self.broker, &self.unaltered),
            shards: Shards::uniform(count, at),
            stream,
        };
        self.insert(topic);
        Ok(CatalogEvent::TopicCreated { id })
    }

    fn insert(&mut self, mut topic: Topic) {
        topic.note_seals();
        self.partition_count += topic.partitions.len();
        self.names.insert(topic.name.clone(), topic.id);
        self.collision_forms.insert(topic.name.collision_form(), topic.id);
        self.topics.insert(topic.id, topic);
    }

    fn delete_topic(&mut self, id: TopicId) -> Result<CatalogEvent, CatalogError> {
        let topic = self.topics.remove(&id).ok_or_else(|| CatalogError::unknown_id(id))?;
        self.names.remove(&topic.name);
        self.collision_forms.remove(&topic.name.collision_form());
        self.partition_count -= topic.partitions.len();
        Ok(CatalogEvent::TopicDeleted { topic: Box::new(topic) })
    }

    /// Partitions join a topic, and it has other shards.
    fn join(
        &mut self,
        id: TopicId,
        lanes: &[LaneId],
        shards: Shards,
    ) -> Result<CatalogEvent, CatalogError> {
        let topic = self.topics.get_mut(&id).ok_or_else(|| CatalogError::unknown_id(id))?;
        let from = topic.next_partition().0;
        topic.shards = shards;
        topic.partitions.extend(lanes.iter().copied().map(PartitionState::open));
        topic.note_seals();
        let to = topic.next_partition().0;
        self.partition_count += lanes.len();
        Ok(CatalogEvent::PartitionsAdded { id, from, to })
    }

    /// Works out every topic's effective settings anew.
    fn resolve_all(&mut self) {
        let Catalog { topics, broker, unaltered, .. } = self;
        *unaltered = Rc::new(resolve_topic(&Overrides::new(), broker));
        for topic in topics.values_mut() {
            topic.effective = resolve(&topic.overrides, broker, unaltered);
        }
    }
}

fn check_properties(stream: &StreamProperties) -> Result<(), StreamError> {
    if stream.tags.len() > TAGS_MAX { Err(StreamError::TooManyTags) } else { Ok(()) }
}

fn resolve(
    overrides: &Overrides,
    broker: &BrokerLayers,
    unaltered: &Rc<TopicConfig>,
) -> Rc<TopicConfig> {
    if overrides.is_empty() {
        Rc::clone(unaltered)
    } else {
        Rc::new(resolve_topic(overrides, broker))
    }
}

#[cfg(test)]
mod tests;
