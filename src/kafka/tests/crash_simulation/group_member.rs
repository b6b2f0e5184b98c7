//! One member of a consumer group, in the classic protocol. Whatever it is told goes to the model.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc, time::Duration};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest,
    join_group_request::JoinGroupRequestProtocol,
    leave_group_request::MemberIdentity,
    offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
    sync_group_request::SyncGroupRequestAssignment,
};
use kafka_protocol::protocol::StrBytes;
use runtime::simulation::Random;

use crate::{
    client::Client,
    group_model::{GroupModel, Membership},
    transactional_producer::{Done, PARTITIONS, RETRIABLE, TOPIC, Trouble, good, topic_name},
};

const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER_ID: i16 = 25;
const REBALANCE_IN_PROGRESS: i16 = 27;
const GROUP_ID_NOT_FOUND: i16 = 69;
const MEMBER_ID_REQUIRED: i16 = 79;
const UNSTABLE_OFFSET_COMMIT: i16 = 88;
const STALE_MEMBER_EPOCH: i16 = 113;
/// A member that hears one of these has to ask its group how it stands.
pub const REJOIN: [i16; 5] = [
    ILLEGAL_GENERATION,
    UNKNOWN_MEMBER_ID,
    REBALANCE_IN_PROGRESS,
    GROUP_ID_NOT_FOUND,
    STALE_MEMBER_EPOCH,
];

const PAUSE: Duration = Duration::from_millis(20);

pub struct GroupMember {
    pub group: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub model: Rc<RefCell<GroupModel>>,
    pub random: Random,
    /// Its id, empty if it has none, and the last generation that it was in.
    pub membership: Membership,
    /// What it was told to own.
    pub owned: BTreeSet<usize>,
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group_id(group: &str) -> GroupId {
    GroupId(text(group))
}

/// What Kafka's consumers tell their assignor: the topics they read.
fn subscription() -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    bytes.put_i32(1);
    put_topic(&mut bytes);
    bytes.put_i32(-1);
    bytes.freeze()
}

/// What their assignor tells them.
fn assignment(partitions: &[usize]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    bytes.put_i32(1);
    put_topic(&mut bytes);
    bytes.put_i32(partitions.len() as i32);
    partitions.iter().for_each(|index| bytes.put_i32(*index as i32));
    bytes.put_i32(-1);
    bytes.freeze()
}

fn put_topic(bytes: &mut BytesMut) {
    bytes.put_i16(TOPIC.len() as i16);
    bytes.put_slice(TOPIC.as_bytes());
}

/// The partitions of [`assignment`]; none if the leader did not know the member.
fn assigned(mut bytes: Bytes) -> BTreeSet<usize> {
    if bytes.is_empty() {
        return BTreeSet::new();
    }
    // Version, one topic, its name.
    bytes.advance(2 + 4 + 2 + TOPIC.len());
    (0..bytes.get_i32()).map(|_| bytes.get_i32() as usize).collect()
}

impl GroupMember {
    /// Forgets who it is: the next time it joins as somebody new.
    pub fn forget(&mut self) {
        self.membership = Membership { member: String::new(), generation: -1 };
        self.owned.clear();
    }

    pub fn newest(&self) -> i32 {
        self.model.borrow().newest()
    }

    /// Joins, and learns what it owns.
    pub async fn join(&mut self, client: &mut Client) -> Done<()> {
        loop {
            match self.try_join(client).await {
                Err(Trouble::Code(UNKNOWN_MEMBER_ID)) => self.forget(),
                Err(Trouble::Code(code)) if REJOIN.contains(&code) => {}
                Err(Trouble::Code(code)) if RETRIABLE.contains(&code) => {
                    runtime::sleep(PAUSE).await;
                }
                Err(Trouble::Code(code)) => panic!("a member that joins is answered {code}"),
                done => return done,
            }
        }
    }

    async fn try_join(&mut self, client: &mut Client) -> Done<()> {
        // Until it has heard what it owns it owns nothing, and is in no generation.
        self.owned.clear();
        self.membership.generation = -1;
        let joined = loop {
            let joined = client.ask(&self.join_request(), 9).await?;
            if joined.error_code != MEMBER_ID_REQUIRED {
                good(joined.error_code)?;
                break joined;
            }
            self.membership.member = joined.member_id.to_string();
        };
        self.membership.member = joined.member_id.to_string();
        let request = self.sync_request(&joined);
        let newest = self.newest();
        let synced = client.ask(&request, 5).await?;
        good(synced.error_code)?;
        self.membership.generation = joined.generation_id;
        self.owned = assigned(synced.assignment);
        self.model.borrow_mut().assigned(newest, &self.membership, &self.owned);
        Ok(())
    }

    fn join_request(&self) -> JoinGroupRequest {
        let mut protocol = JoinGroupRequestProtocol::default();
        protocol.name = text("some");
        protocol.metadata = subscription();
        let mut request = JoinGroupRequest::default();
        request.group_id = group_id(&self.group);
        request.session_timeout_ms = self.session_timeout_ms;
        request.rebalance_timeout_ms = self.rebalance_timeout_ms;
        request.member_id = text(&self.membership.member);
        request.protocol_type = text("consumer");
        request.protocols = vec![protocol];
        request
    }

