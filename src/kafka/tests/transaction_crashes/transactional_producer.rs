//! A transactional producer that notes what it was told.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    io,
    rc::Rc,
    time::Duration,
};

use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, GroupId,
    InitProducerIdRequest, ProduceRequest, ProducerId as WireProducerId, TopicName,
    TransactionalId, TxnOffsetCommitRequest,
    add_partitions_to_txn_request::AddPartitionsToTxnTopic,
    produce_request::{PartitionProduceData, TopicProduceData},
    txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic},
};
use kafka_protocol::protocol::StrBytes;
use model::{BatchSequence, Compression, ProducerEpoch, ProducerId};
use runtime::simulation::Random;

use crate::{
    client::Client,
    transaction_journal::{Attempt, Journal, Outcome},
};

/// The topic that transactions write to.
pub const TOPIC: &str = "transactions";
pub const PARTITIONS: usize = 3;

/// "Try again": concurrent transactions, not enough replicas, coordinator loading or not there,
/// storage error, request timed out, not leader.
pub const RETRIABLE: [i16; 8] = [51, 19, 14, 15, 56, 7, 6, 5];
/// Another producer took over, or the transaction timed out.
const FENCED: [i16; 4] = [90, 47, 48, 120];
/// An answer to EndTxn that takes longer may come before the markers.
const MARKERS_MAX: Duration = Duration::from_secs(4);

/// Why a transaction did not come to the end that was wanted.
#[derive(Debug)]
pub enum Trouble {
    Connection,
    Code(i16),
}

impl From<io::Error> for Trouble {
    fn from(_: io::Error) -> Trouble {
        Trouble::Connection
    }
}

pub type Done<T> = Result<T, Trouble>;

pub fn good(code: i16) -> Done<()> {
    if code == 0 { Ok(()) } else { Err(Trouble::Code(code)) }
}

/// Who a producer is, and how far it has counted its batches.
#[derive(Clone, Default)]
pub struct Identity {
    id: i64,
    epoch: i16,
    sequences: BTreeMap<usize, i32>,
}

/// An offset to be committed for partition `partition`.
pub struct Offset {
    pub group: String,
    pub partition: usize,
    pub offset: i64,
    /// The member that commits it, and its generation.
    pub member: Option<(String, i32)>,
}

pub fn topic_name() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}

pub struct Producer {
    /// The transactional id.
    pub id: String,
    pub number: usize,
    pub is_v2: bool,
    pub timeout_ms: i32,
    pub random: Random,
    pub journal: Rc<RefCell<Journal>>,
    pub stop: Rc<Cell<bool>>,
}

impl Producer {
    /// One transaction after the other.
    pub async fn run(mut self) {
        let mut round = 0_i64;
        while !self.stop.get() {
            let mut client = Client::connect_patiently().await;
            let Ok(mut identity) = self.init(&mut client).await else {
                runtime::sleep(Duration::from_millis(50)).await;
                continue;
            };
            while !self.stop.get() {
                round += 1;
                if self.transaction(&mut client, &mut identity, round).await.is_err() {
                    break;
                }
                let pause = self.random.between(0, 20_000);
                runtime::sleep(Duration::from_micros(pause)).await;
            }
            runtime::sleep(Duration::from_millis(self.random.between(1, 200))).await;
        }
    }

    async fn transaction(
        &mut self,
        client: &mut Client,
        identity: &mut Identity,
        round: i64,
    ) -> Done<()> {
        let group = format!("group-{}", self.number);
        let offset = self.random.chance(1, 2).then_some(round);
        let attempt = Attempt {
            group: group.clone(),
            offset,
            ..Attempt::new(&self.id, format!("{}-{round}", self.number), self.some_partitions())
        };
        if attempt.partitions.is_empty() && offset.is_none() {
            return Ok(());
        }
        let offset = offset.map(|offset| Offset { group, partition: 0, offset, member: None });
        let commit = self.random.chance(2, 3);
        self.attempt(client, identity, attempt, offset, commit).await.map(drop)
    }

    pub fn some_partitions(&self) -> BTreeSet<usize> {
        (0..PARTITIONS).filter(|_| self.random.chance(2, 3)).collect()
    }

