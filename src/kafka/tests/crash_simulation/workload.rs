//! Everything that happens to the broker but crashes: consumers, topics that come and go, records
//! that are deleted, and bad luck.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest};
use kafka_protocol::protocol::StrBytes;
use runtime::simulation::{self, DiskOperation, Random};
use uuid::Uuid;

use crate::checker::{
    FetchFrom, NONE, OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION, fetch,
    offset, topic_name,
};
use crate::client::Client;
use crate::plain_model::Model;
use crate::producer::{Producer, ProducerPlan};

const TOPIC_ALREADY_EXISTS: i16 = 36;
/// Storage error, request timed out.
const RETRIABLE: [i16; 2] = [56, 7];

/// A topic to make.
#[derive(Clone)]
pub struct TopicPlan {
    pub name: String,
    pub partitions: usize,
    pub expires: bool,
    pub configs: Vec<(&'static str, String)>,
}

/// Makes a topic that the model is to know. `None` when it was stopped before it was there.
pub async fn create_topic(
    model: &Rc<RefCell<Model>>,
    plan: &TopicPlan,
    stop: &Cell<bool>,
) -> Option<usize> {
    let id = make_topic(plan, stop).await?;
    let mut model = model.borrow_mut();
    Some(model.add_topic(&plan.name, id, plan.partitions, plan.expires))
}

/// Makes a topic, trying until it is there.
pub async fn make_topic(plan: &TopicPlan, stop: &Cell<bool>) -> Option<Uuid> {
    let mut topic = CreatableTopic::default();
    topic.name = topic_name(&plan.name);
    topic.num_partitions = plan.partitions as i32;
    topic.replication_factor = 1;
    for (name, value) in &plan.configs {
        let mut config = CreatableTopicConfig::default();
        config.name = StrBytes::from_static_str(name);
        config.value = Some(StrBytes::from_string(value.clone()));
        topic.configs.push(config);
    }
    let mut request = CreateTopicsRequest::default();
    request.topics = vec![topic];
    request.timeout_ms = 10_000;
    while !stop.get() {
        let mut client = Client::connect_patiently().await;
        let Ok(response) = client.ask(&request, 7).await else { continue };
        let answer = &response.topics[0];
        let id = match answer.error_code {
            NONE => Some(answer.topic_id),
            // An earlier try arrived, and its answer was lost.
            TOPIC_ALREADY_EXISTS => find_topic(&mut client, &plan.name).await,
            code if RETRIABLE.contains(&code) => None,
            code => {
                panic!("CreateTopics of {} answers {code}: {:?}", plan.name, answer.error_message)
            }
        };
        if id.is_some() {
            return id;
        }
        runtime::sleep(Duration::from_millis(50)).await;
    }
    None
}

async fn find_topic(client: &mut Client, name: &str) -> Option<Uuid> {
    let topics = crate::checker::topics(client).await.ok()?;
    topics.into_iter().find(|(other, _)| other == name).map(|(_, id)| id)
}

/// Asks for a topic's deletion until it is gone.
async fn delete_topic(model: &Rc<RefCell<Model>>, topic: usize, stop: &Cell<bool>) {
    let id = {
        let mut model = model.borrow_mut();
        model.topics[topic].deletion_asked = true;
        model.topics[topic].id
    };
    let mut state = DeleteTopicState::default();
    state.topic_id = id;
    let mut request = DeleteTopicsRequest::default();
    request.topics = vec![state];
    request.timeout_ms = 10_000;
    while !stop.get() {
        let mut client = Client::connect_patiently().await;
        if let Ok(response) = client.ask(&request, 6).await {
            let code = response.responses[0].error_code;
            // Not there: an earlier try arrived.
            assert!(
                [NONE, UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION].contains(&code)
                    || RETRIABLE.contains(&code),
                "DeleteTopics answers {code}"
            );
            if !RETRIABLE.contains(&code) {
                model.borrow_mut().topics[topic].deleted = true;
                return;
            }
        }
        runtime::sleep(Duration::from_millis(50)).await;
    }
}

/// Makes a topic, produces a little, deletes it, and begins again under the same name or another.
pub async fn come_and_go(model: Rc<RefCell<Model>>, stop: Rc<Cell<bool>>) {
    let mut round = 0_u64;
    while !stop.get() {
        round += 1;
        let plan = TopicPlan {
            name: format!("passing-{}", round % 3),
            partitions: 1 + (runtime::random_u64() % 3) as usize,
            expires: false,
            configs: Vec::new(),
        };
        let Some(topic) = create_topic(&model, &plan, &stop).await else { return };
        let done = Rc::new(Cell::new(false));
        let producer = Producer::new(
            ProducerPlan {
                number: 1000 + round,
                topic,
                idempotent: round.is_multiple_of(2),
                depth: 2,
                value_bytes_max: 300,
                pause_max: Duration::from_millis(5),
                compression: model::Compression::None,
            },
            Rc::clone(&model),
            Rc::clone(&done),
        );
        let producing = runtime::spawn_joinable("passing producer", producer.run());
        runtime::sleep(Duration::from_millis(runtime::random_u64() % 400)).await;
        done.set(true);
        producing.await;
        runtime::sleep(Duration::from_millis(runtime::random_u64() % 200)).await;
        delete_topic(&model, topic, &stop).await;
    }
}

/// Follows one partition from wherever it is, checking everything it is given.
pub async fn consume(
    model: Rc<RefCell<Model>>,
    topic: usize,
    partition: usize,
    stop: Rc<Cell<bool>>,
) {
    let (id, name) = {
        let model = model.borrow();
        (model.topics[topic].id, model.topics[topic].name.clone())
    };
    let mut position = 0;
    while !stop.get() {
        let mut client = Client::connect_patiently().await;
        let followed: io::Result<()> = async {
            while !stop.get() {
                let from = FetchFrom {
                    topic: id,
                    partition,
                    offset: position,
                    max_bytes: 1 << (runtime::random_u64() % 20),
                    max_wait_ms: (runtime::random_u64() % 500) as i32,
                };
                let fetched = fetch(&mut client, from).await?;
                if fetched.error_code == OFFSET_OUT_OF_RANGE {
                    let first = offset(&mut client, &name, partition, -2).await?;
                    let first = first.unwrap_or_else(|code| panic!("ListOffsets answers {code}"));
                    assert!(
                        first > position,
                        "offset {position} out of range; the log starts at {first}"
                    );
                    position = first;
                    continue;
                }
                assert_eq!(
                    fetched.error_code, NONE,
                    "consumer of {name}-{partition} at {position}"
                );
                let mut model = model.borrow_mut();
                let known = model.partition(topic, partition);
                known.see_ends(fetched.log_start, fetched.high_watermark);
                let mut expected = None;
                for found in &fetched.batches {
                    let in_order = match expected {
                        None => (found.base_offset..found.next_offset).contains(&position),
                        Some(offset) => found.base_offset == offset,
                    };
                    assert!(in_order, "asked for {position}, got a batch at {}", found.base_offset);
                    expected = Some(found.next_offset);
                    tracing::trace!(
                        name,
                        partition,
                        found.base_offset,
                        fetched.high_watermark,
                        "seen"
                    );
                    known.see(found, fetched.high_watermark);
                }
                position = expected.unwrap_or(position);
            }
            Ok(())
        }
        .await;
        if let Err(broken) = followed {
            tracing::debug!(name, partition, %broken, "consumer's connection ended");
            runtime::sleep(Duration::from_millis(10)).await;
        }
        // Sometimes a consumer begins again from the start.
        if runtime::random_u64().is_multiple_of(4) {
            position = 0;
        }
    }
}

/// Deletes records of random partitions up to random offsets.
pub async fn delete_records(model: Rc<RefCell<Model>>, topics: Vec<usize>, stop: Rc<Cell<bool>>) {
    while !stop.get() {
        runtime::sleep(Duration::from_millis(50 + runtime::random_u64() % 1500)).await;
        let topic = topics[runtime::random_u64() as usize % topics.len()];
        let (name, partition, offset) = {
            let mut model = model.borrow_mut();
            let partition = runtime::random_u64() as usize % model.topics[topic].partitions.len();
            let known = model.partition(topic, partition);
            let offset = (runtime::random_u64() % (known.high_watermark as u64 + 1)) as i64;
            known.delete_asked = known.delete_asked.max(offset);
            (model.topics[topic].name.clone(), partition, offset)
        };
        let mut asked = DeleteRecordsPartition::default();
        asked.partition_index = partition as i32;
        asked.offset = offset;
        let mut of_topic = DeleteRecordsTopic::default();
        of_topic.name = topic_name(&name);
        of_topic.partitions = vec![asked];
        let mut request = DeleteRecordsRequest::default();
        request.topics = vec![of_topic];
        request.timeout_ms = 10_000;
        let mut client = Client::connect_patiently().await;
        let Ok(response) = client.ask(&request, 2).await else { continue };
        let answer = &response.topics[0].partitions[0];
        if answer.error_code == NONE {
            assert!(answer.low_watermark >= offset, "deleted up to {}", answer.low_watermark);
            let mut model = model.borrow_mut();
            let known = model.partition(topic, partition);
            known.log_start = known.log_start.max(answer.low_watermark);
        }
    }
}

/// Cuts connections (but not during a truce), fills the disk, fails a write or a sync now and then.
pub async fn bad_luck(random: Random, truce: Rc<Cell<bool>>, stop: Rc<Cell<bool>>) {
    while !stop.get() {
        runtime::sleep(Duration::from_micros(random.between(50_000, 1_500_000))).await;
        match random.below(6) {
            0..=2 if truce.get() => {}
            0 | 1 => {
                simulation::cut_connections(random.between(10, 100));
            }
            2 => simulation::set_cuts_per_million(random.below(3000)),
            3 => {
                simulation::set_free_bytes(Some(random.below(200_000)));
                runtime::sleep(Duration::from_millis(random.between(10, 1500))).await;
                simulation::set_free_bytes(None);
            }
            4 => {
                let operation = random.choose([
                    DiskOperation::FileSync,
                    DiskOperation::Write,
                    DiskOperation::DirectorySync,
                    DiskOperation::Rename,
                    DiskOperation::Remove,
                ]);
                let part = random.choose(["topics", "state"]);
                simulation::fail_next(operation, part, ErrorKind::Other, random.between(1, 3));
            }
            _ if random.chance(1, 4) => {
                simulation::fail_next(DiskOperation::DurableWrite, "journal", ErrorKind::Other, 1);
            }
            _ => {}
        }
    }
    simulation::set_free_bytes(None);
    simulation::set_cuts_per_million(0);
    simulation::clear_faults();
}
