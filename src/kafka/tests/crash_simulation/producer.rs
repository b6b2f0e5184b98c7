//! Producers: batches in order, several on their way, sent again until they are acknowledged.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use batch::BatchBuilder;
use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProduceResponse};
use model::{BatchSequence, Compression, ProducerEpoch, ProducerId, Timestamp};

use crate::client::Client;
use crate::plain_model::Model;

const VERSION: i16 = 13;
const OUT_OF_ORDER_SEQUENCE: i16 = 45;
/// One seed makes no more than this.
const MADE_BYTES_MAX: usize = 100 << 20;
/// What a producer answers by sending again: storage error, request timed out, not enough replicas.
const RETRIABLE: [i16; 3] = [56, 7, 19];

/// How one producer behaves.
#[derive(Clone)]
pub struct ProducerPlan {
    pub number: u64,
    pub topic: usize,
    pub idempotent: bool,
    /// Requests on their way at once.
    pub depth: usize,
    pub value_bytes_max: u64,
    pub pause_max: Duration,
    pub compression: Compression,
}

/// A batch that is not acknowledged yet.
struct Outgoing {
    id: usize,
    partition: usize,
    /// How many batches this producer made for the partition before.
    number: usize,
    bytes: Bytes,
}

impl Outgoing {
    /// Partition and number: batches are numbered per partition.
    fn name(&self) -> (usize, usize) {
        (self.partition, self.id)
    }
}

pub struct Producer {
    plan: ProducerPlan,
    model: Rc<RefCell<Model>>,
    /// The stop sign, and how many batches to make at most.
    stop: Rc<std::cell::Cell<bool>>,
    producer_id: i64,
    next_sequence: BTreeMap<usize, i32>,
    next_order: u64,
    /// Batches made so far, per partition.
    made: BTreeMap<usize, usize>,
    unacknowledged: VecDeque<Outgoing>,
    /// Partitions on which this producer was acknowledged at least once: only there may more than
    /// one batch be on its way.
    known: BTreeMap<usize, bool>,
}

impl Producer {
    pub fn new(
        plan: ProducerPlan,
        model: Rc<RefCell<Model>>,
        stop: Rc<std::cell::Cell<bool>>,
    ) -> Producer {
        Producer {
            plan,
            model,
            stop,
            producer_id: -1,
            next_sequence: BTreeMap::new(),
            next_order: 0,
            made: BTreeMap::new(),
            unacknowledged: VecDeque::new(),
            known: BTreeMap::new(),
        }
    }

    /// Produces until it is stopped and everything is acknowledged.
    pub async fn run(mut self) {
        while self.plan.idempotent && self.producer_id < 0 {
            let mut client = Client::connect_patiently().await;
            let mut request = InitProducerIdRequest::default();
            request.transactional_id = None;
            request.transaction_timeout_ms = 60_000;
            request.producer_id = (-1).into();
            request.producer_epoch = -1;
            match client.ask(&request, 4).await {
                Ok(response) if response.error_code == 0 => {
                    self.producer_id = response.producer_id.0;
                }
                Ok(response) => {
                    let code = response.error_code;
                    assert!(RETRIABLE.contains(&code), "InitProducerId answers {code}");
                    runtime::sleep(Duration::from_millis(50)).await;
                }
                Err(broken) => tracing::debug!(%broken, "InitProducerId"),
            }
        }
        while !(self.stop.get() && self.unacknowledged.is_empty()) {
            let client = Client::connect_patiently().await;
            // A broken connection: what is not acknowledged is sent again on the next one.
            let ended = self.session(client).await;
            let (number, waiting) = (self.plan.number, self.unacknowledged.len());
            tracing::debug!(number, waiting, ?ended, "producer's connection ended");
            runtime::sleep(Duration::from_millis(runtime::random_u64() % 30)).await;
        }
    }

    /// One connection's life, until it breaks or there is nothing left to do.
    async fn session(&mut self, mut client: Client) -> io::Result<()> {
        loop {
            // What is left from before goes first, in order.
            let mut resend: VecDeque<usize> = (0..self.unacknowledged.len()).collect();
            let mut on_their_way: VecDeque<Vec<(usize, usize)>> = VecDeque::new();
            let mut failed = false;
            loop {
                while !failed && on_their_way.len() < self.plan.depth {
                    let Some(request) = self.next_request(&mut resend) else { break };
                    let ids = request.iter().map(|index| self.unacknowledged[*index].name());
                    let ids = ids.collect();
                    let encoded = self.encode(&request);
                    on_their_way.push_back(ids);
                    client.send(&encoded, VERSION).await?;
                }
                let Some(ids) = on_their_way.pop_front() else { break };
                let response = client.receive::<ProduceRequest>(VERSION).await?;
                tracing::trace!(number = self.plan.number, ?ids, ?response, "answered");
                let before = self.unacknowledged.len();
                failed |= self.settle(&ids, &response, failed);
                // Indexes behind what was settled move up.
                let settled = before - self.unacknowledged.len();
                resend.iter_mut().for_each(|index| *index = index.saturating_sub(settled));
                if !failed && !self.stop.get() && resend.is_empty() {
                    let pause_ns = self.plan.pause_max.as_nanos() as u64;
                    runtime::sleep(Duration::from_nanos(runtime::random_u64() % pause_ns.max(1)))
                        .await;
                }
            }
            if self.stop.get() && self.unacknowledged.is_empty() {
                return Ok(());
            }
            // After a failure, or because there is no room for more.
            if failed || !self.stop.get() {
                runtime::sleep(Duration::from_millis(20 + runtime::random_u64() % 100)).await;
            }
        }
    }

