//! What a lane journals of these groups: the outcome of a decision, not the request.

use serde::{Deserialize, Serialize};

use super::{Assignment, Standing, Subscription, topics::SubscribedTopics};

/// A step of one group. Applying it is total: a record about what is not there does nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The group, which begins to be with its first change.
    pub group_id: String,
    /// What happens, in order.
    pub records: Vec<Record>,
}

/// One thing that happens to a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// A member joins or says something new of itself.
    Subscribed {
        /// The member.
        member_id: String,
        /// All that it says.
        subscription: Subscription,
    },
    /// A member is gone, and with it its partitions.
    Removed {
        /// The member.
        member_id: String,
    },
    /// A static member comes back under another id and takes over all that the old one had.
    Replaced {
        /// The id that is gone.
        old_id: String,
        /// The id in its place.
        new_id: String,
    },
    /// The topics that the members ask for are others, or changed.
    Epoch {
        /// The group's epoch from now on.
        epoch: i32,
        /// The topics that it was worked out for.
        topics: SubscribedTopics,
    },
    /// The targets were worked out anew.
    Targets {
        /// The epoch that they belong to.
        assignment_epoch: i32,
        /// Those that changed, by member.
        changed: Vec<(String, Assignment)>,
    },
    /// A member came a step further, or a static one went away for now.
    Standing {
        /// The member.
        member_id: String,
        /// Where it stands.
        standing: Standing,
    },
    /// The members ask for something else, and for the same topics all together.
    NextEpoch {
        /// The group's epoch from now on.
        epoch: i32,
    },
}
