//! Transactions: both protocols, fencing, timeouts, what `read_committed` readers see, and offsets.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, BrokerId, DescribeProducersRequest,
    DescribeTransactionsRequest, EndTxnRequest, GroupId, InitProducerIdRequest, ListOffsetsRequest,
    ListTransactionsRequest, OffsetFetchRequest, ProduceRequest, ProducerId as WireProducerId,
    TransactionalId, TxnOffsetCommitRequest, WriteTxnMarkersRequest,
    add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction},
    describe_producers_request::TopicRequest,
    list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
    offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
    produce_request::{PartitionProduceData, TopicProduceData},
    txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic},
    write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic},
};
use model::{BatchSequence, Compression, ProducerEpoch, ProducerId};

use crate::{
    conversation::{Client, text, topic_name, with_broker},
    fetching::fetch,
};

const CONCURRENT: i16 = 51;
const FENCED: i16 = 90;
const INVALID_EPOCH: i16 = 47;
const INVALID_STATE: i16 = 48;
const ABORTABLE: i16 = 120;

/// A producer: its identity and the next sequence of each of two partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Producer {
    id: i64,
    epoch: i16,
    sequences: [i32; 2],
}

fn transactional_id(id: &str) -> TransactionalId {
    TransactionalId(text(id))
}

async fn ask_init(client: &mut Client, id: &str, timeout_ms: i32) -> Result<Producer, i16> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(transactional_id(id)))
        .with_transaction_timeout_ms(timeout_ms);
    let given = client.ask(4, request).await;
    match given.error_code {
        0 => {
            let (id, epoch) = (given.producer_id.0, given.producer_epoch);
            Ok(Producer { id, epoch, sequences: [0; 2] })
        }
        code => Err(code),
    }
}

/// As a client does: again while the last transaction is being ended.
async fn init(client: &mut Client, id: &str) -> Producer {
    loop {
        match ask_init(client, id, 60_000).await {
            Ok(producer) => return producer,
            Err(CONCURRENT) => runtime::sleep(Duration::from_millis(20)).await,
            Err(code) => panic!("InitProducerId answers {code}"),
        }
    }
}

async fn add(client: &mut Client, id: &str, producer: &Producer, partitions: &[i32]) -> Vec<i16> {
    let topic = AddPartitionsToTxnTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(partitions.to_vec());
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(transactional_id(id))
        .with_v3_and_below_producer_id(WireProducerId(producer.id))
        .with_v3_and_below_producer_epoch(producer.epoch)
        .with_v3_and_below_topics(vec![topic]);
    let response = client.ask(3, request).await;
    let results = &response.results_by_topic_v3_and_below[0].results_by_partition;
    results.iter().map(|result| result.partition_error_code).collect()
}

fn records(producer: &Producer, partition: usize, count: i32, transactional: bool) -> BytesMut {
    let mut builder = batch::BatchBuilder::new(Compression::None).producer(
        ProducerId(producer.id),
        ProducerEpoch(producer.epoch),
        BatchSequence(producer.sequences[partition]),
    );
    if transactional {
        builder = builder.transactional();
    }
    for _ in 0..count {
        builder.push(runtime::wall_clock(), Some(b"k"), Some(b"v"), &[]);
    }
    builder.build().unwrap()
}

fn produce_request(id: &str, partition: i32, batch: impl Into<Bytes>) -> ProduceRequest {
    let data =
        PartitionProduceData::default().with_index(partition).with_records(Some(batch.into()));
    let topic =
        TopicProduceData::default().with_name(topic_name("t")).with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_transactional_id(Some(transactional_id(id)))
        .with_acks(-1)
        .with_timeout_ms(1000)
        .with_topic_data(vec![topic])
}

/// Writes `count` records; the code and their first offset.
async fn write(
    client: &mut Client,
    version: i16,
    id: &str,
    producer: &mut Producer,
    partition: usize,
    count: i32,
) -> (i16, i64) {
    let batch = records(producer, partition, count, true);
    let response = client.ask(version, produce_request(id, partition as i32, batch)).await;
    let outcome = &response.responses[0].partition_responses[0];
    if outcome.error_code == 0 {
        producer.sequences[partition] += count;
    }
    (outcome.error_code, outcome.base_offset)
}

