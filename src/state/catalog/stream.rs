//! What Kinesis keeps of a stream besides its shards and its topic's settings: tags, registered
//! consumers, a policy, and settings that Kafka has no name for.

use std::collections::{BTreeMap, BTreeSet};

use model::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Tags of one stream or consumer. Source: the model's documentation of AddTagsToStream.
pub const TAGS_MAX: usize = 50;
/// Registered consumers of one stream. Source: the model's documentation of
/// RegisterStreamConsumer.
pub const CONSUMERS_MAX: usize = 20;

/// Names and values that mean something to the stream's owner.
pub type Tags = BTreeMap<String, String>;

/// A stream's own properties. A topic that nobody has told any has the default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StreamProperties {
    /// Its tags.
    pub tags: Tags,
    /// Its resource policy, a JSON text.
    pub policy: Option<String>,
    /// Its registered consumers, by name.
    pub consumers: BTreeMap<String, StreamConsumer>,
    /// The shard-level metrics that were switched on, by their names in the model.
    pub shard_level_metrics: BTreeSet<String>,
    /// The throughput that it was told to be ready for, in MiB/s.
    pub warm_throughput_mibps: u32,
    /// Whether puts are spread over the open shards, whatever their partition keys
    /// (`RecordDistributionStrategy` `AUTO`).
    pub spreads_puts: bool,
}

/// A reader that a stream knows by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamConsumer {
    /// When it was registered.
    pub created: Timestamp,
    /// Its tags.
    pub tags: Tags,
    /// Its resource policy, a JSON text.
    pub policy: Option<String>,
}

/// A change of a stream's properties. `consumer` names one of its consumers; `None` is the stream
/// itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamChange {
    /// Tags are added or get other values.
    SetTags {
        /// Whose.
        consumer: Option<String>,
        /// Which.
        tags: Tags,
    },
    /// Tags go. Keys that are not there do not matter.
    RemoveTags {
        /// Whose.
        consumer: Option<String>,
        /// Which.
        keys: BTreeSet<String>,
    },
    /// A policy takes the place of the one before.
    SetPolicy {
        /// Whose.
        consumer: Option<String>,
        /// A JSON text.
        policy: String,
    },
    /// The policy goes.
    RemovePolicy {
        /// Whose.
        consumer: Option<String>,
    },
    /// A consumer is registered.
    RegisterConsumer {
        /// Its name.
        name: String,
        /// Its tags.
        tags: Tags,
    },
    /// A consumer is forgotten.
    DeregisterConsumer {
        /// Its name.
        name: String,
    },
    /// Shard-level metrics are switched on.
    EnableMetrics {
        /// Their names in the model.
        metrics: BTreeSet<String>,
    },
    /// Shard-level metrics are switched off.
    DisableMetrics {
        /// Their names in the model.
        metrics: BTreeSet<String>,
    },
    /// The throughput to be ready for.
    SetWarmThroughput {
        /// In MiB/s.
        mibps: u32,
    },
    /// Who chooses the shard of a put.
    SetSpreadsPuts {
        /// The stream, not the partition key.
        spreads_puts: bool,
    },
}

/// Why a stream's properties stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StreamError {
    /// More tags than one stream or consumer may have.
    #[error("no more than {TAGS_MAX} tags can be kept")]
    TooManyTags,
    /// No consumer of that name.
    #[error("no consumer {0} is registered")]
    NoConsumer(String),
    /// A consumer of that name is there.
    #[error("a consumer {0} is registered already")]
    ConsumerExists(String),
    /// More consumers than one stream may have.
    #[error("no more than {CONSUMERS_MAX} consumers can be registered")]
    TooManyConsumers,
    /// There is no policy to remove.
    #[error("there is no policy")]
    NoPolicy,
}

impl StreamProperties {
    /// The tags of the stream, or of one of its consumers.
    pub fn tags_of(&self, consumer: Option<&str>) -> Result<&Tags, StreamError> {
        match consumer {
            None => Ok(&self.tags),
            Some(name) => self.consumer(name).map(|consumer| &consumer.tags),
        }
    }

    /// The policy of the stream, or of one of its consumers.
    pub fn policy_of(&self, consumer: Option<&str>) -> Result<Option<&str>, StreamError> {
        match consumer {
            None => Ok(self.policy.as_deref()),
            Some(name) => self.consumer(name).map(|consumer| consumer.policy.as_deref()),
        }
    }

