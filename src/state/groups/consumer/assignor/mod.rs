//! Who is to read what: the assignors of the coordinator.

mod range;
mod uniform;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use model::TopicId;
use serde::{Deserialize, Serialize};

use super::Assignment;

/// An assignor, by Kafka's name; in the order in which Kafka prefers them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum AssignorName {
    /// Every member gets as much as the next, and keeps what it can.
    #[default]
    Uniform,
    /// Every member gets a range of each topic, so that equal topics are divided alike.
    Range,
}

impl AssignorName {
    /// All of them.
    pub const ALL: [AssignorName; 2] = [AssignorName::Uniform, AssignorName::Range];

    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        match self {
            AssignorName::Uniform => "uniform",
            AssignorName::Range => "range",
        }
    }

    /// The assignor of a name, or of one of Kafka's classes as `group.consumer.assignors` has them.
    pub fn parse(name: &str) -> Option<AssignorName> {
        let class = |simple: &str| {
            name.strip_prefix("org.apache.kafka.coordinator.group.assignor.") == Some(simple)
        };
        match name {
            "uniform" => Some(AssignorName::Uniform),
            "range" => Some(AssignorName::Range),
            _ if class("UniformAssignor") => Some(AssignorName::Uniform),
            _ if class("RangeAssignor") => Some(AssignorName::Range),
            _ => None,
        }
    }
}

/// A member that asks for partitions.
#[derive(Debug, Clone)]
pub struct Asking<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its name across restarts, if it is a static member.
    pub instance_id: Option<&'a str>,
    /// The topics that it subscribes to and that exist; shared by all that subscribe alike.
    pub subscribed: Rc<BTreeSet<TopicId>>,
    /// The target that it had before.
    pub had: Option<&'a Assignment>,
}

/// Works out the members' targets, in the order of the members. `partitions` says how many each
/// topic has.
pub fn assign(
    assignor: AssignorName,
    members: &[Asking<'_>],
    partitions: &BTreeMap<TopicId, u32>,
) -> Vec<Assignment> {
    match assignor {
        AssignorName::Uniform => uniform::assign(members, partitions),
        AssignorName::Range => range::assign(members, partitions),
    }
}