/// Ends a transaction; in version 5 the producer goes on with the new identity.
async fn end(
    client: &mut Client,
    version: i16,
    id: &str,
    producer: &mut Producer,
    commit: bool,
) -> i16 {
    let request = EndTxnRequest::default()
        .with_transactional_id(transactional_id(id))
        .with_producer_id(WireProducerId(producer.id))
        .with_producer_epoch(producer.epoch)
        .with_committed(commit);
    let response = client.ask(version, request).await;
    if response.error_code == 0 && version >= 5 {
        let (id, epoch) = (response.producer_id.0, response.producer_epoch);
        *producer = Producer { id, epoch, sequences: [0; 2] };
    }
    response.error_code
}

/// What a reader of partition 0 sees.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Base offsets of batches; markers are negative: `-1 - offset`.
    batches: Vec<i64>,
    last_stable: i64,
    end: i64,
    /// First offsets of aborted transactions; `None` for `read_uncommitted`.
    aborted: Option<Vec<i64>>,
}

async fn read(client: &mut Client, from: i64, committed: bool) -> Seen {
    let request = fetch(&[(0, from)]).with_isolation_level(i8::from(committed));
    let response = client.ask(11, request).await;
    let partition = &response.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    let mut bytes = partition.records.clone().unwrap();
    let mut batches = Vec::new();
    while !bytes.is_empty() {
        let header = batch::BatchHeader::parse(&bytes).unwrap();
        let at = header.base_offset.0;
        batches.push(if header.attributes.is_control() { -1 - at } else { at });
        bytes = bytes.split_off(header.size_bytes());
    }
    let aborted = partition.aborted_transactions.as_ref();
    Seen {
        batches,
        last_stable: partition.last_stable_offset,
        end: partition.high_watermark,
        aborted: aborted.map(|all| all.iter().map(|aborted| aborted.first_offset).collect()),
    }
}

fn seen(batches: &[i64], last_stable: i64, end: i64, aborted: Option<&[i64]>) -> Seen {
    Seen { batches: batches.to_vec(), last_stable, end, aborted: aborted.map(<[i64]>::to_vec) }
}

#[test]
fn a_committed_transaction_is_seen_from_its_marker_on() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 2, &[]).await;
        let mut producer = init(&mut client, "tx").await;
        assert_eq!(add(&mut client, "tx", &producer, &[0, 1]).await, [0, 0]);
        assert_eq!(write(&mut client, 9, "tx", &mut producer, 0, 2).await, (0, 0));
        assert_eq!(write(&mut client, 9, "tx", &mut producer, 0, 3).await, (0, 2));
        assert_eq!(write(&mut client, 9, "tx", &mut producer, 1, 1).await, (0, 0));

        assert_eq!(read(&mut client, 0, true).await, seen(&[], 0, 5, Some(&[])));
        assert_eq!(read(&mut client, 0, false).await, seen(&[0, 2], 0, 5, None));
        assert_eq!(end(&mut client, 3, "tx", &mut producer, true).await, 0);
        assert_eq!(read(&mut client, 0, true).await, seen(&[0, 2, -6], 6, 6, Some(&[])));
        assert_eq!(read(&mut client, 0, false).await, seen(&[0, 2, -6], 6, 6, None));

        // The same epoch goes on in the next transaction.
        assert_eq!(add(&mut client, "tx", &producer, &[0]).await, [0]);
        assert_eq!(write(&mut client, 9, "tx", &mut producer, 0, 1).await, (0, 6));
        assert_eq!(read(&mut client, 5, true).await, seen(&[-6], 6, 7, Some(&[])));
        assert_eq!(end(&mut client, 3, "tx", &mut producer, true).await, 0);
    });
}

