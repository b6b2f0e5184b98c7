//! Judges requests before anything is journaled; wording and order of the checks are those of
//! Kafka's `ReplicationControlManager` (4.3) where it has any.

use std::collections::BTreeSet;

use model::TopicName;

use super::{Catalog, CatalogError, Topic};
use crate::{
    configs::{self, Overrides},
    shards::{Closing, ReshardStep},
};

/// A topic that a client wants made.
#[derive(Debug, Clone, Copy)]
pub struct TopicRequest<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many partitions; `None` takes `num.partitions`.
    pub partitions: Option<u32>,
    /// How many replicas; `None` takes `default.replication.factor`.
    pub replication_factor: Option<i16>,
    /// Replicas by partition, if the client places them itself.
    pub assignments: Option<&'a [(i32, Vec<i32>)]>,
    /// Its own settings.
    pub configs: &'a [(String, Option<String>)],
    /// The id of this, the only broker.
    pub node_id: i32,
}

/// A topic that can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatedTopic {
    /// Its name.
    pub name: TopicName,
    /// How many partitions, at least 1.
    pub partitions: u32,
    /// Its own settings.
    pub configs: Overrides,
}

impl Catalog {
    /// Whether a topic can be made, and as what.
    pub fn validate_create(&self, request: &TopicRequest) -> Result<ValidatedTopic, CatalogError> {
        let name = TopicName::new(request.name)?;
        self.check_name_is_free(&name)?;
        let partitions = match request.assignments {
            Some(assignments) => {
                check_counts_are_unset(request)?;
                check_assignments(assignments, request.node_id)?
            }
            None => {
                check_replication_factor(request.replication_factor)?;
                request.partitions.unwrap_or_else(|| self.default_partitions())
            }
        };
        if partitions == 0 {
            return Err(CatalogError::no_partitions());
        }
        self.check_room(partitions)?;
        let configs = configs::validate_topic_overrides(request.configs, &self.broker)?;
        Ok(ValidatedTopic { name, partitions, configs })
    }

    /// Whether a topic can have `count` partitions in all. `assignments` are the replicas of each
    /// new partition.
    pub fn validate_partitions(
        &self,
        topic: &Topic,
        count: i32,
        assignments: Option<&[Vec<i32>]>,
        node_id: i32,
    ) -> Result<(), CatalogError> {
        let current = topic.partitions.len();
        let invalid = |text| Err(CatalogError::InvalidPartitions(text));
        let wanted = usize::try_from(count).unwrap_or(0);
        if wanted == current {
            return invalid(format!("Topic already has {current} partition(s)."));
        }
        if wanted < current {
            return invalid(format!(
                "The topic {} currently has {current} partition(s); {count} would not be an increase.",
                topic.name
            ));
        }
        let more = wanted - current;
        if let Some(assignments) = assignments {
            if assignments.len() != more {
                return Err(CatalogError::InvalidReplicaAssignment(format!(
                    "Attempted to add {more} additional partition(s), but only {} assignment(s) were specified.",
                    assignments.len()
                )));
            }
            for replicas in assignments {
                check_replicas(replicas, node_id)?;
            }
        }
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        self.check_room(more)?;
        topic.shards.closing_partitions(more)?;
        Ok(())
    }

    /// Whether a stream's shards can be split and merged so, and what that does to its partitions.
    pub fn validate_reshard(
        &self,
        topic: &Topic,
        steps: &[ReshardStep],
    ) -> Result<Closing, CatalogError> {
        let closing = topic.shards.closing(steps, topic.next_partition())?;
        self.check_room(closing.additional)?;
        Ok(closing)
    }

    pub(super) fn check_name_is_free(&self, name: &TopicName) -> Result<(), CatalogError> {
        let Some(existing) =
            self.collision_forms.get(&name.collision_form()).and_then(|id| self.topics.get(id))
        else {
            return Ok(());
        };
        if existing.name == *name {
            return Err(CatalogError::TopicAlreadyExists(name.to_string()));
        }
        let existing = &existing.name;
        Err(CatalogError::InvalidTopic(format!(
            "Topic '{name}' collides with existing topic: {existing}"
        )))
    }

    fn check_room(&self, more: u32) -> Result<(), CatalogError> {
        let (there, most) = (self.partition_count, self.partitions_max);
        if there.saturating_add(more as usize) <= most {
            return Ok(());
        }
        Err(CatalogError::InvalidPartitions(format!(
            "{more} more partition(s) would exceed the {most} that this broker holds at most; it has {there}."
        )))
    }

    fn default_partitions(&self) -> u32 {
        self.broker_value(configs::NUM_PARTITIONS).and_then(|value| value.parse().ok()).unwrap_or(1)
    }
}

fn check_counts_are_unset(request: &TopicRequest) -> Result<(), CatalogError> {
    let text = if request.replication_factor.is_some() {
        "A manual partition assignment was specified, but replication factor was not set to -1."
    } else if request.partitions.is_some() {
        "A manual partition assignment was specified, but numPartitions was not set to -1."
    } else {
        return Ok(());
    };
    Err(CatalogError::InvalidRequest(text.to_owned()))
}

fn check_replication_factor(factor: Option<i16>) -> Result<(), CatalogError> {
    let text = match factor {
        None | Some(-1 | 1) => return Ok(()),
        Some(factor) if factor > 1 => {
            format!("Replication factor: {factor} larger than available brokers: 1.")
        }
        Some(_) => "Replication factor was set to an invalid non-positive value.".to_owned(),
    };
    Err(CatalogError::InvalidReplicationFactor(text))
}

/// Returns the number of partitions that the assignments name.
fn check_assignments(assignments: &[(i32, Vec<i32>)], node_id: i32) -> Result<u32, CatalogError> {
    let invalid = |text| Err(CatalogError::InvalidReplicaAssignment(text));
    let mut named = BTreeSet::new();
    for (partition, replicas) in assignments {
        if !named.insert(*partition) {
            return invalid(format!(
                "Found multiple manual partition assignments for partition {partition}"
            ));
        }
        check_replicas(replicas, node_id)?;
    }
    if !(0..).zip(&named).all(|(expected, partition)| expected == *partition) {
        return invalid("partitions should be a consecutive 0-based integer sequence".to_owned());
    }
    Ok(u32::try_from(named.len()).unwrap_or(u32::MAX))
}

fn check_replicas(replicas: &[i32], node_id: i32) -> Result<(), CatalogError> {
    let text = if replicas.is_empty() {
        "The manual partition assignment includes an empty replica list.".to_owned()
    } else if let Some(other) = replicas.iter().find(|replica| **replica != node_id) {
        format!(
            "The manual partition assignment includes broker {other}, but no such broker is registered."
        )
    } else if replicas.len() > 1 {
        format!("The manual partition assignment includes the broker {node_id} more than once.")
    } else {
        return Ok(());
    };
    Err(CatalogError::InvalidReplicaAssignment(text))
}
