//! Fetch, ListOffsets, DeleteRecords and OffsetForLeaderEpoch.

use std::time::Duration;

use kafka_protocol::messages::{
    BrokerId, DeleteRecordsRequest, FetchRequest, FetchResponse, ListOffsetsRequest,
    OffsetForLeaderEpochRequest,
    delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
    fetch_request::{FetchPartition, FetchTopic},
    list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
    list_offsets_response::ListOffsetsPartitionResponse,
    offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic},
};

use crate::{
    conversation::{Client, topic_name, with_broker},
    producing::{batch, produce},
};

/// A fetch of partitions of topic "t" from these offsets, which does not wait.
pub fn fetch(partitions: &[(i32, i64)]) -> FetchRequest {
    let partitions = partitions.iter().map(|(index, offset)| {
        FetchPartition::default()
            .with_partition(*index)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(1 << 20)
    });
    let topic =
        FetchTopic::default().with_topic(topic_name("t")).with_partitions(partitions.collect());
    FetchRequest::default().with_max_bytes(1 << 20).with_topics(vec![topic])
}

async fn records_bytes(client: &mut Client, request: FetchRequest) -> Vec<usize> {
    sizes(&client.ask(11, request).await)
}

fn sizes(response: &FetchResponse) -> Vec<usize> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|partition| partition.records.as_ref().expect("never null").len()).collect()
}

#[test]
fn what_was_produced_is_fetched_byte_for_byte_in_every_version() {
    with_broker(&[], async |mut client| {
        let id = client.create_topic("t", 1, &[]).await;
        let sent = batch(3);
        client.ask(9, produce(-1, sent.clone())).await;
        for version in 4..=18 {
            let mut request = fetch(&[(0, 0)]);
            if version >= 13 {
                request.topics[0].topic = topic_name("");
                request.topics[0].topic_id = id;
            }
            let response = client.ask(version, request).await;
            assert_eq!((response.error_code, response.session_id), (0, 0));
            let partition = &response.responses[0].partitions[0];
            assert_eq!(partition.error_code, 0, "{version}");
            assert_eq!((partition.high_watermark, partition.last_stable_offset), (3, 3));
            let records = partition.records.as_ref().unwrap();
            // From byte 21 on the producer's own: only base offset and leader epoch may differ.
            assert_eq!(records[21..], sent[21..], "{version}");
            assert_eq!(records[8..12], sent[8..12]);
        }
    });
}

#[test]
fn an_offset_within_a_batch_gets_the_whole_batch() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        let size = batch(5).len();
        client.ask(9, produce(-1, batch(5))).await;
        assert_eq!(records_bytes(&mut client, fetch(&[(0, 3)])).await, [size]);
    });
}

#[test]
fn the_first_batch_comes_even_if_it_is_over_every_limit_and_only_the_first() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 2, &[]).await;
        let size = batch(5).len();
        for _ in 0..2 {
            client.ask(9, produce(-1, batch(5))).await;
        }
        let mut request = fetch(&[(1, 0), (0, 0)]).with_max_bytes(1);
        for partition in &mut request.topics[0].partitions {
            partition.partition_max_bytes = 1;
        }
        assert_eq!(records_bytes(&mut client, request).await, [0, size]);
    });
}

#[test]
fn nothing_is_an_empty_sequence_and_never_null() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        assert_eq!(records_bytes(&mut client, fetch(&[(0, 0)])).await, [0]);
        assert_eq!(records_bytes(&mut client, fetch(&[(0, 99), (9, 0)])).await, [0, 0]);
    });
}

#[test]
fn an_offset_outside_the_log_says_where_the_log_is() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        client.ask(9, produce(-1, batch(4))).await;
        for offset in [5, -1] {
            let response = client.ask(11, fetch(&[(0, offset)])).await;
            let partition = &response.responses[0].partitions[0];
            assert_eq!(partition.error_code, 1);
            assert_eq!((partition.log_start_offset, partition.high_watermark), (0, 4));
        }
    });
}

#[test]
fn a_fetch_waits_for_as_long_as_asked_and_no_longer() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        let began = runtime::now();
        let waiting = fetch(&[(0, 0)]).with_min_bytes(1).with_max_wait_ms(500);
        assert_eq!(records_bytes(&mut client, waiting).await, [0]);
        let waited = runtime::now() - began;
        assert!(waited >= Duration::from_millis(500), "{waited:?}");
        assert!(waited < Duration::from_millis(700), "{waited:?}");
    });
}

#[test]
fn a_waiting_fetch_is_woken_by_a_produce_of_another_connection() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        let mut reader = client.another().await;
        reader.send(11, fetch(&[(0, 0)]).with_min_bytes(1).with_max_wait_ms(60_000)).await;
        runtime::sleep(Duration::from_millis(50)).await;
        let began = runtime::now();
        client.ask(9, produce(-1, batch(1))).await;
        let response = reader.reply::<FetchRequest>(11).await;
        assert_eq!(sizes(&response), [batch(1).len()]);
        assert!(runtime::now() - began < Duration::from_secs(1));
    });
}