#[test]
fn an_aborted_transaction_is_listed_wherever_its_records_are_read() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 2, &[]).await;
        let mut one = init(&mut client, "one").await;
        let mut other = init(&mut client, "other").await;
        add(&mut client, "one", &one, &[0]).await;
        add(&mut client, "other", &other, &[0]).await;
        write(&mut client, 9, "one", &mut one, 0, 2).await; // 0, 1
        write(&mut client, 9, "other", &mut other, 0, 1).await; // 2
        write(&mut client, 9, "one", &mut one, 0, 1).await; // 3
        assert_eq!(end(&mut client, 3, "one", &mut one, false).await, 0); // 4
        // What the other has open bounds what is stable.
        assert_eq!(read(&mut client, 0, true).await, seen(&[0], 2, 5, Some(&[0])));
        assert_eq!(end(&mut client, 3, "other", &mut other, true).await, 0); // 5
        assert_eq!(read(&mut client, 0, true).await, seen(&[0, 2, 3, -5, -6], 6, 6, Some(&[0])));
        assert_eq!(read(&mut client, 4, true).await, seen(&[-5, -6], 6, 6, Some(&[0])));
        assert_eq!(read(&mut client, 5, true).await, seen(&[-6], 6, 6, Some(&[])));
        assert_eq!(read(&mut client, 0, false).await.aborted, None);
    });
}

#[test]
fn a_batch_outside_a_transaction_is_refused_as_its_version_understands() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 2, &[]).await;
        let mut producer = init(&mut client, "tx").await;
        for (version, code) in [(9, INVALID_STATE), (10, INVALID_STATE), (11, ABORTABLE)] {
            let refused = write(&mut client, version, "tx", &mut producer, 0, 1).await;
            assert_eq!(refused, (code, -1), "version {version}");
        }
        add(&mut client, "tx", &producer, &[0]).await;
        assert_eq!(write(&mut client, 9, "tx", &mut producer, 1, 1).await.0, INVALID_STATE);
        assert_eq!(write(&mut client, 9, "tx", &mut producer, 0, 1).await, (0, 0));
        // Nor may it write outside its transaction while that is open, or without its name.
        let plain = records(&producer, 0, 1, false);
        let response = client.ask(9, produce_request("tx", 0, plain)).await;
        assert_eq!(response.responses[0].partition_responses[0].error_code, INVALID_STATE);
        let nameless = records(&producer, 0, 1, true);
        let response = client.ask(9, crate::producing::produce(-1, nameless)).await;
        assert_eq!(response.responses[0].partition_responses[0].error_code, INVALID_STATE);
        // A batch that comes after the end begins nothing.
        assert_eq!(end(&mut client, 3, "tx", &mut producer, true).await, 0);
        assert_eq!(write(&mut client, 9, "tx", &mut producer, 0, 1).await.0, INVALID_STATE);
        assert_eq!(read(&mut client, 0, true).await, seen(&[0, -2], 2, 2, Some(&[])));
    });
}

#[test]
fn all_partitions_are_added_or_none() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 2, &[]).await;
        let mut producer = init(&mut client, "tx").await;
        assert_eq!(add(&mut client, "tx", &producer, &[0, 7]).await, [55, 3]);
        assert_eq!(write(&mut client, 9, "tx", &mut producer, 0, 1).await.0, INVALID_STATE);
        assert_eq!(add(&mut client, "nobody", &producer, &[0]).await, [49]);
    });
}

