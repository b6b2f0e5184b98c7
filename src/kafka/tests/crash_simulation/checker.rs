//! Reads everything back and holds it against the model.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use batch::BatchHeader;
use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{FetchRequest, ListOffsetsRequest, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::client::Client;
use crate::plain_model::{Found, Model};

pub const NONE: i16 = 0;
pub const OFFSET_OUT_OF_RANGE: i16 = 1;
pub const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
pub const UNKNOWN_TOPIC_ID: i16 = 100;

/// What one fetch of one partition brought.
pub struct Fetched {
    pub error_code: i16,
    pub high_watermark: i64,
    pub log_start: i64,
    pub batches: Vec<Found>,
}

/// What to fetch.
#[derive(Clone, Copy)]
pub struct FetchFrom {
    pub topic: Uuid,
    pub partition: usize,
    pub offset: i64,
    pub max_bytes: i32,
    pub max_wait_ms: i32,
}

/// Fetches from one partition.
pub async fn fetch(client: &mut Client, from: FetchFrom) -> io::Result<Fetched> {
    let mut partition = FetchPartition::default();
    partition.partition = from.partition as i32;
    partition.fetch_offset = from.offset;
    partition.partition_max_bytes = from.max_bytes;
    let mut topic = FetchTopic::default();
    topic.topic_id = from.topic;
    topic.partitions = vec![partition];
    let mut request = FetchRequest::default();
    request.max_wait_ms = from.max_wait_ms;
    request.min_bytes = 1;
    request.max_bytes = 50 << 20;
    request.session_epoch = -1;
    request.topics = vec![topic];
    let response = client.ask(&request, 13).await?;
    assert_eq!(response.error_code, NONE, "fetch without a session");
    let answer = &response.responses[0].partitions[0];
    let mut batches = Vec::new();
    let mut rest = answer.records.clone().unwrap_or_default();
    while !rest.is_empty() {
        batches.push(first_batch(&mut rest));
    }
    Ok(Fetched {
        error_code: answer.error_code,
        high_watermark: answer.high_watermark,
        log_start: answer.log_start_offset,
        batches,
    })
}

fn first_batch(rest: &mut Bytes) -> Found {
    let header = BatchHeader::parse(rest).expect("a batch header in a fetch reply");
    let bytes = rest.split_to(header.size_bytes());
    batch::check_crc(&bytes, &header).expect("an intact batch in a fetch reply");
    Found { base_offset: header.base_offset.0, next_offset: header.next_offset().0, bytes }
}

/// Asks for the first or the last offset: -2 or -1 for `timestamp`.
pub async fn offset(
    client: &mut Client,
    topic: &str,
    partition: usize,
    timestamp: i64,
) -> io::Result<Result<i64, i16>> {
    let mut asked = ListOffsetsPartition::default();
    asked.partition_index = partition as i32;
    asked.timestamp = timestamp;
    let mut of_topic = ListOffsetsTopic::default();
    of_topic.name = topic_name(topic);
    of_topic.partitions = vec![asked];
    let mut request = ListOffsetsRequest::default();
    request.replica_id = (-1).into();
    request.topics = vec![of_topic];
    let response = client.ask(&request, 7).await?;
    let answer = &response.topics[0].partitions[0];
    Ok(if answer.error_code == NONE { Ok(answer.offset) } else { Err(answer.error_code) })
}

pub fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

/// The names and ids of all topics.
pub async fn topics(client: &mut Client) -> io::Result<Vec<(String, Uuid)>> {
    let mut request = MetadataRequest::default();
    request.topics = None;
    let response = client.ask(&request, 12).await?;
    let named = response.topics.into_iter().map(|topic| {
        let name = topic.name.map(|name| name.0.to_string()).unwrap_or_default();
        (name, topic.topic_id)
    });
    Ok(named.collect())
}

/// Reads every topic from first to last offset and compares. An error is a broken connection: the
/// caller tries again.
pub async fn audit(model: &Rc<RefCell<Model>>) -> io::Result<()> {
    let mut client = Client::connect().await?;
    // What is asked for while we read may be there or not.
    let before: Vec<(bool, bool)> =
        model.borrow().topics.iter().map(|topic| (topic.deletion_asked, topic.deleted)).collect();
    let listed = topics(&mut client).await?;
    for (index, (deletion_asked, deleted)) in before.into_iter().enumerate() {
        let (id, name) = {
            let model = model.borrow();
            (model.topics[index].id, model.topics[index].name.clone())
        };
        let exists = listed.iter().any(|(_, other)| *other == id);
        assert!(!(deleted && exists), "topic {name} ({id}) was deleted and is back");
        let deletion_asked = deletion_asked || model.borrow().topics[index].deletion_asked;
        assert!(deletion_asked || exists, "topic {name} ({id}) is lost");
        if deletion_asked {
            continue;
        }
        let partitions = model.borrow().topics[index].partitions.len();
        for partition in 0..partitions {
            audit_partition(&mut client, model, index, partition).await?;
        }
    }
    Ok(())
}

async fn audit_partition(
    client: &mut Client,
    model: &Rc<RefCell<Model>>,
    topic: usize,
    partition: usize,
) -> io::Result<()> {
    let (id, name, expires) = {
        let model = model.borrow();
        let topic = &model.topics[topic];
        (topic.id, topic.name.clone(), topic.expires)
    };
    // Deleting goes on while we read: begin again when it overtakes us.
    'again: loop {
        let gone = |code| {
            [UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID].contains(&code)
                && model.borrow().topics[topic].deletion_asked
        };
        let promise = model.borrow_mut().partition(topic, partition).promise();
        let mut position = match offset(client, &name, partition, -2).await? {
            Ok(first) => first,
            Err(code) if gone(code) => return Ok(()),
            Err(code) => panic!("ListOffsets of {name}-{partition} answers {code}"),
        };
        let log_start = position;
        let mut found = Vec::new();
        loop {
            let from = FetchFrom {
                topic: id,
                partition,
                offset: position,
                max_bytes: 1 << 20,
                max_wait_ms: 0,
            };
            let fetched = fetch(client, from).await?;
            if fetched.error_code == OFFSET_OUT_OF_RANGE && fetched.log_start > log_start {
                continue 'again;
            }
            if gone(fetched.error_code) {
                return Ok(());
            }
            assert_eq!(fetched.error_code, NONE, "fetch of {name}-{partition} at {position}");
            position = fetched.batches.last().map_or(position, |last| last.next_offset);
            let high_watermark = fetched.high_watermark;
            let at = runtime::now();
            tracing::trace!(?at, name, partition, log_start, position, high_watermark, "audited");
            let is_last = fetched.batches.is_empty();
            assert!(
                !is_last || position == fetched.high_watermark,
                "nothing at {position}, below the high watermark {}",
                fetched.high_watermark
            );
            found.extend(fetched.batches);
            if position == fetched.high_watermark {
                if fetched.log_start > log_start {
                    continue 'again;
                }
                let mut model = model.borrow_mut();
                let partition = model.partition(topic, partition);
                partition.audit(&promise, expires, log_start, position, &found);
                return Ok(());
            }
        }
    }
}
