//! A reader that follows partitions of several cores, fetch after fetch, while they are written to.

use std::{cell::Cell, rc::Rc, time::Duration};

use kafka_protocol::messages::{FetchRequest, FetchResponse};

use crate::{
    conversation::{Client, topic_name, with_broker},
    fetching::fetch,
    producing::{batch, produce_to},
};

const PARTITIONS: usize = 16;

fn waiting(next: &[i64], max_wait: Duration) -> FetchRequest {
    let partitions: Vec<_> = (0..).zip(next.iter().copied()).collect();
    fetch(&partitions).with_min_bytes(1).with_max_wait_ms(max_wait.as_millis() as i32)
}

/// Takes a reply and moves on: one record a batch, each at the offset that comes next.
fn take(response: &FetchResponse, next: &mut [i64]) -> usize {
    let mut taken = 0;
    for partition in &response.responses[0].partitions {
        assert_eq!(partition.error_code, 0);
        let mut records = &partition.records.as_ref().unwrap()[..];
        let place = &mut next[partition.partition_index as usize];
        while !records.is_empty() {
            let header = ::batch::BatchHeader::parse(records).unwrap();
            assert_eq!(header.base_offset.0, *place, "of partition {}", partition.partition_index);
            *place = header.next_offset().0;
            records = &records[header.size_bytes()..];
            taken += 1;
        }
        assert!(partition.high_watermark >= *place, "a reader is behind what it has read");
    }
    taken
}

async fn write(client: &mut Client, partition: usize) {
    let request = produce_to(-1, &[("t", partition as i32, Some(batch(1).freeze()))]);
    let written = client.ask(9, request).await;
    assert_eq!(written.responses[0].partition_responses[0].error_code, 0);
}

#[test]
fn what_comes_between_two_fetches_is_in_the_second_whichever_core_it_came_to() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", PARTITIONS as i32, &[]).await;
        let mut reader = client.another().await;
        let mut next = [0; PARTITIONS];
        for partition in (0..PARTITIONS).chain(0..PARTITIONS) {
            // Nothing is there, so both cores keep the question …
            let nothing = reader.ask(11, waiting(&next, Duration::from_millis(5))).await;
            assert_eq!(take(&nothing, &mut next), 0);
            // … and one of them would have an answer while nobody waits for it.
            write(&mut client, partition).await;
            let began = runtime::now();
            let response = reader.ask(11, waiting(&next, Duration::from_secs(3600))).await;
            assert_eq!(take(&response, &mut next), 1);
            assert!(runtime::now() - began < Duration::from_secs(60), "it waited");
        }
    });
}

#[test]
fn what_comes_while_a_fetch_waits_is_its_answer_whichever_core_it_came_to() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", PARTITIONS as i32, &[]).await;
        let mut reader = client.another().await;
        let mut next = [0; PARTITIONS];
        for partition in (0..PARTITIONS).chain(0..PARTITIONS) {
            reader.send(11, waiting(&next, Duration::from_secs(3600))).await;
            runtime::sleep(Duration::from_millis(100)).await;
            write(&mut client, partition).await;
            let response = reader.reply::<FetchRequest>(11).await;
            assert_eq!(take(&response, &mut next), 1);
        }
    });
}

#[test]
fn a_reader_that_asks_for_something_else_gets_that() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", PARTITIONS as i32, &[]).await;
        let mut reader = client.another().await;
        for partition in 0..PARTITIONS {
            write(&mut client, partition).await;
        }
        let mut next = [1; PARTITIONS];
        let nothing = reader.ask(11, waiting(&next, Duration::from_millis(5))).await;
        assert_eq!(take(&nothing, &mut next), 0);
        // Back to the beginning, partition by partition; what stood for the rest is of no use any more.
        for partition in 0..PARTITIONS {
            next[partition] = 0;
            let response = reader.ask(11, waiting(&next, Duration::from_secs(3600))).await;
            assert_eq!(take(&response, &mut next), 1);
        }
        // A partition out of range is told at once.
        next[3] = 99;
        let response = reader.ask(11, waiting(&next, Duration::from_secs(3600))).await;
        let codes: Vec<_> =
            response.responses[0].partitions.iter().map(|it| it.error_code).collect();
        assert_eq!(codes.iter().filter(|code| **code == 1).count(), 1, "OFFSET_OUT_OF_RANGE");
    });
}

#[test]
fn what_is_not_asked_for_any_more_is_not_told() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", PARTITIONS as i32, &[]).await;
        let mut reader = client.another().await;
        for wanted in 0..PARTITIONS {
            let mut next: Vec<_> = vec![0; PARTITIONS];
            let before = reader.ask(11, waiting(&next, Duration::from_millis(5))).await;
            take(&before, &mut next);
            let nothing = reader.ask(11, waiting(&next, Duration::from_millis(5))).await;
            assert_eq!(take(&nothing, &mut next), 0);
            // All of them stand now; of these only one is still wanted.
            let one = fetch(&[(wanted as i32, next[wanted])]);
            reader.send(11, one.with_min_bytes(1).with_max_wait_ms(1000)).await;
            for other in (0..PARTITIONS).filter(|other| *other != wanted) {
                write(&mut client, other).await;
            }
            let response = reader.reply::<FetchRequest>(11).await;
            assert_eq!(take(&response, &mut next), 0);
        }
    });
}

#[test]
fn a_topic_that_is_deleted_ends_the_wait_for_it() {
    with_broker(&[], async |mut client| {
        client.create_topic("t", PARTITIONS as i32, &[]).await;
        let mut reader = client.another().await;
        let mut next = [0; PARTITIONS];
        let nothing = reader.ask(11, waiting(&next, Duration::from_millis(5))).await;
        assert_eq!(take(&nothing, &mut next), 0);
        reader.send(11, waiting(&next, Duration::from_secs(3600))).await;
        let request = kafka_protocol::messages::DeleteTopicsRequest::default()
            .with_topic_names(vec![topic_name("t")]);
        client.ask(1, request).await;
        let response = reader.reply::<FetchRequest>(11).await;
        assert!(response.responses[0].partitions.iter().any(|it| it.error_code == 3));
    });
}

#[test]
fn readers_follow_busy_partitions_without_a_gap_and_none_is_passed_over() {
    with_broker(&[], async |mut client| {
        const RECORDS: usize = 400;
        client.create_topic("t", PARTITIONS as i32, &[]).await;
        let written = Rc::new(Cell::new(0));
        for writer in 0..4 {
            let (mut writing, written) = (client.another().await, Rc::clone(&written));
            runtime::spawn("writer", async move {
                for turn in 0..RECORDS / 4 {
                    write(&mut writing, (turn * 7 + writer * 5) % PARTITIONS).await;
                    written.set(written.get() + 1);
                    let pause_us = runtime::random_u64() % 3_000;
                    runtime::sleep(Duration::from_micros(pause_us)).await;
                }
            });
        }
        let mut reader = client.another().await;
        let mut next = [0; PARTITIONS];
        let mut taken = 0;
        while taken < RECORDS {
            let before = written.get();
            let response = reader.ask(11, waiting(&next, Duration::from_millis(500))).await;
            let new = take(&response, &mut next);
            assert!(new > 0 || before < RECORDS, "the rest never comes");
            taken += new;
        }
        assert_eq!(taken, RECORDS);
    });
}