#[test]
fn a_new_producer_fences_the_old_one_and_aborts_what_it_left() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 2, &[]).await;
        let mut zombie = init(&mut client, "tx").await;
        add(&mut client, "tx", &zombie, &[0, 1]).await;
        write(&mut client, 9, "tx", &mut zombie, 0, 2).await;
        assert_eq!(ask_init(&mut client, "tx", 60_000).await, Err(CONCURRENT));
        let mut heir = init(&mut client, "tx").await;
        assert_eq!((heir.id, heir.epoch), (zombie.id, 2));
        assert_eq!(read(&mut client, 0, true).await, seen(&[0, -3], 3, 3, Some(&[0])));

        assert_eq!(write(&mut client, 9, "tx", &mut zombie, 0, 1).await.0, INVALID_EPOCH);
        // Where it has written nothing before, too.
        assert_eq!(write(&mut client, 9, "tx", &mut zombie, 1, 1).await.0, INVALID_EPOCH);
        assert_eq!(add(&mut client, "tx", &zombie, &[0]).await, [FENCED]);
        assert_eq!(end(&mut client, 3, "tx", &mut zombie, true).await, FENCED);
        assert_eq!(end(&mut client, 1, "tx", &mut zombie, true).await, INVALID_EPOCH);

        add(&mut client, "tx", &heir, &[0]).await;
        assert_eq!(write(&mut client, 9, "tx", &mut heir, 0, 1).await, (0, 3));
        assert_eq!(end(&mut client, 3, "tx", &mut heir, true).await, 0);
    });
}

#[test]
fn in_the_second_protocol_writing_adds_and_each_end_gives_a_new_epoch() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 2, &[]).await;
        let mut producer = init(&mut client, "tx").await;
        let first = producer;
        assert_eq!(write(&mut client, 12, "tx", &mut producer, 0, 2).await, (0, 0));
        assert_eq!(write(&mut client, 12, "tx", &mut producer, 1, 2).await, (0, 0));
        let mut retry = producer;
        assert_eq!(end(&mut client, 5, "tx", &mut producer, true).await, 0);
        assert_eq!((producer.id, producer.epoch), (first.id, first.epoch + 1));
        assert_eq!(end(&mut client, 5, "tx", &mut retry, true).await, 0, "the answer was lost");
        assert_eq!(retry, producer);
        // What is late is fenced by the marker, also where the transaction wrote nothing.
        let mut late = Producer { sequences: [2, 2], ..first };
        assert_eq!(write(&mut client, 12, "tx", &mut late, 0, 1).await.0, INVALID_EPOCH);
        assert_eq!(write(&mut client, 12, "tx", &mut producer, 0, 1).await, (0, 3));
        assert_eq!(end(&mut client, 5, "tx", &mut producer, false).await, 0);
        // An abort of nothing.
        assert_eq!(end(&mut client, 5, "tx", &mut producer, false).await, 0);
        assert_eq!(producer.epoch, first.epoch + 3);
        assert_eq!(read(&mut client, 0, true).await, seen(&[0, -3, 3, -5], 5, 5, Some(&[3])));
    });
}

#[test]
fn pipelined_batches_wait_behind_the_first_one_in_their_order() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 2, &[]).await;
        let mut producer = init(&mut client, "tx").await;
        for _ in 0..10 {
            let batch = records(&producer, 0, 1, true);
            client.send(12, produce_request("tx", 0, batch)).await;
            producer.sequences[0] += 1;
        }
        for offset in 0..10 {
            let (_, response) = client.any_reply::<ProduceRequest>(12).await;
            let outcome = &response.responses[0].partition_responses[0];
            assert_eq!((outcome.error_code, outcome.base_offset), (0, offset));
        }
        assert_eq!(end(&mut client, 5, "tx", &mut producer, true).await, 0);
    });
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 2, &[]).await;
        assert_eq!(ask_init(&mut client, "tx", 900_001).await, Err(50));
        assert_eq!(ask_init(&mut client, "tx", 0).await, Err(50));
        let mut producer = ask_init(&mut client, "tx", 5_000).await.unwrap();
        write(&mut client, 12, "tx", &mut producer, 0, 1).await;
        runtime::sleep(Duration::from_secs(21)).await;
        assert_eq!(read(&mut client, 0, true).await, seen(&[0, -2], 2, 2, Some(&[0])));
        assert_eq!(write(&mut client, 12, "tx", &mut producer, 0, 1).await.0, INVALID_EPOCH);
        assert_eq!(end(&mut client, 5, "tx", &mut producer, true).await, FENCED);
        init(&mut client, "tx").await;
    });
}

