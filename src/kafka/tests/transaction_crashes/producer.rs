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

use crate::{PARTITIONS, TOPIC, client::Client};

/// "Try again": concurrent transactions, not enough replicas, coordinator loading or not there,
/// storage error, request timed out, not leader.
const RETRIABLE: [i16; 8] = [51, 19, 14, 15, 56, 7, 6, 5];
/// Another producer took over, or the transaction timed out.
const FENCED: [i16; 4] = [90, 47, 48, 120];

/// What is known of a transaction's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was confirmed.
    Committed,
    /// Its abort was confirmed, or it was refused.
    Aborted,
    /// Nobody answered the request to commit it.
    Unknown,
}

/// One transaction.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub key: String,
    pub group: String,
    /// The offset that it commits for the group.
    pub offset: Option<i64>,
    pub partitions: BTreeSet<usize>,
    pub outcome: Outcome,
}

/// All transactions, in the order in which they began.
#[derive(Debug, Default)]
pub struct Journal {
    pub attempts: Vec<Attempt>,
}

impl Journal {
    pub fn count(&self, outcome: Outcome) -> usize {
        self.attempts.iter().filter(|attempt| attempt.outcome == outcome).count()
    }
}

pub struct Producer {
    pub id: String,
    pub number: usize,
    pub is_v2: bool,
    pub timeout_ms: i32,
    pub random: Random,
    pub journal: Rc<RefCell<Journal>>,
    pub stop: Rc<Cell<bool>>,
}

/// Why a transaction did not come to the end that was wanted.
enum Trouble {
    Connection,
    Code(i16),
}

impl From<io::Error> for Trouble {
    fn from(_: io::Error) -> Trouble {
        Trouble::Connection
    }
}

type Done<T> = Result<T, Trouble>;

#[derive(Clone, Default)]
struct Identity {
    id: i64,
    epoch: i16,
    sequences: BTreeMap<usize, i32>,
}

pub fn topic_name() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}

fn good(code: i16) -> Done<()> {
    if code == 0 { Ok(()) } else { Err(Trouble::Code(code)) }
}

impl Producer {
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
                if !self.transaction(&mut client, &mut identity, round).await {
                    break;
                }
                let pause = self.random.between(0, 20_000);
                runtime::sleep(Duration::from_micros(pause)).await;
            }
            runtime::sleep(Duration::from_millis(self.random.between(1, 200))).await;
        }
    }

    /// One transaction; false if the producer has to begin anew.
    async fn transaction(
        &mut self,
        client: &mut Client,
        identity: &mut Identity,
        round: i64,
    ) -> bool {
        let all = (0..PARTITIONS).filter(|_| self.random.chance(2, 3));
        let partitions: BTreeSet<usize> = all.collect();
        let commit = self.random.chance(2, 3);
        let attempt = Attempt {
            key: format!("{}-{round}", self.number),
            group: format!("group-{}", self.number),
            offset: self.random.chance(1, 2).then_some(round),
            partitions,
            outcome: Outcome::Aborted,
        };
        if attempt.partitions.is_empty() && attempt.offset.is_none() {
            return true;
        }
        let place = self.journal.borrow().attempts.len();
        self.journal.borrow_mut().attempts.push(attempt.clone());
        match self.fill(client, identity, &attempt).await {
            Ok(()) => {}
            Err(Trouble::Connection) => return false,
            Err(Trouble::Code(code)) => {
                assert!(FENCED.contains(&code), "{}: an operation answers {code}", attempt.key);
                return false;
            }
        }
        let note = |outcome| self.journal.borrow_mut().attempts[place].outcome = outcome;
        // From here on it may be committed, whether or not the answer comes.
        if commit {
            note(Outcome::Unknown);
        }
        match self.end(client, identity, commit).await {
            Ok(()) if commit => note(Outcome::Committed),
            Ok(()) => {}
            Err(Trouble::Connection) => return false,
            Err(Trouble::Code(code)) => {
                assert!(FENCED.contains(&code), "{}: its end answers {code}", attempt.key);
                note(Outcome::Aborted);
                return false;
            }
        }
        true
    }

    async fn fill(
        &mut self,
        client: &mut Client,
        identity: &mut Identity,
        attempt: &Attempt,
    ) -> Done<()> {
        if !self.is_v2 && !attempt.partitions.is_empty() {
            self.add_partitions(client, identity, attempt).await?;
        }
        for partition in &attempt.partitions {
            for _ in 0..self.random.between(1, 3) {
                self.produce(client, identity, *partition, &attempt.key).await?;
            }
        }
        if let Some(offset) = attempt.offset {
            self.commit_offset(client, identity, &attempt.group, offset).await?;
        }
        Ok(())
    }

    async fn pause(&self) {
        runtime::sleep(Duration::from_millis(10)).await;
    }

    async fn init(&self, client: &mut Client) -> Done<Identity> {
        let mut request = InitProducerIdRequest::default();
        request.transactional_id = Some(self.transactional_id());
        request.transaction_timeout_ms = self.timeout_ms;
        loop {
            let response = client.ask(&request, 4).await?;
            match response.error_code {
                code if RETRIABLE.contains(&code) => self.pause().await,
                code => {
                    good(code)?;
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
        attempt: &Attempt,
    ) -> Done<()> {
        let mut topic = AddPartitionsToTxnTopic::default();
        topic.name = topic_name();
        topic.partitions = attempt.partitions.iter().map(|index| *index as i32).collect();
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
        key: &str,
    ) -> Done<()> {
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
            let response = client.ask(&request, if self.is_v2 { 12 } else { 9 }).await?;
            match response.responses[0].partition_responses[0].error_code {
                code if RETRIABLE.contains(&code) => self.pause().await,
                code => {
                    good(code)?;
                    *sequence += 1;
                    return Ok(());
                }
            }
        }
    }

    async fn commit_offset(
        &self,
        client: &mut Client,
        identity: &Identity,
        group: &str,
        offset: i64,
    ) -> Done<()> {
        let group = GroupId(StrBytes::from_string(group.to_owned()));
        if !self.is_v2 {
            let mut request = AddOffsetsToTxnRequest::default();
            request.transactional_id = self.transactional_id();
            request.producer_id = WireProducerId(identity.id);
            request.producer_epoch = identity.epoch;
            request.group_id = group.clone();
            loop {
                match client.ask(&request, 3).await?.error_code {
                    code if RETRIABLE.contains(&code) => self.pause().await,
                    code => break good(code)?,
                }
            }
        }
        let mut partition = TxnOffsetCommitRequestPartition::default();
        partition.partition_index = 0;
        partition.committed_offset = offset;
        let mut topic = TxnOffsetCommitRequestTopic::default();
        topic.name = topic_name();
        topic.partitions = vec![partition];
        let mut request = TxnOffsetCommitRequest::default();
        request.transactional_id = self.transactional_id();
        request.group_id = group;
        request.producer_id = WireProducerId(identity.id);
        request.producer_epoch = identity.epoch;
        request.topics = vec![topic];
        loop {
            let response = client.ask(&request, if self.is_v2 { 5 } else { 3 }).await?;
            match response.topics[0].partitions[0].error_code {
                code if RETRIABLE.contains(&code) => self.pause().await,
                code => return good(code),
            }
        }
    }

    async fn end(&self, client: &mut Client, identity: &mut Identity, commit: bool) -> Done<()> {
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
