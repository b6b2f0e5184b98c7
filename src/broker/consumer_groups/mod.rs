//! Consumer groups of Kafka's newer protocol (KIP-848): heartbeats and descriptions.
//!
//! A group lives on the lane of its name. What is decided about it is decided on that lane's core
//! against the [`coordinator::Coordinator`]'s copy, which is as of what is *proposed*, so that
//! heartbeats need not wait for each other's writes; an answer goes out once everything that it
//! rests on is durable. Judging is `state`'s ([`state::groups::consumer`]).

mod conversion;
pub(crate) mod coordinator;
mod sessions;
mod settings;

use std::rc::Rc;

use lane::Lane;
use state::groups::{
    GroupError, GroupRecord,
    consumer::{
        AssignorName, ConsumerGroup, ConsumerGroupError, Heartbeat, HeartbeatAnswer, JOIN_EPOCH,
        leave::{find_assignor, validate_request},
    },
};

use crate::{Broker, Outcome};

/// A member's heartbeat, as a door hands it on.
#[derive(Debug, Clone)]
pub struct ConsumerGroupHeartbeat {
    /// The group.
    pub group_id: String,
    /// What the member says. Its assignor is left out: it is in `server_assignor`, by name.
    pub heartbeat: Heartbeat,
    /// The name of the assignor that it asks for.
    pub server_assignor: Option<String>,
    /// The version of Kafka's ConsumerGroupHeartbeat whose rules hold.
    pub version: i16,
}

/// What a member is told.
#[derive(Debug, Clone)]
pub struct ConsumerGroupAnswer {
    /// Its id and epoch, and what it may read.
    pub answer: HeartbeatAnswer,
    /// When it should come again, in milliseconds; 0 for one that leaves.
    pub heartbeat_interval_ms: i32,
}

impl Broker {
    /// A member joins, goes on, or leaves.
    pub async fn consumer_group_heartbeat(
        self: &Rc<Self>,
        mut request: ConsumerGroupHeartbeat,
    ) -> Outcome<ConsumerGroupAnswer> {
        validate_request(&request.group_id, &request.heartbeat, request.version)?;
        if request.heartbeat.member_id.is_empty() {
            request.heartbeat.member_id =
                model::TopicId::from_random(runtime::random_u128()).to_string();
        }
        if let Some(name) = &request.server_assignor {
            request.heartbeat.server_assignor = Some(find_assignor(name, &self.group_limits())?);
        }
        let group_id = request.group_id.clone();
        self.at_group(&group_id, |owner, lane| async move {
            owner.serve_heartbeat(&lane, request).await
        })
        .await
    }

    /// A group as it is now.
    pub async fn describe_consumer_group(
        self: &Rc<Self>,
        group_id: String,
    ) -> Outcome<ConsumerGroup> {
        if group_id.is_empty() {
            return Err(GroupError::InvalidGroupId.into());
        }
        let name = group_id.clone();
        self.at_group(&name, |_, lane| async move {
            match lane.groups().record(&group_id) {
                Some(GroupRecord::Consumer(group)) => Ok(group.clone()),
                _ => Err(ConsumerGroupError::GroupIdNotFound { group_id }.into()),
            }
        })
        .await
    }

    /// The assignor of groups that ask for none.
    pub fn default_assignor(&self) -> AssignorName {
        self.group_limits().assignors.first().copied().unwrap_or_default()
    }

    async fn serve_heartbeat(
        self: &Rc<Self>,
        lane: &Rc<Lane>,
        request: ConsumerGroupHeartbeat,
    ) -> Outcome<ConsumerGroupAnswer> {
        let ConsumerGroupHeartbeat { group_id, heartbeat, .. } = &request;
        let is_leave = heartbeat.member_epoch < JOIN_EPOCH;
        if heartbeat.member_epoch == JOIN_EPOCH && self.is_read_by_workers(lane, group_id) {
            let group_id = group_id.clone();
            return Err(ConsumerGroupError::GroupIdNotFound { group_id }.into());
        }
        let answer = match is_leave {
            true => self.judge_leave(lane, group_id, heartbeat)?,
            false => self.judge_heartbeat(lane, group_id, heartbeat)?,
        };
        self.consumer_groups.wait_durable(lane, group_id).await;
        let interval = if is_leave { 0 } else { self.group_heartbeat_interval_ms(group_id) };
        Ok(ConsumerGroupAnswer { answer, heartbeat_interval_ms: interval })
    }
}