    fn consumer(&self, name: &str) -> Result<&StreamConsumer, StreamError> {
        self.consumers.get(name).ok_or_else(|| StreamError::NoConsumer(name.to_owned()))
    }

    /// Whether [`StreamProperties::apply`] would take the change.
    pub fn validate(&self, change: &StreamChange) -> Result<(), StreamError> {
        match change {
            StreamChange::SetTags { consumer, tags } => {
                let there = self.tags_of(consumer.as_deref())?;
                let added = tags.keys().filter(|key| !there.contains_key(*key)).count();
                check(there.len() + added <= TAGS_MAX, StreamError::TooManyTags)
            }
            StreamChange::RemoveTags { consumer, .. } => {
                self.tags_of(consumer.as_deref()).map(drop)
            }
            StreamChange::SetPolicy { consumer, .. } => {
                self.policy_of(consumer.as_deref()).map(drop)
            }
            StreamChange::RemovePolicy { consumer } => {
                let policy = self.policy_of(consumer.as_deref())?;
                check(policy.is_some(), StreamError::NoPolicy)
            }
            StreamChange::RegisterConsumer { name, tags } => {
                let exists = self.consumers.contains_key(name);
                check(!exists, StreamError::ConsumerExists(name.clone()))?;
                check(self.consumers.len() < CONSUMERS_MAX, StreamError::TooManyConsumers)?;
                check(tags.len() <= TAGS_MAX, StreamError::TooManyTags)
            }
            StreamChange::DeregisterConsumer { name } => self.consumer(name).map(drop),
            StreamChange::EnableMetrics { .. }
            | StreamChange::DisableMetrics { .. }
            | StreamChange::SetWarmThroughput { .. }
            | StreamChange::SetSpreadsPuts { .. } => Ok(()),
        }
    }

    /// Makes a change that was decided at `at`, or none at all.
    pub fn apply(&mut self, change: &StreamChange, at: Timestamp) -> Result<(), StreamError> {
        self.validate(change)?;
        match change {
            StreamChange::SetTags { consumer, tags } => {
                if let Some(there) = self.tags_mut(consumer.as_deref()) {
                    there.extend(tags.clone());
                }
            }
            StreamChange::RemoveTags { consumer, keys } => {
                if let Some(there) = self.tags_mut(consumer.as_deref()) {
                    there.retain(|key, _| !keys.contains(key));
                }
            }
            StreamChange::SetPolicy { consumer, policy } => {
                self.set_policy(consumer.as_deref(), Some(policy.clone()));
            }
            StreamChange::RemovePolicy { consumer } => self.set_policy(consumer.as_deref(), None),
            StreamChange::RegisterConsumer { name, tags } => {
                let consumer = StreamConsumer { created: at, tags: tags.clone(), policy: None };
                self.consumers.insert(name.clone(), consumer);
            }
            StreamChange::DeregisterConsumer { name } => drop(self.consumers.remove(name)),
            StreamChange::EnableMetrics { metrics } => {
                self.shard_level_metrics.extend(metrics.iter().cloned());
            }
            StreamChange::DisableMetrics { metrics } => {
                self.shard_level_metrics.retain(|metric| !metrics.contains(metric));
            }
            StreamChange::SetWarmThroughput { mibps } => self.warm_throughput_mibps = *mibps,
            StreamChange::SetSpreadsPuts { spreads_puts } => self.spreads_puts = *spreads_puts,
        }
        Ok(())
    }

    fn tags_mut(&mut self, consumer: Option<&str>) -> Option<&mut Tags> {
        match consumer {
            None => Some(&mut self.tags),
            Some(name) => self.consumers.get_mut(name).map(|consumer| &mut consumer.tags),
        }
    }

    fn set_policy(&mut self, consumer: Option<&str>, policy: Option<String>) {
        match consumer {
            None => self.policy = policy,
            Some(name) => {
                if let Some(consumer) = self.consumers.get_mut(name) {
                    consumer.policy = policy;
                }
            }
        }
    }
}

fn check(holds: bool, otherwise: StreamError) -> Result<(), StreamError> {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// What Kinesis keeps of the account, of which there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccountSettings {
    /// `MinimumThroughputBillingCommitment`. Nothing is billed here; it is what AWS asks for
    /// before a stream may have a warm throughput.
    pub throughput_commitment: ThroughputCommitment,
}