    /// Writes, commits an offset, and ends the transaction. An error says that the producer has to
    /// begin anew.
    pub async fn attempt(
        &mut self,
        client: &mut Client,
        identity: &mut Identity,
        attempt: Attempt,
        offset: Option<Offset>,
        commit: bool,
    ) -> Done<Outcome> {
        let place = self.journal.borrow_mut().begin(attempt, self.timeout_ms);
        let done = match self.fill(client, identity, place, offset).await {
            Ok(()) => self.end(client, identity, place, commit).await,
            Err(trouble) => Err(trouble),
        };
        self.journal.borrow_mut().let_end(place);
        done
    }

    async fn fill(
        &mut self,
        client: &mut Client,
        identity: &mut Identity,
        place: usize,
        offset: Option<Offset>,
    ) -> Done<()> {
        let partitions = self.journal.borrow().attempts[place].partitions.clone();
        if !self.is_v2 && !partitions.is_empty() {
            checked(self.add_partitions(client, identity, &partitions).await)?;
        }
        for partition in &partitions {
            for _ in 0..self.random.between(1, 3) {
                checked(self.produce(client, identity, *partition, place).await)?;
            }
        }
        match offset {
            Some(offset) => self.commit_offset(client, identity, &offset).await,
            None => Ok(()),
        }
    }

    async fn pause(&self) {
        runtime::sleep(Duration::from_millis(10)).await;
    }

    /// A new identity, which ends whatever the id has open.
    pub async fn init(&self, client: &mut Client) -> Done<Identity> {
        let mut request = InitProducerIdRequest::default();
        request.transactional_id = Some(self.transactional_id());
        request.transaction_timeout_ms = self.timeout_ms;
        loop {
            let before = self.journal.borrow_mut().claim(&self.id);
            let response = client.ask(&request, 4).await?;
            self.journal.borrow_mut().claim_is_answered(&self.id);
            match response.error_code {
                code if RETRIABLE.contains(&code) => self.pause().await,
                code => {
                    good(code)?;
                    self.journal.borrow_mut().identity_is_new(&self.id, before);
                    let (id, epoch) = (response.producer_id.0, response.producer_epoch);
                    return Ok(Identity { id, epoch, sequences: BTreeMap::new() });
                }
            }
        }
    }

    fn transactional_id(&self) -> TransactionalId {
        TransactionalId(StrBytes::from_string(self.id.clone()))
    }

    async fn add_partitions(
        &self,
        client: &mut Client,
        identity: &Identity,
        partitions: &BTreeSet<usize>,
    ) -> Done<()> {
        let mut topic = AddPartitionsToTxnTopic::default();
        topic.name = topic_name();
        topic.partitions = partitions.iter().map(|index| *index as i32).collect();
        let mut request = AddPartitionsToTxnRequest::default();
        request.v3_and_below_transactional_id = self.transactional_id();
        request.v3_and_below_producer_id = WireProducerId(identity.id);
        request.v3_and_below_producer_epoch = identity.epoch;
        request.v3_and_below_topics = vec![topic];
        loop {
            let response = client.ask(&request, 3).await?;
            let results = &response.results_by_topic_v3_and_below[0].results_by_partition;
            match results[0].partition_error_code {
                code if RETRIABLE.contains(&code) => self.pause().await,
                code => return good(code),
            }
        }
    }

    async fn produce(
        &self,
        client: &mut Client,
        identity: &mut Identity,
        partition: usize,
        place: usize,
    ) -> Done<()> {
        let key = self.journal.borrow().attempts[place].key.clone();
        let sequence = identity.sequences.entry(partition).or_insert(0);
        let producer = (ProducerId(identity.id), ProducerEpoch(identity.epoch));
        let mut builder = batch::BatchBuilder::new(Compression::None)
            .producer(producer.0, producer.1, BatchSequence(*sequence))
            .transactional();
        builder.push(runtime::wall_clock(), Some(key.as_bytes()), Some(b"v"), &[]);
        let mut data = PartitionProduceData::default();
        data.index = partition as i32;
        data.records = Some(builder.build().expect("small").freeze());
        let mut topic = TopicProduceData::default();
        topic.name = topic_name();
        topic.partition_data = vec![data];
        let mut request = ProduceRequest::default();
        request.transactional_id = Some(self.transactional_id());
        request.acks = -1;
        request.timeout_ms = 10_000;
        request.topic_data = vec![topic];
        loop {
            self.journal.borrow_mut().write(place, partition);
            let response = client.ask(&request, if self.is_v2 { 12 } else { 9 }).await?;
            let answer = &response.responses[0].partition_responses[0];
            match answer.error_code {
                code if RETRIABLE.contains(&code) => self.pause().await,
                code => {
                    good(code)?;
                    *sequence += 1;
                    self.journal.borrow_mut().wrote(place, partition, answer.base_offset);
                    return Ok(());
                }
            }
        }
    }