    /// The next batches to send, at most one of each partition: old ones, else new ones.
    fn next_request(&mut self, resend: &mut VecDeque<usize>) -> Option<Vec<usize>> {
        let mut request: Vec<usize> = Vec::new();
        while let Some(index) = resend.front().copied() {
            let partition = self.unacknowledged[index].partition;
            if request.iter().any(|chosen| self.unacknowledged[*chosen].partition == partition) {
                break;
            }
            request.push(index);
            resend.pop_front();
        }
        let room = self.model.borrow().made_bytes < MADE_BYTES_MAX;
        if request.is_empty() && !self.stop.get() && room {
            let partitions = self.model.borrow().topics[self.plan.topic].partitions.len();
            let first = runtime::random_u64() as usize % partitions;
            let count = 1 + runtime::random_u64() as usize % partitions;
            for partition in (0..count).map(|step| (first + step) % partitions) {
                let waiting = self.waiting(partition);
                let may_overlap = self.known.contains_key(&partition);
                if waiting == 0 || (may_overlap && waiting < 5) {
                    request.push(self.make_batch(partition));
                }
            }
        }
        (!request.is_empty()).then_some(request)
    }

    /// Batches from the oldest that is not acknowledged on. Those behind it count even if they are
    /// acknowledged: a producer never gets further ahead than the broker's window.
    fn waiting(&self, partition: usize) -> usize {
        let oldest = self.unacknowledged.iter().find(|out| out.partition == partition);
        let made = self.made.get(&partition).copied().unwrap_or(0);
        oldest.map_or(0, |oldest| made - oldest.number)
    }

    fn make_batch(&mut self, partition: usize) -> usize {
        let order = self.next_order;
        self.next_order += 1;
        let records = 1 + runtime::random_u64() % 5;
        let mut builder = BatchBuilder::new(self.plan.compression);
        let sequence = self.next_sequence.entry(partition).or_insert(0);
        if self.plan.idempotent {
            let (id, epoch) = (ProducerId(self.producer_id), ProducerEpoch(0));
            builder = builder.producer(id, epoch, BatchSequence(*sequence));
            *sequence += records as i32;
        }
        for record in 0..records {
            let value_bytes = runtime::random_u64() % (self.plan.value_bytes_max + 1);
            let key = format!("{}/{partition}/{order}/{record}", self.plan.number);
            let mut value = runtime::random_u128().to_be_bytes().to_vec();
            value.resize(16 + value_bytes as usize, order as u8);
            let now = Timestamp(runtime::wall_clock().0);
            builder.push(now, Some(key.as_bytes()), Some(&value), &[]);
        }
        let bytes = builder.build().expect("a small batch").freeze();
        let known_order = self.plan.idempotent.then_some((self.producer_id, order));
        let mut model = self.model.borrow_mut();
        model.made_bytes += bytes.len();
        let id =
            model.partition(self.plan.topic, partition).add(&bytes, records as i64, known_order);
        let made = self.made.entry(partition).or_insert(0);
        self.unacknowledged.push_back(Outgoing { id, partition, number: *made, bytes });
        *made += 1;
        self.unacknowledged.len() - 1
    }

    fn encode(&self, request: &[usize]) -> ProduceRequest {
        let mut model = self.model.borrow_mut();
        let mut topic = TopicProduceData::default();
        topic.topic_id = model.topics[self.plan.topic].id;
        for index in request {
            let out = &self.unacknowledged[*index];
            model.partition(self.plan.topic, out.partition).sending(out.id);
            let mut data = PartitionProduceData::default();
            data.index = out.partition as i32;
            data.records = Some(out.bytes.clone());
            topic.partition_data.push(data);
        }
        let mut encoded = ProduceRequest::default();
        encoded.transactional_id = None;
        encoded.acks = if runtime::random_u64().is_multiple_of(3) { 1 } else { -1 };
        encoded.timeout_ms = 10_000;
        encoded.topic_data = vec![topic];
        encoded
    }

    /// Takes in an answer. True when a batch must be sent again.
    fn settle(
        &mut self,
        ids: &[(usize, usize)],
        response: &ProduceResponse,
        failed_before: bool,
    ) -> bool {
        let mut failed = false;
        let answers = &response.responses[0].partition_responses;
        assert_eq!(answers.len(), ids.len(), "one answer for each partition");
        for answer in answers {
            let partition = answer.index as usize;
            let is_answered =
                |out: &Outgoing| out.partition == partition && ids.contains(&out.name());
            let index = self.unacknowledged.iter().position(is_answered).expect("asked for");
            match answer.error_code {
                0 => {
                    let out = self.unacknowledged.remove(index).expect("just found");
                    self.known.insert(partition, true);
                    let mut model = self.model.borrow_mut();
                    model.acknowledged += 1;
                    model.partition(self.plan.topic, partition).acknowledge(
                        out.id,
                        answer.base_offset,
                        answer.log_start_offset,
                    );
                }
                code if RETRIABLE.contains(&code) => failed = true,
                OUT_OF_ORDER_SEQUENCE if failed_before => failed = true,
                code => panic!(
                    "producer {} ({}) partition {partition}: batch {} answered {code} {:?}",
                    self.plan.number,
                    self.producer_id,
                    self.unacknowledged[index].id,
                    answer.error_message
                ),
            }
        }
        failed
    }
}