#[test]
fn list_offsets_ends_at_the_last_stable_offset_for_read_committed() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 2, &[]).await;
        let mut producer = init(&mut client, "tx").await;
        client.ask(9, crate::producing::produce(-1, crate::producing::batch(4))).await;
        write(&mut client, 12, "tx", &mut producer, 0, 2).await;
        let latest = async |client: &mut Client, isolation| {
            let partition =
                ListOffsetsPartition::default().with_partition_index(0).with_timestamp(-1);
            let topic = ListOffsetsTopic::default()
                .with_name(topic_name("t"))
                .with_partitions(vec![partition]);
            let request = ListOffsetsRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_isolation_level(isolation)
                .with_topics(vec![topic]);
            client.ask(7, request).await.topics[0].partitions[0].offset
        };
        assert_eq!(latest(&mut client, 0).await, 6);
        assert_eq!(latest(&mut client, 1).await, 4);
        end(&mut client, 5, "tx", &mut producer, true).await;
        assert_eq!(latest(&mut client, 1).await, 7);
    });
}

async fn commit_offset(
    client: &mut Client,
    version: i16,
    id: &str,
    producer: &Producer,
    offset: i64,
) -> i16 {
    let partition = TxnOffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("m")));
    let topic = TxnOffsetCommitRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![partition]);
    let request = TxnOffsetCommitRequest::default()
        .with_transactional_id(transactional_id(id))
        .with_group_id(GroupId(text("g")))
        .with_producer_id(WireProducerId(producer.id))
        .with_producer_epoch(producer.epoch)
        .with_topics(vec![topic]);
    client.ask(version, request).await.topics[0].partitions[0].error_code
}

/// The committed offset, or a code.
async fn committed(client: &mut Client, stable: bool) -> Result<i64, i16> {
    let topic = OffsetFetchRequestTopics::default()
        .with_name(topic_name("t"))
        .with_partition_indexes(vec![0]);
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text("g")))
        .with_topics(Some(vec![topic]));
    let request =
        OffsetFetchRequest::default().with_groups(vec![group]).with_require_stable(stable);
    let response = client.ask(8, request).await;
    let partition = &response.groups[0].topics[0].partitions[0];
    match partition.error_code {
        0 => Ok(partition.committed_offset),
        code => Err(code),
    }
}

#[test]
fn offsets_count_once_their_transaction_commits() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 2, &[]).await;
        let mut producer = init(&mut client, "tx").await;
        // Not before the group is part of the transaction.
        assert_eq!(commit_offset(&mut client, 3, "tx", &producer, 5).await, INVALID_STATE);
        let add = AddOffsetsToTxnRequest::default()
            .with_transactional_id(transactional_id("tx"))
            .with_producer_id(WireProducerId(producer.id))
            .with_producer_epoch(producer.epoch)
            .with_group_id(GroupId(text("g")));
        assert_eq!(client.ask(3, add.clone()).await.error_code, 0);
        assert_eq!(commit_offset(&mut client, 3, "tx", &producer, 5).await, 0);
        assert_eq!(committed(&mut client, false).await, Ok(-1));
        assert_eq!(committed(&mut client, true).await, Err(88));
        assert_eq!(end(&mut client, 3, "tx", &mut producer, true).await, 0);
        assert_eq!(committed(&mut client, true).await, Ok(5));

        assert_eq!(client.ask(3, add).await.error_code, 0);
        assert_eq!(commit_offset(&mut client, 3, "tx", &producer, 9).await, 0);
        assert_eq!(end(&mut client, 3, "tx", &mut producer, false).await, 0);
        assert_eq!(committed(&mut client, true).await, Ok(5));
        // In the second protocol the group joins by the commit.
        assert_eq!(commit_offset(&mut client, 5, "tx", &producer, 11).await, 0);
        assert_eq!(end(&mut client, 5, "tx", &mut producer, true).await, 0);
        assert_eq!(committed(&mut client, true).await, Ok(11));
        let zombie = Producer { epoch: 0, ..producer };
        assert_eq!(commit_offset(&mut client, 5, "tx", &zombie, 1).await, INVALID_EPOCH);
    });
}