#[test]
fn a_client_that_goes_takes_its_waiting_fetch_with_it() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        let mut reader = client.another().await;
        reader.send(11, fetch(&[(0, 0)]).with_min_bytes(1).with_max_wait_ms(600_000)).await;
        runtime::sleep(Duration::from_millis(100)).await;
        drop(reader);
        // The door closes at once after this, as with every conversation.
        runtime::sleep(Duration::from_secs(1)).await;
    });
}

#[test]
fn an_error_is_told_at_once_although_the_fetch_would_wait() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        let began = runtime::now();
        let request = fetch(&[(0, 0), (5, 0)]).with_min_bytes(1).with_max_wait_ms(30_000);
        let response = client.ask(11, request).await;
        assert_eq!(response.responses[0].partitions[1].error_code, 3);
        assert!(runtime::now() - began < Duration::from_secs(1));
    });
}

#[test]
fn a_request_that_continues_a_session_is_told_that_there_is_none() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        let mut request = fetch(&[(0, 0)]);
        (request.session_id, request.session_epoch) = (0, 0);
        let opened = client.ask(11, request.clone()).await;
        assert_eq!((opened.error_code, opened.session_id), (0, 0));
        (request.session_id, request.session_epoch) = (7, 1);
        let refused = client.ask(11, request).await;
        assert_eq!((refused.error_code, refused.responses.len()), (70, 0));
    });
}

#[test]
fn an_unknown_topic_id_gets_unknown_topic_id() {
    with_broker(&[], async |mut client| {
        let mut request = fetch(&[(0, 0)]);
        request.topics[0].topic = topic_name("");
        request.topics[0].topic_id = uuid::Uuid::from_u128(9);
        let response = client.ask(13, request).await;
        assert_eq!(response.responses[0].partitions[0].error_code, 100);
    });
}

async fn list(client: &mut Client, version: i16, timestamp: i64) -> ListOffsetsPartitionResponse {
    let partition =
        ListOffsetsPartition::default().with_partition_index(0).with_timestamp(timestamp);
    let topic =
        ListOffsetsTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
    let request =
        ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
    client.ask(version, request).await.topics.remove(0).partitions.remove(0)
}

#[test]
fn offsets_are_listed_by_special_and_by_real_timestamps() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        let first_at = runtime::wall_clock().0;
        client.ask(9, produce(-1, batch(5))).await; // one record a millisecond
        for version in 1..=10 {
            assert_eq!(list(&mut client, version, -2).await.offset, 0, "{version}");
            assert_eq!(list(&mut client, version, -1).await.offset, 5, "{version}");
            // The record is found, not its batch.
            let found = list(&mut client, version, first_at + 3).await;
            assert!(found.offset > 0 && found.offset < 5, "{found:?}");
            assert!(found.timestamp >= first_at + 3, "{found:?}");
            // Nothing at or after: -1 and -1, not the end of the log.
            let none = list(&mut client, version, first_at + 100_000).await;
            assert_eq!((none.error_code, none.offset, none.timestamp), (0, -1, -1));
        }
        assert_eq!(list(&mut client, 7, -3).await.offset, 4);
        assert_eq!(list(&mut client, 6, -3).await.error_code, 35);
        assert_eq!(list(&mut client, 8, -4).await.offset, 0);
        let tiered = list(&mut client, 9, -5).await;
        assert_eq!((tiered.error_code, tiered.offset), (0, -1));
    });
}

#[test]
fn deleted_records_move_the_start_of_the_log() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        for _ in 0..3 {
            client.ask(9, produce(-1, batch(2))).await;
        }
        for (offset, code, low) in [(2, 0, 2), (99, 1, -1), (-5, 1, -1), (-1, 0, 6)] {
            let partition =
                DeleteRecordsPartition::default().with_partition_index(0).with_offset(offset);
            let topic = DeleteRecordsTopic::default()
                .with_name(topic_name("t"))
                .with_partitions(vec![partition]);
            let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
            let response = client.ask(2, request).await;
            let result = &response.topics[0].partitions[0];
            assert_eq!((result.error_code, result.low_watermark), (code, low), "{offset}");
        }
        assert_eq!(list(&mut client, 5, -2).await.offset, 6);
    });
}

#[test]
fn the_epoch_of_the_log_ends_at_its_end() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", 1, &[]).await;
        client.ask(9, produce(-1, batch(2))).await;
        for version in 2..=4 {
            let partition = OffsetForLeaderPartition::default()
                .with_partition(0)
                .with_current_leader_epoch(-1)
                .with_leader_epoch(0);
            let topic = OffsetForLeaderTopic::default()
                .with_topic(topic_name("t"))
                .with_partitions(vec![partition]);
            let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
            let response = client.ask(version, request).await;
            let end = &response.topics[0].partitions[0];
            assert_eq!((end.error_code, end.leader_epoch, end.end_offset), (0, 0, 2));
        }
    });
}