    /// With an assignment if this member is the leader: every partition to somebody.
    fn sync_request(&self, joined: &JoinGroupResponse) -> SyncGroupRequest {
        let members = joined.members.len();
        let mut owned = vec![Vec::new(); members];
        let first = self.random.index(PARTITIONS);
        for partition in (0..PARTITIONS).filter(|_| members > 0) {
            owned[(first + partition) % members].push(partition);
        }
        let assignments = joined.members.iter().zip(&owned).map(|(member, owned)| {
            let mut assigned = SyncGroupRequestAssignment::default();
            assigned.member_id = member.member_id.clone();
            assigned.assignment = assignment(owned);
            assigned
        });
        let mut request = SyncGroupRequest::default();
        request.group_id = group_id(&self.group);
        request.generation_id = joined.generation_id;
        request.member_id = joined.member_id.clone();
        request.protocol_type = joined.protocol_type.clone();
        request.protocol_name = joined.protocol_name.clone();
        request.assignments = assignments.collect();
        request
    }

    pub async fn heartbeat(&self, client: &mut Client) -> Done<()> {
        let mut request = HeartbeatRequest::default();
        request.group_id = group_id(&self.group);
        request.generation_id = self.membership.generation;
        request.member_id = text(&self.membership.member);
        let newest = self.newest();
        good(client.ask(&request, 4).await?.error_code)?;
        self.model.borrow().accepted(newest, &self.membership, "Heartbeat");
        Ok(())
    }

    /// Commits an offset of a partition that it owns.
    pub async fn commit(&self, client: &mut Client, partition: usize, offset: i64) -> Done<()> {
        let mut committed = OffsetCommitRequestPartition::default();
        committed.partition_index = partition as i32;
        committed.committed_offset = offset;
        let mut topic = OffsetCommitRequestTopic::default();
        topic.name = topic_name();
        topic.partitions = vec![committed];
        let mut request = OffsetCommitRequest::default();
        request.group_id = group_id(&self.group);
        request.generation_id_or_member_epoch = self.membership.generation;
        request.member_id = text(&self.membership.member);
        request.topics = vec![topic];
        let newest = self.newest();
        self.model.borrow_mut().ask(partition, offset);
        let answer = client.ask(&request, 9).await?;
        let code = answer.topics[0].partitions[0].error_code;
        if REJOIN.contains(&code) {
            self.model.borrow_mut().refused(partition, offset);
        }
        good(code)?;
        self.model.borrow().accepted(newest, &self.membership, "OffsetCommit");
        self.model.borrow_mut().confirmed(partition, offset);
        Ok(())
    }

    /// A commit that comes late: it is of the generation before, and must not be taken.
    pub async fn commit_late(&mut self, client: &mut Client) -> Done<()> {
        let Some(partition) = self.owned.first().copied() else { return Ok(()) };
        let ahead = self.model.borrow().floor(partition) + 1_000;
        self.membership.generation -= 1;
        let answered = self.commit(client, partition, ahead).await;
        self.membership.generation += 1;
        match answered {
            Err(Trouble::Code(code)) if REJOIN.contains(&code) || RETRIABLE.contains(&code) => {
                Ok(())
            }
            other => other,
        }
    }

    /// Where the group goes on in a partition, once no transaction may change that any more.
    pub async fn committed(&self, client: &mut Client, partition: usize) -> Done<i64> {
        let mut topic = OffsetFetchRequestTopics::default();
        topic.name = topic_name();
        topic.partition_indexes = vec![partition as i32];
        let mut asked = OffsetFetchRequestGroup::default();
        asked.group_id = group_id(&self.group);
        asked.topics = Some(vec![topic]);
        let mut request = OffsetFetchRequest::default();
        request.groups = vec![asked];
        request.require_stable = true;
        loop {
            let floor = self.model.borrow().floor(partition);
            let response = client.ask(&request, 8).await?;
            let found = &response.groups[0];
            let code = match found.error_code {
                0 => found.topics[0].partitions[0].error_code,
                code => code,
            };
            if code == UNSTABLE_OFFSET_COMMIT || RETRIABLE.contains(&code) {
                runtime::sleep(PAUSE).await;
                continue;
            }
            assert_eq!(code, 0, "OffsetFetch of {} answers {code}", self.group);
            let committed = found.topics[0].partitions[0].committed_offset;
            self.model.borrow_mut().read(partition, floor, committed);
            return Ok(committed.max(0));
        }
    }

    pub async fn leave(&self, client: &mut Client) -> Done<()> {
        leave(client, &self.group, &self.membership.member).await
    }
}

/// Takes a member out of a group, as itself or as an administrator.
pub async fn leave(client: &mut Client, group: &str, member: &str) -> Done<()> {
    let mut identity = MemberIdentity::default();
    identity.member_id = text(member);
    let mut request = LeaveGroupRequest::default();
    request.group_id = group_id(group);
    request.members = vec![identity];
    good(client.ask(&request, 5).await?.error_code)
}