#[test]
fn brokers_may_verify_and_add_for_several_transactions_at_once() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 2, &[]).await;
        let one = init(&mut client, "one").await;
        let two = init(&mut client, "two").await;
        let part = |id: &str, producer: &Producer, verify_only, partitions: &[i32]| {
            let topic = AddPartitionsToTxnTopic::default()
                .with_name(topic_name("t"))
                .with_partitions(partitions.to_vec());
            AddPartitionsToTxnTransaction::default()
                .with_transactional_id(transactional_id(id))
                .with_producer_id(WireProducerId(producer.id))
                .with_producer_epoch(producer.epoch)
                .with_verify_only(verify_only)
                .with_topics(vec![topic])
        };
        let transactions = vec![
            part("one", &one, false, &[0]),
            part("one", &one, true, &[0, 1]),
            part("two", &two, true, &[0]),
            part("two", &one, true, &[0]),
        ];
        let request = AddPartitionsToTxnRequest::default().with_transactions(transactions);
        let response = client.ask(5, request).await;
        let codes: Vec<Vec<i16>> = response
            .results_by_transaction
            .iter()
            .map(|it| &it.topic_results[0].results_by_partition)
            .map(|it| it.iter().map(|partition| partition.partition_error_code).collect())
            .collect();
        assert_eq!(codes, [vec![0], vec![0, ABORTABLE], vec![ABORTABLE], vec![49]]);
    });
}

#[test]
fn transactions_and_their_producers_can_be_looked_at() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 2, &[]).await;
        let mut open = init(&mut client, "open").await;
        init(&mut client, "idle").await;
        write(&mut client, 12, "open", &mut open, 0, 3).await;

        let ids = ["open", "idle", "none"].map(transactional_id).to_vec();
        let request = DescribeTransactionsRequest::default().with_transactional_ids(ids);
        let states = client.ask(0, request).await.transaction_states;
        let shown: Vec<_> =
            states.iter().map(|it| (it.error_code, it.transaction_state.as_str())).collect();
        assert_eq!(shown, [(0, "Ongoing"), (0, "Empty"), (105, "")]);
        assert_eq!(states[0].topics[0].partitions, [0]);
        assert_eq!((states[0].producer_id.0, states[0].transaction_timeout_ms), (open.id, 60_000));

        let listed =
            client.ask(1, ListTransactionsRequest::default().with_duration_filter(-1)).await;
        let ids: Vec<_> =
            listed.transaction_states.iter().map(|it| it.transactional_id.as_str()).collect();
        assert_eq!(ids, ["idle", "open"]);
        let filtered = ListTransactionsRequest::default()
            .with_duration_filter(-1)
            .with_state_filters(vec![text("Ongoing"), text("Sleeping")]);
        let listed = client.ask(1, filtered).await;
        assert_eq!(listed.unknown_state_filters, [text("Sleeping")]);
        assert_eq!(listed.transaction_states.len(), 1);

        let topic =
            TopicRequest::default().with_name(topic_name("t")).with_partition_indexes(vec![0, 9]);
        let request = DescribeProducersRequest::default().with_topics(vec![topic]);
        let described = client.ask(0, request).await;
        let partitions = &described.topics[0].partitions;
        assert_eq!(partitions[1].error_code, 3);
        let producer = &partitions[0].active_producers[0];
        assert_eq!((producer.producer_id.0, producer.last_sequence), (open.id, 2));
        assert_eq!((producer.current_txn_start_offset, producer.coordinator_epoch), (0, -1));

        // An administrator ends what hangs.
        let topic = WritableTxnMarkerTopic::default()
            .with_name(topic_name("t"))
            .with_partition_indexes(vec![0]);
        let marker = WritableTxnMarker::default()
            .with_producer_id(WireProducerId(open.id))
            .with_producer_epoch(open.epoch)
            .with_transaction_result(false)
            .with_topics(vec![topic]);
        let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
        let answer = client.ask(1, request).await;
        assert_eq!(answer.markers[0].topics[0].partitions[0].error_code, 0);
        assert_eq!(read(&mut client, 0, true).await, seen(&[0, -4], 4, 4, Some(&[0])));
    });
}