/// A commitment to a minimum of throughput.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ThroughputCommitment {
    /// Whether it is in force.
    pub is_enabled: bool,
    /// When it was last begun.
    pub started: Option<Timestamp>,
    /// When it was last ended.
    pub ended: Option<Timestamp>,
}

impl ThroughputCommitment {
    /// Begins or ends it; the times stay if it is so already.
    pub(super) fn set(&mut self, is_enabled: bool, at: Timestamp) {
        if self.is_enabled == is_enabled {
            return;
        }
        self.is_enabled = is_enabled;
        if is_enabled {
            (self.started, self.ended) = (Some(at), None);
        } else {
            self.ended = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_000_000_000);

    fn tags(range: std::ops::Range<usize>) -> Tags {
        range.map(|n| (format!("k{n}"), String::new())).collect()
    }

    fn register(name: &str) -> StreamChange {
        StreamChange::RegisterConsumer { name: name.to_owned(), tags: Tags::new() }
    }

    #[test]
    fn a_stream_and_its_consumers_have_tags_of_their_own_up_to_the_limit() {
        let mut stream = StreamProperties::default();
        stream.apply(&register("c"), NOW).expect("new");
        for consumer in [None, Some("c".to_owned())] {
            let set = |tags| StreamChange::SetTags { consumer: consumer.clone(), tags };
            stream.apply(&set(tags(0..TAGS_MAX)), NOW).expect("as many as may be");
            stream.apply(&set(tags(3..9)), NOW).expect("the same keys again");
            let over = stream.apply(&set(tags(TAGS_MAX..TAGS_MAX + 1)), NOW);
            assert_eq!(over, Err(StreamError::TooManyTags));
            let keys = tags(1..TAGS_MAX).into_keys().collect();
            let remove = StreamChange::RemoveTags { consumer: consumer.clone(), keys };
            stream.apply(&remove, NOW).expect("there");
            assert_eq!(stream.tags_of(consumer.as_deref()), Ok(&tags(0..1)));
        }
        let nobody = StreamChange::SetTags { consumer: Some("x".to_owned()), tags: tags(0..1) };
        assert_eq!(stream.apply(&nobody, NOW), Err(StreamError::NoConsumer("x".to_owned())));
    }

    #[test]
    fn consumers_come_and_go_up_to_the_limit() {
        let mut stream = StreamProperties::default();
        for n in 0..CONSUMERS_MAX {
            stream.apply(&register(&format!("c{n}")), NOW).expect("room");
        }
        assert_eq!(stream.apply(&register("more"), NOW), Err(StreamError::TooManyConsumers));
        let again = stream.apply(&register("c3"), NOW);
        assert_eq!(again, Err(StreamError::ConsumerExists("c3".to_owned())));
        let gone = StreamChange::DeregisterConsumer { name: "c3".to_owned() };
        stream.apply(&gone, NOW).expect("there");
        assert_eq!(stream.apply(&gone, NOW), Err(StreamError::NoConsumer("c3".to_owned())));
        stream.apply(&register("c3"), Timestamp(NOW.0 + 1)).expect("free again");
        assert_eq!(stream.consumers.get("c3").map(|c| c.created), Some(Timestamp(NOW.0 + 1)));
    }

    #[test]
    fn a_policy_is_put_replaced_and_removed_once() {
        let mut stream = StreamProperties::default();
        for text in ["{}", "{\"a\":1}"] {
            let put = StreamChange::SetPolicy { consumer: None, policy: text.to_owned() };
            stream.apply(&put, NOW).expect("taken");
            assert_eq!(stream.policy_of(None), Ok(Some(text)));
        }
        let remove = StreamChange::RemovePolicy { consumer: None };
        stream.apply(&remove, NOW).expect("there");
        assert_eq!(stream.apply(&remove, NOW), Err(StreamError::NoPolicy));
    }

    #[test]
    fn a_commitment_keeps_its_times() {
        let mut commitment = ThroughputCommitment::default();
        commitment.set(true, NOW);
        commitment.set(true, Timestamp(NOW.0 + 5));
        assert_eq!((commitment.started, commitment.ended), (Some(NOW), None));
        commitment.set(false, Timestamp(NOW.0 + 9));
        assert_eq!(commitment.ended, Some(Timestamp(NOW.0 + 9)));
    }
}