    async fn commit_offset(
        &self,
        client: &mut Client,
        identity: &Identity,
        offset: &Offset,
    ) -> Done<()> {
        let group = GroupId(StrBytes::from_string(offset.group.clone()));
        if !self.is_v2 {
            let mut request = AddOffsetsToTxnRequest::default();
            request.transactional_id = self.transactional_id();
            request.producer_id = WireProducerId(identity.id);
            request.producer_epoch = identity.epoch;
            request.group_id = group.clone();
            loop {
                match client.ask(&request, 3).await?.error_code {
                    code if RETRIABLE.contains(&code) => self.pause().await,
                    code => break checked(good(code))?,
                }
            }
        }
        let mut partition = TxnOffsetCommitRequestPartition::default();
        partition.partition_index = offset.partition as i32;
        partition.committed_offset = offset.offset;
        let mut topic = TxnOffsetCommitRequestTopic::default();
        topic.name = topic_name();
        topic.partitions = vec![partition];
        let mut request = TxnOffsetCommitRequest::default();
        request.transactional_id = self.transactional_id();
        request.group_id = group;
        request.producer_id = WireProducerId(identity.id);
        request.producer_epoch = identity.epoch;
        request.topics = vec![topic];
        if let Some((member, generation)) = &offset.member {
            request.member_id = StrBytes::from_string(member.clone());
            request.generation_id = *generation;
        }
        loop {
            let response = client.ask(&request, if self.is_v2 { 5 } else { 3 }).await?;
            match response.topics[0].partitions[0].error_code {
                code if RETRIABLE.contains(&code) => self.pause().await,
                // What a group refuses is for its member to understand.
                code if offset.member.is_some() => return good(code),
                code => return checked(good(code)),
            }
        }
    }

    async fn end(
        &self,
        client: &mut Client,
        identity: &mut Identity,
        place: usize,
        commit: bool,
    ) -> Done<Outcome> {
        let note = |outcome| self.journal.borrow_mut().attempts[place].outcome = outcome;
        self.journal.borrow_mut().let_end(place);
        // From here on it may be committed, whether or not the answer comes.
        if commit {
            note(Outcome::Unknown);
        }
        let began = runtime::now();
        let ended = self.ask_to_end(client, identity, commit).await;
        if matches!(ended, Err(Trouble::Code(_))) {
            note(Outcome::Aborted);
        }
        checked(ended)?;
        if began.elapsed() < MARKERS_MAX {
            self.journal.borrow_mut().is_over(place);
        }
        let outcome = if commit { Outcome::Committed } else { Outcome::Aborted };
        note(outcome);
        Ok(outcome)
    }

    async fn ask_to_end(
        &self,
        client: &mut Client,
        identity: &mut Identity,
        commit: bool,
    ) -> Done<()> {
        let mut request = EndTxnRequest::default();
        request.transactional_id = self.transactional_id();
        request.producer_id = WireProducerId(identity.id);
        request.producer_epoch = identity.epoch;
        request.committed = commit;
        loop {
            let response = client.ask(&request, if self.is_v2 { 5 } else { 3 }).await?;
            match response.error_code {
                code if RETRIABLE.contains(&code) => self.pause().await,
                code => {
                    good(code)?;
                    if self.is_v2 {
                        let (id, epoch) = (response.producer_id.0, response.producer_epoch);
                        *identity = Identity { id, epoch, sequences: BTreeMap::new() };
                    }
                    return Ok(());
                }
            }
        }
    }
}

/// A producer is refused nothing unless it was fenced.
fn checked(done: Done<()>) -> Done<()> {
    if let Err(Trouble::Code(code)) = done {
        assert!(FENCED.contains(&code), "a transactional producer is answered {code}");
    }
    done
}
